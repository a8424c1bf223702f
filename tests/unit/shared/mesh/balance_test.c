/*
 * What a balancer gives to whom. Shares are held against their binomial distribution: n draws of
 * probability p stay within 5 standard deviations of n * p (one failure in some 1.7 million runs;
 * seeds are fixed, so it fails always or never).
 */
#include "shared/mesh/balance.h"

#include "tests/unit/shared/base/test.h"

#include <errno.h>
#include <math.h>

enum { HOSTS_MAX = 64 };
struct world {
    struct cluster *cluster;
    struct endpoints *endpoints;
    struct balancer *balancer;
    struct rng rng;
    uint64_t now_ms;
    size_t counts[HOSTS_MAX]; /* by the last byte of the address */
};
/* Endpoints of a group have addresses 10.0.0.N, counted through all groups. */
struct group_of {
    size_t n;
    uint32_t priority, weight;
};

static struct endpoints *new_endpoints(const struct group_of *groups, size_t n)
{
    static const char *const zones[] = {"a", "b", "c", "d", "e", "f"};
    struct endpoints *e = endpoints_new(1 << 20);
    char why[WHY_MAX];
    uint8_t next = 0;
    assert_non_null(e);
    e->name = TEXT("c");
    e->n_groups = n;
    e->groups = arena_zero(&e->arena, n, sizeof *e->groups);
    for (size_t g = 0; g < n; g++) {
        e->groups[g] = (struct endpoint_group){.zone = text_of(zones[g]),
                                               .priority = groups[g].priority,
                                               .weight = groups[g].weight,
                                               .n_endpoints = groups[g].n};
        e->groups[g].endpoints = arena_zero(&e->arena, groups[g].n, sizeof(struct endpoint));
        for (size_t i = 0; i < groups[g].n; i++)
            e->groups[g].endpoints[i] =
                (struct endpoint){.addr = {{4, {10, 0, 0, next++}}, 80}, .weight = 1};
    }
    if (endpoints_finish(e, why) < 0)
        fail_msg("%s", why);
    return e;
}
#define ENDPOINTS(...)                                                                             \
    new_endpoints((const struct group_of[]){__VA_ARGS__},                                          \
                  sizeof((const struct group_of[]){__VA_ARGS__}) / sizeof(struct group_of))

static void set_up(struct world *w, enum balance_kind kind, struct endpoints *taken)
{
    *w = (struct world){.cluster = cluster_new(1 << 16), .endpoints = taken, .now_ms = 1000};
    rng_seed(&w->rng, 42);
    w->cluster->name = TEXT("c");
    w->cluster->balance.kind = kind;
}

