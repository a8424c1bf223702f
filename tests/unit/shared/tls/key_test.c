#define _GNU_SOURCE
#include "tests/unit/shared/tls/tls_fixture.h"

#include <inttypes.h>

#include "shared/tls/key_secret.h"
#include "shared/tls/pem.h"
#include "tests/unit/shared/base/failing_alloc.h"

static bool same_key(const struct key *a, const struct key *b)
{
    return memcmp(a->scalar, b->scalar, KEY_SCALAR_BYTES) == 0 &&
           memcmp(a->point, b->point, KEY_POINT_BYTES) == 0;
}

static void test_pem_and_back(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct key *key, *again;
        char pem[KEY_PEM_MAX];
        size_t len;

        assert_int_equal(key_generate(&key), 0);
        assert_int_equal(key_to_pem(key, pem, sizeof pem, &len), 0);
        assert_int_equal(strlen(pem), len);
        assert_int_equal(key_to_pem(key, pem, len, &len), -ENOBUFS);
        assert_int_equal(key_to_pem(key, pem, sizeof pem, &len), 0);
        assert_int_equal(key_from_pem((struct text){pem, len}, &again), 0);
        assert_true(same_key(key, again));
        key_unref(key);
        key_unref(again);
    }
}

static void test_two_keys_differ(void **state)
{
    (void)state;
    struct key *a, *b;
    assert_int_equal(key_generate(&a), 0);
    assert_int_equal(key_generate(&b), 0);
    assert_false(same_key(a, b));
    key_unref(a);
    key_unref(b);
}

static char out[16384];
static int import(const char *folder, const char *name, struct key **ret)
{
    static char data[8192];
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(data, 1, sizeof data, f);
    fclose(f);
    return key_from_pem((struct text){data, len}, ret);
}

/* openssl writes SEC1 with a block of parameters before it, and PKCS#8. */
static void test_keys_of_openssl(void **state)
{
    (void)state;
    char folder[64];
    struct key *a = NULL, *b = NULL;
    folder_make(folder);
    assert_int_equal(
        OPENSSL(folder, out, "ecparam", "-name", "prime256v1", "-genkey", "-out", "sec1.pem"), 0);
    assert_int_equal(
        OPENSSL(folder, out, "pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem", "-out", "8.pem"), 0);
    assert_int_equal(import(folder, "sec1.pem", &a), 0);
    assert_int_equal(import(folder, "8.pem", &b), 0);
    assert_true(same_key(a, b));
    key_unref(a);
    key_unref(b);

    static const char *const others[][10] = {
        {"ecparam", "-name", "secp384r1", "-genkey", "-out", "x.pem"},
        {"ecparam", "-name", "secp256k1", "-genkey", "-out", "x.pem"},
        {"genpkey", "-algorithm", "ED25519", "-out", "x.pem"},
        {"genrsa", "-out", "x.pem", "2048"},
        {"pkcs8", "-topk8", "-passout", "pass:x", "-in", "sec1.pem", "-out", "x.pem"},
        {"ec", "-aes128", "-passout", "pass:x", "-in", "sec1.pem", "-out", "x.pem"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_int_equal(openssl_run(folder, others[i], out, sizeof out), 0);
        assert_int_equal(import(folder, "x.pem", &a), -EINVAL);
    }
    folder_remove(folder);
}

static void test_openssl_reads_ours(void **state)
{
    (void)state;
    char folder[64];
    struct key *key;
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;

    folder_make(folder);
    assert_int_equal(key_generate(&key), 0);
    key_write(folder, "key.pem", key);
    assert_int_equal(OPENSSL(folder, out, "pkey", "-in", "key.pem", "-check", "-noout"), 0);
    assert_int_equal(OPENSSL(folder, out, "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"),
                     0);
    assert_int_equal(key_public_der(key, public_key, sizeof public_key - 1, &len), -ENOBUFS);
    assert_int_equal(key_public_der(key, public_key, sizeof public_key, &len), 0);
    assert_int_equal(len, KEY_PUBLIC_MAX);
    assert_memory_equal(out, public_key, len);
    key_unref(key);
    folder_remove(folder);
}

/* SEC1 with that scalar, and with that point if there is one. */
static int import_scalar(const uint8_t *scalar, const uint8_t *point)
{
    static const uint8_t curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    uint8_t data[256];
    char pem[KEY_PEM_MAX];
    struct der_out o = DER_OUT(data);
    size_t mark = 0, len;
    struct key *key = NULL;

    if (point) {
        der_put(&o, point, KEY_POINT_BYTES);
        der_put(&o, &(uint8_t){0}, 1);
        der_wrap(&o, 0, DER_BITS);
        der_wrap(&o, 0, DER_CONTEXT_CONSTRUCTED | 1);
    }
    mark = o.len;
    der_put(&o, curve, sizeof curve);
    der_wrap(&o, mark, DER_CONTEXT_CONSTRUCTED | 0);
    der_put_element(&o, DER_OCTETS, scalar, KEY_SCALAR_BYTES);
    der_put_small(&o, 1);
    der_wrap(&o, 0, DER_SEQUENCE);
    struct der whole = der_out_bytes(&o);
    assert_int_equal(pem_encode("EC PRIVATE KEY", whole.data, whole.len, pem, sizeof pem, &len), 0);
    int r = key_from_pem((struct text){pem, len}, &key);
    key_unref(key);
    return r;
}

static void test_what_is_no_key(void **state)
{
    (void)state;
    static const uint8_t order[KEY_SCALAR_BYTES] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                                    0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    uint8_t scalar[KEY_SCALAR_BYTES] = {0};
    struct key *a, *b, *none = NULL;

    assert_int_equal(key_generate(&a), 0);
    assert_int_equal(key_generate(&b), 0);
    assert_int_equal(import_scalar(a->scalar, a->point), 0);
    assert_int_equal(import_scalar(a->scalar, NULL), 0);
    assert_int_equal(import_scalar(a->scalar, b->point), -EINVAL);
    assert_int_equal(import_scalar(scalar, NULL), -EINVAL);
    assert_int_equal(import_scalar(order, NULL), -EINVAL);
    memset(scalar, 0xff, sizeof scalar);
    assert_int_equal(import_scalar(scalar, NULL), -EINVAL);
    assert_int_equal(key_from_pem(TEXT(""), &none), -EINVAL);
    assert_int_equal(key_from_pem(TEXT("-----BEGIN PRIVATE KEY-----\n"), &none), -EINVAL);
    assert_int_equal(key_from_pem(TEXT("-----BEGIN PRIVATE KEY-----\n"
                                       "AAAA\n-----END PRIVATE KEY-----\n"),
                                  &none),
                     -EINVAL);
    key_unref(a);
    key_unref(b);
}

/* Whatever byte of a key's text is changed, there is an answer; and another scalar is another
 * key. */
static void test_changed_text(void **state)
{
    (void)state;
    struct key *key, *other;
    char pem[KEY_PEM_MAX];
    size_t len, accepted = 0;

    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_to_pem(key, pem, sizeof pem, &len), 0);
    for (size_t i = 0; i < len; i++) {
        char kept = pem[i];
        pem[i] = kept == 'A' ? 'B' : 'A';
        if (key_from_pem((struct text){pem, len}, &other) == 0) {
            /* The public half is in the text, too, so a changed scalar can't pass. */
            assert_true(same_key(key, other));
            accepted++;
            key_unref(other);
        }
        pem[i] = kept;
    }
    assert_true(accepted < 10);
    key_unref(key);
}

