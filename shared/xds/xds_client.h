/*
 * A delta-xDS subscriber as a machine: one call on an http2 session; the owner makes sessions and
 * calls again after a backoff. It keeps names and versions of what it has over reconnects, so that
 * a returning controller sends only differences and removals. Good resources of a partly bad
 * response are applied, the response is NACKed with the reasons (gRPC status 3), the last good
 * state of the bad ones stays. What there was no memory for is asked for again, on a new stream.
 * Used by the node proxy and by the CA, each for its own types, of each
 * for all there is ("*"). One thread.
 *
 * Removals over a reconnect: the first message of each type lists what is here; a server that
 * follows the protocol answers with removed_resources for what it no longer has, also when it
 * itself started anew. There is no mark that ends a first answer, so a server that doesn't do this
 * leaves old entries behind until it names them again.
 */
#ifndef SHARED_XDS_XDS_CLIENT_H
#define SHARED_XDS_XDS_CLIENT_H
#include "shared/base/map.h"
#include "shared/grpc/grpc.h"
#include "shared/xds/delta.h"

/* Sets of types to ask for. */
enum {
    XDS_MESH = 1 << XDS_ADDRESS | 1 << XDS_AUTHORIZATION,
    XDS_MESH_AND_ROUTES = XDS_MESH | 1 << XDS_ROUTES | 1 << XDS_CLUSTER | 1 << XDS_ENDPOINTS
};
struct xds_client;
struct xds_client_events {
    /* 0: applied; else why[] says what is wrong with it, and the old stays; -ENOMEM: it is right,
     * and will be asked for again. Neither put nor removed may stop the client. */
    int (*put)(struct xds_client *c, enum xds_type type, struct text name, const uint8_t *body,
               size_t len, char why[static XDS_WHY_MAX]);
    void (*removed)(struct xds_client *c, enum xds_type type, struct text name);
    /* Each response applied in full, none of it refused; the first makes the type known. Of routes,
     * clusters and endpoints something may be refused: one that is bad must not keep all others
     * from their work, and nothing that protects is missing. */
    void (*synced)(struct xds_client *c, enum xds_type type);
    /* Start again after a backoff, not from here. */
    void (*closed)(struct xds_client *c, enum grpc_status status, struct text message);
};
struct xds_client_stats {
    uint64_t messages[XDS_TYPE_COUNT], bytes[XDS_TYPE_COUNT], nacks[XDS_TYPE_COUNT], terminations;
    bool connected, synced[XDS_TYPE_COUNT];
    char last_error[256];
};
struct xds_client {
    struct grpc_call call;
    const struct xds_client_events *events;
    void *user;
    unsigned types; /* asked for */
    char node_id[256];
    struct delta_machine machine; /* said with it; borrowed, set after the init */
    struct map versions[XDS_TYPE_COUNT]; /* name -> version (heap text) */
    size_t names_bytes[XDS_TYPE_COUNT];  /* both on the wire: they must fit in one message */
    struct xds_client_stats stats;
    bool started;
};
void xds_client_init(struct xds_client *c, const char *node_id, unsigned types,
                     const struct xds_client_events *events, void *user);
int xds_client_start(struct xds_client *c, struct http2 *h, struct chunk_pool *pool,
                     struct text authority, struct text bearer);
bool xds_client_synced(const struct xds_client *c, unsigned types); /* of each of them that is asked for something came */
void xds_client_stop(struct xds_client *c);         /* cancels the call; `closed` does not follow */
/* Nothing is here any more, and a server is asked for everything. Not while a call lives; the owner
 * forgets what it was given. */
void xds_client_forget(struct xds_client *c);
void xds_client_done(struct xds_client *c);
#endif
