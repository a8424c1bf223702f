/*
 * A client's and a server's http2 machine back to back over memory. Bytes travel in pieces whose
 * sizes the seed decides. Streams record their events, check the order that the headers promise,
 * and compare every byte that they get with a pattern made from the sender's number.
 */
#ifndef TESTS_UNIT_SHARED_HTTP2_H2_PAIR_H
#define TESTS_UNIT_SHARED_HTTP2_H2_PAIR_H
#include "shared/http2/http2.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

enum { POOL_CHUNKS = 4096 };

struct side {
    struct http2 *http2;
    struct chunk_pool pool;
    struct buf wire; /* what left here and has not arrived */
    size_t output_max;
    unsigned flushes, goaways, slots, pongs;
    uint32_t goaway_code;
    size_t wire_bytes; /* all that ever left */
};
struct pair {
    struct side client, server;
    struct rng rng;
    bool whole; /* bytes travel in the chunks that they left in */
    struct http2_stream *(*request)(struct pair *p, const struct http2_head *head,
                                    unsigned *ret_status);
    struct list accepted; /* peers made by pair_accept() */
    void *user;
};

/* One end of a stream. */
struct peer {
    struct http2_stream s;
    struct list link;
    struct pair *pair;
    struct side *side;
    uint64_t pattern_in, pattern_out;
    size_t n_in, n_out, to_send; /* bytes got, given to send, wanted in all */
    bool finish_at_end;          /* after to_send */
    bool on_heap;                /* freed in closed */
    unsigned heads, opened, ended, finished, failed, closed, writable, received;
    int error;
    uint32_t code;
    char status[8], trailer[64]; /* :status of the first head; value of "x-end" of the last */
    void (*on_event)(struct peer *p, const char *event);
    bool mute; /* reset was called: nothing but closed may come */
};

static inline uint8_t pattern_byte(uint64_t pattern, size_t i)
{
    return (uint8_t)((pattern + i) * 2654435761U >> 13 ^ i >> 8);
}

static inline struct side *other_side(struct pair *p, struct side *side)
{
    return side == &p->client ? &p->server : &p->client;
}

static inline void peer_event(struct peer *p, const char *event)
{
    if (p->on_event)
        p->on_event(p, event);
}

/* ---- Events of a stream */

static inline void peer_head(struct http2_stream *s, const struct http2_head *head)
{
    struct peer *p = container_of(s, struct peer, s);
    assert_int_equal(p->closed, 0);
    assert_false(p->mute);
    struct text status = http2_head_get(head, TEXT(":status"));
    struct text trailer = http2_head_get(head, TEXT("x-end"));
    if (status.len)
        snprintf(p->status, sizeof p->status, "%.*s", (int)status.len, status.data);
    if (trailer.len)
        snprintf(p->trailer, sizeof p->trailer, "%.*s", (int)trailer.len, trailer.data);
    p->heads++;
    peer_event(p, "head");
}

static inline void peer_opened(struct http2_stream *s)
{
    struct peer *p = container_of(s, struct peer, s);
    assert_int_equal(p->opened, 0);
    p->opened++;
    peer_event(p, "opened");
}

static inline void peer_closed(struct http2_stream *s, uint32_t code)
{
    struct peer *p = container_of(s, struct peer, s);
    assert_int_equal(p->closed, 0);
    assert_null(s->http2);
    assert_int_equal(s->out.len, 0);
    p->closed++;
    p->code = code;
    if (code == 0 && !p->failed && !p->mute) {
        assert_int_equal(p->ended, 1);
        assert_int_equal(p->finished, 1);
    }
    bool on_heap = p->on_heap;
    peer_event(p, "closed");
    if (on_heap) {
        list_remove(&p->link);
        free(p);
    }
}

static inline void peer_received(struct stream *stream, struct buf *bytes)
{
    struct peer *p = stream->user;
    assert_true(bytes->len > 0);
    assert_int_equal(p->ended + p->failed + p->closed, 0);
    assert_false(p->mute);
    p->received++;
    for (const struct chunk *c = bytes->head; c; c = c->next)
        for (size_t i = 0; i < chunk_len(c); i++, p->n_in++)
            if (c->data[c->start + i] != pattern_byte(p->pattern_in, p->n_in))
                fail_msg("byte %zu of a stream is wrong", p->n_in);
    buf_done(bytes);
    peer_event(p, "received");
}

static inline void peer_ended(struct stream *stream)
{
    struct peer *p = stream->user;
    assert_int_equal(p->ended + p->failed + p->closed, 0);
    assert_false(p->mute);
    p->ended++;
    peer_event(p, "ended");
}

