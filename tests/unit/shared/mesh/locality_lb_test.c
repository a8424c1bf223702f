/* What somebody wrote of places: which endpoints one place sees, in which order or with which shares. */
#include "shared/mesh/locality_lb.h"

#include "shared/mesh/place.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>

#define ENDPOINT(name, n, by)                                                                      \
    {                                                                                              \
        .addr = {{4, {10, 0, 0, n}}, 80}, .weight = (by), .workload = TEXT(name)                   \
    }
#define GROUP(r, z, s, list)                                                                       \
    {                                                                                              \
        .region = TEXT(r), .zone = TEXT(z), .sub_zone = TEXT(s), .weight = 1, .endpoints = (list), \
        .n_endpoints = ARRAY_SIZE(list)                                                            \
    }

/* Workload "x.y" has the labels rack=x and kind=y. */
static struct endpoint e1[] = {ENDPOINT("a.big", 1, 1), ENDPOINT("b.big", 2, 3)};
static struct endpoint e2[] = {ENDPOINT("a.small", 3, 1)};
static struct endpoint e3[] = {ENDPOINT("b.small", 4, 2)};
static struct endpoint e4[] = {ENDPOINT("", 5, 1)};
static struct endpoint_group groups[] = {GROUP("r", "a", "1", e1), GROUP("r", "a", "2", e2),
                                         GROUP("r", "b", "", e3), GROUP("q", "c", "", e4)};
static const struct endpoints all = {.name = TEXT("c"),
                                     .groups = groups,
                                     .n_groups = 4,
                                     .n_endpoints = 5,
                                     .n_priorities = 1,
                                     .overprovisioning_percent = 140,
                                     .finished = true};

static size_t labels_of(void *arg, struct text workload, const struct label **ret)
{
    static struct label labels[2];
    struct text rack, kind;
    (void)arg;
    if (!text_split(workload, '.', &rack, &kind))
        return 0;
    labels[0] = (struct label){TEXT("rack"), rack};
    labels[1] = (struct label){TEXT("kind"), kind};
    *ret = labels;
    return 2;
}

