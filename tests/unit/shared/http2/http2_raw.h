/*
 * A peer that does not keep to the rules: frames written by hand, against a server or a client, and
 * what that answers. Everything is made by raw_open() and given back by raw_close().
 */
#ifndef TESTS_UNIT_SHARED_HTTP2_HTTP2_RAW_H
#define TESTS_UNIT_SHARED_HTTP2_HTTP2_RAW_H
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

static inline void raw_closed(struct http2_stream *s, uint32_t code)
{
    (void)code;
    struct raw_stream *r = container_of(s, struct raw_stream, s);
    list_remove(&r->link);
    free(r);
}
static inline void raw_opened(struct http2_stream *s)
{
    struct raw *r = s->stream.user;
    struct http2_header header = {TEXT(":status"), TEXT("200")};
    if (r->answer)
        assert_int_equal(http2_stream_respond(s, &header, 1, true), 0);
}
static const struct http2_stream_events raw_stream_events = {.closed = raw_closed,
                                                             .opened = raw_opened};

static inline struct http2_stream *raw_request(struct http2 *h, const struct http2_head *head,
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
static inline void raw_want_flush(struct http2 *h)
{
    (void)h;
}
static inline void raw_refused(struct http2 *h, const struct http2_refusal *refusal)
{
    struct raw *r = http2_user(h);
    assert_true(*refusal->why);
    assert_true(!refusal->status != !refusal->code);
    r->refused++;
    r->refusal = *refusal;
}
static const struct http2_events raw_events = {
    .request = raw_request, .refused = raw_refused, .want_flush = raw_want_flush};

static inline void put(struct raw *r, const void *data, size_t len)
{
    assert_int_equal(buf_append(&r->to, &r->pool, data, len), 0);
}
static inline void put_frame(struct raw *r, uint8_t type, uint8_t flags, int32_t id, const void *payload,
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

static inline int32_t put_request(struct raw *r, uint8_t flags)
{
    int32_t id = r->next_id;
    r->next_id += 2;
    put_frame(r, HEADERS, (uint8_t)(END_HEADERS | flags), id, get_block, sizeof get_block);
    return id;
}
static inline void put_rst(struct raw *r, int32_t id)
{
    put_frame(r, RST_STREAM, 0, id, "\0\0\0\x8", 4);
}

static inline void put_big_head(struct raw *r)
{
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

static inline uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void look_settings(struct raw *r, const uint8_t *payload, size_t len)
{
    for (size_t i = 0; i + 6 <= len; i += 6)
        if (payload[i + 1] == 3)
            r->announced = get_u32(payload + i + 2);
}

/* Reads what the machine says. */
static inline void look(struct raw *r)
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

static inline int give(struct raw *r)
{
    int result = http2_input(r->http2, &r->to);
    assert_int_equal(r->to.len, 0);
    look(r);
    return result;
}

static inline void raw_open(struct raw *r, bool server, uint32_t streams_max)
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

static inline void raw_close(struct raw *r)
{
    r->http2 = http2_free(r->http2);
    buf_done(&r->to);
    assert_true(list_empty(&r->streams));
    chunk_pool_done(&r->pool);
}
#endif
