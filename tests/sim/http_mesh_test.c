/*
 * Requests through the mesh: a client in one pod, an application in another, ports that are declared HTTP. By a tunnel, within a
 * node and from outside of the mesh; HTTP/1.1 and HTTP/2; and a port that is not declared stays bytes.
 */
#include "nodeproxy/path/inbound_http.h"
#include "tests/sim/http_calls.h"
#include "tests/sim/sim_log.h"
#include "tests/sim/sim_seed.h"

enum { APP_PORT_HTTP = 1, REQUESTS = 12, PORT = SIM_PORT };

static struct sim_mesh mesh;
static struct sim_pod *web, *near_by, *orders, *batch;
static enum http_version version;
static int listening, calling;
static struct addr called, seen_from;
static struct timer ticking;
static unsigned n_left, n_asked, n_accepted;
static bool rough, upgrades, only_whole; /* only_whole: each is answered when it is over */
static unsigned n_posts, n_refused;
static unsigned sockets_ms; /* so late they may come */
static unsigned n_lines_expected;

static void accepted(int fd)
{
    struct addr from;
    assert_int_equal(socket_peer(fd, &from), 0);
    assert_true(ip_equal(&from.ip, &seen_from.ip)); /* the application sees its client */
    n_accepted++;
    assert_non_null(wire_new(server_ring, fd, version, true, &server_link_events, 0));
}

static void judged(struct call *c)
{
    client_over(c);
    if (c->own_answer) { /* whole, even if nobody listens to the rest of what was asked */
        assert_int_equal(c->status, 403);
        assert_true(c->heard_all);
        n_refused++;
    } else {
        assert_int_equal(c->error, 0);
    }
}

static void ask_some(void)
{
    while (n_left > 0 && client_can_ask()) {
        struct wish w = {
            .seed = n_asked,
            .request_bytes = one_in(3) ? 0 : rng_below(chance, 30000),
            .answer_bytes = rng_below(chance, one_in(5) ? 400000 : 3000),
            .status = 200,
            .trailers = one_in(4),
            .informs = one_in(5),
            .length = one_in(2),
            .aborts = rough && one_in(6),
            .pauses = one_in(4) ? 5 : 0,
        };
        if (upgrades && n_left == 1) { /* the last one: nothing comes after it by this connection */
            w.upgrade = true;
            w.trailers = w.informs = false;
        }
        struct call *c = ask(&w);
        if (!c)
            return;
        if (only_whole)
            c->told_over = judged;
        n_posts += w.request_bytes > 0;
        n_left--;
        n_asked++;
    }
}

static void tick(struct timer *t)
{
    int fd;
    sim_alloc_leave();
    while (fake_socket_accept(listening, &fd) == 0)
        accepted(fd);
    if (calling >= 0) {
        int r = fake_socket_connect(calling, &called);
        if (r == 0) {
            client = wire_new(client_ring, calling, version, false, &client_link_events, 0);
            assert_non_null(client);
            client->told_gone = client_gone;
            calling = -1;
        } else {
            assert_int_equal(r, -EAGAIN);
        }
    }
    ask_some();
    timer_start(ring_timers(mesh.apps), t, 1 + rng_below(chance, 10));
}

static void mesh_begin(uint64_t seed, bool http)
{
    seed_begins();
    sim_log_open();
    sim_mesh_open(&mesh, &(struct sim_mesh_options){.seed = seed, .quick = true, .http = http});
    mesh.app_protocol = APP_PORT_HTTP;
    mesh.troubles.refill_ms_max = sockets_ms;
    web = sim_pod_add(&mesh, 0, "web", "web");
    near_by = sim_pod_add(&mesh, 0, "near", "near");
    orders = sim_pod_add(&mesh, 1, "orders", "orders");
    batch = sim_pod_add(&mesh, -1, "batch", "batch");
    near_by->services = 1u << 0;
    orders->services = 1u << 1;
    sim_service(&mesh, 0);
    sim_service(&mesh, 1);
    for (unsigned i = 0; i < mesh.n_pods; i++)
        sim_pod_start(&mesh.pods[i]);
    net = mesh.net;
    chance = mesh.rng;
    client_ring = server_ring = mesh.apps;
    list_init(&calls);
    n_calls = n_wires = n_client_whole = n_client_over = n_asked = n_accepted = 0;
    n_posts = n_refused = 0;
    client = NULL;
    client_told_slot = ask_some;
    calling = -1;
}

