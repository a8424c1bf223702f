#include "shared/mesh/directory.h"

#include "tests/unit/shared/mesh/nouns.h"

#include <errno.h>

static struct workload *endpoint(const char *uid, const char *ip, uint32_t capacity)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    put_text(&w->uid, heap_text("%s", uid));
    w->capacity = capacity;
    w->addresses = calloc(2, sizeof *w->addresses);
    w->services = calloc(1, sizeof *w->services);
    assert_true(w->addresses && w->services);
    if (*ip) {
        assert_int_equal(ip_parse(text_of(ip), &w->addresses[0]), 0);
        w->n_addresses = 1;
    }
    w->n_services = 1;
    w->services[0].key = heap_text("ns/s");
    return w;
}

static void own_port(struct workload *w, uint16_t service_port, uint16_t target_port)
{
    struct workload_service *s = &w->services[0];
    s->ports = calloc(1, sizeof *s->ports);
    assert_non_null(s->ports);
    s->n_ports = 1;
    s->ports[0] = (struct port_pair){service_port, target_port, 0};
}

static struct service *service_of(enum lb_mode mode)
{
    struct service *s = service_new();
    assert_non_null(s);
    put_text(&s->key, heap_text("ns/s"));
    s->ports = calloc(2, sizeof *s->ports);
    assert_non_null(s->ports);
    s->n_ports = 2;
    s->ports[0] = (struct port_pair){80, 8080, 0};
    s->ports[1] = (struct port_pair){81, 0, 0}; /* named: each endpoint has its own */
    s->lb_mode = mode;
    return s;
}

static struct directory *directory_with(struct service *taken)
{
    struct directory *d;
    assert_int_equal(directory_new(&d), 0);
    assert_int_equal(directory_put_service(d, taken), 0);
    return d;
}

static const struct service *the_service(const struct directory *d)
{
    const struct service *s = directory_service(d, TEXT("ns/s"));
    assert_non_null(s);
    return s;
}

static void put(struct directory *d, struct workload *w)
{
    assert_int_equal(directory_put_workload(d, w), 0);
}

/*
 * Endpoints "0", "1", ... are drawn as often as their weights say: chi-square against a bound that
 * a right chooser exceeds about once in a million seeds; the seed is fixed, so that this is no
 * lottery.
 */
static void assert_distribution(const struct directory *d, const struct workload *source,
                                const double *weights, size_t n, uint64_t seed)
{
    enum { DRAWS = 60000 };
    static const double bound[] = {0, 23.9, 27.6, 30.7, 33.4, 35.9, 38.3, 40.5, 42.7, 44.8, 46.9};
    unsigned counts[10] = {0};
    double sum = 0, chi = 0;
    struct rng rng;
    size_t kinds = 0;

    rng_seed(&rng, seed);
    for (unsigned i = 0; i < DRAWS; i++) {
        struct choice c;
        assert_int_equal(directory_choose(d, the_service(d), 80, source, 0, &rng, &c), 0);
        unsigned at = (unsigned)(c.workload->uid[0] - '0');
        assert_true(at < n);
        counts[at]++;
    }
    for (size_t i = 0; i < n; i++)
        sum += weights[i];
    for (size_t i = 0; i < n; i++) {
        double expected = DRAWS * weights[i] / sum, difference = counts[i] - expected;
        if (weights[i] <= 0) {
            assert_int_equal(counts[i], 0);
            continue;
        }
        kinds++;
        chi += difference * difference / expected;
    }
    print_message("chi-square %.2f with %zu degrees of freedom\n", chi, kinds - 1);
    assert_true(chi <= bound[kinds - 1]);
}

static void draws_by_capacity(void **state)
{
    static const double weights[] = {1, 2, 3, 0, 10, 1};
    struct directory *d = directory_with(service_of(LB_UNSPECIFIED_MODE));

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(weights); i++) {
        char uid[2] = {(char)('0' + i), 0};
        put(d, endpoint(uid, "10.0.0.1", (uint32_t)weights[i]));
    }
    assert_distribution(d, NULL, weights, ARRAY_SIZE(weights), 1);
    assert_null(directory_free(d));
}

/* So uneven that drawing seldom hits: the other way of choosing has the same distribution. */
static void draws_by_capacity_when_one_is_huge_and_ill(void **state)
{
    static const double weights[] = {1, 2, 3, 4, 0};
    struct directory *d = directory_with(service_of(LB_UNSPECIFIED_MODE));

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(weights); i++) {
        char uid[2] = {(char)('0' + i), 0};
        struct workload *w = endpoint(uid, "10.0.0.1", i == 4 ? 4000000000u : (uint32_t)weights[i]);
        w->healthy = i != 4;
        put(d, w);
    }
    assert_distribution(d, NULL, weights, ARRAY_SIZE(weights), 2);
    assert_null(directory_free(d));
}

