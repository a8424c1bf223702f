#define _GNU_SOURCE
#include "shared/tls/digest.h"

#include "tests/unit/shared/base/test.h"

/* FIPS 180-4's examples. */
static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        struct text in;
        const char *out;
    } cases[] = {
        {{"", 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {{"abc", 3}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56},
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t digest[DIGEST_BYTES];
        char text[DIGEST_TEXT_MAX];
        assert_int_equal(digest_sha256(cases[i].in, digest), 0);
        digest_print(digest, text);
        assert_string_equal(text, cases[i].out);
    }
}

static void test_equal(void **state)
{
    (void)state;
    uint8_t a[DIGEST_BYTES] = {1, 2, 3}, b[DIGEST_BYTES] = {1, 2, 3};
    assert_true(digest_equal(a, b));
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        b[i] ^= 0x80;
        assert_false(digest_equal(a, b));
        b[i] ^= 0x80;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
