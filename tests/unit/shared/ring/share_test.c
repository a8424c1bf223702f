/* Shares of what a turn receives: who floods waits, its neighbours do not, and no byte is lost. */
#include "shared/ring/ring_state.h"
#include "tests/unit/shared/ring/ring_fixture.h"
#include <fcntl.h>

enum { LOUD = 16, FILL_MIN = 4 * RING_RECEIVE_BYTES, TURNS_MAX = 100000 };
enum { GUESSED = 4 }; /* what a receive will bring is a guess: so many shares at most */
enum { LATE_MS = 50 }; /* after half of the time in which one who was served is a rival */

static struct ring_share loud, quiet, one_each[LOUD];
static struct side sides[LOUD], small;
static int writers[LOUD], small_writer;
static size_t filled[LOUD];

static void tcp_pair(int *ret_read, int *ret_write)
{
    struct sockaddr_storage at;
    socklen_t len;
    int listener = listen_loopback(1, &at, &len);
    assert_int_equal(socket_open(AF_INET, ret_write), 0);
    assert_int_equal(connect(*ret_write, (struct sockaddr *)&at, len), 0);
    *ret_read = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(*ret_read >= 0);
    socket_close(listener);
}

/* As much as the sockets hold, so that a turn could receive all of it. */
static size_t fill(int fd)
{
    static uint8_t data[1 << 20];
    size_t n = 0;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern(i);
    for (ssize_t r; n < sizeof data && (r = send(fd, data + n, sizeof data - n, MSG_DONTWAIT)) > 0;)
        n += (size_t)r;
    assert_true(n >= FILL_MIN);
    return n;
}

static void begin(void)
{
    int fd;
    ring_begin((struct ring_options){0});
    ring_share_init(&loud, ring);
    ring_share_init(&quiet, ring);
    for (size_t i = 0; i < LOUD; i++) {
        tcp_pair(&fd, &writers[i]);
        side_init(&sides[i], fd);
        sides[i].scope.share = &loud;
        filled[i] = fill(writers[i]);
        assert_int_equal(shutdown(writers[i], SHUT_WR), 0);
    }
    tcp_pair(&fd, &small_writer);
    side_init(&small, fd);
    small.scope.share = &quiet;
}

static void end(void)
{
    for (size_t i = 0; i < LOUD; i++) {
        side_done(&sides[i]);
        socket_close(writers[i]);
    }
    side_done(&small);
    socket_close(small_writer);
    ring_share_done(&loud);
    ring_share_done(&quiet);
    ring_end();
}

static size_t loud_bytes(void)
{
    size_t n = 0;
    for (size_t i = 0; i < LOUD; i++)
        n += sides[i].n_got;
    return n;
}

static bool all_ended(void)
{
    for (size_t i = 0; i < LOUD; i++)
        if (sides[i].end == NOT_YET)
            return false;
    return true;
}

static void all_arrived(void)
{
    for (size_t i = 0; i < LOUD; i++) {
        assert_int_equal(sides[i].end, 0);
        assert_int_equal(sides[i].n_got, filled[i]);
        for (size_t k = 0; k < filled[i]; k++)
            assert_int_equal(sides[i].got[k], pattern(k));
    }
}

/* A neighbour that says something in each turn, for so many turns at most. */
static size_t n_said, n_late;
static bool late; /* the machine did something else: nobody is a rival, and a rush is over */
static size_t turn_with_neighbour(void)
{
    size_t before = loud_bytes();
    uint64_t before_ms = ring_now_ms(ring);
    assert_int_equal(send(small_writer, "x", 1, 0), 1);
    n_said++;
    run_once();
    assert_true(small.n_got + 2 >= n_said); /* it is served in this turn, or in the next one */
    late = ring_now_ms(ring) - before_ms > LATE_MS;
    n_late += late;
    return loud_bytes() - before;
}

/* Until the flood of each of those shares waits, and what the kernel had begun with has come. */
static void until_they_wait(const struct ring_share *shares, size_t n)
{
    for (bool all = false; !all && !all_ended();) {
        (void)turn_with_neighbour();
        all = !late;
        for (size_t i = 0; i < n; i++)
            all = all && (shares[i].over || (n > 1 && sides[i].end != NOT_YET));
        if (all)
            (void)turn_with_neighbour();
        all = all && !late;
    }
}

static void read_all(void)
{
    n_said = n_late = 0;
    side_read(&small);
    for (size_t i = 0; i < LOUD; i++)
        side_read(&sides[i]);
}

static void test_a_flood_waits(void **state)
{
    size_t n_turns = 0, n_full = 0;
    (void)state;
    begin();
    read_all();
    until_they_wait(&loud, 1);
    while (!all_ended() && n_turns++ < TURNS_MAX) {
        size_t bytes = turn_with_neighbour();
        if (late)
            until_they_wait(&loud, 1);
        else
            assert_true(bytes <= GUESSED * RING_SHARE_BYTES);
        n_full += bytes >= RING_SHARE_BYTES;
    }
    assert_true(n_full >= 4 || n_late > 0); /* and it has its share */
    all_arrived();
    end();
}

