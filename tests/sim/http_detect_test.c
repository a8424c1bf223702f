/*
 * Requests to a Service whose port nobody declared (--http-detect on): found to be requests at both ends, by a tunnel, within a
 * node and to outside of the mesh; each balanced by itself, by routes, and denied one by one.
 */
#include "tests/sim/fleet_routes.h"
#include "tests/sim/sim_stories.h"

/* Every request is one of its own, whoever serves it, and has its lines. */
static void balanced(uint64_t seed)
{
    begin(seed, APP_UNKNOWN);
    fleet.plain = false;
    fleet_ask(40);
    assert_int_equal(n_client_whole, 40);
    unsigned n_servers = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        n_servers += fleet.servers[i].n_served > 0;
    assert_true(n_servers > 2);
    assert_true(sim_log_requests("closed") >= 40);
    fleet_end();
}

/* A table of routes counts there, as at a port that is declared. */
static void routed(uint64_t seed)
{
    begin(seed, APP_UNKNOWN);
    struct route_table *t = table(2);
    forward(t, 0, 0, 1);
    of_seeds(t, 0, 0, 10);
    t->hosts[0].routes[1].action.respond.status = 418;
    put(t);
    fleet_ask(20);
    assert_int_equal(served_by(2, 2), 10);
    assert_int_equal(served_by(0, 2), 0);
    assert_int_equal(fleet.own[418], 10);
    fleet_end();
}

/* Where the endpoints are of the mesh, what a policy says of methods counts for each request. */
static void denied_one_by_one(uint64_t seed)
{
    begin(seed, APP_UNKNOWN);
    fleet.posts = true;
    sim_policy_no_method(&fleet.mesh, "no-post", "POST");
    struct route_table *t = table(1);
    forward(t, 0, 1, 0);
    put(t);
    fleet_ask(30);
    assert_true(fleet.own[403] > 0);
    assert_int_equal(n_client_whole + fleet.own[403], 30);
    assert_true(n_client_whole > 0);
    sim_policy_remove(&fleet.mesh, "no-post");
    fake_net_run_for(net, 3000);
    unsigned refused = fleet.own[403];
    fleet_ask(10);
    assert_int_equal(fleet.own[403], refused);
    fleet_end();
}

/* Where somebody wrote routes of connections they are bytes, whatever is spoken: nobody looks for requests at the source, and
 * routes of requests do not count. */
static void bytes_by_a_table(uint64_t seed)
{
    begin(seed, APP_UNKNOWN);
    struct route_table *t = table(1);
    t->hosts[0].routes[0].action.respond.status = 418;
    put(t);
    t = table(1);
    t->name = arena_text(&t->arena, TEXT("tcp|80||s0.shop"));
    t->hosts[0].routes[0].match.path = (struct path_match){.kind = PATH_PREFIX, .value = TEXT("/")};
    forward(t, 0, 0, 1);
    put(t);
    fleet.reconnects = true;
    as_it_was = true;
    fleet_ask(20);
    assert_int_equal(n_client_whole, 20);
    assert_int_equal(fleet.own[418], 0);
    assert_int_equal(served_by(2, 2), 20);
    fleet_end();
}

/* One connection is what its cluster lets: the look at it is none of them, or the next client's would be refused. */
static void limited_by_its_cluster(uint64_t seed)
{
    begin(seed, APP_UNKNOWN);
    struct cluster *c = cluster("outbound|80||s0.shop", BALANCE_ROUND_ROBIN);
    c->protocol = UPSTREAM_AS_DOWNSTREAM;
    c->breaker[0].max[BREAKER_CONNECTIONS] = 1;
    put_cluster(c);
    put_endpoints("outbound|80||s0.shop", 2);
    fleet.reconnects = true;
    for (unsigned i = 1; i <= 4; i++) { /* new clients, and the cluster's connection is there already */
        fleet_ask(5);
        if (client && client->link)
            http_link_drain(client->link);
        fake_net_run_for(net, 3000);
    }
    assert_true(n_client_whole > 0);
    assert_int_equal(sim_ending_count(&fleet.mesh, ENDING_OVERFLOW), 0);
    fleet_end();
}

enum { POINTS_MAX = 20000 };

static bool without(uint64_t nth, uint64_t seed)
{
    begin(seed, APP_UNKNOWN);
    fleet.reconnects = true;
    sim_alloc_fail_at(nth);
    fleet_ask(4);
    bool reached = sim_alloc_failed();
    sim_alloc_fail_at(0);
    unsigned before = n_client_whole;
    fleet_ask(4); /* and then all is well again */
    assert_int_equal(n_client_whole, before + 4);
    fleet_end();
    return reached;
}

static void without_memory(uint64_t seed)
{
    uint64_t nth = seed;
    for (; without(nth, seed); nth += 5) /* a fifth of them a run */
        assert_true(nth < POINTS_MAX);
    assert_true(nth > 100);
}

#define STORIES(X) X(balanced, 40) X(routed, 10) X(denied_one_by_one, 10) X(bytes_by_a_table, 10) X(limited_by_its_cluster, 10) X(without_memory, 2)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
