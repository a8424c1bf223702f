/* Listeners over the real ring. */
#include "shared/transport/listener.h"
#include "tests/unit/shared/transport/fixture.h"
#include <fcntl.h>

static struct listener l;
static struct addr at;
static int taken[64];
static size_t n_taken, want;
static unsigned n_drained;
static bool close_in_accepted, release_in_accepted;

static void accepted(struct listener *listener, int fd)
{
    assert_ptr_equal(listener, &l);
    assert_true(l.n_open <= l.connections_max);
    taken[n_taken++] = fd;
    if (release_in_accepted)
        listener_release(&l);
    if (close_in_accepted)
        listener_close(&l);
    bed_poke();
}

static void drained(struct listener *listener)
{
    assert_ptr_equal(listener, &l);
    n_drained++;
    bed_poke();
}

static bool has_wanted(void)
{
    return n_taken == want;
}
static bool is_drained(void)
{
    return n_drained > 0;
}

static void begin(size_t connections_max)
{
    n_taken = n_drained = 0;
    close_in_accepted = release_in_accepted = false;
    listener_open(&l, bed.ring, listen_loopback(&at), connections_max, accepted, drained, NULL);
}

static void finish(void)
{
    listener_close(&l);
    listener_close(&l);
    if (!n_drained)
        bed_run_until(is_drained);
    assert_int_equal(n_drained, 1);
    assert_int_equal(l.fd, -1);
    for (size_t i = 0; i < n_taken; i++)
        close(taken[i]);
}

/* Blocks only for the kernel's own handshake: the backlog takes it. */
static int join(void)
{
    struct sockaddr_storage sa;
    int fd = -1;

    assert_int_equal(socket_open(AF_INET, &fd), 0);
    socklen_t len = addr_to_sockaddr(&at, &sa);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static void accept_until(size_t n)
{
    want = n;
    bed_run_until(has_wanted);
}

/* Asked again each millisecond: no event says it. */
static bool is_disarmed(void)
{
    return l.disarmed;
}

static struct ring_stats stats_before;
static bool has_tried_thrice(void)
{
    struct ring_stats now;
    ring_stats(bed.ring, &now);
    return now.submitted >= stats_before.submitted + 3;
}

static void accepts_several(void **state)
{
    int fds[10];

    (void)state;
    begin(20);
    for (size_t i = 0; i < 10; i++)
        fds[i] = join();
    accept_until(10);
    assert_int_equal(l.n_open, 10);
    for (size_t i = 0; i < 10; i++)
        close(fds[i]);
    finish();
}

/* At the maximum nothing more is accepted; a release lets exactly one more in. Again and again. */
static void stops_at_the_maximum(void **state)
{
    int fds[3 + 5];

    (void)state;
    begin(3);
    for (size_t i = 0; i < 3; i++)
        fds[i] = join();
    accept_until(3);
    assert_true(l.full);
    bed_run_until(is_disarmed);
    for (size_t i = 3; i < 8; i++) {
        fds[i] = join(); /* the backlog holds it */
        bed_wait_ms(5);
        assert_int_equal(n_taken, i);
        listener_release(&l);
        accept_until(i + 1);
        assert_int_equal(l.n_open, 3);
        bed_run_until(is_disarmed);
    }
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    finish();
}

/* The release comes while the kernel still gives the operation back. */
static void release_at_once(void **state)
{
    (void)state;
    begin(1);
    release_in_accepted = true;
    for (size_t i = 0; i < 20; i++) {
        int fd = join();
        accept_until(i + 1);
        assert_int_equal(l.n_open, 0);
        close(fd);
    }
    finish();
}

static void close_when_full(void **state)
{
    (void)state;
    begin(1);
    int fd = join();
    accept_until(1);
    bed_run_until(is_disarmed);
    finish();
    listener_release(&l); /* the connection ends later than the listener */
    close(fd);
}

static void close_while_it_stops(void **state)
{
    (void)state;
    begin(1);
    close_in_accepted = true; /* in the very event that makes it full */
    int fd = join();
    bed_run_until(is_drained);
    finish();
    close(fd);
}

static void close_in_the_event(void **state)
{
    (void)state;
    begin(10);
    close_in_accepted = true;
    int fd = join();
    accept_until(1);
    finish();
    close(fd);
    /* It is really gone. */
    struct sockaddr_storage sa;
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    socklen_t len = addr_to_sockaddr(&at, &sa);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
}

static bool has_some(void)
{
    return n_taken > 0;
}

/* What the kernel has accepted before the stop is given out, and what it has not is left to whoever
 * shares the socket: together that is every one. */
static void stop_loses_nobody(void **state)
{
    enum { CLIENTS = 12 };
    int fds[CLIENTS], fd;

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        begin(round % 2 ? 20 : CLIENTS);
        size_t n_left = 0;
        int shared = fcntl(l.fd, F_DUPFD_CLOEXEC, 3);
        for (size_t i = 0; i < CLIENTS; i++)
            fds[i] = join();
        if (round % 4 >= 2)
            bed_run_until(has_some);
        listener_stop(&l);
        listener_stop(&l);
        bed_run_until(is_drained);
        assert_int_equal(fcntl(shared, F_SETFL, O_NONBLOCK), 0);
        for (; (fd = accept(shared, NULL, NULL)) >= 0; n_left++)
            close(fd);
        assert_int_equal(n_taken + n_left, CLIENTS);
        for (size_t i = 0; i < CLIENTS; i++)
            close(fds[i]);
        close(shared);
        finish();
    }
}

