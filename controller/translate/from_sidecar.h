/*
 * Which Sidecar says what a pod sees of the mesh: one of its namespace that selects it, else one there without a
 * selector, else one of the root namespace without a selector; of several the oldest. All of it is that one's,
 * nothing is merged. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_FROM_SIDECAR_H
#define CONTROLLER_TRANSLATE_FROM_SIDECAR_H
#include "controller/translate/view.h"
#include "shared/mesh/workload.h"

const struct object *sidecar_of(const struct view *v, const char *ns, const struct labels *labels); /* NULL: none */
/* Into a workload: by its Sidecar, and by the mesh where that says nothing. -ENOMEM. */
int from_sidecar(const struct view *v, const struct object *pod, struct workload *w);
void sidecar_warn(const struct view *v, const struct object *sidecar, struct problems *problems);
#endif
