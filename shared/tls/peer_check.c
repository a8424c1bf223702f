#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "shared/tls/peer_check.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/tls/signature.h"
#include "shared/tls/web_name.h"

void peer_check_init(struct peer_check *p, const struct tls_config *config)
{
    *p = (struct peer_check){.config = config};
}

void peer_check_done(struct peer_check *p)
{
    free(p->uri);
    *p = (struct peer_check){0};
}

/* A trust anchor, or a copy of one with something changed, is nobody's leaf. */
static bool resembles(const struct x509_view *leaf, const struct x509_view *root)
{
    static const uint8_t no_name[] = {DER_SEQUENCE, 0};
    return der_equal(leaf->whole, root->whole) || der_equal(leaf->public_key, root->public_key) ||
           (!der_equal(leaf->subject, DER_OF(no_name)) &&
            der_equal(leaf->subject, root->subject)) ||
           (leaf->subject_key_id.len > 0 && der_equal(leaf->subject_key_id, root->subject_key_id));
}

static const char *check_leaf(const struct tls_config *config, const struct x509_view *leaf)
{
    const char *why = x509_view_check_svid_leaf(leaf);

    if (!why)
        why = signature_check_key(leaf->public_key);
    if (why)
        return why;
    if (leaf->has_extended_usage && config->role == TLS_CLIENT && !leaf->extended_server)
        return "the extended key usage is not for servers";
    if (leaf->has_extended_usage && config->role == TLS_SERVER && !leaf->extended_client)
        return "the extended key usage is not for clients";
    if (der_equal(leaf->subject, leaf->issuer))
        return "the certificate is self-issued";
    for (size_t i = 0; i < config->n_roots; i++)
        if (resembles(leaf, &config->roots[i]))
            return "the certificate resembles a trust anchor";
    return NULL;
}

/* A server's, of the web: RFC 9525, RFC 5280 (4.2.1.3, 4.2.1.12). */
static const char *check_web_leaf(const struct tls_config *config, const struct x509_view *leaf)
{
    if (leaf->has_extended_usage && !leaf->extended_server)
        return "the extended key usage is not for servers";
    if (leaf->has_key_usage && !leaf->usage_digital_signature)
        return "the key usage lacks digitalSignature";
    for (size_t i = 0; i < config->n_names; i++)
        if (web_name_fits(&config->names[i], leaf->alternative_names.data,
                          leaf->alternative_names.len))
            return signature_check_key(leaf->public_key);
    return "the certificate is for another name";
}

/* Somebody has said that any certificate will do. */
static bool takes_any(const struct tls_config *config)
{
    return config->peer_auth == TLS_PEER_WEB && !config->web_roots;
}

static const char *check_chain(const struct tls_config *config, const WOLFSSL_BUFFER_INFO *certs,
                               size_t n, struct x509_view *ret_leaf,
                               struct x509_path *ret_path)
{
    struct x509_view views[X509_CHAIN_MAX];
    const char *why = "no certificate";

    if (n == 0)
        return why;
    if (n > X509_CHAIN_MAX)
        return "the chain is too long";
    for (size_t i = 0; i < n; i++)
        if (!x509_view_parse((struct der){certs[i].buffer, certs[i].length}, &views[i], &why))
            return why;
    *ret_leaf = views[0];
    *ret_path = (struct x509_path){NULL, views[0].not_after_s};
    if (takes_any(config))
        return NULL;
    why = config->peer_auth == TLS_PEER_WEB ? check_web_leaf(config, &views[0])
                                            : check_leaf(config, &views[0]);
    if (why)
        return why;
    if (x509_view_verify(views, n, config->roots, config->n_roots, clock_unix_s(), ret_path, &why) <
        0)
        return why;
    return NULL;
}

static int hash_of(const uint8_t *data, size_t len, uint8_t out[static DIGEST_BYTES])
{
    return digest_sha256((struct text){(const char *)data, len}, out);
}

static const char *remember(struct peer_check *p, const struct x509_view *leaf,
                            const struct x509_path *path)
{
    struct x509 short_form = {.serial_len = leaf->serial.len};

    memcpy(short_form.serial, leaf->serial.data, leaf->serial.len);
    x509_serial_text(&short_form, p->serial);
    p->not_after_s = path->not_after_s;
    free(p->uri);
    p->uri = text_dup(leaf->uri);
    if (!p->uri || hash_of(leaf->whole.data, leaf->whole.len, p->leaf) < 0 ||
        (path->root &&
         hash_of(path->root->public_key.data, path->root->public_key.len, p->root) < 0))
        return "out of memory";
    return NULL;
}

/* What the library says of a certificate for which it has no signer, and what it says of time, is ours to judge. */
static bool is_ours_to_judge(const struct tls_config *config, int error)
{
    return error == ASN_NO_SIGNER_E || error == ASN_SELF_SIGNED_E ||
           (takes_any(config) && (error == ASN_BEFORE_DATE_E || error == ASN_AFTER_DATE_E));
}

int peer_check_certificate(int library_says_good, WOLFSSL_X509_STORE_CTX *store)
{
    struct peer_check *p = store->userCtx;
    struct x509_view leaf = {0};
    struct x509_path path = {0};

    p->good = false;
    if (p->why)
        return 0;
    if (!library_says_good && !is_ours_to_judge(p->config, store->error)) {
        /* Ours says it more clearly, where it sees it too. */
        p->why = check_chain(p->config, store->certs, (size_t)store->totalCerts, &leaf, &path);
        if (!p->why)
            p->why = wolfSSL_ERR_reason_error_string((unsigned long)store->error);
        return 0;
    }
    /* Nothing to judge: peer_check_finish() knows whether that will do. */
    if (store->totalCerts == 0)
        return library_says_good;
    /* The library comes from the far end of the chain; the leaf is last, and decides for all. */
    if (store->error_depth != 0)
        return 1;
    p->why = check_chain(p->config, store->certs, (size_t)store->totalCerts, &leaf, &path);
    if (!p->why)
        p->why = remember(p, &leaf, &path);
    p->good = !p->why;
    return p->good;
}

const char *peer_check_finish(const struct peer_check *p, WOLFSSL *ssl)
{
    WOLFSSL_X509 *held = wolfSSL_get_peer_certificate(ssl);
    uint8_t hash[DIGEST_BYTES];
    const char *why = "the peer's certificate is not the one that was judged";
    int len = 0;

    if (p->why)
        why = p->why;
    else if (!held && !p->good)
        why = p->config->peer_auth == TLS_PEER_OPTIONAL || p->config->peer_auth == TLS_PEER_NOBODY
                  ? NULL
                  : "the peer sent no certificate";
    else if (held && p->good) {
        const unsigned char *der = wolfSSL_X509_get_der(held, &len);
        if (der && len > 0 && hash_of(der, (size_t)len, hash) == 0 &&
            memcmp(hash, p->leaf, sizeof hash) == 0)
            why = NULL;
    }
    wolfSSL_X509_free(held);
    return why;
}