static void draws_evenly_among_many(void **state)
{
    static const double weights[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct directory *d = directory_with(service_of(LB_UNSPECIFIED_MODE));

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(weights); i++) {
        char uid[2] = {(char)('0' + i), 0};
        put(d, endpoint(uid, "10.0.0.1", 7));
    }
    assert_distribution(d, NULL, weights, ARRAY_SIZE(weights), 3);
    assert_null(directory_free(d));
}

static void draws_within_the_nearest_group(void **state)
{
    static const double near[] = {1, 3, 0, 0, 0};
    struct service *s = service_of(LB_FAILOVER);
    struct workload *source = endpoint("source", "10.0.0.9", 1);

    (void)state;
    s->scopes[0] = LB_REGION;
    s->scopes[1] = LB_ZONE;
    s->n_scopes = 2;
    struct directory *d = directory_with(s);
    put_text(&source->locality.region, heap_text("r"));
    put_text(&source->locality.zone, heap_text("z"));
    for (unsigned i = 0; i < ARRAY_SIZE(near); i++) {
        char uid[2] = {(char)('0' + i), 0};
        struct workload *w = endpoint(uid, "10.0.0.1", i == 1 ? 3 : 1);
        put_text(&w->locality.region, heap_text("%s", i < 4 ? "r" : "far"));
        put_text(&w->locality.zone, heap_text("%s", i < 2 || i == 4 ? "z" : "other"));
        put(d, w);
    }
    assert_distribution(d, source, near, ARRAY_SIZE(near), 4);
    /* Nobody in the zone: the region; the same zone name in another region is not the same zone. */
    static const double region[] = {0, 0, 1, 1, 0};
    assert_true(directory_remove_workload(d, TEXT("0")));
    assert_true(directory_remove_workload(d, TEXT("1")));
    assert_distribution(d, source, region, ARRAY_SIZE(region), 5);
    static const double far[] = {0, 0, 0, 0, 1};
    assert_true(directory_remove_workload(d, TEXT("2")));
    assert_true(directory_remove_workload(d, TEXT("3")));
    assert_distribution(d, source, far, ARRAY_SIZE(far), 6);
    assert_null(directory_free(d));
    (void)workload_free(source);
}

static int choose(const struct directory *d, uint16_t port, int family, struct choice *ret)
{
    static struct rng rng;
    static bool seeded;

    if (!seeded)
        rng_seed(&rng, 11);
    seeded = true;
    return directory_choose(d, the_service(d), port, NULL, family, &rng, ret);
}

static void ports_and_families(void **state)
{
    struct directory *d = directory_with(service_of(LB_UNSPECIFIED_MODE));
    struct choice c;

    (void)state;
    assert_int_equal(choose(d, 80, 0, &c), -EHOSTUNREACH);
    assert_int_equal(choose(d, 443, 0, &c), -ENOENT);
    put(d, endpoint("0", "10.0.0.1", 1));
    assert_int_equal(choose(d, 443, 0, &c), -ENOENT);
    assert_int_equal(choose(d, 80, 0, &c), 0);
    assert_int_equal(c.target.port, 8080); /* the service's */
    assert_int_equal(choose(d, 80, AF_INET6, &c), -EHOSTUNREACH);
    assert_int_equal(choose(d, 80, AF_INET, &c), 0);
    assert_int_equal(choose(d, 81, 0, &c), -EHOSTUNREACH); /* a named port that it has not */

    struct workload *w = endpoint("0", "10.0.0.1", 1);
    own_port(w, 81, 9090);
    put(d, w);
    assert_int_equal(choose(d, 81, 0, &c), 0);
    assert_int_equal(c.target.port, 9090);
    assert_int_equal(choose(d, 80, 0, &c), 0);
    assert_int_equal(c.target.port, 8080);
    w = endpoint("0", "10.0.0.1", 1);
    own_port(w, 80, 7070);
    w->addresses[1] = (struct ip){16, {0xfd, [15] = 1}};
    w->n_addresses = 2;
    put(d, w);
    assert_int_equal(choose(d, 80, AF_INET6, &c), 0);
    assert_int_equal(c.target.port, 7070); /* its own comes first */
    assert_int_equal(c.target.ip.len, 16);
    assert_int_equal(choose(d, 80, 0, &c), 0);
    assert_int_equal(c.target.ip.len, 4); /* any family: the first address */

    put(d, endpoint("0", "", 1)); /* no address at all */
    assert_int_equal(choose(d, 80, 0, &c), -EHOSTUNREACH);
    assert_null(directory_free(d));
}

