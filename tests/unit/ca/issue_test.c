/*
 * Certificates: what they say is what was authenticated and nothing else; their validity stays in
 * the issuer's; each is in the ledger before anybody has it. openssl reads and verifies them.
 */
#include "tests/unit/ca/ca_fixture.h"

static uint8_t public_der[KEY_PUBLIC_MAX];
static struct issued made;
static char why[STORE_WHY_MAX];

static int with_key(void **state)
{
    struct key *key;
    size_t len;
    bench_root(state);
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_der, sizeof public_der, &len), 0);
    key_unref(key);
    memset(&made, 0, sizeof made);
    return 0;
}

static int issue_for(const char *identity, int64_t ttl_s, int64_t now_s)
{
    struct spiffe_id id = id_of(identity);
    const struct issue_request q = {.id = &id,
                                    .node = "node-a",
                                    .public_der = public_der,
                                    .public_len = sizeof public_der,
                                    .ttl_s = ttl_s};
    why[0] = '\0';
    return issue(&bench.root, &q, now_s, &made, why);
}

/* The part of the text from `from` to the end of the next line. */
static const char *lines_at(const char *text, const char *from)
{
    static char part[512];
    const char *start = strstr(text, from);
    if (!start)
        fail_msg("no '%s' in: %s", from, text);
    const char *end = strchr(start, '\n');
    end = end ? strchr(end + 1, '\n') : NULL;
    snprintf(part, sizeof part, "%.*s", end ? (int)(end - start) : (int)strlen(start), start);
    return part;
}

static void says_the_identity_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(issue_for(ALICE, 3600, bench.now_s), 0);
    const char *text = openssl_text(made.leaf_pem);
    must_contain(text, "Subject: \n");
    must_contain(text, "Issuer: CN=Weir Issuing CA,O=Weir");
    assert_string_equal(lines_at(text, "X509v3 Subject Alternative Name"),
                        "X509v3 Subject Alternative Name: critical\n                URI:" ALICE);
    assert_string_equal(lines_at(text, "X509v3 Basic Constraints"),
                        "X509v3 Basic Constraints: critical\n                CA:FALSE");
    assert_string_equal(lines_at(text, "X509v3 Key Usage"),
                        "X509v3 Key Usage: critical\n                Digital Signature");
    assert_string_equal(lines_at(text, "X509v3 Extended Key Usage"),
                        "X509v3 Extended Key Usage: \n                TLS Web Server "
                        "Authentication, TLS Web Client Authentication");
    must_contain(text, "NIST CURVE: P-256");
    must_contain(text, "ecdsa-with-SHA256");
    openssl_verifies(made.leaf_pem, bench.root.intermediate_pem, bench.root.root_pem, 0);
}

static void the_key_is_the_request_s(void **state)
{
    struct x509 leaf;
    struct key *key;
    const char *parse_why;
    size_t n, len;
    (void)state;
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_der, sizeof public_der, &len), 0);
    assert_int_equal(issue_for(BOB, 3600, bench.now_s), 0);
    assert_int_equal(x509_from_pem(text_of(made.leaf_pem), &leaf, 1, &n, &parse_why), 0);
    assert_true(x509_has_key(&leaf, key));
    assert_string_equal(leaf.uri, BOB);
    assert_null(x509_check_svid_leaf(&leaf));
    char serial[2 * X509_SERIAL_MAX + 1];
    x509_serial_text(&leaf, serial);
    assert_string_equal(serial, made.serial);
    assert_int_equal(leaf.not_before_s, made.not_before_s);
    assert_int_equal(leaf.not_after_s, made.not_after_s);
    x509_done(&leaf);
    key_unref(key);
}

static void names_for_serving(void **state)
{
    struct spiffe_id id = id_of(ALICE);
    const struct text dns[] = {TEXT("weir-ca"), TEXT("weir-ca.weir-system.svc"), TEXT("a"),
                               TEXT("*.b")};
    const struct issue_request q = {.id = &id,
                                    .node = "",
                                    .public_der = public_der,
                                    .public_len = sizeof public_der,
                                    .ttl_s = 60,
                                    .dns = dns,
                                    .n_dns = ARRAY_SIZE(dns)};
    (void)state;
    assert_int_equal(issue(&bench.root, &q, bench.now_s, &made, why), 0);
    must_contain(openssl_text(made.leaf_pem),
                 "URI:" ALICE ", DNS:weir-ca, DNS:weir-ca.weir-system.svc, DNS:a, DNS:*.b");
    openssl_verifies(made.leaf_pem, bench.root.intermediate_pem, bench.root.root_pem, 0);
}

/* ---- validity --------------------------------------------------------------- */

static void expect_validity(int64_t ttl_s, int64_t now_s, int64_t from_s, int64_t to_s)
{
    struct x509 leaf;
    const char *parse_why;
    size_t n;
    assert_int_equal(issue_for(ALICE, ttl_s, now_s), 0);
    assert_int_equal(made.not_before_s, from_s);
    assert_int_equal(made.not_after_s, to_s);
    assert_int_equal(x509_from_pem(text_of(made.leaf_pem), &leaf, 1, &n, &parse_why), 0);
    assert_int_equal(leaf.not_before_s, from_s);
    assert_int_equal(leaf.not_after_s, to_s);
    x509_done(&leaf);
}

