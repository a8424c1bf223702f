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
static size_t message_len(size_t each, size_t i) { return each + i % 7; }
static void fill(uint8_t *data, size_t len, size_t i)
{
    for (size_t k = 0; k < len; k++)
        data[k] = pattern_byte(i * 31, k);
}

static void event(struct end *e, const char *name)
{
    if (e->on_event)
        e->on_event(e, name);
}

static void on_message(struct grpc_call *c, const uint8_t *data, size_t len)
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
static void on_half_closed(struct grpc_call *c)
{
    struct end *e = c->user;
    assert_int_equal(e->closed + e->half_closed, 0);
    e->half_closed++;
    event(e, "half_closed");
}
static void on_closed(struct grpc_call *c, enum grpc_status status, struct text message)
{
    struct end *e = c->user;
    assert_int_equal(e->closed, 0);
    e->closed++;
    e->status = status;
    snprintf(e->message, sizeof e->message, "%.*s", (int)message.len, message.data);
    event(e, "closed");
    memset(c, 0xa5, sizeof *c); /* its memory is the owner's */
}

static void pump(struct end *e)
{
    static uint8_t data[20 * 1024 * 1024];
    while (e->sent < e->to_send && grpc_call_queued(&e->call) <= STREAM_QUEUE_HIGH) {
        size_t len = message_len(e->each, e->sent);
        fill(data, len, e->sent++);
        assert_int_equal(grpc_call_send(&e->call, data, len), 0);
    }
}
static void on_writable(struct grpc_call *c)
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

static struct http2_stream *accept_call(struct pair *p, const struct http2_head *head, unsigned *ret_status)
{
    struct text path, bearer;
    void (*on_event)(struct end *, const char *) = server.on_event;
    n_calls++;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    server = (struct end){.pair = p, .side = &p->server, .on_event = on_event};
    snprintf(server.path, sizeof server.path, "%.*s", (int)path.len, path.data);
    snprintf(server.bearer, sizeof server.bearer, "%.*s", (int)bearer.len, bearer.data ? bearer.data : "");
    grpc_call_accept(&server.call, &p->server.pool, server_message_max, &events, &server);
    event(&server, "accepted");
    return &server.call.stream;
}

static void open_pair(struct pair *p)
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

static int start(struct pair *p, size_t message_max, const char *bearer)
{
    struct grpc_call_options o = {.path = TEXT("/a.B/C"), .authority = TEXT("x.test"),
                                  .bearer = text_of(bearer), .message_max = message_max};
    return grpc_call_start(&client.call, p->client.http2, &p->client.pool, &o, &events, &client);
}

static void open_call(struct pair *p)
{
    open_pair(p);
    assert_int_equal(start(p, 0, NULL), 0);
    pair_run(p);
    assert_int_equal(n_calls, 1);
}

static void send_messages(struct end *e, size_t n, size_t each)
{
    e->to_send += n;
    e->each = each;
    pump(e);
}

/* ---- Calls that go well */

static void test_unary(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    assert_int_equal(start(&p, 0, "token.of.mine"), 0);
    send_messages(&client, 1, 100);
    grpc_call_half_close(&client.call);
    grpc_call_half_close(&client.call);
    assert_int_equal(grpc_call_send(&client.call, (const uint8_t *)"x", 1), -EPIPE);
    pair_run(&p);
    assert_string_equal(server.path, "/a.B/C");
    assert_string_equal(server.bearer, "token.of.mine");
    assert_int_equal(server.messages, 1);
    assert_int_equal(server.half_closed, 1);
    send_messages(&server, 1, 200);
    grpc_call_finish(&server.call, GRPC_OK, NULL);
    grpc_call_finish(&server.call, GRPC_INTERNAL, "too late");
    assert_int_equal(grpc_call_send(&server.call, (const uint8_t *)"x", 1), -EPIPE);
    pair_run(&p);
    assert_int_equal(client.messages, 1);
    assert_int_equal(client.bytes, 200);
    assert_int_equal(client.closed, 1);
    assert_int_equal(client.status, GRPC_OK);
    assert_string_equal(client.message, "");
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.status, GRPC_OK);
    pair_close(&p);
}

