/*
 * Stories of a mesh of two simulated node proxies: real path, peer and transport code, real TLS and HTTP/2, no kernel. Whatever
 * happens, no byte is wrong, no half of a message looks like a whole one, every connection has one ending and one line, each
 * identity is that of the pod that has the address, and at the end nothing is in flight, no chunk is live, no descriptor open.
 *
 *   node 0: web rogue cart0        node 1: cart1 orders        outside: batch
 *   services: 0 = cart (cart0 cart1), 1 = orders
 *
 * One seed is one run, byte by byte; it is printed when a run fails. WEIR_SEED=n runs that one alone, WEIR_SIM_SECONDS=n says how
 * long the random story goes on, WEIR_STORY=name* plays only that one, and WEIR_SIM_LOG=1 shows the access log of a run that failed.
 */
#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_foreign.h"
#include "tests/sim/sim_log.h"

#include "shared/base/clock.h"

enum { CART, ORDERS }; /* services */
static struct sim_mesh mesh;
static struct sim_apps apps;
static struct sim_pod *web, *rogue, *cart0, *cart1, *orders, *batch;
static uint64_t running;

/* ---- beginning and end -------------------------------------------------------------------------------------------- */

static void pods_add(void)
{
    web = sim_pod_add(&mesh, 0, "web", "web");
    rogue = sim_pod_add(&mesh, 0, "rogue", "rogue");
    cart0 = sim_pod_add(&mesh, 0, "cart0", "cart");
    cart1 = sim_pod_add(&mesh, 1, "cart1", "cart");
    orders = sim_pod_add(&mesh, 1, "orders", "orders");
    batch = sim_pod_add(&mesh, -1, "batch", "batch");
    cart0->services = cart1->services = 1u << CART;
    orders->services = 1u << ORDERS;
    sim_service(&mesh, CART);
    sim_service(&mesh, ORDERS);
    for (unsigned i = 0; i < mesh.n_pods; i++)
        (void)sim_listen(&mesh, &mesh.pods[i], SIM_PORT);
}

static void begin_with(const struct sim_mesh_options *o)
{
    sim_log_open();
    sim_mesh_open(&mesh, o);
    pods_add();
    sim_apps_open(&apps, &mesh);
}

static void begin(uint64_t seed)
{
    begin_with(&(struct sim_mesh_options){.seed = seed});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
}

static bool nobody_lives(void *arg)
{
    (void)arg;
    return sim_living(&mesh) == 0;
}

static void settle(void)
{
    sim_apps_run(&apps);
    if (!fake_net_run_until(mesh.net, nobody_lives, NULL, 60 * 1000)) {
        sim_tell_living(&mesh);
        fail_msg("a story goes on although its applications have ended");
    }
}

/* As at a worker's stop: whatever lives is ended. */
static uint64_t end_abruptly(void)
{
    struct sim_mesh *m = &mesh;
    for (unsigned i = 0; i < m->n_pods; i++)
        sim_pod_remove(&m->pods[i], ENDING_DRAINED);
    sim_apps_run(&apps);
    sim_pods_drained(m);
    sim_log_check(&apps);
    sim_apps_close(&apps);
    uint64_t trace = sim_mesh_close(&mesh);
    sim_log_close();
    return trace;
}

static uint64_t end(void)
{
    settle();
    return end_abruptly();
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- words of the stories -------------------------------------------------------------------------------------------- */

static uint64_t some_bytes(void)
{
    switch (rng_below(mesh.rng, 4)) {
    case 0: return 0;
    case 1: return rng_below(mesh.rng, 100);
    case 2: return rng_below(mesh.rng, 20000);
    default: return rng_below(mesh.rng, 200000);
    }
}

static bool either(void) { return sim_one_in(&mesh, 2); }

static struct sim_flow *call(struct sim_pod *from, struct sim_pod *to)
{
    const struct addr at = sim_pod_addr(to, SIM_PORT, either());
    return sim_flow_new(&apps, from, to, &at, some_bytes(), some_bytes());
}

static struct sim_flow *call_service(struct sim_pod *from, unsigned service)
{
    const struct addr at = sim_service_addr(service, either());
    return sim_flow_new(&apps, from, service == ORDERS ? orders : NULL, &at, some_bytes(), some_bytes());
}

static struct sim_flow *started(struct sim_flow *f)
{
    sim_flow_start(f);
    return f;
}

static void expect_clean(const struct sim_flow *f)
{
    if (!sim_flow_clean(f)) {
        sim_flow_tell(f);
        fail_msg("the flow should have ended well");
    }
}

static void expect_broken(const struct sim_flow *f)
{
    assert_true(sim_flow_done(f));
    if (f->client.error == 0 || f->client.eof) {
        sim_flow_tell(f);
        fail_msg("the client should have got an error");
    }
}

static void expect_started_broken(struct sim_flow *f)
{
    sim_flow_start(f);
    sim_apps_run(&apps);
    expect_broken(f);
}

static void expect_field(const struct sim_flow *f, const char *key, const char *expected)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    if (!sim_log_outbound(f, line))
        fail_msg("flow %u has no line", f->id);
    if (strcmp(sim_log_field(line, key, value), expected) != 0)
        fail_msg("flow %u: %s should be '%s': %s", f->id, key, expected, line);
}

static unsigned count_inbound(const char *key, const char *expected)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    unsigned n = 0;
    sim_log_rewind();
    while (sim_log_next(line))
        n += strcmp(sim_log_field(line, "direction", value), "inbound") == 0 && strcmp(sim_log_field(line, key, value), expected) == 0;
    return n;
}

static void run_ms(uint64_t ms) { fake_net_run_for(mesh.net, ms); }

