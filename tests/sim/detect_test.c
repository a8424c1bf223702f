/*
 * What is no HTTP at ports that nobody declared (--http-detect on): it passes as bytes, from both sides at once, nobody who
 * speaks first waits for us, and rules about requests deny more and allow less, as where nobody looks.
 */
#include "tests/sim/sim_story.h"
#include <errno.h>

static void detect_begin(uint64_t seed)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed, .detect = true, .same_node_hbone = seed % 3 == 0});
    story_start_pods();
}

/* Whoever calls whomever, by address or Service. */
static uint64_t bytes_pass(uint64_t seed)
{
    struct sim_flow *flows[16];
    detect_begin(seed);
    struct sim_pod *const from[] = {web, rogue, cart1, orders}, *const to[] = {cart0, cart1, orders, batch};
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        /* Nobody calls itself by a tunnel. */
        size_t n_callers = mesh.nodes[0].config.same_node_hbone ? 2 : ARRAY_SIZE(from);
        struct sim_pod *caller = from[rng_below(mesh.rng, n_callers)];
        flows[i] = i == 0     ? call(batch, orders) /* as plaintext */
                   : either() ? call_service(caller, either() ? CART : ORDERS)
                              : call(caller, to[rng_below(mesh.rng, ARRAY_SIZE(to))]);
        flows[i]->order = (enum sim_order)rng_below(mesh.rng, 3);
        sim_flow_start(flows[i]);
    }
    story_settle();
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
        expect_clean(flows[i]);
    return story_end();
}

/* No POST anywhere: bytes could be one. The connection ends before one of them has passed. */
static uint64_t denied_as_bytes(uint64_t seed)
{
    detect_begin(seed);
    sim_policy_no_method(&mesh, "no-post", "POST");
    run_ms(100);
    struct sim_flow *flows[] = {call_service(web, ORDERS), call(web, cart0), call(batch, orders)};
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        sim_flow_start(flows[i]);
        flows[i]->client_bytes = flows[i]->client_bytes ? flows[i]->client_bytes : 100;
    }
    sim_apps_run(&apps);
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        expect_broken(flows[i]);
        assert_true(!flows[i]->server || flows[i]->server->got == 0);
    }
    assert_true(sim_ending_count(&mesh, ENDING_DENIED) >= ARRAY_SIZE(flows));
    return story_end();
}

/* ---- by hand ---------------------------------------------------------------- */

static int calling, serving, listening;
static struct addr called;
static char heard[64];
static size_t n_heard;

static int open_from(struct sim_pod *p)
{
    int fd;
    uint32_t before = fake_net_enter_namespace(mesh.net, p->namespace_id);
    assert_int_equal(socket_open(ip_family(&called.ip), &fd), 0);
    fake_net_enter_namespace(mesh.net, before);
    return fd;
}
static bool is_connected(void *arg)
{
    (void)arg;
    return fake_socket_connect(calling, &called) == 0;
}
static bool is_accepted(void *arg)
{
    (void)arg;
    return fake_socket_accept(listening, &serving) == 0;
}
static bool is_heard(void *arg)
{
    const struct text wanted = text_of(arg);
    int fd = wanted.data[0] == '2' ? calling : serving;
    ssize_t n = fake_socket_read(fd, heard + n_heard, sizeof heard - n_heard);
    n_heard += n > 0 ? (size_t)n : 0;
    return n_heard >= wanted.len && memcmp(heard, wanted.data, wanted.len) == 0;
}
static void hears(const char *wanted, uint64_t within_ms)
{
    uint64_t start = fake_net_now_ms(mesh.net);
    n_heard = 0;
    memset(heard, 0, sizeof heard);
    if (!fake_net_run_until(mesh.net, is_heard, (void *)(uintptr_t)wanted, within_ms))
        fail_msg("'%s' is not heard within %llu ms: '%.*s'", wanted, (unsigned long long)within_ms, (int)n_heard, heard);
    assert_true(fake_net_now_ms(mesh.net) - start <= within_ms);
}
static void says(int fd, const char *what)
{
    assert_int_equal(fake_socket_write(fd, what, strlen(what)), strlen(what));
}

