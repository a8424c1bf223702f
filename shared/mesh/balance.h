/*
 * Load balancing: which endpoint gets the next request. A balancer belongs to one thread, for one
 * cluster with its endpoints; hosts outlive it (counted references), so that what was seen of an
 * endpoint (requests in flight, ejection, since when it is there) survives an update. Pure: time and
 * randomness come in. Bounded by the endpoints and the table sizes of the cluster.
 */
#ifndef SHARED_MESH_BALANCE_H
#define SHARED_MESH_BALANCE_H
#include "shared/mesh/cluster.h"

struct balance_host {
    struct addr addr;
    struct text host, hostname, workload;
    uint32_t weight;
    uint32_t active;   /* requests in flight: balance_host_begin(), _end() */
    bool failed_check; /* active health checks; tell it by balancer_changed() */
    uint64_t since_ms; /* there, or healthy again: slow start counts from here */
    struct outlier_host outlier;
    size_t refs;
    const struct endpoint *endpoint; /* of the balancer's endpoints; NULL once it has left */
};
struct balancer;

/* The cluster and endpoints are borrowed for the balancer's life. `taken_old` (NULL: none) is
 * freed; hosts of the same address go over. -ENOMEM: old is untouched. */
int balancer_new(struct balancer **ret, const struct cluster *c, const struct endpoints *e,
                 struct balancer *taken_old, uint64_t now_ms);
struct balancer *balancer_free(struct balancer *b);
/* Something of a host has changed: ejected, failed_check. What follows is made anew at the next
 * choice. */
void balancer_changed(struct balancer *b);

struct balance_request {
    uint64_t hash;
    bool has_hash; /* otherwise ring and Maglev choose at random */
    const struct label *subset;
    size_t n_subset;
    struct balance_host *const *tried; /* avoided if others are there: policy's choices_max */
    size_t n_tried;
    uint32_t choices_max;
    uint64_t now_ms;
    struct rng *rng;
};
/* Takes a reference. -EHOSTUNREACH: there is none that may be used (503); -EAGAIN: dropped by the
 * assignment's drop_overloads (503). */
int balancer_choose(struct balancer *b, const struct balance_request *r, struct balance_host **ret);
struct balance_host *balance_host_unref(struct balance_host *h);
/* Reports how a request ended, for outlier detection; then balance_host_end(). */
void balancer_report(struct balancer *b, struct balance_host *h, enum outlier_result result,
                     uint64_t now_ms, struct rng *rng);
void balancer_tick(struct balancer *b, uint64_t now_ms, struct rng *rng);
size_t balancer_hosts(const struct balancer *b, struct balance_host *const **ret);
#endif
