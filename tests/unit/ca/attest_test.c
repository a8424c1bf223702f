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

int main(void)
{
#define WITH_TOKEN(f) cmocka_unit_test_setup_teardown(f, with_token, bench_done)
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(good_until_it_expires),  WITH_TOKEN(each_is_its_own),
        WITH_TOKEN(refuses_all_others),     WITH_TOKEN(is_not_in_the_store),
        WITH_TOKEN(an_error_is_no_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
