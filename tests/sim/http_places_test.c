/*
 * Clusters for which somebody wrote where requests from one place go (localityLbSetting): in shares, or somewhere else once
 * whoever is near is left out.
 */
#include "tests/sim/fleet_routes.h"
#include "tests/sim/sim_stories.h"

static struct cluster *with_outliers(const struct locality_lb *lb)
{
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->locality = *lb;
    c->outlier_detection = true;
    c->outlier.consecutive_5xx = 3;
    c->outlier.max_ejection_percent = 100;
    c->balance.panic_percent = 0;
    c->breaker[0].max[BREAKER_RETRIES] = 1000;
    return c;
}

/* 70 to 30, and nothing to the near one. Which zone it is in counts, and from one that nothing is said of all are alike. */
static void in_shares(uint64_t seed)
{
    static struct locality_share to[] = {{TEXT("r/b"), 70}, {TEXT("r/c/*"), 30}};
    static struct locality_distribute from_a = {TEXT("r/a/*"), to, 2};
    begin(seed, APP_HTTP11);
    web_is_in_zone("a");
    struct cluster *c = cluster(CALLED, seed % 4 < 2 ? BALANCE_ROUND_ROBIN : BALANCE_LEAST_REQUEST);
    c->locality = (struct locality_lb){.said = true, .distribute = &from_a, .n_distribute = 1};
    c->balance.locality_weighted = true;
    put_called(c, ALL);
    fleet_ask(400);
    assert_int_equal(n_client_whole, 400);
    assert_in_range(fleet.servers[1].n_served, 230, 330); /* 280, and more than 5 sigma */
    assert_int_equal(fleet.servers[1].n_served + fleet.servers[2].n_served, 400);
    web_is_in_zone("d");
    put_endpoints(CALLED, ALL);
    fleet_ask(80);
    assert_in_range(fleet.servers[0].n_served, 5, 40);
    assert_in_range(fleet.servers[3].n_served, 5, 40);
    fleet_end();
}

/* Who is in zone c comes first, wherever the client is; then everybody else. */
static void somewhere_else(uint64_t seed)
{
    static struct locality_priority zone_c = {{TEXT("topology.kubernetes.io/zone"), TEXT("c")}, false};
    const struct locality_lb lb = {.said = true, .priorities = &zone_c, .n_priorities = 1};
    begin(seed, APP_HTTP11);
    web_is_in_zone("a");
    put_called(with_outliers(&lb), ALL);
    with_retries(RETRY_5XX, 0);
    fleet_ask(20);
    assert_int_equal(fleet.servers[2].n_served, 20);
    fleet.servers[2].fails = true;
    fleet_ask(60);
    assert_int_equal(n_client_whole, 80); /* the client sees nothing of it */
    assert_in_range(fleet.servers[2].n_served, 23, seed % 2 ? 23 : 80);
    assert_true(fleet.servers[0].n_served > 5 && fleet.servers[1].n_served > 5 && fleet.servers[3].n_served > 5);
    fleet_end();
}

/* By a label of the endpoints' own workloads, and what the client has of it: also when that changes. */
static void with_the_same_label(uint64_t seed)
{
    static struct locality_priority rack = {{TEXT("rack"), TEXT("")}, true};
    const struct locality_lb lb = {.said = true, .priorities = &rack, .n_priorities = 1};
    begin(seed, APP_HTTP11);
    put_label(fleet.web, "rack", "7");
    put_label(fleet.servers[1].pod, "rack", "7");
    put_label(fleet.servers[0].pod, "rack", "8");
    put_called(with_outliers(&lb), 7);
    fleet_ask(20);
    assert_int_equal(fleet.servers[1].n_served, 20);
    put_label(fleet.servers[0].pod, "rack", "7");
    put_label(fleet.servers[1].pod, "rack", "8");
    fake_net_run_for(net, 2000); /* it is looked at once a second */
    fleet_ask(20);
    assert_int_equal(fleet.servers[0].n_served, 20);
    fleet_end();
}

/* No place counts, though outliers are left out. */
static void not_at_all(uint64_t seed)
{
    const struct locality_lb lb = {.said = true, .off = true};
    begin(seed, APP_HTTP11);
    web_is_in_zone("a");
    put_called(with_outliers(&lb), ALL);
    fleet_ask(40);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(fleet.servers[i].n_served, 10);
    fleet_end();
}

#define STORIES(X) X(in_shares, 4) X(somewhere_else, 4) X(with_the_same_label, 2) X(not_at_all, 2)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
