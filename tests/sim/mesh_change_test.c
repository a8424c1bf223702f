/*
 * What may change while connections live: tunnels break, nodes drain, certificates, pods, policies and
 * identities come and go.
 */
#include "tests/sim/sim_story.h"

static uint64_t dying_links(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *living[6];
    for (size_t i = 0; i < ARRAY_SIZE(living); i++) {
        living[i] = endless(call(web, orders));
        until_it_flows(living[i]);
    }
    assert_true(sim_break_tunnels(&mesh, 100) > 0);
    struct sim_flow *during = started(call(web, orders));
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(living); i++) {
        expect_broken(living[i]);
        assert_int_equal(living[i]->server->error, -ECONNRESET);
        expect_field(living[i], "ending", "tunnel failed");
    }
    /* Had it sent its CONNECT through the old tunnel, it was sent again through a new one. */
    expect_clean(during);
    struct sim_flow *after = started(call(web, orders));
    story_settle();
    expect_clean(after);
    return story_end();
}

static uint64_t drain(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *living = call(web, orders), *local = call(web, cart0);
    living->client_bytes = living->server_bytes = local->client_bytes = local->server_bytes =
        300000;
    living->read_max = local->read_max = 2000;
    until_it_flows(started(living));
    until_it_flows(started(local));
    sim_node_drain(&mesh.nodes[1]);
    run_ms(200);
    struct sim_flow *late = started(call(web, orders));
    story_settle();
    expect_clean(living);
    expect_clean(local);
    expect_broken(late);
    assert_int_equal(orders->local.n_servers, 0); /* the tunnel went with its last stream */
    return story_end();
}

static uint64_t renewal(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *old = call(web, orders), *back = call(orders, web);
    old->client_bytes = old->server_bytes = back->client_bytes = back->server_bytes = 300000;
    old->read_max = back->read_max = 3000;
    until_it_flows(started(old));
    until_it_flows(started(back));
    uint64_t before = mesh.hbone_connects;
    sim_pod_certify(web);
    sim_pod_certify(orders);
    struct sim_flow *fresh = started(call(web, orders));
    story_settle();
    expect_clean(old);
    expect_clean(back);
    expect_clean(fresh);
    assert_true(mesh.hbone_connects > before);
    run_ms(20 * 1000);
    assert_int_equal(web->local.n_servers,
                     0); /* orders' old tunnel; its new one was never needed */
    assert_int_equal(orders->local.n_servers, 1);
    return story_end();
}

static uint64_t removal(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *there = endless(call(web, orders)), *near = endless(call(web, cart0)),
                    *from = endless(call(cart0, orders)), *other = call(rogue, cart1);
    other->server_bytes += 1;
    sim_flow_start(other);
    until_it_flows(there);
    until_it_flows(near);
    until_it_flows(from);
    sim_pod_remove(orders, ENDING_WORKLOAD_GONE);
    sim_pod_remove(cart0, ENDING_WORKLOAD_GONE);
    story_settle();
    expect_broken(there);
    expect_broken(near);
    expect_broken(from);
    expect_clean(other);
    expect_field(near, "ending", "workload gone");
    expect_field(from, "ending", "workload gone");
    assert_int_equal(count_inbound("ending", "workload gone"), 3);
    /* The name comes again, while the old one may still be draining: with its own listeners and its own certificate. */
    assert_true(fake_net_run_until(mesh.net, nobody_lives, NULL, 1000));
    run_ms(1000);
    assert_true(cart0->drained && orders->drained);
    sim_pod_start(cart0);
    struct sim_flow *again = started(call(web, cart0));
    story_settle();
    expect_clean(again);
    return story_end();
}

