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
    uint32_t active;   /* requests in flight: balance_host_begin(), _end() */
    bool failed_check; /* active health checks; tell it by balancer_changed() */
    uint64_t since_ms; /* there, or well again: slow start counts from here */
    struct outlier_host outlier;
    size_t refs;
    /* Of the balancer's endpoints, with its host name, workload and labels; NULL once it left. */
    const struct endpoint *endpoint;
    const struct endpoint_group *group;
};
struct balancer;

/* The cluster and endpoints are borrowed until the balancer is freed. `taken_old` (NULL: none) is
 * freed; its hosts of the same addresses go over. Endpoints without an address are left out.
 * -ENOMEM: old is untouched. */
int balancer_new(struct balancer **ret, const struct cluster *c, const struct endpoints *e,
                 struct balancer *taken_old, uint64_t now_ms);
struct balancer *balancer_free(struct balancer *b);
/* failed_check of a host has changed. What follows is made anew at the next choice. */
void balancer_changed(struct balancer *b);

struct balance_request {
    uint64_t hash;
    bool has_hash; /* otherwise ring and Maglev choose at random */
    const struct label *subset;
    size_t n_subset;
    struct balance_host *const *tried; /* avoided, by drawing choices_max times at most (5) */
    size_t n_tried;
    const struct addr *prefer; /* whoever has this address, if it is one of those of its subset and well; NULL: nobody */
    uint32_t choices_max;
    uint64_t now_ms;
    struct rng *rng;
};
/* Takes a reference. -EHOSTUNREACH: there is none that may be used; -EAGAIN: dropped by the
 * assignment's drop_overloads (both: 503); -ENOMEM. */
int balancer_choose(struct balancer *b, const struct balance_request *r, struct balance_host **ret);
struct balance_host *balance_host_unref(struct balance_host *h);
static inline void balance_host_begin(struct balance_host *h)
{
    h->active++;
}
static inline void balance_host_end(struct balance_host *h)
{
    h->active--;
}
/* How a request ended, for outlier detection. */
void balancer_report(struct balancer *b, struct balance_host *h, enum outlier_result result,
                     uint64_t now_ms, struct rng *rng);
/* Ends ejections; to be called when balancer_next_ms() has come (UINT64_MAX: never). */
void balancer_tick(struct balancer *b, uint64_t now_ms, struct rng *rng);
uint64_t balancer_next_ms(const struct balancer *b);
const struct outlier *balancer_outlier(const struct balancer *b);
size_t balancer_hosts(const struct balancer *b, struct balance_host *const **ret);
#endif
