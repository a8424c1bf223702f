#include "shared/base/clock.h"
#include "tests/unit/shared/ring/ring_fixture.h"
#include <poll.h>
#include <pthread.h>

static int begin(void **state)
{
    (void)state;
    ring_begin((struct ring_options){.entries = 16, .buffers = 2});
    return 0;
}
static int end(void **state)
{
    (void)state;
    ring_end();
    return 0;
}

/* ---- timers --------------------------------------------------------------------- */
static void stop_now(struct timer *t)
{
    (void)t;
    ring_stop(ring);
}
static void test_timer_wakes_the_loop(void **state)
{
    (void)state;
    struct timer t;
    uint64_t from = ring_now_ms(ring); /* what the wheel counts from: of a busy machine, long ago */
    timer_init(&t, stop_now);
    timer_start(ring_timers(ring), &t, 30);
    assert_int_equal(ring_run(ring), 0);
    assert_true(clock_monotonic_ms() - from >= 30);
    struct ring_stats stats;
    ring_stats(ring, &stats);
    assert_true(stats.turns <= 10);    /* it waited, it did not spin */
    assert_int_equal(stats.timers, 1); /* the watchdog */
}

/* A turn that takes long is taken off the wait that follows it. */
static struct timer second;
static uint64_t fired_ms;
static void first_fired(struct timer *t)
{
    (void)t;
    timer_start(ring_timers(ring), &second, 40);
    fired_ms = clock_monotonic_ms();
    while (clock_monotonic_ms() < fired_ms + 60)
        ;
}
static void test_a_slow_turn_does_not_move_deadlines(void **state)
{
    (void)state;
    struct timer first;
    uint64_t took_ms = UINT64_MAX;
    timer_init(&first, first_fired);
    timer_init(&second, stop_now);
    /* The best of some: others have the processor, too. From a multiple of 64 the wheel sleeps 40 ms in
     * one piece. */
    for (int i = 0; i < 5 && took_ms >= 80; i++) {
        timer_start(ring_timers(ring), &first, 64 - ring_now_ms(ring) % 64);
        assert_int_equal(ring_run(ring), 0);
        took_ms = clock_monotonic_ms() - fired_ms;
    }
    assert_true(took_ms < 80); /* 60, and not 60 + 40 */
}

/* A deadline that is set when something arrives counts from then, however long the ring slept
 * before. */
static struct timer deadline;
static uint64_t arrived_ms;
static void set_deadline(struct ring_op *op, int result)
{
    side_received(op, result);
    arrived_ms = clock_monotonic_ms();
    timer_start(ring_timers(ring), &deadline, 50);
}
static void *send_later(void *arg)
{
    struct timespec pause = {.tv_nsec = 120000000};
    (void)ppoll(NULL, 0, &pause, NULL);
    return send((int)(intptr_t)arg, "x", 1, MSG_NOSIGNAL) == 1 ? arg : NULL;
}
static void test_deadlines_count_from_the_arrival(void **state)
{
    (void)state;
    struct side a, b;
    pthread_t thread;
    side_pair(&a, &b);
    timer_init(&deadline, stop_now);
    ring_recv(ring, &b.recv_op, b.fd, set_deadline);
    assert_int_equal(pthread_create(&thread, NULL, send_later, (void *)(intptr_t)a.fd), 0);
    RUN_UNTIL(b.n_got == 1);
    RUN_UNTIL(!timer_running(&deadline));
    assert_true(clock_monotonic_ms() - arrived_ms >= 49);
    pthread_join(thread, NULL);
    side_done(&a);
    side_done(&b);
}

/* ---- stop ------------------------------------------------------------------------ */
static struct side *sender;
static void send_and_stop(struct timer *t)
{
    side_send(sender, "y", 1);
    stop_now(t);
}
static void test_stop_finishes_the_turn(void **state)
{
    (void)state;
    struct timer t;
    struct side a, b;
    side_pair(&a, &b);
    side_read(&b);
    side_send(&a, "x", 1);
    RUN_UNTIL(b.n_got == 1 && a.sent == 1);
    ring_recv_stop(ring, &b.recv_op);
    RUN_UNTIL(b.end != NOT_YET);
    timer_init(&t, send_and_stop);
    sender = &a;
    timer_start(ring_timers(ring), &t, 1);
    assert_int_equal(ring_run(ring), 0); /* what is submitted in the last turn is not left behind */
    char c;
    assert_int_equal(recv(b.fd, &c, 1, MSG_DONTWAIT), 1);
    side_done(&a);
    side_done(&b);
}

