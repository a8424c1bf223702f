/*
 * The simulated network by itself, on one ring: its clock, its sockets, who answers a connect, and
 * that it is as strict as the kernel where that matters.
 */
#include "shared/ring/mailbox.h"
#include "tests/support/fake_ring.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct fake_net *net;
static struct ring *ring;
enum { STEPS_MAX = 1000000 };
static struct addr address(const char *text)
{
    struct addr a = {0};
    assert_int_equal(addr_parse(text_of(text), &a), 0);
    return a;
}
static bool same_text(const struct addr *a, const char *text)
{
    struct addr b = address(text);
    return addr_equal(a, &b);
}

/* ---- one ring ---------------------------------------------------------------------------- */
static int begin(void **state)
{
    (void)state;
    net = fake_net_new(42);
    ring = NULL;
    assert_int_equal(ring_open(&ring, NULL, NULL), 0);
    return 0;
}
static int end(void **state)
{
    (void)state;
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(fake_net_leaks(net), 0);
    ring = ring_free(ring);
    net = fake_net_free(net);
    return 0;
}

static void stop_ring(struct timer *t)
{
    (void)t;
    ring_stop(ring);
}
static bool at_once(void *arg)
{
    (void)arg;
    return true;
}
static bool never(void *arg)
{
    (void)arg;
    return false;
}
static void test_the_clock_jumps(void **state)
{
    (void)state;
    struct timer t;
    uint64_t from = ring_now_ms(ring), day = 86400000;
    timer_init(&t, stop_ring);
    timer_start(ring_timers(ring), &t, day);
    assert_int_equal(ring_run(ring), 0);
    assert_true(ring_now_ms(ring) >= from + day && ring_now_ms(ring) < from + day + 1000);
    assert_int_equal(ring_now_ms(ring), fake_net_now_ms(net));
    assert_int_equal(ring_run(ring), -EDEADLK); /* nobody will ever stop it */
    timer_start(ring_timers(ring), &t, 5000);
    assert_false(fake_net_run_until(net, never, NULL, 1000));
    assert_true(timer_running(&t));
    assert_true(fake_net_run_until(net, at_once, NULL, 0));
    from = fake_net_now_ms(net);
    fake_net_run_for(net, 3000);
    assert_int_equal(fake_net_now_ms(net), from + 3000);
    assert_true(timer_running(&t));
    timer_stop(ring_timers(ring), &t);
}

static void again_at_once(struct timer *t)
{
    timer_start(ring_timers(ring), t, 0);
}
/* Who never waits for anything keeps nobody from the end of a time. */
static void test_the_clock_goes_on_for_the_busy(void **state)
{
    (void)state;
    struct timer t;
    uint64_t from = fake_net_now_ms(net);
    timer_init(&t, again_at_once);
    timer_start(ring_timers(ring), &t, 0);
    assert_false(fake_net_run_until(net, never, NULL, 1000));
    assert_int_equal(fake_net_now_ms(net), from + 1000);
    fake_net_run_for(net, 1000);
    assert_int_equal(fake_net_now_ms(net), from + 2000);
    timer_stop(ring_timers(ring), &t);
}

static int last_result;
static bool was_drained;
static void remember(struct ring_op *op, int result)
{
    (void)op;
    last_result = result;
}
static void drained(struct ring_scope *scope)
{
    (void)scope;
    was_drained = true;
}
static void must_not_be_done(struct ring_op *op, int result)
{
    fail_msg("kind %d was done with %d in a closing scope", op->kind, result);
}