static bool client_has_bytes(void *flow)
{
    const struct sim_flow *f = flow;
    return f->client.got > 0 || f->client.done;
}

/* Until the flow's relay runs. */
static void until_it_flows(struct sim_flow *f) { assert_true(fake_net_run_until(mesh.net, client_has_bytes, f, 120 * 1000)); }

/* A flow that goes on until it is told otherwise: far more bytes than its slow reader takes while the story goes on. */
static struct sim_flow *endless(struct sim_flow *f)
{
    f->client_bytes = f->server_bytes = 40 * 1000 * 1000;
    f->read_max = 1000;
    f->tick_ms_max = 40;
    return started(f);
}

/* ---- the stories --------------------------------------------------------------------------------------------------- */

static uint64_t tunnel(uint64_t seed)
{
    begin(seed);
    struct sim_flow *flows[] = {started(call(web, orders)), started(call_service(web, ORDERS)), started(call(orders, web)), started(call(cart1, cart0))};
    settle();
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
    return end();
}

static uint64_t same_node(uint64_t seed)
{
    begin(seed);
    struct sim_flow *flows[] = {started(call(web, cart0)), started(call(cart0, rogue)), started(call(orders, cart1)), started(call(web, web))};
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        expect_clean(flows[i]);
        expect_field(flows[i], "ending", "closed");
    }
    assert_int_equal(mesh.hbone_connects, 0);
    assert_int_equal(count_inbound("src.identity", web->id.text), 2);
    return end();
}

static uint64_t same_node_tunnel(uint64_t seed)
{
    begin_with(&(struct sim_mesh_options){.seed = seed, .same_node_hbone = true});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
    struct sim_flow *f = started(call(web, cart0));
    settle();
    expect_clean(f);
    assert_true(mesh.hbone_connects > 0);
    return end();
}

/* Of an endpoint the address of the asked family, or else the other one. */
static uint64_t families(uint64_t seed)
{
    begin(seed);
    orders->no_v4 = true;
    sim_pod_publish(orders);
    run_ms(100);
    struct addr v4 = sim_service_addr(ORDERS, false), v6 = sim_service_addr(ORDERS, true), cart = sim_service_addr(CART, false);
    struct sim_flow *crossed = started(sim_flow_new(&apps, web, orders, &v4, 1000, 1000)), *straight = started(sim_flow_new(&apps, web, orders, &v6, 1000, 1000));
    struct sim_flow *same[6];
    for (size_t i = 0; i < ARRAY_SIZE(same); i++)
        same[i] = started(sim_flow_new(&apps, web, NULL, &cart, 1000, 1000));
    settle();
    expect_clean(crossed);
    expect_clean(straight);
    assert_int_equal(crossed->server->local.ip.len, 16);
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        expect_clean(same[i]);
        assert_int_equal(same[i]->server->local.ip.len, 4);
    }
    return end();
}

static uint64_t passthrough(uint64_t seed)
{
    begin(seed);
    struct sim_flow *out = started(call(web, batch)), *in = started(call(batch, orders));
    settle();
    expect_clean(out);
    expect_clean(in);
    expect_field(out, "ending", "closed");
    expect_field(out, "dst.identity", "");
    assert_int_equal(count_inbound("ending", "closed"), 1);
    return end();
}

static uint64_t denied(uint64_t seed)
{
    begin(seed);
    sim_policy_allow(&mesh, "only-web", cart0, web);
    sim_policy_allow(&mesh, "only-web-too", cart1, web);
    run_ms(100);
    struct sim_flow *bad[] = {started(call(rogue, cart0)), started(call(rogue, cart1)), started(call(batch, cart1)), started(call_service(rogue, CART))};
    struct sim_flow *good[] = {started(call(web, cart0)), started(call(web, cart1)), started(call_service(web, CART))};
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        expect_broken(bad[i]);
        assert_null(bad[i]->server);
        if (bad[i]->from->node)
            expect_field(bad[i], "ending", "denied by policy");
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        expect_clean(good[i]);
    assert_int_equal(count_inbound("ending", "denied by policy"), 4);
    assert_int_equal(count_inbound("policy", "shop/only-web") + count_inbound("policy", "shop/only-web-too"), 4);
    return end();
}

static uint64_t strict(uint64_t seed)
{
    begin(seed);
    struct sim_flow *before = started(call(batch, orders));
    settle();
    expect_clean(before);
    sim_policy_strict(&mesh, "strict");
    run_ms(100);
    struct sim_flow *plain = started(call(batch, orders)), *mutual = started(call(web, orders)), *near = started(call(web, cart0));
    settle();
    expect_broken(plain);
    expect_clean(mutual);
    expect_clean(near);
    sim_policy_remove(&mesh, "strict");
    run_ms(100);
    struct sim_flow *after = started(call(batch, orders));
    settle();
    expect_clean(after);
    return end();
}

static uint64_t half_close(uint64_t seed)
{
    static const enum sim_order orders_of_speech[] = {SIM_CLIENT_FIRST, SIM_SERVER_FIRST};
    begin(seed);
    struct sim_pod *const pairs[][2] = {{web, orders}, {web, cart0}, {web, batch}, {batch, web}};
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        for (size_t j = 0; j < ARRAY_SIZE(orders_of_speech); j++) {
            struct sim_flow *f = call(pairs[i][0], pairs[i][1]);
            f->order = orders_of_speech[j];
            sim_flow_start(f);
        }
    settle();
    for (unsigned i = 0; i < apps.n_flows; i++)
        expect_clean(apps.flows[i]);
    return end();
}

