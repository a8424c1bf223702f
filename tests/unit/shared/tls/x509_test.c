#define _GNU_SOURCE
#include "tests/unit/shared/tls/tls_fixture.h"

#include "tests/unit/shared/base/failing_alloc.h"

static struct party root;

static int set_up(void **state)
{
    (void)state;
    root = root_make("root");
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    party_done(&root);
    return 0;
}

static void test_what_a_leaf_says(void **state)
{
    (void)state;
    struct x509_template t = leaf_template(ALICE);
    struct party p = party_make(&t, &root);

    assert_string_equal(p.cert.uri, ALICE);
    assert_int_equal(p.cert.uri_len, strlen(ALICE));
    assert_int_equal(p.cert.uri_count, 1);
    assert_int_equal(p.cert.not_before_s, t.not_before_s);
    assert_int_equal(p.cert.not_after_s, t.not_after_s);
    assert_false(p.cert.is_ca);
    assert_true(p.cert.has_key_usage && p.cert.usage_digital_signature);
    assert_false(p.cert.usage_cert_sign || p.cert.usage_crl_sign);
    assert_true(p.cert.has_extended_usage && p.cert.extended_server && p.cert.extended_client);
    assert_null(x509_check_svid_leaf(&p.cert));
    assert_true(x509_has_key(&p.cert, p.key));
    assert_false(x509_has_key(&p.cert, root.key));
    party_done(&p);
}

static void test_what_a_root_says(void **state)
{
    (void)state;
    assert_true(root.cert.is_ca && root.cert.usage_cert_sign && root.cert.usage_crl_sign);
    assert_false(root.cert.usage_digital_signature || root.cert.has_extended_usage);
    assert_int_equal(root.cert.uri_count, 0);
    assert_string_equal(root.cert.uri, "");
}

static void test_serial_text(void **state)
{
    (void)state;
    char text[2 * X509_SERIAL_MAX + 1];
    struct x509 c = {.serial = {0x01, 0xab, 0xff}, .serial_len = 3};
    x509_serial_text(&c, text);
    assert_string_equal(text, "01abff");
    memset(c.serial, 0xee, sizeof c.serial);
    c.serial_len = X509_SERIAL_MAX;
    x509_serial_text(&c, text);
    assert_int_equal(strlen(text), 2 * X509_SERIAL_MAX);
    /* A positive number without leading zeros, of 128 random bits. */
    x509_serial_text(&root.cert, text);
    assert_in_range(strlen(text), 24, 32);
    assert_int_not_equal(root.cert.serial[0], 0);
}

static int parse_forged(const struct forged *f, struct x509 *ret, const char **ret_why)
{
    struct der der = forge_der(f, root.key, &root.cert, root.key);
    int r = x509_parse(der.data, der.len, ret, ret_why);
    free((void *)der.data);
    return r;
}

static void test_uri_names(void **state)
{
    (void)state;
    static char longest[X509_URI_MAX + 1];
    struct x509 c;
    const char *why;
    static const struct {
        struct text uri;
        bool good;
    } cases[] = {
        {{ALICE, sizeof ALICE - 1}, true},
        {{"spiffe://good\0.evil/x", 21}, false},
        {{"spiffe://td/a b", 15}, false},
        {{"spiffe://td/\x80", 13}, false},
        {{"spiffe://td/\n", 13}, false},
        {{"spiffe://td/\x7f", 13}, false},
        {{"", 0}, false},
        {{longest, X509_URI_MAX}, true},
        {{longest, X509_URI_MAX + 1}, false},
    };
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct forged f = {.uris = {cases[i].uri}, .n_uris = 1};
        int r = parse_forged(&f, &c, &why);
        assert_int_equal(r, cases[i].good ? 0 : -EINVAL);
        if (r == 0) {
            assert_int_equal(c.uri_len, cases[i].uri.len);
            assert_int_equal(strlen(c.uri), cases[i].uri.len);
            x509_done(&c);
        } else {
            assert_non_null(why);
        }
    }
}

