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
#endif
