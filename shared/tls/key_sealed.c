#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/pwdbased.h>

#include "shared/tls/key_sealed.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/base/rng.h"
#include "shared/tls/der.h"
#include "shared/tls/key_secret.h"
#include "shared/tls/library.h"
#include "shared/tls/pem.h"

#define LABEL "ENCRYPTED PRIVATE KEY"
enum { SALT_BYTES = 16, SALT_MIN = 8, SALT_MAX = 64, IV_BYTES = 16, AES_BYTES = 32, TEXT_MAX = 320 };

static const uint8_t oid_pbes2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d};
static const uint8_t oid_pbkdf2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c};
static const uint8_t oid_hmac_sha256[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09};
static const uint8_t oid_hmac_sha512[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b};
static const uint8_t oid_aes256_cbc[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a};

struct sealed {
    struct der salt, iv, encrypted;
    unsigned iterations;
    enum wc_HashType hash;
};

/* ---- the cipher ------------------------------------------------------------ */

static int error_of(int r)
{
    return r == 0 ? 0 : r == MEMORY_E ? -ENOMEM : -EIO;
}

static int crypt_text(const struct sealed *s, struct text passphrase, bool seals, const uint8_t *in,
                      uint8_t *out, size_t len)
{
    uint8_t secret[AES_BYTES];
    Aes aes;
    int r = library_ready();
    if (r < 0)
        return r;
    r = error_of(wc_PBKDF2(secret, (const byte *)passphrase.data, (int)passphrase.len, s->salt.data,
                           (int)s->salt.len, (int)s->iterations, AES_BYTES, (int)s->hash));
    if (r == 0)
        r = error_of(wc_AesInit(&aes, NULL, INVALID_DEVID));
    if (r == 0) {
        r = error_of(wc_AesSetKey(&aes, secret, AES_BYTES, s->iv.data,
                                  seals ? AES_ENCRYPTION : AES_DECRYPTION));
        if (r == 0)
            r = error_of(seals ? wc_AesCbcEncrypt(&aes, out, in, (word32)len)
                               : wc_AesCbcDecrypt(&aes, out, in, (word32)len));
        wc_AesFree(&aes);
        key_wipe(&aes, sizeof aes);
    }
    key_wipe(secret, sizeof secret);
    key_wipe_stack();
    return r;
}

/* ---- reading --------------------------------------------------------------- */

static bool take_number(struct der *in, unsigned *ret)
{
    struct der bytes;
    unsigned n = 0;
    if (!der_take_integer(in, &bytes) || bytes.len > 4 || (bytes.data[0] & 0x80))
        return false;
    for (size_t i = 0; i < bytes.len; i++)
        n = n << 8 | bytes.data[i];
    *ret = n;
    return true;
}

/* PBKDF2-params; the default of prf is SHA-1, which is not accepted. */
static int take_derivation(struct der in, struct sealed *s)
{
    struct der oid, prf;
    unsigned key_len;
    if (!der_take(&in, DER_OID, &oid))
        return -EINVAL;
    if (!der_equal(oid, DER_OF(oid_pbkdf2)))
        return -ENOTSUP;
    if (!der_take(&in, DER_SEQUENCE, &in) || !der_take(&in, DER_OCTETS, &s->salt) ||
        s->salt.len < SALT_MIN || s->salt.len > SALT_MAX || !take_number(&in, &s->iterations) ||
        s->iterations == 0)
        return -EINVAL;
    if (der_next_is(in, DER_INTEGER) && (!take_number(&in, &key_len) || key_len != AES_BYTES))
        return -EINVAL;
    if (!der_take(&in, DER_SEQUENCE, &prf))
        return in.len == 0 ? -ENOTSUP : -EINVAL;
    if (!der_take(&prf, DER_OID, &oid) || in.len != 0)
        return -EINVAL;
    s->hash = der_equal(oid, DER_OF(oid_hmac_sha256))   ? WC_HASH_TYPE_SHA256
              : der_equal(oid, DER_OF(oid_hmac_sha512)) ? WC_HASH_TYPE_SHA512
                                                        : WC_HASH_TYPE_NONE;
    return s->hash == WC_HASH_TYPE_NONE ? -ENOTSUP : 0;
}

static int take_cipher(struct der in, struct sealed *s)
{
    struct der oid;
    if (!der_take(&in, DER_OID, &oid))
        return -EINVAL;
    if (!der_equal(oid, DER_OF(oid_aes256_cbc)))
        return -ENOTSUP;
    return der_take(&in, DER_OCTETS, &s->iv) && s->iv.len == IV_BYTES && in.len == 0 ? 0 : -EINVAL;
}

static int take_sealed(struct der in, struct sealed *s)
{
    struct der algorithm, oid, parameters, derivation, cipher;
    if (!der_take(&in, DER_SEQUENCE, &in) || !der_take(&in, DER_SEQUENCE, &algorithm) ||
        !der_take(&in, DER_OCTETS, &s->encrypted) || in.len != 0 ||
        !der_take(&algorithm, DER_OID, &oid))
        return -EINVAL;
    if (!der_equal(oid, DER_OF(oid_pbes2)))
        return -ENOTSUP;
    if (!der_take(&algorithm, DER_SEQUENCE, &parameters) || algorithm.len != 0 ||
        !der_take(&parameters, DER_SEQUENCE, &derivation) ||
        !der_take(&parameters, DER_SEQUENCE, &cipher) || parameters.len != 0)
        return -EINVAL;
    int r = take_derivation(derivation, s);
    if (r == 0)
        r = take_cipher(cipher, s);
    if (r < 0)
        return r;
    return s->encrypted.len > 0 && s->encrypted.len <= TEXT_MAX && s->encrypted.len % IV_BYTES == 0
               ? 0
               : -EINVAL;
}