static void make(struct world *w)
{
    char why[WHY_MAX];
    if (cluster_finish(w->cluster, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(balancer_new(&w->balancer, w->cluster, w->endpoints, NULL, w->now_ms), 0);
}

static void tear_down(struct world *w)
{
    balancer_free(w->balancer);
    cluster_free(w->cluster);
    endpoints_free(w->endpoints);
}

static struct balance_request plain(struct world *w)
{
    return (struct balance_request){.now_ms = w->now_ms, .rng = &w->rng};
}

static struct balance_host *choose(struct world *w, const struct balance_request *r)
{
    struct balance_host *h = NULL;
    int e = balancer_choose(w->balancer, r, &h);
    if (e < 0)
        fail_msg("nobody: %d", e);
    return h;
}

static void draw(struct world *w, size_t n)
{
    struct balance_request r = plain(w);
    memset(w->counts, 0, sizeof w->counts);
    for (size_t i = 0; i < n; i++) {
        struct balance_host *h = choose(w, &r);
        w->counts[h->addr.ip.bytes[3]]++;
        balance_host_unref(h);
    }
}

static void assert_share(size_t count, size_t n, double p)
{
    double expected = (double)n * p, deviation = sqrt((double)n * p * (1 - p));
    if (fabs((double)count - expected) > 5 * deviation)
        fail_msg("%zu of %zu, expected %.0f +- %.0f", count, n, expected, 5 * deviation);
}

static struct endpoint *endpoint_at(struct world *w, size_t group, size_t i)
{
    return &w->endpoints->groups[group].endpoints[i];
}

static struct balance_host *host_at(struct world *w, uint8_t number)
{
    struct balance_host *const *hosts;
    size_t n = balancer_hosts(w->balancer, &hosts);
    for (size_t i = 0; i < n; i++) {
        if (hosts[i]->addr.ip.bytes[3] == number)
            return hosts[i];
    }
    fail_msg("no host %u", number);
    return NULL;
}

static void test_round_robin_is_even(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_ROUND_ROBIN, ENDPOINTS({5, 0, 0}));
    make(&w);
    for (int round = 0; round < 20; round++) {
        draw(&w, 5); /* in each five draws everybody is there once */
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(w.counts[i], 1);
    }
    tear_down(&w);
}

static void test_round_robin_has_weights_and_is_smooth(void **state)
{
    struct world w;
    size_t longest = 0, row = 0;
    (void)state;
    set_up(&w, BALANCE_ROUND_ROBIN, ENDPOINTS({3, 0, 0}));
    endpoint_at(&w, 0, 0)->weight = 5;
    endpoint_at(&w, 0, 1)->weight = 3;
    endpoint_at(&w, 0, 2)->weight = 2;
    make(&w);
    draw(&w, 10000);
    assert_in_range(w.counts[0], 4999, 5001);
    assert_in_range(w.counts[1], 2999, 3001);
    assert_in_range(w.counts[2], 1999, 2001);
    struct balance_request r = plain(&w);
    for (int i = 0; i < 100; i++) {
        struct balance_host *h = choose(&w, &r);
        row = h->addr.ip.bytes[3] == 0 ? row + 1 : 0;
        longest = row > longest ? row : longest;
        balance_host_unref(h);
    }
    assert_in_range(longest, 1, 2); /* not five in a row */
    tear_down(&w);
}

static void test_random_is_even(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_RANDOM, ENDPOINTS({4, 0, 0}));
    make(&w);
    draw(&w, 100000);
    for (size_t i = 0; i < 4; i++)
        assert_share(w.counts[i], 100000, 0.25);
    tear_down(&w);
}

static void test_least_request_takes_the_better_of_two(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_LEAST_REQUEST, ENDPOINTS({4, 0, 0}));
    make(&w);
    draw(&w, 100000); /* all idle: even */
    for (size_t i = 0; i < 4; i++)
        assert_share(w.counts[i], 100000, 0.25);
    for (int i = 0; i < 10; i++)
        balance_host_begin(host_at(&w, 0));
    /* The busy one is taken only where both draws fall on it: one in sixteen. */
    draw(&w, 100000);
    assert_share(w.counts[0], 100000, 1.0 / 16);
    for (size_t i = 1; i < 4; i++)
        assert_share(w.counts[i], 100000, 5.0 / 16);
    tear_down(&w);
}

static void test_least_request_with_weights_counts_what_is_in_flight(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_LEAST_REQUEST, ENDPOINTS({2, 0, 0}));
    endpoint_at(&w, 0, 1)->weight = 3;
    make(&w);
    draw(&w, 4000);
    assert_in_range(w.counts[1], 2998, 3002);
    balance_host_begin(host_at(&w, 1));
    balance_host_begin(host_at(&w, 1)); /* 3 / (2 + 1) = 1 */
    draw(&w, 4000);
    assert_in_range(w.counts[1], 1990, 2010);
    tear_down(&w);
}

static void test_a_hash_stays_with_its_host(void **state)
{
    static const enum balance_kind kinds[] = {BALANCE_RING_HASH, BALANCE_MAGLEV};
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct world w;
        set_up(&w, kinds[k], ENDPOINTS({8, 0, 0}));
        make(&w);
        for (uint64_t hash = 0; hash < 200; hash++) {
            struct balance_request r = plain(&w);
            r.has_hash = true;
            r.hash = hash * 0x9e3779b97f4a7c15;
            struct balance_host *first = choose(&w, &r), *again = choose(&w, &r);
            assert_ptr_equal(first, again);
            /* A retry goes elsewhere. */
            r.tried = &first;
            r.n_tried = 1;
            struct balance_host *other = choose(&w, &r);
            assert_ptr_not_equal(first, other);
            balance_host_unref(first);
            balance_host_unref(again);
            balance_host_unref(other);
        }
        draw(&w, 80000); /* without a hash: at random */
        for (size_t i = 0; i < 8; i++)
            assert_in_range(w.counts[i], 6000, 14000);
        tear_down(&w);
    }
}

