#include "shared/mesh/directory.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"

#include <errno.h>

/*
 * The reference: flat arrays, everything found by going through them. It owns copies of what the
 * directory was given. A claim on an address has the number of the step that it began with.
 */
enum { WORKLOADS = 24, SERVICES = 8, POLICIES = 6, ADDRESSES = 6, NAMESPACES = 3 };
struct model {
    struct workload *workloads[WORKLOADS];
    struct service *services[SERVICES];
    struct policy *policies[NAMESPACES][POLICIES];
    uint64_t workload_claims[WORKLOADS][4], service_claims[SERVICES][4]; /* per address */
    uint64_t step, version, policy_version;
};

static bool same_workload_claim(const struct workload *a, size_t i, const struct workload *b,
                                size_t k)
{
    return ip_equal(&a->addresses[i], &b->addresses[k]) && !strcmp(a->network, b->network) &&
           a->host_network == b->host_network;
}

static void model_put_workload(struct model *m, unsigned id, struct workload *taken)
{
    struct workload *old = m->workloads[id];
    uint64_t claims[4] = {0};

    m->step++;
    for (size_t i = 0; i < taken->n_addresses; i++) {
        claims[i] = m->step;
        for (size_t k = 0; old && k < old->n_addresses; k++) {
            if (same_workload_claim(taken, i, old, k))
                claims[i] = m->workload_claims[id][k];
        }
    }
    memcpy(m->workload_claims[id], claims, sizeof claims);
    (void)workload_free(old);
    m->workloads[id] = taken;
}

static void model_put_service(struct model *m, unsigned id, struct service *taken)
{
    struct service *old = m->services[id];
    uint64_t claims[4] = {0};

    m->step++;
    for (size_t i = 0; i < taken->n_addresses; i++) {
        claims[i] = m->step;
        for (size_t k = 0; old && k < old->n_addresses; k++) {
            if (ip_equal(&taken->addresses[i].ip, &old->addresses[k].ip) &&
                !strcmp(taken->addresses[i].network, old->addresses[k].network))
                claims[i] = m->service_claims[id][k];
        }
    }
    memcpy(m->service_claims[id], claims, sizeof claims);
    (void)service_free(old);
    m->services[id] = taken;
}

static const struct workload *model_workload_at(const struct model *m, const char *network,
                                                const struct ip *ip)
{
    const struct workload *best = NULL;
    uint64_t best_claim = 0;

    for (unsigned id = 0; id < WORKLOADS; id++) {
        const struct workload *w = m->workloads[id];
        for (size_t i = 0; w && i < w->n_addresses; i++) {
            if (strcmp(w->network, network) || !ip_equal(&w->addresses[i], ip))
                continue;
            if (w->host_network)
                return NULL;
            if (m->workload_claims[id][i] > best_claim) {
                best_claim = m->workload_claims[id][i];
                best = w;
            }
        }
    }
    return best;
}

static const struct service *model_service_at(const struct model *m, const char *network,
                                              const struct ip *ip)
{
    const struct service *best = NULL;
    uint64_t best_claim = 0;

    for (unsigned id = 0; id < SERVICES; id++) {
        const struct service *s = m->services[id];
        for (size_t i = 0; s && i < s->n_addresses; i++) {
            if (!strcmp(s->addresses[i].network, network) && ip_equal(&s->addresses[i].ip, ip) &&
                m->service_claims[id][i] > best_claim) {
                best_claim = m->service_claims[id][i];
                best = s;
            }
        }
    }
    return best;
}

static bool lists_service(const struct workload *w, const char *key)
{
    for (size_t i = 0; i < w->n_services; i++) {
        if (!strcmp(w->services[i].key, key))
            return true;
    }
    return false;
}

static bool same_selection(const struct workload *a, const struct workload *b)
{
    size_t n_a = a ? a->n_policies : 0, n_b = b ? b->n_policies : 0;
    if (n_a != n_b || (a && b && strcmp(a->ns, b->ns)))
        return false;
    for (size_t i = 0; i < n_a; i++) {
        if (strcmp(a->policies[i], b->policies[i]))
            return false;
    }
    return true;
}

/* ---- The directory says what the model says ------------------------------------------------ */

