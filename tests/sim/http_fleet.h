/*
 * A workload that calls a Service whose port is declared HTTP (or is not, and is found to be it), and the Service's endpoints: in its own node, in another one
 * and outside of the mesh. The endpoints may fail, hang, close what idles, or be gone; who served what is counted.
 *
 *   web (node 0)  --- one connection --->  s0 : near (node 0), orders, stock (node 1), legacy (no mesh)
 */
#ifndef TESTS_SIM_HTTP_FLEET_H
#define TESTS_SIM_HTTP_FLEET_H
#include "tests/sim/http_calls.h"
#include "tests/sim/sim_log.h"
#include "tests/sim/sim_seed.h"

enum { SERVERS = 4, WIRES_MAX = 400, SEEDS_MAX = 20000, PORT = SIM_PORT };

struct fleet_server {
    struct sim_pod *pod;
    int listening; /* -1: it does not */
    unsigned n_served, n_accepted, n_checks;
    bool hangs, fails, refuses; /* never answers; answers 503; resets what comes */
    bool breaks_off;            /* says 103, and a little later breaks off */
};
static struct fleet {
    struct sim_mesh mesh;
    struct sim_pod *web;
    struct fleet_server servers[SERVERS];
    struct wire *wires[WIRES_MAX]; /* of the servers */
    bool used[WIRES_MAX];          /* by a request */
    uint8_t seen[SEEDS_MAX];       /* how often a server saw the request of this seed */
    int calling;
    struct addr called;
    enum http_version client_version, server_version;
    struct timer ticking;
    unsigned n_left, n_asked;
    unsigned closes_idle; /* one in so many ticks a server ends a connection that may idle */
    bool posts, only_posts, plain; /* bodies; nothing but plain requests */
    unsigned status;   /* that servers answer; 0: 200 */
    uint64_t bytes;    /* of each request, unless `posts` says otherwise */
    bool once;         /* no POST is seen twice */
    const char *origin; /* of each request; NULL: none is said */
    const char *session; /* likewise */
    bool preflights;
    bool reconnects;      /* the client, when its connection has ended */
    void (*act)(void);
    void (*served)(struct call *c); /* a request's head has come to a server */
    bool (*checked)(struct call *c); /* it was a health check, and is no request of the client */
    void (*answered)(const struct call *c);
    unsigned own[600]; /* answers of the proxy, by status */
} fleet;

static inline struct fleet_server *server_of(const struct wire *w)
{
    return &fleet.servers[(uintptr_t)w->user];
}

static inline void fleet_breaks(struct timer *t)
{
    call_over(container_of(t, struct call, pause), -ECANCELED);
}
static inline void fleet_break_off(struct call *c)
{
    struct http_head h;
    http_head_init(&h);
    h.status = 103;
    assert_int_equal(http_head_add(&h, TEXT("link"), TEXT("</a>")), 0);
    assert_int_equal(http_stream_inform(&c->s, &h), 0);
    http_head_done(&h);
    c->wish.silent = true;
    c->pause.fired = fleet_breaks;
    timer_start(ring_timers(c->ring), &c->pause, 100);
}

static inline void fleet_opened(struct http_stream *s)
{
    struct call *c = s->user;
    struct fleet_server *f = server_of(s->link->user);
    if (fleet.checked && fleet.checked(c)) {
        f->n_served--;
        f->n_checks++;
        return;
    }
    unsigned seed = (unsigned)number_in(&s->head, "x-seed");
    assert_true(seed < SEEDS_MAX);
    fleet.seen[seed]++;
    if (fleet.once && fleet.seen[seed] > 1 && text_equal(s->head.method, TEXT("POST")))
        fail_msg("request %u was said twice", seed);
    server_opened(s);
    if (fleet.served)
        fleet.served(c);
    if (f->hangs)
        c->wish.silent = true;
    if (f->fails)
        c->wish.status = 503;
    if (f->breaks_off)
        fleet_break_off(c);
    if (f->refuses)
        call_over(c, -ECANCELED);
}
static const struct http_stream_events fleet_stream_events = {
    .opened = fleet_opened, .trailers = call_trailers, .closed = call_closed};

