/*
 * What single exchanges must do, in each pairing of HTTP/1.1 and HTTP/2: our own answers, deadlines, servers that break off,
 * readers that are slow; and each operation and each allocation of an exchange made to fail in turn.
 */
#include "tests/sim/http_world.h"
#include "tests/sim/sim_alloc.h"

static enum http_version from_version, to_version;
static const struct fake_weather calm = {.socket_bytes = 65536};
static const struct wish plain_wish = {
    .seed = 7, .request_bytes = 3000, .answer_bytes = 20000, .status = 200};

static void begin(uint64_t seed)
{
    world_new(seed, &calm, to_version);
    client_connect(from_version);
}

/* What became of it; the call itself is gone by then. */
static struct {
    unsigned status, grpc_status, n_informed;
    uint32_t code; /* HTTP/2: of the stream's end */
    int error;
    bool own, heard_all;
    uint64_t got;
} result;

static void keep_result(struct call *c)
{
    client_over(c);
    result.status = c->status;
    result.error = c->error;
    result.code = from_version == HTTP_VERSION_2 ? c->s.h2.code : HTTP2_NO_ERROR;
    result.own = c->own_answer;
    result.got = c->got;
    result.heard_all = c->heard_all;
    result.n_informed = c->informed;
    result.grpc_status = c->s.head.status ? (unsigned)number_in(&c->s.head, "grpc-status") : 0;
}

static void play(const struct wish *wish)
{
    struct call *c = ask(wish);
    assert_non_null(c);
    memset(&result, 0, sizeof result);
    c->told_over = keep_result;
    if (!fake_net_run_until(net, calls_are_over, NULL, WORLD_STUCK_MS))
        tell_stuck();
}

static void expect(unsigned status, enum ending ending)
{
    assert_int_equal(result.status, status);
    assert_int_equal(proxy.last.status, status);
    assert_string_equal(ending_text(proxy.last.ending), ending_text(ending));
}

/* ---- cases ---- */

static void whole(void)
{
    begin(1);
    play(&plain_wish);
    expect(200, ENDING_CLOSED);
    assert_int_equal(result.got, plain_wish.answer_bytes);
    assert_int_equal(proxy.last.bytes_received, 3000);
    assert_int_equal(proxy.last.bytes_sent, 20000);
    assert_true(proxy.last.chosen && !proxy.last.own);
    world_free();
}

/* The second one uses the first one's memory and connections again. */
static void again(void)
{
    begin(2);
    for (unsigned i = 0; i < 20; i++) {
        struct wish w = plain_wish;
        w.seed = i;
        play(&w);
        expect(200, ENDING_CLOSED);
    }
    assert_int_equal(proxy.pool.n_free, 1);
    unsigned n_upstreams = 0;
    for (unsigned i = 0; i < UPSTREAMS_MAX; i++)
        n_upstreams += proxy.upstreams[i] != NULL;
    assert_int_equal(n_upstreams, 1);
    world_free();
}

/* What a server says beyond its answer is not taken for the next one. */
static void too_much(void)
{
    begin(11);
    struct wish w = plain_wish;
    w.too_much = to_version == HTTP_VERSION_1;
    for (w.seed = 1; w.seed < 5; w.seed++) {
        play(&w);
        expect(200, ENDING_CLOSED);
        assert_false(result.own);
        assert_int_equal(result.got, w.answer_bytes);
    }
    world_free();
}

static void denied(void)
{
    begin(3);
    proxy.deny = ENDING_DENIED;
    struct wish w = plain_wish;
    w.request_bytes = 0;
    play(&w);
    expect(403, ENDING_DENIED);
    assert_true(result.own && proxy.last.own && !proxy.last.chosen);
    assert_int_equal(result.got, strlen("RBAC: access denied"));
    w.head = true;
    play(&w); /* by the same connection: nothing of the body stands in its way */
    expect(403, ENDING_DENIED);
    assert_int_equal(result.got, 0);
    w = plain_wish; /* with a body that nobody reads */
    play(&w);
    expect(403, ENDING_DENIED);
    w.grpc = true;
    w.request_bytes = 0;
    play(&w);
    expect(200, ENDING_DENIED);
    assert_int_equal(result.grpc_status, 7);
    assert_int_equal(proxy.last.grpc_status, 7);
    assert_int_equal(result.got, 0);
    proxy.deny = ENDING_NONE;
    w.answer_bytes = 0;
    play(&w); /* the server's own */
    expect(200, ENDING_CLOSED);
    assert_int_equal(proxy.last.grpc_status, 5);
    assert_false(proxy.last.own);
    w = plain_wish;
    play(&w);
    expect(200, ENDING_CLOSED);
    assert_int_equal(proxy.last.grpc_status, -1);
    world_free();
}

