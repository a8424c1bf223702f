#include "shared/ring/ring_state.h"
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

/* ---- one of many: those of a share ---------------------------------------------------------------------- */

enum { MANY = 3 * RING_SHARE_TASKS, LOUD = 4, NOBODY = 99 };
static struct crowd {
    struct ring_share share;
    struct ring_task tasks[MANY];
    unsigned runs; /* in the order in which they were asked for */
} crowds[LOUD];
static struct ring_share quiet;
static struct ring_task opening, quiet_task;
static unsigned n_asking, n_quiet, order[LOUD * MANY + 16], n_order;

static void one_of_many(struct ring_task *task)
{
    for (unsigned i = 0; i < LOUD; i++) {
        struct crowd *c = &crowds[i];
        if (task < c->tasks || task >= c->tasks + MANY)
            continue;
        assert_ptr_equal(task, &c->tasks[c->runs % MANY]);
        c->runs++;
        order[n_order++] = i;
        if (c->runs == MANY)
            ring_stop(ring);
    }
}
static void quiet_run(struct ring_task *task)
{
    (void)task;
    n_quiet++;
    order[n_order++] = NOBODY;
}
/* At the beginning of a turn: the neighbour has something to do, after the crowds. */
static void opening_run(struct ring_task *task)
{
    (void)task;
    ring_share_use(&crowds[0].share);
    ring_share_use(&quiet); /* in this turn: whatever the machine does, they are rivals */
    for (unsigned i = 0; i < n_asking; i++)
        for (unsigned k = 0; k < MANY; k++) {
            ring_task_ask_shared(ring, &crowds[i].tasks[k], &crowds[i].share);
            ring_task_ask_shared(ring, &crowds[i].tasks[k], &crowds[i].share); /* asking twice */
        }
    n_asking = 0;
    ring_task_ask_shared(ring, &quiet_task, &quiet);
}
static void asks_again(struct ring_task *task)
{
    (void)task;
    ring_share_use(&quiet);
    ring_task_ask_shared(ring, &crowds[0].tasks[0], &crowds[0].share);
}
static void turn_of_crowds(void)
{
    n_order = 0;
    ring_task_ask(ring, &opening);
    run_once();
}
static void crowds_begin(unsigned n)
{
    n_asking = n;
    n_quiet = 0;
    for (unsigned i = 0; i < LOUD; i++) {
        crowds[i].runs = 0;
        ring_share_init(&crowds[i].share, ring);
        for (unsigned k = 0; k < MANY; k++)
            ring_task_init(&crowds[i].tasks[k], one_of_many);
    }
    ring_share_init(&quiet, ring);
    ring_task_init(&quiet_task, quiet_run);
    ring_task_init(&opening, opening_run);
}
static void crowds_end(void)
{
    for (unsigned i = 0; i < LOUD; i++)
        ring_share_done(&crowds[i].share);
    ring_share_done(&quiet);
}

static void test_a_crowd_is_put_off(void **state)
{
    (void)state;
    crowds_begin(1);
    turn_of_crowds();
    assert_int_equal(crowds[0].runs, RING_SHARE_TASKS);
    assert_int_equal(n_quiet, 1);
    turn_of_crowds();
    assert_int_equal(crowds[0].runs, 2 * RING_SHARE_TASKS);
    assert_int_equal(n_quiet, 2);
    assert_int_equal(order[0], NOBODY); /* who has put nothing off goes first */
    turn_of_crowds();
    assert_int_equal(crowds[0].runs, MANY);
    assert_int_equal(order[0], NOBODY);
    turn_of_crowds();
    assert_int_equal(n_order, 1);
    crowds_end();
}

static void alone(void) /* as if the last rival had been served long ago */
{
    ring->served_ms = ring->rival_ms = 0;
}
/* A crowd that has no rivals any more is done at once. */
static void test_the_neighbour_of_a_crowd_goes(void **state)
{
    (void)state;
    crowds_begin(1);
    turn_of_crowds();
    assert_int_equal(crowds[0].runs, RING_SHARE_TASKS);
    alone();
    run_once();
    assert_int_equal(crowds[0].runs, MANY);
    crowds[0].runs = 0;
    for (unsigned k = 0; k < MANY; k++)
        ring_task_ask_shared(ring, &crowds[0].tasks[k], &crowds[0].share);
    run_once();
    assert_int_equal(crowds[0].runs, MANY);
    crowds_end();
}

/* However many have put something off, a turn has room for some of them, and the others come next. */
static void test_many_crowds(void **state)
{
    enum { AT_ONCE = LOUD * RING_SHARE_TASKS };
    bool first[LOUD] = {0};
    unsigned before = AT_ONCE, n_turns = 0, n_first = 0;
    (void)state;
    crowds_begin(LOUD);
    turn_of_crowds();
    for (unsigned i = 0; i < LOUD; i++)
        assert_int_equal(crowds[i].runs, RING_SHARE_TASKS);
    while (before < LOUD * MANY) {
        unsigned now = 0;
        turn_of_crowds();
        assert_int_equal(order[0], NOBODY);
        first[order[1]] = true;
        for (unsigned i = 0; i < LOUD; i++)
            now += crowds[i].runs;
        assert_true(now > before && now - before <= AT_ONCE / 2);
        before = now;
        n_turns++;
    }
    assert_int_equal(n_turns, 4);
    for (unsigned i = 0; i < LOUD; i++)
        n_first += first[i];
    assert_int_equal(n_first, 2); /* two at a time, in turns */
    crowds_end();
}

/* The ring does not sleep meanwhile, and what a crowd asks for later comes after what it has put off. */
static void test_put_off_in_its_order(void **state)
{
    (void)state;
    crowds_begin(1);
    turn_of_crowds();
    assert_int_equal(crowds[0].runs, RING_SHARE_TASKS);
    ring_task_init(&opening, asks_again);
    ring_task_ask(ring, &opening);
    assert_int_equal(ring_run(ring), 0);
    assert_int_equal(crowds[0].runs, MANY);
    while (crowds[0].runs < MANY + 1)
        run_once();
    crowds_end();
}

static void test_cancelled_while_it_is_put_off(void **state)
{
    (void)state;
    crowds_begin(1);
    turn_of_crowds();
    for (unsigned k = RING_SHARE_TASKS; k < MANY; k++)
        ring_task_cancel(&crowds[0].tasks[k]);
    turn_of_crowds();
    turn_of_crowds();
    assert_int_equal(crowds[0].runs, RING_SHARE_TASKS);
    crowds_end(); /* nothing is left in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ask_twice_cancel_and_chain, begin, end),
        cmocka_unit_test_setup_teardown(test_rounds_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(test_after_all_completions, begin, end),
        cmocka_unit_test_setup_teardown(test_a_crowd_is_put_off, begin, end),
        cmocka_unit_test_setup_teardown(test_the_neighbour_of_a_crowd_goes, begin, end),
        cmocka_unit_test_setup_teardown(test_put_off_in_its_order, begin, end),
        cmocka_unit_test_setup_teardown(test_many_crowds, begin, end),
        cmocka_unit_test_setup_teardown(test_cancelled_while_it_is_put_off, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
