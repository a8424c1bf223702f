#include "shared/mesh/rcu.h"

#include "shared/mesh/directory.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>

/*
 * An array against a plain list, and against what a reader saw earlier: with memory an old view
 * stays what it was; without, it holds nothing that went before the reader looked.
 */
enum { ITEMS = 40, VIEWS = 8 };
static char things[ITEMS]; /* pointers to them are what the array holds */

static unsigned last_member[ITEMS]; /* the step at which each was one last */

struct seen {
    struct rcu_view view;
    const void *items[ITEMS];
    unsigned step;
};

static void look(const struct rcu_array *a, unsigned step, struct seen *ret)
{
    ret->step = step;
    ret->view = rcu_array_view(a);
    assert_true(ret->view.n <= ITEMS);
    if (ret->view.n)
        memcpy(ret->items, ret->view.items, ret->view.n * sizeof *ret->items);
}

static void check_seen(const struct seen *s, bool exactly)
{
    for (size_t i = 0; i < s->view.n; i++) {
        size_t thing = (size_t)((const char *)s->view.items[i] - things);
        assert_true(thing < ITEMS && last_member[thing] >= s->step);
        if (exactly)
            assert_ptr_equal(s->view.items[i], s->items[i]);
    }
}

static void check_members(const struct rcu_array *a, const bool *member, uint32_t top)
{
    struct rcu_view v = rcu_array_view(a);
    size_t n = 0;

    for (size_t i = 0; i < ITEMS; i++) {
        size_t found = 0;
        for (size_t k = 0; k < v.n; k++)
            found += v.items[k] == &things[i];
        assert_int_equal(found, member[i]);
        n += member[i];
    }
    assert_int_equal(v.n, n);
    assert_true(n == 0 || v.top >= top);
}

static void run(struct rng *rng, bool with_memory)
{
    struct rcu_array a = {0};
    bool member[ITEMS] = {false};
    uint32_t weight[ITEMS] = {0};
    struct seen seen[VIEWS] = {{.step = 0}};
    size_t next = 0;

    memset(last_member, 0, sizeof last_member);
    for (unsigned step = 1; step <= 3000; step++) {
        size_t i = rng_below(rng, ITEMS), other = rng_below(rng, ITEMS);
        struct rcu_block *block = NULL;
        bool failing = !with_memory && rng_below(rng, 3) == 0;
        if (failing)
            alloc_fail_at(0);
        if (member[i] && !member[other] && rng_below(rng, 2)) {
            int r = rcu_array_prepare_replace(&a, &block);
            assert_int_equal(r, failing ? -ENOMEM : 0);
            if (r == 0) {
                weight[other] = (uint32_t)rng_below(rng, 100);
                rcu_array_replace(&a, block, &things[i], &things[other], weight[other]);
                member[i] = false;
                member[other] = true;
            }
        } else if (member[i]) {
            rcu_array_remove(&a, &things[i]); /* never fails */
            member[i] = false;
        } else {
            int r = rcu_array_prepare_add(&a, &block);
            assert_true(r == 0 || (failing && r == -ENOMEM));
            if (r == 0 && rng_below(rng, 8) == 0) {
                rcu_block_drop(block); /* thought better of it */
            } else if (r == 0) {
                weight[i] = (uint32_t)rng_below(rng, 100);
                rcu_array_add(&a, block, &things[i], weight[i]);
                member[i] = true;
            }
        }
        (void)alloc_failed();
        uint32_t top = 0;
        for (size_t k = 0; k < ITEMS; k++)
            top = member[k] && weight[k] > top ? weight[k] : top;
        check_members(&a, member, top);
        for (size_t k = 0; k < ITEMS; k++)
            last_member[k] = member[k] ? step : last_member[k];
        look(&a, step, &seen[next++ % VIEWS]);
        for (size_t k = 0; k < VIEWS; k++)
            check_seen(&seen[k], with_memory);
        if (rng_below(rng, 100) == 0) { /* the reader forgets, and what went may be freed */
            memset(seen, 0, sizeof seen);
            directory_thread_offline();
            directory_thread_online();
        }
    }
    rcu_array_done(&a);
    assert_int_equal(rcu_array_view(&a).n, 0);
}

static void views_stay_what_they_were(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 10; i++)
        run(&rng, true);
}

static void views_hold_nothing_gone_without_memory(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 10; i++)
        run(&rng, false);
}

/* What was changed in place is not written to once more: its readers have seen enough. */
static void a_block_changed_in_place_is_left(void **state)
{
    struct rcu_array a = {0};
    struct rcu_block *block;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rcu_array_prepare_add(&a, &block), 0);
        assert_int_equal(block != NULL, i == 0); /* there is room for some */
        rcu_array_add(&a, block, &things[i], 1);
    }
    alloc_fail_at(0);
    rcu_array_remove(&a, &things[0]);
    assert_true(alloc_failed());
    assert_int_equal(rcu_array_view(&a).n, 2);
    assert_int_equal(rcu_array_prepare_add(&a, &block), 0);
    assert_non_null(block);
    rcu_array_add(&a, block, &things[3], 1);
    assert_int_equal(rcu_array_view(&a).n, 3);
    rcu_array_done(&a);
}

static int register_thread(void **state)
{
    (void)state;
    directory_thread_register();
    return 0;
}

static int unregister_thread(void **state)
{
    (void)state;
    urcu_qsbr_barrier(); /* all that was given up is freed */
    directory_thread_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_stay_what_they_were),
        cmocka_unit_test(views_hold_nothing_gone_without_memory),
        cmocka_unit_test(a_block_changed_in_place_is_left),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