static void check_workloads(const struct directory *d, const struct model *m)
{
    for (unsigned id = 0; id < WORKLOADS; id++) {
        char uid[64];
        snprintf(uid, sizeof uid, "cluster//Pod/ns/w%u", id);
        const struct workload *w = directory_workload(d, text_of(uid));
        assert_int_equal(w != NULL, m->workloads[id] != NULL);
        if (w)
            assert_true(workload_equal(w, m->workloads[id]));
    }
    static const char *const networks[] = {"", "net", "nowhere"};
    for (unsigned n = 0; n < 2 * ADDRESSES; n++) {
        struct ip ip = n % 2 ? (struct ip){4, {10, 0, 0, (uint8_t)(n / 2)}}
                             : (struct ip){16, {0xfd, [15] = (uint8_t)(n / 2)}};
        for (size_t k = 0; k < ARRAY_SIZE(networks); k++) {
            const struct workload *w = directory_workload_at(d, text_of(networks[k]), &ip);
            const struct workload *expected = model_workload_at(m, networks[k], &ip);
            assert_int_equal(w != NULL, expected != NULL);
            if (w)
                assert_string_equal(w->uid, expected->uid);
            const struct service *s = directory_service_at(d, text_of(networks[k]), &ip);
            const struct service *wanted = model_service_at(m, networks[k], &ip);
            assert_int_equal(s != NULL, wanted != NULL);
            if (s)
                assert_string_equal(s->key, wanted->key);
        }
    }
}

static void check_services(const struct directory *d, const struct model *m)
{
    struct service any = {0};

    for (unsigned id = 0; id < SERVICES; id++) {
        char key[64];
        snprintf(key, sizeof key, "ns/s%u", id);
        const struct service *s = directory_service(d, text_of(key));
        assert_int_equal(s != NULL, m->services[id] != NULL);
        if (s)
            assert_true(service_equal(s, m->services[id]));
        any.key = key; /* endpoints are known whether the service is or not */
        const struct workload *const *items;
        size_t n = directory_endpoints(d, &any, &items), expected = 0;
        for (unsigned w = 0; w < WORKLOADS; w++) {
            if (!m->workloads[w] || !lists_service(m->workloads[w], key))
                continue;
            expected++;
            unsigned found = 0;
            for (size_t i = 0; i < n; i++)
                found += items[i] == directory_workload(d, text_of(m->workloads[w]->uid));
            assert_int_equal(found, 1);
        }
        assert_int_equal(n, expected);
    }
}

static void check_decisions(const struct directory *d, const struct model *m, struct rng *rng)
{
    struct spiffe_id id;
    struct access a = {.destination_port = (uint16_t)(8080 + rng_below(rng, 3))};

    if (one_in(rng, 2)) {
        assert_int_equal(spiffe_id_parse(TEXT("spiffe://cluster.local/ns/ns1/sa/sa1"), &id), 0);
        a.identity = &id;
    }
    a.source = test_ip(rng, (unsigned)rng_below(rng, 4));
    a.destination = test_ip(rng, (unsigned)rng_below(rng, 4));
    for (unsigned w = 0; w < WORKLOADS; w++) {
        const struct workload *local = m->workloads[w];
        const struct policy *applies[NAMESPACES * POLICIES * 2];
        struct verdict expected, v;
        size_t n = 0;
        for (unsigned ns = 0; local && ns < NAMESPACES; ns++) {
            for (unsigned p = 0; p < POLICIES; p++) {
                const struct policy *policy = m->policies[ns][p];
                if (!policy)
                    continue;
                bool listed = false;
                for (size_t i = 0; i < local->n_policies; i++)
                    listed = listed || !strcmp(local->policies[i], policy->key);
                if (listed || policy->scope == POLICY_GLOBAL ||
                    (policy->scope == POLICY_NAMESPACE && !strcmp(policy->ns, local->ns)))
                    applies[n++] = policy;
            }
        }
        if (!local)
            continue;
        policies_decide(applies, n, &a, &expected);
        directory_authorise(d, directory_workload(d, text_of(local->uid)), &a, &v);
        assert_int_equal(v.allowed, expected.allowed);
        assert_int_equal(v.policy[0] != 0, expected.policy[0] != 0);
        assert_int_equal(v.dry_run[0] != 0, expected.dry_run[0] != 0);
    }
}

static bool count_workload(const struct workload *w, void *arg)
{
    assert_true(w->uid[0]);
    ++*(size_t *)arg;
    return true;
}

static bool count_service(const struct service *s, void *arg)
{
    assert_true(s->key[0]);
    ++*(size_t *)arg;
    return true;
}

static bool count_policy(const struct policy *p, void *arg)
{
    assert_true(p->key[0]);
    return ++*(size_t *)arg < 3; /* and stops */
}