/* For what came just before a pause, the kernel may have woken us alone: it is not left to wait for the next one. */
static bool is_paused(void)
{
    return timer_running(&l.retry);
}
static void stop_in_a_pause(void **state)
{
    (void)state;
    begin(20);
    bed_wait_ms(1);
    listener_pause(&l, 60000);
    bed_run_until(is_paused);
    int fds[] = {join(), join()};
    assert_int_equal(n_taken, 0);
    listener_stop(&l);
    assert_int_equal(n_taken, 0); /* from the loop, and not from inside */
    bed_run_until(is_drained);
    assert_int_equal(n_taken, 2);
    for (size_t i = 0; i < 2; i++)
        close(fds[i]);
    finish();
    begin(20);
    bed_wait_ms(1);
    listener_pause(&l, 60000);
    bed_run_until(is_paused);
    listener_stop(&l);
    finish(); /* closed before that look */
}

static void stop_when_full(void **state)
{
    (void)state;
    begin(1);
    int fd = join();
    accept_until(1);
    listener_stop(&l); /* while it is being disarmed */
    bed_run_until(is_drained);
    close(fd);
    finish();
    begin(1);
    fd = join();
    accept_until(1);
    bed_run_until(is_disarmed);
    listener_stop(&l);
    listener_release(&l);
    bed_run_until(is_drained);
    close(fd);
    finish();
}

static void close_at_once(void **state)
{
    (void)state;
    begin(10);
    finish();
}

/* What can't be accepted from is tried again, not spun on, and can still be closed. */
static void broken_descriptor(void **state)
{
    int fds[2];

    (void)state;
    n_taken = n_drained = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    listener_open(&l, bed.ring, fds[0], 10, accepted, drained, NULL);
    ring_stats(bed.ring, &stats_before);
    uint64_t since = clock_monotonic_ms();
    bed_run_until(has_tried_thrice);
    assert_true(clock_monotonic_ms() - since >= 200);
    finish();
    bed_wait_ms(150); /* No try comes after the end. */
    close(fds[1]);
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(accepts_several), ON_RING(stops_at_the_maximum), ON_RING(release_at_once),
        ON_RING(close_when_full), ON_RING(close_while_it_stops), ON_RING(close_in_the_event),
        ON_RING(close_at_once),   ON_RING(broken_descriptor),    ON_RING(stop_loses_nobody),
        ON_RING(stop_when_full),  ON_RING(stop_in_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
