/*
 * Peers of other makes, and peers that are none.
 */
#include "tests/sim/sim_story.h"

static void expect_started_broken(struct sim_flow *f)
{
    sim_flow_start(f);
    sim_apps_run(&apps);
    expect_broken(f);
}

/* A peer that is no Weir. */
static uint64_t foreign_client(uint64_t seed)
{
    enum { EAGER = 5000, FLOOD = 4 * 1000 * 1000, CHUNKS_MOST = 160 };
    struct sim_foreign f;
    struct sim_foreign_stream s;
    uint8_t bytes[EAGER];
    char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX], mapped[ADDR_TEXT_MAX + 16],
        closed[ADDR_TEXT_MAX];
    story_begin(seed);
    addr_print(&(struct addr){orders->v4, SIM_PORT}, v4);
    addr_print(&(struct addr){orders->v6, SIM_PORT}, v6);
    addr_print(&(struct addr){orders->v4, 81}, closed);
    addr_print(&(struct addr){cart1->v4, SIM_PORT}, other);
    snprintf(mapped, sizeof mapped, "[::ffff:%.*s]:8080", (int)(strlen(v4) - 5), v4);
    sim_foreign_open(&f, &mesh, web, orders, web->credential);
    assert_true(sim_foreign_ready(&f));
    /* Bytes and the end come with the CONNECT, before our answer. */
    const char *const good[] = {v4, v6, mapped, "s1.shop:80", "S1.shop:80"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        bool known = i < 4; /* names are matched as they are written in the directory */
        struct sim_flow *flow =
            sim_flow_new(&apps, web, orders, &(struct addr){orders->v4, SIM_PORT},
                         EAGER - SIM_HEADER_BYTES, 1000 + seed * 100);
        flow->order = SIM_CLIENT_FIRST;
        flow->client = (struct sim_end){
            .flow = flow, .local = {web->v4, 1}, .sent = EAGER, .fin_sent = true, .done = true};
        sim_flow_pattern(flow, bytes, EAGER);
        sim_foreign_call(&f, &s, NULL, good[i], bytes, EAGER, true);
        sim_foreign_wait(&f, &s);
        assert_int_equal(s.status, known ? 200 : 400);
        if (!known)
            continue;
        assert_true(s.ended && !s.failed && s.got == flow->server_bytes);
        assert_true(flow->server && flow->server->eof && flow->server->got == EAGER);
    }
    /* A reset by the application does not look like an end. */
    struct sim_flow *broken = sim_flow_new(&apps, web, orders, &(struct addr){orders->v4, SIM_PORT},
                                           EAGER - SIM_HEADER_BYTES, 1000);
    broken->client = (struct sim_end){
        .flow = broken, .local = {web->v4, 1}, .sent = EAGER, .fin_sent = true, .done = true};
    broken->order = SIM_CLIENT_FIRST; /* the server still listens when it breaks off */
    broken->server_aborts = SIM_RESET;
    broken->abort_at = EAGER;
    sim_flow_pattern(broken, bytes, EAGER);
    sim_foreign_call(&f, &s, NULL, v4, bytes, EAGER, false);
    sim_foreign_wait(&f, &s);
    assert_true(s.status == 200 && s.failed && !s.ended && s.code == HTTP2_CONNECT_ERROR);
    assert_int_equal(sim_foreign_status(&f, NULL, other), 400);
    assert_int_equal(sim_foreign_status(&f, NULL, closed), 503);
    static const char *const bad[] = {"10.0.2.5:15008", "10.0.2.5:15001", "10.0.2.5:0",
                                      "10.0.2.5",       "nobody.shop:80", "s0.shop:80",
                                      "s1.shop:81",     "127.0.0.1:8080", "1.2.3:80"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(sim_foreign_status(&f, NULL, bad[i]), 400);
    assert_int_equal(sim_foreign_status(&f, "GET", v4), 405);
    sim_policy_allow(&mesh, "only-cart", orders, cart1);
    run_ms(100);
    assert_int_equal(sim_foreign_status(&f, NULL, v4), 401);
    sim_policy_remove(&mesh, "only-cart");
    run_ms(100);
    /* It gives up while the application does not answer; what it says meanwhile is held back by its window. */
    uint8_t *flood = calloc(1, FLOOD);
    mesh.troubles.app_lost = 100;
    mesh.nodes[1].chunks_most = 0;
    sim_foreign_call(&f, &s, NULL, v4, flood, FLOOD, false);
    free(flood);
    run_ms(5000);
    assert_in_range(mesh.nodes[1].chunks_most, 10, CHUNKS_MOST);
    run_ms(200);
    http2_stream_reset(&s.stream, HTTP2_CANCEL);
    sim_foreign_wait(&f, &s);
    /* And it goes away with everything. */
    sim_foreign_call(&f, &s, NULL, v4, bytes, EAGER, false);
    run_ms(200);
    sim_foreign_close(&f);
    run_ms(1000);
    assert_int_equal(orders->local.n_inbounds, 0);
    assert_int_equal(
        count_inbound("ending", "reset by client") + count_inbound("ending", "tunnel failed"), 2);
    assert_int_equal(count_inbound("ending", "reset by server"), 1);
    return story_end();
}