static void test_half_close_and_unread_bytes(void **state)
{
    (void)state;
    int fds[2];
    char c[8];
    assert_int_equal(fake_socket_pair(net, fds), 0);
    assert_int_equal(fake_socket_write(fds[0], "a", 1), 1);
    assert_int_equal(socket_shutdown_send(fds[0]), 0);
    assert_int_equal(fake_socket_write(fds[0], "b", 1), -EPIPE);
    assert_int_equal(fake_socket_read(fds[1], c, sizeof c), 1);
    assert_int_equal(fake_socket_read(fds[1], c, sizeof c), 0);
    assert_int_equal(fake_socket_write(fds[1], "c", 1), 1); /* the other way is open */
    socket_close(fds[0]);                                   /* with the c unread: a reset */
    assert_int_equal(fake_socket_read(fds[1], c, sizeof c), -ECONNRESET);
    assert_int_equal(fake_socket_read(fds[1], c, sizeof c), 0);
    assert_int_equal(fake_socket_write(fds[1], "d", 1), -EPIPE);
    socket_close(fds[1]);

    assert_int_equal(fake_socket_pair(net, fds), 0);
    socket_close(fds[0]); /* a polite one */
    assert_int_equal(fake_socket_read(fds[1], c, sizeof c), 0);
    assert_int_equal(fake_socket_write(fds[1], "e", 1), 1); /* goes out, and a reset comes back */
    assert_int_equal(fake_socket_read(fds[1], c, sizeof c), -ECONNRESET);
    socket_close(fds[1]);
}

static void test_close_with_all_kinds_in_flight(void **state)
{
    (void)state;
    static uint8_t bulk[1 << 20];
    for (int round = 0; round < 50; round++) {
        struct ring_scope scope;
        struct ring_op accept_op, connect_op, recv_op, send_op;
        struct sockaddr_storage to;
        struct addr at = address("10.0.0.1:80");
        int listener, pair[2], full, caller, filler;
        assert_int_equal(socket_listen(&at, 8, false, &listener), 0);
        at.port = 81;
        assert_int_equal(socket_listen(&at, 1, false, &full), 0);
        assert_int_equal(fake_socket_pair(net, pair), 0);
        assert_int_equal(socket_open(AF_INET, &caller), 0);
        assert_int_equal(socket_open(AF_INET, &filler), 0);
        assert_int_equal(fake_socket_connect(filler, &at), 0);
        socklen_t len = addr_to_sockaddr(&at, &to);
        ring_scope_init(&scope, ring, drained);
        ring_op_init(&accept_op, &scope);
        ring_op_init(&connect_op, &scope);
        ring_op_init(&recv_op, &scope);
        ring_op_init(&send_op, &scope);
        was_drained = false;
        ring_accept(ring, &accept_op, listener, must_not_be_done);
        ring_connect(ring, &connect_op, caller, (struct sockaddr *)&to, len, must_not_be_done);
        ring_recv(ring, &recv_op, pair[0], must_not_be_done);
        while (fake_socket_write(pair[0], bulk, sizeof bulk) > 0)
            ; /* so that the send waits */
        const struct iovec iov = {bulk, sizeof bulk};
        ring_send(ring, &send_op, pair[0], &iov, 1, must_not_be_done);
        if (round % 2)
            fake_net_run_for(net, 100);
        assert_int_equal(scope.in_flight, 4);
        ring_scope_close(&scope);
        ring_scope_close(&scope);
        assert_false(was_drained);
        assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
        assert_true(was_drained);
        int all[] = {listener, full, pair[0], pair[1], caller, filler};
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
            socket_close(all[i]);
    }
}

static void test_connect(void **state)
{
    (void)state;
    struct ring_scope scope;
    struct ring_op op;
    struct sockaddr_storage to;
    struct addr at = address("10.0.0.1:80");
    int fd, listener, first, got;
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    socklen_t len = addr_to_sockaddr(&at, &to);
    ring_scope_init(&scope, ring, NULL);
    ring_op_init(&op, &scope);
    last_result = 1;
    ring_connect(ring, &op, fd, (struct sockaddr *)&to, len, remember);
    assert_int_equal(last_result, 1); /* never from inside a submit */
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(last_result, -ECONNREFUSED);

    /* A full queue: the second one waits until the first was accepted. */
    assert_int_equal(socket_listen(&at, 1, false, &listener), 0);
    assert_int_equal(socket_listen(&at, 1, false, &got), -EADDRINUSE);
    assert_int_equal(socket_open(AF_INET, &first), 0);
    assert_int_equal(fake_socket_connect(first, &at), 0);
    last_result = 1;
    ring_connect(ring, &op, fd, (struct sockaddr *)&to, len, remember);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(last_result, 1);
    assert_int_equal(fake_socket_accept(listener, &got), 0);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(last_result, 0);
    socket_close(listener); /* resets the one that was not accepted */
    char c;
    assert_int_equal(fake_socket_read(fd, &c, 1), -ECONNRESET);
    socket_close(got);
    socket_close(first);
    socket_close(fd);
}

