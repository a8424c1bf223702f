/* A peer that does not keep to the rules: frames written by hand, against a server and a client. */
#include "tests/unit/shared/http2/h2_pair.h"

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

struct raw {
    struct http2 *http2;
    struct chunk_pool pool;
    struct buf to;
    bool goaway;
    uint32_t code;
    unsigned requests, answers, resets, refused;
    uint32_t reset_code, announced; /* of the last RST_STREAM; the limit of streams in SETTINGS */
    struct http2_refusal refusal;   /* the last one */
    int32_t next_id;
    bool answer; /* the server's owner answers each request at once */
    struct list streams;
};
struct raw_stream {
    struct http2_stream s;
    struct list link;
};

static void raw_closed(struct http2_stream *s, uint32_t code)
{
    (void)code;
    struct raw_stream *r = container_of(s, struct raw_stream, s);
    list_remove(&r->link);
    free(r);
}
static void raw_opened(struct http2_stream *s)
{
    struct raw *r = s->stream.user;
    struct http2_header header = {TEXT(":status"), TEXT("200")};
    if (r->answer)
        assert_int_equal(http2_stream_respond(s, &header, 1, true), 0);
}
static const struct http2_stream_events raw_stream_events = {.closed = raw_closed,
                                                             .opened = raw_opened};

static struct http2_stream *raw_request(struct http2 *h, const struct http2_head *head,
                                        unsigned *ret_status)
{
    (void)head, (void)ret_status;
    struct raw *r = http2_user(h);
    struct raw_stream *s = malloc(sizeof *s);
    assert_non_null(s);
    r->requests++;
    http2_stream_init(&s->s, &raw_stream_events);
    s->s.stream.user = r;
    list_push_back(&r->streams, &s->link);
    return &s->s;
}
static void raw_want_flush(struct http2 *h)
{
    (void)h;
}
static void raw_refused(struct http2 *h, const struct http2_refusal *refusal)
{
    struct raw *r = http2_user(h);
    assert_true(*refusal->why);
    assert_true(!refusal->status != !refusal->code);
    r->refused++;
    r->refusal = *refusal;
}
static const struct http2_events raw_events = {
    .request = raw_request, .refused = raw_refused, .want_flush = raw_want_flush};

static void put(struct raw *r, const void *data, size_t len)
{
    assert_int_equal(buf_append(&r->to, &r->pool, data, len), 0);
}
static void put_frame(struct raw *r, uint8_t type, uint8_t flags, int32_t id, const void *payload,
                      size_t len)
{
    uint8_t head[9] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,       type,       flags,
        (uint8_t)(id >> 24),  (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    put(r, head, sizeof head);
    put(r, payload, len);
}
/* GET https://a/ : three fields of the static table and a literal. */
static const uint8_t get_block[] = {0x82, 0x87, 0x84, 0x01, 0x01, 'a'};

static int32_t put_request(struct raw *r, uint8_t flags)
{
    int32_t id = r->next_id;
    r->next_id += 2;
    put_frame(r, HEADERS, (uint8_t)(END_HEADERS | flags), id, get_block, sizeof get_block);
    return id;
}
static void put_rst(struct raw *r, int32_t id)
{
    put_frame(r, RST_STREAM, 0, id, "\0\0\0\x8", 4);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void look_settings(struct raw *r, const uint8_t *payload, size_t len)
{
    for (size_t i = 0; i + 6 <= len; i += 6)
        if (payload[i + 1] == 3)
            r->announced = get_u32(payload + i + 2);
}

/* Reads what the machine says. */
static void look(struct raw *r)
{
    struct buf out = {0};
    size_t at = 0;
    while (http2_wants_output(r->http2))
        assert_int_equal(http2_output(r->http2, &out, out.len + 100000), 0);
    uint8_t *data = malloc(out.len + 1);
    assert_non_null(data);
    size_t len = buf_peek(&out, data, out.len);
    if (len >= 24 && memcmp(data, "PRI * HTTP/2.0", 14) == 0)
        at = 24;
    for (; at + 9 <= len;
         at += 9 + ((size_t)data[at] << 16 | (size_t)data[at + 1] << 8 | data[at + 2])) {
        const uint8_t *payload = data + at + 9;
        r->answers += data[at + 3] == HEADERS;
        if (data[at + 3] == RST_STREAM) {
            r->resets++;
            r->reset_code = get_u32(payload);
        }
        if (data[at + 3] == SETTINGS)
            look_settings(r, payload, (size_t)data[at + 1] << 8 | data[at + 2]);
        if (data[at + 3] == GOAWAY) {
            r->goaway = true;
            r->code = get_u32(payload + 4);
        }
    }
    assert_int_equal(at, len);
    free(data);
    buf_done(&out);
}

static int give(struct raw *r)
{
    int result = http2_input(r->http2, &r->to);
    assert_int_equal(r->to.len, 0);
    look(r);
    return result;
}

static void raw_open(struct raw *r, bool server, uint32_t streams_max)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    *r = (struct raw){.next_id = 1};
    list_init(&r->streams);
    chunk_pool_init(&r->pool, 100000, 16);
    struct http2_options o = {.server = server, .streams_max = streams_max};
    assert_int_equal(http2_new(&r->http2, &o, &raw_events, r, &r->pool), 0);
    if (server)
        put(r, preface, sizeof preface - 1);
    put_frame(r, SETTINGS, 0, 0, "", 0);
    assert_int_equal(give(r), 0);
    put_frame(r, SETTINGS, ACK, 0, "", 0);
    assert_int_equal(give(r), 0);
}

static void raw_close(struct raw *r)
{
    r->http2 = http2_free(r->http2);
    buf_done(&r->to);
    assert_true(list_empty(&r->streams));
    chunk_pool_done(&r->pool);
}

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
    /* One literal of 4000 bytes into the dynamic table, and 60 references to it. */
    static uint8_t block[4200];
    size_t n = sizeof get_block;
    memcpy(block, get_block, n);
    memcpy(block + n, "\x40\x01x\x7f\xa1\x1e", 6); /* 127 + 0x21 + 0x1e * 128 = 4000 */
    n += 6;
    memset(block + n, 'v', 4000);
    n += 4000;
    memset(block + n, 0xbe, 60);
    n += 60;
    put_frame(r, HEADERS, END_HEADERS | END_STREAM, r->next_id, block, n);
    r->next_id += 2;
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

/* ---- Bombs and broken frames */

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
    flood_big_heads(&r, 0);
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
    flood_big_heads(&r, 0);
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
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_rapid_reset_many_streams),
        cmocka_unit_test(test_answered_resets_are_fine),
        cmocka_unit_test(test_lone_cancels_are_fine),
        cmocka_unit_test(test_burst_of_all_streams_is_fine),
        cmocka_unit_test(test_small_frames_are_fine),
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