/* Certificates that don't fit, and peers that are none. */
static uint64_t wrong_peers(uint64_t seed)
{
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n";
    struct sim_foreign f;
    struct sim_foreign_stream s = {.status = 0};
    int fd;
    story_begin(seed);
    /* What the client's node believes of orders is not what orders is. */
    snprintf(orders->account, sizeof orders->account, "other");
    sim_pod_publish_to(orders, 0);
    struct sim_flow *mismatch = started(call(web, orders));
    uint64_t start_ms = fake_net_now_ms(mesh.net);
    story_settle();
    expect_broken(mismatch);
    expect_field(mismatch, "ending", "peer has another identity");
    expect_field(mismatch, "error", "the peer is spiffe://cluster.local/ns/shop/sa/orders");
    assert_true(fake_net_now_ms(mesh.net) - start_ms < 5000); /* told, not waited for */
    snprintf(orders->account, sizeof orders->account, "orders");
    sim_pod_publish(orders);
    run_ms(100);
    /* A certificate of another authority. */
    struct credential *other_ca = sim_credential(&mesh, orders->id.text, true),
                      *other_domain =
                          sim_credential(&mesh, "spiffe://elsewhere/ns/shop/sa/web", false);
    local_pod_set_credential(&orders->local, other_ca);
    struct sim_flow *untrusted = started(call(web, orders)),
                    *distrusting = started(call(orders, web));
    story_settle();
    expect_broken(untrusted);
    expect_field(untrusted, "ending", "peer not trusted");
    expect_broken(distrusting);
    sim_pod_certify(orders);
    /* One of ours, of a trust domain that is not. */
    sim_foreign_open(&f, &mesh, web, orders, other_domain);
    if (sim_foreign_ready(&f)) /* it asks at once: nobody listens */
        sim_foreign_call(&f, &s, NULL, "10.0.2.5:8080", NULL, 0, false);
    run_ms(2000);
    assert_true(f.closed && s.status == 0);
    assert_int_equal(count_inbound("error", "the peer is spiffe://elsewhere/ns/shop/sa/web"), 1);
    sim_foreign_close(&f);
    /* Whoever says nothing, or no TLS. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socket_open(AF_INET, &fd), 0);
        (void)socket_set_mark(fd, SIM_MARK);
        const struct addr at = sim_pod_addr(orders, 15008, false);
        assert_int_equal(fake_socket_connect(fd, &at), 0);
        if (i == 0)
            assert_true(fake_socket_write(fd, garbage, sizeof garbage) > 0);
        run_ms(20 * 1000);
        socket_close(fd);
    }
    assert_int_equal(count_inbound("ending", "handshake timeout"), 1);
    /* Garbage, the foreign domain, orders' own, web's refusal; and perhaps the mismatch, if its server had not yet finished. */
    assert_in_range(
        count_inbound("ending", "tls failed") + count_inbound("ending", "peer not trusted"), 4, 5);
    /* Whoever calls a capture port itself. */
    mesh.plain_ports = true;
    struct addr ports[] = {sim_pod_addr(orders, 15001, false), sim_pod_addr(orders, 15006, false)};
    for (int i = 0; i < 2; i++)
        expect_started_broken(sim_flow_new(&apps, batch, NULL, &ports[i], 10, 10));
    mesh.plain_ports = false;
    assert_int_equal(sim_ending_count(&mesh, ENDING_NOT_CAPTURED), 2);
    credential_unref(other_ca);
    credential_unref(other_domain);
    return story_end();
}

/* ---- many handshakes at once ---- */

enum { CROWD = 32 };

static bool crowd_is_there(void *arg)
{
    (void)arg;
    return orders->local.n_servers == CROWD;
}

static bool somebody_waits(void *arg)
{
    (void)arg;
    return orders->local.turn.n_waiting > 0;
}

