/*
 * What fuzz targets of gRPC share: two HTTP/2 sessions that are joined without any socket, and a stream at one
 * end that is written by hand. Not a target itself.
 */
#ifndef TESTS_FUZZ_GRPC_WIRE_H
#define TESTS_FUZZ_GRPC_WIRE_H
#include "shared/http2/http2.h"
#include <assert.h>
#include <stdlib.h>

struct grpc_wire {
    struct http2 *client, *server;
    struct chunk_pool pool;
    struct http2_stream raw; /* by hand; what it gets is of no interest */
};

static inline void raw_closed(struct http2_stream *s, uint32_t code)
{
    (void)s, (void)code;
}
static const struct http2_stream_events raw_events = {.closed = raw_closed};
static inline void raw_received(struct stream *s, struct buf *bytes)
{
    (void)s;
    buf_done(bytes);
}
static inline void raw_event(struct stream *s)
{
    (void)s;
}
static inline void raw_failed(struct stream *s, int error)
{
    (void)s, (void)error;
}
static const struct stream_events raw_stream_events = {raw_received, raw_event, raw_event,
                                                       raw_event, raw_failed};
static inline void wire_want_flush(struct http2 *h)
{
    (void)h;
}

/* events (want_flush: wire_want_flush) must live as long as the wire. */
static inline void grpc_wire_open(struct grpc_wire *w, const struct http2_events *events)
{
    const struct http2_options client = {.server = false}, server = {.server = true};
    chunk_pool_init(&w->pool, 1000, 32);
    if (http2_new(&w->client, &client, events, NULL, &w->pool) < 0 ||
        http2_new(&w->server, &server, events, NULL, &w->pool) < 0)
        abort();
    http2_stream_init(&w->raw, &raw_events);
    w->raw.stream.events = &raw_stream_events;
}

/* Until neither end has anything to say. */
static inline void grpc_wire_run(struct grpc_wire *w)
{
    struct buf b = {0};
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < 2; i++) {
            struct http2 *from = i ? w->server : w->client, *to = i ? w->client : w->server;
            if (http2_output(from, &b, 1 << 20) < 0)
                abort();
            moved = moved || b.len;
            if (http2_input(to, &b) < 0)
                abort();
        }
    }
}

/* The server's stream is the one by hand: it says yes. */
static inline void grpc_wire_answer(struct grpc_wire *w)
{
    static const struct http2_header answer[] = {{TEXT(":status"), TEXT("200")},
                                                 {TEXT("content-type"), TEXT("application/grpc")}};
    if (http2_stream_respond(&w->raw, answer, 2, false) < 0)
        abort();
    grpc_wire_run(w);
}

static inline void grpc_wire_say(struct grpc_wire *w, const uint8_t *data, size_t len)
{
    struct buf b = {0};
    if (len == 0)
        return;
    if (buf_append(&b, &w->pool, data, len) < 0)
        abort();
    stream_send(&w->raw.stream, &b);
}

/* Both sessions; the pool lives on for what still holds some of it, until grpc_wire_done(). */
static inline void grpc_wire_close(struct grpc_wire *w)
{
    w->client = http2_free(w->client);
    w->server = http2_free(w->server);
}
static inline void grpc_wire_done(struct grpc_wire *w)
{
    chunk_pool_done(&w->pool);
}
#endif
