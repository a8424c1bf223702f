/*
 * Policy on the living: what was decided about a connection changes while it lives. Those concerned end, with the ending that says so, and
 * no others: a flow that should go on is still moving bytes at the end.
 */
#include "nodeproxy/path/living.h"
#include "shared/base/clock.h"
#include "tests/sim/sim_story.h"

static void go_on(struct sim_flow *const *flows, size_t n)
{
    uint64_t got[8];
    for (size_t i = 0; i < n; i++)
        got[i] = flows[i]->client.got;
    run_ms(2000);
    for (size_t i = 0; i < n; i++) {
        assert_false(flows[i]->client.done);
        assert_true(flows[i]->client.got > got[i]);
    }
}

static unsigned count_lines(const char *ending)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    unsigned n = 0;
    sim_log_rewind();
    while (sim_log_next(line))
        n += strcmp(sim_log_field(line, "ending", value), ending) == 0;
    return n;
}

/* Whoever judges says why; the far end of a tunnel may only see a reset. */
static void have_ended(struct sim_flow *const *flows, size_t n, const char *ending)
{
    for (size_t i = 0; i < n; i++)
        expect_broken(flows[i]);
    assert_in_range(count_lines(ending), n, 2 * n);
}

static bool flow_is_done(void *flow)
{
    return sim_flow_done(flow);
}

static void become(struct sim_pod *p, const char *account)
{
    p->id_before = p->id;
    snprintf(p->account, sizeof p->account, "%s", account);
    assert_int_equal(spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), text_of(account), &p->id),
                     0);
    sim_pod_publish(p);
}

/* A certificate of the mesh's CA, or one that trusts more or others. */
static struct credential *credential_of(const struct sim_pod *p, const struct x509 *roots,
                                        size_t n_roots, int64_t not_after_s)
{
    const struct x509_template t = {.uri = text_of(p->id.text),
                                    .path_len = -1,
                                    .not_before_s = clock_unix_s() - 60,
                                    .not_after_s = not_after_s,
                                    .server = true,
                                    .client = true};
    char *pem = calloc(1, X509_PEM_MAX), *roots_pem = calloc(n_roots, X509_PEM_MAX);
    uint8_t public_key[KEY_PUBLIC_MAX];
    struct credential *c = NULL;
    const char *why = "";
    struct x509 leaf;
    struct key *key;
    size_t len, at = 0;
    assert_non_null(pem);
    assert_non_null(roots_pem);
    assert_int_equal(key_generate(&key), 0);
    assert_int_equal(key_public_der(key, public_key, sizeof public_key, &len), 0);
    assert_int_equal(x509_make(&t, public_key, len, &mesh.ca, mesh.ca_key, &leaf), 0);
    assert_int_equal(x509_to_pem(&leaf, pem, X509_PEM_MAX, &len), 0);
    for (size_t i = 0; i < n_roots; i++, at += len)
        assert_int_equal(x509_to_pem(&roots[i], roots_pem + at, X509_PEM_MAX, &len), 0);
    if (credential_new(&c, &p->id, key, text_of(pem), text_of(roots_pem), clock_unix_s(), &why) < 0)
        fail_msg("no credential: %s", why);
    x509_done(&leaf);
    key_unref(key);
    free(pem);
    free(roots_pem);
    return c;
}

static void give(struct sim_pod *p, struct credential *taken)
{
    credential_unref(p->credential);
    p->credential = taken;
    local_pod_set_credential(&p->local, taken);
}

