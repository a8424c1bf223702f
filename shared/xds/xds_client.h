/*
 * A delta-xDS subscriber as a machine: one call on an http2 session; the owner makes sessions and calls again after a
 * backoff. It keeps names and versions of what it has over reconnects, so that a returning controller sends only differences and
 * removals. Good resources of a partly bad response are applied, the response is NACKed with the reasons (gRPC
 * status 3), the last good state of the bad ones stays. Used by the node proxy and by the CA. One thread.
 */
#ifndef SHARED_XDS_XDS_CLIENT_H
#define SHARED_XDS_XDS_CLIENT_H
#include "shared/base/map.h"
#include "shared/grpc/grpc.h"
#include "shared/xds/delta.h"

struct xds_client;
struct xds_client_events {
    /* 0: applied; else why[] says what is wrong with it, and the old stays. */
    int (*put)(struct xds_client *c, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX]);
    void (*removed)(struct xds_client *c, enum xds_type type, struct text name);
    void (*synced)(struct xds_client *c, enum xds_type type); /* each response applied in full; the first makes the type known */
    void (*closed)(struct xds_client *c, enum grpc_status status, struct text message); /* start again after a backoff */
};
struct xds_client_stats { uint64_t messages[XDS_TYPE_COUNT], bytes[XDS_TYPE_COUNT], nacks[XDS_TYPE_COUNT], terminations; bool connected, synced[XDS_TYPE_COUNT]; char last_error[256]; };
struct xds_client {
    struct grpc_call call;
    const struct xds_client_events *events;
    void *user;
    char node_id[256];
    struct map versions[XDS_TYPE_COUNT];  /* name -> version (heap text) */
    struct xds_client_stats stats;
    bool started;
};
void xds_client_init(struct xds_client *c, const char *node_id, const struct xds_client_events *events, void *user);
int xds_client_start(struct xds_client *c, struct http2 *h, struct chunk_pool *pool, struct text authority, struct text bearer);
void xds_client_stop(struct xds_client *c); /* cancels the call; `closed` does not follow */
void xds_client_done(struct xds_client *c);
#endif
