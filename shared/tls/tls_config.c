#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "shared/tls/tls_config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "shared/tls/digest.h"
#include "shared/tls/key_secret.h"
#include "shared/tls/peer_check.h"
#include "shared/tls/signature.h"
#include "shared/tls/tls_context.h"
#include "shared/tls/web_key.h"
#include "shared/tls/web_name.h"
#include "shared/tls/web_roots.h"

/* wolfSSL asks for the signature of its CertificateVerify here, and so never sees the private
 * key. */
static int sign(WOLFSSL *ssl, const unsigned char *hash, unsigned int n_hash, unsigned char *out,
                word32 *out_len, const unsigned char *key_der, unsigned int n_key_der, void *owner)
{
    const struct tls_config *c = owner;
    size_t len;

    (void)key_der;
    (void)n_key_der;
    if (n_hash != WC_SHA256_DIGEST_SIZE || *out_len < SIGNATURE_MAX)
        return BAD_FUNC_ARG;
    int r = signature_make_hash(c->key, hash, wolfSSL_GetRNG(ssl), out, &len);
    *out_len = (word32)len;
    return r == 0 ? 0 : r == -ENOMEM ? MEMORY_E : BAD_STATE_E;
}

/* The public key stands where wolfSSL would keep the private one: it needs its kind and size. */
static int set_identity(struct tls_config *c, const struct tls_config_options *o,
                        const char **ret_why)
{
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;

    if (!o->key)
        return 0;
    *ret_why = "the TLS library does not take the certificate or key";
    int r = key_public_der(o->key, public_key, sizeof public_key, &len);
    if (r < 0)
        return r;
    c->key = key_ref((struct key *)o->key);
    wolfSSL_CTX_SetEccSignCb(c->context, sign);
    wolfSSL_CTX_SetEccSignCtx(c->context, c);
    r = tls_context_set_chain(c, o->chain, o->n_chain);
    if (r == 0 && wolfSSL_CTX_use_PrivateKey_buffer(c->context, public_key, (long)len,
                                                    WOLFSSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS)
        r = -EINVAL;
    return r;
}

static int set_roots(struct tls_config *c, const struct tls_config_options *o, const char **ret_why)
{
    size_t size = 0, at = 0;

    for (size_t i = 0; i < o->n_roots; i++)
        size += o->roots[i].der_len;
    c->roots = c->own_roots = calloc(o->n_roots, sizeof *c->own_roots);
    c->root_bytes = malloc(size);
    if (!c->roots || !c->root_bytes)
        return -ENOMEM;
    for (size_t i = 0; i < o->n_roots; i++) {
        struct der der = {c->root_bytes + at, o->roots[i].der_len};
        memcpy(c->root_bytes + at, o->roots[i].der, der.len);
        at += der.len;
        if (!x509_view_parse(der, &c->own_roots[i], ret_why))
            return -EINVAL;
        if (!c->roots[i].is_ca) {
            *ret_why = "a root is not a CA certificate";
            return -EINVAL;
        }
        c->n_roots++;
    }
    return 0;
}

static int set_protocol(struct tls_config *c, const char **ret_why)
{
    int mode = WOLFSSL_VERIFY_PEER;

    if (c->peer_auth == TLS_PEER_SVID)
        mode |= WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    *ret_why = "the TLS library does not take the settings";
    int r = tls_context_set_protocol(c);
    return r < 0 ? r : tls_context_set_peer(c, mode, peer_check_certificate);
}

static const char *check_options(const struct tls_config_options *o)
{
    if (o->role == TLS_SERVER && !o->key)
        return "a server needs a key";
    if (o->peer_auth == TLS_PEER_NOBODY || o->peer_auth == TLS_PEER_WEB)
        return "servers and clients of the web are made elsewhere";
    if (o->role == TLS_CLIENT && o->peer_auth != TLS_PEER_SVID)
        return "a client needs the server's certificate";
    if (!o->key != (o->n_chain == 0))
        return "a key needs a certificate, and a certificate a key";
    if (o->n_chain > X509_CHAIN_MAX)
        return "the chain is too long";
    if (o->key && !x509_has_key(&o->chain[0], o->key))
        return "the certificate is for another key";
    if (o->n_roots == 0)
        return "no roots";
    if (o->n_roots > TLS_ROOTS_MAX)
        return "too many roots";
    if (o->alpn.len > TLS_ALPN_MAX || (o->alpn.len > 0 && memchr(o->alpn.data, ',', o->alpn.len)))
        return "an impossible ALPN name";
    return NULL;
}

int tls_config_new(struct tls_config **ret, const struct tls_config_options *options,
                   const char **ret_why)
{
    *ret_why = check_options(options);
    if (*ret_why)
        return -EINVAL;
    *ret_why = "out of memory";
    struct tls_config *c;
    int r = tls_context_new(&c, options->role, options->peer_auth);
    if (r < 0)
        return r;
    if (options->alpn.len > 0)
        memcpy(c->alpn, options->alpn.data, options->alpn.len);
    r = set_roots(c, options, ret_why);
    if (r == 0)
        r = set_identity(c, options, ret_why);
    if (r == 0)
        r = set_protocol(c, ret_why);
    if (r < 0) {
        tls_config_unref(c);
        return r;
    }
    *ret_why = NULL;
    *ret = c;
    return 0;
}

struct tls_config *tls_config_ref(struct tls_config *c)
{
    unsigned before = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return c;
}

struct tls_config *tls_config_unref(struct tls_config *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    wolfSSL_CTX_free(c->context);
    key_unref(c->key);
    web_key_unref(c->web_key);
    web_roots_unref(c->web_roots);
    web_names_free(c->names, c->n_names);
    free(c->own_roots);
    free(c->root_bytes);
    free(c);
    return NULL;
}

size_t tls_config_root_keys(const struct tls_config *c, uint8_t (*out)[TLS_ROOT_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_roots; i++) {
        const struct der *key = &c->roots[i].public_key;
        n += digest_sha256((struct text){(const char *)key->data, key->len}, out[n]) == 0;
    }
    return n;
}