static void health(void **state)
{
    struct directory *d = directory_with(service_of(LB_UNSPECIFIED_MODE));
    struct choice c;

    (void)state;
    struct workload *w = endpoint("0", "10.0.0.1", 1);
    w->healthy = false;
    put(d, w);
    assert_int_equal(choose(d, 80, 0, &c), -EHOSTUNREACH);
    struct service *s = service_of(LB_UNSPECIFIED_MODE);
    s->allow_unhealthy = true;
    assert_int_equal(directory_put_service(d, s), 0);
    assert_int_equal(choose(d, 80, 0, &c), 0);
    assert_null(directory_free(d));
}

/* ---- Against a naive chooser --------------------------------------------------------------- */

static bool shares(enum lb_scope scope, const struct workload *a, const struct workload *b)
{
    return (scope == LB_REGION && !strcmp(a->locality.region, b->locality.region)) ||
           (scope == LB_ZONE && !strcmp(a->locality.zone, b->locality.zone)) ||
           (scope == LB_SUBZONE && !strcmp(a->locality.subzone, b->locality.subzone)) ||
           (scope == LB_NODE && !strcmp(a->node, b->node)) ||
           (scope == LB_CLUSTER && !strcmp(a->cluster_id, b->cluster_id)) ||
           (scope == LB_NETWORK && !strcmp(a->network, b->network));
}

/* -1: may not be used; else how near. Written as the comment of the wire's message has it. */
static int naive_rank(const struct service *s, const struct workload *source,
                      const struct workload *w)
{
    size_t n = s->n_scopes, in_a_row = 0, shared = 0;
    bool network_first = n > 0 && s->scopes[0] == LB_NETWORK;

    if (!source && s->lb_mode == LB_STRICT)
        return n > 0 ? -1 : 0;
    if (!source || (s->lb_mode != LB_STRICT && s->lb_mode != LB_FAILOVER))
        return 0;
    for (size_t i = 0; i < n; i++)
        shared += shares(s->scopes[i], source, w);
    if (s->lb_mode == LB_STRICT)
        return shared == n ? 0 : -1;
    while (in_a_row < n && shares(s->scopes[in_a_row], source, w))
        in_a_row++;
    if (!network_first)
        return (int)in_a_row;
    if (in_a_row > 0) /* the same network: before all others */
        return (int)(100 + in_a_row);
    /* Another network: the scopes that are left decide, the network not being asked again. */
    size_t rest = 0;
    for (size_t i = 1; i < n; i++) {
        if (s->scopes[i] == LB_NETWORK)
            continue;
        if (!shares(s->scopes[i], source, w))
            break;
        rest++;
    }
    return (int)rest;
}

static uint16_t naive_port(const struct service *s, uint16_t port, const struct workload *w)
{
    for (size_t i = 0; i < w->n_services; i++) {
        for (size_t p = 0; p < w->services[i].n_ports; p++) {
            if (!strcmp(w->services[i].key, s->key) && w->services[i].ports[p].service_port == port)
                return w->services[i].ports[p].target_port;
        }
    }
    for (size_t p = 0; p < s->n_ports; p++) {
        if (s->ports[p].service_port == port)
            return s->ports[p].target_port;
    }
    return 0;
}

static int naive_usable(const struct service *s, uint16_t port, const struct workload *source,
                        int family, const struct workload *w)
{
    bool address = false;

    for (size_t i = 0; i < w->n_addresses; i++)
        address = address || !family || ip_family(&w->addresses[i]) == family;
    if (!address || !w->capacity || (!w->healthy && !s->allow_unhealthy) || !naive_port(s, port, w))
        return -1;
    return naive_rank(s, source, w);
}

