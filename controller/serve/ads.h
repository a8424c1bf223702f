/*
 * The ADS service as a machine without I/O: streams of clients on one side, the catalog on the
 * other. One thread. A stream speaks one of two dialects: delta, or the state of the world. Each has
 * few responses that the client has not acknowledged, and all streams together ADS_FLIGHT_BYTES_MAX
 * bytes: what changes meanwhile waits in the catalog, where it costs nothing. A client that
 * acknowledges nothing for ADS_ACK_MS is cut off (ads_tick()).
 *
 * The order of types, so that nothing is told before what it needs, nor taken away while it is
 * needed: Authorization before Address, its removals after, so that no workload is told without a
 * policy that protects it; Cluster, ClusterLoadAssignment, Listener, RouteConfiguration, and then
 * what is gone of the first two.
 */
#ifndef CONTROLLER_SERVE_ADS_H
#define CONTROLLER_SERVE_ADS_H
#include "controller/serve/interest.h"
#include "controller/serve/registry.h"
#include "shared/grpc/grpc.h"

enum {
    FLIGHTS_MAX = 2, /* of a delta stream; of the other kind: one of each type */
    ADS_FLIGHT_BYTES_MAX = 64 * 1024 * 1024,
    ADS_ACK_MS = 60000,
    ADS_REQUEST_MAX = 64 * 1024 * 1024, /* a request with the versions of a whole big mesh */
    /* of callers that nobody knows, who are told of routes alone */
    ADS_STRANGERS_REQUEST_MAX = 1024 * 1024,
    ADS_STRANGERS_NAMES_MAX = 10000,
    ADS_NACK_MAX = 512, /* of a refusal's words, as they are shown */
};
struct ads_stats {
    size_t clients;
    uint64_t pushes[XDS_TYPE_COUNT], nacks[XDS_TYPE_COUNT];
    uint64_t resources_sent[XDS_TYPE_COUNT], refused;
};
struct ads {
    struct catalog *catalog;
    struct registry *registry; /* of machines; borrowed. NULL: there is none */
    struct list streams;
    size_t flight_bytes;
    /* a stream could not go on for lack of memory or of room: ads_tick() tries again */
    bool waiting;
    struct ads_stats stats;
};
void ads_init(struct ads *a, struct catalog *catalog);
void ads_done(struct ads *a); /* cancels what is left */

/* Who calls, and for what. */
struct ads_caller {
    struct text path;     /* of the call */
    const char *identity; /* for the log, and of a machine that registers itself */
    struct ip from;       /* likewise, where it is */
    bool routes_only;     /* no word of workloads and policies */
    const struct spiffe_id *sidecar; /* it asks for the sidecar of a pod that is this; NULL: it does not */
    bool gateway_only;    /* of a Gateway's certificates alone, and those only to `identity`, which is proven */
    uint64_t now_ms;
};
/* From the request event: return the result. Another path than those of the two dialects is
 * answered UNIMPLEMENTED. NULL: no memory. */
struct http2_stream *ads_accept(struct ads *a, struct chunk_pool *pool,
                                const struct ads_caller *caller);
/* Ends a call at once with this status; from the request event too. */
struct http2_stream *ads_refuse(struct ads *a, struct chunk_pool *pool, enum grpc_status status,
                                const char *message);
void ads_push(struct ads *a, uint64_t now_ms); /* the catalog has changed */
void ads_tick(struct ads *a, uint64_t now_ms); /* about once a second */
void ads_finish(struct ads *a, enum grpc_status status,
                const char *message); /* all streams, to shut down */
/* Visits the clients, for dumps. */
struct ads_client {
    const char *peer, *node;
    const char *dialect;   /* "delta", "sotw" */
    uint64_t connected_ms; /* since when, in the clock of now_ms */
    size_t unacknowledged;
    const char *nack; /* why it keeps what it had before of nack_type; "": it took all */
    enum xds_type nack_type;
    bool wildcard[XDS_TYPE_COUNT], started[XDS_TYPE_COUNT], synced[XDS_TYPE_COUNT];
    size_t names[XDS_TYPE_COUNT];
};
void ads_each(const struct ads *a, void (*visit)(const struct ads_client *client, void *arg),
              void *arg);
#endif
