/* Certificates of listeners; see the header. */
#include "nodeproxy/path/listener_set.h"

#include "shared/tls/web_server.h"
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct listener_set {
    atomic_uint refs;
    size_t n;
    struct listener_certificate items[];
};

static int refuse(const struct gateway_certificate *c, const char *what, const char *because,
                  char why[static XDS_WHY_MAX])
{
    snprintf(why, XDS_WHY_MAX, "certificates: of port %u, host '%.*s': %s: %s", c->port,
             (int)c->host.len, c->host.data, what, because);
    return -EINVAL;
}

static int configure(const struct gateway_certificate *from, const struct x509 *chain, size_t n,
                     struct tls_config **ret, char why[static XDS_WHY_MAX])
{
    struct web_key *key = NULL;
    const char *because = "";
    int r = web_key_from_der((const uint8_t *)from->key.data, from->key.len, &key, &because);
    if (r == -EINVAL)
        return refuse(from, "private_key", because, why);
    const struct web_server_options o = {
        .chain = chain, .n_chain = n, .key = key, .protocols = from->streams ? "" : "h2,http/1.1"};
    if (r == 0)
        r = web_server_new(ret, &o, &because);
    web_key_unref(key);
    return r == -EINVAL ? refuse(from, "chain", because, why) : r;
}

static int add(struct listener_set *s, const struct gateway_certificate *from,
               char why[static XDS_WHY_MAX])
{
    struct listener_certificate *to = &s->items[s->n];
    struct x509 chain[X509_CHAIN_MAX];
    const char *because = "";
    size_t n = 0;
    to->port = from->port;
    to->streams = from->streams;
    for (size_t i = 0; i < from->host.len; i++)
        to->host[i] = text_lower(from->host.data[i]);
    int r = x509_from_pem(from->chain, chain, X509_CHAIN_MAX, &n, &because);
    if (r < 0)
        return r == -ENOMEM ? r : refuse(from, "chain", because ? because : "too long", why);
    r = configure(from, chain, n, &to->config, why);
    for (size_t i = 0; i < n; i++)
        x509_done(&chain[i]);
    s->n += r == 0;
    return r;
}

int listener_set_new(struct listener_set **ret, const struct gateway_certificates *from,
                     char why[static XDS_WHY_MAX])
{
    struct listener_set *s = calloc(1, sizeof *s + from->n * sizeof s->items[0]);
    int r = s ? 0 : -ENOMEM;
    if (s)
        atomic_init(&s->refs, 1);
    for (size_t i = 0; r == 0 && i < from->n; i++)
        r = add(s, &from->items[i], why);
    if (r < 0)
        listener_set_unref(s);
    else
        *ret = s;
    return r;
}

struct listener_set *listener_set_ref(struct listener_set *s)
{
    unsigned before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return s;
}

struct listener_set *listener_set_unref(struct listener_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    for (size_t i = 0; i < s->n; i++)
        tls_config_unref(s->items[i].config);
    free(s);
    return NULL;
}

size_t listener_host_fits(struct text own, struct text host)
{
    if (own.len == 0)
        return 1;
    if (own.data[0] != '*')
        return text_equal_nocase(own, host) ? SIZE_MAX : 0;
    const struct text ending = {own.data + 1, own.len - 1};
    if (host.len <= ending.len)
        return 0;
    const struct text end = {host.data + host.len - ending.len, ending.len};
    return text_equal_nocase(end, ending) ? 1 + ending.len : 0;
}

const struct listener_certificate *listener_set_find(const struct listener_set *s, uint16_t port,
                                                     struct text host)
{
    const struct listener_certificate *found = NULL;
    size_t best = 0;
    for (size_t i = 0; s && i < s->n; i++) {
        const struct listener_certificate *c = &s->items[i];
        size_t how = c->port == port ? listener_host_fits(text_of(c->host), host) : 0;
        if (how > best) {
            best = how;
            found = c;
        }
    }
    return found;
}
