#include "tests/unit/shared/ring/ring_fixture.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int begin(void **state)
{
    (void)state;
    ring_begin((struct ring_options){0});
    return 0;
}
static int end(void **state)
{
    (void)state;
    ring_end();
    return 0;
}

/* ---- a connection over the loopback ----------------------------------------- */
struct dial {
    struct ring_scope scope;
    struct ring_op op;
    int result;
    bool drained;
};
static void dialled(struct ring_op *op, int result)
{
    container_of(op, struct dial, op)->result = result;
    ring_stop(ring);
}
static void dial_drained(struct ring_scope *scope)
{
    container_of(scope, struct dial, scope)->drained = true;
    ring_stop(ring);
}
static int dial(const struct sockaddr_storage *at, socklen_t len, int *ret_fd)
{
    struct dial d = {.result = NOT_YET};
    ring_scope_init(&d.scope, ring, dial_drained);
    ring_op_init(&d.op, &d.scope);
    assert_int_equal(socket_open(at->ss_family, ret_fd), 0);
    ring_connect(ring, &d.op, *ret_fd, (const struct sockaddr *)at, len, dialled);
    assert_int_equal(d.result, NOT_YET);
    RUN_UNTIL(d.result != NOT_YET);
    ring_scope_close(&d.scope);
    assert_false(d.drained); /* only from the loop */
    RUN_UNTIL(d.drained);
    return d.result;
}
static void tcp_pair(struct side *client, struct side *server)
{
    struct sockaddr_storage at;
    socklen_t len;
    struct acceptor a;
    int listener = listen_loopback(16, &at, &len), fd = -1;
    acceptor_start(&a, listener);
    assert_int_equal(dial(&at, len, &fd), 0);
    RUN_UNTIL(a.n == 1);
    acceptor_stop(&a);
    socket_close(listener);
    side_init(client, fd);
    side_init(server, a.fds[0]);
}

/* A megabyte goes there and back at once, whatever the sizes of reads and writes. */
static void test_echo(void **state)
{
    (void)state;
    enum { TOTAL = 1 << 20, PIECE = 70000 };
    struct side client, server;
    tcp_pair(&client, &server);
    uint8_t *data = malloc(TOTAL);
    assert_non_null(data);
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = pattern(i);
    side_read(&client);
    side_read(&server);
    size_t put = 0, echoed = 0;
    client.sent = server.sent = 0;
    size_t in_flight = 0, echo_in_flight = 0;
    while (client.n_got < TOTAL) {
        if (client.sent != NOT_YET && client.sent >= 0) {
            put += (size_t)(in_flight ? client.sent : 0);
            in_flight = put + PIECE < TOTAL ? PIECE : TOTAL - put;
            client.sent = 0;
            if (in_flight)
                side_send(&client, data + put, in_flight);
        }
        if (server.sent != NOT_YET && server.sent >= 0) {
            echoed += (size_t)(echo_in_flight ? server.sent : 0);
            echo_in_flight = server.n_got - echoed;
            server.sent = 0;
            if (echo_in_flight)
                side_send(&server, server.got + echoed, echo_in_flight);
        }
        assert_int_equal(client.end, NOT_YET);
        assert_int_equal(ring_run(ring), 0);
    }
    assert_memory_equal(client.got, data, TOTAL);
    side_done(&client);
    side_done(&server);
    free(data);
}

static void test_half_close(void **state)
{
    (void)state;
    struct side client, server;
    tcp_pair(&client, &server);
    side_read(&client);
    side_read(&server);
    side_send(&client, "question", 8);
    RUN_UNTIL(client.sent == 8);
    assert_int_equal(socket_shutdown_send(client.fd), 0);
    RUN_UNTIL(server.end != NOT_YET);
    assert_int_equal(server.end, 0);
    assert_int_equal(server.n_got, 8);
    side_send(&server, "answer", 6); /* the other way is still open */
    RUN_UNTIL(client.n_got == 6);
    assert_memory_equal(client.got, "answer", 6);
    assert_int_equal(client.end, NOT_YET);
    side_done(&server);
    RUN_UNTIL(client.end != NOT_YET);
    assert_int_equal(client.end, 0);
    side_done(&client);
}

static void test_reset(void **state)
{
    (void)state;
    struct side client, server;
    tcp_pair(&client, &server);
    side_read(&server);
    socket_set_reset_on_close(client.fd);
    side_done(&client);
    RUN_UNTIL(server.end != NOT_YET);
    assert_int_equal(server.end, -ECONNRESET);
    side_send(&server, "x", 1);
    RUN_UNTIL(server.sent != NOT_YET);
    assert_int_equal(server.sent, -EPIPE); /* and no SIGPIPE */
    side_done(&server);
}

