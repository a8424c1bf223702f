/*
 * The configuration of a client of the web: the name that it asks for (SNI), those of which the server's
 * certificate must be for one, the roots that it must lead to, the protocol that is to be spoken (ALPN).
 * No certificate of its own. A tls_config like the others (tls_config.h: immutable, counted, the same
 * suites and groups, TLS 1.3 alone), for channels that connect. RFC 9525, RFC 6066 (3), RFC 7301.
 */
#ifndef SHARED_TLS_WEB_CLIENT_H
#define SHARED_TLS_WEB_CLIENT_H
#include "shared/tls/tls_config.h"
#include "shared/tls/web_name.h"
#include "shared/tls/web_roots.h"

struct web_client_options {
    struct text server_name;  /* SNI; "", or an address: none is said */
    const struct text *names; /* web_name_check(); at least one unless `insecure` */
    size_t n_names;
    struct web_roots *roots; /* referenced; not NULL unless `insecure` */
    /* Somebody has said so: any certificate will do, of anybody, for anything, expired or not. */
    bool insecure;
    struct text protocol; /* "h2", "http/1.1"; "": none is spoken of */
    bool protocol_needed; /* a server that does not say that it speaks it is none */
};
/* -EINVAL with *ret_why (a static sentence); -ENOMEM, -EIO. */
int web_client_new(struct tls_config **ret, const struct web_client_options *o,
                   const char **ret_why);
#endif
