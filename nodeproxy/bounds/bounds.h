/*
 * What one workload, and the node as a whole, may take at most: connections, tunnels, handshakes, lines of the access log, buffered bytes. Counted over all
 * workers with relaxed atomics: the one thing that workers share and write. A bound that is reached refuses, is counted, and leaves a
 * line in the log, one a second. A pod's record is made and found by its uid under a lock, which is taken when pods come and go only.
 */
#ifndef NODEPROXY_BOUNDS_BOUNDS_H
#define NODEPROXY_BOUNDS_BOUNDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOUNDS(X)                                                                         \
    /* name, label, what it bounds */                                                     \
    X(OUTBOUND, "outbound_connections", "connections that the workload opened")           \
    X(INBOUND, "inbound_connections", "connections and streams that came for it")         \
    X(REQUESTS_IN, "inbound_requests", "HTTP requests at once that came for it")          \
    X(REQUESTS_OUT, "outbound_requests", "HTTP requests at once that the workload made")  \
    X(TUNNELS, "tunnels", "tunnel connections that were opened for it")                   \
    X(TUNNELS_ACCEPTED, "tunnels_accepted", "tunnel connections that came for it")        \
    X(HANDSHAKES, "handshakes", "inbound TLS handshakes that are not over yet")           \
    X(OPENING, "outbound_handshakes", "outbound TLS handshakes that are not over yet")    \
    X(HANDSHAKES_IN, "inbound_handshakes_per_second", "inbound TLS handshakes a second")  \
    X(HANDSHAKES_OUT, "outbound_handshakes_per_second", "outbound TLS handshakes a second") \
    X(LOG_LINES, "log_lines_per_second", "lines of the access log a second")              \
    X(LOG_FAILURES, "failure_log_lines_per_second", "lines of it about what failed, a second") \
    X(DNS_QUERIES, "dns_queries_per_second", "DNS queries of the workload a second")      \
    X(DNS_FORWARDED, "dns_queries_forwarded", "DNS queries that wait for its resolver")   \
    X(BUFFERED, "buffered_bytes", "bytes that wait for a reader")

enum bound {
#define X(name, label, about) BOUND_##name,
    BOUNDS(X)
#undef X
        BOUND_COUNT
};
const char *bound_label(enum bound which);
struct bounds_max { /* 0: no limit */
    uint64_t pod[BOUND_COUNT], node[BOUND_COUNT];
};
struct bounds;     /* of the node */
struct pod_bounds; /* of a workload; reference counted; NULL stands for one without limits */
int bounds_new(struct bounds **ret, const struct bounds_max *max); /* -ENOMEM */
struct bounds *bounds_free(struct bounds *b); /* every pod's record has been given back; returns NULL */
struct pod_bounds *bounds_pod(struct bounds *b, const char *uid, const char *ns, const char *name); /* NULL: no memory */
struct pod_bounds *pod_bounds_unref(struct pod_bounds *p);                                          /* returns NULL */

/* One more of what lives; false: a bound is reached, and nothing was taken. */
bool bound_take(struct pod_bounds *p, enum bound which, uint64_t now_ms);
void bound_give(struct pod_bounds *p, enum bound which);
/* One more in this second. */
bool bound_tick(struct pod_bounds *p, enum bound which, uint64_t now_ms);
/* What is measured and not refused here: more, or less. */
void bound_add(struct pod_bounds *p, enum bound which, int64_t delta);
/* It was reached, and somebody else acted on it. */
void bound_hit(struct pod_bounds *p, enum bound which, uint64_t now_ms);
uint64_t pod_bounds_max(const struct pod_bounds *p, enum bound which); /* 0: none */

struct cluster_uses; /* cluster_use.h: what it has in use of each cluster; NULL of NULL */
struct cluster_uses *pod_bounds_clusters(struct pod_bounds *p);

struct bound_view { /* most: ever at once, or in a second */
    uint64_t now, most, reached, max;
};
void bounds_view(const struct bounds *b, enum bound which, struct bound_view *ret); /* of the node */
/* The highest of any pod, ever; `now` is not set, `reached` is the sum. */
void bounds_view_pods(const struct bounds *b, enum bound which, struct bound_view *ret);
void bounds_each_cluster(struct bounds *b, void (*visit)(const char *ns, const char *name, struct cluster_uses *clusters, void *arg), void *arg);
/* All pods that are there, under the lock. */
void bounds_each(struct bounds *b, void (*visit)(const char *ns, const char *name, const struct bound_view views[static BOUND_COUNT], void *arg), void *arg);
#endif