/* The directory says that the destination is another workload: the tunnel was made to the one that was there before. */
static uint64_t destination_changes(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *concerned[] = {endless(call(web, orders)), endless(call(rogue, orders)),
                                    endless(call(cart1, orders)), endless(call(orders, web))};
    struct sim_flow *others[] = {endless(call(web, cart1)), endless(call(cart1, web)),
                                 endless(call(web, cart0))};
    for (size_t i = 0; i < ARRAY_SIZE(concerned); i++)
        until_it_flows(concerned[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        until_it_flows(others[i]);
    become(orders, "orders-two");
    run_ms(500);
    have_ended(concerned, ARRAY_SIZE(concerned), "identity changed");
    go_on(others, ARRAY_SIZE(others));
    sim_pod_certify(orders);
    run_ms(500);
    struct sim_flow *again = call(web, orders);
    sim_flow_start(again);
    assert_true(fake_net_run_until(mesh.net, flow_is_done, again, 60 * 1000));
    expect_clean(again);
    return story_end_abruptly();
}

/* Only one node has heard of it yet: the source's. Its own side is enough. */
static uint64_t source_hears_first(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *there[] = {endless(call(web, orders))}, *back[] = {endless(call(orders, web))};
    until_it_flows(there[0]);
    until_it_flows(back[0]);
    snprintf(orders->account, sizeof orders->account, "orders-two");
    sim_pod_publish_to(orders, 0);
    run_ms(500);
    have_ended(there, 1, "identity changed");
    go_on(back, 1); /* it showed who it was, and nobody said there that it is another one */
    snprintf(orders->account, sizeof orders->account, "orders");
    sim_pod_publish_to(orders, 0);
    return story_end_abruptly();
}

static uint64_t trust_changes(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *concerned[] = {endless(call(web, orders)), endless(call(orders, web))};
    struct sim_flow *others[] = {endless(call(rogue, orders)), endless(call(cart1, cart0)),
                                 endless(call(web, cart0))};
    for (size_t i = 0; i < ARRAY_SIZE(concerned); i++)
        until_it_flows(concerned[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        until_it_flows(others[i]);
    /* One root more changes nothing for those that live... */
    struct credential *foreign = sim_credential(&mesh, web->id.text, true);
    struct x509 roots[2];
    size_t n;
    const char *why;
    assert_int_equal(x509_from_pem(text_of(foreign->roots_pem), &roots[1], 1, &n, &why), 0);
    roots[0] = mesh.ca;
    give(web, credential_of(web, roots, 2, clock_unix_s() + 7200));
    go_on(concerned, ARRAY_SIZE(concerned));
    go_on(others, ARRAY_SIZE(others));
    x509_done(&roots[1]);
    /* ... but the first one less. */
    give(web, foreign);
    run_ms(500);
    have_ended(concerned, ARRAY_SIZE(concerned), "trust changed");
    go_on(others, ARRAY_SIZE(others));
    return story_end_abruptly();
}

/* As the control thread tells a worker. */
static void tell_revoked(size_t node, const char *identity, const char *serial)
{
    struct path_env *env = &mesh.nodes[node].env;
    struct trust *t = trust_new(1, TEXT("PEM"), 1, 1);
    assert_non_null(t);
    if (identity)
        assert_int_equal(trust_add_identity(t, text_of(identity)), 0);
    if (serial)
        assert_int_equal(trust_add_serial(t, text_of(serial)), 0);
    trust_sort(t);
    trust_unref(env->trust);
    env->trust = t;
    living_trust(env);
}

static void forget_revoked(void)
{
    for (size_t i = 0; i < 2; i++)
        mesh.nodes[i].env.trust = trust_unref(mesh.nodes[i].env.trust);
}

static void must_fail(struct sim_pod *from, struct sim_pod *to)
{
    struct sim_flow *f = call(from, to);
    sim_flow_start(f);
    assert_true(fake_net_run_until(mesh.net, flow_is_done, f, 60 * 1000));
    expect_broken(f);
}

/* Across nodes both ways, and on one node; what comes later is refused, and the others live. */
static uint64_t identity_revoked(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *concerned[] = {endless(call(web, orders)), endless(call(orders, web)),
                                    endless(call(web, cart0))};
    struct sim_flow *others[] = {endless(call(rogue, orders)), endless(call(cart1, cart0))};
    for (size_t i = 0; i < ARRAY_SIZE(concerned); i++)
        until_it_flows(concerned[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        until_it_flows(others[i]);
    tell_revoked(0, web->id.text, NULL);
    tell_revoked(1, web->id.text, NULL);
    run_ms(500);
    for (size_t i = 0; i < ARRAY_SIZE(concerned); i++)
        expect_broken(concerned[i]);
    assert_true(count_inbound("ending", "revoked") >= 1);
    go_on(others, ARRAY_SIZE(others));
    must_fail(web, orders);
    must_fail(orders, web);
    must_fail(web, cart0);
    go_on(others, ARRAY_SIZE(others));
    forget_revoked();
    return story_end_abruptly();
}

/* The node of the one that is revoked knows nothing of it: the far end is enough. */
static uint64_t far_node_alone_has_heard(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *there[] = {endless(call(web, orders))}, *back[] = {endless(call(orders, web))},
                    *near[] = {endless(call(web, cart0))};
    until_it_flows(there[0]);
    until_it_flows(back[0]);
    until_it_flows(near[0]);
    tell_revoked(1, web->id.text, NULL);
    run_ms(500);
    expect_broken(there[0]);
    expect_broken(back[0]);
    must_fail(web, orders);
    must_fail(orders, web);
    go_on(near, 1);
    forget_revoked();
    return story_end_abruptly();
}

/* One certificate: with another one, the same identity is served again. */
static uint64_t certificate_revoked(uint64_t seed)
{
    char serial[2 * X509_SERIAL_MAX + 1];
    story_begin(seed);
    struct sim_flow *concerned[] = {endless(call(web, orders)), endless(call(orders, web)),
                                    endless(call(web, cart0))};
    struct sim_flow *others[] = {endless(call(rogue, orders)), endless(call(cart1, cart0))};
    for (size_t i = 0; i < ARRAY_SIZE(concerned); i++)
        until_it_flows(concerned[i]);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        until_it_flows(others[i]);
    snprintf(serial, sizeof serial, "%s", web->local.credential->serial);
    tell_revoked(0, NULL, serial);
    tell_revoked(1, NULL, serial);
    run_ms(500);
    for (size_t i = 0; i < ARRAY_SIZE(concerned); i++)
        expect_broken(concerned[i]);
    go_on(others, ARRAY_SIZE(others));
    must_fail(web, orders);
    sim_pod_certify(web);
    run_ms(500);
    struct sim_flow *again[] = {endless(call(web, orders)), endless(call(orders, web)),
                                endless(call(web, cart0))};
    for (size_t i = 0; i < ARRAY_SIZE(again); i++)
        until_it_flows(again[i]);
    forget_revoked();
    return story_end_abruptly();
}

/* A tunnel does not live longer than its peer's certificate, also without any stream. */
static uint64_t certificate_expires(uint64_t seed)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed});
    story_start_pods();
    give(web, credential_of(web, &mesh.ca, 1, clock_unix_s() + 30));
    struct sim_flow *short_lived[] = {endless(call(web, orders)), endless(call(orders, web))};
    struct sim_flow *others[] = {endless(call(rogue, orders)), endless(call(web, cart0))};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        until_it_flows(others[i]);
    until_it_flows(short_lived[0]);
    until_it_flows(short_lived[1]);
    run_ms(15 * 1000);
    go_on(short_lived, 2);
    sim_pod_certify(web); /* renewed: that does not prolong the old tunnels */
    run_ms(30 * 1000);
    have_ended(short_lived, 2, "certificate expired");
    go_on(others, ARRAY_SIZE(others));
    return story_end_abruptly();
}

static uint64_t expired_is_kept(uint64_t seed)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed});
    mesh.nodes[0].config.keep_expired = mesh.nodes[1].config.keep_expired = true;
    story_start_pods();
    give(web, credential_of(web, &mesh.ca, 1, clock_unix_s() + 30));
    struct sim_flow *flows[] = {endless(call(web, orders)), endless(call(orders, web))};
    until_it_flows(flows[0]);
    until_it_flows(flows[1]);
    run_ms(60 * 1000);
    go_on(flows, 2);
    return story_end_abruptly();
}

