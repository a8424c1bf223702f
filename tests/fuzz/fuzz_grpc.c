/*
 * Bytes of a gRPC stream, in either direction, cut as the input says: the messages that come out
 * must be those that a plain reading of the bytes finds, and the call must end as that reading
 * does. The first byte chooses the side and whether the stream ends after its bytes.
 * covers: shared/grpc/grpc.c
 */
#include "shared/grpc/grpc.h"
#include "tests/fuzz/grpc_wire.h"

enum { MESSAGE_MAX = 1000 };

struct wire {
    struct grpc_wire ends;
    struct grpc_call call; /* the side that reads; the other one writes by hand */
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

static struct http2_stream *on_request(struct http2 *h, const struct http2_head *head,
                                       unsigned *ret_status)
{
    struct text path, bearer;
    (void)h;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        abort();
    w.accepted = true;
    if (!w.call_is_server)
        return &w.ends.raw;
    grpc_call_accept(&w.call, &w.ends.pool, MESSAGE_MAX, &call_events, NULL);
    return &w.call.stream;
}
static const struct http2_events session_events = {.request = on_request,
                                                   .want_flush = wire_want_flush};

static void open_wire(void)
{
    static const struct http2_header request[] = {{TEXT(":method"), TEXT("POST")},
                                                  {TEXT(":scheme"), TEXT("http")},
                                                  {TEXT(":authority"), TEXT("a")},
                                                  {TEXT(":path"), TEXT("/a/b")},
                                                  {TEXT("content-type"), TEXT("application/grpc")},
                                                  {TEXT("te"), TEXT("trailers")}};
    struct grpc_call_options o = {
        .path = TEXT("/a/b"), .authority = TEXT("a"), .message_max = MESSAGE_MAX};
    grpc_wire_open(&w.ends, &session_events);
    int r = w.call_is_server ? http2_stream_request(w.ends.client, &w.ends.raw, request, 6, false)
                             : grpc_call_start(&w.call, w.ends.client, &w.ends.pool, &o, &call_events, NULL);
    if (r < 0)
        abort();
    grpc_wire_run(&w.ends);
    assert(w.accepted);
    if (!w.call_is_server)
        grpc_wire_answer(&w.ends);
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
        size_t n = 1 + (step ? (at * 7 + step) % step : size);
        if (n > size - at)
            n = size - at;
        grpc_wire_say(&w.ends, data + at, n);
        at += n;
        if (flags & 2)
            grpc_wire_run(&w.ends);
    }
    grpc_wire_run(&w.ends);
    assert(w.messages == messages && w.hash == hash);
    assert(w.closed == (expected != GRPC_OK));
    if (!w.closed) {
        if (w.call_is_server)
            stream_finish(&w.ends.raw.stream);
        else if (http2_stream_trailers(&w.ends.raw, &status, 1) < 0)
            abort();
        grpc_wire_run(&w.ends);
        if (w.call_is_server && !w.closed) {
            grpc_call_finish(&w.call, GRPC_OK, NULL);
            grpc_wire_run(&w.ends);
        }
        assert(w.closed);
    }
    if (!w.call_is_server)
        assert(w.status == (expected != GRPC_OK ? expected : cut ? GRPC_INTERNAL : GRPC_OK));
    grpc_wire_close(&w.ends);
    grpc_wire_done(&w.ends);
    return 0;
}
