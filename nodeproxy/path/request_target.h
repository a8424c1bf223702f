/*
 * Where one try of a local workload's request goes: the cluster that its route names, or the Service that was called, and one
 * endpoint of it. Clusters are those that somebody wrote something for (http/upstream_cluster.h); of all other Services the
 * directory's endpoints serve, the less busy one of two (Istio's default). Decides; opens nothing.
 */
#ifndef NODEPROXY_PATH_REQUEST_TARGET_H
#define NODEPROXY_PATH_REQUEST_TARGET_H
#include "nodeproxy/path/local_pod.h"

struct request_target { /* what a choice is about */
    struct local_pod *pod;
    const struct addr *called; /* the address of the Service */
    struct text name;          /* of the cluster that it is, where no route says otherwise */
    enum http_version version; /* that the client speaks */
};
struct target_endpoint { /* pointers are good for this turn, and while it is not moved */
    struct upstream_endpoint endpoint;
    struct spiffe_id id;
    struct text hostname; /* as the endpoint is called; "": by no name */
    const char *why; /* where there is none: more than the ending says, a static sentence; NULL */
};
/* ENDING_NONE, or why there is none. The exchange's stake is taken. */
enum ending request_target_choose(const struct request_target *t, struct exchange *x,
                                  struct target_endpoint *ret);
/* Any endpoint of this cluster; the stake is the caller's, to be ended. */
enum ending request_target_any(const struct request_target *t, const struct exchange *x,
                               struct text cluster, struct upstream_stake *ret_stake,
                               struct target_endpoint *ret);
#endif
