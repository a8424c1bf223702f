/*
 * Requests that leave a workload for a Service: each goes to an endpoint of its own, by connections that are kept; endpoints
 * that close, hang, break or are gone; and a request that may not be read twice is not.
 */
#include "tests/sim/http_fleet.h"
#include "tests/sim/sim_stories.h"

static enum http_version from_of(uint64_t seed)
{
    return seed % 2 ? HTTP_VERSION_1 : HTTP_VERSION_2;
}
static uint8_t app_of(uint64_t seed)
{
    return seed / 2 % 2 ? APP_HTTP2 : APP_HTTP11;
}

static void begin(uint64_t seed)
{
    fleet_begin(seed, from_of(seed), app_of(seed));
    fleet.once = true;
}

/* By one connection of the client all endpoints are reached, each by few connections that are used again. */
static void spread(uint64_t seed)
{
    begin(seed);
    fleet.posts = true;
    fleet_call(0);
    fleet_ask(60);
    assert_int_equal(n_client_whole, 60);
    assert_int_equal(fleet_served(), 60);
    for (unsigned i = 0; i < SERVERS; i++) {
        assert_in_range(fleet.servers[i].n_served, 1, 40);
        if (from_of(seed) == HTTP_VERSION_1) /* one request at a time */
            assert_in_range(fleet.servers[i].n_accepted, 1, 3);
    }
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(fleet.seen[i], 1);
    fleet_end();
}

/* Servers that close connections as requests come: what may be read twice is sent again, and all else at most once. */
static void race(uint64_t seed)
{
    begin(seed);
    fleet.posts = seed % 3 == 0;
    fleet.plain = true;
    fleet.closes_idle = 2;
    fleet_call(0);
    fleet_ask(150);
    if (!fleet.posts)
        assert_int_equal(n_client_whole, 150);
    fleet_end();
}

/* What breaks off is not said again where it may have been read. */
static void never_twice(uint64_t seed)
{
    begin(seed);
    fleet.posts = fleet.only_posts = fleet.plain = true;
    fleet_call(0);
    fleet_ask(10);
    for (unsigned i = 0; i < SERVERS; i++)
        fleet.servers[i].refuses = true;
    fleet_ask(20);
    assert_int_equal(n_client_whole, 10);
    unsigned n_seen = 0;
    for (unsigned i = 0; i < 30; i++) {
        assert_in_range(fleet.seen[i], 0, 1);
        n_seen += fleet.seen[i];
    }
    assert_in_range(n_seen, 20, 30); /* some came to connections that were ending */
    fleet_end();
}

/* Nor what was answered in part: it has been read. */
static void heard_in_part(uint64_t seed)
{
    begin(seed);
    fleet.plain = true;
    fleet_call(0);
    fleet_ask(12);
    for (unsigned i = 0; i < SERVERS; i++)
        fleet.servers[i].breaks_off = true;
    fleet_ask(12);
    assert_int_equal(n_client_whole, 12);
    for (unsigned i = 0; i < 24; i++)
        assert_int_equal(fleet.seen[i], 1);
    fleet_end();
}

/* Nobody listens at one of them: its share fails, visibly, and the client's connection lives on. */
static void refused(uint64_t seed)
{
    begin(seed);
    fleet.plain = true;
    fleet_call(0);
    fleet_ask(10);
    sim_unlisten(&fleet.mesh, fleet.servers[3].listening);
    fleet.servers[3].listening = -1;
    for (unsigned i = 0; i < WIRES_MAX; i++)
        if (fleet.wires[i] && fleet.wires[i]->link)
            http_link_close(fleet.wires[i]->link);
    fake_net_run_for(net, 3000);
    unsigned whole = n_client_whole;
    fleet_ask(40);
    assert_in_range(n_client_whole - whole, 15, 39);
    assert_non_null(client);
    fleet_end();
}

