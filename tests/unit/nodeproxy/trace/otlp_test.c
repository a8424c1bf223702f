/* OTLP to the byte, against messages written by hand from opentelemetry-proto 1.x; that a real library
 * reads them is tests/interop/trace_test.sh's. */
#include "nodeproxy/trace/otlp.h"
#include "shared/base/list.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static const uint8_t trace_id[] = "0123456789abcdef", span_id[] = "abcdefgh", parent_id[] = "ABCDEFGH";

static void a_span(void **state)
{
    struct otlp_span s = {.trace_id = trace_id, .span_id = span_id, .parent_id = parent_id,
                          .state = TEXT("a=1"), .name = TEXT("n"), .server = true, .failed = true,
                          .start_ns = 1, .end_ns = 0x0102030405060708};
    static const char expected[] =
        "\x0a\x10" "0123456789abcdef" "\x12\x08" "abcdefgh" "\x1a\x03" "a=1" "\x22\x08" "ABCDEFGH"
        "\x2a\x01" "n" "\x30\x02" "\x39\x01\0\0\0\0\0\0\0" "\x41\x08\x07\x06\x05\x04\x03\x02\x01"
        "\x4a\x08\x0a\x01k\x12\x03\x0a\x01v" "\x4a\x08\x0a\x01i\x12\x03\x18\xac\x02" "\x7a\x02\x18\x02";
    uint8_t out[200];
    (void)state;
    otlp_put(&s, "k", TEXT("v"));
    otlp_put(&s, "left out", TEXT(""));
    otlp_put_number(&s, "i", 300);
    size_t len = otlp_span(&s, out, sizeof out);
    assert_int_equal(len, sizeof expected - 1);
    assert_memory_equal(out, expected, len);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(otlp_span(&s, out, size), 0);
    s.parent_id = NULL;
    s.state.len = 0;
    s.failed = s.server = false;
    assert_int_equal(otlp_span(&s, out, sizeof out), len - 10 - 5 - 4);
    for (size_t i = 0; i < 100; i++)
        otlp_put_number(&s, "i", 300);
    assert_int_equal(s.n_attributes, OTLP_ATTRIBUTES_MAX);
    s.n_attributes = 0;
    otlp_put(&s, "k", TEXT("\xff\xc3\xa9"));
    len = otlp_span(&s, out, sizeof out);
    assert_memory_equal(out + len - 5, "\x0a\x03???", 5); /* a string of protobuf is UTF-8 */
}

static void a_request(void **state)
{
    const struct otlp_piece pieces[] = {
        {TEXT("A"), TEXT("s1")}, {TEXT("A"), TEXT("s2")}, {TEXT("B"), TEXT("s3")}};
    static const char expected[] = "\x0a\x15\x0a\x01" "A\x12\x10\x0a\x06\x0a\x04weir\x12\x02s1\x12\x02s2"
                                   "\x0a\x11\x0a\x01" "B\x12\x0c\x0a\x06\x0a\x04weir\x12\x02s3";
    uint8_t out[100];
    (void)state;
    assert_int_equal(otlp_request_size(pieces, ARRAY_SIZE(pieces)), sizeof expected - 1);
    otlp_request(pieces, ARRAY_SIZE(pieces), out);
    assert_memory_equal(out, expected, sizeof expected - 1);
}

static void an_answer(void **state)
{
    static const struct {
        struct text bytes;
        int result;
        uint64_t rejected;
    } cases[] = {
        {{"", 0}, 0, 0},
        {{"\x0a\x00", 2}, 0, 0},
        {{"\x0a\x08\x08\xac\x02\x12\x03why", 10}, 0, 300},
        {{"\x12\x01x\x0a\x02\x08\x07", 7}, 0, 7}, /* with a field that nobody knows */
        {{"\x0d" "1234" "\x09" "12345678" "\x10\x05", 16}, 0, 0},
        {{"\x0a", 1}, -EINVAL, 0},
        {{"\x0a\x03\x08\x07", 4}, -EINVAL, 0},
        {{"\x0a\x01\x08", 3}, -EINVAL, 0},
        {{"\x0b", 1}, -EINVAL, 0},
        /* Cut off, and what lies behind it would bring the length back to zero. */
        {{"\x12\x01" "x\x12\xf4\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2}, -EINVAL, 0},
        {{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, -EINVAL, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t rejected = 0;
        assert_int_equal(otlp_response((const uint8_t *)cases[i].bytes.data, cases[i].bytes.len, &rejected),
                         cases[i].result);
        assert_int_equal(rejected, cases[i].rejected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_span), cmocka_unit_test(a_request),
                                       cmocka_unit_test(an_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
