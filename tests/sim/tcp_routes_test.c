/*
 * Connections of which somebody wrote where they go: by weight, by what the client says first, into a cluster that has a
 * limit. What is heard of a client is not lost, and who is heard may go at any time.
 */
#include "nodeproxy/path/tcp_route.h"
#include "tests/sim/sim_story.h"
#include "tests/unit/shared/mesh/routes.h"

#define CARTS "outbound|80||s0.shop"
#define ORDERERS "outbound|80||s1.shop"

/* Host i of the table leads to the carts and to orders, by these weights. */
static void lead(struct route_table *t, size_t i, const char *server, uint32_t to_carts, uint32_t to_orders)
{
    struct virtual_host *h = SET_HOST(t, i, server, 1, server);
    struct route_backend *b = arena_zero(&t->arena, 2, sizeof *b);
    assert_non_null(b);
    b[0] = (struct route_backend){.cluster = TEXT(CARTS), .weight = to_carts};
    b[1] = (struct route_backend){.cluster = TEXT(ORDERERS), .weight = to_orders};
    h->routes[0].match.path = (struct path_match){.kind = PATH_PREFIX, .value = TEXT("/")};
    h->routes[0].action = (struct route_action){
        .kind = ROUTE_FORWARD, .forward = {.backends = b, .n_backends = 2, .no_cluster_status = 500}};
}

/* For who calls orders from node 0. */
static void put(struct route_table *t, const char *name)
{
    char why[WHY_MAX] = "";
    t->name = arena_text(&t->arena, text_of(name));
    if (route_table_finish(t, why) < 0)
        fail_msg("%s", why);
    assert_int_equal(directory_put_routes(mesh.nodes[0].directory, t), 0);
}

/* Anybody's of the two services. */
static struct sim_flow *flow(void)
{
    struct sim_flow *f = call_service(web, ORDERS);
    f->to = NULL;
    return f;
}

static unsigned served_by_orders(struct sim_flow *const *flows, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        expect_clean(flows[i]);
        expect_field(flows[i], "dst.service", "s1.shop");
        sum += sim_pod_at(&mesh, &flows[i]->server->local.ip) == orders;
    }
    return sum;
}

static uint64_t by_weight(uint64_t seed)
{
    struct sim_flow *flows[60];
    story_begin(seed);
    struct route_table *t = new_table(1);
    lead(t, 0, "*", 1, 2);
    put(t, "tcp|80||s1.shop");
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
        flows[i] = started(flow());
    story_settle();
    assert_in_range(served_by_orders(flows, ARRAY_SIZE(flows)), 22, 58); /* 40, and 5 deviations */
    /* The table of its own namespace comes before the one for all. */
    t = new_table(1);
    lead(t, 0, "*", 1, 0);
    put(t, "tcp|80||s1.shop@shop");
    struct sim_flow *last = started(flow());
    story_settle();
    assert_int_equal(served_by_orders(&last, 1), 0);
    return story_end();
}

/* Clients that are no TLS, and ones that wait for the server's word: heard, and led to "*" with all that they said. */
static uint64_t heard(uint64_t seed)
{
    static const enum sim_order orders_of[] = {SIM_BOTH, SIM_CLIENT_FIRST, SIM_SERVER_FIRST};
    struct sim_flow *flows[12];
    story_begin(seed);
    struct route_table *t = new_table(2);
    lead(t, 0, "db.example.org", 0, 1);
    lead(t, 1, "*", 1, 0);
    put(t, "tcp|80||s1.shop");
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        flows[i] = flow();
        flows[i]->order = orders_of[i % ARRAY_SIZE(orders_of)];
        flows[i]->silent_ms = i % 4 == 3 ? 20 * 1000 : 0; /* as who waits for the server's word */
        sim_flow_start(flows[i]);
    }
    story_settle();
    assert_int_equal(served_by_orders(flows, ARRAY_SIZE(flows)), 0);
    return story_end();
}

