/*
 * What a cluster's name means to a local workload: a cluster that somebody wrote something for
 * (http/upstream_cluster.h), or else a Service of the directory; and who is at an endpoint of it.
 * Decides; opens nothing.
 */
#ifndef NODEPROXY_PATH_CLUSTER_TARGET_H
#define NODEPROXY_PATH_CLUSTER_TARGET_H
#include "nodeproxy/path/local_pod.h"

struct cluster_target { /* one of the two; pointers are good for this turn */
    struct upstream_cluster *cluster;
    const struct service *service;
    uint16_t port; /* of the Service */
};
/* NONE, or NO_BACKEND, NO_ENDPOINT, NO_MEMORY, LIMIT. */
enum ending cluster_target_find(struct local_pod *pod, struct text name,
                                struct cluster_target *ret);
/* An endpoint of the Service: of the family of the address that was called, unless all are of the
 * other one. -EHOSTUNREACH as directory_choose(). */
int cluster_target_draw(const struct local_pod *pod, const struct cluster_target *t,
                        const struct addr *called, struct choice *ret);
/* Is one of the Service's endpoints at this address? */
bool cluster_target_is_at(const struct local_pod *pod, const struct cluster_target *t,
                          const struct addr *at, struct choice *ret);
/* Who is at the endpoint of a cluster: NONE, NO_ENDPOINT. */
enum ending cluster_target_at(const struct local_pod *pod, const struct balance_host *host,
                              struct choice *ret);
const struct port_pair *service_port(const struct service *s, uint16_t port); /* NULL: none */
#endif
