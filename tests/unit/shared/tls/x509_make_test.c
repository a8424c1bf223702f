#define _GNU_SOURCE
#include "tests/unit/shared/tls/tls_fixture.h"

#include <time.h>

#include "tests/unit/shared/base/failing_alloc.h"

static struct party root;
static char out[65536];

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

static void assert_says(const char *what)
{
    if (!strstr(out, what))
        fail_msg("openssl does not say \"%s\" but:\n%s", what, out);
}
static void assert_says_not(const char *what)
{
    if (strstr(out, what))
        fail_msg("openssl says \"%s\":\n%s", what, out);
}

static void test_openssl_reads_a_leaf(void **state)
{
    (void)state;
    char folder[64], serial[64], upper[96];
    struct x509_template t = leaf_template(ALICE);
    t.dns[1] = TEXT("a.example");
    t.dns[3] = TEXT("*.b.example");
    struct party leaf = party_make(&t, &root);

    folder_make(folder);
    cert_write(folder, "leaf.pem", &leaf.cert);
    assert_int_equal(OPENSSL(folder, out, "x509", "-in", "leaf.pem", "-noout", "-text"), 0);
    assert_says("Version: 3 (0x2)");
    assert_says("Issuer: O = Weir, CN = root\n");
    assert_says("Subject: \n");
    assert_says("X509v3 Subject Alternative Name: critical\n                "
                "URI:" ALICE ", DNS:a.example, DNS:*.b.example\n");
    assert_says("X509v3 Basic Constraints: critical\n                CA:FALSE\n");
    assert_says("X509v3 Key Usage: critical\n                Digital Signature\n");
    assert_says("TLS Web Server Authentication, TLS Web Client Authentication\n");
    assert_says("X509v3 Subject Key Identifier");
    assert_says("X509v3 Authority Key Identifier");
    assert_says("Signature Algorithm: ecdsa-with-SHA256");
    assert_says("NIST CURVE: P-256");
    assert_int_equal(OPENSSL(folder, out, "x509", "-in", "leaf.pem", "-noout", "-serial"), 0);
    x509_serial_text(&leaf.cert, serial);
    for (char *c = serial; *c; c++)
        *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
    snprintf(upper, sizeof upper, "serial=%s\n", serial);
    assert_string_equal(out, upper);
    folder_remove(folder);
    party_done(&leaf);
}

static void test_openssl_reads_authorities(void **state)
{
    (void)state;
    char folder[64];
    struct x509_template t = ca_template("limited");
    t.path_len = 0;
    t.uri = TEXT("spiffe://cluster.local");
    struct party limited = party_make(&t, &root);

    folder_make(folder);
    cert_write(folder, "root.pem", &root.cert);
    cert_write(folder, "limited.pem", &limited.cert);
    assert_int_equal(OPENSSL(folder, out, "x509", "-in", "root.pem", "-noout", "-text"), 0);
    assert_says("X509v3 Basic Constraints: critical\n                CA:TRUE\n");
    assert_says("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n");
    assert_says_not("Extended Key Usage");
    assert_says_not("Alternative Name");
    assert_int_equal(OPENSSL(folder, out, "x509", "-in", "limited.pem", "-noout", "-text"), 0);
    assert_says("CA:TRUE, pathlen:0\n");
    assert_says("X509v3 Subject Alternative Name: \n                URI:spiffe://cluster.local\n");
    folder_remove(folder);
    party_done(&limited);
}

static void test_openssl_verifies(void **state)
{
    (void)state;
    char folder[64];
    struct party middle = intermediate_make("middle", &root), leaf = leaf_make(ALICE, &middle),
                 stranger = root_make("root");

    folder_make(folder);
    cert_write(folder, "root.pem", &root.cert);
    cert_write(folder, "stranger.pem", &stranger.cert);
    cert_write(folder, "middle.pem", &middle.cert);
    cert_write(folder, "leaf.pem", &leaf.cert);
    static const char *const purposes[] = {"sslserver", "sslclient"};
    for (size_t i = 0; i < 2; i++)
        if (OPENSSL(folder, out, "verify", "-x509_strict", "-purpose", purposes[i], "-CAfile",
                    "root.pem", "-untrusted", "middle.pem", "leaf.pem") != 0)
            fail_msg("%s", out);
    assert_int_not_equal(OPENSSL(folder, out, "verify", "-CAfile", "root.pem", "leaf.pem"), 0);
    assert_int_not_equal(OPENSSL(folder, out, "verify", "-CAfile", "stranger.pem", "-untrusted",
                                 "middle.pem", "leaf.pem"),
                         0);
    folder_remove(folder);
    party_done(&leaf);
    party_done(&middle);
    party_done(&stranger);
}

