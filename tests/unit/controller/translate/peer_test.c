/* PeerAuthentication as policies, against the rules as Istio's reference words them, on random
 * policies. */
#include "controller/translate/peer.h"
#include "shared/base/rng.h"
#include "tests/unit/controller/fixture.h"
#include <inttypes.h>

enum { ROUNDS = 3000, POLICIES_MAX = 8 };
static const char *const modes[] = {"UNSET", "DISABLE", "PERMISSIVE", "STRICT"};
static const char *const namespaces[] = {"weir-system", "shop", "legacy"};
static const uint16_t ports[] = {80, 8080, 9090, 443};

struct written { /* a policy as it is written, besides as YAML */
    const char *ns;
    unsigned mode, created;
    bool selects, port_level[4];
    unsigned port_modes[4];
    const char *label; /* value of app that it selects */
};

static void write_policy(struct rng *rng, struct written *p, unsigned index, struct text_out *yaml)
{
    *p = (struct written){.ns = namespaces[rng_below(rng, 3)],
                          .mode = (unsigned)rng_below(rng, 4),
                          .created = (unsigned)rng_below(rng, 3)};
    p->selects = rng_below(rng, 2);
    p->label = rng_below(rng, 2) ? "web" : "cart";
    text_printf(yaml,
                "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: "
                "p%u, namespace: %s",
                index, p->ns);
    if (p->created)
        text_printf(yaml, ", creationTimestamp: '2026-01-0%uT00:00:00Z'", p->created);
    text_puts(yaml, "}, spec: {");
    if (p->mode || rng_below(rng, 2))
        text_printf(yaml, "mtls: {mode: %s}, ", modes[p->mode]);
    if (p->selects)
        text_printf(yaml, "selector: {matchLabels: {app: %s}}, ", p->label);
    text_puts(yaml, "portLevelMtls: {");
    for (unsigned i = 0; i < 3; i++) { /* the fourth port is never written */
        p->port_level[i] = rng_below(rng, 2);
        p->port_modes[i] = (unsigned)rng_below(rng, 4);
        if (p->port_level[i])
            text_printf(yaml, "%u: {mode: %s}, ", ports[i], modes[p->port_modes[i]]);
    }
    text_puts(yaml, "}}}\n---\n");
}

/* The oldest of a scope; of equals the first by name. label NULL: those without a selector. */
static const struct written *oldest(const struct written *all, unsigned n, const char *ns,
                                    const char *label)
{
    const struct written *best = NULL;
    for (unsigned i = 0; i < n; i++) {
        bool right = label ? all[i].selects && strcmp(all[i].label, label) == 0 : !all[i].selects;
        if (strcmp(all[i].ns, ns) == 0 && right && (!best || all[i].created < best->created))
            best = &all[i];
    }
    return best;
}

/* Start PERMISSIVE; mesh, namespace, workload each override unless UNSET; then the port's own
 * mode unless UNSET. */
static bool is_strict(const struct written *all, unsigned n, const char *ns, const char *label,
                      unsigned port)
{
    unsigned mode = 2;
    const struct written *mesh = oldest(all, n, "weir-system", NULL),
                         *of_ns = oldest(all, n, ns, NULL);
    bool root = strcmp(ns, "weir-system") == 0;
    const struct written *own = root ? NULL : oldest(all, n, ns, label);
    if (mesh && mesh->mode)
        mode = mesh->mode;
    if (of_ns && of_ns->mode)
        mode = of_ns->mode;
    if (own && own->mode)
        mode = own->mode;
    if (own && own->port_level[port] && own->port_modes[port])
        mode = own->port_modes[port];
    return mode == 3;
}

static void fill(struct rng *rng, struct object_store *store, struct written *all, unsigned *n)
{
    char yaml[8192];
    struct text_out out = TEXT_OUT(yaml);
    *n = (unsigned)rng_below(rng, POLICIES_MAX + 1);
    for (unsigned i = 0; i < *n; i++)
        write_policy(rng, &all[i], i, &out);
    assert_false(out.overflow);
    object_store_init(store);
    fixture_load(store, yaml);
}