/* Readers that take a few kilobytes at a time must hold back who sends megabytes: what is held stays small. */
static uint64_t big_and_slow(uint64_t seed)
{
    enum { BYTES = 3 * 1000 * 1000, CHUNKS_MOST = 160 };
    begin(seed);
    struct sim_pod *const servers[] = {orders, cart0, batch};
    struct sim_flow *f = call(web, servers[rng_below(mesh.rng, ARRAY_SIZE(servers))]);
    f->client_bytes = f->server_bytes = BYTES;
    f->order = (enum sim_order)rng_below(mesh.rng, 3);
    f->read_max = 5000;
    f->tick_ms_max = 10;
    sim_flow_start(f);
    settle();
    expect_clean(f);
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_in_range(mesh.nodes[i].chunks_most, 0, CHUNKS_MOST);
    return end();
}

static uint64_t resets(uint64_t seed)
{
    begin(seed);
    struct sim_pod *const servers[] = {orders, cart0, batch};
    for (int i = 0; i < 12; i++) {
        struct sim_flow *f = call(web, servers[i % 3]);
        f->client_bytes += 20000;
        f->server_bytes += 20000;
        f->abort_at = SIM_HEADER_BYTES + rng_below(mesh.rng, 30000);
        *(either() ? &f->client_aborts : &f->server_aborts) = either() ? SIM_RESET : SIM_CLOSE;
        sim_flow_start(f);
    }
    settle();
    for (unsigned i = 0; i < apps.n_flows; i++) { /* a reset reaches the other end: as a reset */
        const struct sim_flow *f = apps.flows[i];
        if (f->client.aborted && f->client_aborts == SIM_RESET && !f->server->eof)
            assert_int_equal(f->server->error, -ECONNRESET);
        if (f->server && f->server->aborted && f->server_aborts == SIM_RESET && !f->client.eof)
            assert_true(f->client.error == -ECONNRESET || f->client.error == -EPIPE);
    }
    return end();
}

static uint64_t dying_links(uint64_t seed)
{
    begin(seed);
    struct sim_flow *living[6];
    for (size_t i = 0; i < ARRAY_SIZE(living); i++) {
        living[i] = endless(call(web, orders));
        until_it_flows(living[i]);
    }
    assert_true(sim_break_tunnels(&mesh, 100) > 0);
    struct sim_flow *during = started(call(web, orders));
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(living); i++) {
        expect_broken(living[i]);
        assert_int_equal(living[i]->server->error, -ECONNRESET);
        expect_field(living[i], "ending", "tunnel failed");
    }
    /* Had it sent its CONNECT through the old tunnel, it was sent again through a new one. */
    expect_clean(during);
    struct sim_flow *after = started(call(web, orders));
    settle();
    expect_clean(after);
    return end();
}

static uint64_t drain(uint64_t seed)
{
    begin(seed);
    struct sim_flow *living = call(web, orders), *local = call(web, cart0);
    living->client_bytes = living->server_bytes = local->client_bytes = local->server_bytes = 300000;
    living->read_max = local->read_max = 2000;
    until_it_flows(started(living));
    until_it_flows(started(local));
    sim_node_drain(&mesh.nodes[1]);
    run_ms(200);
    struct sim_flow *late = started(call(web, orders));
    settle();
    expect_clean(living);
    expect_clean(local);
    expect_broken(late);
    assert_int_equal(orders->local.n_servers, 0); /* the tunnel went with its last stream */
    return end();
}

static uint64_t renewal(uint64_t seed)
{
    begin(seed);
    struct sim_flow *old = call(web, orders), *back = call(orders, web);
    old->client_bytes = old->server_bytes = back->client_bytes = back->server_bytes = 300000;
    old->read_max = back->read_max = 3000;
    until_it_flows(started(old));
    until_it_flows(started(back));
    uint64_t before = mesh.hbone_connects;
    sim_pod_certify(web);
    sim_pod_certify(orders);
    struct sim_flow *fresh = started(call(web, orders));
    settle();
    expect_clean(old);
    expect_clean(back);
    expect_clean(fresh);
    assert_true(mesh.hbone_connects > before);
    run_ms(20 * 1000);
    assert_int_equal(web->local.n_servers, 0); /* orders' old tunnel; its new one was never needed */
    assert_int_equal(orders->local.n_servers, 1);
    return end();
}

static uint64_t removal(uint64_t seed)
{
    begin(seed);
    struct sim_flow *there = endless(call(web, orders)), *near = endless(call(web, cart0)), *from = endless(call(cart0, orders)),
                    *other = call(rogue, cart1);
    other->server_bytes += 1;
    sim_flow_start(other);
    until_it_flows(there);
    until_it_flows(near);
    until_it_flows(from);
    sim_pod_remove(orders, ENDING_WORKLOAD_GONE);
    sim_pod_remove(cart0, ENDING_WORKLOAD_GONE);
    settle();
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
    settle();
    expect_clean(again);
    return end();
}

static uint64_t bad_destinations(uint64_t seed)
{
    begin(seed);
    struct addr nobody = {{4, {192, 0, 2, 1}}, 80}, closed = sim_pod_addr(orders, 81, false), closed_near = sim_pod_addr(cart0, 81, true);
    struct addr own[] = {sim_pod_addr(web, 15001, false), sim_pod_addr(web, 15008, true), {{4, {127, 0, 0, 1}}, 15006}, sim_pod_addr(orders, 15008, false)};
    struct addr no_port = sim_service_addr(ORDERS, false);
    no_port.port = 81;
    struct sim_flow *unreachable = started(sim_flow_new(&apps, web, NULL, &nobody, 10, 10));
    struct sim_flow *there = started(sim_flow_new(&apps, web, NULL, &closed, 10, 10));
    struct sim_flow *near = started(sim_flow_new(&apps, web, NULL, &closed_near, 10, 10));
    struct sim_flow *port = started(sim_flow_new(&apps, web, NULL, &no_port, 10, 10));
    struct sim_flow *loops[ARRAY_SIZE(own)];
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        loops[i] = started(sim_flow_new(&apps, web, NULL, &own[i], 10, 10));
    settle();
    for (unsigned i = 0; i < apps.n_flows; i++)
        expect_broken(apps.flows[i]);
    expect_field(unreachable, "ending", "unreachable");
    expect_field(there, "ending", "tunnel refused");
    expect_field(there, "status", "503");
    expect_field(near, "ending", "unreachable");
    expect_field(port, "ending", "no healthy endpoint");
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        expect_field(loops[i], "ending", "own port");
    return end();
}