static void test_a_retry_avoids_who_was_tried(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_RANDOM, ENDPOINTS({2, 0, 0}));
    make(&w);
    struct balance_request r = plain(&w);
    struct balance_host *tried = host_at(&w, 0);
    size_t same = 0;
    r.tried = &tried;
    r.n_tried = 1;
    for (int i = 0; i < 32000; i++) {
        struct balance_host *h = choose(&w, &r);
        same += h == tried;
        balance_host_unref(h);
    }
    assert_share(same, 32000, 1.0 / 32); /* five draws, each one of two */
    tear_down(&w);
}

static void unwell(struct world *w, uint8_t from, uint8_t to)
{
    for (uint8_t i = from; i < to; i++)
        host_at(w, i)->failed_check = true;
    balancer_changed(w->balancer);
}

/* Envoy's table of "priority levels": how much of P=0 (and P=1) is well, and what each gets. */
static void test_priorities_spill_over(void **state)
{
    static const struct {
        uint8_t sick0, sick1;
        double share0;
    } cases[] = {
        {0, 0, 1},     {7, 0, 1}, /* 72 % of 25 are well: 100 % */
        {8, 0, 0.95},             /* 68 % * 1.4 = 95 % */
        {13, 0, 0.67},            /* 48 % * 1.4 = 67 % */
        {25, 0, 0},               /* all fail over */
        {13, 13, 0.5},            /* 67 and 67: together more than enough; in order */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world w;
        size_t first = 0, n = 20000;
        set_up(&w, BALANCE_ROUND_ROBIN, ENDPOINTS({25, 0, 0}, {25, 1, 0}));
        make(&w);
        unwell(&w, 0, cases[i].sick0);
        unwell(&w, 25, (uint8_t)(25 + cases[i].sick1));
        draw(&w, n);
        for (size_t h = 0; h < 25; h++)
            first += w.counts[h];
        for (size_t h = 0; h < cases[i].sick0; h++)
            assert_int_equal(w.counts[h], 0);
        /* 48 % and 48 %: P=0 gets its 67, and P=1 the 33 that remain. */
        assert_share(first, n, i == 5 ? 0.67 : cases[i].share0);
        tear_down(&w);
    }
}

static void test_panic_uses_everybody(void **state)
{
    struct world w;
    struct balance_host *h;
    (void)state;
    set_up(&w, BALANCE_RANDOM, ENDPOINTS({10, 0, 0}));
    make(&w);
    unwell(&w, 0, 5); /* half are well: no panic (overprovisioned to 70 %) */
    draw(&w, 1000);
    assert_int_equal(w.counts[0], 0);
    unwell(&w, 5, 6); /* 40 % */
    draw(&w, 100000);
    for (size_t i = 0; i < 10; i++)
        assert_share(w.counts[i], 100000, 0.1);
    unwell(&w, 6, 10);
    draw(&w, 100000); /* nobody is well */
    for (size_t i = 0; i < 10; i++)
        assert_share(w.counts[i], 100000, 0.1);
    struct balance_request r = plain(&w);
    w.cluster->balance.fail_in_panic = true;
    assert_int_equal(balancer_choose(w.balancer, &r, &h), -EHOSTUNREACH);
    w.cluster->balance.fail_in_panic = false;
    w.cluster->balance.panic_percent = 0;
    balancer_changed(w.balancer);
    assert_int_equal(balancer_choose(w.balancer, &r, &h), -EHOSTUNREACH);
    tear_down(&w);
}

static void test_degraded_only_as_far_as_needed(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_RANDOM, ENDPOINTS({10, 0, 0}));
    for (size_t i = 5; i < 10; i++)
        endpoint_at(&w, 0, i)->health = HEALTH_DEGRADED;
    make(&w);
    draw(&w, 100000); /* 50 % * 1.4 = 70 % for the healthy, 30 % for the degraded */
    for (size_t i = 0; i < 10; i++)
        assert_share(w.counts[i], 100000, i < 5 ? 0.14 : 0.06);
    tear_down(&w);
}