/* The mapping's flags in /proc/self/smaps: locked, not dumped, wiped in a child. */
static void test_memory_is_guarded(void **state)
{
    (void)state;
    struct key *key;
    char line[512];
    bool inside = false, found = false;

    assert_int_equal(key_generate(&key), 0);
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    while (!found && fgets(line, sizeof line, f)) {
        uintptr_t from, to;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            inside = (uintptr_t)key->scalar >= from && (uintptr_t)key->scalar < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            found = true;
#if !defined(__SANITIZE_ADDRESS__) &&                                                              \
    !defined(__SANITIZE_THREAD__) /* they make mlock() do nothing */
            assert_non_null(strstr(line, " lo"));
#endif
            assert_non_null(strstr(line, " dd"));
            assert_non_null(strstr(line, " wf"));
        }
    }
    fclose(f);
    assert_true(found);
    key_unref(key);
}

static void test_last_unref_wipes(void **state)
{
    (void)state;
    static const uint8_t zero[KEY_SCALAR_BYTES];
    struct key *neighbour, *key;

    /* The neighbour keeps the page mapped, so that we may look. */
    assert_int_equal(key_generate(&neighbour), 0);
    assert_int_equal(key_generate(&key), 0);
    const uint8_t *slot = key->scalar;
    assert_true(slot > neighbour->scalar - 4096 && slot < neighbour->scalar + 4096);
    key_ref(key);
    assert_null(key_unref(key));
    assert_memory_not_equal(slot, zero, sizeof zero);
    assert_null(key_unref(key));
    assert_memory_equal(slot, zero, sizeof zero);
    key_unref(neighbour);
    assert_null(key_unref(NULL));
}

/* More keys than one page has slots, given back in another order: none is on top of another. */
static void test_many_keys(void **state)
{
    (void)state;
    enum { N = 300 };
    static uint8_t *slots[N];
    struct rng r;
    test_seed(&r);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < N; i++) {
            slots[i] = key_slot_new();
            assert_non_null(slots[i]);
            memset(slots[i], (int)(i % 251) + 1, KEY_SCALAR_BYTES);
        }
        for (size_t left = N; left > 0; left--) {
            size_t i = rng_below(&r, left);
            for (size_t k = 0; k < left; k++)
                assert_true(k == i || slots[k] != slots[i]);
            assert_int_equal(slots[i][0], slots[i][KEY_SCALAR_BYTES - 1]);
            key_slot_free(slots[i]);
            slots[i] = slots[left - 1];
        }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct key *key = NULL, *again = NULL;
    char pem[KEY_PEM_MAX];
    size_t len;
    int r;

    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_to_pem(key, pem, sizeof pem, &len), 0);
    for (long n = 0;; n++) {
        alloc_fail_at(n);
        r = key_from_pem((struct text){pem, len}, &again);
        if (!alloc_failed())
            break;
        assert_int_equal(r, -ENOMEM);
    }
    assert_int_equal(r, 0);
    again = key_unref(again);
    for (long n = 0;; n++) {
        alloc_fail_at(n);
        r = key_generate(&again);
        if (!alloc_failed())
            break;
        assert_true(r == -ENOMEM || r == -EIO);
        assert_null(again);
    }
    assert_int_equal(r, 0);
    key_unref(again);
    key_unref(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pem_and_back),      cmocka_unit_test(test_two_keys_differ),
        cmocka_unit_test(test_keys_of_openssl),   cmocka_unit_test(test_openssl_reads_ours),
        cmocka_unit_test(test_what_is_no_key),    cmocka_unit_test(test_changed_text),
        cmocka_unit_test(test_memory_is_guarded), cmocka_unit_test(test_last_unref_wipes),
        cmocka_unit_test(test_many_keys),         cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
