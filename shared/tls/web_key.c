#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "shared/tls/web_key_sign.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "shared/tls/key_secret.h"
#include "shared/tls/library.h"
#include "shared/tls/pem.h"
#include "shared/tls/secret.h"
#include "shared/tls/x509_view.h"

enum { PUBLIC_MAX = 1024, RSA_BYTES_MIN = 2048 / 8, RSA_BYTES_MAX = 4096 / 8 };
struct web_key {
    atomic_uint refs;
    enum web_key_kind kind;
    uint8_t *secret; /* WEB_KEY_DER_MAX bytes of secret memory, the first `len` are the key */
    size_t len;
    uint8_t public_der[PUBLIC_MAX];
    size_t public_len;
};

static int error_of(int r)
{
    return r == 0 ? 0 : r == MEMORY_E ? -ENOMEM : -EINVAL;
}

/* ---- The library's forms of it, on the stack of one call -------------------------------------- */

static int open_ecc(const struct web_key *k, ecc_key *ret)
{
    word32 at = 0;
    int r = wc_ecc_init(ret);
    if (r == 0 && (r = wc_EccPrivateKeyDecode(k->secret, &at, ret, (word32)k->len)) != 0)
        wc_ecc_free(ret);
    return error_of(r);
}

static void close_ecc(ecc_key *ecc)
{
    wc_ecc_free(ecc);
    key_wipe(ecc, sizeof *ecc);
}

static int open_rsa(const struct web_key *k, RsaKey *ret)
{
    word32 at = 0;
    int r = wc_InitRsaKey(ret, NULL);
    if (r == 0 && (r = wc_RsaPrivateKeyDecode(k->secret, &at, ret, (word32)k->len)) != 0)
        wc_FreeRsaKey(ret);
    return error_of(r);
}

static void close_rsa(RsaKey *rsa)
{
    wc_FreeRsaKey(rsa);
    key_wipe(rsa, sizeof *rsa);
}

/* ---- Reading ---------------------------------------------------------------------------------- */

/* The public half is computed, and so proves the private one. */
static int take_ecc(struct web_key *k, ecc_key *ecc, const char **ret_why)
{
    int curve = wc_ecc_get_curve_id(ecc->idx);
    if (curve != ECC_SECP256R1 && curve != ECC_SECP384R1) {
        *ret_why = "an elliptic curve other than P-256 and P-384";
        return -EINVAL;
    }
    k->kind = curve == ECC_SECP256R1 ? WEB_KEY_P256 : WEB_KEY_P384;
    *ret_why = "a private key that is not well-formed";
    int r = wc_ecc_make_pub(ecc, NULL);
    if (r == 0)
        r = wc_ecc_check_key(ecc);
    if (r != 0)
        return error_of(r);
    r = wc_EccPublicKeyToDer(ecc, k->public_der, sizeof k->public_der, 1);
    k->public_len = r > 0 ? (size_t)r : 0;
    return r > 0 ? 0 : error_of(r);
}

static int take_rsa(struct web_key *k, RsaKey *rsa, const char **ret_why)
{
    int bytes = wc_RsaEncryptSize(rsa);
    *ret_why = "an RSA key of less than 2048 or more than 4096 bits";
    if (bytes < RSA_BYTES_MIN || bytes > RSA_BYTES_MAX)
        return -EINVAL;
    *ret_why = "a private key that is not well-formed";
    k->kind = WEB_KEY_RSA;
    int r = wc_RsaKeyToPublicDer(rsa, k->public_der, sizeof k->public_der);
    k->public_len = r > 0 ? (size_t)r : 0;
    return r > 0 ? 0 : error_of(r);
}

static int take(struct web_key *k, const char **ret_why)
{
    ecc_key ecc;
    RsaKey rsa;
    int r = library_ready();
    if (r < 0)
        return r;
    if ((r = open_ecc(k, &ecc)) == 0) {
        r = take_ecc(k, &ecc, ret_why);
        close_ecc(&ecc);
        return r;
    }
    if (r == -EINVAL && (r = open_rsa(k, &rsa)) == 0) {
        r = take_rsa(k, &rsa, ret_why);
        close_rsa(&rsa);
        return r;
    }
    *ret_why = "no private key of RSA, P-256 or P-384";
    return r;
}

static struct web_key *new_key(void)
{
    struct web_key *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    atomic_init(&k->refs, 1);
    k->secret = secret_new(WEB_KEY_DER_MAX);
    if (!k->secret) {
        free(k);
        return NULL;
    }
    return k;
}

static int finish(struct web_key *taken_k, struct web_key **ret, const char **ret_why)
{
    *ret_why = "a private key that is not well-formed";
    int r = take(taken_k, ret_why);
    key_wipe_stack();
    if (r < 0) {
        web_key_unref(taken_k);
        if (r == -ENOMEM)
            *ret_why = "out of memory";
        return r;
    }
    *ret_why = NULL;
    *ret = taken_k;
    return 0;
}

