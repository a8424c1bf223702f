/* Tokens: made once, kept as digests only, good for their node until they expire. */
#include "tests/unit/ca/ca_fixture.h"

#include "ca/attest.h"

static char token[ATTEST_TOKEN_TEXT_MAX];

static int with_token(void **state)
{
    bench_store(state);
    assert_int_equal(attest_make_token(bench.store, "node-a", bench.now_s + 100, token), 0);
    return 0;
}

static int attest(struct text bearer, int64_t now_s, const char *expected_why)
{
    char *node = NULL;
    const char *why = NULL;
    int r = attest_node(bench.store, bearer, now_s, &node, &why);
    if (r == 0)
        assert_string_equal(node, "node-a");
    else
        assert_null(node);
    if (expected_why)
        assert_string_equal(why, expected_why);
    free(node);
    return r;
}

#define UNKNOWN "the token is unknown"

static void good_until_it_expires(void **state)
{
    (void)state;
    assert_int_equal(attest(text_of(token), bench.now_s, NULL), 0);
    assert_int_equal(attest(text_of(token), bench.now_s, NULL), 0); /* renewals bring it again */
    assert_int_equal(attest(text_of(token), bench.now_s + 99, NULL), 0);
    assert_int_equal(attest(text_of(token), bench.now_s + 100, "the token has expired"), -EACCES);
    assert_int_equal(attest(text_of(token), INT64_MAX, "the token has expired"), -EACCES);
    bench.store = store_close(bench.store);
    store_must_open();
    assert_int_equal(attest(text_of(token), bench.now_s, NULL), 0);
}

static void each_is_its_own(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char other[ATTEST_TOKEN_TEXT_MAX], *node;
    const char *why;
    (void)state;
    assert_int_equal(strlen(token), 43); /* 256 bits */
    assert_int_equal(strspn(token, digits), 43);
    assert_int_equal(attest_make_token(bench.store, "node-b", bench.now_s + 100, other), 0);
    assert_string_not_equal(token, other);
    assert_int_equal(attest_node(bench.store, text_of(other), bench.now_s, &node, &why), 0);
    assert_string_equal(node, "node-b");
    free(node);
    assert_int_equal(attest(text_of(token), bench.now_s, NULL), 0);
}

static void refuses_all_others(void **state)
{
    char changed[ATTEST_TOKEN_TEXT_MAX + 1];
    size_t size = 1024 * 1024;
    char *huge = malloc(size);
    (void)state;
    assert_non_null(huge);
    assert_int_equal(attest(TEXT(""), bench.now_s, "there is no token"), -EACCES);
    assert_int_equal(attest((struct text){NULL, 0}, bench.now_s, "there is no token"), -EACCES);
    assert_int_equal(attest(TEXT("x"), bench.now_s, UNKNOWN), -EACCES);
    assert_int_equal(attest(TEXT("' OR 1=1 --"), bench.now_s, UNKNOWN), -EACCES);
    for (size_t i = 0; token[i]; i++) {
        memcpy(changed, token, sizeof token);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(attest(text_of(changed), bench.now_s, UNKNOWN), -EACCES);
        assert_int_equal(attest((struct text){token, i}, bench.now_s, NULL), -EACCES);
    }
    static const char more[] = {' ', '\n', '\0', 'A', '='};
    for (size_t i = 0; i < sizeof more; i++) {
        memcpy(changed, token, 43);
        changed[43] = more[i];
        assert_int_equal(attest((struct text){changed, 44}, bench.now_s, UNKNOWN), -EACCES);
    }
    memset(huge, 'A', size);
    memcpy(huge, token, 43);
    assert_int_equal(attest((struct text){huge, size}, bench.now_s, UNKNOWN), -EACCES);
    /* The digest itself is no token. */
    uint8_t digest[DIGEST_BYTES];
    assert_int_equal(digest_sha256(text_of(token), digest), 0);
    assert_int_equal(attest((struct text){(char *)digest, sizeof digest}, bench.now_s, UNKNOWN),
                     -EACCES);
    free(huge);
}

/* Whoever reads the files has no token. */
static void is_not_in_the_store(void **state)
{
    static const char *const names[] = {"state/ca.db", "state/ca.db-wal"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[128];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", bench.folder, names[i]);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        assert_int_equal(fstat(fileno(f), &st), 0);
        char *data = malloc((size_t)st.st_size + 1);
        assert_non_null(data);
        assert_int_equal(fread(data, 1, (size_t)st.st_size, f), st.st_size);
        fclose(f);
        assert_null(memmem(data, (size_t)st.st_size, token, 43));
        assert_null(memmem(data, (size_t)st.st_size, token, 12));
        if (i == 1) /* where it was written last */
            assert_non_null(memmem(data, (size_t)st.st_size, "node-a", 6));
        free(data);
    }
}

static void an_error_is_no_refusal(void **state)
{
    (void)state;
    sql_run("ALTER TABLE token RENAME TO gone");
    assert_int_equal(attest(text_of(token), bench.now_s, "the token can't be looked up"), -EIO);
    char other[ATTEST_TOKEN_TEXT_MAX];
    assert_int_equal(attest_make_token(bench.store, "n", 1, other), -EIO);
}

/* ---- join tokens, and what comes of them --------------------------------------- */