/* A Service without endpoints answers each request, and ends no connection. */
static void nobody(uint64_t seed)
{
    begin(seed);
    fleet.plain = true;
    fleet_call(1);
    fleet_ask(5);
    assert_int_equal(n_client_whole, 0);
    assert_int_equal(n_client_over, 5);
    assert_non_null(client);
    assert_int_equal(sim_log_requests("no healthy endpoint"), 5);
    fleet_end();
}

static void only_near(unsigned service)
{
    struct sim_mesh *m = &fleet.mesh;
    fleet.servers[0].pod->services |= 1u << service;
    sim_service(m, service);
    sim_pod_publish(fleet.servers[0].pod);
    sim_news(m);
    fake_net_run_for(net, 100);
}

/* Within the node there is no tunnel; both ends count and tell of each request, with both identities. */
static void same_node(uint64_t seed)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    unsigned n_in = 0;
    begin(seed);
    fleet.posts = true;
    only_near(2);
    fleet_call(2);
    fleet_ask(40);
    assert_int_equal(n_client_whole, 40);
    assert_int_equal(fleet.servers[0].n_served, 40);
    assert_int_equal(fleet.mesh.hbone_connects, 0);
    assert_int_equal(sim_log_requests("closed"), 80);
    sim_log_rewind();
    while (sim_log_next_request(line)) {
        if (strcmp(sim_log_field(line, "direction", value), "inbound") != 0)
            continue;
        assert_string_equal(sim_log_field(line, "src.identity", value), fleet.web->id.text);
        assert_string_equal(sim_log_field(line, "dst.workload", value), "near");
        n_in++;
    }
    assert_int_equal(n_in, 40);
    fleet_end();
}

/* The destination's policy decides, about the connection and about each request; a change of it ends what lives. */
static void same_node_refuses(uint64_t seed)
{
    struct sim_mesh *m = &fleet.mesh;
    begin(seed);
    fleet.plain = true;
    only_near(2);
    sim_policy_no_method(m, "no-get", "GET");
    fake_net_run_for(net, 3000);
    fleet_call(2);
    fleet_ask(10);
    assert_int_equal(fleet.own[403], 10);
    assert_int_equal(fleet.servers[0].n_served, 0);
    sim_policy_remove(m, "no-get");
    fake_net_run_for(net, 3000);
    fleet_ask(10);
    assert_int_equal(fleet.servers[0].n_served, 10);
    sim_policy_allow(m, "nobody", fleet.servers[0].pod, NULL);
    fake_net_run_for(net, 5000);
    assert_int_equal(fleet.servers[0].pod->local.n_inbounds, 0);
    fleet_ask(10);
    assert_int_equal(fleet.own[403], 20);
    assert_int_equal(fleet.servers[0].n_served, 10);
    assert_int_equal(m->hbone_connects, 0);
    fleet_end();
}

/* A request that lives is decided again when a policy changes, by itself: its connection goes on, and so does what may. */
static void long_ones(uint64_t seed)
{
    struct sim_mesh *m = &fleet.mesh;
    begin(seed);
    fleet.plain = true;
    only_near(2);
    fleet.servers[0].hangs = true;
    fleet.n_left = 1;
    fleet_call(2);
    fake_net_run_for(net, 3000);
    assert_int_equal(fleet.servers[0].n_served, 1);
    sim_policy_no_method(m, "no-put", "PUT");
    fake_net_run_for(net, 3000);
    assert_int_equal(n_calls, 2); /* the client's and the server's */
    sim_policy_no_method(m, "no-get", "GET");
    fake_net_run_for(net, 3000);
    assert_int_equal(fleet.own[403], 1);
    assert_int_equal(sim_log_requests("policy changed"), 1);
    assert_int_equal(fleet.servers[0].pod->local.n_inbounds, app_of(seed) == APP_HTTP2);
    assert_non_null(client);
    sim_policy_remove(m, "no-get");
    fleet.servers[0].hangs = false;
    fake_net_run_for(net, 3000);
    fleet_ask(5);
    assert_int_equal(fleet.servers[0].n_served, 6);
    fleet_end();
}