static uint64_t lost_connects(uint64_t seed)
{
    begin(seed);
    mesh.troubles.hbone_lost = 100;
    struct sim_flow *tunnel = started(call(web, orders)), *first[] = {started(call(web, cart0)), started(call(web, batch)), started(call(batch, orders))};
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(first); i++) /* they leave sockets of both families behind, more or less */
        expect_clean(first[i]);
    expect_broken(tunnel);
    expect_field(tunnel, "ending", "connect timeout");
    mesh.troubles.hbone_lost = 0;
    mesh.troubles.app_lost = 100;
    struct sim_flow *near = started(call(web, cart0)), *out = started(call(web, batch)), *there = started(call(web, orders));
    settle();
    expect_broken(near);
    expect_broken(out);
    expect_broken(there);
    expect_field(near, "ending", "connect timeout");
    expect_field(out, "ending", "connect timeout");
    expect_field(there, "ending", "tunnel refused");
    assert_int_equal(count_inbound("ending", "connect timeout"), 2);
    mesh.nodes[1].config.connect_ms = 1000 * 1000; /* a far end that never answers */
    struct sim_flow *silent = started(call(web, orders));
    settle();
    expect_broken(silent);
    expect_field(silent, "ending", "connect timeout");
    assert_int_equal(count_inbound("ending", "reset by client"), 1);
    mesh.troubles.app_lost = 0;
    struct sim_flow *after = started(call(web, orders));
    settle();
    expect_clean(after);
    return end();
}

static uint64_t late_identity(uint64_t seed)
{
    begin_with(&(struct sim_mesh_options){.seed = seed});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        if (mesh.pods[i].node)
            sim_pod_capture(&mesh.pods[i]);
    sim_pod_publish(batch);
    sim_pod_publish(orders);
    sim_pod_certify(orders);
    struct sim_flow *no_workload = started(call(web, orders)), *no_certificate = started(call(rogue, batch)), *near = call(rogue, rogue);
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
    settle();
    expect_clean(no_workload);
    expect_clean(no_certificate);
    expect_clean(near);
    expect_clean(to_early);
    expect_clean(plain);
    /* And one that never comes. */
    sim_pod_publish(cart0);
    struct sim_flow *never = started(call(cart0, web));
    settle();
    expect_broken(never);
    expect_field(never, "ending", "no certificate");
    return end();
}

static uint64_t policy_change(uint64_t seed)
{
    begin(seed);
    struct sim_flow *ended[] = {endless(call(rogue, cart1)), endless(call(rogue, cart0)), endless(call(batch, cart1))};
    struct sim_flow *kept[] = {call(web, cart1), call(web, cart0), call(rogue, orders)};
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        kept[i]->server_bytes = 300000;
        kept[i]->read_max = 1000;
        until_it_flows(started(kept[i]));
        until_it_flows(ended[i]);
    }
    sim_policy_allow(&mesh, "only-web", cart0, web);
    sim_policy_allow(&mesh, "only-web-too", cart1, web);
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(ended); i++) {
        expect_broken(ended[i]);
        assert_int_equal(ended[i]->server->error, -ECONNRESET);
        expect_clean(kept[i]);
    }
    assert_int_equal(count_inbound("ending", "policy changed"), 3);
    expect_field(ended[1], "ending", "policy changed");
    return end();
}

/* With few buffers everything is slow, and something may end for want of them; nothing hangs, nothing is wrong. */
static uint64_t few_chunks(uint64_t seed)
{
    begin_with(&(struct sim_mesh_options){.seed = seed, .chunks_max = 48 + seed % 100});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
    struct sim_pod *const servers[] = {orders, cart0, batch};
    for (int i = 0; i < 8; i++) {
        struct sim_flow *f = call(web, servers[i % 3]);
        f->client_bytes += 300000;
        f->server_bytes += 300000;
        f->read_max = 20000;
        sim_flow_start(f);
    }
    settle();
    return end();
}

static uint64_t bad_refills(uint64_t seed)
{
    begin(seed);
    mesh.troubles.refill_ms_max = 3000;
    struct sim_flow *late[] = {started(call(web, orders)), started(call(web, cart0)), started(call(web, batch))};
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(late); i++)
        expect_clean(late[i]);
    mesh.troubles = (struct sim_troubles){.refill_fails = 100};
    struct sim_flow *failing[] = {started(call(rogue, orders)), started(call(rogue, batch))};
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(failing); i++) {
        expect_broken(failing[i]);
        expect_field(failing[i], "ending", "limit reached");
    }
    /* A request for sockets that nobody answers: who waits has a deadline, and later ones are asked for again. */
    mesh.troubles = (struct sim_troubles){.refill_lost = 100};
    struct sim_flow *lost = started(call(cart1, batch));
    settle();
    expect_broken(lost);
    expect_field(lost, "ending", "connect timeout");
    mesh.troubles = (struct sim_troubles){0};
    run_ms(30 * 1000);
    struct sim_flow *after[] = {started(call(rogue, orders)), started(call(rogue, batch)), started(call(cart1, batch))};
    settle();
    for (size_t i = 0; i < ARRAY_SIZE(after); i++)
        expect_clean(after[i]);
    run_ms(600 * 1000); /* an idle pod holds no sockets */
    assert_int_equal(rogue->local.sockets.v4.n + rogue->local.sockets.v6.n, 0);
    return end();
}

