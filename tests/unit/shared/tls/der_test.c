#define _GNU_SOURCE
#include "shared/tls/der.h"

#include "tests/unit/shared/base/test.h"

static bool take(const char *bytes, size_t len, struct der *ret)
{
    uint8_t tag;
    struct der whole, in = {(const uint8_t *)bytes, len};
    return der_take_any(&in, &tag, ret, &whole);
}
#define TAKE(literal, ret) take((literal), sizeof(literal) - 1, (ret))

static void test_lengths(void **state)
{
    (void)state;
    static char large[70000];
    struct der c;

    assert_true(TAKE("\x04\x00", &c) && c.len == 0);
    assert_true(TAKE("\x04\x02xy", &c) && c.len == 2);
    assert_true(TAKE("\x04\x02xyz", &c) && c.len == 2);
    assert_false(TAKE("", &c));
    assert_false(TAKE("\x04", &c));
    assert_false(TAKE("\x04\x02x", &c));
    assert_false(TAKE("\x04\x80xx\x00\x00", &c)); /* indefinite */
    assert_false(TAKE("\x04\x81\x02xy", &c));     /* not the shortest */
    assert_false(TAKE("\x04\x82\x00\x02xy", &c));
    assert_false(TAKE("\x1f\x01x", &c)); /* high tag number */
    assert_false(TAKE("\x04\x84\xff\xff\xff\xff", &c));
    memcpy(large, "\x04\x81\x80", 3);
    assert_true(take(large, 3 + 128, &c) && c.len == 128);
    assert_false(take(large, 3 + 127, &c));
    memcpy(large, "\x04\x82\x01\x00", 4);
    assert_true(take(large, 4 + 256, &c) && c.len == 256);
    memcpy(large, "\x04\x83\x01\x00\x00", 5);
    assert_true(take(large, 5 + 65536, &c) && c.len == 65536);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    static uint8_t memory[70000], content[66000];
    static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 65999};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct der_out o = DER_OUT(memory);
        struct der in, c;
        memset(content, (int)i + 1, sizeof content);
        der_put(&o, "after", 5);
        size_t mark = o.len;
        der_put(&o, content, lengths[i]);
        der_wrap(&o, mark, DER_OCTETS);
        assert_false(o.overflow);
        in = der_out_bytes(&o);
        assert_true(der_take(&in, DER_OCTETS, &c));
        assert_int_equal(c.len, lengths[i]);
        assert_memory_equal(c.data, content, c.len);
        assert_int_equal(in.len, 5);
    }
}

static void test_overflow_is_remembered(void **state)
{
    (void)state;
    uint8_t memory[8];
    struct der_out o = DER_OUT(memory);
    der_put(&o, "1234567", 7);
    assert_false(o.overflow);
    der_wrap(&o, 0, DER_OCTETS);
    assert_true(o.overflow);
    der_put(&o, "x", 1); /* would fit, but what is there is no longer true */
    assert_int_equal(o.len, 7);
}

#define DER_TEXT(literal) ((struct der){(const uint8_t *)(literal), sizeof(literal) - 1})
static void test_integers(void **state)
{
    (void)state;
    struct der c, in;
    unsigned small;

    in = DER_TEXT("\x02\x01\x7f");
    assert_true(der_take_small(&in, &small) && small == 127);
    in = DER_TEXT("\x02\x02\x00\xff");
    assert_true(der_take_small(&in, &small) && small == 255);
    static const struct der bad[] = {
        {(const uint8_t *)"\x02\x00", 2},         {(const uint8_t *)"\x02\x02\x00\x7f", 4},
        {(const uint8_t *)"\x02\x02\xff\x80", 4}, {(const uint8_t *)"\x02\x01", 2},
        {(const uint8_t *)"\x04\x01\x01", 3},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        in = bad[i];
        assert_false(der_take_integer(&in, &c));
    }
    in = DER_TEXT("\x02\x01\xff");
    assert_false(der_take_small(&in, &small));
    in = DER_TEXT("\x02\x02\x01\x00");
    assert_false(der_take_small(&in, &small));

    static const uint8_t numbers[][4] = {
        {0, 0, 0, 1}, {0x80, 0, 0, 0}, {0, 0x7f, 1, 2}, {0, 0, 0, 0}};
    static const size_t lengths[] = {1, 5, 3, 1};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        uint8_t memory[16];
        struct der_out o = DER_OUT(memory);
        der_put_positive(&o, numbers[i], 4);
        in = der_out_bytes(&o);
        assert_true(der_take_integer(&in, &c));
        assert_int_equal(c.len, lengths[i]);
        assert_int_equal(c.data[0] & 0x80, 0);
    }
}

