/*
 * weir.workload.GatewayCertificates: with what the listeners of a Gateway end TLS. There are private
 * keys in it: what is made here is wiped when it is given back, and whoever moves the bytes wipes
 * theirs. Pure; any thread. Bounds: GATEWAY_CERTIFICATES_MAX, GATEWAY_HOST_MAX, GATEWAY_CHAIN_MAX.
 */
#ifndef SHARED_XDS_GATEWAY_H
#define SHARED_XDS_GATEWAY_H
#include "shared/xds/xds.h"

enum {
    GATEWAY_CERTIFICATES_MAX = 64, /* a Gateway has no more listeners */
    GATEWAY_HOST_MAX = 255,
    GATEWAY_CHAIN_MAX = 128 * 1024,
    GATEWAY_KEY_MAX = 4096
};
struct gateway_certificate {
    uint16_t port;
    struct text host;  /* "": any */
    bool streams;      /* within its TLS are bytes, and not requests */
    struct text chain; /* PEM */
    struct text key;   /* DER */
};
struct arena;
struct gateway_certificates {
    struct text name; /* NAMESPACE/NAME */
    const struct gateway_certificate *items;
    size_t n;
    char *const *identities; /* SPIFFE IDs of its pods */
    size_t n_identities;
    struct arena *arena; /* of a decoded one: all of it; NULL: all is borrowed */
};
int xds_gateway_encode(const struct gateway_certificates *from, struct xds_bytes *ret); /* -ENOMEM */
int xds_gateway_decode(const uint8_t *data, size_t len, struct gateway_certificates *ret,
                       char why[static XDS_WHY_MAX]);
void gateway_certificates_done(struct gateway_certificates *c); /* wipes its keys */
/* Wipes and frees: of bytes with keys in them. */
void xds_secret_bytes_done(struct xds_bytes *b);
#endif
