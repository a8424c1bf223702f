/*
 * Everything at once, by chance: a random mesh, random connections, and at random times a tunnel that
 * breaks, a socket that does not come, a policy, a renewal, a drain, a pod that goes or comes, a node
 * proxy that restarts, no memory, and at a random rate any error at any point, late completions and
 * stalls. What must hold is in sim_story.h.
 *
 * usage: random_test [--minutes N]     (or WEIR_MINUTES=N; without it a few seconds)
 *
 * Seeds begin at a random one; WEIR_SEED=n plays only that.
 */
#include "shared/base/clock.h"
#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_story.h"

enum { SECONDS = 25, RATE_MAX = 20000 /* of faults, per million points */ };
static uint64_t minutes;
static bool has_policy;

static struct sim_pod *some_pod(void)
{
    return &mesh.pods[rng_below(mesh.rng, 5)]; /* of the mesh */
}

/* ---- troubles ---- */

static void weather_changes(void)
{
    struct fake_weather weather = FAKE_WEATHER;
    weather.resets_per_million = (unsigned)rng_below(mesh.rng, 3000);
    weather.short_percent = (unsigned)rng_below(mesh.rng, 100);
    weather.socket_bytes = 500 + rng_below(mesh.rng, 100000);
    if (either()) {
        weather.faults_per_million = (unsigned)rng_below(mesh.rng, RATE_MAX);
        mesh.calls_failed = true;
    }
    fake_net_set_weather(mesh.net, &weather);
}

static void pod_comes_or_goes(void)
{
    struct sim_pod *p = some_pod();
    if (p->captured) {
        sim_pod_remove(p, ENDING_WORKLOAD_GONE);
    } else if (p->drained && !p->closed && !p->node->env.draining) {
        if (either())
            sim_pod_start(p);
        else
            sim_pod_capture(p); /* without a certificate, until it gets one */
    }
}

static void policy_changes(void)
{
    if (has_policy && either()) {
        sim_policy_remove(&mesh, "one");
        has_policy = false;
        return;
    }
    if (either())
        sim_policy_allow(&mesh, "one", some_pod(), some_pod());
    else
        sim_policy_strict(&mesh, "one");
    has_policy = true;
}

static void node_restarts(void)
{
    struct sim_node *n = &mesh.nodes[rng_below(mesh.rng, SIM_NODES)];
    if (either())
        sim_node_drain(n);
    run_ms(rng_below(mesh.rng, 300));
    if (n->env.draining && either())
        return; /* that was all */
    sim_node_stop(n);
    run_ms(rng_below(mesh.rng, 300));
    sim_node_start(n);
}

static void memory_runs_out(void)
{
    mesh.memory_failed = true;
    sim_alloc_fail_at(1 + rng_below(mesh.rng, 3000));
}

static void some_trouble(void)
{
    struct sim_troubles *t = &mesh.troubles;
    switch (rng_below(mesh.rng, 17)) {
    case 0:
    case 1:
        weather_changes();
        break;
    case 2:
        *t = (struct sim_troubles){0};
        break;
    case 3:
        t->refill_ms_max = (unsigned)rng_below(mesh.rng, 2000);
        break;
    case 4:
        t->refill_fails = (unsigned)rng_below(mesh.rng, 50);
        break;
    case 5:
        t->hbone_refused = (unsigned)rng_below(mesh.rng, 50);
        break;
    case 6:
        t->hbone_lost = (unsigned)rng_below(mesh.rng, 30);
        break;
    case 7:
        t->app_refused = (unsigned)rng_below(mesh.rng, 50);
        break;
    case 8:
        t->refill_lost = (unsigned)rng_below(mesh.rng, 30);
        break;
    case 9:
        (void)sim_break_tunnels(&mesh, (unsigned)rng_below(mesh.rng, 100));
        break;
    case 10:
    case 11:
        policy_changes();
        break;
    case 12: {
        struct sim_pod *p = some_pod();
        if (p->captured)
            sim_pod_certify(p);
        break;
    }
    case 13:
        if (sim_one_in(&mesh, 4))
            node_restarts();
        break;
    case 14:
    case 15:
        pod_comes_or_goes();
        break;
    default:
        memory_runs_out();
        break;
    }
}