static void test_connect_refused(void **state)
{
    (void)state;
    struct sockaddr_storage at;
    socklen_t len;
    socket_close(listen_loopback(1, &at, &len));
    int fd = -1;
    assert_int_equal(dial(&at, len, &fd), -ECONNREFUSED);
    socket_close(fd);
}

static void test_gathered_send(void **state)
{
    (void)state;
    struct side a, b;
    side_pair(&a, &b);
    side_read(&b);
    char words[RING_IOV_MAX][4];
    struct iovec iov[RING_IOV_MAX];
    for (int i = 0; i < RING_IOV_MAX; i++) {
        memcpy(words[i], "w00,", 4);
        words[i][1] = (char)('0' + i / 10);
        words[i][2] = (char)('0' + i % 10);
        iov[i] = (struct iovec){words[i], 4};
    }
    a.sent = NOT_YET;
    ring_send(ring, &a.send_op, a.fd, iov, RING_IOV_MAX, side_sent);
    memset(iov, 0xff, sizeof iov); /* it was copied */
    RUN_UNTIL(b.n_got == sizeof words);
    RUN_UNTIL(a.sent == sizeof words);
    assert_memory_equal(b.got, words, sizeof words);
    side_done(&a);
    side_done(&b);
}

/* ---- stopping a receive ------------------------------------------------------ */
static void test_stop_idle_then_read_on(void **state)
{
    (void)state;
    struct side a, b;
    side_pair(&a, &b);
    side_read(&b);
    run_once();
    ring_recv_stop(ring, &b.recv_op);
    ring_recv_stop(ring, &b.recv_op);
    assert_int_equal(b.end, NOT_YET);
    RUN_UNTIL(b.end != NOT_YET);
    assert_int_equal(b.end, -ECANCELED);
    assert_int_equal(b.n_calls, 1);
    ring_recv_stop(ring, &b.recv_op); /* not in flight: nothing happens */
    side_send(&a, "later", 5);
    RUN_UNTIL(a.sent == 5);
    run_once();
    assert_int_equal(b.n_got, 0); /* what comes meanwhile waits in the socket */
    side_read(&b);
    RUN_UNTIL(b.n_got == 5);
    assert_memory_equal(b.got, "later", 5);
    side_done(&a);
    side_done(&b);
}

static void test_stop_before_the_submit(void **state)
{
    (void)state;
    struct side a, b;
    side_pair(&a, &b);
    side_send(&a, "there", 5);
    RUN_UNTIL(a.sent == 5);
    side_read(&b);
    ring_recv_stop(ring, &b.recv_op);
    RUN_UNTIL(b.end != NOT_YET);
    assert_int_equal(b.end, -ECANCELED);
    side_read(&b);
    RUN_UNTIL(b.n_got == 5); /* before the stop or after: once */
    run_once();
    assert_int_equal(b.n_got, 5);
    side_done(&a);
    side_done(&b);
}

/* A reader that stops at each piece and reads on, with a writer that never stops, loses nothing. */
static void test_stop_in_done(void **state)
{
    (void)state;
    enum { TOTAL = 1 << 20 };
    struct side a, b;
    side_pair(&a, &b);
    uint8_t *data = malloc(TOTAL);
    assert_non_null(data);
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = pattern(i);
    b.stop_in_done = true;
    size_t put = 0;
    a.sent = 0;
    b.end = -ECANCELED;
    while (b.n_got < TOTAL) {
        if (b.end == -ECANCELED)
            side_read(&b);
        if (a.sent != NOT_YET) {
            assert_true(a.sent >= 0);
            put += (size_t)a.sent;
            if (put < TOTAL)
                side_send(&a, data + put, TOTAL - put);
            else
                a.sent = NOT_YET;
        }
        assert_int_equal(ring_run(ring), 0);
    }
    assert_memory_equal(b.got, data, TOTAL);
    free(data);
    side_done(&a);
    side_done(&b);
}

