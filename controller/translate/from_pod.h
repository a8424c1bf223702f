/*
 * A Pod, with all that selects it, as a workload. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_FROM_POD_H
#define CONTROLLER_TRANSLATE_FROM_POD_H
#include "controller/translate/view.h"
#include "shared/mesh/workload.h"

/* 0 with *ret NULL: the mesh does not see it (it is over, or has no address yet). -ENOMEM. */
int from_pod(const struct view *v, const struct object *o, struct workload **ret,
             struct problems *problems);
/* No more of it than an endpoint of this Service needs: its uid, addresses, health and locality, and
 * of the Services that one, if it serves it. NULL: it has no address. -ENOMEM. */
int from_pod_serving(const struct view *v, const struct object *o, const struct object *service,
                     struct workload **ret);
#endif
