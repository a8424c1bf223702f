/*
 * The ADS service on the network: HTTP/2 over mTLS. A client whose SPIFFE ID is not allowed, or whose certificate is revoked, is
 * told PERMISSION_DENIED; where sidecars are asked for, a workload's may ask as its pods' sidecars. Where it is asked for, a second port without TLS, for consumers that
 * can't do mTLS with SPIFFE IDs (proxyless gRPC): anybody may ask there, for routes alone. Owned by
 * the program; the ring's thread. Bounded: XDS_CONNECTIONS_MAX connections, of which XDS_SIDECARS_MAX
 * may be sidecars' (of one namespace its share, sidecar_places.h), of strangers XDS_STRANGERS_MAX, XDS_STREAMS_MAX calls on each connection.
 */
#ifndef CONTROLLER_SERVE_XDS_SERVER_H
#define CONTROLLER_SERVE_XDS_SERVER_H
#include "controller/serve/ads.h"
#include "controller/serve/serving_cert.h"
#include "controller/serve/sidecar_places.h"
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"

enum {
    XDS_CONNECTIONS_MAX = 10000,
    XDS_SIDECARS_MAX = 5000,
    XDS_STRANGERS_MAX = 1000,
    XDS_STREAMS_MAX = 16
};
struct xds_server {
    struct ring *ring;
    struct listener listener, plain;
    struct ads ads;
    struct serving_cert *certificate;
    const char *const *allowed; /* SPIFFE IDs, or all below one that ends in '/'; borrowed */
    size_t n_allowed;
    const char *sidecars_domain;
    struct sidecar_places sidecars; /* connections */
    struct list clients;
    struct timer tick;
    struct addr address, plain_address; /* where it listens */
    uint64_t handshake_failures, denied;
    unsigned listening; /* ports */
    bool closing;
    void (*closed)(struct xds_server *s);
    void *user;
};
struct xds_server_options {
    struct addr at;
    struct addr plain_at; /* no address: none */
    struct serving_cert *certificate;
    const char *const *allowed;
    size_t n_allowed;
    const char *sidecars_domain; /* whose workloads may ask as sidecars; NULL: nobody's */
};
/* -errno; the log says which address it was. */
int xds_server_open(struct xds_server *s, struct ring *ring, const struct xds_server_options *o,
                    struct catalog *catalog);
void xds_server_push(struct xds_server *s); /* the catalog has changed */
void xds_server_look_revoked(struct xds_server *s); /* certificate->trust has: whose certificate is revoked is let go */
/* No new connections; living ones are told to go elsewhere (GOAWAY, UNAVAILABLE). `closed` comes
 * when all are gone. */
void xds_server_drain(struct xds_server *s, void (*closed)(struct xds_server *s));
void xds_server_force(struct xds_server *s); /* after drain: now */
#endif