static void assert_date(const char *name, int64_t s)
{
    char text[64];
    time_t t = s;
    struct tm tm;
    assert_non_null(gmtime_r(&t, &tm));
    size_t n = (size_t)snprintf(text, sizeof text, "%s=", name);
    strftime(text + n, sizeof text - n, "%b %e %H:%M:%S %Y GMT\n", &tm);
    assert_says(text);
}

static void test_dates_are_exact(void **state)
{
    (void)state;
    char folder[64];
    static const int64_t dates[][2] = {
        {1795373100, 1795373101},   {2524607999, 2524608000}, {2524608000, 2524608001},
        {-631152000, 253402300799}, {951782400, 4107542400},  {1709251199, 32503680000},
    };
    folder_make(folder);
    for (size_t i = 0; i < ARRAY_SIZE(dates); i++) {
        struct x509_template t = leaf_template(ALICE);
        t.not_before_s = dates[i][0];
        t.not_after_s = dates[i][1];
        struct party p = party_make(&t, &root);
        assert_int_equal(p.cert.not_before_s, dates[i][0]);
        assert_int_equal(p.cert.not_after_s, dates[i][1]);
        cert_write(folder, "leaf.pem", &p.cert);
        assert_int_equal(OPENSSL(folder, out, "x509", "-in", "leaf.pem", "-noout", "-dates"), 0);
        assert_date("notBefore", dates[i][0]);
        assert_date("notAfter", dates[i][1]);
        party_done(&p);
    }
    folder_remove(folder);
}

static int make(const struct x509_template *t, const struct party *issuer)
{
    struct key *key;
    struct x509 c;
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;

    assert_int_equal(key_generate(&key), 0);
    key_public_der(key, public_key, sizeof public_key, &len);
    int r = x509_make(t, public_key, len, issuer ? &issuer->cert : NULL, issuer ? issuer->key : key,
                      &c);
    if (r == 0)
        x509_done(&c);
    key_unref(key);
    return r;
}

static void test_limits_of_a_template(void **state)
{
    (void)state;
    static char text[X509_URI_MAX + 1];
    struct x509_template t;

    memset(text, 'x', sizeof text);
#define EXPECT(result, base, ...)                                                                  \
    do {                                                                                           \
        t = base;                                                                                  \
        __VA_ARGS__;                                                                               \
        assert_int_equal(make(&t, &root), (result));                                               \
    } while (0)
    EXPECT(0, leaf_template(ALICE), );
    EXPECT(0, leaf_template(ALICE), t.uri = ((struct text){text, X509_URI_MAX}));
    EXPECT(-EINVAL, leaf_template(ALICE), t.uri = ((struct text){text, X509_URI_MAX + 1}));
    EXPECT(-EINVAL, leaf_template(ALICE), t.uri = ((struct text){"a\0b", 3}));
    EXPECT(-EINVAL, leaf_template(ALICE), t.uri = TEXT("spiffe://td/a b"));
    EXPECT(-EINVAL, leaf_template(""), );
    EXPECT(0, leaf_template(""), t.common_name = TEXT("x"));
    EXPECT(0, leaf_template(""), t.dns[0] = TEXT("x"));
    EXPECT(0, leaf_template(ALICE), t.common_name = ((struct text){text, X509_NAME_MAX}));
    EXPECT(-EINVAL, leaf_template(ALICE), t.common_name = ((struct text){text, X509_NAME_MAX + 1}));
    EXPECT(-EINVAL, leaf_template(ALICE),
           t.organization = ((struct text){text, X509_NAME_MAX + 1}));
    EXPECT(-EINVAL, leaf_template(ALICE), t.organization = TEXT("a\nb"));
    EXPECT(0, leaf_template(ALICE), t.dns[0] = ((struct text){text, X509_DNS_NAME_MAX}));
    EXPECT(-EINVAL, leaf_template(ALICE), t.dns[0] = ((struct text){text, X509_DNS_NAME_MAX + 1}));
    EXPECT(-EINVAL, leaf_template(ALICE), t.dns[2] = TEXT("a b"));
    EXPECT(-EINVAL, leaf_template(ALICE), t.not_after_s = t.not_before_s);
    EXPECT(-EINVAL, leaf_template(ALICE), t.not_after_s = 253402300800);
    EXPECT(-EINVAL, leaf_template(ALICE), t.not_before_s = -631152001);
    EXPECT(-EINVAL, leaf_template(ALICE), t.path_len = 1);
    EXPECT(0, ca_template("x"), );
    EXPECT(0, ca_template("x"), t.path_len = 127);
    EXPECT(-EINVAL, ca_template("x"), t.path_len = 128);
    EXPECT(-EINVAL, ca_template("x"), t.path_len = -2);
    EXPECT(-EINVAL, ca_template("x"), t.server = true);
    EXPECT(-EINVAL, ca_template("x"), t.common_name = t.organization = TEXT(""));
#undef EXPECT
}

