#include "shared/http2/http2_meter.h"
#include "tests/unit/shared/base/test.h"

struct frame {
    const char *bytes;
    size_t len;
    int32_t cost; /* negative: gain */
};
/* clang-format off */
#define FRAME(bytes, cost) {bytes, sizeof(bytes) - 1, cost}
static const struct frame frames[] = {
    FRAME("\0\0\0\0\0\0\0\0\1", HTTP2_COST_EMPTY_DATA),
    FRAME("\0\0\0\0\1\0\0\0\1", HTTP2_COST_LAST_DATA),
    FRAME("\0\0\5\0\x8\0\0\0\1\4pppp", HTTP2_COST_EMPTY_DATA),
    FRAME("\0\0\x40\0\0\0\0\0\1"
          "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", -1),
    FRAME("\0\0\1\1\5\0\0\0\1\x82", HTTP2_COST_HEADERS),
    FRAME("\0\0\5\2\0\0\0\0\1\0\0\0\0\1", HTTP2_COST_PRIORITY),
    FRAME("\0\0\4\3\0\0\0\0\1\0\0\0\0", HTTP2_COST_RST),
    FRAME("\0\0\0\4\1\0\0\0\0", HTTP2_COST_SETTINGS),
    FRAME("\0\0\x8\6\0\0\0\0\0" "12345678", HTTP2_COST_PING),
    FRAME("\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\0", HTTP2_COST_GOAWAY),
    FRAME("\0\0\4\x8\0\0\0\0\0\0\0\0\1", HTTP2_COST_WINDOW_UPDATE),
    FRAME("\0\0\0\x9\0\0\0\0\1", HTTP2_COST_OTHER),
    FRAME("\0\0\3\x42\0\0\0\0\1xyz", HTTP2_COST_OTHER),
};
/* clang-format on */

static void start(struct http2_credit *c)
{
    http2_credit_init(c, 0);
    assert_true(http2_credit_take(c, 1000));
}

/* The same, in one piece and in all pieces. */
static void test_costs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        const uint8_t *data = (const uint8_t *)frames[i].bytes;
        for (size_t cut = 0; cut <= frames[i].len; cut++) {
            struct http2_meter m;
            struct http2_credit c;
            http2_meter_init(&m, false);
            start(&c);
            assert_true(http2_meter_count(&m, &c, data, cut));
            assert_true(http2_meter_count(&m, &c, data + cut, frames[i].len - cut));
            assert_int_equal(c.left, HTTP2_CREDIT_BASE - 1000 - frames[i].cost);
            assert_int_equal(m.skip + m.header_len, 0);
        }
    }
}

static void test_sequence_and_preface(void **state)
{
    (void)state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    uint8_t data[2000];
    size_t len = sizeof preface - 1;
    int32_t cost = 0;
    struct rng rng;
    test_seed(&rng);
    memcpy(data, preface, len);
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        memcpy(data + len, frames[i].bytes, frames[i].len);
        len += frames[i].len;
        cost += frames[i].cost;
    }
    for (int round = 0; round < 200; round++) {
        struct http2_meter m;
        struct http2_credit c;
        http2_meter_init(&m, true);
        start(&c);
        for (size_t at = 0; at < len;) {
            size_t n = 1 + rng_below(&rng, len - at);
            assert_true(http2_meter_count(&m, &c, data + at, n));
            at += n;
        }
        assert_int_equal(c.left, HTTP2_CREDIT_BASE - 1000 - cost);
    }
}

static void test_used_up(void **state)
{
    (void)state;
    struct http2_meter m;
    struct http2_credit c;
    http2_meter_init(&m, false);
    http2_credit_init(&c, 0);
    const uint8_t *settings = (const uint8_t *)"\0\0\0\4\0\0\0\0\0";
    for (int i = 0; i < HTTP2_CREDIT_BASE / HTTP2_COST_SETTINGS; i++)
        assert_true(http2_meter_count(&m, &c, settings, 9));
    assert_true(http2_meter_count(&m, &c, settings, 8));
    assert_false(http2_meter_count(&m, &c, settings + 8, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_sequence_and_preface),
        cmocka_unit_test(test_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
