/*
 * Active health checks of a cluster's endpoints: over each way there (within the node, by a tunnel, directly), by HTTP, by bytes
 * and by gRPC; who fails them gets no request until it is well again; and what the checks cost.
 */
#include "nodeproxy/path/health_probe.h"
#include "nodeproxy/path/health_watch.h"
#include "tests/sim/fleet_routes.h"
#include "tests/sim/sim_stories.h"

enum { EVERY_MS = 1000, LATE_MS = 300 };
enum answer { SERVING, NOT_SERVING, TOO_LATE, UNSURE /* gRPC: a status that is no message */ };
static enum answer answers[SERVERS]; /* to checks */
static const char *said_host;        /* in every check */

static bool endless;                 /* answers to checks by HTTP */
enum { ENDLESS_MAX = 4 << 20, ENDLESS_PART = 256 << 10 };
static uint64_t n_endless;           /* their bytes, of the last check alone */

/* ---- the servers' side ------------------------------------------------------ */

static void more_of_it(struct stream *body)
{
    struct call *c = body->user;
    static const uint8_t part[ENDLESS_PART];
    struct buf out = {0};
    if (!endless || n_endless >= ENDLESS_MAX || !c->heard_all)
        return;
    assert_int_equal(buf_append(&out, ring_chunks(c->ring), part, sizeof part), 0);
    n_endless += sizeof part;
    stream_send(body, &out);
}

static void check_is_asked(struct stream *body)
{
    struct call *c = body->user;
    enum answer how = answers[server_of(c->s.link->user) - fleet.servers];
    bool grpc = http_head_get(&c->s.head, TEXT("content-type")).len > 0;
    const uint8_t frame[] = {0, 0, 0, 0, 2, 8, how == SERVING ? 1 : 2};
    struct http_head h;
    c->heard_all = true;
    assert_int_equal(c->got, grpc ? 11 : 0);
    if (how == TOO_LATE)
        return;
    http_head_init(&h);
    h.status = how == SERVING || grpc ? 200 : 503;
    assert_int_equal(http_stream_answer(&c->s, &h, !grpc && !endless), 0);
    if (endless) {
        n_endless = 0;
        more_of_it(c->s.body);
    }
    if (grpc) {
        struct buf out = {0};
        struct http_head trailers;
        if (how != UNSURE)
            assert_int_equal(buf_append(&out, ring_chunks(c->ring), frame, sizeof frame), 0);
        stream_send(c->s.body, &out);
        http_head_init(&trailers);
        assert_int_equal(http_head_add(&trailers, TEXT("grpc-status"), TEXT("0")), 0);
        assert_int_equal(http_stream_trailers(&c->s, &trailers), 0);
        http_head_done(&trailers);
    }
    http_head_done(&h);
}

static void check_said(struct stream *body, struct buf *bytes)
{
    static const uint8_t frame[] = {0, 0, 0, 0, 6, 10, 4, 's', 'h', 'o', 'p'};
    struct call *c = body->user;
    uint8_t said[sizeof frame];
    size_t n = buf_peek(bytes, said, sizeof said);
    assert_in_range(c->got + bytes->len, 1, sizeof frame);
    assert_memory_equal(said, frame + c->got, n);
    c->got += n;
    buf_done(bytes);
}
static void check_event(struct stream *body)
{
    (void)body;
}
static const struct stream_events check_body = {.received = check_said,
                                                .ended = check_is_asked,
                                                .writable = more_of_it,
                                                .finished = check_event,
                                                .failed = call_failed};

static bool is_check(struct call *c)
{
    const struct http_head *h = &c->s.head;
    if (!text_equal(http_head_get(h, TEXT("user-agent")), TEXT("weir-health-check")))
        return false;
    bool grpc = text_equal(h->method, TEXT("POST"));
    assert_true(text_equal(h->path, grpc ? TEXT("/grpc.health.v1.Health/Check") : TEXT("/well")));
    assert_true(text_equal(h->authority, text_of(said_host ? said_host
                                         : server_of(c->s.link->user)->pod->name)));
    c->s.body->events = &check_body;
    c->s.body->user = c;
    c->said_all = true;
    stream_resume(c->s.body);
    return true;
}