static void chooses_what_a_naive_chooser_may_choose(void **state)
{
    static const int families[] = {0, AF_INET, AF_INET6};
    unsigned long chosen = 0, unreachable = 0, preferred = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned round = 0; round < 400; round++) {
        enum { ENDPOINTS = 12 };
        struct directory *d;
        assert_int_equal(directory_new(&d), 0);
        assert_int_equal(directory_put_service(d, random_service(&rng, 0, 6)), 0);
        for (unsigned i = 0; i < ENDPOINTS; i++)
            put(d, random_workload(&rng, i, 6, 1));
        const struct service *s = directory_service(d, TEXT("ns/s0"));
        struct workload *source = random_workload(&rng, 99, 6, 1);
        for (unsigned k = 0; k < 60; k++) {
            const struct workload *from = one_in(&rng, 4) ? NULL : source, *const * items;
            uint16_t port = (uint16_t)(80 + rng_below(&rng, 4));
            int family = families[rng_below(&rng, 3)], best = -1;
            size_t n = directory_endpoints(d, s, &items);
            bool has_port = false;
            struct choice c;
            for (size_t i = 0; i < s->n_ports; i++)
                has_port = has_port || s->ports[i].service_port == port;
            for (size_t i = 0; has_port && i < n; i++) {
                int rank = naive_usable(s, port, from, family, items[i]);
                best = rank > best ? rank : best;
            }
            int r = directory_choose(d, s, port, from, family, &rng, &c);
            assert_int_equal(r, !has_port ? -ENOENT : best < 0 ? -EHOSTUNREACH : 0);
            unreachable += r == -EHOSTUNREACH;
            if (r < 0)
                continue;
            chosen++;
            preferred += best > 0;
            assert_int_equal(naive_usable(s, port, from, family, c.workload), best);
            assert_int_equal(c.target.port, naive_port(s, port, c.workload));
            assert_true(!family || ip_family(&c.target.ip) == family);
        }
        assert_null(directory_free(d));
        (void)workload_free(source);
    }
    assert_true(chosen > 1000 && unreachable > 500 && preferred > 200);
}

static bool is_found(const struct directory *d, const struct workload *source, uint16_t port, const char *at)
{
    struct addr a;
    struct choice c = {.workload = NULL};
    assert_int_equal(addr_parse(text_of(at), &a), 0);
    int r = directory_serves(d, the_service(d), port, source, TEXT("net"), &a, &c);
    assert_true(r == 0 || r == -EHOSTUNREACH);
    assert_true(r < 0 || (c.workload && addr_equal(&c.target, &a)));
    return r == 0;
}

/* An address is no endpoint because somebody names it. */
static void finds_who_may_be_chosen(void **state)
{
    struct service *s = service_of(LB_STRICT);
    struct workload *source = endpoint("source", "10.0.0.9", 1);
    (void)state;
    s->scopes[0] = LB_NODE;
    s->n_scopes = 1;
    struct directory *d = directory_with(s);
    for (unsigned i = 0; i < 5; i++) {
        char uid[2] = {(char)('0' + i), 0};
        struct workload *w = endpoint(uid, "10.0.0.1", i == 3 ? 0 : 1);
        put_text(&w->network, heap_text("net"));
        put_text(&w->node, heap_text("%s", i == 4 ? "far" : "near"));
        w->addresses[0].bytes[3] = (uint8_t)i;
        w->healthy = i != 2;
        if (i == 1) {
            free(w->services[0].key);
            w->services[0].key = heap_text("ns/other");
        }
        if (i == 0)
            own_port(w, 81, 9000);
        put(d, w);
    }
    put_text(&source->node, heap_text("near"));
    assert_true(is_found(d, source, 80, "10.0.0.0:8080"));
    assert_true(is_found(d, source, 81, "10.0.0.0:9000"));
    assert_false(is_found(d, source, 80, "10.0.0.0:9000")); /* another port */
    assert_false(is_found(d, source, 82, "10.0.0.0:8080")); /* the Service has none such */
    assert_false(is_found(d, source, 80, "10.0.0.1:8080")); /* of another Service */
    assert_false(is_found(d, source, 80, "10.0.0.2:8080")); /* not well */
    assert_false(is_found(d, source, 80, "10.0.0.3:8080")); /* gets nothing */
    assert_false(is_found(d, source, 80, "10.0.0.7:8080")); /* nobody's */
    assert_false(is_found(d, source, 80, "10.0.0.4:8080")); /* too far */
    assert_false(is_found(d, NULL, 80, "10.0.0.0:8080")); /* whose node nobody knows, is on none */
    struct rng rng;
    struct choice c;
    rng_seed(&rng, 1);
    assert_int_equal(directory_choose(d, the_service(d), 80, NULL, 0, &rng, &c), -EHOSTUNREACH);
    assert_int_equal(directory_choose(d, the_service(d), 80, source, 0, &rng, &c), 0);
    s = service_of(LB_FAILOVER);
    s->scopes[0] = LB_NODE;
    s->n_scopes = 1;
    assert_int_equal(directory_put_service(d, s), 0);
    assert_true(is_found(d, NULL, 80, "10.0.0.4:8080"));
    workload_free(source);
    assert_null(directory_free(d));
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
    directory_thread_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_by_capacity),
        cmocka_unit_test(draws_by_capacity_when_one_is_huge_and_ill),
        cmocka_unit_test(draws_evenly_among_many),
        cmocka_unit_test(draws_within_the_nearest_group),
        cmocka_unit_test(ports_and_families),
        cmocka_unit_test(health),
        cmocka_unit_test(finds_who_may_be_chosen),
        cmocka_unit_test(chooses_what_a_naive_chooser_may_choose),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
