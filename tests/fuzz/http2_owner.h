/*
 * What the HTTP/2 fuzz targets share: an owner of streams that does to them what the input says,
 * and looks whether each stream's events keep their order. Not a target itself.
 */
#ifndef TESTS_FUZZ_HTTP2_OWNER_H
#define TESTS_FUZZ_HTTP2_OWNER_H
#include "shared/http2/http2.h"
#include <assert.h>
#include <stdlib.h>

struct owner {
    struct http2 *http2;
    struct chunk_pool pool;
    struct list streams;
    const uint8_t *choices; /* of the input; read round and round */
    size_t n_choices, at;
};
struct owned {
    struct http2_stream s;
    struct list link;
    struct owner *owner;
    bool ended, finished, failed, reset, answered;
};

static inline unsigned choose(struct owner *o, unsigned below)
{
    if (!o->n_choices)
        return 0;
    return o->choices[o->at++ % o->n_choices] % below;
}

static inline void owned_free(struct owned *s)
{
    list_remove(&s->link);
    free(s);
}

static inline void owned_answer(struct owned *s)
{
    static const struct http2_header headers[] = {{TEXT(":status"), TEXT("200")},
                                                  {TEXT("a"), TEXT("b")}};
    if (!s->answered)
        s->answered = http2_stream_respond(&s->s, headers, 2, choose(s->owner, 8) == 0) == 0;
}

/* Anything that an owner may do inside an event; false: the stream is gone. */
static inline bool owned_act(struct owned *s)
{
    struct owner *o = s->owner;
    struct http2_header trailer = {TEXT("x-end"), TEXT("1")};
    struct buf b = {0};
    static const char data[3000];
    switch (choose(o, 16)) {
    case 0:
        stream_pause(&s->s.stream);
        break;
    case 1:
        stream_resume(&s->s.stream);
        break;
    case 2:
        s->reset = true;
        http2_stream_reset(&s->s, choose(o, 14));
        break;
    case 3:
        http2_stream_detach(&s->s);
        owned_free(s);
        return false;
    case 4:
        stream_finish(&s->s.stream);
        break;
    case 5:
        (void)http2_stream_trailers(&s->s, &trailer, 1);
        break;
    case 6:
        owned_answer(s);
        break;
    case 7:
    case 8:
        if (!s->s.finish_asked && buf_append(&b, &o->pool, data, 10 + choose(o, 250) * 10) == 0)
            stream_send(&s->s.stream, &b);
        break;
    case 9:
        http2_ping(o->http2);
        break;
    case 10:
        if (choose(o, 64) == 0)
            http2_goaway(o->http2, choose(o, 3));
        break;
    default:
        break;
    }
    return true;
}

static inline void owned_head(struct http2_stream *stream, const struct http2_head *head)
{
    struct owned *s = container_of(stream, struct owned, s);
    assert(!s->ended && !s->failed && !s->reset && head->n <= HTTP2_HEADERS_MAX);
    owned_act(s);
}
static inline void owned_closed(struct http2_stream *stream, uint32_t code)
{
    struct owned *s = container_of(stream, struct owned, s);
    assert(!stream->http2 && stream->out.len == 0);
    assert(code || s->failed || s->reset || (s->ended && s->finished));
    owned_free(s);
}
static inline void owned_opened(struct http2_stream *stream)
{
    struct owned *s = container_of(stream, struct owned, s);
    if (choose(s->owner, 2))
        owned_answer(s);
    owned_act(s);
}
static inline void owned_received(struct stream *stream, struct buf *bytes)
{
    struct owned *s = stream->user;
    assert(bytes->len && !s->ended && !s->failed && !s->reset);
    if (choose(s->owner, 2) && !s->s.finish_asked)
        stream_send(stream, bytes); /* an echo */
    else
        buf_done(bytes);
    owned_act(s);
}
static inline void owned_ended(struct stream *stream)
{
    struct owned *s = stream->user;
    assert(!s->ended && !s->failed && !s->reset);
    s->ended = true;
    owned_act(s);
}
static inline void owned_writable(struct stream *stream)
{
    struct owned *s = stream->user;
    assert(!s->finished && !s->failed && !s->reset);
    owned_act(s);
}
static inline void owned_finished(struct stream *stream)
{
    struct owned *s = stream->user;
    assert(!s->finished && !s->failed && !s->reset);
    s->finished = true;
    owned_act(s);
}
static inline void owned_failed(struct stream *stream, int error)
{
    struct owned *s = stream->user;
    assert(!s->failed && !s->reset && error < 0);
    s->failed = true;
    owned_act(s);
}
static const struct http2_stream_events owned_http2_events = {
    .head = owned_head, .closed = owned_closed, .opened = owned_opened};
static const struct stream_events owned_stream_events = {
    .received = owned_received,
    .ended = owned_ended,
    .writable = owned_writable,
    .finished = owned_finished,
    .failed = owned_failed,
};

static inline struct owned *owned_new(struct owner *o)
{
    struct owned *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->owner = o;
    http2_stream_init(&s->s, &owned_http2_events);
    s->s.stream.events = &owned_stream_events;
    s->s.stream.user = s;
    list_push_back(&o->streams, &s->link);
    return s;
}

static inline struct http2_stream *owner_request(struct http2 *h, const struct http2_head *head,
                                                 unsigned *ret_status)
{
    struct owner *o = http2_user(h);
    assert(http2_head_get(head, TEXT(":method")).len > 0);
    if (choose(o, 8) == 0) {
        *ret_status = choose(o, 250) * 4;
        return NULL;
    }
    return &owned_new(o)->s;
}
static inline void owner_want_flush(struct http2 *h)
{
    (void)h;
}
static const struct http2_events owner_events = {.request = owner_request,
                                                 .want_flush = owner_want_flush};

static inline void owner_open(struct owner *o, const struct http2_options *options,
                              const uint8_t *choices, size_t n_choices)
{
    *o = (struct owner){.choices = choices, .n_choices = n_choices};
    list_init(&o->streams);
    chunk_pool_init(&o->pool, 400, 16);
    if (http2_new(&o->http2, options, &owner_events, o, &o->pool) < 0)
        abort();
}

/* Feeds the bytes in pieces, with output in between as a carrier does it. */
static inline void owner_feed(struct owner *o, const uint8_t *data, size_t size)
{
    struct buf out = {0};
    int r = 0;
    while (size > 0 && r == 0) {
        struct buf b = {0};
        size_t n = choose(o, 4) ? 1 + choose(o, 200) : size;
        if (n > size)
            n = size;
        if (buf_append(&b, &o->pool, data, n) < 0)
            break; /* the pool is empty: a carrier would not have read */
        data += n;
        size -= n;
        r = http2_input(o->http2, &b);
        assert(b.len == 0 && (r == 0 || http2_why(o->http2)[0]));
        if (choose(o, 3))
            (void)http2_output(o->http2, &out, choose(o, 4) * 20000);
        buf_done(&out);
    }
    for (int i = 0; i < 100 && http2_wants_output(o->http2); i++) {
        (void)http2_output(o->http2, &out, 1000 * 1000);
        buf_done(&out);
    }
}

static inline void owner_close(struct owner *o)
{
    o->http2 = http2_free(o->http2);
    assert(list_empty(&o->streams)); /* each stream that was not detached was told that it closed */
    chunk_pool_done(&o->pool);
}
#endif
