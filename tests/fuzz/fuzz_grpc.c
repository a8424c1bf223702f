/*
 * Bytes of a gRPC stream, in either direction, cut as the input says: the messages that come out
 * must be those that a plain reading of the bytes finds, and the call must end as that reading
 * does. The first byte chooses the side and whether the stream ends after its bytes.
 * covers: shared/grpc/grpc.c
 */
#include "shared/grpc/grpc.h"
#include <assert.h>
#include <stdlib.h>

enum { MESSAGE_MAX = 1000 };

struct wire {
    struct http2 *client, *server;
    struct chunk_pool pool;
    struct grpc_call call;   /* the side that reads */
    struct http2_stream raw; /* the side that writes by hand */
    bool call_is_server, accepted, closed;
    enum grpc_status status;
    uint64_t hash;
    unsigned messages;
};
static struct wire w;

static uint64_t mix(uint64_t hash, const uint8_t *data, size_t len)
{
    hash = (hash ^ len) * 0x100000001b3;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ data[i]) * 0x100000001b3;
    return hash;
}

static void on_message(struct grpc_call *c, const uint8_t *data, size_t len)
{
    (void)c;
    assert(!w.closed && len <= MESSAGE_MAX);
    w.hash = mix(w.hash, data, len);
    w.messages++;
}
static void on_closed(struct grpc_call *c, enum grpc_status status, struct text message)
{
    (void)c, (void)message;
    assert(!w.closed);
    w.closed = true;
    w.status = status;
}
static const struct grpc_call_events call_events = {.message = on_message, .closed = on_closed};

static void raw_closed(struct http2_stream *s, uint32_t code)
{
    (void)s, (void)code;
}
static const struct http2_stream_events raw_events = {.closed = raw_closed};
static void no_bytes(struct stream *s, struct buf *bytes)
{
    (void)s;
    buf_done(bytes);
}
static void no_event(struct stream *s)
{
    (void)s;
}
static void no_error(struct stream *s, int error)
{
    (void)s, (void)error;
}
static const struct stream_events raw_stream_events = {no_bytes, no_event, no_event, no_event,
                                                       no_error};

static struct http2_stream *on_request(struct http2 *h, const struct http2_head *head,
                                       unsigned *ret_status)
{
    struct text path, bearer;
    (void)h;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        abort();
    w.accepted = true;
    if (!w.call_is_server)
        return &w.raw;
    grpc_call_accept(&w.call, &w.pool, MESSAGE_MAX, &call_events, NULL);
    return &w.call.stream;
}
static void on_want_flush(struct http2 *h)
{
    (void)h;
}
static const struct http2_events session_events = {.request = on_request,
                                                   .want_flush = on_want_flush};

static void run(void)
{
    struct buf b = {0};
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < 2; i++) {
            struct http2 *from = i ? w.server : w.client, *to = i ? w.client : w.server;
            if (http2_output(from, &b, 1 << 20) < 0)
                abort();
            moved = moved || b.len;
            if (http2_input(to, &b) < 0)
                abort();
        }
    }
}

static void open_wire(void)
{
    static const struct http2_header request[] = {{TEXT(":method"), TEXT("POST")},
                                                  {TEXT(":scheme"), TEXT("http")},
                                                  {TEXT(":authority"), TEXT("a")},
                                                  {TEXT(":path"), TEXT("/a/b")},
                                                  {TEXT("content-type"), TEXT("application/grpc")},
                                                  {TEXT("te"), TEXT("trailers")}};
    static const struct http2_header answer[] = {{TEXT(":status"), TEXT("200")},
                                                 {TEXT("content-type"), TEXT("application/grpc")}};
    struct grpc_call_options o = {
        .path = TEXT("/a/b"), .authority = TEXT("a"), .message_max = MESSAGE_MAX};
    chunk_pool_init(&w.pool, 1000, 32);
    if (http2_new(&w.client, &(struct http2_options){.server = false}, &session_events, NULL,
                  &w.pool) < 0 ||
        http2_new(&w.server, &(struct http2_options){.server = true}, &session_events, NULL,
                  &w.pool) < 0)
        abort();
    http2_stream_init(&w.raw, &raw_events);
    w.raw.stream.events = &raw_stream_events;
    int r = w.call_is_server ? http2_stream_request(w.client, &w.raw, request, 6, false)
                             : grpc_call_start(&w.call, w.client, &w.pool, &o, &call_events, NULL);
    if (r < 0)
        abort();
    run();
    assert(w.accepted);
    if (!w.call_is_server && http2_stream_respond(&w.raw, answer, 2, false) < 0)
        abort();
    run();
}

/* What the bytes mean, read plainly. */
static enum grpc_status expect(const uint8_t *data, size_t size, uint64_t *ret_hash,
                               unsigned *ret_messages, bool *ret_cut)
{
    size_t at = 0;
    *ret_cut = false;
    while (size - at >= 5) {
        size_t len = (size_t)data[at + 1] << 24 | (size_t)data[at + 2] << 16 |
                     (size_t)data[at + 3] << 8 | data[at + 4];
        if (data[at])
            return data[at] == 1 ? GRPC_UNIMPLEMENTED : GRPC_INTERNAL;
        if (len > MESSAGE_MAX)
            return GRPC_RESOURCE_EXHAUSTED;
        if (size - at - 5 < len)
            break;
        *ret_hash = mix(*ret_hash, data + at + 5, len);
        ++*ret_messages;
        at += 5 + len;
    }
    *ret_cut = at < size;
    return GRPC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http2_header status = {TEXT("grpc-status"), TEXT("0")};
    uint64_t hash = 0;
    unsigned messages = 0;
    bool cut;
    if (size < 2)
        return 0;
    uint8_t flags = data[0], step = data[1];
    data += 2;
    size -= 2;
    w = (struct wire){.call_is_server = flags & 1};
    open_wire();
    enum grpc_status expected = expect(data, size, &hash, &messages, &cut);
    for (size_t at = 0; at < size;) {
        struct buf b = {0};
        size_t n = 1 + (step ? (at * 7 + step) % step : size);
        if (n > size - at)
            n = size - at;
        if (buf_append(&b, &w.pool, data + at, n) < 0)
            abort();
        at += n;
        stream_send(&w.raw.stream, &b);
        if (flags & 2)
            run();
    }
    run();
    assert(w.messages == messages && w.hash == hash);
    assert(w.closed == (expected != GRPC_OK));
    if (!w.closed) {
        if (w.call_is_server)
            stream_finish(&w.raw.stream);
        else if (http2_stream_trailers(&w.raw, &status, 1) < 0)
            abort();
        run();
        if (w.call_is_server && !w.closed) {
            grpc_call_finish(&w.call, GRPC_OK, NULL);
            run();
        }
        assert(w.closed);
    }
    if (!w.call_is_server)
        assert(w.status == (expected != GRPC_OK ? expected : cut ? GRPC_INTERNAL : GRPC_OK));
    w.client = http2_free(w.client);
    w.server = http2_free(w.server);
    chunk_pool_done(&w.pool);
    return 0;
}
