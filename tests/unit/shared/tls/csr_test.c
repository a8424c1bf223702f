#define _GNU_SOURCE
#include "shared/tls/csr.h"

#include "shared/tls/key_secret.h"
#include "shared/tls/pem.h"
#include "tests/unit/shared/tls/tls_fixture.h"

static struct key *key;
static char out[65536];

static int set_up(void **state)
{
    (void)state;
    return key_generate(&key);
}
static int tear_down(void **state)
{
    (void)state;
    key = key_unref(key);
    return 0;
}

static void test_what_we_make_we_take(void **state)
{
    (void)state;
    static char longest[X509_URI_MAX + 1];
    char pem[CSR_PEM_MAX];
    uint8_t got[CSR_PUBLIC_MAX], own[KEY_PUBLIC_MAX];
    size_t len, n_got, n_own;
    const char *why;

    memset(longest, 'x', sizeof longest);
    const struct text uris[] = {TEXT(ALICE), TEXT(""), {longest, X509_URI_MAX}};
    assert_int_equal(key_public_der(key, own, sizeof own, &n_own), 0);
    for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
        assert_int_equal(csr_make(key, uris[i], pem, sizeof pem, &len), 0);
        assert_int_equal(strlen(pem), len);
        assert_int_equal(csr_public_key((struct text){pem, len}, got, sizeof got, &n_got, &why), 0);
        assert_int_equal(n_got, n_own);
        assert_memory_equal(got, own, n_own);
    }
    assert_int_equal(csr_public_key((struct text){pem, len}, got, n_own - 1, &n_got, &why),
                     -ENOBUFS);
    assert_int_equal(csr_make(key, TEXT(ALICE), pem, 100, &len), -ENOBUFS);
    assert_int_equal(csr_make(key, (struct text){longest, sizeof longest}, pem, sizeof pem, &len),
                     -EINVAL);
    assert_int_equal(csr_make(key, TEXT("a b"), pem, sizeof pem, &len), -EINVAL);
    assert_int_equal(csr_make(key, TEXT("a\0b"), pem, sizeof pem, &len), -EINVAL);
}

static void test_openssl_reads_ours(void **state)
{
    (void)state;
    char folder[64], pem[CSR_PEM_MAX];
    size_t len;

    folder_make(folder);
    assert_int_equal(csr_make(key, TEXT(ALICE), pem, sizeof pem, &len), 0);
    file_write(folder, "a.csr", pem, len);
    assert_int_equal(OPENSSL(folder, out, "req", "-in", "a.csr", "-verify", "-noout", "-text"), 0);
    assert_non_null(strstr(out, "verify OK"));
    assert_non_null(strstr(out, "URI:" ALICE));
    folder_remove(folder);
}

static int judge_file(const char *folder, const char *name, const char **ret_why)
{
    static char data[16384];
    char path[128];
    uint8_t got[CSR_PUBLIC_MAX];
    size_t n_got;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(data, 1, sizeof data, f);
    fclose(f);
    return csr_public_key((struct text){data, len}, got, sizeof got, &n_got, ret_why);
}

/* Whatever else it asks for does not matter; only the key's kind does. */
static void test_requests_of_openssl(void **state)
{
    (void)state;
    static const struct {
        const char *algorithm, *option;
        int result;
    } cases[] = {
        {"EC", "ec_paramgen_curve:P-256", 0},
        {"EC", "ec_paramgen_curve:P-384", -ENOTSUP},
        {"EC", "ec_paramgen_curve:secp256k1", -ENOTSUP},
        {"RSA", "rsa_keygen_bits:2048", -ENOTSUP},
        {"RSA", "rsa_keygen_bits:1024", -ENOTSUP},
        {"ED25519", NULL, -ENOTSUP},
    };
    char folder[64];
    const char *why;

    folder_make(folder);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(
            cases[i].option
                ? OPENSSL(folder, out, "genpkey", "-algorithm", cases[i].algorithm, "-pkeyopt",
                          cases[i].option, "-out", "k")
                : OPENSSL(folder, out, "genpkey", "-algorithm", cases[i].algorithm, "-out", "k"),
            0);
        if (OPENSSL(folder, out, "req", "-new", "-key", "k", "-subj", "/O=x/CN=y", "-addext",
                    "subjectAltName=URI:spiffe://a,URI:spiffe://b,IP:10.0.0.1", "-addext",
                    "basicConstraints=CA:TRUE", "-out", "x.csr") != 0)
            fail_msg("%s", out);
        int r = judge_file(folder, "x.csr", &why);
        if (r != cases[i].result)
            fail_msg("%s %s: %d %s", cases[i].algorithm, cases[i].option, r, why);
        /* The compressed form of a point is a key that we don't read. */
        if (i == 0) {
            assert_int_equal(
                OPENSSL(folder, out, "ec", "-in", "k", "-conv_form", "compressed", "-out", "kc"),
                0);
            assert_int_equal(OPENSSL(folder, out, "req", "-new", "-key", "kc", "-subj", "/CN=y",
                                     "-out", "c.csr"),
                             0);
            r = judge_file(folder, "c.csr", &why);
            assert_int_equal(r, -EINVAL);
        }
    }
    folder_remove(folder);
}

