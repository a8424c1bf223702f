/*
 * Faults on purpose, after SQLite's method: each scenario is played again and again, and each time
 * one later point of it goes wrong (an accept, connect, receive, send or call into the system ends
 * with an error, moves one byte or half, comes late, comes after a stall of the whole machine, or
 * memory is out), until a run is over before the point was reached. Then every point has failed.
 * After each one: connections may have broken, but nothing is wrong, half, forgotten or leaked, what
 * a policy forbids is over, and the next connection of every kind is served.
 *
 * Each point ends with the next three of the errors that can happen there, round and round, and of the
 * longer loops only every other or third point is played, from a random one on; WEIR_FAULTS=all plays each
 * point with each error. WEIR_SEED=n plays only the n-th point. WEIR_STORY=name* as everywhere.
 */
#include "shared/base/clock.h"
#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_story.h"

enum { POINTS_MAX = 5000, HEAL_MS = 40 * 1000, STAYS_MS = 15 * 1000, ERRORS = 3 };

struct fault_case {
    const char *name;
    unsigned points; /* 0: allocations */
    enum fake_fault_kind kind;
    bool stays;
    unsigned stride; /* every how many-th is played; with WEIR_FAULTS=all each */
};
static const struct fault_case fault_cases[] = {
    {"accept fails", FAKE_AT_ACCEPT, FAKE_ERROR, false, 1},
    {"connect fails", FAKE_AT_CONNECT, FAKE_ERROR, false, 1},
    {"receive fails", FAKE_AT_RECV, FAKE_ERROR, false, 1},
    {"send fails", FAKE_AT_SEND, FAKE_ERROR, false, 1},
    {"call fails", FAKE_AT_CALL, FAKE_ERROR, false, 1},
    {"accepts fail from then on", FAKE_AT_ACCEPT, FAKE_ERROR, true, 3},
    {"connects fail from then on", FAKE_AT_CONNECT, FAKE_ERROR, true, 3},
    {"receives fail from then on", FAKE_AT_RECV, FAKE_ERROR, true, 3},
    {"sends fail from then on", FAKE_AT_SEND, FAKE_ERROR, true, 3},
    {"calls fail from then on", FAKE_AT_CALL, FAKE_ERROR, true, 3},
    {"one byte moves", FAKE_AT_RECV | FAKE_AT_SEND, FAKE_ONE_BYTE, false, 1},
    {"half moves", FAKE_AT_RECV | FAKE_AT_SEND, FAKE_HALF, false, 2},
    {"one byte at a time", FAKE_AT_RECV | FAKE_AT_SEND, FAKE_ONE_BYTE, true, 9},
    {"late", FAKE_AT_ACCEPT | FAKE_AT_CONNECT | FAKE_AT_RECV | FAKE_AT_SEND, FAKE_LATE, false, 2},
    {"stall", FAKE_AT_ACCEPT | FAKE_AT_CONNECT | FAKE_AT_RECV | FAKE_AT_SEND, FAKE_STALL, false, 2},
};

/* ---- the scenarios ---- */

static struct sim_flow *small(struct sim_flow *f)
{
    f->client_bytes = SIM_HEADER_BYTES + 3000;
    f->server_bytes = 20000;
    return f;
}

static struct sim_flow *living(struct sim_pod *from, struct sim_pod *to)
{
    struct sim_flow *f = call(from, to);
    f->client_bytes = f->server_bytes = 60000;
    f->read_max = 3000;
    until_it_flows(started(f));
    return f;
}

static void nothing(void) {}

static void plain_act(void)
{
    started(small(call(web, batch)));
    started(small(call(batch, orders)));
}

static void same_node_act(void)
{
    started(small(call(web, cart0)));
}

static void tunnel_act(void)
{
    started(small(call(web, orders)));
}

static void connect_prepare(void)
{
    sim_policy_allow(&mesh, "only-rogue", cart1, rogue);
    run_ms(100);
    started(small(call(web, orders)));
    started(small(call(rogue, cart1)));
    story_settle();
}