static uint64_t refused(uint64_t seed)
{
    story_begin(seed);
    struct route_table *t = new_table(1);
    lead(t, 0, "db.example.org", 0, 1);
    put(t, "tcp|80||s1.shop");
    struct sim_flow *f = started(flow()), *other = started(call(web, orders));
    story_settle();
    expect_broken(f);
    expect_field(f, "ending", "no route");
    assert_null(f->server);
    expect_clean(other); /* not by the Service */
    return story_end();
}

/* Gone while they are heard: by themselves, with their pod, or with all. */
static uint64_t gone_while_heard(uint64_t seed)
{
    struct sim_flow *flows[8];
    story_begin(seed);
    struct route_table *t = new_table(1);
    lead(t, 0, "db.example.org", 0, 1);
    put(t, "tcp|80||s1.shop");
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        flows[i] = flow();
        flows[i]->silent_ms = 20 * 1000;
        sim_flow_start(flows[i]);
    }
    run_ms(1000 + seed * 50);
    if (seed % 3 == 0)
        return story_end_abruptly();
    if (seed % 3 == 1)
        sim_pod_remove(web, ENDING_WORKLOAD_GONE);
    run_ms(TCP_ROUTE_HEAR_MS); /* and not until they say something */
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        char line[SIM_LINE_MAX];
        assert_true(sim_log_outbound(flows[i], line));
    }
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        expect_broken(flows[i]);
        expect_field(flows[i], "ending", seed % 3 == 1 ? "workload gone" : "no route");
    }
    return story_end();
}

static void put_cluster(const char *name, const struct sim_pod *server, uint32_t connections)
{
    char why[WHY_MAX] = "";
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX);
    struct endpoints *e = endpoints_new(ENDPOINTS_BYTES_MAX);
    assert_non_null(c);
    assert_non_null(e);
    c->name = arena_text(&c->arena, text_of(name));
    c->kind = CLUSTER_EDS;
    c->breaker[0].max[BREAKER_CONNECTIONS] = connections;
    c->breaker[0].max[BREAKER_REQUESTS] = 1; /* which no connection is */
    assert_int_equal(cluster_finish(c, why), 0);
    e->name = arena_text(&e->arena, text_of(name));
    e->groups = arena_zero(&e->arena, 1, sizeof *e->groups);
    e->n_groups = 1;
    e->groups[0] = (struct endpoint_group){.weight = 1, .n_endpoints = 1};
    e->groups[0].endpoints = arena_zero(&e->arena, 1, sizeof *e->groups[0].endpoints);
    e->groups[0].endpoints[0] = (struct endpoint){.addr = sim_pod_addr(server, SIM_PORT, false),
                                                  .weight = 1,
                                                  .workload = arena_text(&e->arena, text_of(server->uid))};
    assert_int_equal(endpoints_finish(e, why), 0);
    assert_int_equal(directory_put_endpoints(mesh.nodes[0].directory, e), 0);
    assert_int_equal(directory_put_cluster(mesh.nodes[0].directory, c), 0);
}

/* No more than its cluster lets: also where nobody wrote routes; and again as many once those have gone. */
static uint64_t limited(uint64_t seed)
{
    enum { MOST = 3, TRIED = 8 };
    story_begin_with(&(struct sim_mesh_options){.seed = seed, .detect = seed % 3 == 0}); /* found to be bytes, or taken for them */
    story_start_pods();
    put_cluster(ORDERERS, seed % 2 ? orders : cart0, MOST);
    for (unsigned round = 1; round <= 2; round++) {
        struct sim_flow *flows[TRIED];
        unsigned clean = 0;
        for (size_t i = 0; i < TRIED; i++) {
            flows[i] = flow();
            flows[i]->client_bytes += 300 * 1000; /* it takes a while, longer than all need to begin */
            flows[i]->read_max = 5000;
            sim_flow_start(flows[i]);
        }
        story_settle();
        for (size_t i = 0; i < TRIED; i++)
            if (sim_flow_clean(flows[i]))
                clean++;
            else
                expect_field(flows[i], "ending", "overflow");
        assert_int_equal(clean, MOST);
    }
    return story_end();
}

#define STORIES(X) X(by_weight, 6) X(heard, 20) X(refused, 10) X(gone_while_heard, 9) X(limited, 12)

STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(STORY_TEST)};
    return story_main(tests, ARRAY_SIZE(tests));
}