/* Connection: close is passed on to who speaks HTTP/1.1 as well, for it may count on it. */
static void last(void)
{
    begin(15);
    struct wish w = plain_wish;
    w.last = true;
    play(&w);
    expect(200, ENDING_CLOSED);
    fake_net_run_for(net, 1000);
    if (from_version == HTTP_VERSION_1 && to_version == HTTP_VERSION_1) {
        assert_null(client);
    } else {
        play(&plain_wish);
        expect(200, ENDING_CLOSED);
    }
    world_free();
}

/* A request that was answered, and does not go on. */
static void stalled(void)
{
    if (from_version != HTTP_VERSION_1)
        return; /* in HTTP/2 it is reset */
    begin(13);
    proxy.deny = ENDING_DENIED;
    struct wish w = plain_wish;
    w.stalls = true;
    assert_non_null(ask(&w));
    fake_net_run_for(net, 1000);
    assert_int_equal(proxy.n_records, 1);
    assert_int_equal(n_wires, 2); /* the rest may be on its way */
    fake_net_run_for(net, 10000);
    assert_int_equal(n_wires, 1); /* the client's own */
    world_free();
}

/* An empty line and the end of it: nobody waits for a head. */
static void asks_nothing(void)
{
    if (from_version != HTTP_VERSION_1)
        return;
    struct buf line = {0};
    begin(18);
    assert_int_equal(buf_append(&line, ring_chunks(client_ring), "\r\n", 2), 0);
    stream_send(&client->conn.stream, &line);
    stream_finish(&client->conn.stream);
    fake_net_run_for(net, 1000);
    assert_int_equal(n_wires, 0);
    assert_int_equal(proxy.n_records, 1);
    world_free();
}

static bool client_is_gone(void *arg)
{
    (void)arg;
    return !client || !client->link;
}

/* What was on its way when the connection was to end is answered, and nobody waits for long for more. */
static void drained(void)
{
    begin(19);
    play(&plain_wish);
    http_link_drain(proxy.door->link);
    play(&plain_wish);
    expect(200, ENDING_CLOSED);
    assert_true(fake_net_run_until(net, client_is_gone, NULL, 5000));
    world_free();

    begin(20);
    play(&plain_wish);
    http_link_drain(proxy.door->link);
    fake_net_run_for(net, 500);
    assert_int_equal(client_is_gone(NULL), from_version == HTTP_VERSION_2); /* it was asked */
    if (from_version == HTTP_VERSION_1)
        http_link_drain(proxy.door->link); /* says nothing new */
    assert_true(fake_net_run_until(net, client_is_gone, NULL, 700));
    world_free();
}

static struct call *asked;
static bool answer_has_begun(void *arg)
{
    (void)arg;
    return asked->status != 0;
}

/* An answer that was under way said that more may be asked: what is asked then is answered, and told of the end. */
static void drained_within_one(bool asks_again)
{
    begin(21);
    struct wish w = plain_wish;
    w.answer_bytes = 1000 * 1000;
    asked = ask(&w);
    assert_non_null(asked);
    assert_true(fake_net_run_until(net, answer_has_begun, NULL, 5000));
    http_link_drain(proxy.door->link);
    assert_true(fake_net_run_until(net, calls_are_over, NULL, WORLD_STUCK_MS));
    assert_true(client_can_ask());
    fake_net_run_for(net, 500);
    if (asks_again) {
        play(&plain_wish);
        expect(200, ENDING_CLOSED);
    }
    assert_true(fake_net_run_until(net, client_is_gone, NULL, 700));
    world_free();
}
static void drained_within(void)
{
    if (from_version != HTTP_VERSION_1)
        return;
    drained_within_one(true);
    drained_within_one(false);
}

