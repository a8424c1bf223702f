/*
 * What we say in the status of an XMesh (gateway.networking.x-k8s.io, v1alpha1): the condition Accepted, and which features of the
 * Gateway API its suite of conformance may test. Pure; as condition_patch() and its neighbours.
 */
#ifndef CONTROLLER_PUBLISH_MESH_PATCH_H
#define CONTROLLER_PUBLISH_MESH_PATCH_H
#include "controller/publish/condition.h"

uint64_t mesh_patch_number(const struct condition *accepted); /* never 0 */
uint64_t mesh_patch_there(const struct json *object);         /* 0: nothing is */
int mesh_patch(const struct json *object, const struct condition *accepted, int64_t unix_ms,
               struct text_heap *ret_body);
#endif
