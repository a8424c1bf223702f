/*
 * The roots as a JWK Set: read again as JSON, each member that the specifications ask for is there and
 * no other, and the numbers of each kind of key are those that openssl finds in the certificate.
 */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/spiffe_bundle.h"
#include "shared/base/base64.h"
#include "shared/tls/pem.h"
#include <errno.h>

static struct json *written(const struct x509 *roots, size_t n, uint64_t sequence)
{
    struct text_heap text;
    struct json_out o;
    struct json_error e = {0};
    struct json *tree = NULL;
    text_heap_init(&text, 1024 * 1024);
    json_out_init(&o, &text, false);
    json_out_object(&o, NULL);
    assert_int_equal(spiffe_bundle_put(&o, roots, n, sequence), 0);
    json_out_end(&o);
    assert_false(text.failed);
    if (json_parse((struct text){text.data, text.len}, NULL, &tree, &e) < 0)
        fail_msg("%s", e.text);
    text_heap_done(&text);
    return tree;
}

/* Of base64url without padding, in upper-case hex. */
static const char *hex_of(const struct json *key, const char *name)
{
    static char hex[2 * X509_KEY_NUMBER_MAX + 1];
    char text[BASE64_TEXT_MAX(X509_KEY_NUMBER_MAX) + 4];
    uint8_t bytes[X509_KEY_NUMBER_MAX + 2];
    struct text t = json_text(json_get(key, name));
    size_t len;
    assert_true(t.len > 0 && t.len < sizeof text - 4);
    assert_null(memchr(t.data, '=', t.len));
    for (size_t i = 0; i < t.len; i++)
        text[i] = (char)(t.data[i] == '-' ? '+' : t.data[i] == '_' ? '/' : t.data[i]);
    size_t n = t.len;
    while (n % 4 != 0)
        text[n++] = '=';
    assert_int_equal(pem_decode((struct text){text, n}, bytes, sizeof bytes, &len), 0);
    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02X", bytes[i]);
    return hex;
}

static void must_be(const struct json *key, const char *name, const char *value)
{
    assert_string_equal(json_text(json_get(key, name)).data, value);
}

static void the_certificate_is(const struct json *key, const struct x509 *c)
{
    static uint8_t der[X509_DER_MAX];
    size_t len;
    must_be(key, "use", "x509-svid");
    assert_null(json_get(key, "kid"));
    assert_int_equal(json_count(json_get(key, "x5c")), 1);
    struct text x5c = json_text(json_get(key, "x5c[0]"));
    assert_null(memchr(x5c.data, '\n', x5c.len));
    assert_int_equal(pem_decode(x5c, der, sizeof der, &len), 0);
    assert_int_equal(len, c->der_len);
    assert_memory_equal(der, c->der, len);
}

static void of_a_ca(void **state)
{
    (void)state;
    struct json *b = written(bench.root.trusted, bench.root.n_trusted, bench.root.version);
    int64_t sequence = 0, hint = 0;
    assert_int_equal(json_count(b), 3);
    assert_int_equal(json_count(json_get(b, "keys")), 1);
    const struct json *key = json_get(b, "keys[0]");
    assert_int_equal(json_count(key), 6);
    the_certificate_is(key, &bench.root.root);
    must_be(key, "kty", "EC");
    must_be(key, "crv", "P-256");
    assert_int_equal(strlen(hex_of(key, "x")), 64);
    assert_int_equal(strlen(hex_of(key, "y")), 64);
    assert_int_equal(json_read_i64(b, "spiffe_sequence", 1, INT64_MAX, &sequence, &(struct json_error){0}), 0);
    assert_int_equal(sequence, bench.root.version);
    assert_int_equal(json_read_i64(b, "spiffe_refresh_hint", 1, INT64_MAX, &hint, &(struct json_error){0}), 0);
    assert_true(2 * hint <= ROTATION_NOTICE_S);
    b = json_free(b);
}

/* Nothing is trusted: an empty set, which says so, and no error. */
static void of_none(void **state)
{
    (void)state;
    struct json *b = written(NULL, 0, UINT64_C(1) << 40);
    assert_true(json_is(json_get(b, "keys"), JSON_ARRAY));
    assert_int_equal(json_count(json_get(b, "keys")), 0);
    b = json_free(b);
}

