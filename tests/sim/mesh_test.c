/*
 * What a connection may meet between two simulated node proxies: real path, peer and transport code,
 * real TLS and HTTP/2, no kernel.
 */
#include "tests/sim/sim_story.h"

static uint64_t tunnel(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *flows[] = {started(call(web, orders)), started(call_service(web, ORDERS)),
                                started(call(orders, web)), started(call(cart1, cart0))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        expect_clean(flows[i]);
        expect_field(flows[i], "ending", "closed");
        expect_field(flows[i], "src.identity", flows[i]->from->id.text);
        expect_field(flows[i], "dst.identity", flows[i]->to->id.text);
    }
    expect_field(flows[1], "dst.service", "s1.shop");
    assert_int_equal(count_inbound("ending", "closed"), 4);
    assert_int_equal(count_inbound("src.identity", web->id.text), 2);
    assert_true(mesh.hbone_connects >= 3);
    return story_end();
}

static uint64_t same_node(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *flows[] = {started(call(web, cart0)), started(call(cart0, rogue)),
                                started(call(orders, cart1)), started(call(web, web))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        expect_clean(flows[i]);
        expect_field(flows[i], "ending", "closed");
    }
    assert_int_equal(mesh.hbone_connects, 0);
    assert_int_equal(count_inbound("src.identity", web->id.text), 2);
    return story_end();
}

static uint64_t same_node_tunnel(uint64_t seed)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed, .same_node_hbone = true});
    story_start_pods();
    struct sim_flow *f = started(call(web, cart0));
    story_settle();
    expect_clean(f);
    assert_true(mesh.hbone_connects > 0);
    return story_end();
}

/* Of an endpoint the address of the asked family, or else the other one. */
static uint64_t families(uint64_t seed)
{
    story_begin(seed);
    orders->no_v4 = true;
    sim_pod_publish(orders);
    run_ms(100);
    struct addr v4 = sim_service_addr(ORDERS, false), v6 = sim_service_addr(ORDERS, true),
                cart = sim_service_addr(CART, false);
    struct sim_flow *crossed = started(sim_flow_new(&apps, web, orders, &v4, 1000, 1000)),
                    *straight = started(sim_flow_new(&apps, web, orders, &v6, 1000, 1000));
    struct sim_flow *same[6];
    for (size_t i = 0; i < ARRAY_SIZE(same); i++)
        same[i] = started(sim_flow_new(&apps, web, NULL, &cart, 1000, 1000));
    story_settle();
    expect_clean(crossed);
    expect_clean(straight);
    assert_int_equal(crossed->server->local.ip.len, 16);
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        expect_clean(same[i]);
        assert_int_equal(same[i]->server->local.ip.len, 4);
    }
    return story_end();
}

static uint64_t passthrough(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *out = started(call(web, batch)), *in = started(call(batch, orders));
    story_settle();
    expect_clean(out);
    expect_clean(in);
    expect_field(out, "ending", "closed");
    expect_field(out, "dst.identity", "");
    assert_int_equal(count_inbound("ending", "closed"), 1);
    return story_end();
}

