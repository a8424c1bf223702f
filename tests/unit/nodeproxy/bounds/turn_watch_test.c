/* Which turns are looked at, and what becomes of their times. */
#include "nodeproxy/bounds/turn_watch.h"
#include "shared/base/clock.h"
#include "tests/unit/shared/base/test.h"
#include <stdlib.h>
#include <string.h>

static uint64_t now;
static unsigned n_asked;
static uint64_t clock_now(void)
{
    n_asked++;
    return now;
}

static void test_one_in_sixteen(void **state)
{
    struct metrics *m;
    struct turn_watch w;
    struct text_heap out;
    (void)state;
    assert_int_equal(metrics_new(&m, 100), 0);
    turn_watch_init(&w, m);
    for (unsigned turn = 0; turn < 4 * TURN_WATCH_EVERY; turn++) {
        turn_watch_look(&w, clock_now);
        /* The first turn that is looked at takes 20 us, the others 60; those between them count for nothing. */
        now += turn == 0 ? 20 : turn % TURN_WATCH_EVERY == 0 ? 60 : 7000;
    }
    assert_int_equal(n_asked, 8);
    text_heap_init(&out, 65536);
    metrics_print(&m, 1, false, &out);
    text_heap_put(&out, (struct text){"", 1});
    assert_non_null(strstr(out.data, "weir_turn_duration_seconds_bucket{le=\"0.00002\"} 1\n"));
    assert_non_null(strstr(out.data, "weir_turn_duration_seconds_bucket{le=\"0.00005\"} 1\n"));
    assert_non_null(strstr(out.data, "weir_turn_duration_seconds_bucket{le=\"0.0001\"} 4\n"));
    assert_non_null(strstr(out.data, "weir_turn_duration_seconds_bucket{le=\"+Inf\"} 4\n"
                                     "weir_turn_duration_seconds_sum 0.000200\n"
                                     "weir_turn_duration_seconds_count 4\n"));
    text_heap_done(&out);
    metrics_free(m);
}

/* The clock that it is used with goes on while something is done, and not while nothing is. */
static void test_processor_time(void **state)
{
    uint64_t before = clock_thread_us();
    (void)state;
    while (clock_thread_us() - before < 2000)
        ;
    assert_true(clock_thread_us() - before < 10000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_in_sixteen), cmocka_unit_test(test_processor_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
