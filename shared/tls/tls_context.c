#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include "shared/tls/tls_context.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/tls/library.h"

int tls_context_new(struct tls_config **ret, enum tls_role role, enum tls_peer_auth peer_auth)
{
    struct tls_config *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    atomic_init(&c->refs, 1);
    c->role = role;
    c->peer_auth = peer_auth;
    int r = library_ready();
    if (r == 0) {
        c->context = wolfSSL_CTX_new(role == TLS_CLIENT ? wolfTLSv1_3_client_method()
                                                        : wolfTLSv1_3_server_method());
        r = c->context ? 0 : -ENOMEM;
    }
    if (r < 0) {
        tls_config_unref(c);
        return r;
    }
    *ret = c;
    return 0;
}

/* As one buffer: wolfSSL takes certificates one after the other in DER as a chain only in PEM. */
int tls_context_set_chain(struct tls_config *c, const struct x509 *chain, size_t n_chain)
{
    size_t size = 1, len = 0, n;
    int r = 0;

    for (size_t i = 0; i < n_chain; i++)
        size += chain[i].der_len * 3 / 2 + 128;
    char *pem = malloc(size);
    if (!pem)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < n_chain; i++) {
        r = x509_to_pem(&chain[i], pem + len, size - len, &n);
        len += r == 0 ? n : 0;
    }
    if (r == 0 && wolfSSL_CTX_use_certificate_chain_buffer(c->context, (unsigned char *)pem,
                                                           (long)len) != WOLFSSL_SUCCESS)
        r = -EINVAL;
    free(pem);
    return r;
}

int tls_context_set_protocol(struct tls_config *c)
{
    /* As bytes, TLS_AES_128_GCM_SHA256 and TLS_AES_256_GCM_SHA384: a list of names would offer
     * TLS_NULL_WITH_NULL_NULL beside them (a flaw of wolfSSL's compatibility layer). */
    static const uint8_t suites[] = {0x13, 0x01, 0x13, 0x02};
    int groups[] = {WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_X25519};

    if (wolfSSL_CTX_set_cipher_list_bytes(c->context, suites, sizeof suites) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_groups(c->context, groups, sizeof groups / sizeof *groups) !=
            WOLFSSL_SUCCESS)
        return -EINVAL;
        /* Tickets, early data and the session cache are not even compiled into our library; into
         * another one they may be. */
#ifdef HAVE_SESSION_TICKET
    wolfSSL_CTX_no_ticket_TLSv13(c->context);
#endif
#ifndef NO_SESSION_CACHE
    wolfSSL_CTX_set_session_cache_mode(c->context, WOLFSSL_SESS_CACHE_OFF);
#endif
    return 0;
}

int tls_context_set_peer(struct tls_config *c, int mode, tls_context_verify *verify)
{
    enum { CURVE_BITS_MIN = 256, RSA_BITS_MIN = 2048 };
    if (wolfSSL_CTX_SetMinEccKey_Sz(c->context, CURVE_BITS_MIN) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_SetMinRsaKey_Sz(c->context, RSA_BITS_MIN) != WOLFSSL_SUCCESS)
        return -EINVAL;
    wolfSSL_CTX_set_verify(c->context, mode, verify);
    return 0;
}
