/*
 * Endpoints of an EndpointSlice that are no pods of ours, as workloads: addresses that a service
 * has and that nothing more is known of. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_FROM_SLICE_H
#define CONTROLLER_TRANSLATE_FROM_SLICE_H
#include "controller/translate/view.h"
#include "shared/mesh/workload.h"

/* 0 with *ret NULL: the endpoint is a pod, or there is no Service for the slice. -ENOMEM. */
int from_slice(const struct view *v, const struct object *o, size_t endpoint,
               struct workload **ret);
#endif