/* ---- namespaces and routes ------------------------------------------------------------------ */
static int connect_from(uint32_t namespace_id, const char *to, int *ret_fd)
{
    struct addr at = address(to);
    uint32_t before = fake_net_enter_namespace(net, namespace_id);
    assert_int_equal(socket_open(ip_family(&at.ip), ret_fd), 0);
    fake_net_enter_namespace(net, before);
    return fake_socket_connect(*ret_fd, &at);
}
static void test_namespaces(void **state)
{
    (void)state;
    struct ip pod[2];
    int listeners[2], fd, got;
    struct addr peer, local;
    assert_int_equal(ip_parse(TEXT("10.1.0.1"), &pod[0]), 0);
    assert_int_equal(ip_parse(TEXT("10.1.0.2"), &pod[1]), 0);
    for (uint32_t i = 0; i < 2; i++) { /* both pods listen at the same address and port */
        assert_int_equal(fake_net_add_address(net, i + 1, &pod[i]), 0);
        fake_net_enter_namespace(net, i + 1);
        assert_int_equal(socket_listen(&(struct addr){.port = 15008}, 8, false, &listeners[i]), 0);
        assert_int_equal(fake_socket_namespace(listeners[i]), i + 1);
    }
    fake_net_enter_namespace(net, 0);
    assert_int_equal(connect_from(1, "10.1.0.2:15008", &fd), 0); /* from pod to pod */
    assert_int_equal(fake_socket_accept(listeners[0], &got), -EAGAIN);
    assert_int_equal(fake_socket_accept(listeners[1], &got), 0);
    assert_int_equal(socket_peer(got, &peer), 0);
    assert_true(ip_equal(&peer.ip, &pod[0]));
    assert_int_equal(socket_local(fd, &local), 0);
    assert_true(addr_equal(&peer, &local));
    assert_int_equal(socket_local(got, &local), 0);
    assert_true(same_text(&local, "10.1.0.2:15008"));
    assert_int_equal(socket_original_dst(got, &local), -ENOENT);
    assert_int_equal(fake_socket_namespace(got), 2);
    socket_close(got);
    socket_close(fd);
    assert_int_equal(connect_from(2, "127.0.0.1:15008", &fd),
                     0); /* the loopback is each pod's own */
    assert_int_equal(fake_socket_accept(listeners[1], &got), 0);
    socket_close(got);
    socket_close(fd);
    assert_int_equal(connect_from(0, "127.0.0.1:15008", &fd), -ECONNREFUSED);
    socket_close(fd);
    /* In the name of another. */
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    assert_int_equal(socket_bind_transparent(fd, &pod[0]), 0);
    assert_int_equal(socket_set_mark(fd, 0x539), 0);
    assert_int_equal(fake_socket_mark(fd), 0x539);
    struct addr to = address("10.1.0.2:15008");
    assert_int_equal(fake_socket_connect(fd, &to), 0);
    assert_int_equal(fake_socket_accept(listeners[1], &got), 0);
    assert_int_equal(socket_peer(got, &peer), 0);
    assert_true(ip_equal(&peer.ip, &pod[0]));
    int all[] = {got, fd, listeners[0], listeners[1]};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        socket_close(all[i]);
}

