/* Each allocation of making route tables, clusters and balancers fails in turn. (Not RE2's own: see
 * decision 18.) */
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/routes.h"

#include "shared/mesh/balance.h"

#include <errno.h>

static struct route_table *filled(void)
{
    struct route_table *t = new_table(2);
    static struct header_match header = {.name = {"x-a", 3}, .kind = HEADER_PRESENT};
    for (size_t h = 0; h < 2; h++) {
        struct virtual_host *host =
            h ? SET_HOST(t, h, "b", 3, "*.b.org", "b.*") : SET_HOST(t, h, "a", 3, "a.org", "*");
        host->routes[0].match.path = (struct path_match){PATH_EXACT, false, TEXT("/a"), NULL};
        host->routes[1].match.headers = &header;
        host->routes[1].match.n_headers = 1;
        host->routes[2].match.path = (struct path_match){PATH_SEPARATED, true, TEXT("/B"), NULL};
    }
    return t;
}

static void test_finishing_a_table(void **state)
{
    bool failed = true;
    long points = 0;
    (void)state;
    for (; failed; points++) {
        struct route_table *t = filled();
        char why[WHY_MAX] = "";
        alloc_fail_at(points);
        int e = route_table_finish(t, why);
        failed = alloc_failed();
        assert_int_equal(e, e == 0 ? 0 : -ENOMEM);
        assert_string_equal(why, e == 0 ? "" : "no memory");
        assert_int_equal(t->finished, e == 0);
        route_table_unref(t);
    }
    assert_true(points > 4);
    print_message("%ld allocations\n", points - 1);
}

static void test_values(void **state)
{
    (void)state;
    alloc_fail_at(0);
    assert_null(route_table_new(1000));
    alloc_fail_at(0);
    assert_null(cluster_new(1000));
    alloc_fail_at(0);
    assert_null(endpoints_new(1000));
    assert_true(alloc_failed());
}

static struct endpoints *some_endpoints(size_t n)
{
    struct endpoints *e = endpoints_new(1 << 16);
    e->name = TEXT("c");
    e->n_groups = 2;
    e->groups = arena_zero(&e->arena, 2, sizeof *e->groups);
    for (size_t g = 0; g < 2; g++) {
        e->groups[g] =
            (struct endpoint_group){.zone = g ? TEXT("b") : TEXT("a"),
                                    .weight = 1,
                                    .n_endpoints = n,
                                    .endpoints = arena_zero(&e->arena, n, sizeof(struct endpoint))};
        for (size_t i = 0; i < n; i++)
            e->groups[g].endpoints[i] = (struct endpoint){
                .addr = {{4, {10, 0, (uint8_t)g, (uint8_t)i}}, 80}, .weight = (uint32_t)i + 1};
    }
    return e;
}

static void test_finishing_endpoints(void **state)
{
    bool failed = true;
    (void)state;
    for (long at = 0; failed; at++) {
        struct endpoints *e = some_endpoints(3);
        char why[WHY_MAX] = "";
        alloc_fail_at(at);
        int error = endpoints_finish(e, why);
        failed = alloc_failed();
        assert_int_equal(error, failed ? -ENOMEM : 0);
        assert_string_equal(why, failed ? "no memory" : "");
        endpoints_free(e);
    }
}

/* A choice, an update, and a choice: what failed is told, and afterwards it works. */
static long play(enum balance_kind kind, bool weighted, long at)
{
    static struct label wanted = {{"v", 1}, {"1", 1}};
    static struct text names[] = {{"v", 1}};
    static struct subset_keys keys = {names, 1};
    struct endpoints *first = some_endpoints(3), *second = some_endpoints(2);
    struct cluster *c = cluster_new(1 << 16);
    struct balancer *b = NULL, *next = NULL;
    struct balance_host *h = NULL;
    struct rng rng;
    char why[WHY_MAX];

    rng_seed(&rng, 1);
    c->name = TEXT("c");
    c->balance.kind = kind;
    c->balance.maglev_table = 13;
    c->balance.locality_weighted = weighted;
    c->subsets = (struct cluster_subsets){.keys = &keys,
                                          .n_keys = 1,
                                          .fallback = SUBSET_DEFAULT,
                                          .otherwise = &wanted,
                                          .n_otherwise = 1};
    for (size_t g = 0; g < 2; g++) {
        first->groups[g].endpoints[0].labels = &wanted;
        first->groups[g].endpoints[0].n_labels = 1;
        second->groups[g].endpoints[1].labels = &wanted;
        second->groups[g].endpoints[1].n_labels = 1;
    }
    assert_int_equal(endpoints_finish(first, why), 0);
    assert_int_equal(endpoints_finish(second, why), 0);
    assert_int_equal(cluster_finish(c, why), 0);
    const struct balance_request r = {.rng = &rng};

    alloc_fail_at(at);
    int e = balancer_new(&b, c, first, NULL, 0);
    if (e == 0)
        e = balancer_choose(b, &r, &h);
    if (e == 0) {
        balance_host_unref(h);
        e = balancer_new(&next, c, second, b, 0);
    }
    if (e == 0) {
        b = next;
        e = balancer_choose(b, &r, &h);
        if (e == 0)
            balance_host_unref(h);
    }
    bool failed = alloc_failed();
    assert_true(e == 0 || (failed && e == -ENOMEM)); /* qsort() has a way without memory */
    if (b) {
        assert_int_equal(balancer_choose(b, &r, &h), 0);
        assert_int_equal(h->addr.ip.bytes[3], next ? 1 : 0);
        balance_host_unref(h);
    }
    balancer_free(b);
    cluster_free(c);
    endpoints_free(first);
    endpoints_free(second);
    return failed ? at + 1 : -1;
}