/* The machine stood still, and a request lies there when the wait for it is over: it is answered. */
static void drained_late(void)
{
    if (from_version != HTTP_VERSION_1)
        return;
    begin(22);
    play(&plain_wish);
    http_link_drain(proxy.door->link);
    fake_net_run_for(net, 100);
    fake_net_set_fault(net, &(struct fake_fault){.points = FAKE_AT_RECV, .kind = FAKE_STALL, .nth = 1});
    play(&plain_wish);
    fake_net_set_fault(net, NULL);
    expect(200, ENDING_CLOSED);
    assert_true(fake_net_run_until(net, client_is_gone, NULL, 5000));
    world_free();
}

static void informed(void)
{
    begin(4);
    struct wish w = plain_wish;
    w.informs = true;
    play(&w);
    expect(200, ENDING_CLOSED);
    assert_int_equal(result.n_informed, 1);
    world_free();
}

/* Bytes of another protocol; when both sides have ended so have the connections, at once. */
static void upgraded(void)
{
    if (from_version != HTTP_VERSION_1 || to_version != HTTP_VERSION_1)
        return; /* HTTP/2 has no such thing */
    begin(12);
    struct wish w = plain_wish;
    w.upgrade = true;
    play(&w);
    expect(101, ENDING_CLOSED);
    assert_int_equal(result.got, w.request_bytes);
    fake_net_run_for(net, 500);
    assert_int_equal(n_wires, 0);
    world_free();
}

static struct call *slow;
static void slow_goes_on(struct timer *t)
{
    (void)t;
    slow->wish.stalls = false;
    call_pump(slow);
}
/* One side of another protocol has said all; the other one may take its time. */
static void half_closed(void)
{
    struct timer t;
    if (from_version != HTTP_VERSION_1 || to_version != HTTP_VERSION_1)
        return;
    begin(17);
    struct wish w = plain_wish;
    w.upgrade = w.early = w.stalls = true;
    slow = ask(&w);
    assert_non_null(slow);
    slow->told_over = keep_result;
    timer_init(&t, slow_goes_on);
    timer_start(ring_timers(client_ring), &t, 20 * 1000);
    if (!fake_net_run_until(net, calls_are_over, NULL, WORLD_STUCK_MS))
        tell_stuck();
    timer_stop(ring_timers(client_ring), &t);
    expect(101, ENDING_CLOSED);
    assert_int_equal(result.error, 0);
    assert_int_equal(proxy.last.bytes_received, w.request_bytes);
    world_free();
}

static void too_late(void)
{
    begin(5);
    proxy.host.answer_ms = 500;
    struct wish w = plain_wish;
    w.silent = true;
    play(&w);
    expect(504, ENDING_ANSWER_TIMEOUT);
    assert_in_range(proxy.last.duration_ms, 500, 600);
    proxy.host.answer_ms = 0;
    proxy.host.idle_ms = 2000; /* the relay's clock ends it as well */
    play(&w);
    expect(504, ENDING_IDLE_TIMEOUT);
    world_free();
}

static void broken_off(void)
{
    begin(6);
    struct wish w = plain_wish;
    w.aborts = true;
    w.answer_bytes = 600000;
    w.length = from_version == HTTP_VERSION_2;
    play(&w);
    expect(200, ENDING_RESET_BY_SERVER);
    assert_false(result.heard_all);
    assert_true(result.error < 0);
    if (from_version == HTTP_VERSION_2) /* CANCEL is the end of the answer to some */
        assert_int_equal(result.code, HTTP2_INTERNAL_ERROR);
    world_free();
}

/* An answer that HTTP/2 lets through and that no head can hold: told at once. */
static void strange(void)
{
    if (to_version != HTTP_VERSION_2)
        return; /* HTTP/1.1 could not say it */
    begin(14);
    struct wish w = plain_wish;
    w.status = 999;
    play(&w);
    expect(502, ENDING_BAD_ANSWER);
    assert_in_range(proxy.last.duration_ms, 0, 1000);
    play(&plain_wish);
    expect(200, ENDING_CLOSED);
    world_free();
}

