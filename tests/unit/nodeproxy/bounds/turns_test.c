/* Shares of a turn, on a real ring. */
#include "nodeproxy/bounds/turns.h"
#include "tests/unit/shared/base/test.h"
#include <string.h>

enum { FLOOD = 200, POD_CROWD = 2 * TURN_ALL, HANDSHAKES = (TURN_SHARE + TURN_HANDSHAKE - 1) / TURN_HANDSHAKE /* in a turn */ };
static struct ring *ring;
static struct turns turns;
static struct pod_turn loud, quiet, crowd[POD_CROWD];
struct work {
    struct turn_wait wait;
    char who;
};
static struct work flood[FLOOD], small[3];
static char order[FLOOD + 8];
static size_t n_done;
static uint64_t turn_of[FLOOD + 8];

static uint64_t now(void)
{
    struct ring_stats s;
    ring_stats(ring, &s);
    return s.turns;
}

static void go(struct turn_wait *w)
{
    turn_of[n_done] = now();
    order[n_done++] = container_of(w, struct work, wait)->who;
}

static void begin(void)
{
    assert_int_equal(ring_open(&ring, NULL, NULL), 0);
    turns_init(&turns, ring);
    pod_turn_init(&loud, &turns);
    pod_turn_init(&quiet, &turns);
    n_done = 0;
    memset(order, 0, sizeof order);
    for (size_t i = 0; i < FLOOD; i++) {
        flood[i].who = 'F';
        turn_wait_init(&flood[i].wait, 1, go);
    }
    for (size_t i = 0; i < ARRAY_SIZE(small); i++) {
        small[i].who = 's';
        turn_wait_init(&small[i].wait, TURN_HANDSHAKE, go);
    }
}

static struct ring_task stopper;
static size_t stop_at;
static void look(struct ring_task *task)
{
    if (n_done >= stop_at)
        ring_stop(ring);
    else
        ring_task_ask(ring, task);
}
static void run_until(size_t n)
{
    stop_at = n;
    ring_task_init(&stopper, look);
    ring_task_ask(ring, &stopper);
    assert_int_equal(ring_run(ring), 0);
}

static void end(void)
{
    assert_true(list_empty(&turns.waiting));
    turns_done(&turns);
    pod_turn_done(&loud);
    pod_turn_done(&quiet);
    ring = ring_free(ring);
}

/* Who is alone has more of a turn than who is not. */
static void test_a_share(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < TURN_SHARE_ALONE; i++)
        assert_true(turn_take(&loud, 1));
    assert_false(turn_take(&loud, 1));
    for (unsigned i = 0; i < HANDSHAKES; i++)
        assert_true(turn_take(&quiet, TURN_HANDSHAKE));
    assert_false(turn_take(&quiet, 1));
    ring_stop(ring);
    assert_int_equal(ring_run(ring), 0);
    for (unsigned i = 0; i < TURN_SHARE; i++)
        assert_true(turn_take(&loud, 1));
    assert_false(turn_take(&loud, 1));
    end();
}

/* A flood is spread over turns; who comes behind it is served in the first one. */
static void test_a_flood(void **state)
{
    (void)state;
    begin();
    while (turn_take(&loud, 1))
        ;
    while (turn_take(&quiet, 1))
        ;
    for (size_t i = 0; i < FLOOD; i++)
        turn_wait(&loud, &flood[i].wait);
    assert_int_equal(loud.n_waiting, FLOOD);
    for (size_t i = 0; i < ARRAY_SIZE(small); i++)
        turn_wait(&quiet, &small[i].wait);
    assert_false(turn_take(&loud, 1)); /* behind those that wait */
    run_until(FLOOD + ARRAY_SIZE(small));
    for (size_t i = 0; i < ARRAY_SIZE(small) / HANDSHAKES; i++) { /* both, turn by turn */
        const char *of_turn = order + i * (TURN_SHARE + HANDSHAKES);
        for (size_t k = 0; k < TURN_SHARE; k++)
            assert_int_equal(of_turn[k], 'F');
        for (size_t k = 0; k < HANDSHAKES; k++)
            assert_int_equal(of_turn[TURN_SHARE + k], 's');
    }
    for (size_t i = TURN_SHARE + HANDSHAKES; i < n_done; i++)
        assert_true(turn_of[i] > turn_of[i - TURN_SHARE - HANDSHAKES]);
    end();
}

/* Who is alone takes nothing away from who comes then: both have the turn. */
static void test_nobody_else_waits(void **state)
{
    (void)state;
    begin();
    while (turn_take(&loud, 1))
        ;
    for (size_t i = 0; i < 2 * TURN_SHARE_ALONE; i++)
        turn_wait(&loud, &flood[i].wait);
    turn_wait(&quiet, &small[0].wait);
    run_until(2 * TURN_SHARE_ALONE + 1);
    for (size_t i = 0; i <= TURN_SHARE_ALONE; i++) {
        assert_int_equal(order[i], i < TURN_SHARE_ALONE ? 'F' : 's');
        assert_int_equal(turn_of[i], turn_of[0]);
    }
    end();
}

/* However many pods flood: a turn has so much room, and the others are the first ones of the next turn. */
static void test_many_floods(void **state)
{
    enum { EACH = 2, ALL = EACH * POD_CROWD };
    (void)state;
    begin();
    for (size_t p = 0; p < POD_CROWD; p++) {
        pod_turn_init(&crowd[p], &turns);
        ring_share_use(&crowd[p].bytes);
    }
    for (size_t i = 0; i < ALL; i++) {
        flood[i].who = (char)('a' + i % POD_CROWD);
        flood[i].wait.cost = TURN_SHARE;
        turn_wait(&crowd[i % POD_CROWD], &flood[i].wait);
    }
    run_until(ALL);
    for (size_t i = 0; i < ALL; i++)
        assert_int_equal(order[i], 'a' + i % POD_CROWD);
    for (size_t i = TURN_ALL / TURN_SHARE; i < ALL; i++)
        assert_true(turn_of[i] > turn_of[i - TURN_ALL / TURN_SHARE]);
    for (size_t p = 0; p < POD_CROWD; p++)
        pod_turn_done(&crowd[p]);
    end();
}

static void test_forgotten_and_flushed(void **state)
{
    (void)state;
    begin();
    while (turn_take(&loud, 1))
        ;
    for (size_t i = 0; i < 10; i++)
        turn_wait(&loud, &flood[i].wait);
    for (size_t i = 0; i < 10; i += 2)
        turn_forget(&loud, &flood[i].wait);
    turn_forget(&loud, &flood[0].wait); /* fine twice */
    assert_int_equal(loud.n_waiting, 5);
    pod_turn_flush(&loud);
    assert_int_equal(n_done, 5);
    assert_int_equal(loud.n_waiting, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_share), cmocka_unit_test(test_a_flood), cmocka_unit_test(test_nobody_else_waits), cmocka_unit_test(test_many_floods), cmocka_unit_test(test_forgotten_and_flushed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
