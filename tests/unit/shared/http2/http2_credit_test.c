#include "shared/http2/http2_credit.h"
#include "tests/unit/shared/base/test.h"

enum { REQUEST = HTTP2_COST_HEADERS + HTTP2_COST_STREAM };

static void test_maximum(void **state)
{
    (void)state;
    struct http2_credit c;
    http2_credit_init(&c, 0);
    assert_int_equal(c.left, HTTP2_CREDIT_BASE);
    http2_credit_init(&c, 200);
    assert_int_equal(c.left, HTTP2_CREDIT_BASE + 200 * HTTP2_CREDIT_PER_STREAM);
    http2_credit_init(&c, UINT32_MAX);
    assert_int_equal(c.left, HTTP2_CREDIT_LIMIT);
    /* The promise of the header: a rapid reset is over after 1500, or 450 of them. */
    assert_int_equal(HTTP2_CREDIT_LIMIT / (REQUEST + HTTP2_COST_RST), 1500);
    assert_int_equal(
        (HTTP2_CREDIT_BASE + 200 * HTTP2_CREDIT_PER_STREAM) / (REQUEST + HTTP2_COST_RST), 450);
    /* All streams that may be open can be cancelled at once. */
    assert_true(HTTP2_CREDIT_PER_STREAM >= REQUEST + HTTP2_COST_RST);
    /* One request that is given up, or one PING, per input costs nothing in the end. */
    assert_true(2 * HTTP2_GAIN_INPUT >= REQUEST + HTTP2_COST_RST);
    assert_true(HTTP2_GAIN_INPUT >= HTTP2_COST_PING);
    assert_true(HTTP2_GAIN_ANSWER >= REQUEST + HTTP2_COST_LAST_DATA);
    assert_true(HTTP2_GAIN_DATA_SENT >= 2 * HTTP2_COST_WINDOW_UPDATE);
}

static void test_take_and_give(void **state)
{
    (void)state;
    struct http2_credit c;
    http2_credit_init(&c, 0);
    assert_true(http2_credit_take(&c, HTTP2_CREDIT_BASE));
    assert_int_equal(c.left, 0);
    assert_false(http2_credit_take(&c, 1));
    http2_credit_give(&c, 5);
    assert_false(http2_credit_take(&c, 6)); /* and what was left is gone */
    assert_int_equal(c.left, 0);
    http2_credit_give(&c, INT32_MAX);
    assert_int_equal(c.left, c.max);
    http2_credit_give(&c, 1);
    assert_int_equal(c.left, c.max);
}

static void test_bytes(void **state)
{
    (void)state;
    struct http2_credit c;
    http2_credit_init(&c, 0);
    assert_true(http2_credit_take(&c, HTTP2_CREDIT_BASE));
    for (int i = 0; i < HTTP2_BYTES_PER_POINT - 1; i++)
        http2_credit_give_bytes(&c, 1);
    assert_int_equal(c.left, 0);
    http2_credit_give_bytes(&c, 1);
    assert_int_equal(c.left, 1);
    http2_credit_give_bytes(&c, 10 * HTTP2_BYTES_PER_POINT + 7);
    assert_int_equal(c.left, 11);
    assert_int_equal(c.bytes, 7);
    http2_credit_give_bytes(&c, SIZE_MAX);
    assert_int_equal(c.left, c.max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_take_and_give),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
