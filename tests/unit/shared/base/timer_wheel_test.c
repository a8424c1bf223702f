#include "shared/base/timer_wheel.h"
#include "tests/unit/shared/base/test.h"

enum { TIMERS = 200 };

struct alarm {
    struct timer timer;
    /* The model: when it was asked to fire; UINT64_MAX: it does not run. */
    uint64_t due_ms, fired_at_ms;
    unsigned n_fired;
    uint64_t again_ms; /* the callback starts it again with this delay; 0: it does not */
    struct alarm *stops;
};

static struct timer_wheel wheel;
static uint64_t now_ms, last_due_ms;

static void on_fired(struct timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);

    assert_false(timer_running(t));
    assert_true(a->due_ms != UINT64_MAX);
    assert_true(now_ms >= a->due_ms); /* never early */
    assert_true(a->due_ms >= last_due_ms);
    last_due_ms = a->due_ms;
    a->due_ms = UINT64_MAX;
    a->fired_at_ms = now_ms;
    a->n_fired++;
    if (a->again_ms > 0) {
        timer_start(&wheel, t, a->again_ms);
        a->due_ms = now_ms + a->again_ms;
        a->again_ms = 0;
    }
    if (a->stops) {
        timer_stop(&wheel, &a->stops->timer);
        a->stops->due_ms = UINT64_MAX;
    }
}

static void alarm_init(struct alarm *a)
{
    *a = (struct alarm){.due_ms = UINT64_MAX};
    timer_init(&a->timer, on_fired);
}

static void alarm_start(struct alarm *a, uint64_t delay_ms)
{
    timer_start(&wheel, &a->timer, delay_ms);
    a->due_ms = delay_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + delay_ms;
}

static void wheel_at(uint64_t ms)
{
    now_ms = ms;
    timer_wheel_init(&wheel, ms);
}

static void expire(uint64_t ms)
{
    now_ms = ms;
    last_due_ms = 0;
    timer_wheel_expire(&wheel, ms);
}

/* All that must have fired has, and the wheel asks for a look before the next one is due. */
static void assert_as_model(const struct alarm *alarms, size_t n)
{
    uint64_t next_ms = UINT64_MAX;
    size_t running = 0;

    for (size_t i = 0; i < n; i++) {
        bool runs = timer_running(&alarms[i].timer);
        assert_int_equal(runs, alarms[i].due_ms != UINT64_MAX);
        if (!runs)
            continue;
        assert_true(alarms[i].due_ms > now_ms);
        next_ms = alarms[i].due_ms < next_ms ? alarms[i].due_ms : next_ms;
        running++;
    }
    assert_int_equal(wheel.count, running);
    uint64_t wait_ms = timer_wheel_next_ms(&wheel);
    if (running == 0)
        assert_true(wait_ms == UINT64_MAX);
    else
        assert_true(wait_ms > 0 && wait_ms <= next_ms - now_ms);
}

/* Mostly near, sometimes across each border of the levels, rarely beyond the whole wheel. */
static uint64_t random_delay(struct rng *rng)
{
    unsigned bits = (unsigned)rng_below(rng, rng_below(rng, 8) == 0 ? 36 : 20);
    uint64_t base = (uint64_t)1 << bits;
    switch (rng_below(rng, 4)) {
    case 0:
        return base;
    case 1:
        return base - 1 > 0 ? base - 1 : 1;
    default:
        return 1 + rng_below(rng, base);
    }
}

static void agrees_with_a_list(void **state)
{
    (void)state;
    static struct alarm alarms[TIMERS];
    struct rng rng;
    size_t fired = 0;

    test_seed(&rng);
    for (int round = 0; round < 20; round++) {
        /* Also shortly before a border of the top level, and of 2^32. */
        static const uint64_t starts[] = {0, 63, 4095, (1 << 30) - 5, (1ull << 32) - 1000, 1234567};
        wheel_at(starts[rng_below(&rng, ARRAY_SIZE(starts))]);
        for (size_t i = 0; i < TIMERS; i++)
            alarm_init(&alarms[i]);
        for (int step = 0; step < 3000; step++) {
            struct alarm *a = &alarms[rng_below(&rng, TIMERS)];
            switch (rng_below(&rng, 8)) {
            case 0:
            case 1:
            case 2:
                alarm_start(a, random_delay(&rng));
                break;
            case 3:
                timer_stop(&wheel, &a->timer);
                a->due_ms = UINT64_MAX;
                break;
            case 4:
                a->again_ms = random_delay(&rng);
                break;
            case 5: /* to where the wheel wants to be looked at: not a millisecond may be missed */
                if (wheel.count > 0)
                    expire(now_ms + timer_wheel_next_ms(&wheel));
                assert_as_model(alarms, TIMERS);
                break;
            default: /* a jump */
                expire(now_ms + random_delay(&rng));
                assert_as_model(alarms, TIMERS);
                break;
            }
        }
        for (size_t i = 0; i < TIMERS; i++)
            fired += alarms[i].n_fired;
    }
    assert_true(fired > 10000);
}

