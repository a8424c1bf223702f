/* The index of placements against a list that is searched from its start, over random changes. */
#include "ca/placement.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

enum { NAMES = 40, NODES = 4, ACCOUNTS = 5, STEPS = 20000 };

/* What is known of one resource. */
static struct model {
    bool placed;
    char node[32];
    char identity[128];
} models[NAMES];

static struct placement placement;

static int begin(void **state)
{
    (void)state;
    memset(models, 0, sizeof models);
    placement_init(&placement);
    return 0;
}

static int end(void **state)
{
    (void)state;
    placement_done(&placement);
    return 0;
}

static bool model_has(const char *node, const char *identity)
{
    for (size_t i = 0; i < NAMES; i++)
        if (models[i].placed && !strcmp(models[i].node, node) &&
            !strcmp(models[i].identity, identity))
            return true;
    return false;
}

static struct workload *workload(const char *node, const char *domain, const char *ns,
                                 const char *account)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    assert_int_equal(workload_set(&w->uid, TEXT("uid")), 0);
    assert_int_equal(workload_set(&w->node, text_of(node)), 0);
    assert_int_equal(workload_set(&w->trust_domain, text_of(domain)), 0);
    assert_int_equal(workload_set(&w->ns, text_of(ns)), 0);
    assert_int_equal(workload_set(&w->service_account, text_of(account)), 0);
    w->tunnel = TUNNEL_HBONE;
    return w;
}

static bool has(const char *node, const char *identity)
{
    struct spiffe_id id;
    assert_int_equal(spiffe_id_parse(text_of(identity), &id), 0);
    return placement_has(&placement, node, &id);
}

static struct text name_of_resource(size_t i)
{
    static char name[64];
    snprintf(name, sizeof name, "cluster//Pod/ns/%zu", i);
    return text_of(name);
}

static void check_all(void)
{
    for (size_t node = 0; node < NODES; node++)
        for (size_t domain = 0; domain < 2; domain++)
            for (size_t account = 0; account < ACCOUNTS; account++) {
                char node_name[32], identity[128];
                snprintf(node_name, sizeof node_name, "node-%zu", node);
                snprintf(identity, sizeof identity, "spiffe://td%zu/ns/n/sa/a%zu", domain, account);
                if (has(node_name, identity) != model_has(node_name, identity))
                    fail_msg("%s on %s: %d", identity, node_name, has(node_name, identity));
            }
}

static void put_random(struct rng *rng, size_t i)
{
    char node[32], domain[32], account[32];
    uint64_t kind = rng_below(rng, 10);
    snprintf(node, sizeof node, "node-%u", (unsigned)rng_below(rng, NODES));
    snprintf(domain, sizeof domain, "td%u", (unsigned)rng_below(rng, 2));
    snprintf(account, sizeof account, "a%u", (unsigned)rng_below(rng, ACCOUNTS));
    struct workload *w = kind == 0 ? NULL : workload(node, domain, "n", account);
    models[i].placed = kind > 4;
    snprintf(models[i].node, sizeof models[i].node, "%s", node);
    snprintf(models[i].identity, sizeof models[i].identity, "spiffe://%s/ns/n/sa/%s", domain,
             account);
    if (kind == 1)
        w->tunnel = TUNNEL_NONE;
    if (kind == 2)
        w->host_network = true;
    if (kind == 3)
        assert_int_equal(workload_set(&w->node, TEXT("")), 0);
    if (kind == 4)
        assert_int_equal(workload_set(&w->service_account, TEXT("no/account")), 0);
    assert_int_equal(placement_put(&placement, name_of_resource(i), w), 0);
    workload_free(w);
}

static void as_a_naive_list(void **state)
{
    struct rng rng;
    (void)state;
    test_seed(&rng);
    for (int step = 0; step < STEPS; step++) {
        size_t i = rng_below(&rng, NAMES);
        if (rng_below(&rng, 3) == 0) {
            models[i].placed = false;
            placement_remove(&placement, name_of_resource(i));
        } else {
            put_random(&rng, i);
        }
        if (step % 16 == 0)
            check_all();
    }
    for (size_t i = 0; i < NAMES; i++) {
        models[i].placed = false;
        placement_remove(&placement, name_of_resource(i));
        check_all();
    }
    assert_int_equal(placement.by_name.count, 0);
    assert_int_equal(placement.counts.count, 0);
}

/* What a removal names is the resource, whatever it holds inside. */
static void by_the_name_of_the_resource(void **state)
{
    struct workload *w = workload("node-1", "td", "ns", "a");
    (void)state;
    assert_int_equal(placement_put(&placement, TEXT("one"), w), 0);
    assert_int_equal(placement_put(&placement, TEXT("two"), w), 0);
    placement_remove(&placement, text_of(w->uid));
    assert_true(has("node-1", "spiffe://td/ns/ns/sa/a"));
    placement_remove(&placement, TEXT("one"));
    assert_true(has("node-1", "spiffe://td/ns/ns/sa/a"));
    assert_int_equal(placement_put(&placement, TEXT("two"), NULL), 0); /* a service now */
    assert_false(has("node-1", "spiffe://td/ns/ns/sa/a"));
    workload_free(w);
}

static void names_that_look_alike(void **state)
{
    struct workload *w = workload("node spiffe://td/ns/ns/sa/b", "td", "ns", "a");
    char longest[1024];
    (void)state;
    assert_int_equal(placement_put(&placement, TEXT("one"), w), 0);
    assert_true(has("node spiffe://td/ns/ns/sa/b", "spiffe://td/ns/ns/sa/a"));
    assert_false(has("node", "spiffe://td/ns/ns/sa/a"));
    assert_false(has("node", "spiffe://td/ns/ns/sa/b"));
    assert_false(has("", "spiffe://td/ns/ns/sa/a"));
    /* Too long to be a node: nobody's. */
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(workload_set(&w->node, text_of(longest)), 0);
    assert_int_equal(placement_put(&placement, TEXT("one"), w), 0);
    assert_false(has(longest, "spiffe://td/ns/ns/sa/a"));
    assert_int_equal(placement.by_name.count, 0);
    workload_free(w);
}

/* Each allocation fails in turn: what could not be kept is not placed, and nothing else is lost. */
static void without_memory_nothing_is_placed(void **state)
{
    struct workload *other = workload("node-2", "td", "ns", "other");
    (void)state;
    for (long n = 0;; n++) {
        placement_done(&placement);
        placement_init(&placement);
        struct workload *w = workload("node-1", "td", "ns", "old");
        assert_int_equal(placement_put(&placement, TEXT("other"), other), 0);
        assert_int_equal(placement_put(&placement, TEXT("one"), w), 0);
        assert_int_equal(workload_set(&w->service_account, TEXT("new")), 0);
        alloc_fail_at(n);
        int r = placement_put(&placement, TEXT("one"), w);
        bool failed = alloc_failed();
        workload_free(w);
        assert_int_equal(r, failed ? -ENOMEM : 0);
        assert_false(has("node-1", "spiffe://td/ns/ns/sa/old"));
        assert_int_equal(has("node-1", "spiffe://td/ns/ns/sa/new"), !failed);
        assert_true(has("node-2", "spiffe://td/ns/ns/sa/other"));
        placement_remove(&placement, TEXT("one"));
        placement_remove(&placement, TEXT("other"));
        assert_int_equal(placement.counts.count, 0);
        if (!failed)
            break;
        assert_true(n < 100);
    }
    workload_free(other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(as_a_naive_list),
        TEST(by_the_name_of_the_resource),
        TEST(names_that_look_alike),
        TEST(without_memory_nothing_is_placed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