/* ---- poll, and more operations than the queue has places ---------------------- */
struct watch {
    struct ring_scope scope;
    struct ring_op ops[100];
    unsigned n_ready;
    bool drained;
};
static struct watch watch;
static void watch_ready(struct ring_op *op, int result)
{
    (void)op;
    assert_int_equal(result, POLLIN);
    watch.n_ready++;
    ring_stop(ring);
}
static void watch_drained(struct ring_scope *scope)
{
    (void)scope;
    watch.drained = true;
    ring_stop(ring);
}
static void test_more_polls_than_places(void **state)
{
    (void)state;
    ring_begin((struct ring_options){.entries = 4, .buffers = 2});
    watch = (struct watch){0};
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_true(fd >= 0);
    ring_scope_init(&watch.scope, ring, watch_drained);
    for (size_t i = 0; i < ARRAY_SIZE(watch.ops); i++) {
        ring_op_init(&watch.ops[i], &watch.scope);
        ring_poll(ring, &watch.ops[i], fd, POLLIN, watch_ready);
    }
    run_once();
    assert_int_equal(watch.n_ready, 0);
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
    RUN_UNTIL(watch.n_ready == ARRAY_SIZE(watch.ops)); /* 100 completions through a queue of 16 */
    struct ring_stats stats;
    ring_stats(ring, &stats);
    assert_true(stats.overflowed > 0);
    ring_scope_close(&watch.scope);
    RUN_UNTIL(watch.drained);
    close(fd);
    ring_end();
}

/* ---- accept ------------------------------------------------------------------ */
/* More connections wait than completions fit: the kernel ends the multishot accept, the ring
 * goes on. */
static void test_accept_goes_on(void **state)
{
    (void)state;
    enum { CLIENTS = 60 };
    ring_begin((struct ring_options){.entries = 1, .buffers = 1});
    struct sockaddr_storage at;
    socklen_t len;
    int listener = listen_loopback(CLIENTS, &at, &len), clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(socket_open(AF_INET, &clients[i]), 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&at, len), 0);
    }
    struct acceptor a;
    acceptor_start(&a, listener);
    RUN_UNTIL(a.n == CLIENTS);
    assert_int_equal(a.end, NOT_YET);
    acceptor_stop(&a);
    for (int i = 0; i < CLIENTS; i++) {
        socket_close(clients[i]);
        socket_close(a.fds[i]);
    }
    socket_close(listener);
    ring_end();
}

static void test_accept_error(void **state)
{
    (void)state;
    struct acceptor a;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    acceptor_start(&a, fds[0]);
    RUN_UNTIL(a.end != NOT_YET);
    assert_int_equal(a.end, -EINVAL);
    acceptor_stop(&a);
    close(fds[0]);
    close(fds[1]);
}

static void grow(struct rlimit *limit, rlim_t by)
{
    limit->rlim_cur += by;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, limit), 0);
}

static void stop_now(struct timer *t)
{
    (void)t;
    ring_stop(ring);
}

/* In a child, since it lowers its own limit of descriptors. */
static void out_of_descriptors(bool close_while_paused)
{
    ring_begin((struct ring_options){0});
    struct sockaddr_storage at;
    socklen_t len;
    int listener = listen_loopback(8, &at, &len), clients[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socket_open(AF_INET, &clients[i]), 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&at, len), 0);
    }
    int next = dup(listener); /* the lowest number that is free */
    close(next);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)next;
    grow(&limit, 0);
    struct acceptor a;
    acceptor_start(&a, listener);
    struct ring_stats before, after;
    ring_stats(ring, &before);
    struct timer enough;
    timer_init(&enough, stop_now);
    timer_start(ring_timers(ring), &enough, 350);
    assert_int_equal(ring_run(ring), 0);
    ring_stats(ring, &after);
    assert_int_equal(a.n, 0);
    assert_int_equal(a.end, NOT_YET);
    assert_true(after.completed - before.completed <= 5); /* a try every 100 ms, no spinning */
    assert_true(after.completed - before.completed >= 2);
    if (close_while_paused) {
        acceptor_stop(&a);
    } else {
        grow(&limit, 10);
        RUN_UNTIL(a.n == 2);
        acceptor_stop(&a);
    }
    ring_end();
}
static void in_child(bool close_while_paused)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        out_of_descriptors(close_while_paused);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
static void test_accept_out_of_descriptors(void **state)
{
    (void)state;
    in_child(false);
}
static void test_close_while_accept_pauses(void **state)
{
    (void)state;
    in_child(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, begin, end),
        cmocka_unit_test_setup_teardown(test_half_close, begin, end),
        cmocka_unit_test_setup_teardown(test_reset, begin, end),
        cmocka_unit_test_setup_teardown(test_connect_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_gathered_send, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_idle_then_read_on, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_before_the_submit, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_in_done, begin, end),
        cmocka_unit_test_setup_teardown(test_accept_error, begin, end),
        cmocka_unit_test(test_more_polls_than_places),
        cmocka_unit_test(test_accept_goes_on),
        cmocka_unit_test(test_accept_out_of_descriptors),
        cmocka_unit_test(test_close_while_accept_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
