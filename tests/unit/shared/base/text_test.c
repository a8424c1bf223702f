#include "shared/base/text.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <ctype.h>

static void assert_text(struct text t, const char *expected)
{
    assert_int_equal(t.len, strlen(expected));
    assert_memory_equal(t.data, expected, t.len);
}

static void compares(void **state)
{
    (void)state;
    assert_true(text_equal_nocase(TEXT("Content-Length"), TEXT("content-lENGTH")));
    assert_false(text_equal_nocase(TEXT("a"), TEXT("ab")));
    assert_false(text_equal_nocase(TEXT("@"), TEXT("`"))); /* 0x40 and 0x60 are no letters */
    assert_false(text_equal_nocase(TEXT("\xc4"), TEXT("\xe4")));
    assert_true(text_equal(text_of(NULL), TEXT("")));
    assert_true(text_starts_with(TEXT("abc"), TEXT("ab")));
    assert_true(text_starts_with(TEXT("abc"), TEXT("")));
    assert_false(text_starts_with(TEXT("a"), TEXT("ab")));
    assert_true(text_ends_with(TEXT("abc"), TEXT("bc")));
    assert_true(text_ends_with(TEXT("abc"), TEXT("abc")));
    assert_false(text_ends_with(TEXT("c"), TEXT("bc")));
}

/* Each byte, against libc in the locale "C". */
static void knows_letters_and_digits(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char hex[] = {'%', '4', (char)c, 'x'};
        char *end, digit[2] = {(char)c, '\0'};
        long value = isxdigit(c) ? strtol(digit, &end, 16) : -1;
        assert_int_equal(text_lower((char)c), (char)tolower(c));
        assert_int_equal(text_hex_digit((char)c), value);
        assert_int_equal(text_percent_byte((struct text){hex, 4}), value < 0 ? -1 : 0x40 + value);
    }
    assert_int_equal(text_percent_byte(TEXT("%ff")), 0xff);
    assert_int_equal(text_percent_byte(TEXT("%00")), 0);
    assert_int_equal(text_percent_byte(TEXT("")), -1);
    assert_int_equal(text_percent_byte((struct text){"%41", 2}), -1);
    assert_int_equal(text_percent_byte(TEXT("%x1")), -1);
    assert_int_equal(text_percent_byte(TEXT("41x")), -1);
}

static void trims_and_splits(void **state)
{
    (void)state;
    struct text head = TEXT("untouched"), tail = head;

    assert_text(text_trim(TEXT(" \t a b\t ")), "a b");
    assert_text(text_trim(TEXT(" \t ")), "");
    assert_text(text_trim(TEXT("a\n")), "a\n");
    assert_false(text_split(TEXT("abc"), '=', &head, &tail));
    assert_text(head, "untouched");
    assert_true(text_split(TEXT("a=b=c"), '=', &head, &tail));
    assert_text(head, "a");
    assert_text(tail, "b=c");
    assert_true(text_split(TEXT("="), '=', &head, &tail));
    assert_text(head, "");
    assert_text(tail, "");
    assert_false(text_split((struct text){NULL, 0}, '=', &head, &tail));
}

static void reads_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0, 0},
        {"65535", 65535, 0, 65535},
        {"65536", 65535, -ERANGE, 0},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
        {"184467440737095516150", UINT64_MAX, -ERANGE, 0},
        {"000007", 10, 0, 7},
        {"", 10, -EINVAL, 0},
        {"-1", 10, -EINVAL, 0},
        {"+1", 10, -EINVAL, 0},
        {" 1", 10, -EINVAL, 0},
        {"1 ", 10, -EINVAL, 0},
        {"0x1", 10, -EINVAL, 0},
        {"999x", 10, -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t value = 77;
        print_message("  \"%s\"\n", cases[i].text);
        assert_int_equal(text_to_u64(text_of(cases[i].text), cases[i].max, &value),
                         cases[i].result);
        assert_int_equal(value, cases[i].result == 0 ? cases[i].value : 77);
    }
}

