/*
 * A story on the simulated network: an echo server and its clients, each process with a ring of
 * its own. The same seed is the same run, and bytes are neither lost nor invented, whatever the
 * weather.
 */
#include "tests/support/fake_ring.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fake_net *net;
static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}
static struct addr address(const char *text)
{
    struct addr a = {0};
    assert_int_equal(addr_parse(text_of(text), &a), 0);
    return a;
}

/* ---- one end of a connection: echoes, or sends a pattern and wants it back ------------- */
enum { QUEUE_HIGH = 40000 };
struct end {
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op recv_op, connect_op, send_op;
    struct buf queue;
    int fd, error;
    bool echo, input_ended, output_ended;
    size_t to_send, n_sent, n_received;
};
static unsigned n_live, n_good, n_failed;

static void end_read(struct end *e);
static void end_drained(struct ring_scope *scope)
{
    struct end *e = container_of(scope, struct end, scope);
    buf_done(&e->queue);
    socket_close(e->fd);
    free(e);
    n_live--;
}
static void end_close(struct end *e, int error)
{
    if (e->scope.closing)
        return;
    n_good += error == 0;
    n_failed += error != 0;
    ring_scope_close(&e->scope);
}
static void end_fill(struct end *e)
{
    static uint8_t piece[3000];
    while (!e->echo && e->n_sent + e->queue.len < e->to_send && e->queue.len < QUEUE_HIGH) {
        size_t at = e->n_sent + e->queue.len, n = e->to_send - at;
        n = n < sizeof piece ? n : sizeof piece;
        for (size_t i = 0; i < n; i++)
            piece[i] = pattern(at + i);
        if (buf_append(&e->queue, ring_chunks(e->ring), piece, n) < 0)
            return;
    }
}
static void end_sent(struct ring_op *op, int result);
static void end_flush(struct end *e)
{
    if (e->scope.closing || e->send_op.in_flight || e->output_ended)
        return;
    end_fill(e);
    if (e->queue.len > 0) {
        struct iovec iov[RING_IOV_MAX];
        size_t n = buf_iovecs(&e->queue, iov, RING_IOV_MAX, NULL);
        ring_send(e->ring, &e->send_op, e->fd, iov, (unsigned)n, end_sent);
    } else if (e->echo ? e->input_ended : e->n_sent == e->to_send) {
        e->output_ended = true;
        int r = socket_shutdown_send(e->fd);
        if (r < 0)
            end_close(e, r);
        else if (e->input_ended)
            end_close(e, 0);
    }
}
static void end_sent(struct ring_op *op, int result)
{
    struct end *e = container_of(op, struct end, send_op);
    if (result < 0)
        return end_close(e, result);
    assert_true(result > 0 && (size_t)result <= e->queue.len);
    buf_consume(&e->queue, (size_t)result);
    e->n_sent += (size_t)result;
    if (e->queue.len < QUEUE_HIGH / 2 && !e->recv_op.in_flight && !e->input_ended)
        end_read(e);
    end_flush(e);
}
static void end_received(struct ring_op *op, int result)
{
    struct end *e = container_of(op, struct end, recv_op);
    if (result == -ECANCELED && e->echo) { /* we stopped it */
        if (e->queue.len < QUEUE_HIGH / 2)
            end_read(e);
        return;
    }
    if (result < 0)
        return end_close(e, result);
    if (result == 0) {
        e->input_ended = true;
        if (!e->echo)
            return end_close(e, e->n_received == e->to_send ? 0 : -EPROTO);
        return end_flush(e);
    }
    assert_int_equal(chunk_len(op->chunk), result);
    if (e->echo) {
        buf_push(&e->queue, op->chunk);
        op->chunk = NULL;
        if (e->queue.len >= QUEUE_HIGH)
            ring_recv_stop(e->ring, op);
        return end_flush(e);
    }
    for (size_t i = 0; i < (size_t)result; i++)
        if (op->chunk->data[op->chunk->start + i] != pattern(e->n_received + i))
            fail_msg("wrong byte at %zu", e->n_received + i);
    e->n_received += (size_t)result;
}
static void end_read(struct end *e)
{
    ring_recv(e->ring, &e->recv_op, e->fd, end_received);
}
static struct end *end_new(struct ring *r, int fd, bool echo)
{
    struct end *e = calloc(1, sizeof *e);
    assert_non_null(e);
    e->ring = r;
    e->fd = fd;
    e->echo = echo;
    ring_scope_init(&e->scope, r, end_drained);
    ring_op_init(&e->recv_op, &e->scope);
    ring_op_init(&e->connect_op, &e->scope);
    ring_op_init(&e->send_op, &e->scope);
    n_live++;
    return e;
}
static void end_connected(struct ring_op *op, int result)
{
    struct end *e = container_of(op, struct end, connect_op);
    if (result < 0)
        return end_close(e, result);
    end_read(e);
    end_flush(e);
}
static struct end *client_new(struct ring *r, const struct addr *to, size_t bytes)
{
    int fd;
    if (socket_open(ip_family(&to->ip), &fd) < 0)
        return NULL;
    struct end *e = end_new(r, fd, false);
    e->to_send = bytes;
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(to, &sa);
    ring_connect(r, &e->connect_op, fd, (struct sockaddr *)&sa, len, end_connected);
    return e;
}

