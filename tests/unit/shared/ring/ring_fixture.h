/*
 * What the tests of shared/ring start from: a ring with a watchdog, and a `side`: one socket on
 * it that collects what arrives and sends what it is told. Every event stops the ring, so that a
 * test is a row of RUN_UNTIL(condition).
 */
#ifndef TESTS_UNIT_SHARED_RING_RING_FIXTURE_H
#define TESTS_UNIT_SHARED_RING_RING_FIXTURE_H
#include "shared/ring/ring.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WATCHDOG_MS = 20000, NOT_YET = 12345, SIDE_MAX = 1 << 21 };

static struct ring *ring;
static struct timer watchdog;

static inline void watchdog_fired(struct timer *t)
{
    (void)t;
    fail_msg("nothing came for too long");
}
static inline void ring_begin(struct ring_options options)
{
    const char *why = "";
    int r = ring_open(&ring, &options, &why);
    if (r < 0)
        fail_msg("ring_open: %d: %s", r, why);
    timer_init(&watchdog, watchdog_fired);
    timer_start(ring_timers(ring), &watchdog, WATCHDOG_MS);
}
static inline void ring_end(void)
{
    timer_stop(ring_timers(ring), &watchdog);
    ring = ring_free(ring);
}
#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        while (!(condition))                                                                       \
            assert_int_equal(ring_run(ring), 0);                                                   \
    } while (0)
/* One turn that does not wait. */
static inline void run_once(void)
{
    ring_stop(ring);
    assert_int_equal(ring_run(ring), 0);
}

struct side {
    struct ring_scope scope;
    struct ring_op recv_op, send_op;
    int fd;
    uint8_t *got;
    size_t n_got;
    int end, sent; /* the last result, or NOT_YET */
    unsigned n_calls;
    bool stop_in_done, drained;
};
static inline void side_drained(struct ring_scope *scope)
{
    struct side *s = container_of(scope, struct side, scope);
    assert_false(s->drained);
    s->drained = true;
    socket_close(s->fd);
    ring_stop(ring);
}
static inline void side_init(struct side *s, int fd)
{
    *s = (struct side){.fd = fd, .end = NOT_YET, .sent = NOT_YET};
    s->got = malloc(SIDE_MAX);
    assert_non_null(s->got);
    ring_scope_init(&s->scope, ring, side_drained);
    ring_op_init(&s->recv_op, &s->scope);
    ring_op_init(&s->send_op, &s->scope);
}
static inline void side_received(struct ring_op *op, int result)
{
    struct side *s = container_of(op, struct side, recv_op);
    s->n_calls++;
    ring_stop(ring);
    if (result <= 0) {
        assert_null(op->chunk);
        s->end = result;
        return;
    }
    assert_non_null(op->chunk);
    assert_int_equal(chunk_len(op->chunk), result);
    assert_true(s->n_got + (size_t)result <= SIDE_MAX);
    memcpy(s->got + s->n_got, op->chunk->data + op->chunk->start, (size_t)result);
    s->n_got += (size_t)result;
    if (s->stop_in_done)
        ring_recv_stop(ring, op);
}
static inline void side_read(struct side *s)
{
    s->end = NOT_YET;
    ring_recv(ring, &s->recv_op, s->fd, side_received);
    assert_int_equal(s->end, NOT_YET); /* never from inside a submit */
}
static inline void side_sent(struct ring_op *op, int result)
{
    struct side *s = container_of(op, struct side, send_op);
    s->sent = result;
    ring_stop(ring);
}
static inline void side_send(struct side *s, const void *data, size_t len)
{
    s->sent = NOT_YET;
    const struct iovec iov = {(void *)(uintptr_t)data, len};
    ring_send(ring, &s->send_op, s->fd, &iov, 1, side_sent);
}
static inline void side_done(struct side *s)
{
    ring_scope_close(&s->scope);
    RUN_UNTIL(s->drained);
    free(s->got);
}
/* Two ends of one connection, both on the ring. */
static inline void side_pair(struct side *a, struct side *b)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    side_init(a, fds[0]);
    side_init(b, fds[1]);
}
static inline uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

/* A listener on the loopback; its address in *ret_at. */
static inline int listen_loopback(int backlog, struct sockaddr_storage *ret_at, socklen_t *ret_len)
{
    struct addr at = {.ip = {.len = 4, .bytes = {127, 0, 0, 1}}};
    int fd = -1;
    assert_int_equal(socket_listen(&at, backlog, false, &fd), 0);
    assert_int_equal(socket_local(fd, &at), 0);
    assert_int_not_equal(at.port, 0);
    *ret_len = addr_to_sockaddr(&at, ret_at);
    return fd;
}
struct acceptor {
    struct ring_scope scope;
    struct ring_op op;
    int fds[256];
    unsigned n;
    int end;
    bool drained;
};
static inline void acceptor_drained(struct ring_scope *scope)
{
    container_of(scope, struct acceptor, scope)->drained = true;
    ring_stop(ring);
}
static inline void acceptor_accepted(struct ring_op *op, int result)
{
    struct acceptor *a = container_of(op, struct acceptor, op);
    ring_stop(ring);
    if (result < 0) {
        a->end = result;
        return;
    }
    assert_true(a->n < ARRAY_SIZE(a->fds));
    a->fds[a->n++] = result;
}
static inline void acceptor_start(struct acceptor *a, int listener)
{
    a->n = 0;
    a->end = NOT_YET;
    a->drained = false;
    ring_scope_init(&a->scope, ring, acceptor_drained);
    ring_op_init(&a->op, &a->scope);
    ring_accept(ring, &a->op, listener, acceptor_accepted);
}
static inline void acceptor_stop(struct acceptor *a)
{
    ring_scope_close(&a->scope);
    RUN_UNTIL(a->drained);
}
#endif