static void test_leaf_rules(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct forged f;
        bool good;
    } cases[] = {
        {"plain",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .server = true, .client = true},
         true},
        {"no extended usage", {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1}, true},
        {"two URIs",
         {.uris = {{ALICE, sizeof ALICE - 1}, {BOB, sizeof BOB - 1}}, .n_uris = 2},
         false},
        {"the same URI twice",
         {.uris = {{ALICE, sizeof ALICE - 1}, {ALICE, sizeof ALICE - 1}}, .n_uris = 2},
         false},
        {"three URIs",
         {.uris = {{ALICE, sizeof ALICE - 1}, {BOB, sizeof BOB - 1}, {ALICE, sizeof ALICE - 1}},
          .n_uris = 3},
         false},
        {"only a DNS name", {.n_uris = 0}, false},
        {"no names", {.no_names = true}, false},
        {"another scheme", {.uris = {{"https://a.b/c", 13}}, .n_uris = 1}, false},
        {"upper case", {.uris = {{"SPIFFE://td/a", 13}}, .n_uris = 1}, false},
        {"CA", {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .is_ca = true}, false},
        {"CA with CA's usage",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .is_ca = true, .key_usage = 0x06},
         false},
        {"only keyCertSign",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .key_usage = 0x04},
         false},
        {"also keyCertSign",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .key_usage = 0x84},
         false},
        {"also cRLSign",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .key_usage = 0x82},
         false},
        {"no key usage",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .key_usage = -1},
         false},
        {"only keyEncipherment",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .key_usage = 0x20},
         false},
        {"both usages of RSA",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .key_usage = 0xa0},
         true},
        {"no constraints",
         {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .no_basic_constraints = true},
         true},
        {"for servers", {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .server = true}, true},
        {"for clients", {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1, .client = true}, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct party p = forge(&cases[i].f, &root);
        const char *why = x509_check_svid_leaf(&p.cert);
        if (cases[i].good != !why)
            fail_msg("%s: %s", cases[i].name, why ? why : "accepted");
        assert_int_equal(p.cert.uri_count, cases[i].f.n_uris);
        if (p.cert.uri_count != 1)
            assert_string_equal(p.cert.uri, "");
        party_done(&p);
    }
}

/* An Extension with that OID (2.5.29.kind, or 1.2.3.kind) and that inside. */
static struct der extension(uint8_t memory[static 256], bool known_arc, uint8_t kind, bool critical,
                            const char *inside, size_t len)
{
    struct der_out o = {.data = memory, .size = 256};
    uint8_t oid[] = {known_arc ? 0x55 : 0x2a, known_arc ? 0x1d : 0x03, kind};
    der_put_element(&o, DER_OCTETS, inside, len);
    if (critical)
        der_put_element(&o, DER_BOOLEAN, &(uint8_t){0xff}, 1);
    der_put_element(&o, DER_OID, oid, sizeof oid);
    der_wrap(&o, 0, DER_SEQUENCE);
    return der_out_bytes(&o);
}

static void test_extensions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *inside;
        size_t len;
        bool known_arc, critical;
        uint8_t kind;
        bool readable, good;
    } cases[] = {
        {"unknown", "xyz", 3, false, false, 9, true, true},
        {"unknown, critical", "xyz", 3, false, true, 9, true, false},
        {"policies, critical", "\x30\x00", 2, true, true, 32, true, true},
        {"key usage again", "\x03\x02\x07\x80", 4, true, false, 15, false, false},
        {"names again", "\x30\x03\x86\x01x", 5, true, false, 17, false, false},
        {"key id, malformed", "\x04\x05x", 3, true, false, 14, false, false},
        {"key id, empty", "\x04\x00", 2, true, false, 14, false, false},
        {"authority, malformed", "\x04\x01x", 3, true, false, 35, false, false},
        {"extended usage, empty", "\x30\x00", 2, true, false, 37, false, false},
        {"extended usage, others", "\x30\x05\x06\x03\x2a\x03\x04", 7, true, false, 37, true, false},
        {"extended usage, any", "\x30\x06\x06\x04\x55\x1d\x25\x00", 8, true, false, 37, true, true},
        {"name constraints, empty", "\x30\x00", 2, true, true, 30, false, false},
        {"policy constraints, critical", "\x30\x00", 2, true, true, 36, true, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t memory[256];
        struct x509 c;
        const char *why = NULL;
        struct forged f = {.uris = {{ALICE, sizeof ALICE - 1}}, .n_uris = 1};
        f.more_extensions = extension(memory, cases[i].known_arc, cases[i].kind, cases[i].critical,
                                      cases[i].inside, cases[i].len);
        int r = parse_forged(&f, &c, &why);
        if (r != (cases[i].readable ? 0 : -EINVAL))
            fail_msg("%s: %d %s", cases[i].name, r, why);
        if (r < 0)
            continue;
        why = x509_check_svid_leaf(&c);
        if (cases[i].good != !why)
            fail_msg("%s: %s", cases[i].name, why ? why : "accepted");
        x509_done(&c);
    }
}