static void mesh_call(struct sim_pod *from, struct sim_pod *to, enum http_version spoken)
{
    version = spoken;
    bool v6 = one_in(2);
    called = sim_pod_addr(to, PORT, v6);
    seen_from = sim_pod_addr(from, 0, v6);
    listening = sim_listen(&mesh, to, PORT);
    uint32_t before = fake_net_enter_namespace(net, from->namespace_id);
    assert_int_equal(socket_open(ip_family(&called.ip), &calling), 0);
    fake_net_enter_namespace(net, before);
    timer_init(&ticking, tick);
    timer_start(ring_timers(mesh.apps), &ticking, 1);
}

static bool all_over(void *arg)
{
    (void)arg;
    return n_left == 0 && n_calls == 0;
}
static bool all_gone(void *arg)
{
    (void)arg;
    return n_calls == 0 && n_wires == 0 && sim_living(&mesh) == 0;
}

/* The connection has one ending at each end of it. */
static void check_closed(void)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    unsigned n = 0;
    sim_log_rewind();
    for (; sim_log_next(line); n++)
        if (strcmp(sim_log_field(line, "ending", value), "closed") != 0)
            goto wrong;
    assert_in_range(n, 1, 2);
    return;
wrong:
    sim_log_tell();
    fail_msg("it should have closed: %s", line);
}

static uint64_t mesh_end(bool ends_well)
{
    if (client && client->link)
        http_link_drain(client->link);
    if (!fake_net_run_until(net, all_gone, NULL, 60 * 1000))
        fail_msg("stuck: %u calls, %u wires, %zu stories", n_calls, n_wires, sim_living(&mesh));
    timer_stop(ring_timers(mesh.apps), &ticking);
    if (ends_well)
        check_closed();
    if (ends_well)
        assert_int_equal(sim_log_requests("closed"), n_lines_expected);
    uint64_t trace = sim_mesh_close(&mesh);
    sim_log_check_requests();
    sim_log_close();
    return trace;
}

static uint64_t play(uint64_t seed, int kind, bool http)
{
    mesh_begin(seed, http);
    struct sim_pod *from = kind == 2 ? batch : web, *to = kind == 1 ? near_by : orders;
    n_left = REQUESTS;
    as_it_was = !http;
    upgrades = seed % 4 == 1;
    mesh_call(from, to, seed % 2 ? HTTP_VERSION_1 : HTTP_VERSION_2);
    if (!fake_net_run_until(net, all_over, NULL, 300 * 1000))
        fail_msg("stuck: %u to ask, %u calls, %zu stories", n_left, n_calls, sim_living(&mesh));
    assert_int_equal(n_client_whole, n_asked);
    assert_int_equal(n_accepted, 1);
    n_lines_expected = http ? n_asked : 0;
    return mesh_end(true);
}

static uint64_t by_tunnel(uint64_t seed)
{
    return play(seed, 0, true);
}
static uint64_t within_a_node(uint64_t seed)
{
    return play(seed, 1, true);
}
static uint64_t from_outside(uint64_t seed)
{
    return play(seed, 2, true);
}
static uint64_t as_bytes(uint64_t seed)
{
    return play(seed, (int)(seed % 3), false);
}

/* Sockets that come when a connection might have been given up long ago: whoever asked is served, and nobody is refused. */
static uint64_t with_late_sockets(uint64_t seed)
{
    sockets_ms = 50 * 1000;
    uint64_t trace = play(seed, 2, seed % 3 > 0);
    sockets_ms = 0;
    return trace;
}

/*
 * A policy on a method: each POST is answered 403 as long as it is there, each GET passes, by one connection that lives through the
 * changes. Where requests are bytes the same policy denies them all.
 */
