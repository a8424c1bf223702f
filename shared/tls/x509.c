#define _GNU_SOURCE
#include "shared/tls/x509.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/tls/pem.h"
#include "shared/tls/signature.h"
#include "shared/tls/x509_view.h"

int x509_parse(const uint8_t *der, size_t len, struct x509 *ret, const char **ret_why)
{
    struct x509_view v;

    if (!x509_view_parse((struct der){der, len}, &v, ret_why))
        return -EINVAL;
    uint8_t *copy = malloc(len);
    if (!copy) {
        *ret_why = "out of memory";
        return -ENOMEM;
    }
    memcpy(copy, der, len);
    *ret = (struct x509){
        .der = copy,
        .der_len = len,
        .uri_len = v.uri.len,
        .uri_count = v.uri_count,
        .serial_len = v.serial.len,
        .not_before_s = v.not_before_s,
        .not_after_s = v.not_after_s,
        .is_ca = v.is_ca,
        .has_key_usage = v.has_key_usage,
        .usage_digital_signature = v.usage_digital_signature,
        .usage_cert_sign = v.usage_cert_sign,
        .usage_crl_sign = v.usage_crl_sign,
        .has_extended_usage = v.has_extended_usage,
        .extended_server = v.extended_server,
        .extended_client = v.extended_client,
    };
    if (v.uri.len > 0)
        memcpy(ret->uri, v.uri.data, v.uri.len);
    memcpy(ret->serial, v.serial.data, v.serial.len);
    return 0;
}

void x509_done(struct x509 *c)
{
    free(c->der);
    *c = (struct x509){0};
}

/* DER is a quarter smaller than its base 64, so the body's length is room enough. */
static int from_block(const struct pem_block *block, struct x509 *ret, const char **ret_why)
{
    size_t len, size = block->body.len;

    *ret_why = "the certificate is too long";
    if (size > X509_PEM_MAX)
        return -EINVAL;
    uint8_t *der = malloc(size + 1);
    if (!der) {
        *ret_why = "out of memory";
        return -ENOMEM;
    }
    *ret_why = "not base 64";
    int r = pem_decode(block->body, der, size, &len) == 0 ? x509_parse(der, len, ret, ret_why)
                                                          : -EINVAL;
    free(der);
    return r;
}

int x509_from_pem(struct text pem, struct x509 *ret, size_t n_max, size_t *ret_n,
                  const char **ret_why)
{
    struct pem_block block;
    size_t n = 0;
    int r;

    *ret_why = NULL;
    while ((r = pem_next(&pem, &block)) > 0) {
        if (!text_equal(block.label, TEXT("CERTIFICATE")))
            continue;
        if (n == n_max) {
            *ret_why = "too many certificates";
            r = -E2BIG;
            break;
        }
        r = from_block(&block, &ret[n], ret_why);
        if (r < 0)
            break;
        n++;
    }
    if (r == 0 && n > 0) {
        *ret_n = n;
        return 0;
    }
    if (!*ret_why)
        *ret_why = r == 0 ? "no certificate in the text" : "a block without its end";
    while (n > 0)
        x509_done(&ret[--n]);
    return r < 0 ? r : -EINVAL;
}

int x509_to_pem(const struct x509 *c, char *out, size_t size, size_t *ret_len)
{
    return pem_encode("CERTIFICATE", c->der, c->der_len, out, size, ret_len);
}

void x509_serial_text(const struct x509 *c, char out[static 2 * X509_SERIAL_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;

    for (size_t i = 0; i < c->serial_len; i++) {
        out[len++] = digits[c->serial[i] >> 4];
        out[len++] = digits[c->serial[i] & 15];
    }
    out[len] = '\0';
}

const char *x509_check_svid_leaf(const struct x509 *c)
{
    struct x509_view v;
    const char *why;
    return x509_view_parse((struct der){c->der, c->der_len}, &v, &why)
               ? x509_view_check_svid_leaf(&v)
               : why;
}

bool x509_has_key(const struct x509 *c, const struct key *key)
{
    struct x509_view v;
    const char *why;
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;
    return key_public_der(key, public_key, sizeof public_key, &len) == 0 &&
           x509_view_parse((struct der){c->der, c->der_len}, &v, &why) &&
           der_equal(v.public_key, (struct der){public_key, len});
}

int x509_public_key(const struct x509 *c, struct x509_public_key *ret)
{
    struct x509_view v;
    struct signature_key k;
    const char *why;
    if (!x509_view_parse((struct der){c->der, c->der_len}, &v, &why) ||
        signature_read_key(v.public_key, &k) < 0 || k.first.len > X509_KEY_NUMBER_MAX ||
        k.second.len > X509_KEY_NUMBER_MAX)
        return -ENOTSUP;
    *ret = (struct x509_public_key){k.type,        k.curve,     k.first.data,
                                    k.second.data, k.first.len, k.second.len};
    return 0;
}

int x509_verify(const struct x509 *chain, size_t n_chain, const struct x509 *roots, size_t n_roots,
                int64_t now_s, const char **ret_why)
{
    int r = 0;

    if (n_chain > X509_CHAIN_MAX) {
        *ret_why = "the chain is too long";
        return -EKEYREJECTED;
    }
    struct x509_view *views = calloc(n_chain + n_roots + 1, sizeof *views);
    if (!views) {
        *ret_why = "out of memory";
        return -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < n_chain + n_roots; i++) {
        const struct x509 *c = i < n_chain ? &chain[i] : &roots[i - n_chain];
        if (!x509_view_parse((struct der){c->der, c->der_len}, &views[i], ret_why))
            r = -EKEYREJECTED;
    }
    if (r == 0)
        r = x509_view_verify(views, n_chain, views + n_chain, n_roots, now_s, NULL, ret_why);
    free(views);
    return r;
}