static void test_balancers(void **state)
{
    (void)state;
    for (int kind = BALANCE_ROUND_ROBIN; kind <= BALANCE_MAGLEV; kind++) {
        for (int weighted = 0; weighted < 2; weighted++) {
            long at = 0, points = 0;
            for (; at >= 0; points++)
                at = play((enum balance_kind)kind, weighted, at);
            assert_true(points > 15);
        }
    }
}

/* More subsets than a balancer keeps at once, of one endpoint each. Whatever fails while one is
 * asked for first, or again: that is told, and the next time its endpoint is found. */
static void test_many_subsets(void **state)
{
    enum { SUBSETS = 300 };
    static struct text names[] = {{"v", 1}};
    static struct subset_keys keys = {names, 1};
    static char values[SUBSETS][8];
    static struct label labels[SUBSETS];
    struct endpoints *e = endpoints_new(1 << 20);
    struct cluster *c = cluster_new(1 << 16);
    struct balancer *b = NULL;
    struct rng rng;
    char why[WHY_MAX];
    long failures = 0, first = 0;
    (void)state;

    e->name = c->name = TEXT("c");
    e->n_groups = 1;
    e->groups = arena_zero(&e->arena, 1, sizeof *e->groups);
    e->groups[0].n_endpoints = SUBSETS;
    e->groups[0].endpoints = arena_zero(&e->arena, SUBSETS, sizeof(struct endpoint));
    for (size_t i = 0; i < SUBSETS; i++) {
        snprintf(values[i], sizeof values[i], "%zu", i);
        labels[i] = (struct label){TEXT("v"), text_of(values[i])};
        e->groups[0].endpoints[i] =
            (struct endpoint){.addr = {{4, {10, 0, 0, 1}}, (uint16_t)(1 + i)},
                              .weight = 1,
                              .labels = &labels[i],
                              .n_labels = 1};
    }
    c->subsets = (struct cluster_subsets){.keys = &keys, .n_keys = 1};
    assert_int_equal(endpoints_finish(e, why), 0);
    assert_int_equal(cluster_finish(c, why), 0);
    assert_int_equal(balancer_new(&b, c, e, NULL, 0), 0);
    rng_seed(&rng, 1);
    for (size_t i = 0; i < SUBSETS + 4; i++) {
        const struct label *wanted = &labels[i % SUBSETS];
        first = i == SUBSETS ? failures : first;
        const struct balance_request r = {.rng = &rng, .subset = wanted, .n_subset = 1};
        bool failed = true;
        for (long at = 0; failed; at++) {
            struct balance_host *h = NULL;
            alloc_fail_at(at);
            int error = balancer_choose(b, &r, &h);
            failed = alloc_failed();
            failures += failed;
            assert_int_equal(error, failed ? -ENOMEM : 0);
            if (error == 0)
                assert_int_equal(h->addr.port, 1 + i % SUBSETS);
            balance_host_unref(h);
        }
    }
    assert_true(first > 5 * SUBSETS);
    assert_true(failures > first); /* the first ones were forgotten meanwhile */
    balancer_free(b);
    cluster_free(c);
    endpoints_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finishing_a_table),   cmocka_unit_test(test_values),
        cmocka_unit_test(test_finishing_endpoints), cmocka_unit_test(test_balancers),
        cmocka_unit_test(test_many_subsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