static void connect_act(void)
{
    struct addr closed = sim_pod_addr(orders, 81, false);
    started(small(call(web, orders)));
    started(small(call(web, cart1))); /* denied */
    started(sim_flow_new(&apps, web, NULL, &closed, 10, 10));
}

static void drain_prepare(void)
{
    (void)living(web, orders);
    (void)living(orders, web);
}

static void drain_act(void)
{
    sim_node_drain(&mesh.nodes[1]);
    run_ms(50);
    started(small(call(web, orders))); /* refused */
}

static void node1_again(void)
{
    sim_node_stop(&mesh.nodes[1]);
    sim_node_start(&mesh.nodes[1]);
}

static void removal_prepare(void)
{
    endless(call(web, orders));
    endless(call(web, cart0));
    endless(call(cart0, orders));
    for (unsigned i = 0; i < apps.n_flows; i++)
        until_it_flows(apps.flows[i]);
}

static void removal_act(void)
{
    sim_pod_remove(orders, ENDING_WORKLOAD_GONE);
    sim_pod_remove(cart0, ENDING_WORKLOAD_GONE);
}

static void removal_after(void)
{
    sim_pods_drained(&mesh);
    sim_pod_start(orders);
    sim_pod_start(cart0);
}

static void renewal_act(void)
{
    sim_pod_certify(web);
    sim_pod_certify(orders);
    started(small(call(web, orders)));
}

static void policy_prepare(void)
{
    endless(call(rogue, cart1));
    endless(call(rogue, cart0));
    until_it_flows(apps.flows[0]);
    until_it_flows(apps.flows[1]);
}

static void policy_act(void)
{
    sim_policy_allow(&mesh, "only-web", cart0, web);
    sim_policy_allow(&mesh, "only-web-too", cart1, web);
}

/* Ports that nobody declared, and what is spoken there is looked for. */
static void detect_act(void)
{
    started(small(call_service(web, ORDERS)));
    started(small(call_service(web, CART)));
    started(small(call(batch, orders)));
}

struct scenario {
    void (*prepare)(void); /* nothing fails yet */
    void (*act)(void);
    void (*after)(void); /* nor any more */
    bool detect;
};
static const struct scenario plain = {nothing, plain_act, nothing, false},
                             same_node = {nothing, same_node_act, nothing, false},
                             tunnel = {nothing, tunnel_act, nothing, false},
                             connects = {connect_prepare, connect_act, nothing, false},
                             drain = {drain_prepare, drain_act, node1_again, false},
                             removal = {removal_prepare, removal_act, removal_after, false},
                             renewal = {drain_prepare, renewal_act, nothing, false},
                             policy = {policy_prepare, policy_act, nothing, false},
                             detect = {nothing, detect_act, nothing, true};

/* ---- playing ---- */

static void next_ones_are_served(void)
{
    struct sim_flow *flows[] = {started(small(call(web, orders))), started(small(call(web, cart0))),
                                started(small(call(web, batch))),
                                started(small(call(batch, orders))),
                                started(small(call(orders, web)))};
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
        expect_clean(flows[i]);
}

static void fault_arm(const struct fault_case *f, uint64_t nth, int error)
{
    if (f->points == 0)
        sim_alloc_fail_at(nth);
    else
        fake_net_set_fault(mesh.net, &(struct fake_fault){.points = f->points,
                                                          .kind = f->kind,
                                                          .error = error,
                                                          .nth = nth,
                                                          .stays = f->stays});
}

/* Whether it came to that; and it is no more. */
static bool fault_disarm(const struct fault_case *f, uint64_t nth)
{
    bool reached = f->points == 0 ? sim_alloc_failed() : fake_net_points(mesh.net) >= nth;
    sim_alloc_fail_at(0);
    fake_net_set_fault(mesh.net, NULL);
    return reached;
}