static uint64_t denied(uint64_t seed)
{
    story_begin(seed);
    sim_policy_allow(&mesh, "only-web", cart0, web);
    sim_policy_allow(&mesh, "only-web-too", cart1, web);
    run_ms(100);
    struct sim_flow *bad[] = {started(call(rogue, cart0)), started(call(rogue, cart1)),
                              started(call(batch, cart1)), started(call_service(rogue, CART))};
    struct sim_flow *good[] = {started(call(web, cart0)), started(call(web, cart1)),
                               started(call_service(web, CART))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        expect_broken(bad[i]);
        assert_null(bad[i]->server);
        if (bad[i]->from->node)
            expect_field(bad[i], "ending", "denied by policy");
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        expect_clean(good[i]);
    assert_int_equal(count_inbound("ending", "denied by policy"), 4);
    assert_int_equal(
        count_inbound("policy", "shop/only-web") + count_inbound("policy", "shop/only-web-too"), 4);
    return story_end();
}

static uint64_t strict(uint64_t seed)
{
    story_begin(seed);
    struct sim_flow *before = started(call(batch, orders));
    story_settle();
    expect_clean(before);
    sim_policy_strict(&mesh, "strict");
    run_ms(100);
    struct sim_flow *plain = started(call(batch, orders)), *mutual = started(call(web, orders)),
                    *near = started(call(web, cart0));
    story_settle();
    expect_broken(plain);
    expect_clean(mutual);
    expect_clean(near);
    sim_policy_remove(&mesh, "strict");
    run_ms(100);
    struct sim_flow *after = started(call(batch, orders));
    story_settle();
    expect_clean(after);
    return story_end();
}

static uint64_t half_close(uint64_t seed)
{
    static const enum sim_order orders_of_speech[] = {SIM_CLIENT_FIRST, SIM_SERVER_FIRST};
    story_begin(seed);
    struct sim_pod *const pairs[][2] = {{web, orders}, {web, cart0}, {web, batch}, {batch, web}};
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        for (size_t j = 0; j < ARRAY_SIZE(orders_of_speech); j++) {
            struct sim_flow *f = call(pairs[i][0], pairs[i][1]);
            f->order = orders_of_speech[j];
            sim_flow_start(f);
        }
    story_settle();
    for (unsigned i = 0; i < apps.n_flows; i++)
        expect_clean(apps.flows[i]);
    return story_end();
}

/* Readers that take a few kilobytes at a time must hold back who sends megabytes: what is held stays small. */
static uint64_t big_and_slow(uint64_t seed)
{
    enum { BYTES = 3 * 1000 * 1000, CHUNKS_MOST = 160 };
    story_begin(seed);
    struct sim_pod *const servers[] = {orders, cart0, batch};
    struct sim_flow *f = call(web, servers[rng_below(mesh.rng, ARRAY_SIZE(servers))]);
    f->client_bytes = f->server_bytes = BYTES;
    f->order = (enum sim_order)rng_below(mesh.rng, 3);
    f->read_max = 5000;
    f->tick_ms_max = 10;
    sim_flow_start(f);
    story_settle();
    expect_clean(f);
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_in_range(mesh.nodes[i].chunks_most, 0, CHUNKS_MOST);
    return story_end();
}

static uint64_t resets(uint64_t seed)
{
    story_begin(seed);
    struct sim_pod *const servers[] = {orders, cart0, batch};
    for (int i = 0; i < 12; i++) {
        struct sim_flow *f = call(web, servers[i % 3]);
        f->client_bytes += 20000;
        f->server_bytes += 20000;
        f->abort_at = SIM_HEADER_BYTES + rng_below(mesh.rng, 30000);
        *(either() ? &f->client_aborts : &f->server_aborts) = either() ? SIM_RESET : SIM_CLOSE;
        sim_flow_start(f);
    }
    story_settle();
    for (unsigned i = 0; i < apps.n_flows; i++) { /* a reset reaches the other end: as a reset */
        const struct sim_flow *f = apps.flows[i];
        if (f->client.aborted && f->client_aborts == SIM_RESET && !f->server->eof)
            assert_int_equal(f->server->error, -ECONNRESET);
        if (f->server && f->server->aborted && f->server_aborts == SIM_RESET && !f->client.eof)
            assert_true(f->client.error == -ECONNRESET || f->client.error == -EPIPE);
    }
    return story_end();
}

static uint64_t bad_destinations(uint64_t seed)
{
    story_begin(seed);
    struct addr nobody = {{4, {192, 0, 2, 1}}, 80}, closed = sim_pod_addr(orders, 81, false),
                closed_near = sim_pod_addr(cart0, 81, true);
    struct addr own[] = {sim_pod_addr(web, 15001, false),
                         sim_pod_addr(web, 15008, true),
                         {{4, {127, 0, 0, 1}}, 15006},
                         sim_pod_addr(orders, 15008, false)};
    struct addr no_port = sim_service_addr(ORDERS, false);
    no_port.port = 81;
    struct sim_flow *unreachable = started(sim_flow_new(&apps, web, NULL, &nobody, 10, 10));
    struct sim_flow *there = started(sim_flow_new(&apps, web, NULL, &closed, 10, 10));
    struct sim_flow *near = started(sim_flow_new(&apps, web, NULL, &closed_near, 10, 10));
    struct sim_flow *port = started(sim_flow_new(&apps, web, NULL, &no_port, 10, 10));
    struct sim_flow *loops[ARRAY_SIZE(own)];
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        loops[i] = started(sim_flow_new(&apps, web, NULL, &own[i], 10, 10));
    story_settle();
    for (unsigned i = 0; i < apps.n_flows; i++)
        expect_broken(apps.flows[i]);
    expect_field(unreachable, "ending", "unreachable");
    expect_field(there, "ending", "tunnel refused");
    expect_field(there, "status", "503");
    expect_field(near, "ending", "unreachable");
    expect_field(port, "ending", "no healthy endpoint");
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        expect_field(loops[i], "ending", "own port");
    return story_end();
}

static uint64_t lost_connects(uint64_t seed)
{
    story_begin(seed);
    mesh.troubles.hbone_lost = 100;
    struct sim_flow *tunnel = started(call(web, orders)),
                    *first[] = {started(call(web, cart0)), started(call(web, batch)),
                                started(call(batch, orders))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(first);
         i++) /* they leave sockets of both families behind, more or less */
        expect_clean(first[i]);
    expect_broken(tunnel);
    expect_field(tunnel, "ending", "connect timeout");
    mesh.troubles.hbone_lost = 0;
    mesh.troubles.app_lost = 100;
    struct sim_flow *near = started(call(web, cart0)), *out = started(call(web, batch)),
                    *there = started(call(web, orders));
    story_settle();
    expect_broken(near);
    expect_broken(out);
    expect_broken(there);
    expect_field(near, "ending", "connect timeout");
    expect_field(out, "ending", "connect timeout");
    expect_field(there, "ending", "tunnel refused");
    assert_int_equal(count_inbound("ending", "connect timeout"), 2);
    mesh.nodes[1].config.connect_ms = 1000 * 1000; /* a far end that never answers */
    struct sim_flow *silent = started(call(web, orders));
    story_settle();
    expect_broken(silent);
    expect_field(silent, "ending", "connect timeout");
    assert_int_equal(count_inbound("ending", "reset by client"), 1);
    mesh.troubles.app_lost = 0;
    struct sim_flow *after = started(call(web, orders));
    story_settle();
    expect_clean(after);
    return story_end();
}

/* With few buffers everything is slow, and something may end for want of them; nothing hangs, nothing is wrong. */
static uint64_t few_chunks(uint64_t seed)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed, .chunks_max = 48 + seed % 100});
    story_start_pods();
    struct sim_pod *const servers[] = {orders, cart0, batch};
    for (int i = 0; i < 8; i++) {
        struct sim_flow *f = call(web, servers[i % 3]);
        f->client_bytes += 300000;
        f->server_bytes += 300000;
        f->read_max = 20000;
        sim_flow_start(f);
    }
    story_settle();
    return story_end();
}

