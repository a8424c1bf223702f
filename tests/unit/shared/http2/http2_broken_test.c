/* Bombs, broken frames, and more than was allowed: what one connection or stream pays for it. */
#include "tests/unit/shared/http2/http2_raw.h"

static void test_continuations(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, true, 0);
    put_frame(&r, HEADERS, END_STREAM, 1, get_block, sizeof get_block);
    for (int i = 0; i < 12; i++)
        put_frame(&r, CONTINUATION, 0, 1, "", 0);
    assert_int_equal(give(&r), -EPROTO);
    assert_true(r.goaway);
    assert_int_equal(r.code, HTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(r.requests, 0);
    raw_close(&r);
}

static void test_hpack_bomb(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, true, 0);
    put_big_head(&r);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.requests, 0);
    assert_int_equal(r.resets, 1);
    assert_false(r.goaway);
    put_request(&r, END_STREAM); /* the decoder is in step */
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.requests, 1);
    raw_close(&r);
}

struct broken {
    const char *name, *bytes;
    size_t len;
    uint32_t code; /* of the GOAWAY */
};
/* clang-format off */
#define BROKEN(name, bytes, code) {name, bytes, sizeof(bytes) - 1, code}
static const struct broken broken[] = {
    BROKEN("frame too large", "\0\x40\x01\0\0\0\0\0\x1", HTTP2_FRAME_SIZE_ERROR),
    BROKEN("DATA on stream 0", "\0\0\1\0\0\0\0\0\0x", HTTP2_PROTOCOL_ERROR),
    BROKEN("DATA on an idle stream", "\0\0\1\0\0\0\0\0\x9x", HTTP2_PROTOCOL_ERROR),
    BROKEN("HEADERS on an even stream", "\0\0\1\1\5\0\0\0\2\x82", HTTP2_PROTOCOL_ERROR),
    BROKEN("HEADERS that don't decode", "\0\0\1\1\5\0\0\0\1\xff", HTTP2_COMPRESSION_ERROR),
    BROKEN("RST_STREAM of an idle stream", "\0\0\4\3\0\0\0\0\1\0\0\0\0", HTTP2_PROTOCOL_ERROR),
    BROKEN("SETTINGS of 5 bytes", "\0\0\5\4\0\0\0\0\0xxxxx", HTTP2_FRAME_SIZE_ERROR),
    BROKEN("SETTINGS with a window too large", "\0\0\6\4\0\0\0\0\0\0\4\xff\xff\xff\xff", HTTP2_FLOW_CONTROL_ERROR),
    BROKEN("SETTINGS ack that nobody asked for", "\0\0\0\4\1\0\0\0\0", HTTP2_PROTOCOL_ERROR),
    BROKEN("PUSH_PROMISE", "\0\0\5\5\4\0\0\0\1\0\0\0\2\x82", HTTP2_PROTOCOL_ERROR),
    BROKEN("WINDOW_UPDATE of 0", "\0\0\4\x8\0\0\0\0\0\0\0\0\0", HTTP2_PROTOCOL_ERROR),
    BROKEN("WINDOW_UPDATE overflow", "\0\0\4\x8\0\0\0\0\0\x7f\xff\xff\xff", HTTP2_FLOW_CONTROL_ERROR),
    BROKEN("CONTINUATION alone", "\0\0\1\x9\4\0\0\0\1\x82", HTTP2_PROTOCOL_ERROR),
    BROKEN("DATA inside a header block", "\0\0\1\1\1\0\0\0\1\x82\0\0\1\0\0\0\0\0\1x", HTTP2_PROTOCOL_ERROR),
    BROKEN("padding larger than the frame", "\0\0\1\1\x0d\0\0\0\1\x9", HTTP2_PROTOCOL_ERROR),
    BROKEN("stream depends on itself", "\0\0\5\2\0\0\0\0\1\0\0\0\1\x10", HTTP2_PROTOCOL_ERROR),
};
/* clang-format on */

static void test_broken_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
        struct raw r;
        raw_open(&r, true, 0);
        put(&r, broken[i].bytes, broken[i].len);
        int result = give(&r);
        print_message("%s: %d, GOAWAY %d %u\n", broken[i].name, result, r.goaway, r.code);
        assert_true(result == 0 || result == -EPROTO);
        assert_true(r.goaway);
        assert_int_equal(r.code, broken[i].code);
        assert_true(http2_over(r.http2));
        assert_true(*http2_why(r.http2));
        raw_close(&r);
    }
}