/* Who begins to say hello, each a byte at a time, all at once: until one of them has to wait for a later turn. */
static void crowd_comes(int fds[static CROWD])
{
    static const uint8_t hello[] = {22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3};
    const struct addr at = sim_pod_addr(orders, 15008, false);
    fake_net_set_weather(mesh.net, &(struct fake_weather){.socket_bytes = 65536});
    for (size_t i = 0; i < CROWD; i++) {
        uint32_t before = fake_net_enter_namespace(mesh.net, web->namespace_id);
        assert_int_equal(socket_open(AF_INET, &fds[i]), 0);
        fake_net_enter_namespace(mesh.net, before);
        (void)socket_set_mark(fds[i], SIM_MARK);
        assert_int_equal(fake_socket_connect(fds[i], &at), 0);
    }
    assert_true(fake_net_run_until(mesh.net, crowd_is_there, NULL, 1000));
    for (size_t n = 0; n < sizeof hello; n++) {
        for (size_t i = 0; i < CROWD; i++)
            assert_int_equal(fake_socket_write(fds[i], &hello[n], 1), 1);
        if (fake_net_run_until(mesh.net, somebody_waits, NULL, 5))
            return;
    }
    fail_msg("nobody had to wait");
}

static void crowd_goes(const int fds[static CROWD])
{
    for (size_t i = 0; i < CROWD; i++)
        socket_close(fds[i]);
}

/* More steps of handshakes than a turn has room for wait for the next turns, and nobody is forgotten. */
static uint64_t crowd_of_handshakes(uint64_t seed)
{
    int fds[CROWD];
    story_begin(seed);
    crowd_comes(fds);
    struct sim_flow *honest = started(call(web, orders));
    sim_apps_run(&apps);
    expect_clean(honest);
    assert_int_equal(orders->local.turn.n_waiting, 0);
    run_ms(20 * 1000);
    assert_int_equal(count_inbound("ending", "handshake timeout"), CROWD);
    crowd_goes(fds);
    return story_end();
}

/* Those that wait when their pod leaves go with it. */
static uint64_t pod_leaves_a_crowd(uint64_t seed)
{
    int fds[CROWD];
    story_begin(seed);
    crowd_comes(fds);
    sim_pod_remove(orders, ENDING_WORKLOAD_GONE);
    sim_pods_drained(&mesh);
    crowd_goes(fds);
    return story_end_abruptly();
}

/* ---- many streams at once ---- */

enum { STREAMS = 6 * TURN_SHARE_ALONE }; /* of both families */

/* They wait for the tunnel together, and go through it as one. */
static void streams_come(struct sim_flow *flows[static STREAMS])
{
    fake_net_set_weather(mesh.net, &(struct fake_weather){.socket_bytes = 65536});
    for (size_t i = 0; i < STREAMS; i++)
        flows[i] = started(call(web, orders));
    if (!fake_net_run_until(mesh.net, somebody_waits, NULL, 5000))
        fail_msg("nobody had to wait");
}

/* More than a turn has room for begin in the next ones, and nobody is forgotten. */
static uint64_t crowd_of_streams(uint64_t seed)
{
    struct sim_flow *flows[STREAMS];
    story_begin(seed);
    streams_come(flows);
    sim_apps_run(&apps);
    for (size_t i = 0; i < STREAMS; i++)
        expect_clean(flows[i]);
    assert_int_equal(orders->local.turn.n_waiting, 0);
    return story_end();
}

/* Who is refused has waited for the turn like everybody, and is refused by what counts then. */
static uint64_t crowd_is_denied(uint64_t seed)
{
    struct sim_flow *flows[STREAMS];
    bool from_the_start = seed % 2;
    story_begin(seed);
    if (from_the_start)
        sim_policy_allow(&mesh, "nobody", orders, NULL);
    streams_come(flows);
    size_t n_waiting = orders->local.turn.n_waiting;
    if (!from_the_start)
        sim_policy_allow(&mesh, "nobody", orders, NULL);
    sim_apps_run(&apps);
    for (size_t i = 0; from_the_start && i < STREAMS; i++)
        expect_broken(flows[i]);
    unsigned n_denied = count_inbound("ending", ending_text(ENDING_DENIED));
    assert_in_range(n_denied, from_the_start ? STREAMS : n_waiting, STREAMS);
    return story_end();
}

/* Those that wait when their pod leaves, or the tunnel breaks, go with it. */
static uint64_t crowd_is_cut_off(uint64_t seed)
{
    struct sim_flow *flows[STREAMS];
    story_begin(seed);
    streams_come(flows);
    sim_pod_remove(either() ? orders : web, ENDING_WORKLOAD_GONE);
    sim_pods_drained(&mesh);
    return story_end_abruptly();
}

#define STORIES(X)                                                                                 \
    X(foreign_client, 10) X(wrong_peers, 10) X(crowd_of_handshakes, 10) X(pod_leaves_a_crowd, 10) \
    X(crowd_of_streams, 5) X(crowd_is_denied, 6) X(crowd_is_cut_off, 10)

STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(STORY_TEST)};
    return story_main(tests, ARRAY_SIZE(tests));
}
