/* Floods: how many frames of a kind are let through before the end, and what is no flood. */
#include "tests/unit/shared/http2/http2_raw.h"

/* ---- Floods: how many are let through before the end */

typedef void flood_step(struct raw *r, unsigned i);

static void flood_rapid_reset(struct raw *r, unsigned i)
{
    (void)i;
    put_rst(r, put_request(r, END_STREAM));
}
static void flood_ping(struct raw *r, unsigned i)
{
    (void)i;
    put_frame(r, PING, 0, 0, "12345678", 8);
}
static void flood_pong(struct raw *r, unsigned i)
{
    (void)i;
    put_frame(r, PING, ACK, 0, "12345678", 8);
}
static void flood_settings(struct raw *r, unsigned i)
{
    (void)i;
    put_frame(r, SETTINGS, 0, 0, "\0\x3\0\0\0\x9", 6);
}
static void flood_empty_settings(struct raw *r, unsigned i)
{
    (void)i;
    put_frame(r, SETTINGS, 0, 0, "", 0);
}
static void flood_window_update(struct raw *r, unsigned i)
{
    (void)i;
    put_frame(r, WINDOW_UPDATE, 0, 0, "\0\0\0\x1", 4);
}
static void flood_unknown(struct raw *r, unsigned i)
{
    (void)i;
    put_frame(r, 0x42, 0, 0, "xyz", 3);
}
static void flood_priority(struct raw *r, unsigned i)
{
    (void)i;
    put_frame(r, PRIORITY, 0, 101, "\0\0\0\x0\x10", 5);
}
static void flood_empty_data(struct raw *r, unsigned i)
{
    if (i == 0)
        put_request(r, 0);
    put_frame(r, DATA, 0, 1, "", 0);
}
static void flood_padding(struct raw *r, unsigned i)
{
    if (i == 0)
        put_request(r, 0);
    put_frame(r, DATA, PADDED, 1, "\x4pppp", 5);
}
static void flood_reset_closed(struct raw *r, unsigned i)
{
    if (i == 0)
        put_request(r, END_STREAM);
    put_rst(r, 1);
}
static void flood_malformed(struct raw *r, unsigned i)
{
    (void)i;
    static const uint8_t no_path[] = {0x82, 0x87};
    put_frame(r, HEADERS, END_HEADERS | END_STREAM, r->next_id, no_path, sizeof no_path);
    r->next_id += 2;
}
static void flood_big_heads(struct raw *r, unsigned i)
{
    (void)i;
    put_big_head(r);
}
static void flood_refused(struct raw *r, unsigned i)
{
    (void)i;
    put_request(r, 0);
}
static void flood_late_headers(struct raw *r, unsigned i)
{
    if (i == 0)
        put_rst(r, put_request(r, 0));
    put_frame(r, HEADERS, END_HEADERS | END_STREAM, 1, get_block, sizeof get_block);
}
static void flood_goaway(struct raw *r, unsigned i)
{
    if (i == 0)
        put_request(r, 0); /* without a stream the first one is the end */
    put_frame(r, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
}

struct flood {
    const char *name;
    flood_step *step;
    unsigned most; /* that may come through */
    bool client;   /* also against a client */
};
static const struct flood floods[] = {
    {"rapid reset", flood_rapid_reset, 1000, false},
    {"PING", flood_ping, 2000, true},
    {"PING ack", flood_pong, 2000, true},
    {"SETTINGS", flood_settings, 300, true},
    {"empty SETTINGS", flood_empty_settings, 300, true},
    {"WINDOW_UPDATE", flood_window_update, 2000, true},
    {"unknown", flood_unknown, 2000, true},
    {"PRIORITY", flood_priority, 2000, true},
    {"empty DATA", flood_empty_data, 1000, false},
    {"padding", flood_padding, 1000, false},
    {"reset of a closed stream", flood_reset_closed, 1000, false},
    {"malformed", flood_malformed, 1000, false},
    {"heads too big", flood_big_heads, 50, false},
    {"headers for a closed stream", flood_late_headers, 3400, false},
    {"too many streams", flood_refused, 3400, false},
    {"GOAWAY", flood_goaway, 300, false},
};

static unsigned flood(const struct flood *f, bool server, unsigned per_input)
{
    struct raw r;
    unsigned n = 0;
    int result = 0;
    raw_open(&r, server, 0);
    while (result == 0 && n < 50000) {
        for (unsigned i = 0; i < per_input; i++)
            f->step(&r, n++);
        result = give(&r);
        if (http2_over(r.http2))
            break;
    }
    print_message("%-28s %s: %u\n", f->name, server ? "server" : "client", n);
    assert_true(n <= f->most + per_input);
    assert_true(r.goaway);
    assert_int_equal(r.code, HTTP2_ENHANCE_YOUR_CALM);
    assert_true(*http2_why(r.http2));
    assert_true(http2_over(r.http2));
    assert_int_equal(http2_input(r.http2, &r.to), -EPROTO);
    assert_true(r.pool.n_live == 0);
    raw_close(&r);
    return n;
}

static void test_floods(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
        flood(&floods[i], true, 50);
        if (floods[i].client)
            flood(&floods[i], false, 50);
    }
}