static bool capture(struct fake_net *of, int fd, const struct addr *to, struct fake_route *ret,
                    void *arg)
{
    assert_ptr_equal(of, net);
    if (fake_socket_namespace(fd) != 1)
        return false;
    ret->listener = *(int *)arg;
    ret->original = *to;
    ret->lost = to->port == 9;
    ret->error = to->port == 10 ? -EHOSTUNREACH : 0;
    return true;
}
static void test_capture(void **state)
{
    (void)state;
    int outbound, server, fd, got;
    struct addr at = address("127.0.0.1:15001"), original, local;
    assert_int_equal(socket_listen(&at, 8, false, &outbound), 0);
    at = address("10.9.9.9:80");
    assert_int_equal(socket_listen(&at, 8, false, &server), 0);
    fake_net_set_route(net, capture, &outbound);
    assert_int_equal(connect_from(1, "10.9.9.9:80", &fd), 0);
    assert_int_equal(fake_socket_accept(server, &got), -EAGAIN);
    assert_int_equal(fake_socket_accept(outbound, &got), 0);
    assert_int_equal(socket_original_dst(got, &original), 0);
    assert_true(same_text(&original, "10.9.9.9:80"));
    assert_int_equal(socket_peer(fd, &local), 0); /* the caller notices nothing */
    assert_true(same_text(&local, "10.9.9.9:80"));
    socket_close(got);
    socket_close(fd);
    assert_int_equal(connect_from(2, "10.9.9.9:80", &fd), 0); /* not captured */
    assert_int_equal(fake_socket_accept(server, &got), 0);
    socket_close(got);
    socket_close(fd);
    assert_int_equal(connect_from(1, "10.9.9.9:9", &fd), -EAGAIN);
    socket_close(fd);
    assert_int_equal(connect_from(1, "10.9.9.9:10", &fd), -EHOSTUNREACH);
    socket_close(fd);
    socket_close(outbound);
    socket_close(server);
}

static void test_unix(void **state)
{
    (void)state;
    int listener, other, fd, got;
    struct ring_scope scope;
    struct ring_op op;
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/run/weir/socket"};
    assert_int_equal(socket_listen_unix(to.sun_path, 0600, &listener), 0);
    assert_int_equal(socket_listen_unix(to.sun_path, 0600, &other), -EADDRINUSE);
    ring_scope_init(&scope, ring, NULL);
    ring_op_init(&op, &scope);
    const int results[] = {0, -ECONNREFUSED};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socket_open(AF_UNIX, &fd), 0);
        last_result = 1;
        ring_connect(ring, &op, fd, (struct sockaddr *)&to, sizeof to, remember);
        assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
        assert_int_equal(last_result, results[i]);
        if (i == 0) {
            assert_int_equal(fake_socket_accept(listener, &got), 0);
            assert_int_equal(fake_socket_write(got, "hi", 2) > 0, 1);
            socket_close(got);
            socket_close(listener);
        }
        socket_close(fd);
    }
}

/* ---- mail, tasks, and what is misuse
 * ---------------------------------------------------------- */
static struct mailbox box;
static unsigned n_mail;
static void mail_came(struct mail *mail)
{
    (void)mail;
    n_mail++;
}
static void test_mailbox(void **state)
{
    (void)state;
    struct mail letters[3];
    n_mail = 0;
    assert_int_equal(mailbox_open(&box, ring), 0);
    for (int i = 0; i < 3; i++) {
        letters[i].deliver = mail_came;
        mailbox_post(&box, &letters[i]);
    }
    assert_int_equal(n_mail, 0);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(n_mail, 3);
    mailbox_post(&box, &letters[0]);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(n_mail, 4);
    mailbox_close(&box, NULL);
}

static void tell_net(struct ring_task *task)
{
    (void)task;
    fake_net_stop(net);
}
static void test_stop_and_tasks(void **state)
{
    (void)state;
    struct ring_task task;
    ring_task_init(&task, tell_net);
    ring_task_ask(ring, &task);
    ring_task_ask(ring, &task);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_STOPPED);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    ring_task_ask(ring, &task);
    ring_task_cancel(&task);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    assert_int_equal(fake_net_run(net, 0), FAKE_TIRED);
}