/* Before a byte of the answer. */
static void cut(struct timer *t)
{
    for (unsigned i = 0; i < UPSTREAMS_MAX; i++)
        if (proxy.upstreams[i] && proxy.upstreams[i]->conn.fd >= 0)
            fake_socket_reset(proxy.upstreams[i]->conn.fd);
    (void)t;
}
static void broken_before(void)
{
    struct timer t;
    begin(7);
    timer_init(&t, cut);
    timer_start(ring_timers(client_ring), &t, 50);
    struct wish w = plain_wish;
    w.silent = true;
    play(&w);
    expect(503, ENDING_RESET_BY_SERVER);
    play(&plain_wish);
    expect(200, ENDING_CLOSED);
    world_free();
}

static void nobody(struct timer *t)
{
    (void)t;
    proxy.choose_late = 0;
}
/* A choice that waits; and one that is forgotten because the client has gone. */
static void chosen_late(void)
{
    struct timer t;
    begin(8);
    timer_init(&t, nobody);
    proxy.choose_late = 1;
    timer_start(ring_timers(client_ring), &t, 20);
    play(&plain_wish);
    timer_stop(ring_timers(client_ring), &t);
    expect(200, ENDING_CLOSED);
    assert_int_equal(proxy.n_forgot, 0);
    proxy.choose_late = 1;
    proxy.choose_never = true;
    assert_non_null(ask(&plain_wish));
    fake_net_run_for(net, 50);
    assert_int_equal(proxy.n_records, 1);
    fake_socket_reset(client->conn.fd);
    if (!fake_net_run_until(net, calls_are_over, NULL, WORLD_STUCK_MS))
        tell_stuck();
    assert_int_equal(proxy.n_forgot, 1);
    assert_true(proxy.last.ending == ENDING_RESET_BY_CLIENT && !proxy.last.chosen);
    world_free();
}

static size_t chunks_most;
static void sample(struct timer *t)
{
    struct ring_stats stats;
    ring_stats(proxy_ring, &stats);
    if (stats.chunks_live > chunks_most)
        chunks_most = stats.chunks_live;
    timer_start(ring_timers(proxy_ring), t, 1);
}
/* 8 MiB each way past a reader that is slow, at both ends. */
static void flat(void)
{
    struct timer t;
    begin(9);
    chunks_most = 0;
    timer_init(&t, sample);
    timer_start(ring_timers(proxy_ring), &t, 1);
    struct wish w = plain_wish;
    w.request_bytes = w.answer_bytes = 8 << 20;
    w.pauses = 2;
    w.early = true;
    play(&w);
    timer_stop(ring_timers(proxy_ring), &t);
    expect(200, ENDING_CLOSED);
    assert_int_equal(result.got, w.answer_bytes);
    /* Each way: a queue, the machine's output, a window that is held, what lies in the socket's way. */
    assert_in_range(chunks_most, 2, 2 * 4 * (STREAM_QUEUE_HIGH / CHUNK_BYTES + 4));
    world_free();
}

static void bound(void)
{
    begin(10);
    proxy.host.n_max = 0;
    play(&plain_wish);
    assert_int_equal(proxy.n_begun, 0);
    assert_int_equal(n_proxy_refused, 1); /* it leaves its record */
    assert_int_equal(last_refused, 503);
    assert_true(from_version == HTTP_VERSION_2 ? result.status == 503
                                               : result.status == 503 || result.error < 0);
    world_free();
}

/* The pod's requests count over all of its connections. */
static void bound_of_the_pod(void)
{
    const struct bounds_max max = {.pod = {[BOUND_REQUESTS_IN] = 1}};
    struct bounds *node;
    struct bound_view view;
    begin(16);
    assert_int_equal(bounds_new(&node, &max), 0);
    struct pod_bounds *pod = bounds_pod(node, "uid", "ns", "name");
    proxy.host.bounds = pod;
    proxy.host.bound = BOUND_REQUESTS_IN;
    for (unsigned i = 0; i < 3; i++) {
        play(&plain_wish);
        expect(200, ENDING_CLOSED);
    }
    assert_true(bound_take(pod, BOUND_REQUESTS_IN, 0)); /* another connection's */
    play(&plain_wish);
    assert_int_equal(proxy.n_begun, 3);
    assert_int_equal(last_refused, 503);
    bound_give(pod, BOUND_REQUESTS_IN);
    bounds_view(node, BOUND_REQUESTS_IN, &view);
    assert_int_equal(view.now, 0);
    bounds_view_pods(node, BOUND_REQUESTS_IN, &view);
    assert_int_equal(view.reached, 1);
    world_free();
    pod_bounds_unref(pod);
    bounds_free(node);
}