static size_t attached(const struct view *v, const char *ns, const char *label, struct policy **ret)
{
    const struct object_label labels[] = {{"app", label}};
    struct peer_outcome outcome;
    size_t n = 0;
    peer_compose(v, ns, &(struct labels){labels, 1}, &outcome);
    if (outcome.strict)
        assert_int_equal(peer_static_policy(v, &ret[n++]), 0);
    if (outcome.ports) {
        assert_int_equal(peer_policy(v, outcome.ports, &ret[n++]), 0);
        assert_non_null(ret[n - 1]); /* what is attached is there */
    }
    return n;
}

static void equals_the_reference(void **state)
{
    struct rng rng;
    struct spiffe_id id;
    const uint64_t seed = 20261122;
    (void)state;
    rng_seed(&rng, seed);
    assert_int_equal(spiffe_id_parse(TEXT("spiffe://td.example/ns/a/sa/b"), &id), 0);
    unsigned strict_seen = 0, open_seen = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct object_store store;
        struct view v;
        struct written all[POLICIES_MAX];
        unsigned n;
        fill(&rng, &store, all, &n);
        assert_int_equal(view_open(&v, &store, &fixture_settings), 0);
        for (unsigned c = 0; c < 3 * 3 * 4; c++) {
            const char *ns = namespaces[c % 3],
                       *label = ((const char *[]){"web", "cart", "none"})[c / 3 % 3];
            unsigned port = c / 9;
            struct policy *policies[2];
            struct verdict verdict;
            size_t n_policies = attached(&v, ns, label, policies);
            struct access a = {.destination_port = ports[port]};
            assert_int_equal(ip_parse(TEXT("10.0.0.1"), &a.source), 0);
            a.destination = a.source;
            policies_decide((const struct policy *const *)policies, n_policies, &a, &verdict);
            bool strict = is_strict(all, n, ns, label, port);
            if (verdict.allowed == strict)
                fail_msg("seed %" PRIu64
                         ", round %u: %s app=%s port %u: strict %d, plaintext allowed %d",
                         seed, round, ns, label, ports[port], strict, verdict.allowed);
            strict_seen += strict;
            open_seen += !strict;
            a.identity = &id; /* whoever has an identity is never refused by this */
            policies_decide((const struct policy *const *)policies, n_policies, &a, &verdict);
            assert_true(verdict.allowed);
            for (size_t i = 0; i < n_policies; i++)
                policy_free(policies[i]);
        }
        view_close(&v);
        object_store_done(&store);
    }
    assert_true(strict_seen > 1000 && open_seen > 1000);
}

static void names_and_places(void **state)
{
    struct object_store store;
    struct view v;
    struct policy *p;
    (void)state;
    object_store_init(&store);
    fixture_load(
        &store,
        "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: x, "
        "namespace: shop}, spec: {selector: "
        "{matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {80: {mode: PERMISSIVE}, "
        "81: {mode: DISABLE}, 82: {mode: STRICT}}}}\n---\n"
        "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: y, "
        "namespace: shop}, spec: {selector: "
        "{matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {82: {mode: STRICT}}}}");
    assert_int_equal(view_open(&v, &store, &fixture_settings), 0);
    assert_int_equal(peer_static_policy(&v, &p), 0);
    assert_string_equal(p->key, "weir-system/istio_converted_static_strict");
    assert_int_equal(p->scope, POLICY_WORKLOAD);
    assert_int_equal(p->action, POLICY_DENY);
    policy_free(p);
    assert_int_equal(
        peer_policy(&v, object_store_get(&store, OBJECT_PEER_AUTHENTICATION, "shop", "x"), &p), 0);
    assert_string_equal(p->key, "shop/converted_peer_authentication_x");
    assert_int_equal(p->n_rules, 1);
    assert_int_equal(p->rules[0].clauses[0].matches[0].not_destination_ports.n, 2);
    policy_free(p);
    /* All ports are as the rest: the static policy will do. */
    assert_int_equal(
        peer_policy(&v, object_store_get(&store, OBJECT_PEER_AUTHENTICATION, "shop", "y"), &p), 0);
    assert_null(p);
    view_close(&v);
    object_store_done(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_reference),
                                       cmocka_unit_test(names_and_places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
