#define _GNU_SOURCE
#include "shared/tls/pem.h"

#include <errno.h>

#include "tests/unit/shared/base/test.h"

static void test_any_bytes_and_back(void **state)
{
    (void)state;
    struct rng r;
    test_seed(&r);
    for (size_t len = 0; len < 300; len++) {
        uint8_t data[300], back[300];
        char text[1024];
        size_t n_text, n_back;
        struct pem_block block;

        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)rng_u64(&r);
        assert_int_equal(pem_encode("A LABEL", data, len, text, sizeof text, &n_text), 0);
        assert_int_equal(strlen(text), n_text);
        for (const char *line = text; *line; line = strchr(line, '\n') + 1)
            assert_true(strchr(line, '\n') - line <= 64);
        /* Exactly as much room as it needs, and one byte less. */
        assert_int_equal(pem_encode("A LABEL", data, len, text, n_text + 1, &n_text), 0);
        assert_int_equal(pem_encode("A LABEL", data, len, text, n_text, &n_back), -ENOBUFS);

        struct text in = {text, n_text};
        assert_int_equal(pem_next(&in, &block), 1);
        assert_true(text_equal(block.label, TEXT("A LABEL")));
        assert_int_equal(pem_decode(block.body, back, len, &n_back), 0);
        assert_int_equal(n_back, len);
        assert_memory_equal(back, data, len);
        if (len > 0)
            assert_int_equal(pem_decode(block.body, back, len - 1, &n_back), -ENOBUFS);
        assert_int_equal(pem_next(&in, &block), 0);
    }
}

static void test_blocks_among_text(void **state)
{
    (void)state;
    struct pem_block block;
    struct text in = TEXT("subject: me\n-----BEGIN A-----\r\nAAAA\r\n-----END A-----\r\n"
                          "-----BEGIN B-----\nQQ==\n-----END B-----");
    assert_int_equal(pem_next(&in, &block), 1);
    assert_true(text_equal(block.label, TEXT("A")));
    assert_true(text_equal(block.body, TEXT("AAAA\r\n")));
    assert_int_equal(pem_next(&in, &block), 1);
    assert_true(text_equal(block.label, TEXT("B")));
    assert_int_equal(pem_next(&in, &block), 0);
    assert_int_equal(pem_next(&in, &block), 0);
}

static void test_broken_blocks(void **state)
{
    (void)state;
    struct pem_block block;
    struct text no_end = TEXT("-----BEGIN A-----\nAAAA\n"),
                other_end = TEXT("-----BEGIN A-----\nAAAA\n-----END B-----\n"),
                no_line = TEXT("x-----BEGIN A-----\nAAAA\n-----END A-----\n"),
                short_dashes = TEXT("-----BEGIN A----\n"), only = TEXT("-----BEGIN -----");
    assert_int_equal(pem_next(&no_end, &block), -EINVAL);
    assert_int_equal(pem_next(&other_end, &block), -EINVAL);
    assert_int_equal(pem_next(&no_line, &block), 0);
    assert_int_equal(pem_next(&short_dashes, &block), 0);
    assert_int_equal(pem_next(&only, &block), -EINVAL);
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {"A",     "AA",       "AAA",  "A===",  "AA=",      "AA=A",
                                      "=AAA",  "AAA==",    "AB==", "AAB=",  "AA==AA==", "AAAA-",
                                      "AA\0A", "AAAA====", "A_AA", "AA==x", "é",        "AAAA="};
    uint8_t out[64];
    size_t len;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (pem_decode(text_of(bad[i]), out, sizeof out, &len) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(pem_decode(TEXT("AA\0A"), out, sizeof out, &len), -EINVAL);
    assert_int_equal(pem_decode(TEXT("AA==\0"), out, sizeof out, &len), -EINVAL);
    assert_int_equal(pem_decode(TEXT(" Z m\n9v\t\r\n "), out, sizeof out, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(out, "foo", 3);
    assert_int_equal(pem_decode(TEXT(""), out, sizeof out, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(pem_decode(TEXT("+/+/"), out, sizeof out, &len), 0);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_bytes_and_back),
        cmocka_unit_test(test_blocks_among_text),
        cmocka_unit_test(test_broken_blocks),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