/* ---- the cluster ------------------------------------------------------------ */

static struct health_check *check_of(struct cluster *c)
{
    c->health_checks = arena_zero(&c->arena, 1, sizeof *c->health_checks);
    assert_non_null(c->health_checks);
    c->n_health_checks = 1;
    *c->health_checks = (struct health_check){.kind = CHECK_HTTP,
                                              .timeout_ms = LATE_MS,
                                              .interval_ms = EVERY_MS,
                                              .unhealthy_threshold = 2,
                                              .healthy_threshold = 3,
                                              .reuse_connection = true,
                                              .path = TEXT("/well")};
    return c->health_checks;
}

/* HTTP/1.1 with an odd seed, else HTTP/2. */
static struct cluster *begin_checked(uint64_t seed)
{
    begin(seed, seed % 2 ? APP_HTTP11 : APP_HTTP2);
    fleet.checked = is_check;
    said_host = NULL;
    endless = false;
    memset(answers, 0, sizeof answers);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->protocol = seed % 2 ? UPSTREAM_HTTP1 : UPSTREAM_HTTP2;
    check_of(c);
    return c;
}

static struct upstream_cluster *called(void)
{
    struct text name = TEXT(CALLED);
    return map_get(&fleet.web->local.clusters.all, name);
}

static bool fails(unsigned i)
{
    const struct addr at = sim_pod_addr(fleet.servers[i].pod, PORT, false);
    struct balance_host *const *hosts;
    size_t n = balancer_hosts(called()->balancer, &hosts);
    for (size_t k = 0; k < n; k++)
        if (addr_equal(&hosts[k]->addr, &at))
            return hosts[k]->failed_check;
    fail_msg("server %u is no endpoint", i);
    return false;
}
static unsigned n_failing_of(unsigned servers)
{
    unsigned n = 0;
    for (unsigned i = 0; i < servers; i++)
        n += fails(i);
    return n;
}
static unsigned n_failing(void)
{
    return n_failing_of(SERVERS);
}

static void nobody_asks(void)
{
    const struct path_env *env = &fleet.mesh.nodes[0].env;
    assert_int_equal(env->health_probes, 0);
    assert_int_equal(env->health_asked, 0);
}

/* The pod goes, possibly in the middle of questions. */
static void end_checked(void)
{
    if (called())
        assert_true(fleet.mesh.nodes[0].env.health_probes > 0);
    sim_pod_remove(fleet.web, ENDING_WORKLOAD_GONE);
    fake_net_run_for(net, 3000);
    nobody_asks();
    fleet_end();
}

/* ---- the stories ------------------------------------------------------------ */

static void left_out_and_back(uint64_t seed)
{
    unsigned it = (unsigned)(seed / 2 % SERVERS); /* each way there */
    struct cluster *c = begin_checked(seed);
    put_cluster(c);
    put_endpoints(CALLED, ALL);
    fleet_ask(20);
    fake_net_run_for(net, 10 * EVERY_MS);
    assert_int_equal(n_failing(), 0);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_in_range(fleet.servers[i].n_checks, 9, 12);
    answers[it] = NOT_SERVING; /* that is believed at once */
    fake_net_run_for(net, EVERY_MS + LATE_MS);
    assert_true(fails(it));
    assert_int_equal(n_failing(), 1);
    unsigned before = fleet.servers[it].n_served;
    fleet_ask(60);
    assert_int_equal(fleet.servers[it].n_served, before);
    assert_int_equal(n_client_whole, 80);
    answers[it] = SERVING;
    fake_net_run_for(net, EVERY_MS + LATE_MS); /* once or twice; and three times are wanted */
    assert_true(fails(it));
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_false(fails(it));
    fleet_ask(40);
    assert_int_equal(fleet.servers[it].n_served, before + 10);
    end_checked();
}

