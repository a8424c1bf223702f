#include "tests/unit/shared/grpc/grpc_ends.h"

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
    } kinds[] = {
        {3000, 0}, {500, 3000}, {30, 100000}, {3, 5 * 1024 * 1024}, {1, GRPC_MESSAGE_MAX - 6}};
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

/* The server ends while the client still sends: RST_STREAM(NO_ERROR) after the status, which is
 * kept. */
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
    assert_int_equal(grpc_call_start(&second, p.client.http2, &p.client.pool, &o, &events, &client),
                     -EAGAIN);
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
        {HTTP2_NO_ERROR, GRPC_INTERNAL},
        {HTTP2_PROTOCOL_ERROR, GRPC_INTERNAL},
        {HTTP2_INTERNAL_ERROR, GRPC_INTERNAL},
        {HTTP2_REFUSED_STREAM, GRPC_UNAVAILABLE},
        {HTTP2_CANCEL, GRPC_CANCELLED},
        {HTTP2_CONNECT_ERROR, GRPC_INTERNAL},
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
        cmocka_unit_test(test_paused_receiver),
        cmocka_unit_test(test_no_chunks),
        cmocka_unit_test(test_status_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