/* Gives to the stream until its queue is high or all is given. */
static inline void peer_pump(struct peer *p)
{
    while (p->n_out < p->to_send && stream_queued(&p->s.stream) <= STREAM_QUEUE_HIGH) {
        struct buf b = {0};
        size_t n = 1 + rng_below(&p->pair->rng, rng_below(&p->pair->rng, 4) ? 5000 : 60000);
        if (n > p->to_send - p->n_out)
            n = p->to_send - p->n_out;
        while (b.len < n) {
            size_t want = n - b.len < 4096 ? n - b.len : 4096;
            uint8_t *room = buf_reserve(&b, &p->side->pool, want);
            assert_non_null(room);
            for (size_t i = 0; i < want; i++)
                room[i] = pattern_byte(p->pattern_out, p->n_out++);
            buf_commit(&b, want);
        }
        stream_send(&p->s.stream, &b);
        assert_int_equal(b.len, 0);
    }
    if (p->n_out == p->to_send && p->finish_at_end) {
        p->finish_at_end = false;
        stream_finish(&p->s.stream);
    }
}

static inline void peer_writable(struct stream *stream)
{
    struct peer *p = stream->user;
    assert_int_equal(p->finished + p->failed + p->closed, 0);
    assert_false(p->mute);
    assert_true(stream_queued(stream) < STREAM_QUEUE_LOW);
    p->writable++;
    peer_pump(p);
    peer_event(p, "writable");
}

static inline void peer_finished(struct stream *stream)
{
    struct peer *p = stream->user;
    assert_int_equal(p->finished + p->failed + p->closed, 0);
    assert_false(p->mute);
    assert_int_equal(stream_queued(stream), 0);
    p->finished++;
    peer_event(p, "finished");
}

static inline void peer_failed(struct stream *stream, int error)
{
    struct peer *p = stream->user;
    assert_int_equal(p->failed + p->closed, 0);
    assert_false(p->mute);
    assert_true(error < 0);
    p->failed++;
    p->error = error;
    peer_event(p, "failed");
}

static const struct http2_stream_events peer_http2_events = {
    .head = peer_head, .closed = peer_closed, .opened = peer_opened};
static const struct stream_events peer_stream_events = {
    .received = peer_received,
    .ended = peer_ended,
    .writable = peer_writable,
    .finished = peer_finished,
    .failed = peer_failed,
};

static inline void peer_init(struct peer *p, struct pair *pair, struct side *side)
{
    *p = (struct peer){.pair = pair, .side = side};
    list_init(&p->link);
    http2_stream_init(&p->s, &peer_http2_events);
    p->s.stream.events = &peer_stream_events;
    p->s.stream.user = p;
}

static inline void peer_reset(struct peer *p, uint32_t code)
{
    p->mute = true;
    http2_stream_reset(&p->s, code);
}

/* ---- Heads that the tests send */

static inline int peer_request(struct peer *p, bool end)
{
    static const struct http2_header headers[] = {
        {TEXT(":method"), TEXT("POST")},      {TEXT(":scheme"), TEXT("https")},
        {TEXT(":authority"), TEXT("a.test")}, {TEXT(":path"), TEXT("/p?q=1")},
        {TEXT("x-first"), TEXT("one")},
    };
    return http2_stream_request(p->side->http2, &p->s, headers, ARRAY_SIZE(headers), end);
}

static inline int peer_connect(struct peer *p)
{
    static const struct http2_header headers[] = {{TEXT(":method"), TEXT("CONNECT")},
                                                  {TEXT(":authority"), TEXT("10.0.0.1:80")}};
    return http2_stream_request(p->side->http2, &p->s, headers, ARRAY_SIZE(headers), false);
}

static inline int peer_respond(struct peer *p, bool end)
{
    static const struct http2_header headers[] = {{TEXT(":status"), TEXT("200")},
                                                  {TEXT("server"), TEXT("weir")}};
    return http2_stream_respond(&p->s, headers, ARRAY_SIZE(headers), end);
}

static inline int peer_trailers(struct peer *p, const char *value)
{
    struct http2_header header = {TEXT("x-end"), text_of(value)};
    return http2_stream_trailers(&p->s, &header, 1);
}

/* A request handler: takes each request with a peer of its own. */
static inline struct http2_stream *pair_accept(struct pair *pair, const struct http2_head *head,
                                               unsigned *ret_status)
{
    (void)head, (void)ret_status;
    struct peer *p = malloc(sizeof *p);
    assert_non_null(p);
    peer_init(p, pair, &pair->server);
    p->on_heap = true;
    list_push_back(&pair->accepted, &p->link);
    return &p->s;
}

static inline struct peer *pair_last(struct pair *pair)
{
    assert_false(list_empty(&pair->accepted));
    return container_of(pair->accepted.prev, struct peer, link);
}

/* ---- Events of a session */

static inline struct side *side_of(struct http2 *h)
{
    struct pair *pair = http2_user(h);
    return pair->client.http2 == h ? &pair->client : &pair->server;
}
static inline struct http2_stream *side_request(struct http2 *h, const struct http2_head *head,
                                                unsigned *ret_status)
{
    struct pair *pair = http2_user(h);
    return pair->request(pair, head, ret_status);
}
static inline void side_want_flush(struct http2 *h)
{
    side_of(h)->flushes++;
}
static inline void side_slot(struct http2 *h)
{
    side_of(h)->slots++;
}
static inline void side_ping_acked(struct http2 *h)
{
    side_of(h)->pongs++;
}
static inline void side_goaway(struct http2 *h, uint32_t code)
{
    side_of(h)->goaways++;
    side_of(h)->goaway_code = code;
}
static const struct http2_events side_events = {
    .request = side_request,
    .want_flush = side_want_flush,
    .goaway = side_goaway,
    .slot = side_slot,
    .ping_acked = side_ping_acked,
};

