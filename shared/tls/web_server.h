/*
 * The configuration of a server of the web: a certificate chain, its key, the protocols that it speaks
 * (ALPN), and no question who the client is. A tls_config like the others (tls_config.h: immutable,
 * counted, the same suites and groups, TLS 1.3 alone), for channels that were accepted. Which one a
 * client means its ClientHello says (client_hello.h), before there is a channel.
 */
#ifndef SHARED_TLS_WEB_SERVER_H
#define SHARED_TLS_WEB_SERVER_H
#include "shared/tls/tls_config.h"
#include "shared/tls/web_key.h"

/* What is wrong with a chain (leaf first) and its key as those of a server, whenever that is; NULL: nothing.
 * That a certificate has expired is said to its clients by themselves. */
const char *web_server_check(const struct x509 *chain, size_t n_chain, const struct web_key *key);
struct web_server_options {
    const struct x509 *chain; /* leaf first; copied */
    size_t n_chain;
    struct web_key *key; /* referenced */
    /* "h2,http/1.1": a client that speaks ALPN has to speak one of them, the first that it speaks is
     * taken; "": none is looked at. */
    const char *protocols;
};
/* -EINVAL with *ret_why (a static sentence), -ENOMEM, -EIO. */
int web_server_new(struct tls_config **ret, const struct web_server_options *o,
                   const char **ret_why);
/* A fatal alert (RFC 8446, 6.2) as the first thing that is said, before there is a channel. */
enum { WEB_SERVER_ALERT_BYTES = 7 };
void web_server_refuses_name(uint8_t out[static WEB_SERVER_ALERT_BYTES]); /* unrecognized_name */
#endif