static void test_localities_have_weights(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_ROUND_ROBIN, ENDPOINTS({2, 0, 70}, {8, 0, 30}));
    w.cluster->balance.locality_weighted = true;
    make(&w);
    draw(&w, 100000);
    assert_share(w.counts[0] + w.counts[1], 100000, 0.7);
    unwell(&w, 0, 1); /* half of the first: 70 * 0.5 * 1.4 = 49 against 30 */
    draw(&w, 100000);
    assert_int_equal(w.counts[0], 0);
    assert_share(w.counts[1], 100000, 49.0 / 79);
    tear_down(&w);
}

static void test_localities_are_those_of_their_priority(void **state)
{
    struct world w;
    (void)state;
    set_up(&w, BALANCE_ROUND_ROBIN, ENDPOINTS({2, 0, 70}, {2, 1, 20}, {8, 0, 30}, {2, 1, 80}));
    w.cluster->balance.locality_weighted = true;
    make(&w);
    draw(&w, 100000);
    assert_share(w.counts[0] + w.counts[1], 100000, 0.7);
    assert_int_equal(w.counts[2] + w.counts[3] + w.counts[12] + w.counts[13], 0);
    unwell(&w, 0, 2);
    unwell(&w, 4, 12); /* all fail over */
    draw(&w, 100000);
    assert_share(w.counts[2] + w.counts[3], 100000, 0.2);
    assert_share(w.counts[12] + w.counts[13], 100000, 0.8);
    tear_down(&w);
}

static void test_slow_start_grows(void **state)
{
    struct world w;
    struct balancer *b;
    (void)state;
    set_up(&w, BALANCE_ROUND_ROBIN, ENDPOINTS({2, 0, 0}));
    w.cluster->balance.slow_start = (struct slow_start){10000, 1, 10};
    make(&w);
    w.now_ms += 100000;
    struct endpoints *more = ENDPOINTS({3, 0, 0});
    assert_int_equal(balancer_new(&b, w.cluster, more, w.balancer, w.now_ms), 0);
    w.balancer = b;
    endpoints_free(w.endpoints);
    w.endpoints = more;
    draw(&w, 21000); /* a tenth: 0.1 of 2.1 */
    assert_in_range(w.counts[2], 900, 1100);
    w.now_ms += 5000;
    draw(&w, 25000); /* half */
    assert_in_range(w.counts[2], 4900, 5100);
    w.now_ms += 5000;
    draw(&w, 30000);
    assert_in_range(w.counts[2], 9900, 10100);
    tear_down(&w);
}