static inline struct http_stream *fleet_asked(struct http_link *l, unsigned *ret_status)
{
    (void)ret_status;
    server_of(l->user)->n_served++;
    for (unsigned i = 0; i < WIRES_MAX; i++)
        fleet.used[i] |= fleet.wires[i] == l->user;
    return &call_new(server_ring, false, &fleet_stream_events)->s;
}
static const struct http_link_events fleet_link_events = {
    .request = fleet_asked, .refused = server_refused, .closed = end_closed};

static inline void wire_is_gone(struct wire *w)
{
    for (unsigned i = 0; i < WIRES_MAX; i++)
        if (fleet.wires[i] == w)
            fleet.wires[i] = NULL;
}

static inline void fleet_accept(uintptr_t i, int fd)
{
    struct wire *w = wire_new(server_ring, fd, fleet.server_version, true, &fleet_link_events, 0);
    assert_non_null(w);
    w->user = (void *)i;
    w->told_gone = wire_is_gone;
    fleet.servers[i].n_accepted++;
    for (unsigned k = 0; k < WIRES_MAX; k++)
        if (!fleet.wires[k]) {
            fleet.wires[k] = w;
            fleet.used[k] = false;
            return;
        }
    fail_msg("too many connections");
}

static inline void fleet_over(struct call *c)
{
    client_over(c);
    if (c->own_answer && c->status < 600)
        fleet.own[c->status]++;
    if (fleet.answered)
        fleet.answered(c);
}

static inline void ask_some(void)
{
    while (fleet.n_left > 0 && client_can_ask()) {
        struct wish w = {.seed = fleet.n_asked,
                         .status = fleet.status ? fleet.status : 200,
                         .request_bytes = fleet.bytes,
                         .answer_bytes = 100,
                         .origin = fleet.origin,
                         .session = fleet.session,
                         .preflight = fleet.preflights};
        if (fleet.posts)
            w.request_bytes = !fleet.only_posts && one_in(2) ? 0 : 1 + rng_below(chance, 3000);
        w.post = fleet.posts && one_in(3);
        if (!fleet.plain) {
            w.answer_bytes = rng_below(chance, one_in(5) ? 400000 : 3000);
            w.trailers = one_in(4);
            w.informs = one_in(5);
            w.length = one_in(2);
            w.pauses = one_in(4) ? 5 : 0;
        }
        struct call *c = ask(&w);
        if (!c)
            return;
        c->told_over = fleet_over;
        fleet.n_left--;
        fleet.n_asked++;
        if (one_in(3))
            return;
    }
}

static inline void fleet_call(unsigned service)
{
    fleet.called = sim_service_addr(service, one_in(2));
    uint32_t before = fake_net_enter_namespace(net, fleet.web->namespace_id);
    assert_int_equal(socket_open(ip_family(&fleet.called.ip), &fleet.calling), 0);
    fake_net_enter_namespace(net, before);
}

static inline void fleet_tick(struct timer *t)
{
    int fd;
    sim_alloc_leave();
    for (unsigned i = 0; i < SERVERS; i++)
        while (fleet.servers[i].listening >= 0 &&
               fake_socket_accept(fleet.servers[i].listening, &fd) == 0)
            fleet_accept(i, fd);
    if (fleet.calling >= 0) {
        int r = fake_socket_connect(fleet.calling, &fleet.called);
        if (r == 0) {
            client = wire_new(client_ring, fleet.calling, fleet.client_version, false,
                              &client_link_events, 0);
            assert_non_null(client);
            client->told_gone = client_gone;
            fleet.calling = -1;
        } else {
            assert_int_equal(r, -EAGAIN);
        }
    }
    if (one_in(fleet.closes_idle)) {
        uint64_t i = rng_below(chance, 8);
        if (fleet.wires[i] && fleet.wires[i]->link && fleet.used[i])
            http_link_drain(fleet.wires[i]->link);
    }
    if (fleet.reconnects && fleet.n_left > 0 && !client && fleet.calling < 0)
        fleet_call(0);
    if (fleet.act)
        fleet.act();
    ask_some();
    timer_start(ring_timers(fleet.mesh.apps), t, 1 + rng_below(chance, 10));
}

