#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

#include "shared/tls/signature.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/tls/key_secret.h"
#include "shared/tls/library.h"

enum { RSA_BYTES_MIN = 2048 / 8, RSA_BYTES_MAX = 4096 / 8 };

/* The contents of OBJECT IDENTIFIERs. */
static const uint8_t oid_ec_public_key[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_p384[] = {0x2b, 0x81, 0x04, 0x00, 0x22};
static const uint8_t oid_p521[] = {0x2b, 0x81, 0x04, 0x00, 0x23};
static const uint8_t oid_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
static const uint8_t oid_ed25519[] = {0x2b, 0x65, 0x70};
static const uint8_t oid_ecdsa_sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t oid_ecdsa_sha384[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t oid_ecdsa_sha512[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04};
static const uint8_t oid_rsa_sha256[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b};
static const uint8_t oid_rsa_sha384[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c};
static const uint8_t oid_rsa_sha512[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d};

enum key_kind { KIND_EC, KIND_RSA, KIND_ED25519 };
struct algorithm {
    struct der oid;
    enum key_kind kind;
    enum wc_HashType hash;
};
static const struct algorithm algorithms[] = {
    {{oid_ecdsa_sha256, sizeof oid_ecdsa_sha256}, KIND_EC, WC_HASH_TYPE_SHA256},
    {{oid_ecdsa_sha384, sizeof oid_ecdsa_sha384}, KIND_EC, WC_HASH_TYPE_SHA384},
    {{oid_ecdsa_sha512, sizeof oid_ecdsa_sha512}, KIND_EC, WC_HASH_TYPE_SHA512},
    {{oid_rsa_sha256, sizeof oid_rsa_sha256}, KIND_RSA, WC_HASH_TYPE_SHA256},
    {{oid_rsa_sha384, sizeof oid_rsa_sha384}, KIND_RSA, WC_HASH_TYPE_SHA384},
    {{oid_rsa_sha512, sizeof oid_rsa_sha512}, KIND_RSA, WC_HASH_TYPE_SHA512},
    {{oid_ed25519, sizeof oid_ed25519}, KIND_ED25519, WC_HASH_TYPE_NONE},
};

struct public_key {
    struct der algorithm, parameters, bits; /* parameters: what follows the identifier */
};

static bool take_public_key(struct der whole, struct public_key *ret)
{
    struct der in = whole, algorithm;
    unsigned unused;

    return der_take(&in, DER_SEQUENCE, &in) && der_take(&in, DER_SEQUENCE, &algorithm) &&
           der_take(&algorithm, DER_OID, &ret->algorithm) &&
           (ret->parameters = algorithm, der_take_bits(&in, &ret->bits, &unused)) && unused == 0 &&
           in.len == 0;
}

static bool is_curve(struct der parameters, struct der oid)
{
    struct der found;
    return der_take(&parameters, DER_OID, &found) && parameters.len == 0 && der_equal(found, oid);
}

int signature_p256_point(struct der public_key, struct der *ret_point)
{
    struct public_key k;
    if (!take_public_key(public_key, &k))
        return -EINVAL;
    if (!der_equal(k.algorithm, DER_OF(oid_ec_public_key)) ||
        !is_curve(k.parameters, DER_OF(oid_p256)))
        return -ENOTSUP;
    if (k.bits.len != KEY_POINT_BYTES || k.bits.data[0] != 4)
        return -EINVAL;
    *ret_point = k.bits;
    return 0;
}

struct der signature_algorithm(void)
{
    static const uint8_t whole[] = {DER_SEQUENCE, 10,   DER_OID, 8,    0x2a, 0x86,
                                    0x48,         0xce, 0x3d,    0x04, 0x03, 0x02};
    return DER_OF(whole);
}

int signature_make_hash(const struct key *key, const uint8_t *hash, void *rng,
                        uint8_t out[static SIGNATURE_MAX], size_t *ret_len)
{
    ecc_key ecc;
    word32 len = SIGNATURE_MAX;
    int r = wc_ecc_init(&ecc);

    if (r == 0) {
        r = wc_ecc_import_private_key_ex(key->scalar, KEY_SCALAR_BYTES, NULL, 0, &ecc,
                                         ECC_SECP256R1);
        if (r == 0)
            r = wc_ecc_sign_hash(hash, WC_SHA256_DIGEST_SIZE, out, &len, rng, &ecc);
        wc_ecc_free(&ecc);
    }
    key_wipe(&ecc, sizeof ecc);
    key_wipe_stack();
    if (r != 0)
        return r == MEMORY_E ? -ENOMEM : -EIO;
    *ret_len = len;
    return 0;
}

int signature_make(const struct key *key, struct der message, uint8_t out[static SIGNATURE_MAX],
                   size_t *ret_len)
{
    uint8_t hash[WC_SHA256_DIGEST_SIZE];
    WC_RNG rng;
    int r = library_ready();

    if (r < 0)
        return r;
    if (wc_Sha256Hash(message.data, (word32)message.len, hash) != 0 || wc_InitRng(&rng) != 0)
        return -EIO;
    r = signature_make_hash(key, hash, &rng, out, ret_len);
    wc_FreeRng(&rng);
    return r;
}

int signature_wrap(const struct key *key, struct der signed_part, struct der *ret)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t n_signature;
    int r = signature_make(key, signed_part, signature, &n_signature);

    if (r < 0)
        return r;
    size_t size = signed_part.len + SIGNATURE_MAX + 64;
    struct der_out o = {.data = malloc(size), .size = size};
    if (!o.data)
        return -ENOMEM;
    der_put(&o, signature, n_signature);
    der_put(&o, &(uint8_t){0}, 1);
    der_wrap(&o, 0, DER_BITS);
    struct der algorithm = signature_algorithm();
    der_put(&o, algorithm.data, algorithm.len);
    der_put(&o, signed_part.data, signed_part.len);
    der_wrap(&o, 0, DER_SEQUENCE);
    if (o.overflow) {
        free(o.data);
        return -EINVAL;
    }
    memmove(o.data, o.data + o.size - o.len, o.len);
    *ret = (struct der){o.data, o.len};
    return 0;
}

static int curve_of(struct der parameters)
{
    return is_curve(parameters, DER_OF(oid_p256))   ? ECC_SECP256R1
           : is_curve(parameters, DER_OF(oid_p384)) ? ECC_SECP384R1
           : is_curve(parameters, DER_OF(oid_p521)) ? ECC_SECP521R1
                                                    : ECC_CURVE_INVALID;
}

static const char *check_ecdsa(const struct public_key *k, enum wc_HashType hash_type,
                               struct der message, struct der signature)
{
    uint8_t hash[WC_MAX_DIGEST_SIZE];
    int n_hash = wc_HashGetDigestSize(hash_type), curve = curve_of(k->parameters), good = 0;
    ecc_key ecc;

    if (!der_equal(k->algorithm, DER_OF(oid_ec_public_key)) || curve == ECC_CURVE_INVALID)
        return "the signer's key is of another kind than the signature";
    if (n_hash <= 0 ||
        wc_Hash(hash_type, message.data, (word32)message.len, hash, (word32)n_hash) != 0 ||
        wc_ecc_init(&ecc) != 0)
        return "out of memory";
    int r = wc_ecc_import_x963_ex(k->bits.data, (word32)k->bits.len, &ecc, curve);
    if (r == 0)
        r = wc_ecc_verify_hash(signature.data, (word32)signature.len, hash, (word32)n_hash, &good,
                               &ecc);
    wc_ecc_free(&ecc);
    return r == 0 && good == 1 ? NULL : "the signature is wrong";
}

static size_t point_bytes(int curve)
{
    return curve == ECC_SECP256R1   ? 1 + 2 * 32
           : curve == ECC_SECP384R1 ? 1 + 2 * 48
           : curve == ECC_SECP521R1 ? 1 + 2 * 66
                                    : 0;
}

static struct der unsigned_of(struct der integer)
{
    return integer.len > 1 && integer.data[0] == 0
               ? (struct der){integer.data + 1, integer.len - 1}
               : integer;
}

/* RSAPublicKey, RFC 8017, A.1.1. */
static bool take_rsa(struct der in, struct der *ret_modulus, struct der *ret_exponent)
{
    if (!der_take(&in, DER_SEQUENCE, &in) || !der_take_integer(&in, ret_modulus) ||
        !der_take_integer(&in, ret_exponent) || in.len != 0)
        return false;
    *ret_modulus = unsigned_of(*ret_modulus);
    *ret_exponent = unsigned_of(*ret_exponent);
    return true;
}

static bool is_strong_rsa(struct der in)
{
    struct der modulus, exponent;
    return take_rsa(in, &modulus, &exponent) && modulus.len >= RSA_BYTES_MIN &&
           modulus.len <= RSA_BYTES_MAX && (modulus.data[0] & 0x80);
}

const char *signature_check_key(struct der public_key)
{
    struct public_key k;

    if (!take_public_key(public_key, &k))
        return "a malformed public key";
    if (der_equal(k.algorithm, DER_OF(oid_ec_public_key)))
        return k.bits.len > 0 && k.bits.len == point_bytes(curve_of(k.parameters)) &&
                       k.bits.data[0] == 4
                   ? NULL
                   : "a public key on a curve that is not accepted";
    if (der_equal(k.algorithm, DER_OF(oid_rsa)))
        return is_strong_rsa(k.bits) ? NULL : "an RSA key of less than 2048 or more than 4096 bits";
    if (der_equal(k.algorithm, DER_OF(oid_ed25519)))
        return k.bits.len == 32 && k.parameters.len == 0 ? NULL : "a malformed public key";
    return "a public key of a kind that is not accepted";
}

int signature_read_key(struct der public_key, struct signature_key *ret)
{
    struct public_key k;
    if (signature_check_key(public_key) || !take_public_key(public_key, &k))
        return -ENOTSUP;
    if (der_equal(k.algorithm, DER_OF(oid_rsa))) {
        *ret = (struct signature_key){.type = "RSA"};
        (void)take_rsa(k.bits, &ret->first, &ret->second); /* it was looked at */
    } else if (der_equal(k.algorithm, DER_OF(oid_ed25519))) {
        *ret = (struct signature_key){"OKP", "Ed25519", k.bits, {NULL, 0}};
    } else {
        int curve = curve_of(k.parameters);
        size_t half = (k.bits.len - 1) / 2; /* the point is 04, x, y */
        *ret = (struct signature_key){
            "EC", curve == ECC_SECP256R1 ? "P-256" : curve == ECC_SECP384R1 ? "P-384" : "P-521",
            {k.bits.data + 1, half}, {k.bits.data + 1 + half, half}};
    }
    return 0;
}

static const char *check_rsa(const struct public_key *k, struct der whole_key,
                             enum wc_HashType hash_type, struct der message, struct der signature)
{
    RsaKey rsa;
    word32 at = 0;
    const char *why = "the signature is wrong";

    if (!der_equal(k->algorithm, DER_OF(oid_rsa)))
        return "the signer's key is of another kind than the signature";
    if (wc_InitRsaKey(&rsa, NULL) != 0)
        return "out of memory";
    if (wc_RsaPublicKeyDecode(whole_key.data, &at, &rsa, (word32)whole_key.len) == 0) {
        if (signature.len == (size_t)wc_RsaEncryptSize(&rsa) &&
            wc_SignatureVerify(hash_type, WC_SIGNATURE_TYPE_RSA_W_ENC, message.data,
                               (word32)message.len, signature.data, (word32)signature.len, &rsa,
                               sizeof rsa) == 0)
            why = NULL;
    }
    wc_FreeRsaKey(&rsa);
    return why;
}

static const char *check_ed25519(const struct public_key *k, struct der message,
                                 struct der signature)
{
    ed25519_key ed;
    int good = 0;

    if (!der_equal(k->algorithm, DER_OF(oid_ed25519)) || k->parameters.len != 0)
        return "the signer's key is of another kind than the signature";
    if (wc_ed25519_init(&ed) != 0)
        return "out of memory";
    int r = wc_ed25519_import_public(k->bits.data, (word32)k->bits.len, &ed);
    if (r == 0)
        r = wc_ed25519_verify_msg(signature.data, (word32)signature.len, message.data,
                                  (word32)message.len, &good, &ed);
    wc_ed25519_free(&ed);
    return r == 0 && good == 1 ? NULL : "the signature is wrong";
}

/* ECDSA and Ed25519 have no parameters (RFC 5758, RFC 8410), RSA has NULL (RFC 4055). */
static const struct algorithm *find_algorithm(struct der whole)
{
    struct der in = whole, oid, null;

    if (!der_take(&in, DER_SEQUENCE, &in) || !der_take(&in, DER_OID, &oid))
        return NULL;
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        const struct algorithm *a = &algorithms[i];
        if (!der_equal(oid, a->oid))
            continue;
        if (a->kind == KIND_RSA && !(der_take(&in, DER_NULL, &null) && null.len == 0))
            return NULL;
        return in.len == 0 ? a : NULL;
    }
    return NULL;
}

const char *signature_check(struct der algorithm, struct der public_key, struct der message,
                            struct der signature)
{
    struct public_key k;
    const struct algorithm *a = find_algorithm(algorithm);

    if (library_ready() < 0)
        return "the TLS library does not start";
    if (!a)
        return "the signature's algorithm is not accepted";
    const char *why = signature_check_key(public_key);
    if (why || !take_public_key(public_key, &k))
        return why;
    switch (a->kind) {
    case KIND_EC:
        return check_ecdsa(&k, a->hash, message, signature);
    case KIND_RSA:
        return check_rsa(&k, public_key, a->hash, message, signature);
    case KIND_ED25519:
        return check_ed25519(&k, message, signature);
    }
    return "the signature's algorithm is not accepted";
}
