#include "tests/unit/shared/grpc/grpc_ends.h"

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
/* clang-format off */
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
/* clang-format on */

static void give_bytes(struct peer *p, const char *bytes, size_t len)
{
    struct buf b = {0};
    assert_int_equal(buf_append(&b, &p->side->pool, bytes, len), 0);
    stream_send(&p->s.stream, &b);
}

static void drop_received(struct stream *s, struct buf *bytes)
{
    (void)s;
    buf_done(bytes);
}

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
/* clang-format off */
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
/* clang-format on */

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct pair p;
        struct peer c;
        open_pair(&p);
        peer_init(&c, &p, &p.client);
        assert_int_equal(
            http2_stream_request(p.client.http2, &c.s, requests[i].head, requests[i].n, false), 0);
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
/* clang-format off */
static const struct sent sents[] = {
    {BYTES("\1\0\0\0\1x"), false, "12", 0},
    {BYTES("\7\0\0\0\1x"), false, "13", 0},
    {BYTES("\0\0\1\0\1"), false, "8", 0},
    {BYTES("\0\0\0\0\0\0\0\0\0\2x"), true, "13", 1},
    {BYTES("\0\0"), true, "13", 0},
    {BYTES("\0\0\0\0\0\xff\0\0\0\0\0\0\0\0\0"), false, "13", 1},
};
/* clang-format on */
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
    static const struct http2_stream_events http2_events = {.head = note_status,
                                                            .closed = peer_closed};
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
    give_bytes(&c, BYTES("\0\0\xff\xff\xff"
                         "abc"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_broken_requests),
        cmocka_unit_test(test_announced_is_not_allocated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