int web_key_from_der(const uint8_t *der, size_t len, struct web_key **ret, const char **ret_why)
{
    *ret_why = "a private key that is too long";
    if (len > WEB_KEY_DER_MAX)
        return -EINVAL;
    struct web_key *k = new_key();
    *ret_why = "out of memory";
    if (!k)
        return -ENOMEM;
    memcpy(k->secret, der, len);
    k->len = len;
    return finish(k, ret, ret_why);
}

int web_key_from_pem(struct text pem, struct web_key **ret, const char **ret_why)
{
    struct pem_block block;
    *ret_why = "a text that is too long for a private key";
    if (pem.len > WEB_KEY_PEM_MAX)
        return -EINVAL;
    *ret_why = "no private key in PEM";
    while (pem_next(&pem, &block) > 0) {
        if (!text_ends_with(block.label, TEXT("PRIVATE KEY")))
            continue;
        *ret_why = "an encrypted private key";
        if (text_equal(block.label, TEXT("ENCRYPTED PRIVATE KEY")) ||
            memmem(block.body.data, block.body.len, "ENCRYPTED", 9))
            return -EINVAL;
        struct web_key *k = new_key();
        *ret_why = "out of memory";
        if (!k)
            return -ENOMEM;
        *ret_why = "not base 64";
        if (pem_decode(block.body, k->secret, WEB_KEY_DER_MAX, &k->len) < 0) {
            web_key_unref(k);
            return -EINVAL;
        }
        return finish(k, ret, ret_why);
    }
    return -EINVAL;
}

struct web_key *web_key_ref(struct web_key *k)
{
    unsigned before = atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return k;
}

struct web_key *web_key_unref(struct web_key *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    k->secret = secret_free(k->secret, WEB_KEY_DER_MAX);
    free(k);
    return NULL;
}

enum web_key_kind web_key_kind(const struct web_key *k)
{
    return k->kind;
}

struct text web_key_der(const struct web_key *k)
{
    return (struct text){(const char *)k->secret, k->len};
}

struct der web_key_public(const struct web_key *k)
{
    return (struct der){k->public_der, k->public_len};
}

bool web_key_fits(const struct web_key *k, const struct x509 *leaf)
{
    struct x509_view v;
    const char *why;
    return x509_view_parse((struct der){leaf->der, leaf->der_len}, &v, &why) &&
           der_equal(v.public_key, web_key_public(k));
}

/* ---- Signing ---------------------------------------------------------------------------------- */

int web_key_sign_ecdsa(const struct web_key *k, const uint8_t *digest, size_t n, void *rng,
                       uint8_t *out, size_t *len)
{
    ecc_key ecc;
    word32 size = (word32)*len;
    if (k->kind == WEB_KEY_RSA)
        return -EINVAL;
    int r = open_ecc(k, &ecc);
    if (r == 0) {
        int made = wc_ecc_sign_hash(digest, (word32)n, out, &size, rng, &ecc);
        r = made == 0 ? 0 : made == MEMORY_E ? -ENOMEM : -EIO;
        close_ecc(&ecc);
    }
    key_wipe_stack();
    *len = r == 0 ? size : 0;
    return r;
}

int web_key_sign_pss(const struct web_key *k, const uint8_t *digest, size_t n, void *rng,
                     uint8_t *out, size_t *len)
{
    static const struct {
        size_t n;
        enum wc_HashType hash;
        int mgf;
    } kinds[] = {{32, WC_HASH_TYPE_SHA256, WC_MGF1SHA256},
                 {48, WC_HASH_TYPE_SHA384, WC_MGF1SHA384},
                 {64, WC_HASH_TYPE_SHA512, WC_MGF1SHA512}};
    RsaKey rsa;
    size_t i = 0;
    while (i < sizeof kinds / sizeof *kinds && kinds[i].n != n)
        i++;
    if (k->kind != WEB_KEY_RSA || i == sizeof kinds / sizeof *kinds)
        return -EINVAL;
    int r = open_rsa(k, &rsa);
    if (r == 0) {
        r = wc_RsaSetRNG(&rsa, rng); /* of the blinding */
        int made = r == 0 ? wc_RsaPSS_Sign(digest, (word32)n, out, (word32)*len, kinds[i].hash,
                                           kinds[i].mgf, &rsa, rng)
                          : r;
        r = made > 0 ? 0 : made == MEMORY_E ? -ENOMEM : -EIO;
        *len = made > 0 ? (size_t)made : 0;
        close_rsa(&rsa);
    }
    key_wipe_stack();
    return r;
}