static void test_booleans_and_bits(void **state)
{
    (void)state;
    bool b;
    struct der c, in = DER_TEXT("\x01\x01\xff\x01\x01\x00\x01\x01\x01");
    unsigned unused;

    assert_true(der_take_boolean(&in, &b) && b);
    assert_true(der_take_boolean(&in, &b) && !b);
    assert_false(der_take_boolean(&in, &b)); /* BER's true */
    in = DER_TEXT("\x03\x02\x07\x80");
    assert_true(der_take_bits(&in, &c, &unused) && unused == 7 && c.len == 1);
    in = DER_TEXT("\x03\x01\x00");
    assert_true(der_take_bits(&in, &c, &unused) && c.len == 0);
    in = DER_TEXT("\x03\x02\x07\x81"); /* an unused bit is set */
    assert_false(der_take_bits(&in, &c, &unused));
    in = DER_TEXT("\x03\x02\x08\x80");
    assert_false(der_take_bits(&in, &c, &unused));
    in = DER_TEXT("\x03\x01\x01");
    assert_false(der_take_bits(&in, &c, &unused));
    in = DER_TEXT("\x03\x00");
    assert_false(der_take_bits(&in, &c, &unused));
}

static bool time_of(const char *text, uint8_t tag, int64_t *ret)
{
    uint8_t memory[64];
    struct der_out o = DER_OUT(memory);
    der_put_element(&o, tag, text, strlen(text));
    struct der in = der_out_bytes(&o);
    return der_take_time(&in, ret);
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t tag;
        int64_t s;
    } good[] = {
        {"700101000000Z", DER_UTC_TIME, 0},
        {"500101000000Z", DER_UTC_TIME, -631152000},
        {"491231235959Z", DER_UTC_TIME, 2524607999},
        {"20500101000000Z", DER_GENERALIZED_TIME, 2524608000},
        {"99991231235959Z", DER_GENERALIZED_TIME, 253402300799},
        {"240229120000Z", DER_UTC_TIME, 1709208000},
        {"261122184500Z", DER_UTC_TIME, 1795373100},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        int64_t s = 1;
        uint8_t memory[64];
        struct der_out o = DER_OUT(memory);
        assert_true(time_of(good[i].text, good[i].tag, &s));
        assert_int_equal(s, good[i].s);
        der_put_time(&o, s);
        struct der in = der_out_bytes(&o);
        assert_int_equal(in.data[0], good[i].tag);
        assert_memory_equal(in.data + 2, good[i].text, strlen(good[i].text));
    }
    static const struct {
        const char *text;
        uint8_t tag;
    } bad[] = {
        {"260230000000Z", DER_UTC_TIME},
        {"261301000000Z", DER_UTC_TIME},
        {"260001000000Z", DER_UTC_TIME},
        {"260101240000Z", DER_UTC_TIME},
        {"260101006000Z", DER_UTC_TIME},
        {"260101000060Z", DER_UTC_TIME},
        {"2601010000Z", DER_UTC_TIME},
        {"260101000000+0000", DER_UTC_TIME},
        {"2601010000000", DER_UTC_TIME},
        {"26010100000 Z", DER_UTC_TIME},
        {"20260101000000.5Z", DER_GENERALIZED_TIME},
        {"230229120000Z", DER_UTC_TIME},
        {"20260101000000Z", DER_UTC_TIME},
        {"260101000000Z", DER_GENERALIZED_TIME},
        {"", DER_UTC_TIME},
        {"260101000000Z", DER_OCTETS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t s;
        if (time_of(bad[i].text, bad[i].tag, &s))
            fail_msg("%s was taken", bad[i].text);
    }
    uint8_t memory[64];
    struct der_out o = DER_OUT(memory);
    der_put_time(&o, 253402300800);
    assert_true(o.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_overflow_is_remembered),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_booleans_and_bits),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