static uint64_t late_identity(uint64_t seed)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        if (mesh.pods[i].node)
            sim_pod_capture(&mesh.pods[i]);
    sim_pod_publish(batch);
    sim_pod_publish(orders);
    sim_pod_certify(orders);
    struct sim_flow *no_workload = started(call(web, orders)),
                    *no_certificate = started(call(rogue, batch)), *near = call(rogue, rogue);
    near->server_bytes = 300000;
    near->read_max = 300;
    near->tick_ms_max = 40; /* longer than any deadline of its beginning */
    sim_flow_start(near);
    sim_pod_publish(rogue);
    run_ms(500);
    assert_false(no_workload->client.done || no_certificate->client.done);
    sim_pod_publish(web);
    sim_pod_certify(rogue);
    run_ms(500);
    sim_pod_certify(web);
    /* The server's certificate is late. */
    sim_pod_publish(cart1);
    struct sim_flow *to_early = started(call(web, cart1)), *plain = started(call(batch, cart1));
    run_ms(500);
    sim_pod_certify(cart1);
    story_settle();
    expect_clean(no_workload);
    expect_clean(no_certificate);
    expect_clean(near);
    expect_clean(to_early);
    expect_clean(plain);
    /* And one that never comes. */
    sim_pod_publish(cart0);
    struct sim_flow *never = started(call(cart0, web));
    story_settle();
    expect_broken(never);
    expect_field(never, "ending", "no certificate");
    return story_end();
}

static uint64_t policy_change(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *ended[] = {endless(call(rogue, cart1)), endless(call(rogue, cart0)),
                                endless(call(batch, cart1))};
    struct sim_flow *kept[] = {call(web, cart1), call(web, cart0), call(rogue, orders)};
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        kept[i]->server_bytes = 300000;
        kept[i]->read_max = 1000;
        until_it_flows(started(kept[i]));
        until_it_flows(ended[i]);
    }
    sim_policy_allow(&mesh, "only-web", cart0, web);
    sim_policy_allow(&mesh, "only-web-too", cart1, web);
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(ended); i++) {
        expect_broken(ended[i]);
        assert_int_equal(ended[i]->server->error, -ECONNRESET);
        expect_clean(kept[i]);
    }
    assert_int_equal(count_inbound("ending", "policy changed"), 3);
    expect_field(ended[1], "ending", "policy changed");
    return story_end();
}

/*
 * Both directions have ended in the tunnel, and one side's application still reads: the relay goes on without the tunnel, the
 * tunnel goes away, and then the policy is looked at again.
 */
static uint64_t outlived_tunnel(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *to_server = call(web, orders), *to_client = call(web, orders);
    to_server->client_bytes = to_client->server_bytes = 170000; /* fits into the queues */
    to_server->server_bytes = to_client->client_bytes = 100;
    for (int i = 0; i < 2; i++) {
        apps.flows[i]->read_max = 200;
        apps.flows[i]->tick_ms_max = 20;
        sim_flow_start(apps.flows[i]);
    }
    run_ms(3000);
    assert_false(to_server->server->done || to_client->client.done);
    sim_pod_certify(web); /* the old tunnel takes no new streams, and has none */
    run_ms(1000);
    assert_int_equal(web->local.peers.n_links, 0);
    assert_int_equal(orders->local.n_servers, 0);
    assert_int_equal(web->local.n_outbounds, 1);
    assert_int_equal(orders->local.n_inbounds, 1);
    if (seed % 2) { /* not even now */
        sim_policy_strict(&mesh, "strict");
        run_ms(100);
        story_settle();
        expect_clean(to_server);
        expect_clean(to_client);
    } else {
        sim_policy_allow(&mesh, "nobody", orders, NULL);
        run_ms(100);
        story_settle();
        assert_int_equal(to_server->server->error, -ECONNRESET);
        expect_clean(to_client);
        assert_int_equal(count_inbound("ending", "policy changed"), 1);
    }
    return story_end();
}