static void check(const struct directory *d, const struct model *m, struct rng *rng)
{
    struct directory_counts counts, expected = {0};
    size_t workloads = 0, services = 0, policies = 0;

    check_workloads(d, m);
    check_services(d, m);
    check_decisions(d, m, rng);
    for (unsigned i = 0; i < WORKLOADS; i++)
        expected.workloads += m->workloads[i] != NULL;
    for (unsigned i = 0; i < SERVICES; i++)
        expected.services += m->services[i] != NULL;
    for (unsigned i = 0; i < NAMESPACES * POLICIES; i++) {
        const struct policy *p = m->policies[i / POLICIES][i % POLICIES];
        expected.policies += p != NULL;
        if (p)
            assert_true(policy_equal(directory_policy(d, text_of(p->key)), p));
    }
    directory_counts(d, &counts);
    assert_int_equal(counts.workloads, expected.workloads);
    assert_int_equal(counts.services, expected.services);
    assert_int_equal(counts.policies, expected.policies);
    directory_each_workload(d, count_workload, &workloads);
    directory_each_service(d, count_service, &services);
    directory_each_policy(d, count_policy, &policies);
    assert_int_equal(workloads, expected.workloads);
    assert_int_equal(services, expected.services);
    assert_int_equal(policies, expected.policies < 3 ? expected.policies : 3);
}

/* ---- Steps --------------------------------------------------------------------------------- */

/* What a step changed is told by the versions: `all` of anything, `policies` of what decides. */
static void check_versions(const struct directory *d, struct model *m, bool all, bool policies)
{
    uint64_t version = directory_version(d), policy_version = directory_policy_version(d);

    assert_int_equal(version > m->version, all);
    assert_int_equal(policy_version > m->policy_version, policies);
    assert_true(version >= m->version && policy_version >= m->policy_version);
    m->version = version;
    m->policy_version = policy_version;
}

static unsigned policy_namespace(const struct policy *p)
{
    return (unsigned)(p->ns[2] - '0');
}

/* One random change. fail_at: the allocation that fails, -1 none. True: it failed, the model is
 * unchanged. */
static bool step(struct directory *d, struct model *m, struct rng *rng, long fail_at)
{
    unsigned kind = (unsigned)rng_below(rng, 8), id = (unsigned)rng_below(rng, WORKLOADS);
    struct rng again;
    int r = 0;

    if (kind < 3) {
        struct workload *old = m->workloads[id];
        bool repeat = old && one_in(rng, 6);
        again = *rng;
        struct workload *w = random_workload(rng, id, ADDRESSES, SERVICES);
        struct workload *copy = random_workload(&again, id, ADDRESSES, SERVICES);
        if (repeat) { /* nearly, or quite, what it was */
            struct workload *const both[] = {w, copy};
            for (unsigned i = 0; i < 2; i++) {
                both[i]->healthy = old->healthy;
                both[i]->capacity = old->capacity;
            }
        }
        alloc_fail_at(fail_at);
        r = directory_put_workload(d, w);
        bool failed = alloc_failed();
        assert_true(r == 0 || (failed && r == -ENOMEM));
        if (r == 0) {
            bool equal = old && workload_equal(old, copy), same = same_selection(old, copy);
            model_put_workload(m, id, copy);
            check_versions(d, m, !equal, !equal && !same);
        } else {
            check_versions(d, m, false, false);
            (void)workload_free(copy);
        }
    } else if (kind == 3) {
        id %= SERVICES;
        again = *rng;
        struct service *s = random_service(rng, id, ADDRESSES);
        struct service *copy = random_service(&again, id, ADDRESSES);
        struct service *old = m->services[id];
        alloc_fail_at(fail_at);
        r = directory_put_service(d, s);
        bool failed = alloc_failed();
        assert_true(r == 0 || (failed && r == -ENOMEM));
        if (r == 0) {
            bool equal = old && service_equal(old, copy);
            model_put_service(m, id, copy);
            check_versions(d, m, !equal, false);
        } else {
            check_versions(d, m, false, false);
            (void)service_free(copy);
        }
    } else if (kind == 4) {
        id %= POLICIES;
        again = *rng;
        struct policy *p = random_policy(rng, id), *copy = random_policy(&again, id);
        struct policy **place = &m->policies[policy_namespace(p)][id];
        alloc_fail_at(fail_at);
        r = directory_put_policy(d, p);
        bool failed = alloc_failed();
        assert_true(r == 0 || (failed && r == -ENOMEM));
        if (r == 0) {
            bool equal = *place && policy_equal(*place, copy);
            (void)policy_free(*place);
            *place = copy;
            check_versions(d, m, !equal, !equal);
        } else {
            check_versions(d, m, false, false);
            (void)policy_free(copy);
        }
    } else if (kind == 5) {
        struct workload *old = m->workloads[id];
        char uid[64];
        snprintf(uid, sizeof uid, "cluster//Pod/ns/w%u", id);
        alloc_fail_at(fail_at);
        bool removed = directory_remove_workload(d, text_of(uid));
        (void)alloc_failed(); /* a removal works without memory too */
        assert_int_equal(removed, old != NULL);
        check_versions(d, m, old != NULL, old && old->n_policies);
        m->workloads[id] = workload_free(old);
    } else if (kind == 6) {
        struct service **old = &m->services[id % SERVICES];
        char key[64];
        snprintf(key, sizeof key, "ns/s%u", id % SERVICES);
        alloc_fail_at(fail_at);
        bool removed = directory_remove_service(d, text_of(key));
        (void)alloc_failed();
        assert_int_equal(removed, *old != NULL);
        check_versions(d, m, *old != NULL, false);
        *old = service_free(*old);
    } else {
        unsigned ns = id % NAMESPACES, p = id / NAMESPACES % POLICIES;
        struct policy **old = &m->policies[ns][p];
        char key[64];
        snprintf(key, sizeof key, "ns%u/p%u", ns, p);
        alloc_fail_at(fail_at);
        bool removed = directory_remove_policy(d, text_of(key));
        (void)alloc_failed();
        assert_int_equal(removed, *old != NULL);
        check_versions(d, m, *old != NULL, *old != NULL);
        *old = policy_free(*old);
    }
    return r < 0;
}