/* ---- faults ---- */

enum { POINTS_MAX = 4000 };
static const struct wish fault_wishes[] = {
    {.seed = 1, .request_bytes = 4000, .answer_bytes = 40000, .status = 200},
    {.seed = 2,
     .request_bytes = 300,
     .answer_bytes = 400,
     .status = 200,
     .trailers = true,
     .informs = true},
};

static bool fault(unsigned points, enum fake_fault_kind kind, int error, uint64_t nth)
{
    running = nth;
    begin(nth);
    if (kind != FAKE_STALL)
        proxy.host.idle_ms = 0; /* what is broken is told; no clock has to find it */
    if (points == 0)
        sim_alloc_fail_at(nth);
    else
        fake_net_set_fault(
            net, &(struct fake_fault){.points = points, .kind = kind, .error = error, .nth = nth});
    for (size_t i = 0; i < ARRAY_SIZE(fault_wishes); i++)
        if (client_can_ask())
            (void)ask(&fault_wishes[i]);
    if (!fake_net_run_until(net, calls_are_over, NULL, WORLD_STUCK_MS))
        tell_stuck();
    bool reached = points == 0 ? sim_alloc_failed() : fake_net_points(net) >= nth;
    sim_alloc_fail_at(0);
    fake_net_set_fault(net, NULL);
    if (!client || !client->link) /* and then all is well again */
        client_connect(from_version);
    fake_net_run_for(net, 3000);
    if (client_can_ask()) {
        play(&plain_wish);
        expect(200, ENDING_CLOSED);
    }
    world_free();
    return reached;
}

static void faults(void)
{
    static const struct {
        unsigned points;
        enum fake_fault_kind kind;
        int error;
    } table[] = {
        {0, FAKE_ERROR, 0},
        {FAKE_AT_RECV, FAKE_ERROR, -ECONNRESET},
        {FAKE_AT_SEND, FAKE_ERROR, -EPIPE},
        {FAKE_AT_RECV | FAKE_AT_SEND, FAKE_ONE_BYTE, 0},
        {FAKE_AT_RECV | FAKE_AT_SEND, FAKE_STALL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        uint64_t nth = 1;
        while (fault(table[i].points, table[i].kind, table[i].error, nth))
            assert_true(++nth < POINTS_MAX);
        assert_true(nth > 1);
    }
    running = 0;
}

/* ---- */

#define CASES(X)                                                                                   \
    X(whole)                                                                                       \
    X(again)                                                                                       \
    X(too_much)                                                                                    \
    X(upgraded)                                                                                    \
    X(half_closed)                                                                                 \
    X(stalled) X(asks_nothing) X(drained) X(drained_within) X(drained_late) X(strange) X(last) X(denied) \
        X(informed) X(too_late) X(broken_off) X(broken_before) X(chosen_late) X(flat) X(bound) X(bound_of_the_pod) X(faults)
#define IN_PAIRING(name, from, to)                                                                 \
    static void name##_##from##_to_##to(void **state)                                              \
    {                                                                                              \
        (void)state;                                                                               \
        from_version = HTTP_VERSION_##from;                                                        \
        to_version = HTTP_VERSION_##to;                                                            \
        name();                                                                                    \
    }
#define CASE(name)                                                                                 \
    IN_PAIRING(name, 1, 1) IN_PAIRING(name, 1, 2) IN_PAIRING(name, 2, 1) IN_PAIRING(name, 2, 2)
#define TEST(name)                                                                                 \
    cmocka_unit_test_teardown(name##_1_to_1, tell_seed),                                           \
        cmocka_unit_test_teardown(name##_1_to_2, tell_seed),                                       \
        cmocka_unit_test_teardown(name##_2_to_1, tell_seed),                                       \
        cmocka_unit_test_teardown(name##_2_to_2, tell_seed),
CASES(CASE)

int main(void)
{
    const struct CMUnitTest tests[] = {CASES(TEST)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
