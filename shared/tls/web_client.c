#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include "shared/tls/web_client.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/tls/peer_check.h"
#include "shared/tls/tls_context.h"

static const char *check_options(const struct web_client_options *o)
{
    enum web_name_kind kind;
    const char *why = NULL;
    if (o->insecure)
        return o->n_names > 0 || o->roots ? "names and roots that nobody looks at" : NULL;
    if (!o->roots)
        return "no roots to trust";
    if (o->n_names == 0)
        return "no name for which the certificate is to be";
    if (o->n_names > WEB_NAMES_MAX)
        return "too many names";
    for (size_t i = 0; i < o->n_names && !why; i++)
        why = web_name_check(o->names[i], &kind);
    return why;
}

static int set_trust(struct tls_config *c, const struct web_client_options *o)
{
    int r = 0;
    if (o->insecure)
        return 0;
    c->web_roots = web_roots_ref(o->roots);
    c->n_roots = web_roots_views(o->roots, &c->roots);
    c->names = calloc(o->n_names, sizeof *c->names);
    if (!c->names)
        return -ENOMEM;
    for (; r == 0 && c->n_names < o->n_names; c->n_names += r == 0)
        r = web_name_set(&c->names[c->n_names], o->names[c->n_names]);
    return r;
}

/* RFC 6066: neither an address nor a last dot. */
static int set_server_name(struct tls_config *c, struct text name)
{
    struct web_name n;
    if (name.len == 0)
        return 0;
    int r = web_name_set(&n, name);
    if (r < 0)
        return r;
    if (n.kind == WEB_NAME_DNS &&
        wolfSSL_CTX_UseSNI(c->context, WOLFSSL_SNI_HOST_NAME, n.text.data,
                           (unsigned short)n.text.len) != WOLFSSL_SUCCESS)
        r = -ENOMEM;
    else if (n.kind == WEB_NAME_URI)
        r = -EINVAL;
    free((char *)n.text.data);
    return r;
}

int web_client_new(struct tls_config **ret, const struct web_client_options *o,
                   const char **ret_why)
{
    *ret_why = check_options(o);
    if (!*ret_why && (o->protocol.len > TLS_ALPN_MAX || (o->protocol.len > 0 && memchr(o->protocol.data, ',', o->protocol.len))))
        *ret_why = "an impossible ALPN name";
    if (*ret_why)
        return -EINVAL;
    *ret_why = "out of memory";
    struct tls_config *c;
    int r = tls_context_new(&c, TLS_CLIENT, TLS_PEER_WEB);
    if (r < 0)
        return r;
    if (o->protocol.len > 0)
        memcpy(c->alpn, o->protocol.data, o->protocol.len);
    c->alpn_free = !o->protocol_needed;
    r = set_trust(c, o);
    if (r == 0) {
        r = set_server_name(c, o->server_name);
        if (r == -EINVAL)
            *ret_why = "the server's name is none";
    }
    if (r == 0)
        r = tls_context_set_protocol(c);
    if (r == 0)
        r = tls_context_set_peer(c, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                                 peer_check_certificate);
    if (r < 0) {
        tls_config_unref(c);
        return r;
    }
    *ret_why = NULL;
    *ret = c;
    return 0;
}