/* Its own memory never fails. */
static inline void fleet_runs(void *arg)
{
    (void)arg;
    sim_alloc_leave();
}

static inline void fleet_begin(uint64_t seed, enum http_version from, uint8_t app_protocol)
{
    static const struct {
        const char *name;
        int node;
    } pods[SERVERS] = {{"near", 0}, {"orders", 1}, {"stock", 1}, {"legacy", -1}};
    seed_begins();
    sim_log_open();
    fleet = (struct fleet){.calling = -1, .client_version = from};
    fleet.server_version = app_protocol == APP_GRPC || app_protocol == APP_HTTP2 ? HTTP_VERSION_2
                           : app_protocol == APP_HTTP11                          ? HTTP_VERSION_1
                                                                                 : from;
    struct sim_mesh *m = &fleet.mesh;
    sim_mesh_open(m, &(struct sim_mesh_options){.seed = seed,
                                                .quick = true,
                                                .http = true,
                                                .detect = app_protocol == APP_UNKNOWN});
    m->app_protocol = app_protocol;
    ring_set_idle_hooks(m->apps, fleet_runs, fleet_runs, NULL);
    fleet.web = sim_pod_add(m, 0, "web", "web");
    for (unsigned i = 0; i < SERVERS; i++) {
        fleet.servers[i].pod = sim_pod_add(m, pods[i].node, pods[i].name, pods[i].name);
        fleet.servers[i].pod->services = 1u << 0;
    }
    sim_service(m, 0);
    sim_service(m, 1);
    for (unsigned i = 0; i < m->n_pods; i++)
        sim_pod_start(&m->pods[i]);
    for (unsigned i = 0; i < SERVERS; i++)
        fleet.servers[i].listening = sim_listen(m, fleet.servers[i].pod, PORT);
    net = m->net;
    chance = m->rng;
    client_ring = server_ring = m->apps;
    list_init(&calls);
    n_calls = n_wires = n_client_whole = n_client_over = 0;
    client = NULL;
    as_it_was = false;
    client_told_slot = ask_some;
    timer_init(&fleet.ticking, fleet_tick);
    timer_start(ring_timers(m->apps), &fleet.ticking, 1);
}

static inline bool fleet_is_done(void *arg)
{
    (void)arg;
    return fleet.n_left == 0 && n_calls == 0;
}
static inline bool fleet_is_quiet(void *arg)
{
    (void)arg;
    return n_calls == 0 && sim_living(&fleet.mesh) == 0 && !client;
}
static inline bool wires_are_gone(void *arg)
{
    (void)arg;
    return n_wires == 0;
}

static inline void fleet_ask(unsigned n)
{
    fleet.n_left = n;
    if (!fake_net_run_until(net, fleet_is_done, NULL, 600 * 1000)) {
        sim_tell_living(&fleet.mesh);
        sim_log_tell();
        fail_msg("stuck: %u to ask, %u calls", fleet.n_left, n_calls);
    }
}

/* The servers' connections are kept, and idle, until the pool lets them go or its pod does. */
static inline void fleet_end(void)
{
    if (client && client->link)
        http_link_drain(client->link);
    for (unsigned i = 0; i < WIRES_MAX; i++)
        if (fleet.wires[i] && fleet.wires[i]->link)
            http_link_drain(fleet.wires[i]->link);
    if (!fake_net_run_until(net, fleet_is_quiet, NULL, 120 * 1000) &&
        !fake_net_run_until(net, fleet_is_quiet, NULL, 3600 * 1000)) {
        sim_tell_living(&fleet.mesh);
        fail_msg("stuck: %u calls, %u wires, %zu stories", n_calls, n_wires,
                 sim_living(&fleet.mesh));
    }
    sim_pod_remove(fleet.web, ENDING_WORKLOAD_GONE);
    if (!fake_net_run_until(net, wires_are_gone, NULL, 120 * 1000))
        fail_msg("%u wires are left", n_wires);
    timer_stop(ring_timers(fleet.mesh.apps), &fleet.ticking);
    (void)sim_mesh_close(&fleet.mesh);
    sim_log_check_requests();
    sim_log_close();
}

static inline unsigned fleet_served(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        n += fleet.servers[i].n_served;
    return n;
}
#endif