/* What does not answer has to do so some times in a row, and then its checks may come at another pace. */
static void too_late(uint64_t seed)
{
    struct cluster *c = begin_checked(seed);
    c->health_checks->unhealthy_threshold = 3;
    c->health_checks->unhealthy_interval_ms = 5 * EVERY_MS;
    put_cluster(c);
    put_endpoints(CALLED, ALL);
    fleet_ask(20);
    fake_net_run_for(net, 2 * EVERY_MS);
    answers[2] = TOO_LATE;
    unsigned before = fleet.servers[2].n_checks;
    while (fleet.servers[2].n_checks < before + 2)
        fake_net_run_for(net, 100);
    fake_net_run_for(net, LATE_MS + 100);
    assert_false(fails(2)); /* twice */
    fake_net_run_for(net, EVERY_MS + LATE_MS);
    assert_true(fails(2));
    before = fleet.servers[2].n_checks;
    fake_net_run_for(net, 20 * EVERY_MS);
    assert_in_range(fleet.servers[2].n_checks - before, 3, 4);
    assert_true(fails(2));
    assert_int_equal(n_failing(), 1);
    end_checked();
}

/* All fail: then it is rather the checks that are wrong, and all get requests. */
static void panics(uint64_t seed)
{
    put_cluster(begin_checked(seed));
    put_endpoints(CALLED, ALL);
    fleet_ask(4);
    for (unsigned i = 0; i < SERVERS; i++)
        answers[i] = NOT_SERVING;
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_int_equal(n_failing(), SERVERS);
    fleet_ask(40);
    assert_int_equal(n_client_whole, 44);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_true(fleet.servers[i].n_served >= 10);
    end_checked();
}

/* By the answers that are meant, with a host of its own, and by connections that are not kept. */
static void as_it_is_said(uint64_t seed)
{
    static struct status_range expected[] = {{200, 300}, {503, 504}};
    struct cluster *c = begin_checked(seed);
    c->health_checks->expected = expected;
    c->health_checks->n_expected = 2;
    c->health_checks->host = TEXT("checks.example");
    c->health_checks->reuse_connection = seed % 4 < 2;
    said_host = "checks.example";
    put_cluster(c);
    put_endpoints(CALLED, ALL);
    answers[1] = NOT_SERVING; /* 503 */
    fleet_ask(4);
    fake_net_run_for(net, 1);
    unsigned before = fleet.servers[1].n_accepted;
    fake_net_run_for(net, 10 * EVERY_MS);
    assert_int_equal(n_failing(), 0);
    assert_in_range(fleet.servers[1].n_accepted - before, seed % 4 < 2 ? 0 : 9,
                    seed % 4 < 2 ? 2 : 12);
    assert_in_range(fleet.servers[1].n_checks, 9, 12);
    end_checked();
}

/* An answer's body is not listened to for ever, since nobody looks at it. */
static void hears_no_more(uint64_t seed)
{
    struct cluster *c = begin_checked(seed);
    put_cluster(c);
    put_endpoints(CALLED, 1);
    endless = true;
    fleet_ask(4);
    fake_net_run_for(net, 3 * EVERY_MS);
    assert_int_equal(n_failing_of(1), 0); /* it has answered well */
    assert_in_range(n_endless, ENDLESS_PART, 2 << 20);
    endless = false;
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_int_equal(n_failing_of(1), 0);
    end_checked();
}

/* A connection that its server has closed meanwhile says nothing about the server. */
static void closed_between(uint64_t seed)
{
    struct cluster *c = begin_checked(seed);
    c->health_checks->unhealthy_threshold = 1;
    put_cluster(c);
    put_endpoints(CALLED, ALL);
    fleet_ask(8);
    for (unsigned k = 0; k < 20; k++) {
        fake_net_run_for(net, EVERY_MS / 3);
        for (unsigned i = 0; i < WIRES_MAX; i++)
            if (fleet.wires[i] && fleet.wires[i]->link)
                http_link_drain(fleet.wires[i]->link);
        assert_int_equal(n_failing(), 0);
    }
    end_checked();
}