static void test_who_may_issue(void **state)
{
    (void)state;
    struct party leaf = leaf_make(ALICE, &root), stranger = root_make("stranger");
    struct x509_template limited_template = ca_template("limited"), t = leaf_template(BOB);
    limited_template.path_len = 0;
    struct party limited = party_make(&limited_template, &root);

    assert_int_equal(make(&t, &leaf), -EINVAL);
    assert_int_equal(make(&t, &(struct party){stranger.key, root.cert}), -EINVAL);
    assert_int_equal(make(&t, &limited), 0);
    t = ca_template("below");
    assert_int_equal(make(&t, &limited), -EINVAL);
    assert_int_equal(make(&t, &root), 0);
    assert_int_equal(make(&t, NULL), 0);
    /* Self-signed with another's key would not be self-signed. */
    struct x509 c;
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len;
    key_public_der(leaf.key, public_key, sizeof public_key, &len);
    assert_int_equal(x509_make(&t, public_key, len, NULL, stranger.key, &c), -EINVAL);
    t = leaf_template(BOB);
    assert_int_equal(x509_make(&t, public_key, len - 1, &root.cert, root.key, &c), -EINVAL);
    public_key[20] ^= 1; /* another curve's OID */
    assert_int_equal(x509_make(&t, public_key, len, &root.cert, root.key, &c), -ENOTSUP);
    party_done(&limited);
    party_done(&leaf);
    party_done(&stranger);
}

static void test_serials_differ(void **state)
{
    (void)state;
    enum { N = 200 };
    static char serials[N][2 * X509_SERIAL_MAX + 1];
    struct x509_template t = leaf_template(ALICE);
    uint8_t public_key[KEY_PUBLIC_MAX];
    size_t len, n_full = 0;

    key_public_der(root.key, public_key, sizeof public_key, &len);
    for (size_t i = 0; i < N; i++) {
        struct x509 c;
        assert_int_equal(x509_make(&t, public_key, len, &root.cert, root.key, &c), 0);
        x509_serial_text(&c, serials[i]);
        n_full += c.serial_len == 16;
        assert_in_range(c.serial_len, 12, 16);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(serials[k], serials[i]);
        x509_done(&c);
    }
    assert_true(n_full > N * 9 / 10);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct x509_template t = leaf_template(ALICE);
    uint8_t public_key[KEY_PUBLIC_MAX];
    struct x509 c;
    size_t len;
    int r;

    key_public_der(root.key, public_key, sizeof public_key, &len);
    for (long n = 0;; n++) {
        alloc_fail_at(n);
        r = x509_make(&t, public_key, len, &root.cert, root.key, &c);
        if (!alloc_failed())
            break;
        assert_true(r == -ENOMEM || r == -EIO);
    }
    assert_int_equal(r, 0);
    x509_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openssl_reads_a_leaf),
        cmocka_unit_test(test_openssl_reads_authorities),
        cmocka_unit_test(test_openssl_verifies),
        cmocka_unit_test(test_dates_are_exact),
        cmocka_unit_test(test_limits_of_a_template),
        cmocka_unit_test(test_who_may_issue),
        cmocka_unit_test(test_serials_differ),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