static void test_streams_of_messages(void **state)
{
    (void)state;
    static const struct {
        size_t n, each;
    } kinds[] = {{3000, 0}, {500, 3000}, {30, 100000}, {3, 5 * 1024 * 1024}, {1, GRPC_MESSAGE_MAX - 6}};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct pair p;
        open_call(&p);
        send_messages(&client, kinds[i].n, kinds[i].each);
        send_messages(&server, kinds[i].n, kinds[i].each);
        pair_run(&p);
        assert_int_equal(server.messages, kinds[i].n);
        assert_int_equal(client.messages, kinds[i].n);
        grpc_call_half_close(&client.call);
        grpc_call_finish(&server.call, GRPC_OK, "fine");
        pair_run(&p);
        assert_int_equal(client.closed, 1);
        assert_int_equal(client.status, GRPC_OK);
        assert_string_equal(client.message, "fine");
        assert_int_equal(server.closed, 1);
        assert_int_equal(server.status, GRPC_OK);
        pair_close(&p);
    }
}

/* The server ends while the client still sends: RST_STREAM(NO_ERROR) after the status, which is kept. */
static void test_server_ends_first(void **state)
{
    (void)state;
    struct pair p;
    open_call(&p);
    send_messages(&server, 2, 10);
    grpc_call_finish(&server.call, GRPC_NOT_FOUND, "no such thing");
    send_messages(&client, 100, 1000);
    pair_run(&p);
    assert_int_equal(client.closed, 1);
    assert_int_equal(client.status, GRPC_NOT_FOUND);
    assert_string_equal(client.message, "no such thing");
    assert_int_equal(client.messages, 2);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.status, GRPC_OK);
    assert_int_equal(server.messages, 0); /* what came after is dropped */
    assert_int_equal(http2_stream_count(p.server.http2), 0);
    assert_int_equal(http2_stream_count(p.client.http2), 0);
    pair_close(&p);
}

static void finish_at(struct end *e, const char *name)
{
    if (strcmp(name, "accepted") == 0)
        grpc_call_finish(&e->call, GRPC_UNIMPLEMENTED, "100% not \"h\xc3\xa9re\"\n");
}
static void answer_at(struct end *e, const char *name)
{
    if (strcmp(name, "accepted") != 0)
        return;
    send_messages(e, 3, 50);
    grpc_call_finish(&e->call, GRPC_OK, NULL);
}

/* Inside the request event: trailers only, and a whole answer. */
static void test_answer_in_request_event(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    server.on_event = finish_at;
    assert_int_equal(start(&p, 0, NULL), 0);
    pair_run(&p);
    assert_int_equal(client.closed, 1);
    assert_int_equal(client.status, GRPC_UNIMPLEMENTED);
    assert_string_equal(client.message, "100% not \"h\xc3\xa9re\"\n");
    assert_int_equal(server.closed, 1);
    pair_close(&p);
    open_pair(&p);
    server.on_event = answer_at;
    assert_int_equal(start(&p, 0, NULL), 0);
    pair_run(&p);
    assert_int_equal(client.messages, 3);
    assert_int_equal(client.status, GRPC_OK);
    assert_int_equal(server.closed, 1);
    pair_close(&p);
}

static void test_long_status_message(void **state)
{
    (void)state;
    struct pair p;
    char text[2000];
    memset(text, '%', sizeof text - 1); /* each becomes three bytes on the wire */
    text[sizeof text - 1] = '\0';
    open_call(&p);
    grpc_call_finish(&server.call, GRPC_ABORTED, text);
    pair_run(&p);
    assert_int_equal(client.status, GRPC_ABORTED);
    assert_int_equal(strlen(client.message), 511);
    assert_int_equal(strspn(client.message, "%"), 511);
    pair_close(&p);
}

/* ---- Calls that end badly */

