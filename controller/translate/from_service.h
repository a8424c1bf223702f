/*
 * A Service as the mesh knows it. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_FROM_SERVICE_H
#define CONTROLLER_TRANSLATE_FROM_SERVICE_H
#include "controller/translate/view.h"
#include "shared/mesh/service.h"

enum { SERVICE_KEY_MAX = 512 };
/* 0 with *ret NULL: nothing for the mesh (ExternalName). -ENOMEM. */
int from_service(const struct view *v, const struct object *o, struct service **ret);
/* "namespace/name.namespace.svc.cluster.local" */
void service_key(const struct view *v, const char *ns, const char *name,
                 char out[static SERVICE_KEY_MAX]);
/* Which endpoints it prefers, seen from anywhere: those of the same region (1), zone (2), sub-zone (3), each
 * within the one before. 0: all are equal, or those of the client's node alone count. */
unsigned service_nearness(const struct view *v, const struct object *o);
#endif