static bool play(const struct scenario *s, const struct fault_case *f, uint64_t nth, int error)
{
    story_seed = nth;
    story_begin_with(&(struct sim_mesh_options){
        .seed = 1, .calm = true, .quick = true, .detect = s->detect});
    story_start_pods();
    s->prepare();
    mesh.memory_failed = f->points == 0;
    mesh.calls_failed = f->points & FAKE_AT_CALL;
    fault_arm(f, nth, error);
    s->act();
    if (f->stays)
        run_ms(STAYS_MS);
    else
        sim_apps_run(&apps);
    bool reached = fault_disarm(f, nth);
    sim_apps_run(&apps);
    s->after();
    run_ms(HEAL_MS);
    next_ones_are_served();
    (void)story_end();
    return reached;
}

static bool play_all_errors(const struct scenario *s, const struct fault_case *f, uint64_t nth)
{
    const int *errors = NULL;
    size_t n = f->points && f->kind == FAKE_ERROR ? fake_fault_errors(f->points, &errors) : 0;
    bool all = getenv("WEIR_FAULTS"), reached = true;
    if (n == 0 || f->stays)
        return play(s, f, nth, n ? errors[nth % n] : 0);
    for (size_t i = 0; i < (all ? n : ERRORS) && i < n && reached; i++)
        reached = play(s, f, nth, errors[(nth * ERRORS + i) % n]);
    return reached;
}

/* How many points were played. */
static uint64_t play_case(const struct scenario *s, const struct fault_case *f)
{
    uint64_t only = story_number("WEIR_SEED", 0), n = 0;
    if (only > 0) {
        (void)play_all_errors(s, f, only);
        return 1;
    }
    unsigned stride = getenv("WEIR_FAULTS") ? 1 : f->stride;
    for (uint64_t nth = 1 + clock_monotonic_us() % stride; play_all_errors(s, f, nth); n++)
        nth += stride * SIM_SHARE;
    assert_true(n < POINTS_MAX);
    return n;
}

static void play_cases(const char *name, const struct scenario *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_SIZE(fault_cases); i++) {
        uint64_t start_ms = clock_monotonic_ms(), n = play_case(s, &fault_cases[i]);
        print_message("  %-10s %-28s %5llu points, %llu ms\n", name, fault_cases[i].name,
                      (unsigned long long)n, (unsigned long long)(clock_monotonic_ms() - start_ms));
        sum += n;
    }
    assert_true(sum > 0);
}

/* Each in turn with WEIR_FAULTS=all; else those of a random start, in random steps. */
static void fail_memory(const char *name, const struct scenario *s)
{
    enum { MILLISECONDS = 1000, STEP_MAX = 60 };
    static const struct fault_case memory = {.name = "memory"};
    uint64_t only = story_number("WEIR_SEED", 0), until = clock_monotonic_ms() + MILLISECONDS;
    uint64_t nth = 0, n = 0;
    bool all = getenv("WEIR_FAULTS"), reached = true;
    struct rng r;
    rng_seed(&r, clock_monotonic_us());
    if (only > 0) {
        (void)play(s, &memory, only, 0);
        return;
    }
    for (; reached && (all || clock_monotonic_ms() < until); n++) {
        nth += all ? 1 : 1 + rng_below(&r, STEP_MAX);
        reached = play(s, &memory, nth, 0);
    }
    print_message("  %-10s %-28s %5llu points of %llu\n", name, "no memory", (unsigned long long)n,
                  (unsigned long long)nth);
}

#define SCENARIOS(X)                                                                               \
    X(plain) X(same_node) X(tunnel) X(connects) X(drain) X(removal) X(renewal) X(policy) X(detect)
#define FUNCTION(name)                                                                             \
    static void name##_faults(void **state)                                                        \
    {                                                                                              \
        (void)state;                                                                               \
        play_cases(#name, &name);                                                                  \
    }                                                                                              \
    static void name##_memory(void **state)                                                        \
    {                                                                                              \
        (void)state;                                                                               \
        fail_memory(#name, &name);                                                                 \
    }
SCENARIOS(FUNCTION)

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_teardown(name##_faults, story_over),                                     \
        cmocka_unit_test_teardown(name##_memory, story_over),
    const struct CMUnitTest tests[] = {SCENARIOS(TEST)};
    return story_main(tests, ARRAY_SIZE(tests));
}