static void test_subsets(void **state)
{
    static struct label v1 = {{"version", 7}, {"v1", 2}}, v2 = {{"version", 7}, {"v2", 2}},
                        v9 = {{"version", 7}, {"v9", 2}}, other = {{"stage", 5}, {"x", 1}};
    static struct text names[] = {{"version", 7}};
    static struct subset_keys keys = {names, 1};
    struct world w;
    struct balance_host *h;
    (void)state;
    set_up(&w, BALANCE_RANDOM, ENDPOINTS({4, 0, 0}));
    for (size_t i = 0; i < 4; i++) {
        endpoint_at(&w, 0, i)->labels = i < 2 ? &v1 : &v2;
        endpoint_at(&w, 0, i)->n_labels = 1;
    }
    w.cluster->subsets = (struct cluster_subsets){.keys = &keys, .n_keys = 1};
    make(&w);
    struct balance_request r = plain(&w);
    r.n_subset = 1;
    for (int i = 0; i < 100; i++) {
        r.subset = i % 2 ? &v1 : &v2;
        h = choose(&w, &r);
        assert_int_equal(h->addr.ip.bytes[3] < 2, i % 2);
        balance_host_unref(h);
    }
    /* No such value, no such selector, no subset: the fallback. */
    for (int i = 0; i < 3; i++) {
        r.subset = i == 0 ? &v9 : &other;
        r.n_subset = i < 2;
        w.cluster->subsets.fallback = SUBSET_NO_FALLBACK;
        assert_int_equal(balancer_choose(w.balancer, &r, &h), -EHOSTUNREACH);
        w.cluster->subsets.fallback = SUBSET_DEFAULT;
        w.cluster->subsets.otherwise = &v2;
        w.cluster->subsets.n_otherwise = 1;
        h = choose(&w, &r);
        assert_true(h->addr.ip.bytes[3] >= 2);
        balance_host_unref(h);
        /* Whoever is preferred, too, has to be one of these. */
        for (uint8_t host = 0; host < 4; host++) {
            const struct addr at = {{4, {10, 0, 0, host}}, 80};
            r.prefer = &at;
            for (unsigned k = 0; k < 10; k++) {
                h = choose(&w, &r);
                assert_true(host < 2 ? h->addr.ip.bytes[3] >= 2 : h->addr.ip.bytes[3] == host);
                balance_host_unref(h);
            }
            w.cluster->subsets.fallback = SUBSET_ANY_ENDPOINT;
            h = choose(&w, &r);
            assert_int_equal(h->addr.ip.bytes[3], host);
            balance_host_unref(h);
            w.cluster->subsets.fallback = SUBSET_NO_FALLBACK;
            assert_int_equal(balancer_choose(w.balancer, &r, &h), -EHOSTUNREACH);
            w.cluster->subsets.fallback = SUBSET_DEFAULT;
            r.prefer = NULL;
        }
        w.cluster->subsets.fallback = SUBSET_ANY_ENDPOINT;
        balance_host_unref(choose(&w, &r));
    }
    tear_down(&w);
}

/* Whoever is preferred gets it, wherever he lies, as long as he is one of them, of the subset, and well. */
static void test_who_is_preferred(void **state)
{
    struct label v1 = {TEXT("v"), TEXT("1")}, v2 = {TEXT("v"), TEXT("2")};
    struct text names[] = {TEXT("v")};
    struct subset_keys keys = {names, 1};
    struct world w;
    (void)state;
    set_up(&w, BALANCE_ROUND_ROBIN, ENDPOINTS({4, 0, 0}, {2, 1, 0}));
    w.cluster->subsets = (struct cluster_subsets){.keys = &keys, .n_keys = 1, .fallback = SUBSET_ANY_ENDPOINT};
    endpoint_at(&w, 0, 2)->labels = &v2;
    endpoint_at(&w, 0, 2)->n_labels = 1;
    endpoint_at(&w, 0, 1)->labels = &v1;
    endpoint_at(&w, 0, 1)->n_labels = 1;
    make(&w);
    struct balance_request r = plain(&w);
    struct addr at = {{4, {10, 0, 0, 5}}, 80};
    r.prefer = &at;
    for (uint8_t host = 0; host < 6; host++) {
        at.ip.bytes[3] = host;
        for (unsigned i = 0; i < 20; i++) {
            struct balance_host *h = choose(&w, &r);
            assert_int_equal(h->addr.ip.bytes[3], host);
            balance_host_unref(h);
        }
    }
    struct balance_host *const *hosts;
    assert_int_equal(balancer_hosts(w.balancer, &hosts), 6);
    hosts[5]->failed_check = true;
    balancer_changed(w.balancer);
    for (unsigned wrong = 0; wrong < 4; wrong++) {
        at = (struct addr){{4, {10, 0, 0, wrong == 0 ? 5 : wrong == 1 ? 77 : 1}}, wrong == 2 ? 81 : 80};
        r.subset = wrong == 3 ? &v2 : NULL;
        r.n_subset = wrong == 3;
        unsigned n = 0;
        for (unsigned i = 0; i < 20; i++) {
            struct balance_host *h = choose(&w, &r);
            n += h->addr.ip.bytes[3] == at.ip.bytes[3];
            balance_host_unref(h);
        }
        assert_in_range(n, 0, 5); /* its turn */
    }
    at = (struct addr){{4, {10, 0, 0, 1}}, 80};
    r.subset = &v1;
    r.n_subset = 1;
    struct balance_host *h = choose(&w, &r);
    assert_int_equal(h->addr.ip.bytes[3], 1);
    balance_host_unref(h);
    tear_down(&w);
}

