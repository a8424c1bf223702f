#include "tests/sim/sim_story.h"

#include "tests/sim/sim_seed.h"

struct sim_mesh mesh;
struct sim_apps apps;
struct sim_pod *web, *rogue, *cart0, *cart1, *orders, *batch;
uint64_t story_seed;
static bool story_goes_on; /* between its beginning and its end */

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

void story_begin_with(const struct sim_mesh_options *o)
{
    story_goes_on = true;
    seed_begins();
    sim_log_open();
    sim_mesh_open(&mesh, o);
    pods_add();
    sim_apps_open(&apps, &mesh);
}

void story_start_pods(void)
{
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
}

void story_begin(uint64_t seed)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed});
    story_start_pods();
}

bool nobody_lives(void *arg)
{
    (void)arg;
    return sim_living(&mesh) == 0;
}

void story_settle(void)
{
    sim_apps_run(&apps);
    if (!fake_net_run_until(mesh.net, nobody_lives, NULL, 60 * 1000)) {
        sim_tell_living(&mesh);
        fail_msg("a story goes on although its applications have ended");
    }
}

static uint64_t end_abruptly(bool of_flows)
{
    struct sim_mesh *m = &mesh;
    for (unsigned i = 0; i < m->n_pods; i++)
        sim_pod_remove(&m->pods[i], ENDING_DRAINED);
    sim_apps_run(&apps);
    sim_pods_drained(m);
    if (of_flows)
        sim_log_check(&apps);
    sim_apps_close(&apps);
    uint64_t trace = sim_mesh_close(&mesh);
    sim_log_close();
    story_goes_on = false;
    return trace;
}

/* As at a worker's stop: whatever lives is ended. */
uint64_t story_end_abruptly(void)
{
    return end_abruptly(true);
}

uint64_t story_end_by_hand(void)
{
    story_settle();
    return end_abruptly(false);
}

uint64_t story_end(void)
{
    story_settle();
    return story_end_abruptly();
}

uint64_t story_number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- words of the stories -------------------------------------------------------------------------------------------- */

uint64_t some_bytes(void)
{
    switch (rng_below(mesh.rng, 4)) {
    case 0:
        return 0;
    case 1:
        return rng_below(mesh.rng, 100);
    case 2:
        return rng_below(mesh.rng, 20000);
    default:
        return rng_below(mesh.rng, 200000);
    }
}

bool either(void)
{
    return sim_one_in(&mesh, 2);
}

struct sim_flow *call(struct sim_pod *from, struct sim_pod *to)
{
    const struct addr at = sim_pod_addr(to, SIM_PORT, either());
    return sim_flow_new(&apps, from, to, &at, some_bytes(), some_bytes());
}

struct sim_flow *call_service(struct sim_pod *from, unsigned service)
{
    const struct addr at = sim_service_addr(service, either());
    return sim_flow_new(&apps, from, service == ORDERS ? orders : NULL, &at, some_bytes(),
                        some_bytes());
}

struct sim_flow *started(struct sim_flow *f)
{
    sim_flow_start(f);
    return f;
}

void expect_clean(const struct sim_flow *f)
{
    if (!sim_flow_clean(f)) {
        sim_flow_tell(f);
        fail_msg("the flow should have ended well");
    }
}

void expect_broken(const struct sim_flow *f)
{
    assert_true(sim_flow_done(f));
    if (f->client.error == 0 || f->client.eof) {
        sim_flow_tell(f);
        fail_msg("the client should have got an error");
    }
}

void expect_field(const struct sim_flow *f, const char *key, const char *expected)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    if (!sim_log_outbound(f, line))
        fail_msg("flow %u has no line", f->id);
    if (strcmp(sim_log_field(line, key, value), expected) != 0)
        fail_msg("flow %u: %s should be '%s': %s", f->id, key, expected, line);
}

unsigned count_inbound(const char *key, const char *expected)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    unsigned n = 0;
    sim_log_rewind();
    while (sim_log_next(line))
        n += strcmp(sim_log_field(line, "direction", value), "inbound") == 0 &&
             strcmp(sim_log_field(line, key, value), expected) == 0;
    return n;
}

void run_ms(uint64_t ms)
{
    fake_net_run_for(mesh.net, ms);
}

static bool client_has_bytes(void *flow)
{
    const struct sim_flow *f = flow;
    return f->client.got > 0 || f->client.done;
}

/* Until the flow's relay runs. */
void until_it_flows(struct sim_flow *f)
{
    assert_true(fake_net_run_until(mesh.net, client_has_bytes, f, 120 * 1000));
}

/* A flow that goes on until it is told otherwise: far more bytes than its slow reader takes while the story goes on. */
struct sim_flow *endless(struct sim_flow *f)
{
    f->client_bytes = f->server_bytes = 40 * 1000 * 1000;
    f->read_max = 1000;
    f->tick_ms_max = 40;
    return started(f);
}

/* ---- running ---- */

void story_run(uint64_t (*story)(uint64_t seed), uint64_t n_seeds)
{
    if (getenv("WEIR_SEED")) {
        story_seed = story_number("WEIR_SEED", 0);
        (void)story(story_seed);
        return;
    }
    for (story_seed = 1; story_seed <= story_share(n_seeds); story_seed++)
        (void)story(story_seed);
}

uint64_t story_share(uint64_t n)
{
    return (n + SIM_SHARE - 1) / SIM_SHARE;
}

int story_over(void **state)
{
    (void)state;
    if (story_goes_on) { /* a test that failed left it as it was */
        seed_failed(story_seed);
        if (getenv("WEIR_SIM_LOG"))
            sim_log_tell();
        sim_log_close();
        story_goes_on = false;
    }
    return 0;
}

int story_main(const struct CMUnitTest *tests, size_t n)
{
    const char *only = getenv("WEIR_STORY");
    if (only)
        cmocka_set_test_filter(only);
    seed_watch(&story_seed);
    return seed_tell(_cmocka_run_group_tests("stories", tests, n, NULL, NULL));
}