/* A principal is taken out: many flows, some of them concerned, while others come. */
static uint64_t principal_removed(uint64_t seed)
{
    enum { EACH = 6 };
    struct sim_flow *concerned[EACH], *others[EACH];
    story_begin(seed);
    sim_policy_allow(&mesh, "orders-from-web", orders, web);
    run_ms(100);
    for (size_t i = 0; i < EACH; i++) {
        concerned[i] = endless(call(web, orders));
        others[i] = endless(i % 2 ? call(cart1, web) : call(web, cart0));
        until_it_flows(concerned[i]);
        until_it_flows(others[i]);
    }
    sim_policy_allow(&mesh, "orders-from-web", orders, cart0);
    run_ms(1000);
    for (size_t i = 0; i < EACH; i++)
        expect_broken(concerned[i]);
    assert_int_equal(count_inbound("ending", "policy changed"), EACH);
    assert_int_equal(count_inbound("policy", "shop/orders-from-web"), EACH);
    go_on(others, EACH);
    return story_end_abruptly();
}

/* However much may be looked at in a turn: endings come some in each millisecond, and all of them come. */
static uint64_t endings_have_a_pace(uint64_t seed)
{
    enum { MANY = 48, AT_ONCE = 20, PER_MS = 4 };
    struct path_env *env = &mesh.nodes[1].env;
    struct sim_flow *flows[MANY];
    uint64_t since_ms = 0, n = 0;
    story_begin(seed);
    sim_policy_allow(&mesh, "orders-from-web", orders, web);
    run_ms(100);
    for (size_t i = 0; i < MANY; i++)
        flows[i] = endless(call(web, orders));
    for (size_t i = 0; i < MANY; i++)
        until_it_flows(flows[i]);
    sim_policy_allow(&mesh, "orders-from-web", orders, cart0);
    for (unsigned ms = 0; ms < 1000 && n < MANY; ms++) {
        (void)living_look(env, 1000);
        run_ms(1);
        n = env->endings[ENDING_POLICY_CHANGED];
        since_ms += n > 0;
        assert_true(n <= AT_ONCE + PER_MS * since_ms);
    }
    assert_int_equal(n, MANY);
    run_ms(500);
    for (size_t i = 0; i < MANY; i++)
        expect_broken(flows[i]);
    return story_end_abruptly();
}

/* Who closes its tunnel has reset what was in it: that is no failure of ours. */
static uint64_t client_closes_tunnel(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *flow = endless(call(web, orders));
    until_it_flows(flow);
    sim_pod_remove(web, ENDING_WORKLOAD_GONE);
    sim_pods_drained(&mesh);
    run_ms(500);
    assert_int_equal(count_inbound("ending", "reset by client"), 1);
    assert_int_equal(count_inbound("ending", "tunnel failed"), 0);
    return story_end_abruptly();
}

#define STORIES(X)                                                                                 \
    X(destination_changes, 10)                                                                     \
    X(source_hears_first, 10)                                                                      \
    X(identity_revoked, 10) X(far_node_alone_has_heard, 10) X(certificate_revoked, 10)             \
    X(trust_changes, 10) X(certificate_expires, 6) X(expired_is_kept, 2) X(principal_removed, 10)  \
        X(endings_have_a_pace, 2) X(client_closes_tunnel, 10)

STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(STORY_TEST)};
    return story_main(tests, ARRAY_SIZE(tests));
}