static void model_done(struct model *m)
{
    for (unsigned i = 0; i < WORKLOADS; i++)
        (void)workload_free(m->workloads[i]);
    for (unsigned i = 0; i < SERVICES; i++)
        (void)service_free(m->services[i]);
    for (unsigned i = 0; i < NAMESPACES * POLICIES; i++)
        (void)policy_free(m->policies[i / POLICIES][i % POLICIES]);
}

static void does_what_the_model_does(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned round = 0; round < 20; round++) {
        struct model m = {0};
        struct directory *d;
        assert_int_equal(directory_new(&d), 0);
        for (unsigned i = 0; i < 1000; i++) {
            (void)step(d, &m, &rng, -1);
            if (i % 10 == 0)
                check(d, &m, &rng);
            directory_thread_offline(); /* what was replaced is freed now */
            directory_thread_online();
        }
        check(d, &m, &rng);
        assert_null(directory_free(d));
        model_done(&m);
    }
}

/* Every allocation of a step fails in turn: the directory is as before, and the step works after
 * all. */
static void out_of_memory_leaves_what_was(void **state)
{
    unsigned failures = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    struct model m = {0};
    struct directory *d;
    assert_int_equal(directory_new(&d), 0);
    for (unsigned i = 0; i < 400; i++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            struct rng same = rng;
            failed = step(d, &m, &same, n);
            failures += failed;
            if (!failed)
                rng = same;
            if (failed || n > 0)
                check(d, &m, &same);
        }
    }
    check(d, &m, &rng);
    assert_true(failures > 400);
    assert_null(directory_free(d));
    model_done(&m);
}

/* ---- Stories ------------------------------------------------------------------------------- */

static struct workload *simple_workload(const char *uid, const char *ip)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    put_text(&w->uid, heap_text("%s", uid));
    w->n_addresses = 1;
    w->addresses = calloc(1, sizeof *w->addresses);
    assert_non_null(w->addresses);
    assert_int_equal(ip_parse(text_of(ip), w->addresses), 0);
    return w;
}

static const char *owner(const struct directory *d, const char *ip)
{
    struct ip parsed;
    assert_int_equal(ip_parse(text_of(ip), &parsed), 0);
    const struct workload *w = directory_workload_at(d, TEXT(""), &parsed);
    return w ? w->uid : "nobody";
}

