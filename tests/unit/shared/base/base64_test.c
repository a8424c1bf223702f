/* Base 64: the vectors of RFC 4648 (section 10), both alphabets; what does not fit shows. */
#include "shared/base/base64.h"
#include "shared/base/list.h"
#include "tests/unit/shared/base/test.h"

static const char *padded(const char *plain, char out[static 64])
{
    struct text_out o = {out, 0, 64, false};
    base64_put(&o, (const uint8_t *)plain, strlen(plain));
    assert_false(o.overflow);
    assert_int_equal(strlen(out), o.len);
    return out;
}

static const char *bare(const char *plain, char out[static 64])
{
    struct text_out o = {out, 0, 64, false};
    base64url_put(&o, (const uint8_t *)plain, strlen(plain));
    assert_false(o.overflow);
    return out;
}

static void the_vectors_of_the_rfc(void **state)
{
    static const struct {
        const char *plain, *padded, *bare;
    } rows[] = {
        {"f", "Zg==", "Zg"},           {"fo", "Zm8=", "Zm8"},         {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"}, {"fooba", "Zm9vYmE=", "Zm9vYmE"}, {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_string_equal(padded(rows[i].plain, out), rows[i].padded);
        assert_string_equal(bare(rows[i].plain, out), rows[i].bare);
    }
}

static void each_letter(void **state)
{
    uint8_t all[48];
    char out[BASE64_TEXT_MAX(sizeof all)];
    struct text_out o = TEXT_OUT(out), u;
    (void)state;
    for (unsigned i = 0; i < 64; i += 4) {
        uint32_t group = i << 18 | (i + 1) << 12 | (i + 2) << 6 | (i + 3);
        for (unsigned k = 0; k < 3; k++)
            all[i / 4 * 3 + k] = (uint8_t)(group >> (16 - 8 * k));
    }
    base64_put(&o, all, sizeof all);
    assert_string_equal(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    u = TEXT_OUT(out);
    base64url_put(&u, all, sizeof all);
    assert_string_equal(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    assert_false(u.overflow);
}

static void the_room_is_enough_and_no_less(void **state)
{
    char out[BASE64_TEXT_MAX(4)];
    (void)state;
    struct text_out o = TEXT_OUT(out);
    base64_put(&o, (const uint8_t *)"foob", 4);
    assert_false(o.overflow);
    o = (struct text_out){out, 0, sizeof out - 1, false};
    base64_put(&o, (const uint8_t *)"foob", 4);
    assert_true(o.overflow);
    o = TEXT_OUT(out);
    base64_put(&o, NULL, 0);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(each_letter),
        cmocka_unit_test(the_room_is_enough_and_no_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
