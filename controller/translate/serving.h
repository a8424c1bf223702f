/*
 * Who may be sent to while it leaves: an endpoint that ends but still serves counts as ready when its Service has nothing else that is
 * (Kubernetes, "EndpointSlices", conditions serving and terminating). Pure. A workload's health is one for all of its Services: it is
 * enough that one of them needs it.
 */
#ifndef CONTROLLER_TRANSLATE_SERVING_H
#define CONTROLLER_TRANSLATE_SERVING_H
#include "controller/translate/view.h"

/* Ready in the plain sense, and not ending. */
static inline bool serving_pod_is_ready(const struct object *pod)
{
    return pod->pod.ready && !pod->deleting && !pod->pod.over && pod->pod.n_ips > 0;
}
/* Ends, and serves as long as it lasts. */
static inline bool serving_pod_leaves(const struct object *pod)
{
    return pod->pod.ready && pod->deleting && !pod->pod.over && pod->pod.n_ips > 0;
}
/* Is a pod that leaves the last resort of one of its namespace's Services? -ENOMEM. */
int serving_last_pod(const struct view *v, const struct object *pod, bool *ret);
/* Is an endpoint that is no pod ready, or the last resort? */
bool serving_endpoint(const struct view *v, const struct object *slice,
                      const struct slice_endpoint *e);
#endif