static void an_address_goes_to_the_next_pod(void **state)
{
    struct directory *d;

    (void)state;
    assert_int_equal(directory_new(&d), 0);
    assert_int_equal(directory_put_workload(d, simple_workload("old", "10.0.0.1")), 0);
    assert_string_equal(owner(d, "10.0.0.1"), "old");
    assert_int_equal(directory_put_workload(d, simple_workload("new", "10.0.0.1")), 0);
    assert_string_equal(owner(d, "10.0.0.1"), "new");
    /* The old one still ends: what is said of it takes nothing back. */
    struct workload *ending = simple_workload("old", "10.0.0.1");
    ending->healthy = false;
    assert_int_equal(directory_put_workload(d, ending), 0);
    assert_string_equal(owner(d, "10.0.0.1"), "new");
    assert_true(directory_remove_workload(d, TEXT("old")));
    assert_string_equal(owner(d, "10.0.0.1"), "new");
    assert_false(directory_remove_workload(d, TEXT("old")));
    /* And the other way round: who is left is found again. */
    assert_int_equal(directory_put_workload(d, simple_workload("third", "10.0.0.1")), 0);
    assert_true(directory_remove_workload(d, TEXT("third")));
    assert_string_equal(owner(d, "10.0.0.1"), "new");
    assert_int_equal(directory_put_workload(d, simple_workload("new", "10.0.0.2")), 0);
    assert_string_equal(owner(d, "10.0.0.1"), "nobody");
    assert_string_equal(owner(d, "10.0.0.2"), "new");
    assert_null(directory_free(d));
}

static void a_nodes_address_is_nobodys(void **state)
{
    struct directory *d;

    (void)state;
    assert_int_equal(directory_new(&d), 0);
    struct workload *host = simple_workload("agent", "10.9.0.1");
    host->host_network = true;
    assert_int_equal(directory_put_workload(d, host), 0);
    assert_string_equal(owner(d, "10.9.0.1"), "nobody");
    /* Even one that claims it for itself does not get it while a node stands behind it. */
    assert_int_equal(directory_put_workload(d, simple_workload("thief", "10.9.0.1")), 0);
    assert_string_equal(owner(d, "10.9.0.1"), "nobody");
    assert_non_null(directory_workload(d, TEXT("agent")));
    assert_true(directory_remove_workload(d, TEXT("agent")));
    assert_string_equal(owner(d, "10.9.0.1"), "thief");
    assert_null(directory_free(d));
}

static void endpoints_may_come_before_their_service(void **state)
{
    const struct workload *const *items;
    struct directory *d;

    (void)state;
    assert_int_equal(directory_new(&d), 0);
    struct workload *w = simple_workload("w", "10.0.0.1");
    w->services = calloc(2, sizeof *w->services);
    assert_non_null(w->services);
    w->n_services = 2; /* twice the same counts once */
    w->services[0].key = heap_text("ns/s");
    w->services[1].key = heap_text("ns/s");
    assert_int_equal(directory_put_workload(d, w), 0);
    assert_null(directory_service(d, TEXT("ns/s")));
    struct service *s = service_new();
    assert_non_null(s);
    put_text(&s->key, heap_text("ns/s"));
    assert_int_equal(directory_put_service(d, s), 0);
    const struct service *known = directory_service(d, TEXT("ns/s"));
    assert_non_null(known);
    assert_int_equal(directory_endpoints(d, known, &items), 1);
    assert_string_equal(items[0]->uid, "w");
    assert_true(directory_remove_service(d, TEXT("ns/s")));
    assert_false(directory_remove_service(d, TEXT("ns/s")));
    struct service key_only = {.key = (char *)"ns/s"};
    assert_int_equal(directory_endpoints(d, &key_only, &items), 1);
    assert_true(directory_remove_workload(d, TEXT("w")));
    assert_int_equal(directory_endpoints(d, &key_only, &items), 0);
    assert_null(directory_free(d));
}

static void what_has_no_key_is_refused(void **state)
{
    struct directory *d;

    (void)state;
    assert_int_equal(directory_new(&d), 0);
    assert_int_equal(directory_put_workload(d, workload_new()), -EINVAL);
    assert_int_equal(directory_put_service(d, service_new()), -EINVAL);
    assert_int_equal(directory_put_policy(d, policy_new()), -EINVAL);
    assert_int_equal(directory_version(d), 0);
    assert_null(directory_workload(d, TEXT("")));
    assert_null(directory_free(d));
    assert_null(directory_free(NULL));
}

static int register_thread(void **state)
{
    (void)state;
    directory_thread_register();
    directory_thread_register(); /* again is fine */
    return 0;
}

static int unregister_thread(void **state)
{
    (void)state;
    directory_thread_unregister();
    directory_thread_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_the_model_does),
        cmocka_unit_test(out_of_memory_leaves_what_was),
        cmocka_unit_test(an_address_goes_to_the_next_pod),
        cmocka_unit_test(a_nodes_address_is_nobodys),
        cmocka_unit_test(endpoints_may_come_before_their_service),
        cmocka_unit_test(what_has_no_key_is_refused),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