/* What was asked through a tunnel that breaks before the answer is asked once more, through another one. */
static uint64_t retried(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *first = started(call(web, orders));
    story_settle();
    expect_clean(first);
    mesh.troubles.app_lost = 100;
    struct sim_flow *again[4];
    for (size_t i = 0; i < ARRAY_SIZE(again); i++)
        again[i] = started(call(web, orders));
    run_ms(2000);
    assert_int_equal(orders->local.n_inbounds, ARRAY_SIZE(again));
    mesh.troubles.app_lost = 0;
    assert_in_range(sim_break_tunnels(&mesh, 100), 1, 2); /* one per address that was asked for */
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(again); i++)
        expect_clean(again[i]);
    assert_int_equal(count_inbound("ending", "closed"), 1 + ARRAY_SIZE(again));
    /* But not for ever. */
    mesh.troubles.app_lost = 100;
    struct sim_flow *never = started(call(web, orders));
    run_ms(2000);
    (void)sim_break_tunnels(&mesh, 100);
    run_ms(2000);
    (void)sim_break_tunnels(&mesh, 100);
    story_settle();
    expect_broken(never);
    expect_field(never, "ending", "tunnel failed");
    return story_end();
}

static uint64_t stopped(uint64_t seed)
{
    story_begin(seed);
    sim_pod_remove(cart1, ENDING_WORKLOAD_GONE);
    sim_pods_drained(&mesh);
    sim_pod_capture(cart1); /* it waits for a certificate, and a tunnel waits for it */
    sim_flow_start(call(web, cart1));
    run_ms(500);
    struct sim_pod *const servers[] = {orders, cart0, batch};
    for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
        endless(call(web, servers[i]));
        until_it_flows(apps.flows[i]);
    }
    for (int i = 0; i < 6; i++)
        sim_flow_start(call(i % 2 ? web : batch, i % 3 ? orders : cart0));
    run_ms(rng_below(mesh.rng, 20));
    return story_end_abruptly();
}

/* What has ended makes room: for connections, for tunnels, both ways. */
static uint64_t again_and_again(uint64_t seed)
{
    enum { TIMES = 8 };
    story_begin_with(&(struct sim_mesh_options){.seed = seed, .connections_max = 3});
    story_start_pods();
    for (int i = 0; i < TIMES; i++) {
        struct sim_flow *flows[] = {started(call(web, orders)), started(call(batch, orders)),
                                    started(call(cart0, web))};
        story_settle();
        for (size_t j = 0; j < ARRAY_SIZE(flows); j++)
            expect_clean(flows[j]);
        sim_pod_certify(web); /* the next one needs another tunnel */
        run_ms(2000);
    }
    assert_in_range(mesh.hbone_connects, TIMES, 3 * TIMES);
    return story_end();
}

/* Another service account: nobody speaks with the certificate of the old one. */
static uint64_t changed_identity(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *before = started(call(web, orders));
    story_settle();
    expect_clean(before);
    web->id_before = web->id;
    snprintf(web->account, sizeof web->account, "web-two");
    assert_int_equal(
        spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), text_of(web->account), &web->id), 0);
    sim_pod_publish(web);
    run_ms(100);
    struct sim_flow *out = started(call(web, orders)), *in = started(call(orders, web)),
                    *near = started(call(web, cart0));
    run_ms(1000);
    assert_false(out->server || in->server || near->server);
    sim_pod_certify(web);
    story_settle();
    expect_clean(out);
    expect_clean(in);
    expect_clean(near);
    expect_field(out, "src.identity", "spiffe://cluster.local/ns/shop/sa/web-two");
    expect_field(in, "dst.identity", "spiffe://cluster.local/ns/shop/sa/web-two");
    return story_end();
}

#define STORIES(X)                                                                                 \
    X(dying_links, 20)                                                                             \
    X(drain, 20) X(renewal, 20) X(removal, 20) X(late_identity, 20) X(policy_change, 20)           \
        X(outlived_tunnel, 10) X(retried, 10) X(stopped, 20) X(again_and_again, 6)                 \
            X(changed_identity, 10)

STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(STORY_TEST)};
    return story_main(tests, ARRAY_SIZE(tests));
}