static uint64_t limits(uint64_t seed)
{
    begin_with(&(struct sim_mesh_options){.seed = seed, .streams_max = 3, .connections_max = 20});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
    /* More than fit into a tunnel, and into the sixteen that a destination may have: they wait, then get another's place. */
    for (int i = 0; i < 60; i++)
        sim_flow_start(call(i % 3 == 0 ? web : i % 3 == 1 ? rogue : cart1, orders));
    settle();
    unsigned clean = 0;
    for (unsigned i = 0; i < apps.n_flows; i++)
        clean += sim_flow_clean(apps.flows[i]);
    assert_in_range(clean, 20, 60);
    return end();
}

/*
 * Both directions have ended in the tunnel, and one side's application still reads: the relay goes on without the tunnel, the
 * tunnel goes away, and then the policy is looked at again.
 */
static uint64_t outlived_tunnel(uint64_t seed)
{
    begin(seed);
    struct sim_flow *to_server = call(web, orders), *to_client = call(web, orders);
    to_server->client_bytes = to_client->server_bytes = 150000; /* fits into the queues */
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
        settle();
        expect_clean(to_server);
        expect_clean(to_client);
    } else {
        sim_policy_allow(&mesh, "nobody", orders, NULL);
        run_ms(100);
        settle();
        assert_int_equal(to_server->server->error, -ECONNRESET);
        expect_clean(to_client);
        assert_int_equal(count_inbound("ending", "policy changed"), 1);
    }
    return end();
}

/* A peer that is no Weir. */
static uint64_t foreign_client(uint64_t seed)
{
    enum { EAGER = 5000, FLOOD = 4 * 1000 * 1000, CHUNKS_MOST = 160 };
    struct sim_foreign f;
    struct sim_foreign_stream s;
    uint8_t bytes[EAGER];
    char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX], mapped[ADDR_TEXT_MAX + 16], closed[ADDR_TEXT_MAX];
    begin(seed);
    addr_print(&(struct addr){orders->v4, SIM_PORT}, v4);
    addr_print(&(struct addr){orders->v6, SIM_PORT}, v6);
    addr_print(&(struct addr){orders->v4, 81}, closed);
    addr_print(&(struct addr){cart1->v4, SIM_PORT}, other);
    snprintf(mapped, sizeof mapped, "[::ffff:%.*s]:8080", (int)(strlen(v4) - 5), v4);
    sim_foreign_open(&f, &mesh, web, orders, web->credential);
    assert_true(sim_foreign_ready(&f));
    /* Bytes and the end come with the CONNECT, before our answer. */
    const char *const good[] = {v4, v6, mapped, "s1.shop:80", "S1.shop:80"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        bool known = i < 4; /* names are matched as they are written in the directory */
        struct sim_flow *flow = sim_flow_new(&apps, web, orders, &(struct addr){orders->v4, SIM_PORT}, EAGER - SIM_HEADER_BYTES, 1000 + seed * 100);
        flow->order = SIM_CLIENT_FIRST;
        flow->client = (struct sim_end){.flow = flow, .local = {web->v4, 1}, .sent = EAGER, .fin_sent = true, .done = true};
        sim_flow_pattern(flow, bytes, EAGER);
        sim_foreign_call(&f, &s, NULL, good[i], bytes, EAGER, true);
        sim_foreign_wait(&f, &s);
        assert_int_equal(s.status, known ? 200 : 400);
        if (!known)
            continue;
        assert_true(s.ended && !s.failed && s.got == flow->server_bytes);
        assert_true(flow->server && flow->server->eof && flow->server->got == EAGER);
    }
    /* A reset by the application does not look like an end. */
    struct sim_flow *broken = sim_flow_new(&apps, web, orders, &(struct addr){orders->v4, SIM_PORT}, EAGER - SIM_HEADER_BYTES, 1000);
    broken->client = (struct sim_end){.flow = broken, .local = {web->v4, 1}, .sent = EAGER, .fin_sent = true, .done = true};
    broken->order = SIM_CLIENT_FIRST; /* the server still listens when it breaks off */
    broken->server_aborts = SIM_RESET;
    broken->abort_at = EAGER;
    sim_flow_pattern(broken, bytes, EAGER);
    sim_foreign_call(&f, &s, NULL, v4, bytes, EAGER, false);
    sim_foreign_wait(&f, &s);
    assert_true(s.status == 200 && s.failed && !s.ended && s.code == HTTP2_CONNECT_ERROR);
    assert_int_equal(sim_foreign_status(&f, NULL, other), 400);
    assert_int_equal(sim_foreign_status(&f, NULL, closed), 503);
    static const char *const bad[] = {"10.0.2.5:15008", "10.0.2.5:15001", "10.0.2.5:0", "10.0.2.5", "nobody.shop:80", "s0.shop:80", "s1.shop:81", "127.0.0.1:8080", "1.2.3:80"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(sim_foreign_status(&f, NULL, bad[i]), 400);
    assert_int_equal(sim_foreign_status(&f, "GET", v4), 405);
    sim_policy_allow(&mesh, "only-cart", orders, cart1);
    run_ms(100);
    assert_int_equal(sim_foreign_status(&f, NULL, v4), 401);
    sim_policy_remove(&mesh, "only-cart");
    run_ms(100);
    /* It gives up while the application does not answer; what it says meanwhile is held back by its window. */
    uint8_t *flood = calloc(1, FLOOD);
    mesh.troubles.app_lost = 100;
    mesh.nodes[1].chunks_most = 0;
    sim_foreign_call(&f, &s, NULL, v4, flood, FLOOD, false);
    free(flood);
    run_ms(5000);
    assert_in_range(mesh.nodes[1].chunks_most, 10, CHUNKS_MOST);
    run_ms(200);
    http2_stream_reset(&s.stream, HTTP2_CANCEL);
    sim_foreign_wait(&f, &s);
    /* And it goes away with everything. */
    sim_foreign_call(&f, &s, NULL, v4, bytes, EAGER, false);
    run_ms(200);
    sim_foreign_close(&f);
    run_ms(1000);
    assert_int_equal(orders->local.n_inbounds, 0);
    assert_int_equal(count_inbound("ending", "reset by client") + count_inbound("ending", "tunnel failed"), 2);
    assert_int_equal(count_inbound("ending", "reset by server"), 1);
    return end();
}

