/*
 * Listeners of a sidecar Envoy, as far as the mesh writes them: which connections of the workload each one
 * takes, and where they go. Written, never read. Borrowed values, pure; any thread.
 */
#ifndef SHARED_XDS_SIDECAR_H
#define SHARED_XDS_SIDECAR_H
#include "shared/base/addr.h"
#include "shared/xds/xds.h"

enum sidecar_role {
    SIDECAR_SERVICE,  /* of a Service's address: the next one hands its connections over */
    SIDECAR_OUTBOUND, /* all that the workload opens */
    SIDECAR_INBOUND,  /* all that others open to it */
};
enum { SIDECAR_ADDRESSES_MAX = 2 };
struct sidecar_chain {
    const char *name;
    uint16_t port;       /* to which the client wanted to go; 0: whatever no other chain takes */
    bool http;           /* requests; else bytes */
    const char *routes;  /* of requests: a RouteConfiguration that ADS serves; NULL: all to the cluster */
    const char *cluster; /* of bytes, and where there are no routes */
};
struct sidecar_listener {
    const char *name;
    enum sidecar_role role;
    struct addr at[SIDECAR_ADDRESSES_MAX];
    size_t n_at;
    const struct sidecar_chain *chains;
    size_t n_chains;
};
int xds_sidecar_listener_encode(const struct sidecar_listener *from, struct xds_bytes *ret); /* -ENOMEM */
#endif
