/*
 * The world of the simulated exchanges: a client, a proxy with one host of exchanges, and a server, each with a ring of its
 * own on one simulated network.
 *
 *    client  --- h1 or h2 --->  proxy  --- h1 or h2, up to UPSTREAMS_MAX connections --->  server
 *
 * Every exchange leaves one record, and nothing is left at the end. One seed is one run.
 */
#ifndef TESTS_SIM_HTTP_WORLD_H
#define TESTS_SIM_HTTP_WORLD_H
#include "tests/sim/http_calls.h"

enum { UPSTREAMS_MAX = 8, CALLS_MAX = 40, WORLD_STUCK_MS = 600 * 1000 };

static struct ring *proxy_ring;

/* ---- The proxy: one host --------------------------------------------------------------------- */

static struct proxy {
    struct exchange_pool pool;
    struct exchange_host host;
    enum http_version upstream_version;
    struct wire *upstreams[UPSTREAMS_MAX];
    struct list waiting;
    struct timer late;
    unsigned choose_late; /* one in so many choices waits */
    bool choose_never;    /* those that wait go on waiting */
    unsigned n_begun, n_records, n_gone, n_whole, n_forgot;
    struct wire *door; /* the client's connection, here */
    enum ending deny;  /* what the filter says */
    uint64_t endings[ENDING_COUNT];
    struct exchange_record last;
} proxy;

static inline enum ending proxy_filter(struct exchange_host *host, struct http_head *request,
                                       struct exchange_notes *ret_notes)
{
    (void)host, (void)request, (void)ret_notes;
    return proxy.deny;
}

static inline void upstream_closed(struct http_link *l, int error, const char *why)
{
    (void)why;
    wire_closed(l->user, error);
}
static inline void upstream_wire_gone(struct wire *w)
{
    for (unsigned i = 0; i < UPSTREAMS_MAX; i++)
        if (proxy.upstreams[i] == w)
            proxy.upstreams[i] = NULL;
}
static inline void serve_waiting(void);
static inline void upstream_slot(struct http_link *l)
{
    (void)l;
    serve_waiting();
}
static const struct http_link_events upstream_events = {.slot = upstream_slot,
                                                        .closed = upstream_closed};

static inline struct http_link *upstream_new(unsigned i)
{
    int fds[2];
    sim_alloc_leave();
    int r = fake_socket_pair(net, fds);
    struct wire *server =
        r < 0 ? NULL
              : wire_new(server_ring, fds[1], proxy.upstream_version, true, &server_link_events, 0);
    sim_alloc_enter();
    if (r < 0)
        return NULL;
    struct wire *w =
        wire_new(proxy_ring, fds[0], proxy.upstream_version, false, &upstream_events, 0);
    assert_non_null(server);
    if (!w)
        return NULL;
    w->told_gone = upstream_wire_gone;
    proxy.upstreams[i] = w;
    return w->link;
}

static inline struct http_link *upstream_free_one(void)
{
    for (unsigned i = 0; i < UPSTREAMS_MAX; i++)
        if (proxy.upstreams[i] && proxy.upstreams[i]->link &&
            http_link_can_request(proxy.upstreams[i]->link))
            return proxy.upstreams[i]->link;
    for (unsigned i = 0; i < UPSTREAMS_MAX; i++)
        if (!proxy.upstreams[i])
            return upstream_new(i);
    return NULL;
}

static inline void serve_waiting(void)
{
    struct http_link *l;
    while (!list_empty(&proxy.waiting) && (l = upstream_free_one()))
        exchange_chosen(exchange_of_waiting(list_pop_front(&proxy.waiting)), l, ENDING_NONE);
}

static inline void proxy_late(struct timer *t)
{
    if (!proxy.choose_never)
        serve_waiting();
    if (!list_empty(&proxy.waiting))
        timer_start(ring_timers(proxy_ring), t, 5);
}

static inline enum step proxy_choose(struct exchange_host *host, struct exchange *x,
                                     struct http_link **ret, enum ending *ret_ending)
{
    (void)host, (void)ret_ending;
    *ret = one_in(proxy.choose_late) ? NULL : upstream_free_one();
    if (*ret)
        return STEP_NEXT;
    list_push_back(&proxy.waiting, exchange_waiting(x));
    if (!timer_running(&proxy.late))
        timer_start(ring_timers(proxy_ring), &proxy.late, 5);
    return STEP_WAIT;
}

static inline void proxy_forget(struct exchange_host *host, struct exchange *x)
{
    (void)host, (void)x;
    proxy.n_forgot++;
}

static inline void proxy_over(struct exchange_host *host, const struct exchange_record *record)
{
    (void)host;
    assert_true(record->ending != ENDING_NONE);
    proxy.n_records++;
    if (getenv("WEIR_TELL"))
        print_error("record: %s, status %u\n", ending_text(record->ending), record->status);
    proxy.endings[record->ending]++;
    proxy.n_whole += record->ending == ENDING_CLOSED;
    proxy.last = *record;
}
static inline void proxy_gone(struct exchange_host *host)
{
    (void)host;
    proxy.n_gone++;
}
static const struct exchange_host_ops proxy_ops = {.filter = proxy_filter,
                                                   .choose = proxy_choose,
                                                   .forget = proxy_forget,
                                                   .over = proxy_over,
                                                   .gone = proxy_gone};