static void by_grpc(uint64_t seed)
{
    unsigned it = (unsigned)(seed % 3);
    struct cluster *c = begin_checked(2 * seed);
    c->health_checks->kind = CHECK_GRPC;
    c->health_checks->service = TEXT("shop");
    put_cluster(c);
    put_endpoints(CALLED, ALL);
    answers[it] = NOT_SERVING;
    answers[3] = UNSURE;
    fleet_ask(8);
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_true(fails(it) && fails(3));
    assert_int_equal(n_failing(), 2);
    answers[it] = SERVING;
    fake_net_run_for(net, 4 * EVERY_MS);
    assert_false(fails(it));
    end_checked();
}

static void stop(unsigned i)
{
    sim_unlisten(&fleet.mesh, fleet.servers[i].listening);
    fleet.servers[i].listening = -1;
}

/* A connection is all that is wanted. One to an endpoint that nobody listens at is none, whichever way leads there. */
static void by_connection(uint64_t seed)
{
    unsigned it = (unsigned)(seed / 2 % SERVERS);
    struct cluster *c = begin_checked(seed);
    c->health_checks->kind = CHECK_TCP;
    put_cluster(c);
    put_endpoints(CALLED, ALL);
    fleet_ask(8);
    fake_net_run_for(net, 3 * EVERY_MS);
    assert_int_equal(n_failing(), 0);
    stop(it);
    fake_net_run_for(net, 4 * EVERY_MS);
    assert_true(fails(it));
    assert_int_equal(n_failing(), 1);
    end_checked();
}

/* Bytes: what is said, and what has to come, in its order. The server of HTTP/1.1 answers what is no request so. */
static void by_bytes(uint64_t seed)
{
    static struct text wanted[] = {TEXT("HTTP/1.1"), TEXT("weir")};
    struct cluster *c = begin_checked(2 * seed + 1);
    c->health_checks->kind = CHECK_TCP;
    c->health_checks->send = TEXT("GET /well HTTP/1.1\r\nhost: legacy\r\nuser-agent: weir-health-check\r\n\r\n");
    c->health_checks->receive = wanted;
    c->health_checks->n_receive = seed % 2 ? 1 : 2;
    said_host = "legacy";
    put_cluster(c);
    put_endpoints(CALLED, 8); /* legacy */
    fleet_ask(2);
    fake_net_run_for(net, 4 * EVERY_MS);
    assert_int_equal(fails(3), seed % 2 == 0); /* it never says "weir" */
    assert_in_range(fleet.servers[3].n_checks, 3, 6);
    end_checked();
}

/* An endpoint that has gone, and a cluster that nobody asks for, are checked no longer, though no request finds out. */
static void not_for_ever(uint64_t seed)
{
    put_cluster(begin_checked(seed));
    put_endpoints(CALLED, ALL);
    fleet_ask(8);
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_int_equal(fleet.mesh.nodes[0].env.health_probes, 4);
    put_endpoints(CALLED, 7);
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_int_equal(fleet.mesh.nodes[0].env.health_probes, 3);
    unsigned before = fleet.servers[3].n_checks;
    fake_net_run_for(net, 3 * EVERY_MS);
    assert_int_equal(fleet.servers[3].n_checks, before);
    fake_net_run_for(net, UPSTREAM_CLUSTER_IDLE_MS);
    assert_null(called());
    nobody_asks();
    fleet_ask(4);
    fake_net_run_for(net, EVERY_MS);
    assert_int_equal(fleet.mesh.nodes[0].env.health_probes, 3);
    put_cluster(cluster(CALLED, BALANCE_ROUND_ROBIN)); /* which asks for none */
    fake_net_run_for(net, 2 * EVERY_MS);
    nobody_asks();
    fleet_end();
}

