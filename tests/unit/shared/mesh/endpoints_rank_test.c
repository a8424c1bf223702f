/* Endpoints in the order of how near they are. */
#include "shared/mesh/endpoints_rank.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>

static struct endpoint here[] = {{.addr = {{4, {10, 0, 0, 1}}, 80}, .weight = 1},
                                 {.addr = {{4, {10, 0, 0, 2}}, 80}, .weight = 2}};
static struct endpoint there[] = {{.addr = {{4, {10, 0, 0, 3}}, 80}, .weight = 3},
                                  {.addr = {{4, {10, 0, 0, 4}}, 80}, .weight = 4}};
static struct endpoint_group groups[] = {
    {.region = TEXT("r"), .zone = TEXT("b"), .weight = 7, .endpoints = there, .n_endpoints = 2},
    {.region = TEXT("r"), .zone = TEXT("a"), .weight = 3, .endpoints = here, .n_endpoints = 2}};

static struct endpoints some(void)
{
    return (struct endpoints){.name = TEXT("c"),
                              .groups = groups,
                              .n_groups = 2,
                              .n_endpoints = 4,
                              .n_priorities = 1,
                              .overprovisioning_percent = 150};
}

static void distances(void **state)
{
    const struct locality l = {(char *)"r", (char *)"a", (char *)"s"};
    struct endpoint_group g = {.region = TEXT("r"), .zone = TEXT("a"), .sub_zone = TEXT("s")};
    (void)state;
    assert_int_equal(endpoint_distance(&l, &g), 0);
    g.sub_zone = TEXT("t");
    assert_int_equal(endpoint_distance(&l, &g), 1);
    g.zone = TEXT("b");
    g.sub_zone = TEXT("s"); /* of another zone: the name means nothing */
    assert_int_equal(endpoint_distance(&l, &g), 2);
    g.region = TEXT("q");
    g.zone = TEXT("a");
    assert_int_equal(endpoint_distance(&l, &g), 3);
}

static int by_zone(void *arg, const struct endpoint_group *g, const struct endpoint *e)
{
    (void)e;
    return endpoint_distance(arg, g);
}

static void by_locality(void **state)
{
    const struct locality l = {(char *)"r", (char *)"a", (char *)""};
    const struct endpoints e = some();
    struct endpoints *ranked;
    (void)state;
    assert_int_equal(
        endpoints_ranked(&e, &(struct endpoint_ranking){by_zone, (void *)&l}, &ranked), 0);
    assert_int_equal(ranked->n_priorities, 2); /* without gaps */
    assert_int_equal(ranked->n_groups, 2);
    assert_int_equal(ranked->n_endpoints, 4);
    assert_int_equal(ranked->overprovisioning_percent, 150);
    assert_true(ranked->finished && text_equal(ranked->name, TEXT("c")));
    assert_true(text_equal(ranked->groups[0].zone, TEXT("a")));
    assert_int_equal(ranked->groups[0].priority, 0);
    assert_int_equal(ranked->groups[0].weight, 3);
    assert_int_equal(ranked->groups[0].endpoints[1].weight, 2);
    assert_true(text_equal(ranked->groups[1].zone, TEXT("b")));
    assert_int_equal(ranked->groups[1].priority, 1);
    endpoints_free(ranked);
}

/* One of a group is near, one far, one may not be used. */
static int each(void *arg, const struct endpoint_group *g, const struct endpoint *e)
{
    (void)arg, (void)g;
    static const int ranks[] = {0, 5, ENDPOINT_LEFT_OUT, 5, 0};
    return ranks[e->weight];
}

static void within_a_group(void **state)
{
    const struct endpoints e = some();
    struct endpoints *ranked;
    (void)state;
    assert_int_equal(endpoints_ranked(&e, &(struct endpoint_ranking){each, NULL}, &ranked), 0);
    assert_int_equal(ranked->n_priorities, 2);
    assert_int_equal(ranked->n_endpoints, 3);
    assert_int_equal(ranked->n_groups, 3);
    assert_int_equal(ranked->groups[0].n_endpoints, 1);
    assert_int_equal(ranked->groups[0].endpoints[0].weight, 4);
    assert_int_equal(ranked->groups[1].endpoints[0].weight, 3);
    assert_int_equal(ranked->groups[2].endpoints[0].weight, 1);
    assert_int_equal(ranked->groups[1].priority, 1);
    assert_int_equal(ranked->groups[2].priority, 1);
    endpoints_free(ranked);
}

static void no_memory(void **state)
{
    const struct endpoints e = some();
    bool failed = true;
    long at = 0;
    (void)state;
    for (; failed; at++) {
        struct endpoints *ranked = NULL;
        alloc_fail_at(at);
        int r = endpoints_ranked(&e, &(struct endpoint_ranking){each, NULL}, &ranked);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        endpoints_free(ranked);
    }
    assert_true(at > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(distances), cmocka_unit_test(by_locality),
                                       cmocka_unit_test(within_a_group),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
