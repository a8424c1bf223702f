/*
 * What the workloads of a node have in use of each endpoint of a cluster, and how many of them have left it out: gathered by
 * each worker of its own, and put together. A value; one thread at a time; bounded by UPSTREAM_SEEN_MAX endpoints.
 */
#ifndef NODEPROXY_HTTP_UPSTREAM_SEEN_H
#define NODEPROXY_HTTP_UPSTREAM_SEEN_H
#include "nodeproxy/http/upstream_cluster.h"

enum { UPSTREAM_SEEN_MAX = 1000000 };
struct upstream_seen_endpoint {
    uint64_t active;        /* requests in flight */
    uint32_t users, ejects; /* balancers that know it, and those of them that leave it out: one for each workload and worker */
};
struct upstream_seen {
    struct map endpoints; /* by cluster and address */
    bool failed;          /* no memory, or too many: it is not all */
};
void upstream_seen_init(struct upstream_seen *s);
void upstream_seen_done(struct upstream_seen *s);
void upstream_seen_add(struct upstream_seen *s, const struct upstream_clusters *of);
void upstream_seen_merge(struct upstream_seen *s, const struct upstream_seen *other);
/* Zeroes: nobody knows it. */
struct upstream_seen_endpoint upstream_seen_get(const struct upstream_seen *s, struct text cluster, const struct addr *at);
#endif