/* kind 0: by a tunnel; 1: within a node; 2: from outside of the mesh. */
static void by_hand(uint64_t seed, unsigned kind)
{
    story_begin_with(&(struct sim_mesh_options){.seed = seed, .detect = true, .calm = true});
    struct sim_pod *from = kind == 2 ? batch : web, *to = kind == 1 ? cart0 : orders;
    cart1->services = 0; /* the Service has one endpoint */
    story_start_pods();
    called = kind == 2 ? sim_pod_addr(to, SIM_PORT, false)
                       : sim_service_addr(kind == 1 ? CART : ORDERS, false);
    timer_stop(ring_timers(mesh.apps), &apps.accepting); /* what comes is ours */
    for (unsigned i = 0; i < mesh.n_listeners; i++)
        if (mesh.listeners[i].namespace_id == to->namespace_id)
            listening = mesh.listeners[i].fd;
    run_ms(100);
    calling = open_from(from);
    assert_true(fake_net_run_until(mesh.net, is_connected, NULL, 1000));
}

static uint64_t by_hand_end(void)
{
    socket_close(calling);
    socket_close(serving);
    if (!fake_net_run_until(mesh.net, nobody_lives, NULL, 60 * 1000))
        fail_msg("somebody lives");
    return story_end_by_hand();
}

/* The client waits for the greeting without a word, or with a word that could become HTTP: no time passes because of us. */
static uint64_t server_first(uint64_t seed)
{
    by_hand(seed, (unsigned)(seed % 3));
    bool speaks = seed / 3 % 2;
    assert_true(fake_net_run_until(mesh.net, is_accepted, NULL, 1000));
    if (speaks)
        says(calling, "GET");
    run_ms(50);
    says(serving, "220 ready\r\n");
    hears("220 ready\r\n", 100);
    says(calling, "EHLO x\r\n");
    hears(speaks ? "GETEHLO x\r\n" : "EHLO x\r\n", 100);
    says(serving, "250 x\r\n");
    hears("250 x\r\n", 100);
    return by_hand_end();
}

/* What only might have become HTTP passes a second later. */
static uint64_t half_a_line(uint64_t seed)
{
    by_hand(seed, (unsigned)(seed % 3));
    assert_true(fake_net_run_until(mesh.net, is_accepted, NULL, 1000));
    says(calling, "GET /a");
    hears("GET /a", seed % 3 == 2 ? 1300 : 2500); /* two node proxies, and each may wait so long */
    says(serving, "200 b");
    hears("200 b", 100);
    return by_hand_end();
}

static bool web_is_drained(void *arg)
{
    (void)arg;
    return web->drained;
}

/* Within a node all has been said and ended well, but the application has not taken the last of it: it gets that, and whoever
 * removes the pod that said it does not wait for that. */
static uint64_t caller_leaves(uint64_t seed)
{
    static uint8_t bytes[100000]; /* more than a socket takes */
    size_t n_said = 0, n_taken = 0;
    by_hand(seed, 1);
    assert_true(fake_net_run_until(mesh.net, is_accepted, NULL, 1000));
    while (n_said < sizeof bytes) {
        ssize_t n = fake_socket_write(calling, bytes + n_said, sizeof bytes - n_said);
        assert_true(n > 0);
        n_said += (size_t)n;
        run_ms(100);
    }
    assert_int_equal(socket_shutdown_send(calling) | socket_shutdown_send(serving), 0);
    run_ms(100);
    sim_pod_remove(web, ENDING_WORKLOAD_GONE);
    assert_true(fake_net_run_until(mesh.net, web_is_drained, NULL, 1000));
    assert_int_equal(cart0->local.n_inbounds, 1);
    for (ssize_t n; (n = fake_socket_read(serving, bytes, sizeof bytes)) != 0; run_ms(1)) {
        assert_true(n > 0 || n == -EAGAIN);
        n_taken += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(n_taken, sizeof bytes);
    return by_hand_end();
}

#define STORIES(X) X(caller_leaves, 4) X(bytes_pass, 60) X(denied_as_bytes, 12) X(server_first, 12) X(half_a_line, 6)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(STORY_TEST)};
    return story_main(tests, ARRAY_SIZE(tests));
}
