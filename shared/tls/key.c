#define _GNU_SOURCE
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "shared/tls/key.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "shared/tls/der.h"
#include "shared/tls/key_secret.h"
#include "shared/tls/library.h"
#include "shared/tls/pem.h"

/* What stands before the point in the SubjectPublicKeyInfo of every P-256 key. */
static const uint8_t public_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
_Static_assert(sizeof public_head + KEY_POINT_BYTES == KEY_PUBLIC_MAX, "the size in the header");
static const uint8_t oid_ec_public_key[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

void key_wipe(void *data, size_t len)
{
    if (len > 0)
        explicit_bzero(data, len);
}

__attribute__((noinline)) void key_wipe_stack(void)
{
    enum {
        DEEPEST_BYTES = 32 * 1024
    }; /* of the library's functions for P-256; they use about 10 */
    uint8_t below[DEEPEST_BYTES];
    explicit_bzero(below, sizeof below);
}

static struct key *key_new(void)
{
    struct key *key = calloc(1, sizeof *key);
    if (!key)
        return NULL;
    key->scalar = key_slot_new();
    if (!key->scalar) {
        free(key);
        return NULL;
    }
    atomic_init(&key->refs, 1);
    return key;
}

struct key *key_ref(struct key *key)
{
    unsigned before = atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return key;
}

struct key *key_unref(struct key *key)
{
    if (!key || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    key->scalar = key_slot_free(key->scalar);
    free(key);
    return NULL;
}

static int error_of(int r)
{
    return r == 0 ? 0 : r == MEMORY_E ? -ENOMEM : -EIO;
}

static int take_point(struct key *key, ecc_key *ecc)
{
    word32 len = KEY_POINT_BYTES;
    int r = error_of(wc_ecc_export_x963(ecc, key->point, &len));
    return r == 0 && len != KEY_POINT_BYTES ? -EIO : r;
}

static int generate(struct key *key)
{
    WC_RNG rng;
    ecc_key ecc;
    word32 len = KEY_SCALAR_BYTES;
    int r = library_ready();

    if (r < 0)
        return r;
    r = error_of(wc_InitRng(&rng));
    if (r < 0)
        return r;
    r = error_of(wc_ecc_init(&ecc));
    if (r == 0) {
        r = error_of(wc_ecc_make_key_ex(&rng, KEY_SCALAR_BYTES, &ecc, ECC_SECP256R1));
        if (r == 0)
            r = error_of(wc_ecc_export_private_only(&ecc, key->scalar, &len));
        if (r == 0)
            r = len == KEY_SCALAR_BYTES ? take_point(key, &ecc) : -EIO;
        wc_ecc_free(&ecc);
    }
    key_wipe(&ecc, sizeof ecc);
    wc_FreeRng(&rng);
    return r;
}

int key_generate(struct key **ret)
{
    struct key *key = key_new();
    if (!key)
        return -ENOMEM;
    int r = generate(key);
    key_wipe_stack();
    if (r < 0) {
        key_unref(key);
        return r;
    }
    *ret = key;
    return 0;
}

/* ECPrivateKey, RFC 5915. `named`: the curve is known from outside. *ret_point is empty if it
 * isn't in it. */
static bool take_sec1(struct der in, bool named, struct der *ret_scalar, struct der *ret_point)
{
    struct der field, oid;
    unsigned version, unused;

    *ret_point = (struct der){0};
    if (!der_take(&in, DER_SEQUENCE, &in) || !der_take_small(&in, &version) || version != 1 ||
        !der_take(&in, DER_OCTETS, ret_scalar))
        return false;
    if (der_next_is(in, DER_CONTEXT_CONSTRUCTED | 0)) {
        if (!der_take(&in, DER_CONTEXT_CONSTRUCTED | 0, &field) ||
            !der_take(&field, DER_OID, &oid) || field.len != 0 || !der_equal(oid, DER_OF(oid_p256)))
            return false;
        named = true;
    }
    if (der_next_is(in, DER_CONTEXT_CONSTRUCTED | 1)) {
        if (!der_take(&in, DER_CONTEXT_CONSTRUCTED | 1, &field) ||
            !der_take_bits(&field, ret_point, &unused) || unused != 0 || field.len != 0)
            return false;
    }
    return named && in.len == 0 && ret_scalar->len == KEY_SCALAR_BYTES;
}

/* PrivateKeyInfo, RFC 5208; attributes and all else that may follow are ignored. */
static bool take_pkcs8(struct der in, struct der *ret_scalar, struct der *ret_point)
{
    struct der algorithm, kind, curve, inner;
    unsigned version;

    return der_take(&in, DER_SEQUENCE, &in) && der_take_small(&in, &version) && version <= 1 &&
           der_take(&in, DER_SEQUENCE, &algorithm) && der_take(&algorithm, DER_OID, &kind) &&
           der_equal(kind, DER_OF(oid_ec_public_key)) && der_take(&algorithm, DER_OID, &curve) &&
           der_equal(curve, DER_OF(oid_p256)) && der_take(&in, DER_OCTETS, &inner) &&
           take_sec1(inner, true, ret_scalar, ret_point);
}

/* Computes the public point, and so proves that the scalar is one. */
static int import_scalar(struct key *key, struct der scalar, struct der point)
{
    ecc_key ecc;
    int r = library_ready();

    if (r < 0)
        return r;
    r = error_of(wc_ecc_init(&ecc));
    if (r == 0) {
        r = wc_ecc_import_private_key_ex(scalar.data, (word32)scalar.len, NULL, 0, &ecc,
                                         ECC_SECP256R1);
        if (r == 0)
            r = wc_ecc_make_pub(&ecc, NULL);
        if (r == 0)
            r = wc_ecc_check_key(&ecc);
        r = r == 0 ? take_point(key, &ecc) : r == MEMORY_E ? -ENOMEM : -EINVAL;
        wc_ecc_free(&ecc);
    }
    key_wipe(&ecc, sizeof ecc);
    if (r == 0 && point.len > 0 && !der_equal(point, DER_OF(key->point)))
        r = -EINVAL;
    if (r == 0)
        memcpy(key->scalar, scalar.data, KEY_SCALAR_BYTES);
    return r;
}

static int key_from_block(const struct pem_block *block, struct key **ret)
{
    uint8_t data[KEY_PEM_MAX];
    struct der whole = {data, 0}, scalar, point;
    int r = pem_decode(block->body, data, sizeof data, &whole.len);

    if (r == 0) {
        bool good = text_equal(block->label, TEXT("PRIVATE KEY"))
                        ? take_pkcs8(whole, &scalar, &point)
                        : take_sec1(whole, false, &scalar, &point);
        r = good ? 0 : -EINVAL;
    } else {
        r = -EINVAL;
    }
    if (r == 0) {
        struct key *key = key_new();
        r = key ? import_scalar(key, scalar, point) : -ENOMEM;
        if (r == 0)
            *ret = key;
        else
            key_unref(key);
    }
    key_wipe(data, sizeof data);
    return r;
}

int key_from_pem(struct text pem, struct key **ret)
{
    struct pem_block block;
    int r = -EINVAL;

    while (pem_next(&pem, &block) > 0) {
        if (!text_ends_with(block.label, TEXT("PRIVATE KEY")))
            continue;
        if (text_equal(block.label, TEXT("PRIVATE KEY")) ||
            text_equal(block.label, TEXT("EC PRIVATE KEY")))
            r = key_from_block(&block, ret);
        break;
    }
    key_wipe_stack();
    return r;
}

enum { PKCS8_MAX = 256 };

/* At the end of data, which the caller wipes. */
static struct der pkcs8(const struct key *key, uint8_t data[static PKCS8_MAX])
{
    struct der_out o = {.data = data, .size = PKCS8_MAX};

    size_t sec1 = o.len, mark = o.len;
    der_put(&o, key->point, KEY_POINT_BYTES);
    der_put(&o, &(uint8_t){0}, 1);
    der_wrap(&o, mark, DER_BITS);
    der_wrap(&o, mark, DER_CONTEXT_CONSTRUCTED | 1);
    der_put_element(&o, DER_OCTETS, key->scalar, KEY_SCALAR_BYTES);
    der_put_small(&o, 1);
    der_wrap(&o, sec1, DER_SEQUENCE);
    der_wrap(&o, sec1, DER_OCTETS);
    mark = o.len;
    der_put_element(&o, DER_OID, oid_p256, sizeof oid_p256);
    der_put_element(&o, DER_OID, oid_ec_public_key, sizeof oid_ec_public_key);
    der_wrap(&o, mark, DER_SEQUENCE);
    der_put_small(&o, 0);
    der_wrap(&o, 0, DER_SEQUENCE);
    assert(!o.overflow);
    return der_out_bytes(&o);
}

int key_to_pem(const struct key *key, char *out, size_t size, size_t *ret_len)
{
    uint8_t data[PKCS8_MAX];
    struct der whole = pkcs8(key, data);
    int r = pem_encode("PRIVATE KEY", whole.data, whole.len, out, size, ret_len);
    key_wipe(data, sizeof data);
    key_wipe_stack();
    return r;
}

int key_to_der(const struct key *key, uint8_t *out, size_t size, size_t *ret_len)
{
    uint8_t data[PKCS8_MAX];
    struct der whole = pkcs8(key, data);
    int r = whole.len <= size ? 0 : -ENOBUFS;
    if (r == 0) {
        memcpy(out, whole.data, whole.len);
        *ret_len = whole.len;
    }
    key_wipe(data, sizeof data);
    key_wipe_stack();
    return r;
}

int key_public_der(const struct key *key, uint8_t *out, size_t size, size_t *ret_len)
{
    if (size < KEY_PUBLIC_MAX)
        return -ENOBUFS;
    memcpy(out, public_head, sizeof public_head);
    memcpy(out + sizeof public_head, key->point, KEY_POINT_BYTES);
    *ret_len = KEY_PUBLIC_MAX;
    return 0;
}