/* Certificates that don't fit, and peers that are none. */
static uint64_t wrong_peers(uint64_t seed)
{
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
    struct sim_foreign f;
    struct sim_foreign_stream s = {.status = 0};
    int fd;
    begin(seed);
    /* What the client's node believes of orders is not what orders is. */
    snprintf(orders->account, sizeof orders->account, "other");
    sim_pod_publish_to(orders, 0);
    struct sim_flow *mismatch = started(call(web, orders));
    uint64_t start_ms = fake_net_now_ms(mesh.net);
    settle();
    expect_broken(mismatch);
    expect_field(mismatch, "ending", "peer has another identity");
    expect_field(mismatch, "error", "the peer is spiffe://cluster.local/ns/shop/sa/orders");
    assert_true(fake_net_now_ms(mesh.net) - start_ms < 5000); /* told, not waited for */
    snprintf(orders->account, sizeof orders->account, "orders");
    sim_pod_publish(orders);
    run_ms(100);
    /* A certificate of another authority. */
    struct credential *other_ca = sim_credential(&mesh, orders->id.text, true), *other_domain = sim_credential(&mesh, "spiffe://elsewhere/ns/shop/sa/web", false);
    local_pod_set_credential(&orders->local, other_ca);
    struct sim_flow *untrusted = started(call(web, orders)), *distrusting = started(call(orders, web));
    settle();
    expect_broken(untrusted);
    expect_field(untrusted, "ending", "peer not trusted");
    expect_broken(distrusting);
    sim_pod_certify(orders);
    /* One of ours, of a trust domain that is not. */
    sim_foreign_open(&f, &mesh, web, orders, other_domain);
    if (sim_foreign_ready(&f)) /* it asks at once: nobody listens */
        sim_foreign_call(&f, &s, NULL, "10.0.2.5:8080", NULL, 0, false);
    run_ms(2000);
    assert_true(f.closed && s.status == 0);
    assert_int_equal(count_inbound("error", "the peer is spiffe://elsewhere/ns/shop/sa/web"), 1);
    sim_foreign_close(&f);
    /* Whoever says nothing, or no TLS. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socket_open(AF_INET, &fd), 0);
        (void)socket_set_mark(fd, SIM_MARK);
        const struct addr at = sim_pod_addr(orders, 15008, false);
        assert_int_equal(fake_socket_connect(fd, &at), 0);
        if (i == 0)
            assert_true(fake_socket_write(fd, garbage, sizeof garbage) > 0);
        run_ms(20 * 1000);
        socket_close(fd);
    }
    assert_int_equal(count_inbound("ending", "handshake timeout"), 1);
    /* Garbage, the foreign domain, orders' own, web's refusal; and perhaps the mismatch, if its server had not yet finished. */
    assert_in_range(count_inbound("ending", "tls failed") + count_inbound("ending", "peer not trusted"), 4, 5);
    /* Whoever calls a capture port itself. */
    mesh.plain_ports = true;
    struct addr ports[] = {sim_pod_addr(orders, 15001, false), sim_pod_addr(orders, 15006, false)};
    for (int i = 0; i < 2; i++)
        expect_started_broken(sim_flow_new(&apps, batch, NULL, &ports[i], 10, 10));
    mesh.plain_ports = false;
    assert_int_equal(sim_ending_count(&mesh, ENDING_NOT_CAPTURED), 2);
    credential_unref(other_ca);
    credential_unref(other_domain);
    return end();
}

/* What was asked through a tunnel that breaks before the answer is asked once more, through another one. */
static uint64_t retried(uint64_t seed)
{
    begin(seed);
    struct sim_flow *first = started(call(web, orders));
    settle();
    expect_clean(first);
    mesh.troubles.app_lost = 100;
    struct sim_flow *again[4];
    for (size_t i = 0; i < ARRAY_SIZE(again); i++)
        again[i] = started(call(web, orders));
    run_ms(2000);
    assert_int_equal(orders->local.n_inbounds, ARRAY_SIZE(again));
    mesh.troubles.app_lost = 0;
    assert_in_range(sim_break_tunnels(&mesh, 100), 1, 2); /* one per address that was asked for */
    settle();
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
    settle();
    expect_broken(never);
    expect_field(never, "ending", "tunnel failed");
    return end();
}

/* Who has nothing to say for long: connections where that is set, tunnels always. */
static uint64_t idle(uint64_t seed)
{
    begin(seed);
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
    settle();
    expect_clean(busy);
    assert_true(sim_ending_count(&mesh, ENDING_IDLE_TIMEOUT) > 0); /* at one end; the other may have heard of it first */
    run_ms(400 * 1000);
    assert_int_equal(web->local.peers.n_links, 0);
    assert_int_equal(orders->local.n_servers, 0);
    return end();
}