/* ---- The pair */

static inline void side_open(struct pair *p, struct side *side, const struct http2_options *options)
{
    struct http2_options o = options ? *options : (struct http2_options){0};
    o.server = side == &p->server;
    chunk_pool_init(&side->pool, POOL_CHUNKS, 64);
    side->output_max = 256 * 1024;
    assert_int_equal(http2_new(&side->http2, &o, &side_events, p, &side->pool), 0);
}

static inline void pair_open(struct pair *p, const struct http2_options *client,
                             const struct http2_options *server)
{
    *p = (struct pair){.request = pair_accept};
    list_init(&p->accepted);
    test_seed(&p->rng);
    side_open(p, &p->client, client);
    side_open(p, &p->server, server);
}

static inline void side_close(struct side *side)
{
    side->http2 = http2_free(side->http2);
    buf_done(&side->wire);
}

static inline void pair_close(struct pair *p)
{
    side_close(&p->client);
    side_close(&p->server);
    assert_true(list_empty(&p->accepted));
    chunk_pool_done(&p->client.pool); /* asserts that nothing leaked */
    chunk_pool_done(&p->server.pool);
}

static inline int side_flush(struct side *side)
{
    size_t before = side->wire.len;
    int r = http2_output(side->http2, &side->wire, before + side->output_max);
    side->wire_bytes += side->wire.len - before;
    return r;
}

/* The next piece of what `from` sent, in chunks of the receiver. */
static inline void take_piece(struct pair *p, struct side *from, struct side *to, struct buf *ret)
{
    size_t n = from->wire.len;
    if (p->whole) {
        *ret = from->wire;
        from->wire = (struct buf){0};
        return;
    }
    switch (rng_below(&p->rng, 4)) {
    case 0:
        n = 1 + rng_below(&p->rng, 20);
        break;
    case 1:
        n = 1 + rng_below(&p->rng, 3000);
        break;
    case 2:
        n = 1 + rng_below(&p->rng, 40000);
        break;
    default:
        break;
    }
    if (n > from->wire.len)
        n = from->wire.len;
    while (n) {
        uint8_t data[CHUNK_BYTES];
        size_t len = 1 + rng_below(&p->rng, n < CHUNK_BYTES ? n : CHUNK_BYTES);
        assert_int_equal(buf_peek(&from->wire, data, len), len);
        buf_consume(&from->wire, len);
        struct chunk *c = chunk_new(&to->pool);
        assert_non_null(c);
        c->start = (uint32_t)rng_below(&p->rng, CHUNK_BYTES - len + 1);
        c->end = c->start + (uint32_t)len;
        memcpy(c->data + c->start, data, len);
        struct buf one = {c, c, len};
        buf_move(ret, &one);
        n -= len;
    }
}

/* One step each way; false: nothing moves any more. */
static inline bool pair_step(struct pair *p)
{
    bool moved = false;
    struct side *sides[] = {&p->client, &p->server};
    for (size_t i = 0; i < 2; i++) {
        struct side *from = sides[i], *to = sides[1 - i];
        if (from->http2 && http2_wants_output(from->http2) && from->wire.len < from->output_max) {
            moved = true;
            assert_int_equal(side_flush(from), 0);
        }
        if (from->wire.len && to->http2) {
            struct buf piece = {0};
            moved = true;
            take_piece(p, from, to, &piece);
            int r = http2_input(to->http2, &piece);
            assert_int_equal(piece.len, 0);
            assert_true(r == 0 || *http2_why(to->http2));
        }
    }
    return moved;
}

static inline void pair_run(struct pair *p)
{
    for (size_t i = 0; pair_step(p); i++)
        assert_true(i < 10 * 1000 * 1000);
}
/* A client's stream that was accepted, in *ret_server. */
static inline void pair_open_stream(struct pair *p, struct peer *c, struct peer **ret_server,
                                    bool respond)
{
    peer_init(c, p, &p->client);
    assert_int_equal(peer_connect(c), 0);
    pair_run(p);
    *ret_server = pair_last(p);
    c->pattern_out = (*ret_server)->pattern_in = (uint64_t)c->s.id;
    c->pattern_in = (*ret_server)->pattern_out = ~(uint64_t)c->s.id;
    if (respond) {
        assert_int_equal(peer_respond(*ret_server, false), 0);
        pair_run(p);
        assert_int_equal(c->heads, 1);
    }
}

static inline void peer_send_more(struct peer *p, size_t n)
{
    p->to_send += n;
    peer_pump(p);
}
#endif