static uint64_t denied_one_by_one(uint64_t seed)
{
    mesh_begin(seed, true);
    int kind = (int)(seed % 3);
    struct sim_pod *from = kind == 2 ? batch : web, *to = kind == 1 ? near_by : orders;
    as_it_was = upgrades = false;
    only_whole = true;
    sim_policy_no_method(&mesh, "no-post", "POST");
    n_left = REQUESTS;
    mesh_call(from, to, seed / 3 % 2 ? HTTP_VERSION_1 : HTTP_VERSION_2);
    if (!fake_net_run_until(net, all_over, NULL, 300 * 1000))
        fail_msg("stuck: %u to ask, %u calls, %zu stories", n_left, n_calls, sim_living(&mesh));
    unsigned n_gets = n_asked - n_posts;
    assert_int_equal(n_client_whole, n_gets);
    assert_int_equal(n_refused, n_posts);
    assert_int_equal(sim_log_requests("denied by policy"), n_posts);
    sim_policy_remove(&mesh, "no-post");
    n_left = REQUESTS;
    if (!fake_net_run_until(net, all_over, NULL, 300 * 1000))
        fail_msg("stuck: %u to ask, %u calls, %zu stories", n_left, n_calls, sim_living(&mesh));
    assert_int_equal(n_client_whole, n_gets + REQUESTS);
    only_whole = false;
    n_lines_expected = n_client_whole;
    uint64_t trace = mesh_end(true);
    return trace;
}

/* The same where nobody reads requests: no connection comes to be. */
static uint64_t denied_as_bytes(uint64_t seed)
{
    mesh_begin(seed, false);
    int kind = (int)(seed % 3);
    struct sim_pod *from = kind == 2 ? batch : web, *to = kind == 1 ? near_by : orders;
    as_it_was = true;
    upgrades = false;
    sim_policy_no_method(&mesh, "no-post", "POST");
    n_left = 1;
    mesh_call(from, to, HTTP_VERSION_1);
    fake_net_run_for(net, 5 * 1000);
    n_left = 0;
    assert_int_equal(n_accepted, 0);
    assert_int_equal(n_client_whole, 0);
    assert_true(sim_ending_count(&mesh, ENDING_DENIED) >= 1); /* at either end of it */
    if (calling >= 0)
        socket_close(calling);
    calling = -1;
    if (client && client->link)
        http_link_close(client->link);
    return mesh_end(false);
}

/* Living requests end with their connection, when a policy says so and when the pod goes; the client never takes half for whole. */
static uint64_t ended_in_the_middle(uint64_t seed)
{
    mesh_begin(seed, true);
    int kind = (int)(seed % 3);
    struct sim_pod *from = kind == 2 ? batch : web, *to = kind == 1 ? near_by : orders;
    rough = true;
    as_it_was = upgrades = false;
    n_left = 6;
    mesh_call(from, to, seed / 3 % 2 ? HTTP_VERSION_1 : HTTP_VERSION_2);
    fake_net_run_for(net, 20 + rng_below(chance, 150));
    n_left = 0;
    if (seed % 2)
        sim_policy_allow(&mesh, "nobody", to, NULL);
    else
        sim_pod_remove(to, ENDING_WORKLOAD_GONE);
    fake_net_run_for(net, 15 * 1000);
    if (calling >= 0)
        socket_close(calling);
    calling = -1;
    rough = false;
    if (client && client->link)
        http_link_close(client->link);
    return mesh_end(false);
}

static unsigned count_ended(enum ending ending)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    unsigned n = 0;
    sim_log_rewind();
    while (sim_log_next(line))
        n += strcmp(sim_log_field(line, "ending", value), ending_text(ending)) == 0;
    return n;
}

/* A client that says nothing is idle, as it is where bytes are relayed. */
static uint64_t silent(uint64_t seed)
{
    mesh_begin(seed, true);
    mesh.nodes[1].config.idle_ms = 20000;
    n_left = 0;
    mesh_call(batch, orders, HTTP_VERSION_1);
    fake_net_run_for(net, 15000);
    assert_int_equal(sim_living(&mesh), 1);
    fake_net_run_for(net, 10000);
    assert_int_equal(sim_living(&mesh), 0);
    assert_int_equal(count_ended(ENDING_IDLE_TIMEOUT), 1);
    return mesh_end(false);
}