/* A server that closes what idles: what its node's proxy says of it comes to the client's half at once. */
static void same_node_race(uint64_t seed)
{
    begin(seed);
    fleet.plain = true;
    fleet.closes_idle = 2;
    only_near(2);
    fleet_call(2);
    fleet_ask(150);
    assert_int_equal(n_client_whole, 150);
    fleet_end();
}

/* Pods go, the client's among them, in the middle of all. */
static void in_the_middle(uint64_t seed)
{
    begin(seed);
    fleet.posts = true;
    fleet.n_left = 40;
    fleet_call(0);
    fake_net_run_for(net, 20 + rng_below(chance, 150));
    fleet.n_left = 0;
    if (seed % 3 == 0)
        sim_pod_remove(fleet.web, ENDING_WORKLOAD_GONE);
    else
        sim_pod_remove(fleet.servers[seed % 3].pod, ENDING_WORKLOAD_GONE);
    fake_net_run_for(net, 15 * 1000);
    if (fleet.calling >= 0)
        socket_close(fleet.calling);
    fleet.calling = -1;
    if (client && client->link)
        http_link_close(client->link);
    fleet_end();
}

/* The identity that the connections carry is another one now: none of them is used any more. */
static void another_identity(uint64_t seed)
{
    begin(seed);
    fleet.plain = true;
    fleet_call(0);
    fleet_ask(20);
    unsigned before[SERVERS];
    for (unsigned i = 0; i < SERVERS; i++)
        before[i] = fleet.servers[i].n_accepted;
    struct sim_pod *p = fleet.web;
    p->id_before = p->id;
    snprintf(p->account, sizeof p->account, "web2");
    assert_int_equal(spiffe_id_make(TEXT("cluster.local"), TEXT("shop"), TEXT("web2"), &p->id), 0);
    sim_pod_publish(p);
    p->credential = credential_unref(p->credential);
    p->credential = sim_credential(&fleet.mesh, p->id.text, false);
    local_pod_set_credential(&p->local, p->credential);
    fake_net_run_for(net, 5000);
    assert_null(client); /* it was somebody else's */
    /* Nothing that showed it is kept; legacy's connections show none. */
    assert_in_range(p->local.upstreams.groups.count, 0, 1);
    fleet_call(0);
    fleet_ask(40);
    assert_int_equal(n_client_whole, 60);
    for (unsigned i = 0; i < 3; i++) /* by new tunnels */
        assert_true(fleet.servers[i].n_accepted > before[i]);
    fleet_end();
}

static bool can_ask(void *arg)
{
    (void)arg;
    return client && client_can_ask();
}

/* At a port that is declared http a client of HTTP/2 has its gRPC carried by HTTP/2 alone, which HTTP/1.1 can't. */
static void grpc_at_http(uint64_t seed)
{
    begin(4 * seed);
    assert_int_equal(fleet.client_version, HTTP_VERSION_2);
    fleet.server_version = HTTP_VERSION_2;
    fleet_call(0);
    for (unsigned i = 0; i < 10; i++) {
        if (!fake_net_run_until(net, can_ask, NULL, 5000))
            fail_msg("the client can't ask");
        struct call *c = ask(&(struct wish){.seed = i, .status = 200, .grpc = true, .answer_bytes = 10});
        assert_non_null(c);
        c->told_over = fleet_over;
    }
    fleet_ask(0);
    assert_int_equal(n_client_whole, 10);
    assert_int_equal(fleet_served(), 10);
    fleet_end();
}

#define STORIES(X)                                                                                 \
    X(spread, 24)                                                                                  \
    X(race, 24)                                                                                    \
    X(never_twice, 12) X(heard_in_part, 8) X(refused, 8) X(nobody, 4) X(in_the_middle, 60) X(another_identity, 8)   \
    X(same_node, 8) X(same_node_refuses, 8) X(same_node_race, 12) X(long_ones, 8) X(grpc_at_http, 4)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
