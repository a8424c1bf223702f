/* A certificate that was checked, and the TLS configurations made of it; see the header. */
#include "shared/credentials/credential.h"

#include <errno.h>
#include <stdlib.h>

enum { ROOTS_MAX = 16 };

struct material { /* parsed, for as long as the configurations are made */
    struct x509 chain[X509_CHAIN_MAX], roots[ROOTS_MAX];
    size_t n_chain, n_roots;
};

static void material_free(struct material *m)
{
    for (size_t i = 0; i < m->n_chain; i++)
        x509_done(&m->chain[i]);
    for (size_t i = 0; i < m->n_roots; i++)
        x509_done(&m->roots[i]);
    free(m);
}

static int check(const struct material *m, const struct spiffe_id *id, const struct key *key,
                 int64_t now_s, const char **ret_why)
{
    const struct x509 *leaf = &m->chain[0];
    const char *why = x509_check_svid_leaf(leaf);
    if (why) {
        *ret_why = why;
        return -EINVAL;
    }
    if (!text_equal((struct text){leaf->uri, leaf->uri_len}, spiffe_id_text(id))) {
        *ret_why = "the certificate is for another identity than was asked for";
        return -EINVAL;
    }
    if (leaf->has_extended_usage && !(leaf->extended_server && leaf->extended_client)) {
        *ret_why = "the certificate is not for servers and clients both";
        return -EINVAL;
    }
    if (!x509_has_key(leaf, key)) {
        *ret_why = "the certificate is for another key";
        return -EINVAL;
    }
    return x509_verify(m->chain, m->n_chain, m->roots, m->n_roots, now_s, ret_why);
}

static int make_config(struct tls_config **ret, enum tls_role role, const struct material *m,
                       const struct key *key, const char **ret_why)
{
    const struct tls_config_options o = {
        .role = role,
        .peer_auth = TLS_PEER_SVID,
        .key = key,
        .chain = m->chain,
        .n_chain = m->n_chain,
        .roots = m->roots,
        .n_roots = m->n_roots,
        .alpn = TEXT("h2"),
    };
    return tls_config_new(ret, &o, ret_why);
}

static int credential_make(struct credential **ret, const struct spiffe_id *id,
                           const struct key *key, const struct material *m, const char **ret_why)
{
    struct credential *c = calloc(1, sizeof *c);
    *ret_why = "no memory";
    if (!c)
        return -ENOMEM;
    atomic_store(&c->refs, 1);
    c->id = *id;
    c->key = key_ref((struct key *)key);
    c->not_before_s = m->chain[0].not_before_s;
    c->not_after_s = m->chain[0].not_after_s;
    x509_serial_text(&m->chain[0], c->serial);
    int r = make_config(&c->client, TLS_CLIENT, m, key, ret_why);
    if (r == 0)
        r = make_config(&c->server, TLS_SERVER, m, key, ret_why);
    if (r < 0) {
        credential_unref(c);
        return r;
    }
    *ret = c;
    return 0;
}

int credential_new(struct credential **ret, const struct spiffe_id *id, const struct key *key,
                   struct text chain_pem, struct text roots_pem, int64_t now_s,
                   const char **ret_why)
{
    struct credential *c = NULL;
    struct material *m = calloc(1, sizeof *m);
    *ret_why = "no memory";
    if (!m)
        return -ENOMEM;
    int r = x509_from_pem(chain_pem, m->chain, X509_CHAIN_MAX, &m->n_chain, ret_why);
    if (r == 0)
        r = x509_from_pem(roots_pem, m->roots, ROOTS_MAX, &m->n_roots, ret_why);
    if (r == 0)
        r = check(m, id, key, now_s, ret_why);
    if (r == 0)
        r = credential_make(&c, id, key, m, ret_why);
    material_free(m);
    if (r < 0)
        return r;
    c->chain_pem = text_dup(chain_pem);
    c->roots_pem = text_dup(roots_pem);
    if (!c->chain_pem || !c->roots_pem) {
        *ret_why = "no memory";
        credential_unref(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

int credential_trusting(struct credential **ret, const struct credential *c, struct text roots_pem,
                        int64_t now_s, bool *ret_signs, const char **ret_why)
{
    struct credential *fresh;
    const char *why;
    int r = credential_new(&fresh, &c->id, c->key, text_of(c->chain_pem), roots_pem, now_s, ret_why);
    if (r < 0)
        return r;
    struct material *m = calloc(1, sizeof *m);
    *ret_why = "no memory";
    if (!m) {
        credential_unref(fresh);
        return -ENOMEM;
    }
    *ret_signs = x509_from_pem(text_of(c->chain_pem), m->chain, X509_CHAIN_MAX, &m->n_chain, &why) == 0 &&
                 x509_from_pem(roots_pem, m->roots, ROOTS_MAX, &m->n_roots, &why) == 0 &&
                 x509_verify(m->chain, m->n_chain, m->roots, 1, now_s, &why) == 0;
    material_free(m);
    *ret = fresh;
    return 0;
}

int credential_identity(struct text chain_pem, struct spiffe_id *ret, const char **ret_why)
{
    struct x509 chain[X509_CHAIN_MAX];
    size_t n;
    int r = x509_from_pem(chain_pem, chain, X509_CHAIN_MAX, &n, ret_why);
    if (r < 0)
        return r;
    r = spiffe_id_parse((struct text){chain[0].uri, chain[0].uri_len}, ret);
    if (r < 0)
        *ret_why = "the certificate is for no identity of the form "
                   "spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT";
    for (size_t i = 0; i < n; i++)
        x509_done(&chain[i]);
    return r;
}

struct credential *credential_ref(struct credential *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

struct credential *credential_unref(struct credential *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    tls_config_unref(c->client);
    tls_config_unref(c->server);
    key_unref(c->key);
    free(c->chain_pem);
    free(c->roots_pem);
    free(c);
    return NULL;
}
