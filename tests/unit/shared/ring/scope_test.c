#include "tests/unit/shared/ring/ring_fixture.h"
#include <poll.h>
#include <sys/eventfd.h>

static int begin(void **state)
{
    (void)state;
    ring_begin((struct ring_options){.buffers = 8});
    return 0;
}
static int end(void **state)
{
    (void)state;
    struct ring_stats stats;
    ring_stats(ring, &stats);
    assert_int_equal(stats.chunks_live, 0);
    ring_end();
    return 0;
}

/* ---- an owner with one operation of each kind --------------------------------- */
struct owner {
    struct ring_scope scope;
    struct ring_op accept_op, connect_op, recv_op, send_op, poll_op;
    int fds[6];
    uint8_t *bulk;
};
static unsigned n_drained;
enum { BULK = 16 << 20 };

static void must_not_be_done(struct ring_op *op, int result)
{
    fail_msg("kind %d was done with %d in a closing scope", op->kind, result);
}
/* Everything goes here: AddressSanitizer tells if the kernel or the ring touch it afterwards. */
static void owner_drained(struct ring_scope *scope)
{
    struct owner *o = container_of(scope, struct owner, scope);
    for (size_t i = 0; i < ARRAY_SIZE(o->fds); i++)
        socket_close(o->fds[i]);
    free(o->bulk);
    free(o);
    n_drained++;
    ring_stop(ring);
}
/* A listener whose queue is full: who connects now waits. */
static int full_listener(struct sockaddr_storage *at, socklen_t *len, int ret_fillers[2])
{
    int listener = listen_loopback(0, at, len);
    for (int i = 0; i < 2; i++) {
        ret_fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(ret_fillers[i] >= 0);
        (void)connect(ret_fillers[i], (struct sockaddr *)at, *len);
    }
    return listener;
}
static struct owner *owner_new(const struct sockaddr_storage *slow, socklen_t slow_len)
{
    struct owner *o = calloc(1, sizeof *o);
    assert_non_null(o);
    ring_scope_init(&o->scope, ring, owner_drained);
    ring_op_init(&o->accept_op, &o->scope);
    ring_op_init(&o->connect_op, &o->scope);
    ring_op_init(&o->recv_op, &o->scope);
    ring_op_init(&o->poll_op, &o->scope);
    ring_op_init(&o->send_op, &o->scope);
    o->bulk = calloc(1, BULK);
    assert_non_null(o->bulk);
    struct sockaddr_storage at;
    socklen_t len;
    o->fds[0] = listen_loopback(1, &at, &len);
    assert_int_equal(socket_open(AF_INET, &o->fds[1]), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &o->fds[2]), 0);
    o->fds[4] = eventfd(0, EFD_CLOEXEC);
    o->fds[5] = -1;
    ring_accept(ring, &o->accept_op, o->fds[0], must_not_be_done);
    ring_connect(ring, &o->connect_op, o->fds[1], (const struct sockaddr *)slow, slow_len,
                 must_not_be_done);
    ring_recv(ring, &o->recv_op, o->fds[2], must_not_be_done);
    const struct iovec bulk = {o->bulk, BULK}; /* more than the socket takes */
    ring_send(ring, &o->send_op, o->fds[2], &bulk, 1, must_not_be_done);
    ring_poll(ring, &o->poll_op, o->fds[4], POLLIN, must_not_be_done);
    return o;
}
static void close_with_all_kinds_in_flight(bool submitted)
{
    struct sockaddr_storage slow;
    socklen_t len;
    int fillers[2];
    int listener = full_listener(&slow, &len, fillers);
    struct owner *o = owner_new(&slow, len);
    if (submitted)
        for (int i = 0; i < 3; i++)
            run_once();
    assert_int_equal(o->scope.in_flight, 5);
    n_drained = 0;
    ring_scope_close(&o->scope);
    ring_scope_close(&o->scope);
    assert_int_equal(n_drained, 0);
    RUN_UNTIL(n_drained == 1);
    run_once();
    assert_int_equal(n_drained, 1);
    socket_close(fillers[0]);
    socket_close(fillers[1]);
    socket_close(listener);
}
static void test_close_in_the_middle(void **state)
{
    (void)state;
    close_with_all_kinds_in_flight(true);
}
static void test_close_before_the_submit(void **state)
{
    (void)state;
    close_with_all_kinds_in_flight(false);
}

