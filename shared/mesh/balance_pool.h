/*
 * The hosts of a subset (or all of them) by priority, health and locality, and how many of a hundred
 * requests each priority gets: the middle of a balancer. Built anew when something of a host
 * changes; owned by the balancer, one thread. Not for others than this folder.
 */
#ifndef SHARED_MESH_BALANCE_POOL_H
#define SHARED_MESH_BALANCE_POOL_H
#include "shared/mesh/balance_list.h"

enum balance_share { SHARE_HEALTHY, SHARE_DEGRADED, SHARE_ALL, SHARES };
struct balance_priority {
    struct balance_list lists[SHARES]; /* of all localities together */
    uint32_t load[SHARE_ALL]; /* of a hundred requests, for the healthy and for the degraded */
    bool panic;
};
struct balance_pool {
    struct balance_priority *priorities; /* NULL: not built */
    size_t n_priorities;
    size_t n_hosts; /* well or not */
    /* The healthy and the degraded of each group; NULL where localities have no weights. */
    struct balance_list *localities[SHARE_ALL];
    size_t n_localities;
    struct label *labels; /* of the subset, copied */
    size_t n_labels;
};
/* -ENOMEM; then, and before the first time, the pool is empty. */
int balance_pool_build(struct balance_pool *p, const struct cluster *c, const struct endpoints *e,
                       struct balance_host *const *hosts, size_t n_hosts);
void balance_pool_done(struct balance_pool *p); /* the labels stay */
/* -EHOSTUNREACH, -ENOMEM. */
int balance_pool_choose(struct balance_pool *p, const struct cluster *c, const struct endpoints *e,
                        const struct balance_request *r, uint32_t attempt,
                        struct balance_host **ret);
bool balance_pool_has(const struct balance_pool *p, const struct balance_host *h); /* has it its labels? */
enum balance_share balance_share_of(const struct balance_host *h); /* SHARE_ALL: not usable */
#endif
