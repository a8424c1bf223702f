/*
 * The real kernel under a ring that is far too small: one place in its submission queue, a completion
 * queue of four, one buffer on the shelf. So completions overflow, multishot accepts and receives end without
 * being asked, and receives find no buffer, all the time; no byte and no connection is lost.
 */
#include "shared/base/clock.h"
#include "tests/unit/shared/ring/ring_fixture.h"

#include <fcntl.h>
#include <netinet/in.h>

enum { STREAMS = 48, BYTES = 150000, PIECE_MAX = 6000 };

static struct far_end {
    int fd;
    uint64_t sent;
    bool shut;
} far_ends[STREAMS];

static struct near_end {
    struct ring_op op;
    int fd, number; /* number: what its first byte says; -1: not yet known */
    uint64_t got;
} near_ends[STREAMS];

static struct ring_scope scope;
static struct ring_op accept_op;
static unsigned n_accepted, n_ended;
static struct rng chance;
static bool is_drained;

static uint8_t byte_of(unsigned stream, uint64_t at)
{
    return (uint8_t)(at == 0 ? stream : stream * 7 + at * 13 + (at >> 8));
}

static void received(struct ring_op *op, int result)
{
    struct near_end *e = container_of(op, struct near_end, op);
    if (result == 0) {
        assert_int_equal(e->got, BYTES);
        n_ended++;
        if (n_ended == STREAMS)
            ring_stop(ring);
        return;
    }
    assert_true(result > 0);
    const struct chunk *c = op->chunk;
    assert_int_equal(c->end - c->start, result);
    if (e->got == 0)
        e->number = c->data[c->start];
    for (uint32_t i = c->start; i < c->end; i++)
        if (c->data[i] != byte_of((unsigned)e->number, e->got + i - c->start))
            fail_msg("byte %llu of stream %d is wrong", (unsigned long long)e->got, e->number);
    e->got += (uint64_t)result;
}

static void accepted(struct ring_op *op, int result)
{
    (void)op;
    assert_true(result >= 0 && n_accepted < STREAMS);
    struct near_end *e = &near_ends[n_accepted++];
    e->fd = result;
    e->number = -1;
    ring_op_init(&e->op, &scope);
    ring_recv(ring, &e->op, e->fd, received);
}

/* Before each wait some of the far ends say something more. */
static void say_more(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < STREAMS; i++) {
        uint8_t piece[PIECE_MAX];
        struct far_end *f = &far_ends[i];
        size_t n = 1 + rng_below(&chance, sizeof piece);
        if (f->shut || rng_below(&chance, 3) == 0)
            continue;
        n = n < BYTES - f->sent ? n : BYTES - f->sent;
        for (size_t j = 0; j < n; j++)
            piece[j] = byte_of(i, f->sent + j);
        ssize_t r = send(f->fd, piece, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r > 0)
            f->sent += (uint64_t)r;
        if (f->sent == BYTES) {
            f->shut = true;
            assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
        }
    }
}

static void tick(struct timer *t)
{
    timer_start(ring_timers(ring), t, 1); /* so that a wait is never long */
}

static void drained(struct ring_scope *s)
{
    (void)s;
    is_drained = true;
    ring_stop(ring);
}

static void a_storm(void **state)
{
    const struct addr at = {.ip = {4, {127, 0, 0, 1}}};
    struct sockaddr_storage sa;
    struct ring_stats stats;
    struct timer ticking;
    struct addr listens;
    int fd;
    (void)state;
    ring_begin((struct ring_options){.entries = 1, .buffers = 1, .chunks_max = 16});
    rng_seed(&chance, clock_monotonic_us());
    ring_scope_init(&scope, ring, drained);
    assert_int_equal(socket_listen(&at, STREAMS, false, &fd), 0);
    assert_int_equal(socket_local(fd, &listens), 0);
    socklen_t len = addr_to_sockaddr(&listens, &sa);
    for (unsigned i = 0; i < STREAMS; i++) {
        far_ends[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(far_ends[i].fd, (struct sockaddr *)&sa, len), 0);
    }
    ring_op_init(&accept_op, &scope);
    ring_accept(ring, &accept_op, fd, accepted);
    ring_set_idle_hooks(ring, say_more, NULL, NULL);
    timer_init(&ticking, tick);
    timer_start(ring_timers(ring), &ticking, 1);
    assert_int_equal(ring_run(ring), 0);
    assert_int_equal(n_accepted, STREAMS);
    assert_int_equal(n_ended, STREAMS);
    ring_stats(ring, &stats);
    print_message("overflowed %llu times, starved %llu times in %llu turns\n",
                  (unsigned long long)stats.overflowed, (unsigned long long)stats.starved,
                  (unsigned long long)stats.turns);
    assert_true(stats.overflowed > 0 && stats.starved > 0);
    ring_scope_close(&scope);
    while (!is_drained)
        assert_int_equal(ring_run(ring), 0);
    timer_stop(ring_timers(ring), &ticking);
    for (unsigned i = 0; i < STREAMS; i++) {
        close(near_ends[i].fd);
        close(far_ends[i].fd);
    }
    socket_close(fd);
    ring_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_storm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