/* ---- what arrives in a closing scope ------------------------------------------ */
static struct side racers[2];
static struct side *other_of(struct side *s)
{
    return s == &racers[0] ? &racers[1] : &racers[0];
}
static void racer_received(struct ring_op *op, int result)
{
    struct side *s = container_of(op, struct side, recv_op);
    assert_true(result > 0);
    s->n_calls++;
    ring_scope_close(&other_of(s)->scope); /* whose completion is in the same batch */
    ring_scope_close(&s->scope);           /* and our own, from inside */
}
static void test_chunks_of_a_closing_scope(void **state)
{
    (void)state;
    struct side a[2];
    for (int i = 0; i < 2; i++) {
        side_pair(&a[i], &racers[i]);
        ring_recv(ring, &racers[i].recv_op, racers[i].fd, racer_received);
    }
    run_once();
    for (int i = 0; i < 2; i++)
        assert_int_equal(send(a[i].fd, "x", 1, MSG_NOSIGNAL), 1);
    RUN_UNTIL(racers[0].drained && racers[1].drained);
    assert_int_equal(racers[0].n_calls + racers[1].n_calls, 1);
    for (int i = 0; i < 2; i++) {
        free(racers[i].got);
        side_done(&a[i]);
    }
}

/* The accept picks up the connection, the scope is closed before anybody hears of it. */
static void test_accept_in_a_closing_scope(void **state)
{
    (void)state;
    struct sockaddr_storage at;
    socklen_t len;
    int listener = listen_loopback(4, &at, &len), fd = -1;
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
    struct acceptor a;
    acceptor_start(&a, listener);
    struct side client;
    side_init(&client, fd);
    side_read(&client);
    acceptor_stop(&a);
    assert_int_equal(a.n, 0);
    RUN_UNTIL(client.end != NOT_YET); /* the ring has closed what it accepted */
    assert_int_equal(client.end, 0);
    side_done(&client);
    socket_close(listener);
}

static void test_close_a_stopping_receive(void **state)
{
    (void)state;
    struct side a, b;
    side_pair(&a, &b);
    side_read(&b);
    run_once();
    ring_recv_stop(ring, &b.recv_op);
    ring_scope_close(&b.scope);
    ring_recv_stop(ring, &b.recv_op);
    RUN_UNTIL(b.drained);
    assert_int_equal(b.n_calls, 0);
    free(b.got);
    side_done(&a);
}

/* ---- drained ------------------------------------------------------------------ */
static unsigned order[3], n_order;
struct empty {
    struct ring_scope scope;
    struct empty *then; /* closes that one */
    unsigned number;
};
static void empty_drained(struct ring_scope *scope)
{
    struct empty *e = container_of(scope, struct empty, scope);
    order[n_order++] = e->number;
    if (e->then)
        ring_scope_close(&e->then->scope);
}
static void test_drained_in_order_and_from_the_loop(void **state)
{
    (void)state;
    struct empty e[3] = {{.number = 0, .then = &e[2]}, {.number = 1}, {.number = 2}};
    n_order = 0;
    for (int i = 0; i < 3; i++)
        ring_scope_init(&e[i].scope, ring, empty_drained);
    ring_scope_close(&e[0].scope);
    ring_scope_close(&e[1].scope);
    assert_int_equal(n_order, 0);
    run_once();
    assert_int_equal(n_order, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(order[i], i);
    struct ring_scope silent; /* nobody wants to know */
    ring_scope_init(&silent, ring, NULL);
    ring_scope_close(&silent);
    run_once();
}

static void test_drained_at_the_latest_by_ring_free(void **state)
{
    (void)state;
    ring_begin((struct ring_options){.entries = 8, .buffers = 2});
    struct empty e = {.number = 7};
    n_order = 0;
    ring_scope_init(&e.scope, ring, empty_drained);
    ring_scope_close(&e.scope);
    ring_end();
    assert_int_equal(n_order, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_close_in_the_middle, begin, end),
        cmocka_unit_test_setup_teardown(test_close_before_the_submit, begin, end),
        cmocka_unit_test_setup_teardown(test_chunks_of_a_closing_scope, begin, end),
        cmocka_unit_test_setup_teardown(test_accept_in_a_closing_scope, begin, end),
        cmocka_unit_test_setup_teardown(test_close_a_stopping_receive, begin, end),
        cmocka_unit_test_setup_teardown(test_drained_in_order_and_from_the_loop, begin, end),
        cmocka_unit_test(test_drained_at_the_latest_by_ring_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