/* No byte can be changed: the signature covers what matters, and the rest is malformed. */
static void test_every_changed_byte(void **state)
{
    (void)state;
    char pem[CSR_PEM_MAX], changed[CSR_PEM_MAX];
    uint8_t der[4096], got[CSR_PUBLIC_MAX];
    size_t len, n_der, n_got, n_changed;
    struct pem_block block;
    const char *why = NULL;
    unsigned rejected = 0;

    assert_int_equal(csr_make(key, TEXT(ALICE), pem, sizeof pem, &len), 0);
    struct text in = {pem, len};
    assert_int_equal(pem_next(&in, &block), 1);
    assert_int_equal(pem_decode(block.body, der, sizeof der, &n_der), 0);
    for (size_t i = 0; i < n_der; i++) {
        der[i] ^= 0x40;
        pem_encode("CERTIFICATE REQUEST", der, n_der, changed, sizeof changed, &n_changed);
        int r = csr_public_key((struct text){changed, n_changed}, got, sizeof got, &n_got, &why);
        assert_true(r == -EINVAL || r == -EKEYREJECTED || r == -ENOTSUP);
        assert_non_null(why);
        rejected += r == -EKEYREJECTED;
        der[i] ^= 0x40;
    }
    assert_true(rejected > 64); /* the signature's bytes alone are more */
    for (size_t n = 0; n < n_der; n++) {
        pem_encode("CERTIFICATE REQUEST", der, n, changed, sizeof changed, &n_changed);
        assert_int_equal(
            csr_public_key((struct text){changed, n_changed}, got, sizeof got, &n_got, &why),
            -EINVAL);
    }
}

/* Somebody else's public key, signed by one's own: no proof of possession. */
static void test_a_key_that_is_not_ones_own(void **state)
{
    (void)state;
    struct key *victim, *chimera;
    char pem[CSR_PEM_MAX];
    uint8_t got[CSR_PUBLIC_MAX];
    size_t len, n_got;
    const char *why;

    assert_int_equal(key_generate(&victim), 0);
    assert_int_equal(key_generate(&chimera), 0);
    memcpy(chimera->point, victim->point, KEY_POINT_BYTES);
    assert_int_equal(csr_make(chimera, TEXT(ALICE), pem, sizeof pem, &len), 0);
    assert_int_equal(csr_public_key((struct text){pem, len}, got, sizeof got, &n_got, &why),
                     -EKEYREJECTED);
    /* A point that isn't on the curve. */
    chimera->point[40] ^= 1;
    assert_int_equal(csr_make(chimera, TEXT(ALICE), pem, sizeof pem, &len), 0);
    assert_int_equal(csr_public_key((struct text){pem, len}, got, sizeof got, &n_got, &why),
                     -EINVAL);
    assert_string_equal(why, "the public key is not a point of P-256");
    key_unref(victim);
    key_unref(chimera);
}

static void test_what_is_no_request(void **state)
{
    (void)state;
    static char huge[CSR_PEM_MAX + 1];
    uint8_t got[CSR_PUBLIC_MAX];
    size_t n_got;
    const char *why;
    memset(huge, 'A', sizeof huge);
    const struct text cases[] = {
        TEXT(""),
        TEXT("-----BEGIN CERTIFICATE REQUEST-----\n"),
        TEXT("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"),
        TEXT("-----BEGIN CERTIFICATE REQUEST-----\n*\n-----END CERTIFICATE REQUEST-----\n"),
        TEXT("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
        {huge, sizeof huge},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(csr_public_key(cases[i], got, sizeof got, &n_got, &why), -EINVAL);
}

/* Text around a request is nobody's, as openssl writes it before; another block is. */
static void test_one_block(void **state)
{
    (void)state;
    static const char *const after[] = {
        "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\n",
    };
    char pem[CSR_PEM_MAX], text[2 * CSR_PEM_MAX];
    uint8_t got[CSR_PUBLIC_MAX];
    size_t len, n_got;
    const char *why;

    assert_int_equal(csr_make(key, TEXT(ALICE), pem, sizeof pem, &len), 0);
    snprintf(text, sizeof text, "Certificate Request:\n%s\nthe end\n", pem);
    assert_int_equal(csr_public_key(text_of(text), got, sizeof got, &n_got, &why), 0);
    for (size_t i = 0; i < ARRAY_SIZE(after); i++) {
        snprintf(text, sizeof text, "%s%s", pem, after[i]);
        assert_int_equal(csr_public_key(text_of(text), got, sizeof got, &n_got, &why), -EINVAL);
        assert_string_equal(why, "more than one PEM block in the text");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_we_make_we_take),
        cmocka_unit_test(test_openssl_reads_ours),
        cmocka_unit_test(test_requests_of_openssl),
        cmocka_unit_test(test_every_changed_byte),
        cmocka_unit_test(test_a_key_that_is_not_ones_own),
        cmocka_unit_test(test_what_is_no_request),
        cmocka_unit_test(test_one_block),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