static void test_cancel(void **state)
{
    (void)state;
    struct pair p;
    open_call(&p);
    send_messages(&client, 5, 100);
    grpc_call_cancel(&client.call);
    grpc_call_cancel(&client.call);
    pair_run(&p);
    assert_int_equal(client.closed, 0);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.status, GRPC_CANCELLED);
    pair_close(&p);

    open_call(&p);
    send_messages(&server, 5, 100);
    grpc_call_cancel(&server.call);
    pair_run(&p);
    assert_int_equal(server.closed, 0);
    assert_int_equal(client.closed, 1);
    assert_int_equal(client.status, GRPC_CANCELLED);
    pair_close(&p);
}

static const char *cancel_at;
static void cancel(struct end *e, const char *name)
{
    if (strcmp(name, cancel_at) == 0) {
        grpc_call_cancel(&e->call);
        memset(&e->call, 0xa5, sizeof e->call);
    }
}

static void test_cancel_in_events(void **state)
{
    (void)state;
    static const char *const names[] = {"message", "half_closed"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        for (size_t each = 10; each < 100000; each *= 100) { /* whole, and in pieces */
            struct pair p;
            cancel_at = names[i];
            open_pair(&p);
            server.on_event = cancel;
            assert_int_equal(start(&p, 0, NULL), 0);
            send_messages(&client, 3, each);
            grpc_call_half_close(&client.call);
            pair_run(&p);
            assert_int_equal(server.closed, 0);
            assert_int_equal(server.messages, i == 0 ? 1 : 3);
            assert_int_equal(client.closed, 1);
            assert_int_equal(client.status, GRPC_CANCELLED);
            pair_close(&p);
        }
    }
    /* Of the client */
    struct pair p;
    cancel_at = "message";
    open_call(&p);
    client.on_event = cancel;
    send_messages(&server, 3, 40000);
    pair_run(&p);
    assert_int_equal(client.messages, 1);
    assert_int_equal(client.closed, 0);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.status, GRPC_CANCELLED);
    pair_close(&p);
}

static void finish_in_message(struct end *e, const char *name)
{
    if (strcmp(name, "message") == 0)
        grpc_call_finish(&e->call, GRPC_RESOURCE_EXHAUSTED, "one is enough");
}
static void test_finish_in_message(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    server.on_event = finish_in_message;
    assert_int_equal(start(&p, 0, NULL), 0);
    send_messages(&client, 50, 10);
    pair_run(&p);
    assert_int_equal(server.messages, 1);
    assert_int_equal(server.closed, 1);
    assert_int_equal(client.status, GRPC_RESOURCE_EXHAUSTED);
    pair_close(&p);
}

static void test_connection_ends(void **state)
{
    (void)state;
    struct pair p;
    open_call(&p);
    send_messages(&client, 5, 100000);
    p.client.http2 = http2_free(p.client.http2);
    assert_int_equal(client.closed, 1);
    assert_int_equal(client.status, GRPC_UNAVAILABLE);
    p.server.http2 = http2_free(p.server.http2);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.status, GRPC_UNAVAILABLE);
    pair_close(&p);
}

static void test_no_slot(void **state)
{
    (void)state;
    struct pair p;
    open_call(&p);
    struct grpc_call second;
    struct grpc_call_options o = {.path = TEXT("/a/b"), .authority = TEXT("x")};
    http2_goaway(p.server.http2, 0);
    pair_run(&p);
    assert_int_equal(grpc_call_start(&second, p.client.http2, &p.client.pool, &o, &events, &client), -EAGAIN);
    pair_close(&p);
}

/* RST_STREAM codes, as PROTOCOL-HTTP2.md maps them. */
static void test_reset_codes(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        enum grpc_status status;
    } codes[] = {
        {HTTP2_NO_ERROR, GRPC_INTERNAL},         {HTTP2_PROTOCOL_ERROR, GRPC_INTERNAL},
        {HTTP2_INTERNAL_ERROR, GRPC_INTERNAL},   {HTTP2_REFUSED_STREAM, GRPC_UNAVAILABLE},
        {HTTP2_CANCEL, GRPC_CANCELLED},          {HTTP2_CONNECT_ERROR, GRPC_INTERNAL},
        {HTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED},
        {HTTP2_INADEQUATE_SECURITY, GRPC_PERMISSION_DENIED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        struct pair p;
        open_call(&p);
        http2_stream_reset(&server.call.stream, codes[i].code);
        pair_run(&p);
        assert_int_equal(client.closed, 1);
        assert_int_equal(client.status, codes[i].status);
        assert_int_equal(server.closed, 1);
        pair_close(&p);
    }
}

