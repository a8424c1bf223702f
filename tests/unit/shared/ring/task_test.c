#include "tests/unit/shared/ring/ring_fixture.h"

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

struct job {
    struct ring_task task;
    struct job *then, *instead; /* asks for that one, cancels that one */
    unsigned runs, again;
};
static unsigned n_runs;
static void job_run(struct ring_task *task)
{
    struct job *j = container_of(task, struct job, task);
    j->runs++;
    n_runs++;
    if (j->then)
        ring_task_ask(ring, &j->then->task);
    if (j->instead)
        ring_task_cancel(&j->instead->task);
    if (j->again > 0) {
        j->again--;
        ring_task_ask(ring, &j->task);
    }
}
static void test_ask_twice_cancel_and_chain(void **state)
{
    (void)state;
    struct job j[5] = {0};
    for (int i = 0; i < 5; i++)
        ring_task_init(&j[i].task, job_run);
    j[0].then = &j[1]; /* same turn */
    j[0].instead = &j[2];
    ring_task_cancel(&j[3].task); /* fine when it was not asked for */
    ring_task_ask(ring, &j[0].task);
    ring_task_ask(ring, &j[0].task);
    ring_task_ask(ring, &j[2].task);
    ring_task_ask(ring, &j[4].task);
    ring_task_cancel(&j[4].task);
    assert_int_equal(j[0].runs, 0);
    run_once();
    assert_int_equal(j[0].runs, 1);
    assert_int_equal(j[1].runs, 1);
    assert_int_equal(j[2].runs, 0);
    assert_int_equal(j[4].runs, 0);
    run_once();
    assert_int_equal(j[0].runs, 1);
    ring_task_ask(ring, &j[2].task); /* usable again */
    run_once();
    assert_int_equal(j[2].runs, 1);
}

/* A task that always wants more cannot keep the loop; and while it wants more the loop does not
 * sleep. */
static void test_rounds_are_bounded(void **state)
{
    (void)state;
    struct job j = {.again = 1000};
    ring_task_init(&j.task, job_run);
    ring_task_ask(ring, &j.task);
    run_once();
    assert_true(j.runs > 1 && j.runs < 100);
    unsigned after_one = j.runs;
    struct ring_stats before, after;
    ring_stats(ring, &before);
    uint64_t from = ring_now_ms(ring);
    while (j.runs < 1001)
        run_once();
    ring_stats(ring, &after);
    assert_int_equal(after.turns - before.turns, (1001 - after_one + after_one - 1) / after_one);
    assert_true(ring_now_ms(ring) - from < 5000);
}

/* Tasks run after all completions of the turn: one flush for two arrivals. */
static struct side a[2], b[2];
static struct job flush;
static unsigned n_seen;
static void flush_run(struct ring_task *task)
{
    (void)task;
    flush.runs++;
    n_seen = (unsigned)(b[0].n_got + b[1].n_got);
}
static void arrival(struct ring_op *op, int result)
{
    side_received(op, result);
    ring_task_ask(ring, &flush.task);
}
static void test_after_all_completions(void **state)
{
    (void)state;
    ring_task_init(&flush.task, flush_run);
    for (int i = 0; i < 2; i++) {
        side_pair(&a[i], &b[i]);
        ring_recv(ring, &b[i].recv_op, b[i].fd, arrival);
    }
    run_once();
    for (int i = 0; i < 2; i++)
        assert_int_equal(send(a[i].fd, "x", 1, MSG_NOSIGNAL), 1);
    RUN_UNTIL(flush.runs > 0);
    assert_int_equal(flush.runs, 1);
    assert_int_equal(n_seen, 2);
    for (int i = 0; i < 2; i++) {
        side_done(&a[i]);
        side_done(&b[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ask_twice_cancel_and_chain, begin, end),
        cmocka_unit_test_setup_teardown(test_rounds_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(test_after_all_completions, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