static void reads_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        uint64_t ms;
    } cases[] = {
        {"10", 0, 10000},
        {"10s", 0, 10000},
        {"5m", 0, 300000},
        {"24h", 0, 86400000},
        {"1500ms", 0, 1500},
        {"2d", 0, 172800000},
        {"0s", 0, 0},
        {"0.5s", 0, 500},
        {"1.25h", 0, 4500000},
        {"0.0004s", 0, 0},
        {"1h30m", 0, 5400000},
        {"1h30m10s5ms", 0, 5410005},
        {"1.5", 0, 1500},
        {"0.12345678901234567890s", 0, 123},
        {"", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {"10x", -EINVAL, 0},
        {"10 s", -EINVAL, 0},
        {"-1s", -EINVAL, 0},
        {".5s", -EINVAL, 0},
        {"5.s", -EINVAL, 0},
        {"1h30", -EINVAL, 0},
        {"10 1h", -EINVAL, 0},
        {"1.5.5s", -EINVAL, 0},
        {"10S", -EINVAL, 0},
        {"18446744073709551615ms", 0, UINT64_MAX},
        {"18446744073709551615s", -ERANGE, 0},
        {"18446744073709551615ms1ms", -ERANGE, 0},
        {"99999999999999999999s", -ERANGE, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t ms = 77;
        print_message("  \"%s\"\n", cases[i].text);
        assert_int_equal(text_to_duration_ms(text_of(cases[i].text), &ms), cases[i].result);
        assert_int_equal(ms, cases[i].result == 0 ? cases[i].ms : 77);
    }
}

static void knows_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"\xef\xbf\xbf\xf4\x8f\xbf\xbf", true},
        {"\x80", false},             /* a rest without a beginning */
        {"\xc3", false},             /* cut */
        {"\xe2\x82", false},         /* cut */
        {"\xc0\xaf", false},         /* overlong */
        {"\xe0\x80\xaf", false},     /* overlong */
        {"\xf0\x80\x80\xaf", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* a surrogate */
        {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xc3(", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(text_is_utf8(text_of(cases[i].text)), cases[i].good);
}

static void escapes(void **state)
{
    (void)state;
    char out[256], piece[TEXT_ESCAPE_MAX];
    struct text_out o = TEXT_OUT(out);
    struct text t = TEXT("a\"\\\n\t\x01\x1f\x7f/\xc2\x85\xc3\xa4\xf0\x9f\x98\x80\xff\xc3(\0z");
    size_t n;

    while ((n = text_escape_next(&t, piece)) > 0)
        text_put(&o, (struct text){piece, n});
    assert_string_equal(out, "a\\\"\\\\\\n\\t\\u0001\\u001f\\u007f/\\u0085\xc3\xa4\xf0\x9f\x98\x80"
                             "\\ufffd\\ufffd(\\u0000z");
    assert_int_equal(t.len, 0);
}

static void out_is_bounded(void **state)
{
    (void)state;
    struct {
        char data[8];
        char guard[8];
    } m = {.guard = "unhurt"};
    struct text_out o = TEXT_OUT(m.data);

    assert_string_equal(m.data, "");
    text_puts(&o, "abc");
    text_printf(&o, "%d", 12);
    text_putc(&o, 'x');
    assert_string_equal(m.data, "abc12x");
    assert_false(o.overflow);
    text_putc(&o, 'y');
    assert_false(o.overflow); /* seven and the NUL fit exactly */
    text_puts(&o, "");
    assert_false(o.overflow);
    text_putc(&o, 'z');
    assert_true(o.overflow);
    assert_string_equal(m.data, "abc12xy");

    o = TEXT_OUT(m.data);
    text_puts(&o, "0123456789");
    assert_string_equal(m.data, "0123456");
    assert_true(o.overflow);
    assert_int_equal(o.len, 7);

    o = TEXT_OUT(m.data);
    text_puts(&o, "ab");
    text_printf(&o, "%s", "0123456789");
    assert_string_equal(m.data, "ab01234");
    assert_int_equal(o.len, 7);
    assert_true(o.overflow);
    text_printf(&o, "%d", 1);
    assert_string_equal(m.data, "ab01234");

    o = TEXT_OUT(m.data);
    text_printf(&o, "%s", "0123456");
    assert_false(o.overflow);
    assert_string_equal(m.data, "0123456");
    assert_string_equal(m.guard, "unhurt");

    struct text_out none = {0};
    text_puts(&none, "a");
    assert_true(none.overflow);
    none.overflow = false;
    text_printf(&none, "a");
    assert_true(none.overflow);
}

static void heap_grows_to_its_maximum(void **state)
{
    (void)state;
    struct text_heap h;

    text_heap_init(&h, 1000);
    assert_null(h.data);
    for (int i = 0; i < 100; i++)
        text_heap_printf(&h, "%09d\n", i);
    assert_int_equal(h.len, 1000);
    assert_false(h.failed);
    assert_int_equal(strlen(h.data), 1000);
    assert_memory_equal(h.data + 990, "000000099\n", 10);
    text_heap_puts(&h, "x");
    assert_true(h.failed);
    assert_int_equal(h.len, 1000);
    text_heap_done(&h);
    assert_false(h.failed);
    text_heap_puts(&h, "again");
    assert_string_equal(h.data, "again");
    text_heap_done(&h);

    text_heap_init(&h, 3);
    text_heap_printf(&h, "%s", "abcd");
    assert_true(h.failed);
    text_heap_puts(&h, "a"); /* after a failure nothing more, or there would be a gap */
    assert_int_equal(h.len, 0);
    text_heap_done(&h);
}

static void heap_survives_no_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct text_heap h;
        text_heap_init(&h, SIZE_MAX);
        alloc_fail_at(n);
        char *copy = text_dup(TEXT("copy"));
        for (int i = 0; i < 200; i++)
            text_heap_puts(&h, "0123456789");
        bool failed = alloc_failed();
        assert_int_equal(!copy || h.failed, failed);
        if (!h.failed)
            assert_int_equal(h.len, 2000);
        if (copy)
            assert_string_equal(copy, "copy");
        free(copy);
        text_heap_done(&h);
        if (!failed) {
            assert_true(n >= 3);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),
        cmocka_unit_test(knows_letters_and_digits),
        cmocka_unit_test(trims_and_splits),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(escapes),
        cmocka_unit_test(out_is_bounded),
        cmocka_unit_test(heap_grows_to_its_maximum),
        cmocka_unit_test(heap_survives_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
