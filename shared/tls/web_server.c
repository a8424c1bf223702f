#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "shared/tls/web_server.h"

#include <errno.h>

#include "shared/tls/signature.h"
#include "shared/tls/tls_context.h"
#include "shared/tls/web_key_sign.h"

const char *web_server_check(const struct x509 *chain, size_t n_chain, const struct web_key *key)
{
    if (n_chain == 0)
        return "no certificate";
    if (n_chain > X509_CHAIN_MAX)
        return "the chain is too long";
    if (!web_key_fits(key, &chain[0]))
        return "the certificate is for another key";
    if (chain[0].is_ca)
        return "the certificate is a CA's";
    if (chain[0].has_extended_usage && !chain[0].extended_server)
        return "the certificate's extended key usage is not for servers";
    if (chain[0].has_key_usage && !chain[0].usage_digital_signature)
        return "the certificate's key usage is not for signatures";
    return NULL;
}

/* The library asks for the signature of its CertificateVerify in one of these, and so never sees the
 * private key. */
static int result_of(int r)
{
    return r == 0 ? 0 : r == -ENOMEM ? MEMORY_E : BAD_STATE_E;
}

static int sign_ecdsa(WOLFSSL *ssl, const unsigned char *digest, unsigned n, unsigned char *out,
                      word32 *out_len, const unsigned char *key_der, unsigned n_key_der,
                      void *owner)
{
    const struct tls_config *c = owner;
    size_t len = *out_len;
    (void)key_der, (void)n_key_der;
    int r = web_key_sign_ecdsa(c->web_key, digest, n, wolfSSL_GetRNG(ssl), out, &len);
    *out_len = (word32)len;
    return result_of(r);
}

static int sign_pss(WOLFSSL *ssl, const unsigned char *digest, unsigned n, unsigned char *out,
                    unsigned *out_len, int hash, int mgf, const unsigned char *key_der,
                    unsigned n_key_der, void *owner)
{
    const struct tls_config *c = owner;
    size_t len = *out_len;
    (void)hash, (void)mgf, (void)key_der, (void)n_key_der;
    int r = web_key_sign_pss(c->web_key, digest, n, wolfSSL_GetRNG(ssl), out, &len);
    *out_len = (unsigned)len;
    return result_of(r);
}

/* The public key stands where wolfSSL would keep the private one: it needs its kind and size. */
static int set_identity(struct tls_config *c, const struct web_server_options *o)
{
    const struct der public_key = web_key_public(o->key);
    c->web_key = web_key_ref(o->key);
    wolfSSL_CTX_SetEccSignCb(c->context, sign_ecdsa);
    wolfSSL_CTX_SetEccSignCtx(c->context, c);
    wolfSSL_CTX_SetRsaPssSignCb(c->context, sign_pss); /* its context is set for each channel */
    int r = tls_context_set_chain(c, o->chain, o->n_chain);
    if (r == 0 && wolfSSL_CTX_use_PrivateKey_buffer(c->context, public_key.data,
                                                    (long)public_key.len,
                                                    WOLFSSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS)
        r = -EINVAL;
    return r;
}

int web_server_new(struct tls_config **ret, const struct web_server_options *o,
                   const char **ret_why)
{
    *ret_why = web_server_check(o->chain, o->n_chain, o->key);
    if (!*ret_why && strlen(o->protocols) > TLS_ALPN_MAX)
        *ret_why = "too many protocols";
    if (*ret_why)
        return -EINVAL;
    *ret_why = "out of memory";
    struct tls_config *c;
    int r = tls_context_new(&c, TLS_SERVER, TLS_PEER_NOBODY);
    if (r < 0)
        return r;
    memcpy(c->alpn, o->protocols, strlen(o->protocols));
    *ret_why = "the TLS library does not take the certificate or key";
    r = set_identity(c, o);
    if (r == 0)
        r = tls_context_set_protocol(c);
    if (r == 0)
        r = tls_context_set_peer(c, WOLFSSL_VERIFY_NONE, NULL);
    if (r < 0) {
        tls_config_unref(c);
        return r;
    }
    *ret_why = NULL;
    *ret = c;
    return 0;
}

void web_server_refuses_name(uint8_t out[static WEB_SERVER_ALERT_BYTES])
{
    static const uint8_t alert[WEB_SERVER_ALERT_BYTES] = {21, 3, 3, 0, 2, 2, 112};
    memcpy(out, alert, sizeof alert);
}