/* ---- idle hooks ------------------------------------------------------------------- */
static int idle_depth, n_idle;
static void going_idle(void *arg)
{
    assert_ptr_equal(arg, &n_idle);
    assert_int_equal(idle_depth++, 0);
    n_idle++;
}
static void coming_back(void *arg)
{
    assert_ptr_equal(arg, &n_idle);
    assert_int_equal(--idle_depth, 0);
}
static void check_awake(struct timer *t)
{
    assert_int_equal(idle_depth, 0);
    stop_now(t);
}
static void test_idle_hooks(void **state)
{
    (void)state;
    struct timer t;
    timer_init(&t, check_awake);
    timer_start(ring_timers(ring), &t, 5);
    n_idle = 0;
    ring_set_idle_hooks(ring, going_idle, coming_back, &n_idle);
    assert_int_equal(ring_run(ring), 0);
    assert_int_equal(idle_depth, 0);
    int before = n_idle;
    assert_true(before > 0);
    run_once(); /* also when there is no wait: a busy thread must say that it passes here */
    assert_int_equal(n_idle, before + 1);
    ring_set_idle_hooks(ring, NULL, NULL, NULL);
    run_once();
    assert_int_equal(n_idle, before + 1);
}

/* ---- opening ----------------------------------------------------------------------- */
static void test_bad_options(void **state)
{
    (void)state;
    struct ring *none = NULL;
    const char *why = NULL;
    assert_int_equal(ring_open(&none, &(struct ring_options){.buffers = 3}, &why), -EINVAL);
    assert_null(none);
    assert_non_null(why);
    assert_int_equal(ring_open(&none, &(struct ring_options){.buffers = 65536}, NULL), -EINVAL);
    assert_int_equal(ring_open(&none, &(struct ring_options){.entries = 1u << 30}, NULL), -EINVAL);
    assert_null(ring_free(NULL));
}

static void test_a_burst_leaves_no_memory(void **state)
{
    (void)state;
    enum { BURST = 300, KEPT = 32 };
    struct chunk_pool *pool = ring_chunks(ring);
    struct chunk *chunks[BURST];
    for (int i = 0; i < BURST; i++)
        assert_non_null(chunks[i] = chunk_new(pool));
    for (int i = 0; i < BURST; i++)
        chunk_free(chunks[i]);
    assert_int_equal(pool->n_free, BURST);
    ring_stop(ring);
    assert_int_equal(ring_run(ring), 0);
    struct timer look;
    timer_init(&look, stop_now);
    while (pool->n_free > KEPT) { /* the watchdog ends this if it never comes */
        timer_start(ring_timers(ring), &look, 50);
        assert_int_equal(ring_run(ring), 0);
    }
    assert_int_equal(pool->n_free, KEPT);
}

static void *other_thread(void *arg)
{
    (void)arg;
    struct ring *own = NULL;
    if (ring_open(&own, NULL, NULL) < 0)
        return NULL;
    ring_stop(own);
    int r = ring_run(own);
    uint64_t *random = malloc(sizeof *random);
    if (random)
        *random = rng_u64(ring_rng(own));
    ring_free(own);
    return r == 0 ? random : NULL;
}
static void test_one_ring_per_thread(void **state)
{
    (void)state;
    pthread_t threads[2];
    uint64_t *random[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, other_thread, NULL), 0);
    for (int i = 0; i < 2; i++) {
        void *r = NULL;
        pthread_join(threads[i], &r);
        assert_non_null(r);
        random[i] = r;
    }
    assert_int_not_equal(*random[0], *random[1]); /* each has a seed of its own */
    free(random[0]);
    free(random[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timer_wakes_the_loop, begin, end),
        cmocka_unit_test_setup_teardown(test_a_slow_turn_does_not_move_deadlines, begin, end),
        cmocka_unit_test_setup_teardown(test_deadlines_count_from_the_arrival, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_finishes_the_turn, begin, end),
        cmocka_unit_test_setup_teardown(test_idle_hooks, begin, end),
        cmocka_unit_test_setup_teardown(test_a_burst_leaves_no_memory, begin, end),
        cmocka_unit_test_setup_teardown(test_bad_options, begin, end),
        cmocka_unit_test_setup_teardown(test_one_ring_per_thread, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