static uint64_t stopped(uint64_t seed)
{
    begin(seed);
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
    return end_abruptly();
}

/* What has ended makes room: for connections, for tunnels, both ways. */
static uint64_t again_and_again(uint64_t seed)
{
    enum { TIMES = 8 };
    begin_with(&(struct sim_mesh_options){.seed = seed, .connections_max = 3});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
    for (int i = 0; i < TIMES; i++) {
        struct sim_flow *flows[] = {started(call(web, orders)), started(call(batch, orders)), started(call(cart0, web))};
        settle();
        for (size_t j = 0; j < ARRAY_SIZE(flows); j++)
            expect_clean(flows[j]);
        sim_pod_certify(web); /* the next one needs another tunnel */
        run_ms(2000);
    }
    assert_in_range(mesh.hbone_connects, TIMES, 3 * TIMES);
    return end();
}

/* Another service account: nobody speaks with the certificate of the old one. */
static uint64_t changed_identity(uint64_t seed)
{
    begin(seed);
    struct sim_flow *before = started(call(web, orders));
    settle();
    expect_clean(before);
    web->id_before = web->id;
    snprintf(web->account, sizeof web->account, "web-two");
    assert_int_equal(spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), text_of(web->account), &web->id), 0);
    sim_pod_publish(web);
    run_ms(100);
    struct sim_flow *out = started(call(web, orders)), *in = started(call(orders, web)), *near = started(call(web, cart0));
    run_ms(1000);
    assert_false(out->server || in->server || near->server);
    sim_pod_certify(web);
    settle();
    expect_clean(out);
    expect_clean(in);
    expect_clean(near);
    expect_field(out, "src.identity", "spiffe://cluster.local/ns/shop/sa/web-two");
    expect_field(in, "dst.identity", "spiffe://cluster.local/ns/shop/sa/web-two");
    return end();
}

/* One allocation of the node proxies fails, whichever: flows may break then, nothing else does, and it passes. */
static bool without_memory(uint64_t nth)
{
    begin_with(&(struct sim_mesh_options){.seed = 1, .calm = true});
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
    mesh.memory_failed = true;
    sim_alloc_fail_at(nth);
    struct sim_pod *const pairs[][2] = {{web, orders}, {web, cart0}, {web, batch}, {batch, web}, {orders, web}};
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        sim_flow_start(call(pairs[i][0], pairs[i][1]));
    sim_apps_run(&apps);
    bool failed = sim_alloc_failed();
    sim_alloc_fail_at(0);
    run_ms(30 * 1000);
    struct sim_flow *after = started(call(web, orders));
    settle();
    expect_clean(after);
    (void)end();
    return failed;
}

/* Each in turn with time enough; else those of a random start, in random steps. */
static void no_memory_story(void **state)
{
    enum { SECONDS = 3, STEP_MAX = 60 };
    struct rng r;
    (void)state;
    running = number_from("WEIR_SEED", 0);
    if (running > 0) {
        (void)without_memory(running);
        return;
    }
    uint64_t seconds = number_from("WEIR_SIM_SECONDS", 0), until = clock_monotonic_ms() + 1000 * (seconds ? seconds : SECONDS), n = 0;
    rng_seed(&r, clock_monotonic_us());
    for (running = 1; clock_monotonic_ms() < until && without_memory(running); n++)
        running += seconds ? 1 : 1 + rng_below(&r, STEP_MAX);
    print_message("failed allocations: %llu of %llu\n", (unsigned long long)n, (unsigned long long)running);
}

/* Everything at once. */
static void some_trouble(void)
{
    struct fake_weather weather = FAKE_WEATHER;
    switch (rng_below(mesh.rng, 16)) {
    case 0:
        weather.resets_per_million = (unsigned)rng_below(mesh.rng, 3000);
        weather.short_percent = (unsigned)rng_below(mesh.rng, 100);
        weather.socket_bytes = 500 + rng_below(mesh.rng, 100000);
        fake_net_set_weather(mesh.net, &weather);
        break;
    case 1: mesh.troubles = (struct sim_troubles){0}; break;
    case 2: mesh.troubles.refill_ms_max = (unsigned)rng_below(mesh.rng, 2000); break;
    case 3: mesh.troubles.refill_fails = (unsigned)rng_below(mesh.rng, 50); break;
    case 4: mesh.troubles.hbone_refused = (unsigned)rng_below(mesh.rng, 50); break;
    case 5: mesh.troubles.hbone_lost = (unsigned)rng_below(mesh.rng, 30); break;
    case 6: mesh.troubles.app_refused = (unsigned)rng_below(mesh.rng, 50); break;
    case 7: mesh.troubles.refill_lost = (unsigned)rng_below(mesh.rng, 30); break;
    case 8: (void)sim_break_tunnels(&mesh, (unsigned)rng_below(mesh.rng, 100)); break;
    case 9: sim_policy_allow(&mesh, "one", &mesh.pods[rng_below(mesh.rng, 5)], &mesh.pods[rng_below(mesh.rng, 5)]); break;
    case 10: sim_policy_strict(&mesh, "one"); break;
    case 11: {
        struct sim_pod *p = &mesh.pods[rng_below(mesh.rng, 5)];
        if (p->captured)
            sim_pod_certify(p);
        break;
    }
    case 12:
        if (sim_one_in(&mesh, 6))
            sim_node_drain(&mesh.nodes[rng_below(mesh.rng, 2)]);
        break;
    case 13:
    case 14: {
        struct sim_pod *p = &mesh.pods[rng_below(mesh.rng, 5)];
        if (p->captured)
            sim_pod_remove(p, ENDING_WORKLOAD_GONE);
        else if (p->drained && !p->node->env.draining && either())
            sim_pod_start(p);
        else if (p->drained && !p->node->env.draining)
            sim_pod_capture(p); /* without a certificate, until it gets one */
        break;
    }
    default: break;
    }
}

