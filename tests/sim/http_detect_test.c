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

#define STORIES(X) X(balanced, 40) X(routed, 10) X(denied_one_by_one, 10) X(without_memory, 2)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