static void test_not_http2(void **state)
{
    (void)state;
    struct raw r = {.next_id = 1};
    list_init(&r.streams);
    chunk_pool_init(&r.pool, 100, 0);
    struct http2_options o = {.server = true};
    assert_int_equal(http2_new(&r.http2, &o, &raw_events, &r, &r.pool), 0);
    put(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    assert_int_equal(give(&r), -EPROTO);
    assert_true(r.goaway);
    assert_true(*http2_why(r.http2));
    raw_close(&r);
}

/* Names in upper case can't come from our own client. */
static void test_upper_case_name(void **state)
{
    (void)state;
    static const uint8_t block[] = {0x82, 0x87, 0x84, 0x01, 0x01, 'a', 0x00, 0x01, 'X', 0x01, 'y'};
    struct raw r;
    raw_open(&r, true, 0);
    put_frame(&r, HEADERS, END_HEADERS | END_STREAM, 1, block, sizeof block);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.requests, 0);
    assert_int_equal(r.resets, 1);
    assert_false(r.goaway);
    raw_close(&r);
}

/* More streams than we allow are refused one by one, before and after our SETTINGS are
 * acknowledged; the others live, and a slot that becomes free is one. */
static void test_too_many_streams(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, true, 0);
    assert_int_equal(r.announced, 200);
    for (int i = 0; i < 2000; i++)
        put_request(&r, 0);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.requests, 200);
    assert_int_equal(r.resets, 1800);
    assert_int_equal(r.reset_code, HTTP2_REFUSED_STREAM);
    assert_int_equal(r.refused, 1800);
    assert_int_equal(r.refusal.code, HTTP2_REFUSED_STREAM);
    assert_false(r.goaway);
    assert_int_equal(http2_stream_count(r.http2), 200);
    put_rst(&r, 1);
    put_request(&r, 0);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.requests, 201);
    assert_int_equal(r.resets, 1800);
    raw_close(&r);
}

/* Before the acknowledgement too: a client that does not know our limit yet. */
static void test_too_many_streams_at_once(void **state)
{
    (void)state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct raw r = {.next_id = 1};
    list_init(&r.streams);
    chunk_pool_init(&r.pool, 100, 0);
    struct http2_options o = {.server = true, .streams_max = 10};
    assert_int_equal(http2_new(&r.http2, &o, &raw_events, &r, &r.pool), 0);
    put(&r, preface, sizeof preface - 1);
    put_frame(&r, SETTINGS, 0, 0, "", 0);
    for (int i = 0; i < 30; i++)
        put_request(&r, 0);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.requests, 10);
    assert_int_equal(r.resets, 20);
    put_frame(&r, SETTINGS, ACK, 0, "", 0);
    put_request(&r, 0);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.resets, 21);
    assert_false(r.goaway);
    raw_close(&r);
}

/* What never becomes a request is told, with the answer that it got. */
static void test_refusals_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *block;
        size_t len;
        unsigned status;
        uint32_t code;
    } cases[] = {
        {"\x82\x87\x84\x01\x03u@a", 8, 400, 0}, /* a user in :authority */
        {"\x82\x87\x84\x01\x01"
         "a\x0f\x17\x01"
         "b",
         10, 400, 0},                             /* host: b */
        {"\x82\x87", 2, 0, HTTP2_PROTOCOL_ERROR}, /* no :path */
        {"\x82\x87\x84\x01\x01"
         "a\x00\x01X\x01y",
         11, 0, HTTP2_PROTOCOL_ERROR},
    };
    struct raw r;
    raw_open(&r, true, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        put_frame(&r, HEADERS, END_HEADERS | END_STREAM, r.next_id, cases[i].block, cases[i].len);
        r.next_id += 2;
        assert_int_equal(give(&r), 0);
        assert_int_equal(r.refused, i + 1);
        assert_int_equal(r.refusal.status, cases[i].status);
        assert_int_equal(r.refusal.code, cases[i].code);
    }
    put_big_head(&r);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.refusal.code, HTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(r.requests, 0);
    assert_int_equal(r.refused, ARRAY_SIZE(cases) + 1);
    raw_close(&r);
}

/* More DATA than the window has room for. */
static void test_window_overrun(void **state)
{
    (void)state;
    static uint8_t data[16384];
    struct raw r;
    raw_open(&r, true, 0);
    put_request(&r, 0);
    assert_int_equal(give(&r), 0);
    stream_pause(&container_of(r.streams.next, struct raw_stream, link)->s.stream);
    for (int i = 0; i < 64; i++) /* 1 MiB */
        put_frame(&r, DATA, 0, 1, data, sizeof data);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.resets, 0);
    put_frame(&r, DATA, 0, 1, data, 1);
    assert_int_equal(give(&r), 0);
    assert_int_equal(r.resets, 1);
    assert_true(list_empty(&r.streams));
    raw_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continuations),
        cmocka_unit_test(test_hpack_bomb),
        cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_not_http2),
        cmocka_unit_test(test_upper_case_name),
        cmocka_unit_test(test_too_many_streams),
        cmocka_unit_test(test_too_many_streams_at_once),
        cmocka_unit_test(test_refusals_are_told),
        cmocka_unit_test(test_window_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