static inline struct http_stream *proxy_asked(struct http_link *l, unsigned *ret_status)
{
    (void)l;
    struct http_stream *s = exchange_begin(&proxy.host);
    if (s)
        proxy.n_begun++;
    else
        *ret_status = 503;
    return s;
}
static unsigned n_proxy_refused, last_refused;
static inline void proxy_refused(struct http_link *l, unsigned status, const char *why)
{
    (void)l, (void)why;
    n_proxy_refused++;
    last_refused = status;
}
static const struct http_link_events proxy_link_events = {
    .request = proxy_asked, .refused = proxy_refused, .closed = end_closed};

/* ---- Beginning and end ----------------------------------------------------------------------- */

static inline void client_connect(enum http_version version)
{
    int fds[2];
    assert_int_equal(fake_socket_pair(net, fds), 0);
    client = wire_new(client_ring, fds[0], version, false, &client_link_events, 0);
    assert_non_null(client);
    client->told_gone = client_gone;
    proxy.door = wire_new(proxy_ring, fds[1], version, true, &proxy_link_events, 0);
    assert_non_null(proxy.door);
}

/* Only what the proxy allocates in its own turns is made to fail. */
static inline void proxy_leaves(void *arg)
{
    (void)arg;
    sim_alloc_leave();
}
static inline void proxy_enters(void *arg)
{
    (void)arg;
    sim_alloc_enter();
}

static inline void tell_stuck(void)
{
    list_for_each (n, &calls) {
        const struct call *c = container_of(n, struct call, link);
        print_error("a %s's call %u: status %u, sent %llu of %llu, got %llu, said %d, heard %d, "
                    "over %d, bound %d, paused %d, wish %u %llu %llu%s%s%s%s%s\n",
                    c->is_client ? "client" : "server", c->wish.seed, c->status,
                    (unsigned long long)c->sent, (unsigned long long)c->to_send,
                    (unsigned long long)c->got, c->said_all, c->heard_all, c->over,
                    c->s.link != NULL, c->paused, c->wish.status,
                    (unsigned long long)c->wish.request_bytes,
                    (unsigned long long)c->wish.answer_bytes, c->wish.trailers ? " trailers" : "",
                    c->wish.early ? " early" : "", c->wish.upgrade ? " upgrade" : "",
                    c->wish.head ? " head" : "", c->wish.length ? " length" : "");
    }
    fail_msg("stuck: %u calls, %zu exchanges", n_calls, proxy.host.n);
}

static inline void world_new(uint64_t seed, const struct fake_weather *weather,
                             enum http_version upstream)
{
    net = fake_net_new(seed);
    assert_non_null(net);
    chance = fake_net_rng(net);
    fake_net_set_weather(net, weather);
    assert_int_equal(ring_open(&client_ring, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(ring_open(&proxy_ring, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(ring_open(&server_ring, &(struct ring_options){0}, NULL), 0);
    sim_alloc_leave();
    ring_set_idle_hooks(proxy_ring, proxy_leaves, proxy_enters, NULL);
    ring_set_idle_hooks(client_ring, proxy_leaves, proxy_leaves, NULL);
    ring_set_idle_hooks(server_ring, proxy_leaves, proxy_leaves, NULL);
    fake_ring_watch(proxy_ring);
    list_init(&calls);
    n_calls = n_wires = n_client_whole = n_client_over = n_proxy_refused = n_server_refused =
        last_refused = 0;
    client_told_slot = NULL;
    proxy = (struct proxy){.upstream_version = upstream};
    list_init(&proxy.waiting);
    timer_init(&proxy.late, proxy_late);
    exchange_pool_init(&proxy.pool, 8);
    exchange_host_init(&proxy.host, &proxy_ops, proxy_ring, &proxy.pool);
    proxy.host.idle_ms = 120 * 1000;
}

static inline bool world_is_quiet(void *arg)
{
    (void)arg;
    return n_wires == 0 && n_calls == 0 && proxy.host.n == 0;
}

static inline bool calls_are_over(void *arg)
{
    (void)arg;
    return n_calls == 0 && proxy.host.n == 0;
}

static inline uint64_t world_free(void)
{
    if (client && client->link)
        http_link_close(client->link);
    for (unsigned i = 0; i < UPSTREAMS_MAX; i++)
        if (proxy.upstreams[i] && proxy.upstreams[i]->link)
            http_link_drain(proxy.upstreams[i]->link);
    if (!fake_net_run_until(net, world_is_quiet, NULL, WORLD_STUCK_MS))
        tell_stuck();
    timer_stop(ring_timers(proxy_ring), &proxy.late);
    assert_int_equal(proxy.n_records, proxy.n_begun);
    assert_int_equal(proxy.n_gone, proxy.n_begun);
    exchange_pool_done(&proxy.pool);
    assert_int_equal(fake_net_leaks(net), 0);
    ring_free(client_ring);
    ring_free(proxy_ring);
    ring_free(server_ring);
    uint64_t trace = fake_net_trace(net);
    net = fake_net_free(net);
    return trace;
}
#endif
