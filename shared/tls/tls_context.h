/*
 * The inside of a tls_config, for the files of shared/tls that make one (tls_config.c, web_server.c,
 * web_client.c) and for those that use it (tls_channel.c, peer_check.c). A context that is not yet
 * whole is freed by tls_config_unref(). All: -ENOMEM, -EINVAL (the library does not take it), -EIO.
 */
#ifndef SHARED_TLS_TLS_CONTEXT_H
#define SHARED_TLS_TLS_CONTEXT_H
#include "shared/tls/tls_config.h"
#include "shared/tls/x509_view.h"
#include <stdatomic.h>

struct WOLFSSL_CTX;
struct WOLFSSL_X509_STORE_CTX;
struct web_key;
struct web_name;
struct web_roots;
struct tls_config {
    atomic_uint refs;
    struct WOLFSSL_CTX *context; /* trusts nothing: see peer_check.h */
    struct key *key;             /* NULL: no identity, or */
    struct web_key *web_key;     /* that of a server of the web */
    enum tls_role role;
    enum tls_peer_auth peer_auth;
    char alpn[TLS_ALPN_MAX + 1]; /* "": none; of a server of the web several, "h2,http/1.1" */
    bool alpn_free;              /* WEB: a server that does not know of ALPN is one, too */
    size_t n_roots;
    const struct x509_view *roots; /* views into root_bytes, or web_roots' */
    struct x509_view *own_roots;   /* NULL if web_roots */
    uint8_t *root_bytes;
    struct web_roots *web_roots; /* WEB; NULL: any certificate will do, whatever it says */
    struct web_name *names;      /* WEB: one of which the certificate must be for; owned */
    size_t n_names;
};
int tls_context_new(struct tls_config **ret, enum tls_role role, enum tls_peer_auth peer_auth);
int tls_context_set_chain(struct tls_config *c, const struct x509 *chain, size_t n_chain);
int tls_context_set_protocol(struct tls_config *c); /* suites, groups, neither tickets nor a cache */
typedef int tls_context_verify(int library_says_good, struct WOLFSSL_X509_STORE_CTX *store);
/* mode: the library's; with the smallest keys that are taken. */
int tls_context_set_peer(struct tls_config *c, int mode, tls_context_verify *verify);
#endif