/* Padding (RFC 8018, 6.1.1): as many bytes as each says. */
static size_t length_within(const uint8_t *data, size_t len)
{
    size_t n = data[len - 1];
    if (n == 0 || n > IV_BYTES)
        return 0;
    for (size_t i = 1; i <= n; i++)
        if (data[len - i] != n)
            return 0;
    return len - n;
}

static int open_sealed(const struct sealed *s, struct text passphrase, struct key **ret)
{
    uint8_t data[TEXT_MAX];
    char pem[KEY_PEM_MAX];
    size_t pem_len;
    int r = crypt_text(s, passphrase, false, s->encrypted.data, data, s->encrypted.len);
    if (r == 0) {
        size_t len = length_within(data, s->encrypted.len);
        r = len == 0 ? -EINVAL : pem_encode("PRIVATE KEY", data, len, pem, sizeof pem, &pem_len);
        if (r == 0)
            r = key_from_pem((struct text){pem, pem_len}, ret);
        if (r == -EINVAL || r == -ENOBUFS)
            r = -EKEYREJECTED;
        key_wipe(pem, sizeof pem);
    }
    key_wipe(data, sizeof data);
    return r;
}

static bool next_key(struct text pem, struct pem_block *ret)
{
    while (pem_next(&pem, ret) > 0)
        if (text_ends_with(ret->label, TEXT("PRIVATE KEY")))
            return true;
    return false;
}

bool key_sealed_is(struct text pem)
{
    struct pem_block block;
    return next_key(pem, &block) && text_equal(block.label, TEXT(LABEL));
}

int key_sealed_from_pem(struct text pem, struct text passphrase, unsigned iterations_max,
                        struct key **ret)
{
    uint8_t data[KEY_SEALED_PEM_MAX];
    struct pem_block block;
    struct sealed s = {.iterations = 0};
    struct der whole = {data, 0};
    if (!next_key(pem, &block) || !text_equal(block.label, TEXT(LABEL)) ||
        pem_decode(block.body, data, sizeof data, &whole.len) < 0)
        return -EINVAL;
    int r = take_sealed(whole, &s);
    if (r < 0)
        return r;
    if (s.iterations > iterations_max)
        return -EINVAL;
    if (passphrase.len == 0 || passphrase.len > KEY_SEALED_PASSPHRASE_MAX)
        return -EKEYREJECTED;
    return open_sealed(&s, passphrase, ret);
}

/* ---- writing --------------------------------------------------------------- */

static void put_algorithm(struct der_out *o, const struct sealed *s)
{
    size_t all = o->len, mark = o->len;
    der_put_element(o, DER_OCTETS, s->iv.data, s->iv.len);
    der_put_element(o, DER_OID, oid_aes256_cbc, sizeof oid_aes256_cbc);
    der_wrap(o, mark, DER_SEQUENCE);
    size_t derivation = o->len;
    der_put_element(o, DER_NULL, "", 0);
    der_put_element(o, DER_OID, oid_hmac_sha256, sizeof oid_hmac_sha256);
    der_wrap(o, derivation, DER_SEQUENCE);
    const uint8_t n[] = {(uint8_t)(s->iterations >> 24), (uint8_t)(s->iterations >> 16),
                         (uint8_t)(s->iterations >> 8), (uint8_t)s->iterations};
    der_put_positive(o, n, sizeof n);
    der_put_element(o, DER_OCTETS, s->salt.data, s->salt.len);
    der_wrap(o, derivation, DER_SEQUENCE);
    der_put_element(o, DER_OID, oid_pbkdf2, sizeof oid_pbkdf2);
    der_wrap(o, derivation, DER_SEQUENCE);
    der_wrap(o, all, DER_SEQUENCE);
    der_put_element(o, DER_OID, oid_pbes2, sizeof oid_pbes2);
    der_wrap(o, all, DER_SEQUENCE);
}

static int seal(const uint8_t *plain, size_t len, struct text passphrase, struct sealed *s,
                char *out, size_t size, size_t *ret_len)
{
    uint8_t encrypted[TEXT_MAX], data[KEY_SEALED_PEM_MAX];
    struct der_out o = DER_OUT(data);
    int r = crypt_text(s, passphrase, true, plain, encrypted, len);
    if (r < 0)
        return r;
    der_put_element(&o, DER_OCTETS, encrypted, len);
    put_algorithm(&o, s);
    der_wrap(&o, 0, DER_SEQUENCE);
    if (o.overflow)
        return -ENOBUFS;
    struct der whole = der_out_bytes(&o);
    return pem_encode(LABEL, whole.data, whole.len, out, size, ret_len);
}

int key_sealed_to_pem(const struct key *key, struct text passphrase, unsigned iterations, char *out,
                      size_t size, size_t *ret_len)
{
    uint8_t plain[TEXT_MAX], random[SALT_BYTES + IV_BYTES];
    struct sealed s = {.salt = {random, SALT_BYTES},
                       .iv = {random + SALT_BYTES, IV_BYTES},
                       .iterations = iterations,
                       .hash = WC_HASH_TYPE_SHA256};
    size_t len;
    if (passphrase.len == 0 || passphrase.len > KEY_SEALED_PASSPHRASE_MAX || iterations == 0 ||
        iterations > KEY_SEALED_ITERATIONS_MAX)
        return -EINVAL;
    int r = rng_os(random, sizeof random);
    if (r == 0)
        r = key_to_der(key, plain, sizeof plain - IV_BYTES, &len);
    if (r == 0) {
        size_t padding = IV_BYTES - len % IV_BYTES;
        memset(plain + len, (int)padding, padding);
        r = seal(plain, len + padding, passphrase, &s, out, size, ret_len);
    }
    key_wipe(plain, sizeof plain);
    return r;
}