static void close_in_flight(void)
{
    int fds[2];
    struct ring_scope scope;
    struct ring_op op;
    ring_scope_init(&scope, ring, NULL);
    ring_op_init(&op, &scope);
    fake_socket_pair(net, fds);
    ring_recv(ring, &op, fds[0], remember);
    socket_close(fds[0]);
}
static void two_sends(void)
{
    int fds[2];
    struct ring_scope scope;
    static struct ring_op sends[2];
    const struct iovec iov = {"x", 1};
    ring_scope_init(&scope, ring, NULL);
    fake_socket_pair(net, fds);
    for (int i = 0; i < 2; i++) {
        ring_op_init(&sends[i], &scope);
        ring_send(ring, &sends[i], fds[0], &iov, 1, remember);
    }
}
static void close_twice(void)
{
    int fds[2];
    fake_socket_pair(net, fds);
    socket_close(fds[0]);
    socket_close(fds[0]);
}
static void free_in_flight(void)
{
    int fds[2];
    struct ring_scope scope;
    struct ring_op op;
    ring_scope_init(&scope, ring, NULL);
    ring_op_init(&op, &scope);
    fake_socket_pair(net, fds);
    ring_recv(ring, &op, fds[0], remember);
    ring_free(ring);
}
static void test_misuse(void **state)
{
    (void)state;
    void (*misuses[])(void) = {close_in_flight, two_sends, close_twice, free_in_flight};
    for (size_t i = 0; i < ARRAY_SIZE(misuses); i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            signal(SIGABRT, SIG_DFL);
            close(STDERR_FILENO);
            misuses[i]();
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static void test_leaks_are_seen(void **state)
{
    (void)state;
    int fd;
    struct timer t;
    struct ring_scope scope;
    struct ring_op op;
    struct chunk *c = chunk_new(ring_chunks(ring));
    int saved = dup(STDERR_FILENO), quiet[2];
    assert_int_equal(pipe(quiet), 0);
    assert_true(dup2(quiet[1], STDERR_FILENO) >= 0);
    ring_scope_init(&scope, ring, NULL);
    ring_op_init(&op, &scope);
    timer_init(&t, stop_ring);
    unsigned before = fake_net_leaks(net);
    timer_start(ring_timers(ring), &t, 5);
    assert_int_equal(socket_listen(&(struct addr){.port = 1}, 1, false, &fd), 0);
    ring_accept(ring, &op, fd, must_not_be_done);
    unsigned after = fake_net_leaks(net);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(quiet[0]);
    close(quiet[1]);
    assert_int_equal(before, 1); /* the chunk */
    assert_int_equal(after, 4);  /* and a timer, an operation, a listener */
    chunk_free(c);
    timer_stop(ring_timers(ring), &t);
    ring_scope_close(&scope);
    assert_int_equal(fake_net_run(net, STEPS_MAX), FAKE_IDLE);
    socket_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_clock_jumps, begin, end),
        cmocka_unit_test_setup_teardown(test_the_clock_goes_on_for_the_busy, begin, end),
        cmocka_unit_test_setup_teardown(test_half_close_and_unread_bytes, begin, end),
        cmocka_unit_test_setup_teardown(test_close_with_all_kinds_in_flight, begin, end),
        cmocka_unit_test_setup_teardown(test_connect, begin, end),
        cmocka_unit_test_setup_teardown(test_namespaces, begin, end),
        cmocka_unit_test_setup_teardown(test_capture, begin, end),
        cmocka_unit_test_setup_teardown(test_unix, begin, end),
        cmocka_unit_test_setup_teardown(test_mailbox, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_and_tasks, begin, end),
        cmocka_unit_test_setup_teardown(test_misuse, begin, end),
        cmocka_unit_test_setup_teardown(test_leaks_are_seen, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
