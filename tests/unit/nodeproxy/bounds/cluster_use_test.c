/* What a pod has in use of a cluster, counted by all workers at once. */
#include "nodeproxy/bounds/cluster_use.h"

#include "tests/unit/shared/base/test.h"

enum { WORKERS = 4, ROUNDS = 100000, MOST = 3 };
static const struct breaker_limits limits = {.max = {MOST, MOST, MOST, MOST}};
static _Atomic uint32_t at_once, most;

static void *worker(void *arg)
{
    struct cluster_use *u = cluster_use_get(arg, TEXT("c"));
    for (unsigned i = 0; u && i < ROUNDS; i++) {
        if (!breaker_take(&u->breakers[0], &limits, BREAKER_REQUESTS))
            continue;
        uint32_t now = ++at_once, before = most;
        while (before < now && !atomic_compare_exchange_weak(&most, &before, now))
            ;
        at_once--;
        breaker_give(&u->breakers[0], BREAKER_REQUESTS);
    }
    cluster_use_unref(u);
    return NULL;
}

static void never_more(void **state)
{
    struct cluster_uses all;
    pthread_t threads[WORKERS];
    (void)state;
    cluster_uses_init(&all);
    struct cluster_use *u = cluster_use_get(&all, TEXT("c"));
    assert_non_null(u);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, &all), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_in_range(most, 1, MOST);
    assert_int_equal(breaker_used(&u->breakers[0], BREAKER_REQUESTS), 0);
    assert_null(cluster_use_unref(u));
    cluster_uses_done(&all);
}

static void count(const struct cluster_use *u, void *arg)
{
    assert_true(strcmp(u->name, "c") == 0 || strcmp(u->name, "d") == 0);
    ++*(unsigned *)arg;
}

static void shared_by_name(void **state)
{
    struct cluster_uses all;
    unsigned n = 0;
    (void)state;
    cluster_uses_init(&all);
    struct cluster_use *c = cluster_use_get(&all, TEXT("c")), *d = cluster_use_get(&all, TEXT("d"));
    struct cluster_use *again = cluster_use_get(&all, TEXT("c")), *alone = cluster_use_get(NULL, TEXT("c"));
    assert_non_null(c);
    assert_non_null(d);
    assert_ptr_equal(c, again);
    assert_ptr_not_equal(c, d);
    assert_ptr_not_equal(c, alone);
    cluster_uses_each(&all, count, &n);
    assert_int_equal(n, 2);
    cluster_use_unref(c);
    n = 0;
    cluster_uses_each(&all, count, &n);
    assert_int_equal(n, 2);
    cluster_use_unref(again);
    cluster_use_unref(d);
    cluster_use_unref(alone);
    assert_null(cluster_use_unref(NULL));
    cluster_uses_done(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(never_more), cmocka_unit_test(shared_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
