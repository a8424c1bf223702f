/*
 * A grpc call over two http2 machines back to back: both ends record their events, and check every
 * byte of the messages that they get, and that nothing follows `closed`.
 */
#ifndef TESTS_UNIT_SHARED_GRPC_GRPC_ENDS_H
#define TESTS_UNIT_SHARED_GRPC_GRPC_ENDS_H
#include "shared/grpc/grpc.h"
#include "tests/unit/shared/http2/h2_pair.h"

/* One end of a call, with what was seen there. */
struct end {
    struct grpc_call call;
    struct pair *pair;
    struct side *side;
    unsigned messages, half_closed, closed, writable;
    size_t bytes;
    enum grpc_status status;
    char message[600];
    char path[64], bearer[64];
    void (*on_event)(struct end *e, const char *event);
    size_t to_send, sent, each; /* messages to send, sent, bytes of each */
};
static struct end client, server;
static unsigned n_calls;
static size_t server_message_max;

/* Message i of a stream of them: length and bytes both say which it is. */
static inline size_t message_len(size_t each, size_t i)
{
    return each + i % 7;
}
static inline void fill(uint8_t *data, size_t len, size_t i)
{
    for (size_t k = 0; k < len; k++)
        data[k] = pattern_byte(i * 31, k);
}

static inline void event(struct end *e, const char *name)
{
    if (e->on_event)
        e->on_event(e, name);
}

static inline void on_message(struct grpc_call *c, const uint8_t *data, size_t len)
{
    struct end *e = c->user;
    assert_int_equal(e->closed, 0);
    for (size_t k = 0; k < len; k++)
        if (data[k] != pattern_byte(e->messages * 31, k))
            fail_msg("byte %zu of message %u is wrong", k, e->messages);
    e->messages++;
    e->bytes += len;
    event(e, "message");
}
static inline void on_half_closed(struct grpc_call *c)
{
    struct end *e = c->user;
    assert_int_equal(e->closed + e->half_closed, 0);
    e->half_closed++;
    event(e, "half_closed");
}
static inline void on_closed(struct grpc_call *c, enum grpc_status status, struct text message)
{
    struct end *e = c->user;
    assert_int_equal(e->closed, 0);
    e->closed++;
    e->status = status;
    snprintf(e->message, sizeof e->message, "%.*s", (int)message.len, message.data);
    event(e, "closed");
    memset(c, 0xa5, sizeof *c); /* its memory is the owner's */
}

static inline void pump(struct end *e)
{
    static uint8_t data[20 * 1024 * 1024];
    while (e->sent < e->to_send && grpc_call_queued(&e->call) <= STREAM_QUEUE_HIGH) {
        size_t len = message_len(e->each, e->sent);
        fill(data, len, e->sent++);
        assert_int_equal(grpc_call_send(&e->call, data, len), 0);
    }
}
static inline void on_writable(struct grpc_call *c)
{
    struct end *e = c->user;
    e->writable++;
    pump(e);
}
static const struct grpc_call_events events = {
    .message = on_message,
    .half_closed = on_half_closed,
    .closed = on_closed,
    .writable = on_writable,
};

static inline struct http2_stream *accept_call(struct pair *p, const struct http2_head *head,
                                               unsigned *ret_status)
{
    struct text path, bearer;
    void (*on_event)(struct end *, const char *) = server.on_event;
    n_calls++;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    server = (struct end){.pair = p, .side = &p->server, .on_event = on_event};
    snprintf(server.path, sizeof server.path, "%.*s", (int)path.len, path.data);
    snprintf(server.bearer, sizeof server.bearer, "%.*s", (int)bearer.len,
             bearer.data ? bearer.data : "");
    grpc_call_accept(&server.call, &p->server.pool, server_message_max, &events, &server);
    event(&server, "accepted");
    return &server.call.stream;
}

static inline void open_pair(struct pair *p)
{
    pair_open(p, NULL, NULL);
    p->request = accept_call;
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    client.pair = p;
    client.side = &p->client;
    n_calls = 0;
    server_message_max = 0;
}

static inline int start(struct pair *p, size_t message_max, const char *bearer)
{
    struct grpc_call_options o = {.path = TEXT("/a.B/C"),
                                  .authority = TEXT("x.test"),
                                  .bearer = text_of(bearer),
                                  .message_max = message_max};
    return grpc_call_start(&client.call, p->client.http2, &p->client.pool, &o, &events, &client);
}

static inline void open_call(struct pair *p)
{
    open_pair(p);
    assert_int_equal(start(p, 0, NULL), 0);
    pair_run(p);
    assert_int_equal(n_calls, 1);
}

static inline void send_messages(struct end *e, size_t n, size_t each)
{
    e->to_send += n;
    e->each = each;
    pump(e);
}
#endif