static char join[ATTEST_TOKEN_TEXT_MAX];
static uint8_t digest[DIGEST_BYTES];
static struct attested who;
static bool spends;

static int with_join(void **state)
{
    const struct join_record j = {ALICE, "10.1.0.0/16", 100, 200};
    bench_store(state);
    assert_int_equal(attest_make_join(bench.store, &j, join), 0);
    return 0;
}

static int join_from(const char *text, const char *address, int64_t now_s, const char *expected_why)
{
    struct ip from;
    const char *why = "";
    assert_int_equal(ip_parse(text_of(address), &from), 0);
    memset(&who, 0, sizeof who);
    int r = attest_join(bench.store, text_of(text), &from, now_s, &who, digest, &spends, &why);
    assert_string_equal(why, expected_why);
    assert_string_equal(who.id.text, r == 0 ? ALICE : "");
    return r;
}

static void a_join_token_is_for_its_identity_and_place(void **state)
{
    (void)state;
    assert_int_equal(join_from(join, "10.1.2.3", 199, ""), 0);
    assert_true(spends);
    assert_int_equal(who.role, ATTEST_JOINED);
    assert_string_equal(who.name, ALICE);
    assert_int_equal(join_from(join, "10.1.2.3", 200, "the join token has expired"), -EACCES);
    assert_true(spends); /* shown is spent */
    assert_int_equal(join_from(join, "10.2.2.3", 199, "the join token is not for that address"),
                     -EACCES);
    assert_true(spends);
    assert_int_equal(join_from(join, "fd00::1", 199, "the join token is not for that address"),
                     -EACCES);
    assert_int_equal(join_from("x", "10.1.2.3", 199, UNKNOWN), -EACCES);
    assert_false(spends);
    /* It is no node's. */
    assert_int_equal(attest(text_of(join), 150, UNKNOWN), -EACCES);
    assert_int_equal(store_spend_join(bench.store, digest), -ENOENT); /* the digest of "x" */
    assert_int_equal(join_from(join, "10.1.2.3", 150, ""), 0);
    assert_int_equal(store_spend_join(bench.store, digest), 0);
    assert_int_equal(join_from(join, "10.1.2.3", 150, UNKNOWN), -EACCES);
    sql_run("ALTER TABLE join_token RENAME TO gone");
    assert_int_equal(join_from(join, "10.1.2.3", 150, "the token can't be looked up"), -EIO);
    assert_false(spends);
}

static int with_certificate(const char *uri, const char *serial, int64_t now_s,
                            const char *expected_why)
{
    const char *why = "";
    memset(&who, 0, sizeof who);
    int r = attest_certificate(bench.store, uri, serial, now_s, &who, &why);
    assert_string_equal(why, expected_why);
    assert_string_equal(who.id.text, r == 0 ? uri : "");
    return r;
}

static void issued_by(const char *serial, const char *proof)
{
    const struct issued_record i = {serial, ALICE, "n", 1, 1000, 2, proof};
    assert_int_equal(store_put_issued(bench.store, &i), 0);
}

static void certificates_that_renew_themselves(void **state)
{
    static const char *const others[] = {PROOF_NODE_TOKEN, PROOF_ACCOUNT, PROOF_COMMAND_LINE,
                                         PROOF_ITSELF,     PROOF_NONE,    ""};
    (void)state;
    issued_by("01", PROOF_JOIN_TOKEN);
    issued_by("02", PROOF_CERTIFICATE);
    assert_int_equal(with_certificate(ALICE, "01", 999, ""), 0);
    assert_int_equal(who.role, ATTEST_JOINED);
    assert_int_equal(with_certificate(ALICE, "02", 999, ""), 0);
    assert_int_equal(with_certificate(ALICE, "01", 1000, "the certificate has expired"), -EACCES);
    assert_int_equal(
        with_certificate(BOB, "01", 999, "the certificate was issued to another identity"),
        -EACCES);
    assert_int_equal(with_certificate(ALICE, "03", 999, "the certificate is not one of ours"),
                     -EACCES);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        char serial[8];
        snprintf(serial, sizeof serial, "f%zu", i);
        issued_by(serial, others[i]);
        assert_int_equal(
            with_certificate(ALICE, serial, 999, "the certificate is not one that renews itself"),
            -EACCES);
    }
    assert_int_equal(store_put_revocation(bench.store, REVOKED_SERIAL, "01", 5, ""), 0);
    assert_int_equal(with_certificate(ALICE, "01", 999, "the certificate is revoked"), -EACCES);
    assert_int_equal(with_certificate(ALICE, "02", 999, ""), 0);
    sql_run("ALTER TABLE issued RENAME TO gone");
    assert_int_equal(with_certificate(ALICE, "02", 999, "the certificate can't be looked up"),
                     -EIO);
}

int main(void)
{
#define WITH_TOKEN(f) cmocka_unit_test_setup_teardown(f, with_token, bench_done)
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(good_until_it_expires),
        WITH_TOKEN(each_is_its_own),
        WITH_TOKEN(refuses_all_others),
        WITH_TOKEN(is_not_in_the_store),
        WITH_TOKEN(an_error_is_no_refusal),
        cmocka_unit_test_setup_teardown(a_join_token_is_for_its_identity_and_place, with_join,
                                        bench_done),
        WITH_TOKEN(certificates_that_renew_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