/* ---- What is written by hand: answers and messages that no grpc_call sends */

struct answer {
    struct http2_header head[5];
    size_t n_head;
    const char *bytes;
    size_t len;
    struct http2_header trailers[3];
    size_t n_trailers; /* 0: none, the head or the bytes end the stream */
    enum grpc_status status;
    const char *message;
    unsigned messages;
};
#define H(a, b) {TEXT(a), TEXT(b)}
#define OK_HEAD {H(":status", "200"), H("content-type", "application/grpc")}, 2
#define NOTHING NULL, 0
#define BYTES(s) s, sizeof(s) - 1
#define ONE BYTES("\0\0\0\0\0")
static const struct answer answers[] = {
    {OK_HEAD, ONE, {H("grpc-status", "0")}, 1, GRPC_OK, "", 1},
    {OK_HEAD, ONE, {H("grpc-status", "5"), H("grpc-message", "a%20b%2")}, 2, GRPC_NOT_FOUND, "a b%2", 1},
    {OK_HEAD, ONE, {H("grpc-status", "5"), H("grpc-message", "%00%zz%41")}, 2, GRPC_NOT_FOUND, "%00%zzA", 1},
    {OK_HEAD, ONE, {H("grpc-status", "16")}, 1, GRPC_UNAUTHENTICATED, "", 1},
    {OK_HEAD, ONE, {H("grpc-status", "17")}, 1, GRPC_UNKNOWN, "", 1},
    {OK_HEAD, ONE, {H("grpc-status", "-1")}, 1, GRPC_UNKNOWN, "", 1},
    {OK_HEAD, ONE, {H("grpc-status", "")}, 1, GRPC_UNKNOWN, "", 1},
    {OK_HEAD, ONE, {H("x", "y")}, 1, GRPC_UNKNOWN, "the server ended the call without a status", 1},
    {OK_HEAD, ONE, {{{0}, {0}}}, 0, GRPC_UNKNOWN, "the server ended the call without a status", 1},
    {OK_HEAD, NOTHING, {{{0}, {0}}}, 0, GRPC_UNKNOWN, "the server ended the call without a status", 0},
    {{H(":status", "200"), H("content-type", "application/grpc+proto")}, 2, ONE, {H("grpc-status", "0")}, 1, GRPC_OK, "", 1},
    {{H(":status", "200"), H("content-type", "application/grpc;x=y"), H("grpc-encoding", "identity")}, 3, ONE, {H("grpc-status", "0")}, 1, GRPC_OK, "", 1},
    /* trailers only */
    {{H(":status", "200"), H("content-type", "application/grpc"), H("grpc-status", "8"), H("grpc-message", "full")}, 4, NOTHING, {{{0}, {0}}}, 0, GRPC_RESOURCE_EXHAUSTED, "full", 0},
    {{H(":status", "503"), H("content-type", "application/grpc"), H("grpc-status", "3")}, 3, NOTHING, {{{0}, {0}}}, 0, GRPC_INVALID_ARGUMENT, "", 0},
    /* a status in a head that does not end the stream is none */
    {{H(":status", "200"), H("content-type", "application/grpc"), H("grpc-status", "0")}, 3, ONE, {H("grpc-status", "9")}, 1, GRPC_FAILED_PRECONDITION, "", 1},
    /* no gRPC at all */
    {{H(":status", "400")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_INTERNAL, "the server answered with HTTP status 400", 0},
    {{H(":status", "401")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_UNAUTHENTICATED, "the server answered with HTTP status 401", 0},
    {{H(":status", "403")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_PERMISSION_DENIED, "the server answered with HTTP status 403", 0},
    {{H(":status", "404")}, 1, BYTES("<html>"), {{{0}, {0}}}, 0, GRPC_UNIMPLEMENTED, "the server answered with HTTP status 404", 0},
    {{H(":status", "429")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_UNAVAILABLE, "the server answered with HTTP status 429", 0},
    {{H(":status", "502")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_UNAVAILABLE, "the server answered with HTTP status 502", 0},
    {{H(":status", "503")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_UNAVAILABLE, "the server answered with HTTP status 503", 0},
    {{H(":status", "504")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_UNAVAILABLE, "the server answered with HTTP status 504", 0},
    {{H(":status", "418")}, 1, NOTHING, {{{0}, {0}}}, 0, GRPC_UNKNOWN, "the server answered with HTTP status 418", 0},
    {{H(":status", "200"), H("content-type", "text/html")}, 2, BYTES("<html>"), {{{0}, {0}}}, 0, GRPC_UNKNOWN, "the server's answer is not gRPC", 0},
    {{H(":status", "200"), H("content-type", "application/grpcx")}, 2, ONE, {H("grpc-status", "0")}, 1, GRPC_UNKNOWN, "the server's answer is not gRPC", 0},
    {{H(":status", "200"), H("content-type", "application/grpc"), H("grpc-encoding", "gzip")}, 3, ONE, {H("grpc-status", "0")}, 1, GRPC_UNIMPLEMENTED, "compressed messages are not supported", 0},
    /* broken messages */
    {OK_HEAD, BYTES("\1\0\0\0\1x"), {H("grpc-status", "0")}, 1, GRPC_UNIMPLEMENTED, "compressed messages are not supported", 0},
    {OK_HEAD, BYTES("\2\0\0\0\1x"), {H("grpc-status", "0")}, 1, GRPC_INTERNAL, "the compression flag of a message is neither 0 nor 1", 0},
    {OK_HEAD, BYTES("\0\0\0\0\0\0\0\0"), {H("grpc-status", "0")}, 1, GRPC_INTERNAL, "the last message is not complete", 1},
    {OK_HEAD, BYTES("\0\0\0\0\5ab"), {H("grpc-status", "0")}, 1, GRPC_INTERNAL, "the last message is not complete", 0},
    {OK_HEAD, BYTES("\0\0\0\0\5ab"), {H("grpc-status", "2"), H("grpc-message", "x")}, 2, GRPC_UNKNOWN, "x", 0},
    {OK_HEAD, BYTES("\0\x7f\xff\xff\xff" "ab"), {H("grpc-status", "0")}, 1, GRPC_RESOURCE_EXHAUSTED, "a message is larger than the maximum", 0},
    {OK_HEAD, BYTES("\0\xff\xff\xff\xff" "ab"), {H("grpc-status", "0")}, 1, GRPC_RESOURCE_EXHAUSTED, "a message is larger than the maximum", 0},
    {OK_HEAD, BYTES("\0\0\1\0\1" "ab"), {H("grpc-status", "0")}, 1, GRPC_RESOURCE_EXHAUSTED, "a message is larger than the maximum", 0},
};

static void give_bytes(struct peer *p, const char *bytes, size_t len)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, &p->side->pool, bytes, len), 0);
    stream_send(&p->s.stream, &b);
}

static void drop_received(struct stream *s, struct buf *bytes) { (void)s; buf_done(bytes); }

static void test_answers(void **state)
{
    (void)state;
    static struct stream_events quiet;
    quiet = peer_stream_events;
    quiet.received = drop_received;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        const struct answer *a = &answers[i];
        struct pair p;
        open_pair(&p);
        p.request = pair_accept;
        assert_int_equal(start(&p, 65536, NULL), 0);
        pair_run(&p);
        struct peer *s = pair_last(&p);
        bool head_ends = a->len == 0 && a->n_trailers == 0;
        s->s.stream.events = &quiet;
        assert_int_equal(http2_stream_respond(&s->s, a->head, a->n_head, head_ends), 0);
        if (!head_ends) {
            give_bytes(s, a->bytes, a->len);
            if (a->n_trailers)
                assert_int_equal(http2_stream_trailers(&s->s, a->trailers, a->n_trailers), 0);
            else
                stream_finish(&s->s.stream);
        }
        pair_run(&p);
        print_message("answer %zu: %s '%s'\n", i, grpc_status_name(client.status), client.message);
        assert_int_equal(client.closed, 1);
        assert_int_equal(client.status, a->status);
        assert_string_equal(client.message, a->message);
        assert_int_equal(client.messages, a->messages);
        pair_close(&p);
    }
}

struct request {
    struct http2_header head[8];
    size_t n;
    const char *status; /* HTTP; NULL: it is taken */
};
#define BASE H(":method", "POST"), H(":scheme", "http"), H(":authority", "a"), H(":path", "/a/b")
static const struct request requests[] = {
    {{BASE, H("content-type", "application/grpc"), H("te", "trailers")}, 6, NULL},
    {{BASE, H("content-type", "application/grpc+proto"), H("te", "trailers"), H("authorization", "bearer abc")}, 7, NULL},
    {{BASE, H("content-type", "application/grpc"), H("te", "trailers"), H("authorization", "Basic abc")}, 7, NULL},
    {{BASE, H("content-type", "application/grpc"), H("te", "trailers"), H("authorization", "Bearer")}, 7, NULL},
    {{BASE, H("content-type", "application/grpc")}, 5, "400"},
    {{BASE, H("te", "trailers")}, 5, "415"},
    {{BASE, H("content-type", "application/json"), H("te", "trailers")}, 6, "415"},
    {{BASE, H("content-type", "application/grpc-web"), H("te", "trailers")}, 6, "415"},
    {{H(":method", "GET"), H(":scheme", "http"), H(":authority", "a"), H(":path", "/a/b"), H("content-type", "application/grpc"), H("te", "trailers")}, 6, "405"},
    {{H(":method", "POST"), H(":scheme", "http"), H(":authority", "a"), H(":path", "/"), H("content-type", "application/grpc"), H("te", "trailers")}, 6, "400"},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct pair p;
        struct peer c;
        open_pair(&p);
        peer_init(&c, &p, &p.client);
        assert_int_equal(http2_stream_request(p.client.http2, &c.s, requests[i].head, requests[i].n, false), 0);
        pair_run(&p);
        print_message("request %zu: %s bearer '%s'\n", i, c.status, server.bearer);
        assert_string_equal(c.status, requests[i].status ? requests[i].status : "");
        assert_int_equal(http2_stream_count(p.server.http2), !requests[i].status);
        if (!requests[i].status)
            assert_string_equal(server.bearer, i == 1 ? "abc" : "");
        pair_close(&p);
    }
}

struct sent {
    const char *bytes;
    size_t len;
    bool end;
    const char *status;
    unsigned messages;
};
static const struct sent sents[] = {
    {BYTES("\1\0\0\0\1x"), false, "12", 0},
    {BYTES("\7\0\0\0\1x"), false, "13", 0},
    {BYTES("\0\0\1\0\1"), false, "8", 0},
    {BYTES("\0\0\0\0\0\0\0\0\0\2x"), true, "13", 1},
    {BYTES("\0\0"), true, "13", 0},
    {BYTES("\0\0\0\0\0\xff\0\0\0\0\0\0\0\0\0"), false, "13", 1},
};
static char seen_status[8];
static void note_status(struct http2_stream *s, const struct http2_head *head)
{
    (void)s;
    struct text status = http2_head_get(head, TEXT("grpc-status"));
    if (status.len)
        snprintf(seen_status, sizeof seen_status, "%.*s", (int)status.len, status.data);
}

/* A server answers broken messages with a status and takes nothing more. */
static void test_broken_requests(void **state)
{
    (void)state;
    static const struct http2_stream_events http2_events = {.head = note_status, .closed = peer_closed};
    for (size_t i = 0; i < ARRAY_SIZE(sents); i++) {
        struct pair p;
        struct peer c;
        open_pair(&p);
        server_message_max = 65536;
        seen_status[0] = '\0';
        peer_init(&c, &p, &p.client);
        c.s.events = &http2_events;
        assert_int_equal(http2_stream_request(p.client.http2, &c.s, requests[0].head, 6, false), 0);
        give_bytes(&c, sents[i].bytes, sents[i].len);
        if (sents[i].end)
            stream_finish(&c.s.stream);
        pair_run(&p);
        assert_string_equal(seen_status, sents[i].status);
        assert_int_equal(server.messages, sents[i].messages);
        assert_int_equal(server.half_closed, 0);
        assert_int_equal(server.closed, 1);
        assert_int_equal(server.status, GRPC_OK); /* our status was sent */
        assert_int_equal(c.closed, 1);
        pair_close(&p);
    }
}

/* The buffer of a message grows with what came, not with what was announced. */
static void test_announced_is_not_allocated(void **state)
{
    (void)state;
    struct pair p;
    struct peer c;
    open_pair(&p);
    peer_init(&c, &p, &p.client);
    assert_int_equal(http2_stream_request(p.client.http2, &c.s, requests[0].head, 6, false), 0);
    give_bytes(&c, BYTES("\0\0\xff\xff\xff" "abc"));
    pair_run(&p);
    assert_int_equal(server.call.partial_len, 3);
    assert_true(server.call.partial_size <= 4096);
    char more[10000] = {0};
    give_bytes(&c, more, sizeof more);
    pair_run(&p);
    assert_int_equal(server.call.partial_len, 10003);
    assert_true(server.call.partial_size <= 3 * 10003);
    pair_close(&p);
}

/* ---- Back-pressure */

static void test_paused_receiver(void **state)
{
    (void)state;
    struct pair p;
    open_call(&p);
    grpc_call_pause(&server.call);
    send_messages(&client, 1000, 100000);
    pair_run(&p);
    assert_true(server.bytes <= 1024 * 1024);
    assert_true(client.sent < 25);
    assert_true(grpc_call_queued(&client.call) > 0);
    assert_true(p.client.pool.n_live < 100);
    grpc_call_resume(&server.call);
    pair_run(&p);
    assert_int_equal(server.messages, 1000);
    assert_true(client.writable > 0);
    assert_int_equal(grpc_call_queued(&client.call), 0);
    pair_close(&p);
}

static void test_no_chunks(void **state)
{
    (void)state;
    struct pair p;
    open_call(&p);
    size_t max = p.client.pool.n_max;
    static uint8_t data[100000];
    p.client.pool.n_max = p.client.pool.n_live + 2;
    assert_int_equal(grpc_call_send(&client.call, data, sizeof data), -ENOBUFS);
    assert_int_equal(grpc_call_queued(&client.call), 0);
    p.client.pool.n_max = max;
    send_messages(&client, 1, 100000);
    pair_run(&p);
    assert_int_equal(server.messages, 1);
    pair_close(&p);
}

static void test_status_names(void **state)
{
    (void)state;
    assert_string_equal(grpc_status_name(GRPC_OK), "OK");
    assert_string_equal(grpc_status_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(grpc_status_name((enum grpc_status)17), "UNKNOWN");
    assert_int_equal(GRPC_UNAUTHENTICATED, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_streams_of_messages),
        cmocka_unit_test(test_server_ends_first),
        cmocka_unit_test(test_answer_in_request_event),
        cmocka_unit_test(test_long_status_message),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_in_events),
        cmocka_unit_test(test_finish_in_message),
        cmocka_unit_test(test_connection_ends),
        cmocka_unit_test(test_no_slot),
        cmocka_unit_test(test_reset_codes),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_broken_requests),
        cmocka_unit_test(test_announced_is_not_allocated),
        cmocka_unit_test(test_paused_receiver),
        cmocka_unit_test(test_no_chunks),
        cmocka_unit_test(test_status_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
