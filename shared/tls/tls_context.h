/*
 * The inside of a tls_config, for tls_config.c and tls_channel.c.
 */
#ifndef SHARED_TLS_TLS_CONTEXT_H
#define SHARED_TLS_TLS_CONTEXT_H
#include "shared/tls/tls_config.h"
#include "shared/tls/x509_view.h"
#include <stdatomic.h>

struct WOLFSSL_CTX;
struct web_key;
struct tls_config {
    atomic_uint refs;
    struct WOLFSSL_CTX *context; /* trusts nothing: see peer_check.h */
    struct key *key;             /* NULL: no identity, or */
    struct web_key *web_key;     /* that of a server of the web */
    enum tls_role role;
    enum tls_peer_auth peer_auth;
    char alpn[TLS_ALPN_MAX + 1]; /* "": none; of a server of the web several, "h2,http/1.1" */
    size_t n_roots;
    struct x509_view *roots; /* views into root_bytes */
    uint8_t *root_bytes;
};
#endif