/* "1/0 2/1": the last bytes of addresses with their priorities; weighted: "1:50" with their locality's share of a thousand. */
static const char *seen(const struct locality_lb *lb, bool leaves, const char *region, const char *zone, const char *sub_zone)
{
    static char text[256];
    static const struct label own[] = {{TEXT("rack"), TEXT("b")}, {TEXT("kind"), TEXT("small")}};
    struct text_out out = TEXT_OUT(text);
    const struct locality at = {(char *)region, (char *)zone, (char *)sub_zone};
    const struct locality_client client = {&at, own, 2, labels_of, NULL};
    struct endpoints *made;
    char why[WHY_MAX] = "";
    if (locality_lb_check(NULL, lb, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(locality_lb_apply(lb, leaves, &client, &all, &made), 0);
    if (!made)
        return "as they are";
    uint64_t sum = 0;
    for (size_t g = 0; g < made->n_groups; g++)
        sum += made->groups[g].weight;
    for (size_t g = 0; g < made->n_groups; g++)
        for (size_t i = 0; i < made->groups[g].n_endpoints; i++)
            if (lb->n_distribute > 0)
                text_printf(&out, "%s%u:%u", out.len ? " " : "", made->groups[g].endpoints[i].addr.ip.bytes[3],
                            (unsigned)((made->groups[g].weight * 1000ull + sum / 2) / sum));
            else
                text_printf(&out, "%s%u/%u", out.len ? " " : "", made->groups[g].endpoints[i].addr.ip.bytes[3],
                            made->groups[g].priority);
    assert_true(made->finished);
    endpoints_free(made);
    return text;
}

static void patterns(void **state)
{
    struct text r = TEXT("r"), a = TEXT("a"), none = TEXT("");
    (void)state;
    assert_true(locality_fits(TEXT("*"), none, none, none));
    assert_true(locality_fits(TEXT("r"), r, a, none));
    assert_true(locality_fits(TEXT("r/*"), r, a, TEXT("1")));
    assert_true(locality_fits(TEXT("r/a"), r, a, TEXT("1")));
    assert_true(locality_fits(TEXT("r/a/*"), r, a, TEXT("1")));
    assert_true(locality_fits(TEXT("r/a/1"), r, a, TEXT("1")));
    assert_false(locality_fits(TEXT("r/a/1"), r, a, TEXT("2")));
    assert_false(locality_fits(TEXT("r/a/1"), r, a, none));
    assert_false(locality_fits(TEXT("r/b"), r, a, none));
    assert_false(locality_fits(TEXT("q"), r, a, none));
    assert_false(locality_fits(TEXT("rr"), r, a, none));
}

static void shares(void **state)
{
    struct locality_share to_near[] = {{TEXT("r/a/*"), 80}, {TEXT("q"), 20}}, to_all[] = {{TEXT("*"), 100}};
    struct locality_distribute d[] = {{TEXT("r/a"), to_near, 2}, {TEXT("r/*"), to_all, 1}};
    struct locality_lb lb = {.said = true, .distribute = d, .n_distribute = 2};
    (void)state;
    /* 80 by weight: 4 of 5 and 1 of 5; whoever no pattern names gets nothing. Outliers or not. */
    assert_string_equal(seen(&lb, false, "r", "a", "9"), "1:640 2:640 3:160 5:200");
    assert_string_equal(seen(&lb, true, "r", "a", "9"), "1:640 2:640 3:160 5:200");
    assert_string_equal(seen(&lb, true, "r", "b", ""), "1:500 2:500 3:125 4:250 5:125"); /* the first rule that fits */
    assert_string_equal(seen(&lb, true, "z", "a", ""), "as they are");
    lb.off = true;
    assert_string_equal(seen(&lb, true, "r", "a", "9"), "as they are");
    lb.off = false;
    to_near[0].to = TEXT("nowhere"); /* the rest is for who is there */
    assert_string_equal(seen(&lb, true, "r", "a", "9"), "5:1000");
}

static void regions(void **state)
{
    struct locality_failover f[] = {{TEXT("z"), TEXT("q")}, {TEXT("q"), TEXT("y")}};
    struct locality_lb lb = {.said = true};
    (void)state;
    assert_string_equal(seen(&lb, false, "r", "a", "1"), "as they are");
    assert_string_equal(seen(&lb, true, "r", "a", "1"), "1/0 2/0 3/1 4/2 5/3");
    assert_string_equal(seen(&lb, true, "z", "", ""), "1/0 2/0 3/0 4/0 5/0");
    lb.failover = f;
    lb.n_failover = 2;
    assert_string_equal(seen(&lb, true, "z", "", ""), "5/0 1/1 2/1 3/1 4/1");
    assert_string_equal(seen(&lb, true, "r", "a", "1"), "1/0 2/0 3/1 4/2 5/3"); /* nothing is said of it */
    assert_string_equal(seen(&lb, true, "q", "c", ""), "5/0 1/1 2/1 3/1 4/1");
    lb.off = true;
    assert_string_equal(seen(&lb, true, "z", "", ""), "as they are");
}

/* The client has rack=b, kind=small. */
static void labels(void **state)
{
    struct locality_priority p[] = {{{TEXT("rack"), TEXT("")}, true},
                                    {{TEXT("kind"), TEXT("big")}, false},
                                    {{TEXT("topology.kubernetes.io/zone"), TEXT("")}, true}};
    struct locality_lb lb = {.said = true, .priorities = p, .n_priorities = 1};
    struct locality_failover f = {TEXT("r"), TEXT("q")};
    (void)state;
    assert_string_equal(seen(&lb, false, "r", "a", ""), "as they are");
    assert_string_equal(seen(&lb, true, "r", "a", ""), "2/0 4/0 1/1 3/1 5/1");
    lb.n_priorities = 2; /* b and big; b; neither, whatever comes after */
    assert_string_equal(seen(&lb, true, "r", "a", ""), "2/0 4/1 1/2 3/2 5/2");
    p[0].label.name = TEXT("absent"); /* as absent here as there */
    assert_string_equal(seen(&lb, true, "r", "a", ""), "1/0 2/0 3/1 4/1 5/1");
    p[0] = p[2];
    assert_string_equal(seen(&lb, true, "r", "a", ""), "1/0 2/0 3/1 4/2 5/2");
    lb.n_priorities = 1; /* within a priority by place */
    lb.failover = &f;
    lb.n_failover = 1;
    assert_string_equal(seen(&lb, true, "r", "b", ""), "4/0 1/1 2/1 3/1 5/2");
}

static void refused(void **state)
{
    struct locality_share s[] = {{TEXT("a"), 50}, {TEXT("b"), 50}};
    struct locality_distribute d = {TEXT("a"), s, 2};
    struct locality_failover f = {TEXT("a"), TEXT("b")};
    struct locality_priority p = {{TEXT(""), TEXT("")}, true};
    const struct locality_lb with_d = {.said = true, .distribute = &d, .n_distribute = 1};
    const struct locality_lb with_f = {.said = true, .failover = &f, .n_failover = 1};
    const struct locality_lb with_p = {.said = true, .priorities = &p, .n_priorities = 1};
    struct locality_lb both = with_d;
    char why[WHY_MAX] = "";
    (void)state;
#define REFUSED(lb, wanted)                                                                        \
    do {                                                                                           \
        assert_int_equal(locality_lb_check(NULL, (lb), why), -EINVAL);                             \
        assert_string_equal(why, (wanted));                                                        \
    } while (0)
    assert_int_equal(locality_lb_check(NULL, &with_d, why), 0);
    assert_int_equal(locality_lb_check(NULL, &with_f, why), 0);
    both.n_failover = 1;
    both.failover = &f;
    REFUSED(&both, "distribute: can't go with failover or failoverPriority");
    s[1].percent = 49;
    REFUSED(&with_d, "distribute[0].to: are 99 together, not 100");
    s[1].percent = 0;
    REFUSED(&with_d, "distribute[0].to: has a share that is not 1 to 100");
    s[1] = (struct locality_share){TEXT("a/x/*"), 50};
    REFUSED(&with_d, "distribute[0].to: has two that fit the same place");
    s[1].to = TEXT("b/*/c");
    REFUSED(&with_d, "distribute[0].to: has a '*' that is not its last part");
    s[1].to = TEXT("b*");
    REFUSED(&with_d, "distribute[0].to: has a '*' that is not its last part");
    s[1].to = TEXT("b//c");
    REFUSED(&with_d, "distribute[0].to: has an empty part");
    s[1].to = TEXT("b/c/d/e");
    REFUSED(&with_d, "distribute[0].to: is no region/zone/sub-zone");
    s[1].to = TEXT("b");
    d.from = TEXT("");
    REFUSED(&with_d, "distribute[0].from: has an empty part");
    f.to = TEXT("a");
    REFUSED(&with_f, "failover[0]: leads from a region to itself");
    f.to = TEXT("a/b");
    REFUSED(&with_f, "failover[0].to: is no name of a region");
    f.from = TEXT("*");
    REFUSED(&with_f, "failover[0].from: is no name of a region");
    REFUSED(&with_p, "failoverPriority[0]: is no label");
}

static void no_memory(void **state)
{
    struct locality_share s[] = {{TEXT("r"), 100}};
    struct locality_distribute d = {TEXT("*"), s, 1};
    const struct locality_lb lb = {.said = true, .distribute = &d, .n_distribute = 1};
    const struct locality at = {(char *)"r", (char *)"", (char *)""};
    const struct locality_client client = {.at = &at, .labels_of = labels_of};
    bool failed = true;
    long n = 0;
    (void)state;
    for (; failed; n++) {
        struct endpoints *made = NULL;
        alloc_fail_at(n);
        int r = locality_lb_apply(&lb, true, &client, &all, &made);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        endpoints_free(made);
    }
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(patterns), cmocka_unit_test(shares),
                                       cmocka_unit_test(regions),  cmocka_unit_test(labels),
                                       cmocka_unit_test(refused),  cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