/* Also with many streams allowed the rapid reset is over well below 2,000. */
static void test_rapid_reset_many_streams(void **state)
{
    (void)state;
    struct raw r;
    unsigned n = 0;
    raw_open(&r, true, 100000);
    int result = 0;
    while (result == 0 && n < 20000) {
        for (int i = 0; i < 20; i++, n++)
            flood_rapid_reset(&r, n);
        result = give(&r);
    }
    assert_int_equal(result, -EPROTO);
    assert_true(n < 1700);
    assert_int_equal(r.code, HTTP2_ENHANCE_YOUR_CALM);
    raw_close(&r);
}

/* ---- What must not be taken for a flood */

/* Requests that are answered and then reset, without end. */
static void test_answered_resets_are_fine(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, true, 0);
    r.answer = true;
    for (int i = 0; i < 1500; i++) {
        int32_t ids[20];
        for (size_t k = 0; k < ARRAY_SIZE(ids); k++)
            ids[k] = put_request(&r, 0);
        assert_int_equal(give(&r), 0);
        for (size_t k = 0; k < ARRAY_SIZE(ids); k++)
            put_rst(&r, ids[k]);
        assert_int_equal(give(&r), 0);
    }
    assert_false(r.goaway);
    assert_int_equal(r.requests, 30000);
    raw_close(&r);
}

/* Connects that nobody answers and that are given up later, one by one. */
static void test_lone_cancels_are_fine(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, true, 0);
    for (int i = 0; i < 1800; i++) {
        int32_t id = put_request(&r, 0);
        assert_int_equal(give(&r), 0);
        put_rst(&r, id);
        assert_int_equal(give(&r), 0);
    }
    assert_false(r.goaway);
    raw_close(&r);
}

/* A client dies with all its streams open: one burst, and the others on the connection go on. */
static void test_burst_of_all_streams_is_fine(void **state)
{
    (void)state;
    struct raw r;
    raw_open(&r, true, 1000);
    int32_t first = r.next_id;
    for (int i = 0; i < 1000; i++)
        put_request(&r, 0);
    assert_int_equal(give(&r), 0);
    for (int32_t id = first; id < r.next_id; id += 2)
        put_rst(&r, id);
    assert_int_equal(give(&r), 0);
    assert_false(r.goaway);
    assert_int_equal(r.requests, 1000);
    raw_close(&r);
}

/* Uploads in frames of a few bytes, and a WINDOW_UPDATE for each kilobyte of a download. */
static void test_small_frames_are_fine(void **state)
{
    (void)state;
    struct pair p;
    struct peer c;
    pair_open(&p, NULL, NULL);
    p.whole = true;
    peer_init(&c, &p, &p.client);
    assert_int_equal(peer_connect(&c), 0);
    pair_run(&p);
    struct peer *s = pair_last(&p);
    s->pattern_in = c.pattern_out = 5;
    for (int i = 0; i < 30000; i++) {
        c.to_send += 1 + (size_t)i % 3;
        peer_pump(&c);
        assert_int_equal(side_flush(&p.client), 0);
        if (i % 1000 == 999)
            pair_run(&p);
    }
    pair_run(&p);
    assert_int_equal(s->n_in, c.to_send);
    assert_string_equal(http2_why(p.server.http2), "");

    assert_int_equal(peer_respond(s, false), 0);
    s->pattern_out = c.pattern_in = 6;
    for (int i = 0; i < 3000; i++) {
        struct buf updates = {0};
        uint8_t update[13] = {0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 0, 0, 0, 0, 1};
        s->to_send += 16000;
        peer_pump(s);
        pair_run(&p);
        for (int k = 0; k < 16; k++)
            assert_int_equal(buf_append(&updates, &p.server.pool, update, sizeof update), 0);
        assert_int_equal(http2_input(p.server.http2, &updates), 0);
    }
    assert_int_equal(c.n_in, 3000 * 16000);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_rapid_reset_many_streams),
        cmocka_unit_test(test_answered_resets_are_fine),
        cmocka_unit_test(test_lone_cancels_are_fine),
        cmocka_unit_test(test_burst_of_all_streams_is_fine),
        cmocka_unit_test(test_small_frames_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
