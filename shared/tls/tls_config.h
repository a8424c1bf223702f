/*
 * Everything that TLS connections of one identity and role share: own chain and key, trust, ALPN.
 * Immutable after it was made and reference counted (atomic), so that every worker may open
 * channels from it; a new certificate or bundle makes a new one. TLS 1.3 only,
 * TLS_AES_128_GCM_SHA256 and TLS_AES_256_GCM_SHA384, P-256 and X25519, no tickets, no resumption,
 * no early data, no SNI sent (but by clients of the web). The private key stays in its struct key.
 */
#ifndef SHARED_TLS_TLS_CONFIG_H
#define SHARED_TLS_TLS_CONFIG_H
#include "shared/tls/x509.h"

enum { TLS_ROOTS_MAX = 64, TLS_ALPN_MAX = 32, TLS_ROOT_BYTES = 32 };
enum tls_role { TLS_CLIENT, TLS_SERVER };
enum tls_peer_auth {
    /* A certificate is required and must be a SPIFFE leaf of these roots (mTLS). */
    TLS_PEER_SVID,
    /* Server: as SVID when one is sent; else the peer is anonymous (it may bring a token). */
    TLS_PEER_OPTIONAL,
    /* Server of the web: nobody is asked; see web_server.h, which alone makes such a configuration. */
    TLS_PEER_NOBODY,
    /* Client of the web: a server's certificate of the web; see web_client.h, likewise. */
    TLS_PEER_WEB,
};
struct tls_config_options {
    enum tls_role role;
    enum tls_peer_auth peer_auth;
    const struct key *key;    /* referenced; NULL only for a client without identity */
    const struct x509 *chain; /* leaf first; copied */
    size_t n_chain;
    const struct x509 *roots; /* copied; each must be a CA */
    size_t n_roots;
    struct text alpn; /* "h2", "http/1.1" or "": none; the peer must agree to it */
};
struct tls_config;
/* -EINVAL with *ret_why (static sentence): what does not fit together; -ENOMEM, -EIO. That a
 * certificate has expired is no error here: the peer says so. */
int tls_config_new(struct tls_config **ret, const struct tls_config_options *options,
                   const char **ret_why);
struct tls_config *tls_config_ref(struct tls_config *c);
struct tls_config *tls_config_unref(struct tls_config *c); /* NULL is fine; returns NULL */
/* SHA-256 of each root's public key: a root that was renewed with its key is the same one. How many,
 * at most TLS_ROOTS_MAX. */
size_t tls_config_root_keys(const struct tls_config *c, uint8_t (*out)[TLS_ROOT_BYTES]);
/* For --version: "wolfSSL 5.7.2 (AES-NI, SP-ASM)"; *ret_accelerated (may be NULL): is the cipher
 * in hardware? */
const char *tls_library(bool *ret_accelerated);
#endif