static void some_flow(void)
{
    struct sim_pod *from = &mesh.pods[rng_below(mesh.rng, mesh.n_pods)],
                   *to = &mesh.pods[rng_below(mesh.rng, mesh.n_pods)];
    if (from == batch && to == batch)
        return;
    if (!to->captured && !to->closed &&
        to != batch) /* its rules are gone: an application that nothing protects is not asked */
        to = orders;
    struct sim_flow *f = from != batch && sim_one_in(&mesh, 3)
                             ? call_service(from, either() ? CART : ORDERS)
                             : call(from, to);
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

/* When nothing goes wrong any more, the mesh heals by itself: everybody is served. */
static void everybody_is_served(void)
{
    story_settle();
    if (has_policy)
        sim_policy_remove(&mesh, "one");
    for (unsigned i = 0; i < SIM_NODES; i++)
        if (mesh.nodes[i].env.draining) {
            sim_node_stop(&mesh.nodes[i]);
            sim_node_start(&mesh.nodes[i]);
        }
    sim_pods_drained(&mesh);
    for (unsigned i = 0; i < mesh.n_pods; i++) {
        struct sim_pod *p = &mesh.pods[i];
        if (p->node && !p->captured)
            sim_pod_start(p);
        else if (p->node)
            sim_pod_certify(p);
    }
    run_ms(60 * 1000);
    struct sim_pod *const pairs[][2] = {{web, orders}, {orders, web},   {rogue, cart1},
                                        {web, cart0},  {batch, orders}, {cart1, batch}};
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        struct sim_flow *f = started(call(pairs[i][0], pairs[i][1]));
        story_settle();
        expect_clean(f);
    }
}

static uint64_t anything(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed);
    has_policy = false;
    story_begin_with(&(struct sim_mesh_options){
        .seed = seed,
        .chunks_max = rng_below(&r, 4) == 0 ? 64 + rng_below(&r, 200) : 0,
        .streams_max = rng_below(&r, 4) == 0 ? 1 + rng_below(&r, 4) : 0,
        .connections_max = rng_below(&r, 8) == 0 ? 3 + rng_below(&r, 10) : 0,
        .same_node_hbone = rng_below(&r, 4) == 0,
        .quick = true,
    });
    story_start_pods();
    unsigned troubled = (unsigned)rng_below(mesh.rng, 4);
    for (unsigned i = 0, n = 5 + (unsigned)rng_below(mesh.rng, 60); i < n; i++) {
        some_flow();
        if (rng_below(mesh.rng, 4) < troubled)
            some_trouble();
        if (either())
            run_ms(rng_below(mesh.rng, sim_one_in(&mesh, 10) ? 5000 : 100));
    }
    mesh.troubles = (struct sim_troubles){0};
    sim_alloc_fail_at(0);
    fake_net_set_weather(mesh.net, &FAKE_WEATHER);
    if (sim_one_in(&mesh, 4))
        return story_end_abruptly();
    if (either())
        everybody_is_served();
    return story_end();
}

/* ---- running ---- */

static void random_runs(void **state)
{
    (void)state;
    if (getenv("WEIR_SEED")) {
        story_run(anything, 1);
        return;
    }
    uint64_t n = 0, until = clock_monotonic_ms() + (minutes ? minutes * 60 : SECONDS) * 1000;
    for (story_seed = clock_monotonic_us(); clock_monotonic_ms() < until; story_seed++, n++)
        (void)anything(story_seed);
    print_message("%llu random runs\n", (unsigned long long)n);
}

/* The same seed gives the same run, completion by completion, ciphertext included. */
static void one_seed_one_run(void **state)
{
    (void)state;
    for (story_seed = 1; story_seed <= 3; story_seed++)
        assert_int_equal(anything(story_seed), anything(story_seed));
}

int main(int n_args, char **args)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_seed_one_run, story_tell_seed),
        cmocka_unit_test_teardown(random_runs, story_tell_seed),
    };
    minutes = story_number("WEIR_MINUTES", 0);
    if (n_args == 3 && strcmp(args[1], "--minutes") == 0)
        minutes = strtoull(args[2], NULL, 10);
    else if (n_args != 1)
        return fputs("usage: random_test [--minutes N]\n", stderr), 2;
    return story_main(tests, ARRAY_SIZE(tests));
}
