/* What a service account's token says of itself, before it is reviewed. */
#include "ca/account_token.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>
#include <stdlib.h>

enum { NOW_S = 1800000000 };

static int64_t expires_s;
static const char *why;

static int read_token(const char *token)
{
    expires_s = 0;
    why = NULL;
    return account_token_read(text_of(token), "weir-ca", NOW_S, &expires_s, &why);
}

/* The claims are written as base64url by hand, so that nothing of ours vouches for itself. */
#define HEAD     "eyJhbGciOiJSUzI1NiJ9."
#define SIGNATURE ".c2lnbmF0dXJl"
#define GOOD     HEAD "eyJhdWQiOlsid2Vpci1jYSJdLCJleHAiOjE5MDAwMDAwMDB9" SIGNATURE

static void what_is_taken(void **state)
{
    (void)state;
    assert_int_equal(read_token(GOOD), 0);
    assert_int_equal(expires_s, 1900000000);
    /* {"aud":"weir-ca","exp":1800000001}: one audience may be a string, and a second is left. */
    assert_int_equal(
        read_token(HEAD "eyJhdWQiOiJ3ZWlyLWNhIiwiZXhwIjoxODAwMDAwMDAxfQ" SIGNATURE), 0);
    assert_int_equal(expires_s, NOW_S + 1);
    /* {"aud":["api","weir-ca"],"exp":1900000000} */
    assert_int_equal(
        read_token(HEAD "eyJhdWQiOlsiYXBpIiwid2Vpci1jYSJdLCJleHAiOjE5MDAwMDAwMDB9" SIGNATURE), 0);
}

static void refused(const char *token, const char *reason)
{
    assert_int_equal(read_token(token), -EACCES);
    assert_string_equal(why, reason);
    assert_int_equal(expires_s, 0);
}

static void what_is_not(void **state)
{
    (void)state;
    /* {"aud":"weir-ca","exp":1800000000} */
    refused(HEAD "eyJhdWQiOiJ3ZWlyLWNhIiwiZXhwIjoxODAwMDAwMDAwfQ" SIGNATURE,
            "the token has expired");
    /* {"aud":["api"],"exp":1900000000}, {"exp":1900000000} */
    refused(HEAD "eyJhdWQiOlsiYXBpIl0sImV4cCI6MTkwMDAwMDAwMH0" SIGNATURE,
            "the token is for another audience");
    refused(HEAD "eyJleHAiOjE5MDAwMDAwMDB9" SIGNATURE, "the token is for another audience");
    /* {"aud":"weir-ca"}, {"aud":"weir-ca","exp":"1900000000"}, {"aud":"weir-ca","exp":-1} */
    refused(HEAD "eyJhdWQiOiJ3ZWlyLWNhIn0" SIGNATURE,
            "the token does not say when it ends: it is no projected one");
    refused(HEAD "eyJhdWQiOiJ3ZWlyLWNhIiwiZXhwIjoiMTkwMDAwMDAwMCJ9" SIGNATURE,
            "the token does not say when it ends: it is no projected one");
    refused(HEAD "eyJhdWQiOiJ3ZWlyLWNhIiwiZXhwIjotMX0" SIGNATURE,
            "the token does not say when it ends: it is no projected one");
}

static void what_is_none(void **state)
{
    static const char *const none[] = {
        "", ".", "..", "a.b", "a.b.c.d", "a.!!!!.c", "a.e30=.c", "a.W1.c", "a.eyJhdWQi.c",
        "a.bbbbb.c", GOOD ".",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        assert_int_equal(read_token(none[i]), -EACCES);
    refused(GOOD ".", "the token is malformed");
    assert_false(account_token_is(text_of("kP3x_-0"))); /* as weir-ca token makes them */
    assert_false(account_token_is(text_of("a.b")));
    assert_true(account_token_is(text_of("a.b.c")));
    char *longest = malloc(ACCOUNT_TOKEN_MAX + 2);
    assert_non_null(longest);
    memset(longest, 'A', ACCOUNT_TOKEN_MAX + 1);
    longest[ACCOUNT_TOKEN_MAX + 1] = '\0';
    longest[1] = longest[ACCOUNT_TOKEN_MAX - 1] = '.';
    refused(longest, "the token is malformed");
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(what_is_not),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