static struct x509 made_by_openssl(const char *algorithm, const char *option)
{
    char out[4096];
    const char *why;
    struct x509 c;
    size_t n;
    const char *const with[] = {"genpkey", "-algorithm", algorithm, "-out", "k.pem", "-pkeyopt", option, NULL};
    const char *const without[] = {"genpkey", "-algorithm", algorithm, "-out", "k.pem", NULL};
    assert_int_equal(openssl_run(bench.folder, option ? with : without, out, sizeof out), 0);
    assert_int_equal(OPENSSL(bench.folder, out, "req", "-x509", "-key", "k.pem", "-subj", "/O=Given/CN=Root", "-days", "9",
                             "-out", "c.pem"),
                     0);
    assert_int_equal(x509_from_pem(text_of(text_read("c.pem")), &c, 1, &n, &why), 0);
    return c;
}

/* What openssl prints of the key, without the colons and blanks between its bytes. */
static const char *bytes_that_openssl_prints(void)
{
    static char out[16384];
    size_t n = 0;
    assert_int_equal(OPENSSL(bench.folder, out, "pkey", "-in", "k.pem", "-noout", "-text_pub"), 0);
    for (size_t i = 0; out[i]; i++)
        if (!strchr(": \n", out[i]))
            out[n++] = (char)(out[i] >= 'a' && out[i] <= 'f' ? out[i] - 'a' + 'A' : out[i]);
    out[n] = '\0';
    return out;
}

static void of_each_kind_of_key(void **state)
{
    static const struct {
        const char *algorithm, *option, *kty, *crv;
        size_t digits; /* of the first number */
    } rows[] = {
        {"EC", "ec_paramgen_curve:P-256", "EC", "P-256", 64},
        {"EC", "ec_paramgen_curve:P-384", "EC", "P-384", 96},
        {"EC", "ec_paramgen_curve:P-521", "EC", "P-521", 132},
        {"RSA", "rsa_keygen_bits:2048", "RSA", NULL, 512},
        {"ED25519", NULL, "OKP", "Ed25519", 64},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct x509 c = made_by_openssl(rows[i].algorithm, rows[i].option);
        struct json *b = written(&c, 1, 1);
        const struct json *key = json_get(b, "keys[0]");
        bool rsa = !rows[i].crv, ec = strcmp(rows[i].kty, "EC") == 0;
        const char *printed = bytes_that_openssl_prints();
        char first[2 * X509_KEY_NUMBER_MAX + 1];
        the_certificate_is(key, &c);
        must_be(key, "kty", rows[i].kty);
        if (!rsa)
            must_be(key, "crv", rows[i].crv);
        assert_int_equal(json_count(key), rsa || ec ? (rsa ? 5 : 6) : 5);
        snprintf(first, sizeof first, "%s", hex_of(key, rsa ? "n" : "x"));
        assert_int_equal(strlen(first), rows[i].digits);
        must_contain(printed, first);
        if (rsa)
            assert_string_equal(hex_of(key, "e"), "010001");
        if (ec) {
            char point[4 * X509_KEY_NUMBER_MAX + 3];
            snprintf(point, sizeof point, "04%s%s", first, hex_of(key, "y"));
            must_contain(printed, point);
        }
        b = json_free(b);
        x509_done(&c);
    }
}

/* A key that x509_verify() takes for nobody's is not told, and it is an error. */
static void of_a_weak_key(void **state)
{
    struct text_heap text;
    struct json_out o;
    (void)state;
    struct x509 c = made_by_openssl("RSA", "rsa_keygen_bits:1024");
    text_heap_init(&text, 65536);
    json_out_init(&o, &text, false);
    json_out_object(&o, NULL);
    assert_int_equal(spiffe_bundle_put(&o, &c, 1, 1), -ENOTSUP);
    text_heap_done(&text);
    x509_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_a_ca, bench_root, bench_done),
        cmocka_unit_test_setup_teardown(of_none, bench_folder, bench_done),
        cmocka_unit_test_setup_teardown(of_each_kind_of_key, bench_folder, bench_done),
        cmocka_unit_test_setup_teardown(of_a_weak_key, bench_folder, bench_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