/* An answer that breaks off is the server's doing in the connection's line, too. */
static uint64_t half_an_answer(uint64_t seed)
{
    const struct wish w = {.answer_bytes = 600000, .status = 200, .aborts = true};
    mesh_begin(seed, true);
    as_it_was = false;
    n_left = 0;
    mesh_call(batch, orders, HTTP_VERSION_1);
    fake_net_run_for(net, 1000);
    assert_true(client_can_ask());
    assert_non_null(ask(&w));
    fake_net_run_for(net, 5000);
    assert_int_equal(sim_living(&mesh), 0);
    assert_int_equal(count_ended(ENDING_RESET_BY_SERVER), 1);
    assert_int_equal(sim_log_requests(ending_text(ENDING_RESET_BY_SERVER)), 1);
    return mesh_end(false);
}

static uint64_t story_seed;
static void run(uint64_t (*story)(uint64_t seed), uint64_t n)
{
    const char *one = getenv("WEIR_SEED");
    uint64_t last = one ? strtoull(one, NULL, 10) : n;
    for (story_seed = one ? last : 1; story_seed <= last; story_seed++)
        (void)story(story_seed);
}

#define STORIES(X)                                                                                 \
    X(by_tunnel, 30)                                                                               \
    X(within_a_node, 30)                                                                           \
    X(from_outside, 20) X(as_bytes, 12) X(ended_in_the_middle, 60) X(silent, 2)                     \
        X(half_an_answer, 5) X(with_late_sockets, 20) X(denied_one_by_one, 24) X(denied_as_bytes, 6)
#define STORY(name, n)                                                                             \
    static void name##_story(void **state)                                                         \
    {                                                                                              \
        (void)state, run(name, n);                                                                 \
    }
#define TEST(name, n) cmocka_unit_test(name##_story),
STORIES(STORY)

/* As Services and their endpoints say it, in whichever of the two. */
static void declared(void **state)
{
    (void)state;
    char tcp_key[] = "ns/tcp", http_key[] = "ns/http", named_key[] = "ns/named",
         none_key[] = "ns/none", other_key[] = "other/tcp", ns[] = "ns";
    struct port_pair http[] = {{80, 8080, 1}, {81, 9090, 0}}, grpc[] = {{90, 8080, 3}},
                     tcp[] = {{91, 8080, 4}};
    struct port_pair told_by_service[] = {{70, 7070, 0}};
    struct workload_service s[] = {{http_key, http, 2},
                                   {none_key, grpc, 1},
                                   {named_key, told_by_service, 1},
                                   {other_key, tcp, 1}, /* has no say */
                                   {tcp_key, tcp, 1}};
    struct workload w = {.ns = ns, .services = s, .n_services = 4};
    struct directory *d;
    directory_thread_register();
    assert_int_equal(directory_new(&d), 0);
    struct service *named = service_new();
    assert_non_null(named);
    free(named->key);
    named->key = text_dup(TEXT("ns/named"));
    named->ports = calloc(1, sizeof *named->ports);
    assert_true(named->key && named->ports);
    named->ports[0] = (struct port_pair){70, 0, 2};
    named->n_ports = 1;
    assert_int_equal(directory_put_service(d, named), 0);
    assert_int_equal(inbound_http_declared(d, &w, 8080), HTTP_DECLARED);
    assert_int_equal(inbound_http_declared(d, &w, 7070), HTTP_DECLARED);
    assert_int_equal(inbound_http_declared(d, &w, 9090), HTTP_DECLARED_UNTOLD);
    assert_int_equal(inbound_http_declared(d, &w, 80), HTTP_DECLARED_UNTOLD); /* no service has it */
    grpc[0].app_protocol = 0; /* one of two says it */
    assert_int_equal(inbound_http_declared(d, &w, 8080), HTTP_DECLARED_UNTOLD);
    w.n_services = 5; /* they do not agree: bytes */
    assert_int_equal(inbound_http_declared(d, &w, 8080), HTTP_DECLARED_NOT);
    directory_thread_offline();
    directory_thread_unregister();
    directory_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(declared), STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