/* Woken only when it asks, each timer fires in its very millisecond, after few looks. */
static void is_exact_when_asked(void **state)
{
    (void)state;
    struct rng rng;

    test_seed(&rng);
    for (int i = 0; i < 3000; i++) {
        struct alarm a;
        wheel_at(rng_below(&rng, 1ull << 40));
        alarm_init(&a);
        alarm_start(&a, rng_below(&rng, 1ull << rng_below(&rng, 31)));
        uint64_t due_ms = a.due_ms;
        int looks = 0;
        while (timer_running(&a.timer)) {
            expire(now_ms + timer_wheel_next_ms(&wheel));
            looks++;
        }
        assert_int_equal(a.fired_at_ms, due_ms);
        assert_true(looks <= TIMER_LEVELS + 1);
    }
}

static void fires_at_once_but_not_inside_of_start(void **state)
{
    (void)state;
    struct alarm a;

    wheel_at(1000);
    alarm_init(&a);
    alarm_start(&a, 0);
    assert_int_equal(a.n_fired, 0);
    assert_int_equal(timer_wheel_next_ms(&wheel), 0);
    expire(1000);
    assert_int_equal(a.n_fired, 1);
    assert_int_equal(timer_wheel_next_ms(&wheel), UINT64_MAX);
    expire(1000);
    assert_int_equal(a.n_fired, 1);
}

static unsigned n_rounds;
static void start_again(struct timer *t)
{
    n_rounds++;
    timer_start(&wheel, t, 0);
}

/* A callback that starts itself with no delay does not keep the loop from its other work. */
static void zero_delay_waits_for_the_next_call(void **state)
{
    (void)state;
    struct timer t;

    wheel_at(5);
    n_rounds = 0;
    timer_init(&t, start_again);
    timer_start(&wheel, &t, 0);
    expire(5);
    assert_int_equal(n_rounds, 1);
    expire(9);
    assert_int_equal(n_rounds, 2);
    timer_stop(&wheel, &t);
    assert_int_equal(wheel.count, 0);
}

/* A delay that a callback starts counts from now, not from the deadline that has long passed. */
static void late_callbacks_wait_their_time(void **state)
{
    (void)state;
    struct alarm a;

    wheel_at(0);
    alarm_init(&a);
    a.again_ms = 100;
    alarm_start(&a, 10);
    expire(1000);
    assert_int_equal(a.n_fired, 1);
    expire(1099);
    assert_int_equal(a.n_fired, 1);
    expire(1100);
    assert_int_equal(a.n_fired, 2);
}

static void callbacks_stop_others(void **state)
{
    (void)state;
    struct alarm a, b, c;

    wheel_at(0);
    alarm_init(&a);
    alarm_init(&b);
    alarm_init(&c);
    a.stops = &b; /* both are due in the same call */
    alarm_start(&a, 10);
    alarm_start(&b, 10);
    alarm_start(&c, 11);
    expire(20);
    assert_int_equal(a.n_fired, 1);
    assert_int_equal(b.n_fired, 0);
    assert_int_equal(c.n_fired, 1);
    assert_int_equal(wheel.count, 0);
    timer_stop(&wheel, &b.timer);
    assert_int_equal(wheel.count, 0);
}

static void free_owner(struct timer *t)
{
    n_rounds++;
    free(container_of(t, struct alarm, timer));
}

static void callbacks_free_their_timer(void **state)
{
    (void)state;
    wheel_at(0);
    n_rounds = 0;
    for (uint64_t i = 0; i < 100; i++) {
        struct alarm *a = malloc(sizeof *a);
        assert_non_null(a);
        timer_init(&a->timer, free_owner);
        timer_start(&wheel, &a->timer, i * 100);
    }
    expire(5000);
    assert_int_equal(n_rounds, 51);
    expire(100000);
    assert_int_equal(n_rounds, 100);
}

static void holds_far_ones(void **state)
{
    (void)state;
    struct alarm year, never, mark;
    const uint64_t year_ms = 365ull * 24 * 3600 * 1000;

    wheel_at(777);
    alarm_init(&year);
    alarm_init(&never);
    alarm_init(&mark);
    alarm_start(&year, year_ms);
    alarm_start(&mark, (uint64_t)1 << 30); /* one whole turn */
    timer_start(&wheel, &never.timer, UINT64_MAX);
    expire(776 + ((uint64_t)1 << 30));
    assert_int_equal(mark.n_fired, 0);
    expire(777 + ((uint64_t)1 << 30));
    assert_int_equal(mark.n_fired, 1);
    expire(776 + year_ms);
    assert_int_equal(year.n_fired, 0);
    expire(777 + year_ms);
    assert_int_equal(year.n_fired, 1);
    assert_int_equal(never.n_fired, 0);
    assert_int_equal(wheel.count, 1);
    timer_stop(&wheel, &never.timer);
    assert_int_equal(timer_wheel_next_ms(&wheel), UINT64_MAX);
}

static void time_does_not_go_back(void **state)
{
    (void)state;
    struct alarm a;

    wheel_at(1000);
    alarm_init(&a);
    alarm_start(&a, 5);
    timer_wheel_expire(&wheel, 10);
    assert_int_equal(wheel.now_ms, 1000);
    expire(1005);
    assert_int_equal(a.n_fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(is_exact_when_asked),
        cmocka_unit_test(fires_at_once_but_not_inside_of_start),
        cmocka_unit_test(zero_delay_waits_for_the_next_call),
        cmocka_unit_test(late_callbacks_wait_their_time),
        cmocka_unit_test(callbacks_stop_others),
        cmocka_unit_test(callbacks_free_their_timer),
        cmocka_unit_test(holds_far_ones),
        cmocka_unit_test(time_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