static void validity_stays_in_the_issuer_s(void **state)
{
    int64_t begin = bench.root.intermediate.not_before_s, end = bench.root.intermediate.not_after_s;
    int64_t now = bench.now_s;
    (void)state;
    expect_validity(3600, now, now - ISSUE_BACKDATE_S, now + 3600);
    expect_validity(1, now, now - ISSUE_BACKDATE_S, now + ISSUE_TTL_MIN_S);
    expect_validity(0, now, now - ISSUE_BACKDATE_S, now + ISSUE_TTL_MIN_S);
    expect_validity(-5, now, now - ISSUE_BACKDATE_S, now + ISSUE_TTL_MIN_S);
    expect_validity(INT64_MIN, now, now - ISSUE_BACKDATE_S, now + ISSUE_TTL_MIN_S);
    expect_validity(INT64_MAX / 2, now, now - ISSUE_BACKDATE_S, end);
    expect_validity(400 * DAY_S, now, now - ISSUE_BACKDATE_S, end);
    expect_validity(3600, begin + 10, begin, begin + 10 + 3600);
    expect_validity(3600, end - 1800, end - 1800 - ISSUE_BACKDATE_S, end);
    expect_validity(3600, end - 1, end - 1 - ISSUE_BACKDATE_S, end);
    openssl_verifies(made.leaf_pem, bench.root.intermediate_pem, bench.root.root_pem, end - 1);
    /* The clock was set back to before the issuer: what it may say of the time still, or nothing. */
    expect_validity(7200, begin - 3600, begin, begin + 3600);
    assert_int_equal(issue_for(ALICE, 3600, begin - 3600), -EKEYEXPIRED);
    must_contain(why, "clock");
    assert_int_equal(issue_for(ALICE, 3600, begin - 400 * DAY_S), -EKEYEXPIRED);
    assert_int_equal(issue_for(ALICE, 3600, end), -EKEYEXPIRED);
    must_contain(why, "expired");
    assert_int_equal(issue_for(ALICE, 3600, end + 400 * DAY_S), -EKEYEXPIRED);
}

/* After a renewal what was signed before leads to the root still, with the chain of its own. */
static void chains_hold_over_a_renewal(void **state)
{
    static struct issued before;
    static char old_pem[X509_PEM_MAX];
    int64_t later = bench.now_s + 200 * DAY_S;
    char out[4096];
    (void)state;
    assert_int_equal(issue_for(ALICE, 90 * DAY_S, later - 10), 0);
    before = made;
    memcpy(old_pem, bench.root.intermediate_pem, sizeof old_pem);
    assert_int_equal(root_refresh(&bench.root, later, why), 0);
    assert_string_not_equal(old_pem, bench.root.intermediate_pem);
    assert_int_equal(issue_for(ALICE, 90 * DAY_S, later), 0);
    openssl_verifies(before.leaf_pem, old_pem, bench.root.root_pem, later + 80 * DAY_S);
    openssl_verifies(made.leaf_pem, bench.root.intermediate_pem, bench.root.root_pem,
                     later + 80 * DAY_S);
    /* And only with its own. */
    text_write("leaf.pem", made.leaf_pem);
    text_write("old.pem", old_pem);
    text_write("root.pem", bench.root.root_pem);
    assert_int_not_equal(OPENSSL(bench.folder, out, "verify", "-no_check_time", "-CAfile",
                                 "root.pem", "-untrusted", "old.pem", "leaf.pem"),
                         0);
}

/* ---- the ledger -------------------------------------------------------------- */

static void each_is_in_the_ledger(void **state)
{
    char sql[512];
    (void)state;
    assert_int_equal(issue_for(ALICE, 3600, bench.now_s), 0);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM issued WHERE serial = '%s' AND identity = '" ALICE "' AND node ="
             " 'node-a' AND not_before = %lld AND not_after = %lld AND issued = %lld",
             made.serial, (long long)made.not_before_s, (long long)made.not_after_s,
             (long long)bench.now_s);
    assert_int_equal(sql_number(sql), 1);
    for (int i = 0; i < 200; i++)
        assert_int_equal(issue_for(ALICE, 3600, bench.now_s), 0);
    assert_int_equal(count_issued(), 201);
    /* 128 random bits: short ones are rare, and none comes twice. */
    assert_int_equal(sql_number("SELECT count(*) FROM issued WHERE length(serial) < 28"), 0);
}

static void no_ledger_no_certificate(void **state)
{
    (void)state;
    sql_run("ALTER TABLE issued RENAME TO gone");
    assert_int_equal(issue_for(ALICE, 3600, bench.now_s), -EIO);
    must_contain(why, "ledger");
    assert_string_equal(made.leaf_pem, "");
    assert_string_equal(made.serial, "");
    sql_run("ALTER TABLE gone RENAME TO issued");
    assert_int_equal(issue_for(ALICE, 3600, bench.now_s), 0);
}

static void bad_keys(void **state)
{
    uint8_t good[KEY_PUBLIC_MAX];
    (void)state;
    memcpy(good, public_der, sizeof good);
    memset(public_der, 0, sizeof public_der);
    assert_true(issue_for(ALICE, 3600, bench.now_s) < 0);
    assert_true(why[0] != '\0');
    memcpy(public_der, good, sizeof good);
    public_der[20] ^= 1; /* another curve */
    assert_true(issue_for(ALICE, 3600, bench.now_s) < 0);
    assert_int_equal(count_issued(), 0);
}

int main(void)
{
#define WITH_KEY(f) cmocka_unit_test_setup_teardown(f, with_key, bench_done)
    const struct CMUnitTest tests[] = {
        WITH_KEY(says_the_identity_and_nothing_else),
        WITH_KEY(the_key_is_the_request_s),
        WITH_KEY(names_for_serving),
        WITH_KEY(validity_stays_in_the_issuer_s),
        WITH_KEY(chains_hold_over_a_renewal),
        WITH_KEY(each_is_in_the_ledger),
        WITH_KEY(no_ledger_no_certificate),
        WITH_KEY(bad_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