static void some_flow(void)
{
    struct sim_pod *from = &mesh.pods[rng_below(mesh.rng, mesh.n_pods)], *to = &mesh.pods[rng_below(mesh.rng, mesh.n_pods)];
    if (from == batch && to == batch)
        return;
    if (!to->captured && to != batch) /* its rules are gone: an application that nothing protects is not asked */
        to = orders;
    struct sim_flow *f = from != batch && sim_one_in(&mesh, 3) ? call_service(from, either() ? CART : ORDERS) : call(from, to);
    f->order = (enum sim_order)rng_below(mesh.rng, 3);
    f->read_max = (unsigned)(sim_one_in(&mesh, 4) ? 1 + rng_below(mesh.rng, 3000) : 65536);
    f->tick_ms_max = (unsigned)rng_below(mesh.rng, 30);
    if (sim_one_in(&mesh, 6)) {
        *(either() ? &f->client_aborts : &f->server_aborts) = either() ? SIM_RESET : SIM_CLOSE;
        f->abort_at = rng_below(mesh.rng, 50000);
    }
    if (sim_one_in(&mesh, 10))
        *(either() ? &f->client_bytes : &f->server_bytes) += 1000000;
    sim_flow_start(f);
}

static uint64_t anything(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed);
    begin_with(&(struct sim_mesh_options){
        .seed = seed,
        .chunks_max = rng_below(&r, 4) == 0 ? 64 + rng_below(&r, 200) : 0,
        .streams_max = rng_below(&r, 4) == 0 ? 1 + rng_below(&r, 4) : 0,
        .connections_max = rng_below(&r, 8) == 0 ? 3 + rng_below(&r, 10) : 0,
        .same_node_hbone = rng_below(&r, 4) == 0,
    });
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
    unsigned troubled = (unsigned)rng_below(mesh.rng, 4);
    for (unsigned i = 0, n = 5 + (unsigned)rng_below(mesh.rng, 60); i < n; i++) {
        some_flow();
        if (rng_below(mesh.rng, 4) < troubled)
            some_trouble();
        if (either())
            run_ms(rng_below(mesh.rng, sim_one_in(&mesh, 10) ? 5000 : 100));
    }
    mesh.troubles = (struct sim_troubles){0};
    return sim_one_in(&mesh, 4) ? end_abruptly() : end();
}

/* ---- running -------------------------------------------------------------------------------------------------------- */

static void run_seeds(uint64_t (*story)(uint64_t seed), uint64_t n)
{
    if (getenv("WEIR_SEED")) {
        running = number_from("WEIR_SEED", 0);
        (void)story(running);
        return;
    }
    for (running = 1; running <= n; running++)
        (void)story(running);
}

static int tell_seed(void **state)
{
    (void)state;
    fprintf(stderr, "WEIR_SEED=%llu\n", (unsigned long long)running);
    if (getenv("WEIR_SIM_LOG"))
        sim_log_tell();
    sim_log_close();
    return 0;
}

#define STORIES(X)                                                                                                                          \
    X(tunnel, 20) X(same_node, 20) X(same_node_tunnel, 10) X(families, 10) X(passthrough, 20) X(denied, 20) X(strict, 20) X(half_close, 20) X(big_and_slow, 6) \
    X(resets, 30) X(dying_links, 20) X(drain, 20) X(renewal, 20) X(removal, 20) X(bad_destinations, 20) X(lost_connects, 10)                 \
    X(late_identity, 20) X(policy_change, 20) X(few_chunks, 20) X(bad_refills, 10) X(limits, 10)                         \
    X(outlived_tunnel, 10) X(foreign_client, 10) X(wrong_peers, 10) X(retried, 10) X(idle, 10) X(stopped, 20) X(again_and_again, 6) X(changed_identity, 10)
#define STORY(name, seeds)                                                                                                                  \
    static void name##_story(void **state)                                                                                                  \
    {                                                                                                                                       \
        (void)state;                                                                                                                        \
        run_seeds(name, seeds);                                                                                                             \
    }
STORIES(STORY)

static void random_story(void **state)
{
    enum { SECONDS = 4 };
    (void)state;
    if (getenv("WEIR_SEED")) {
        run_seeds(anything, 1);
        return;
    }
    uint64_t until = clock_monotonic_ms() + 1000 * number_from("WEIR_SIM_SECONDS", SECONDS);
    for (running = 1; clock_monotonic_ms() < until; running++)
        (void)anything(running);
    print_message("random stories: %llu\n", (unsigned long long)running - 1);
}

/* The same seed gives the same run, completion by completion, ciphertext included. */
static void one_seed_one_run(void **state)
{
    (void)state;
    for (running = 1; running <= 3; running++)
        assert_int_equal(anything(running), anything(running));
}

int main(void)
{
#define TEST(name, seeds) cmocka_unit_test_teardown(name##_story, tell_seed),
    const struct CMUnitTest tests[] = {
        STORIES(TEST)
        cmocka_unit_test_teardown(no_memory_story, tell_seed),
        cmocka_unit_test_teardown(random_story, tell_seed),
        cmocka_unit_test_teardown(one_seed_one_run, tell_seed),
    };
    const char *only = getenv("WEIR_STORY");
    if (only)
        cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