/* Other pods' probes leave it a share, and endpoints beyond it are not checked; a check's own pace is not all that counts. */
static void only_its_share(uint64_t seed)
{
    enum { FREE = 24, SHARE = 3, ROUNDS = 20, CHECKS = 8, PACE_MS = SERVERS * CHECKS * HEALTH_PACE_MS };
    struct path_env *env = &fleet.mesh.nodes[0].env;
    put_cluster(begin_checked(seed));
    put_endpoints(CALLED, ALL);
    env->health_probes += HEALTH_PROBES_MAX - FREE;
    fleet_ask(8);
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_int_equal(fleet.web->local.n_probes, SHARE);
    env->health_probes -= HEALTH_PROBES_MAX - FREE;
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->protocol = seed % 2 ? UPSTREAM_HTTP1 : UPSTREAM_HTTP2;
    check_of(c)->interval_ms = 1;
    struct health_check one = *c->health_checks;
    c->health_checks = arena_zero(&c->arena, CHECKS, sizeof *c->health_checks);
    for (c->n_health_checks = 0; c->n_health_checks < CHECKS;)
        c->health_checks[c->n_health_checks++] = one;
    env->health_asked += HEALTH_ASKED_MAX;
    put_cluster(c);
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_int_equal(fleet.web->local.n_probes, SERVERS * CHECKS);
    unsigned before = fleet.servers[0].n_checks;
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_int_equal(fleet.servers[0].n_checks, before); /* all are put off */
    env->health_asked -= HEALTH_ASKED_MAX;
    fake_net_run_for(net, ROUNDS * PACE_MS);
    assert_in_range(fleet.servers[0].n_checks - before, CHECKS * ROUNDS / 2,
                    CHECKS * (ROUNDS + 1));
    end_checked();
}

/* Its connections end with it where the cluster says so, and the requests on them. */
static void takes_its_connections(uint64_t seed)
{
    struct cluster *c = begin_checked(2 * seed);
    c->close_on_failure = seed % 2;
    put_cluster(c);
    put_endpoints(CALLED, 2);
    fleet.servers[1].hangs = true;
    fake_net_run_for(net, 100);
    struct call *k = ask(&(struct wish){.seed = 1, .status = 200});
    assert_non_null(k);
    k->told_over = fleet_over;
    fake_net_run_for(net, EVERY_MS);
    answers[1] = NOT_SERVING;
    fake_net_run_for(net, 2 * EVERY_MS);
    assert_true(fails(1));
    assert_int_equal(n_calls > 0 && fleet.own[503] == 0, !c->close_on_failure);
    http_link_close(client->link);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    end_checked();
}

/* ---- without memory --------------------------------------------------------- */

enum { POINTS_MAX = 20000 };

static bool without(uint64_t nth, uint64_t seed)
{
    struct cluster *c = begin_checked(seed);
    c->health_checks->kind = seed % 3 == 0 ? CHECK_TCP : CHECK_HTTP;
    put_cluster(c);
    put_endpoints(CALLED, ALL);
    fleet.reconnects = true;
    answers[0] = NOT_SERVING;
    sim_alloc_fail_at(nth);
    fleet_ask(3);
    fake_net_run_for(net, 3 * EVERY_MS);
    bool reached = sim_alloc_failed();
    sim_alloc_fail_at(0);
    unsigned before = n_client_whole;
    fleet_ask(4); /* and then all is well again */
    assert_int_equal(n_client_whole, before + 4);
    fake_net_run_for(net, 3 * EVERY_MS);
    assert_int_equal(n_failing(), seed % 3 != 0);
    sim_pod_remove(fleet.web, ENDING_WORKLOAD_GONE);
    fake_net_run_for(net, 3000);
    nobody_asks();
    fleet_end();
    return reached;
}

static void without_memory(uint64_t seed)
{
    uint64_t nth = seed;
    for (; without(nth, seed); nth += 7) /* a seventh of them a run */
        assert_true(nth < POINTS_MAX);
    assert_true(nth > 100);
}

#define STORIES(X)                                                                                 \
    X(left_out_and_back, 8)                                                                        \
    X(too_late, 2)                                                                                 \
    X(panics, 2)                                                                                   \
    X(as_it_is_said, 4)                                                                            \
    X(hears_no_more, 4)                                                                            \
    X(closed_between, 4)                                                                           \
    X(by_grpc, 3)                                                                                  \
    X(by_connection, 8)                                                                            \
    X(by_bytes, 2)                                                                                 \
    X(not_for_ever, 2)                                                                             \
    X(only_its_share, 2)                                                                           \
    X(takes_its_connections, 2)                                                                    \
    X(without_memory, 3)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