struct server {
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op op;
    int fd;
    unsigned n_accepted;
};
static void server_accepted(struct ring_op *op, int result)
{
    struct server *s = container_of(op, struct server, op);
    assert_true(result >= FAKE_FD_BASE);
    s->n_accepted++;
    end_read(end_new(s->ring, result, true));
}
static void server_drained(struct ring_scope *scope)
{
    socket_close(container_of(scope, struct server, scope)->fd);
}
static void server_start(struct server *s, struct ring *r, const struct addr *at, int backlog)
{
    *s = (struct server){.ring = r};
    assert_int_equal(socket_listen(at, backlog, false, &s->fd), 0);
    ring_scope_init(&s->scope, r, server_drained);
    ring_op_init(&s->op, &s->scope);
    ring_accept(r, &s->op, s->fd, server_accepted);
}

/* ---- a story on three rings ------------------------------------------------------------ */
enum { CLIENTS = 20, STEPS_MAX = 4000000 };
struct outcome {
    uint64_t trace, starved;
    unsigned good, failed;
};
static struct outcome story(uint64_t seed, const struct fake_weather *weather, size_t server_chunks)
{
    struct ring *rings[3];
    struct server server;
    struct addr at = address("10.0.0.1:80");
    struct ring_options scarce = {.chunks_max = server_chunks};
    net = fake_net_new(seed);
    fake_net_set_weather(net, weather);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ring_open(&rings[i], i == 0 ? &scarce : NULL, NULL), 0);
    n_live = n_good = n_failed = 0;
    server_start(&server, rings[0], &at, 4);
    for (int i = 0; i < CLIENTS; i++)
        assert_non_null(client_new(rings[1 + i % 2], &at, 1 + rng_below(fake_net_rng(net), 60000)));
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(n_live, 0);
    ring_scope_close(&server.scope);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(fake_net_leaks(net), 0);
    struct outcome o = {fake_net_trace(net), 0, n_good, n_failed};
    assert_int_equal(o.good + o.failed, CLIENTS + server.n_accepted);
    for (int i = 0; i < 3; i++) {
        struct ring_stats stats;
        ring_stats(rings[i], &stats);
        o.starved += stats.starved;
        ring_free(rings[i]);
    }
    net = fake_net_free(net);
    return o;
}

static void test_every_byte_arrives(void **state)
{
    (void)state;
    struct fake_weather weathers[] = {
        FAKE_WEATHER,
        {.socket_bytes = 1 << 20},
        {.short_percent = 100, .delay_percent = 100, .delay_ms_max = 500, .socket_bytes = 777},
        {.short_percent = 10, .socket_bytes = 1},
    };
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct outcome o = story(seed, &weathers[seed % 4], 1000);
        assert_int_equal(o.good, 2 * CLIENTS);
        assert_int_equal(o.failed, 0);
    }
}

static void test_same_seed_same_run(void **state)
{
    (void)state;
    struct fake_weather w = FAKE_WEATHER;
    w.resets_per_million = 300;
    struct outcome a = story(7, &w, 1000), b = story(7, &w, 1000), c = story(8, &w, 1000);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_not_equal(a.trace, c.trace);
}

/* Whatever breaks, each end is told and everything is given back. */
static void test_resets(void **state)
{
    (void)state;
    struct fake_weather w = FAKE_WEATHER;
    w.resets_per_million = 10000;
    unsigned failed = 0, good = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct outcome o = story(seed, &w, 1000);
        failed += o.failed;
        good += o.good;
    }
    assert_true(failed > 20 && good > 20);
}

static void test_few_chunks(void **state)
{
    (void)state;
    struct fake_weather w = FAKE_WEATHER;
    w.short_percent = 5;
    uint64_t starved = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct outcome o = story(seed, &w, 8);
        assert_int_equal(o.good, 2 * CLIENTS);
        starved += o.starved;
    }
    assert_true(starved > 0);
}

static void test_few_descriptors(void **state)
{
    (void)state;
    struct fake_weather w = FAKE_WEATHER;
    w.sockets_max = 1 + CLIENTS + 3; /* the listener, the clients, three at a time */
    struct outcome o = story(3, &w, 1000);
    assert_int_equal(o.good, 2 * CLIENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_arrives),
        cmocka_unit_test(test_same_seed_same_run),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_few_chunks),
        cmocka_unit_test(test_few_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