/* Each prefix, and each byte changed: an answer without a read outside (ASan), and truncation is
 * never a certificate. */
static void test_broken_bytes(void **state)
{
    (void)state;
    struct rng r;
    struct party p = leaf_make(ALICE, &root);
    struct x509 c;
    const char *why;

    test_seed(&r);
    for (size_t len = 0; len < p.cert.der_len; len++) {
        uint8_t *copy = malloc(len ? len : 1);
        memcpy(copy, p.cert.der, len);
        assert_int_equal(x509_parse(copy, len, &c, &why), -EINVAL);
        assert_non_null(why);
        free(copy);
    }
    for (size_t i = 0; i < 20000; i++) {
        uint8_t *copy = malloc(p.cert.der_len);
        memcpy(copy, p.cert.der, p.cert.der_len);
        for (size_t n = 1 + rng_below(&r, 3); n > 0; n--)
            copy[rng_below(&r, p.cert.der_len)] = (uint8_t)rng_u64(&r);
        if (x509_parse(copy, p.cert.der_len, &c, &why) == 0) {
            (void)x509_check_svid_leaf(&c);
            assert_int_equal(strlen(c.uri), c.uri_len);
            x509_done(&c);
        } else {
            assert_non_null(why);
        }
        free(copy);
    }
    uint8_t *longer = calloc(1, p.cert.der_len + 1);
    memcpy(longer, p.cert.der, p.cert.der_len);
    assert_int_equal(x509_parse(longer, p.cert.der_len + 1, &c, &why), -EINVAL);
    free(longer);
    party_done(&p);
}

static void test_pem_texts(void **state)
{
    (void)state;
    static char text[4 * X509_PEM_MAX];
    struct party leaf = leaf_make(ALICE, &root);
    struct x509 all[4];
    const char *why;
    size_t len, n = 99, at = 0;

    at += (size_t)snprintf(text, sizeof text, "# my bundle\n");
    assert_int_equal(x509_to_pem(&leaf.cert, text + at, sizeof text - at, &len), 0);
    at += len;
    assert_int_equal(key_to_pem(leaf.key, text + at, sizeof text - at, &len), 0);
    at += len;
    assert_int_equal(x509_to_pem(&root.cert, text + at, sizeof text - at, &len), 0);
    at += len;
    assert_int_equal(x509_from_pem((struct text){text, at}, all, 4, &n, &why), 0);
    assert_int_equal(n, 2);
    assert_int_equal(all[0].der_len, leaf.cert.der_len);
    assert_memory_equal(all[0].der, leaf.cert.der, leaf.cert.der_len);
    assert_memory_equal(all[1].der, root.cert.der, root.cert.der_len);
    x509_done(&all[0]);
    x509_done(&all[1]);
    assert_int_equal(x509_from_pem((struct text){text, at}, all, 1, &n, &why), -E2BIG);
    assert_non_null(why);
    /* A bad second one: the first is given back (LeakSanitizer sees it if not). */
    assert_int_equal(x509_from_pem((struct text){text, at - 5}, all, 4, &n, &why), -EINVAL);
    assert_int_equal(x509_from_pem(TEXT(""), all, 4, &n, &why), -EINVAL);
    assert_int_equal(
        x509_from_pem(TEXT("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"), all, 4, &n,
                      &why),
        -EINVAL);
    assert_string_equal(why, "not base 64");
    party_done(&leaf);
}

static void test_no_memory(void **state)
{
    (void)state;
    static char pem[X509_PEM_MAX];
    struct x509 c;
    const char *why;
    size_t len, n;
    int r;

    assert_int_equal(x509_to_pem(&root.cert, pem, sizeof pem, &len), 0);
    for (long i = 0;; i++) {
        alloc_fail_at(i);
        r = x509_from_pem((struct text){pem, len}, &c, 1, &n, &why);
        if (!alloc_failed())
            break;
        assert_int_equal(r, -ENOMEM);
    }
    assert_int_equal(r, 0);
    x509_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_leaf_says), cmocka_unit_test(test_what_a_root_says),
        cmocka_unit_test(test_serial_text),      cmocka_unit_test(test_uri_names),
        cmocka_unit_test(test_leaf_rules),       cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_broken_bytes),     cmocka_unit_test(test_pem_texts),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