static uint64_t bad_refills(uint64_t seed)
{
    story_begin(seed);
    mesh.troubles.refill_ms_max = 3000;
    struct sim_flow *late[] = {started(call(web, orders)), started(call(web, cart0)),
                               started(call(web, batch))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(late); i++)
        expect_clean(late[i]);
    mesh.troubles = (struct sim_troubles){.refill_fails = 100};
    struct sim_flow *failing[] = {started(call(rogue, orders)), started(call(rogue, batch))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(failing); i++) {
        expect_broken(failing[i]);
        expect_field(failing[i], "ending", "limit reached");
    }
    /* A request for sockets that nobody answers: who waits has a deadline, and later ones are asked for again. */
    mesh.troubles = (struct sim_troubles){.refill_lost = 100};
    struct sim_flow *lost = started(call(cart1, batch));
    story_settle();
    expect_broken(lost);
    expect_field(lost, "ending", "connect timeout");
    mesh.troubles = (struct sim_troubles){0};
    run_ms(30 * 1000);
    struct sim_flow *after[] = {started(call(rogue, orders)), started(call(rogue, batch)),
                                started(call(cart1, batch))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(after); i++)
        expect_clean(after[i]);
    run_ms(600 * 1000); /* an idle pod holds no sockets */
    assert_int_equal(rogue->local.sockets.v4.n + rogue->local.sockets.v6.n, 0);
    return story_end();
}