/* Who brought nothing the last time may bring a lot now: some are tried, and not all of them. */
static void test_a_guess_is_never_nothing(void **state)
{
    (void)state;
    begin();
    read_all();
    until_they_wait(&loud, 1);
    for (size_t n_turns = 0; !all_ended() && n_turns < TURNS_MAX; n_turns++) {
        list_for_each (n, &loud.waiting)
            container_of(n, struct ring_op, waiting)->got = 0;
        size_t bytes = turn_with_neighbour();
        if (late)
            until_they_wait(&loud, 1);
        else
            assert_true(bytes <= 2 * GUESSED * RING_SHARE_BYTES);
    }
    all_arrived();
    end();
}

/* However many flood, a turn has room for a few of them, and the others come next. */
static void test_many_floods(void **state)
{
    size_t n_turns = 0;
    (void)state;
    begin();
    for (size_t i = 0; i < LOUD; i++) {
        ring_share_init(&one_each[i], ring);
        sides[i].scope.share = &one_each[i];
    }
    read_all();
    until_they_wait(one_each, LOUD);
    while (!all_ended() && n_turns++ < TURNS_MAX) {
        /* Each has its turn after some of the others': where turns are slow its rush is over by then. */
        bool all_rush = true;
        for (size_t i = 0; i < LOUD; i++)
            all_rush = all_rush && one_each[i].over;
        size_t bytes = turn_with_neighbour();
        if (late || !all_rush)
            until_they_wait(one_each, LOUD);
        else
            assert_true(bytes <= 2 * GUESSED * RING_SHARE_BYTES);
    }
    all_arrived();
    end();
    for (size_t i = 0; i < LOUD; i++)
        ring_share_done(&one_each[i]);
}

static void test_who_is_alone_does_not(void **state)
{
    size_t most = 0;
    (void)state;
    begin();
    for (size_t i = 0; i < LOUD; i++)
        side_read(&sides[i]);
    for (size_t n = 0; !all_ended() && n < TURNS_MAX; n++) {
        size_t before = loud_bytes();
        run_once();
        assert_true(list_empty(&loud.waiting));
        if (loud_bytes() - before > most)
            most = loud_bytes() - before;
    }
    assert_true(most > 2 * RING_SHARE_BYTES);
    all_arrived();
    end();
}

/* The neighbour falls silent: those that wait are all received again, by a ring that sleeps meanwhile. */
static void test_the_neighbour_goes(void **state)
{
    (void)state;
    begin();
    read_all();
    while (list_empty(&loud.waiting))
        (void)turn_with_neighbour();
    RUN_UNTIL(all_ended());
    all_arrived();
    end();
}

static void test_stopped_and_closed_while_it_waits(void **state)
{
    struct side *stopped, *closed;
    (void)state;
    begin();
    read_all();
    while (list_empty(&loud.waiting) || loud.waiting.next->next == &loud.waiting)
        (void)turn_with_neighbour();
    stopped = container_of(container_of(loud.waiting.next, struct ring_op, waiting), struct side, recv_op);
    closed = container_of(container_of(loud.waiting.next->next, struct ring_op, waiting), struct side, recv_op);
    ring_recv_stop(ring, &stopped->recv_op);
    ring_scope_close(&closed->scope);
    RUN_UNTIL(stopped->end != NOT_YET && closed->drained);
    assert_int_equal(stopped->end, -ECANCELED);
    (void)turn_with_neighbour();
    side_read(stopped); /* and on it goes, behind the others */
    assert_true(!loud.over || !stopped->recv_op.armed);
    closed->end = 0;
    RUN_UNTIL(all_ended());
    assert_int_equal(stopped->n_got, filled[stopped - sides]);
    end();
}

static void time_is_over(struct timer *t)
{
    (void)t;
    ring_stop(ring);
}
static void let_pass(uint64_t ms)
{
    struct timer t;
    timer_init(&t, time_is_over);
    timer_start(ring_timers(ring), &t, ms);
    assert_int_equal(ring_run(ring), 0);
}

/* What is remembered, and for how long: that somebody else was served, and that a rush goes on. */
static void test_what_is_long_ago_does_not_count(void **state)
{
    enum { LONG_MS = 150 };
    (void)state;
    ring_begin((struct ring_options){0});
    ring_share_init(&loud, ring);
    ring_share_init(&quiet, ring);
    run_once();
    ring_share_use(&quiet);
    assert_false(ring_share_pay(&loud, RING_SHARE_BYTES)); /* no rush yet */
    assert_true(ring_share_pay(&loud, RING_SHARE_BYTES));
    let_pass(LONG_MS);
    ring_share_use(&quiet);
    assert_false(ring_share_pay(&loud, 1));
    let_pass(LONG_MS);
    assert_false(ring_share_pay(&loud, 4 * RING_SHARE_BYTES)); /* it is alone */
    ring_share_use(&quiet);
    assert_true(ring_share_is_over(&loud));
    ring_share_done(&loud);
    ring_share_done(&quiet);
    ring_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flood_waits),
        cmocka_unit_test(test_a_guess_is_never_nothing),
        cmocka_unit_test(test_many_floods),
        cmocka_unit_test(test_who_is_alone_does_not),
        cmocka_unit_test(test_the_neighbour_goes),
        cmocka_unit_test(test_stopped_and_closed_while_it_waits),
        cmocka_unit_test(test_what_is_long_ago_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