static void test_hosts_outlive_an_update(void **state)
{
    struct world w;
    struct balancer *b;
    (void)state;
    set_up(&w, BALANCE_LEAST_REQUEST, ENDPOINTS({3, 0, 0}));
    w.cluster->outlier_detection = true;
    make(&w);
    struct balance_host *stays = host_at(&w, 0), *leaves = host_at(&w, 2);
    leaves->refs++; /* a request holds it */
    balance_host_begin(stays);
    balance_host_begin(leaves);
    for (int i = 0; i < 5; i++)
        balancer_report(w.balancer, stays, OUTLIER_5XX, w.now_ms, &w.rng);
    assert_true(stays->outlier.ejected);
    struct endpoints *fewer = ENDPOINTS({2, 0, 0});
    assert_int_equal(balancer_new(&b, w.cluster, fewer, w.balancer, w.now_ms), 0);
    w.balancer = b;
    endpoints_free(w.endpoints);
    w.endpoints = fewer;
    assert_ptr_equal(host_at(&w, 0), stays);
    assert_int_equal(stays->active, 1);
    assert_true(stays->outlier.ejected);
    assert_null(leaves->endpoint);
    balancer_report(w.balancer, leaves, OUTLIER_5XX, w.now_ms, &w.rng);
    balance_host_end(leaves);
    balance_host_unref(leaves);
    draw(&w, 100);
    assert_int_equal(w.counts[1], 100);
    /* Its time is over. */
    w.now_ms += 30000;
    assert_true(balancer_next_ms(w.balancer) <= w.now_ms);
    balancer_tick(w.balancer, w.now_ms, &w.rng);
    draw(&w, 100);
    assert_true(w.counts[0] > 0);
    tear_down(&w);
}

static void test_drops_what_is_to_be_dropped(void **state)
{
    static struct endpoint_drop drop = {{"x", 1}, {25, 100}};
    struct world w;
    size_t dropped = 0;
    (void)state;
    set_up(&w, BALANCE_RANDOM, ENDPOINTS({1, 0, 0}));
    w.endpoints->drops = &drop;
    w.endpoints->n_drops = 1;
    make(&w);
    struct balance_request r = plain(&w);
    for (int i = 0; i < 100000; i++) {
        struct balance_host *h = NULL;
        int e = balancer_choose(w.balancer, &r, &h);
        dropped += e == -EAGAIN;
        balance_host_unref(h);
    }
    assert_share(dropped, 100000, 0.25);
    tear_down(&w);
}

static void test_nobody(void **state)
{
    struct world w;
    struct balance_host *h;
    (void)state;
    for (int kind = BALANCE_ROUND_ROBIN; kind <= BALANCE_MAGLEV; kind++) {
        set_up(&w, (enum balance_kind)kind, ENDPOINTS({0, 0, 0}));
        make(&w);
        struct balance_request r = plain(&w);
        assert_int_equal(balancer_choose(w.balancer, &r, &h), -EHOSTUNREACH);
        tear_down(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_robin_is_even),
        cmocka_unit_test(test_round_robin_has_weights_and_is_smooth),
        cmocka_unit_test(test_random_is_even),
        cmocka_unit_test(test_least_request_takes_the_better_of_two),
        cmocka_unit_test(test_least_request_with_weights_counts_what_is_in_flight),
        cmocka_unit_test(test_a_hash_stays_with_its_host),
        cmocka_unit_test(test_a_retry_avoids_who_was_tried),
        cmocka_unit_test(test_priorities_spill_over),
        cmocka_unit_test(test_panic_uses_everybody),
        cmocka_unit_test(test_degraded_only_as_far_as_needed),
        cmocka_unit_test(test_localities_have_weights),
        cmocka_unit_test(test_localities_are_those_of_their_priority),
        cmocka_unit_test(test_slow_start_grows),
        cmocka_unit_test(test_subsets),
        cmocka_unit_test(test_who_is_preferred),
        cmocka_unit_test(test_hosts_outlive_an_update),
        cmocka_unit_test(test_drops_what_is_to_be_dropped),
        cmocka_unit_test(test_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