/* Servers that close while their clients still send: the answer's end comes first, and that nobody listens is heard by sending only. */
static uint64_t closing_servers(uint64_t seed)
{
    story_begin(seed);
    struct sim_pod *other = sim_pod_add(&mesh, -1, "other", "other");
    (void)sim_listen(&mesh, other, SIM_PORT);
    struct sim_pod *const servers[] = {other, orders, rogue};
    for (unsigned i = 0; i < 24; i++) {
        struct sim_flow *f = call(i % 2 ? batch : web, servers[i % 3]);
        f->order = SIM_CLIENT_FIRST;
        f->client_bytes = 30000 + rng_below(mesh.rng, 30000);
        f->server_aborts = SIM_CLOSE;
        f->abort_at = f->client_bytes * rng_below(mesh.rng, 100) / 100;
        f->tick_ms_max = (unsigned)rng_below(mesh.rng, 10);
        sim_flow_start(f);
    }
    return story_end();
}

static uint64_t limits(uint64_t seed)
{
    story_begin_with(
        &(struct sim_mesh_options){.seed = seed, .streams_max = 3, .connections_max = 20});
    story_start_pods();
    /* More than fit into a tunnel, and into the sixteen that a destination may have: they wait, then get another's place. */
    for (int i = 0; i < 60; i++)
        sim_flow_start(call(i % 3 == 0 ? web : i % 3 == 1 ? rogue : cart1, orders));
    story_settle();
    unsigned clean = 0;
    for (unsigned i = 0; i < apps.n_flows; i++)
        clean += sim_flow_clean(apps.flows[i]);
    assert_in_range(clean, 20, 60);
    return story_end();
}

/* Who has nothing to say for long: connections where that is set, tunnels always. */
static uint64_t idle(uint64_t seed)
{
    story_begin(seed);
    mesh.nodes[0].config.idle_ms = mesh.nodes[1].config.idle_ms = 30000;
    struct sim_flow *quiet = call(web, orders), *busy = call(web, orders);
    busy->read_max = 1000;
    busy->client_bytes += 60000;
    busy->tick_ms_max = 3000;
    sim_flow_start(busy);
    until_it_flows(busy);
    quiet->client_bytes = quiet->server_bytes = 10 * 1000 * 1000;
    quiet->read_max = 100;
    until_it_flows(started(quiet));
    quiet->read_max = 0; /* nobody reads any more, so at last nobody can send */
    story_settle();
    expect_clean(busy);
    assert_true(sim_ending_count(&mesh, ENDING_IDLE_TIMEOUT) >
                0); /* at one end; the other may have heard of it first */
    run_ms(400 * 1000);
    assert_int_equal(web->local.peers.n_links, 0);
    assert_int_equal(orders->local.n_servers, 0);
    return story_end();
}

#define STORIES(X)                                                                                 \
    X(tunnel, 20)                                                                                  \
    X(same_node, 20) X(same_node_tunnel, 10) X(families, 10) X(passthrough, 20) X(denied, 20)      \
        X(strict, 20) X(half_close, 20) X(big_and_slow, 6) X(resets, 30) X(bad_destinations, 20)   \
            X(lost_connects, 10) X(few_chunks, 20) X(bad_refills, 10) X(limits, 10) X(idle, 10)       \
                X(closing_servers, 30)

STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(STORY_TEST)};
    return story_main(tests, ARRAY_SIZE(tests));
}
