/*
 * What routes make of the requests of a workload: where they go, what is changed on the way, what is answered
 * without a server, how long it may take, and when it is tried again, and where.
 */
#include "tests/sim/fleet_routes.h"
#include "tests/sim/sim_stories.h"

/* ---- where they go ---------------------------------------------------------- */

static void other_table(const char *name)
{
    struct route_table *t = table(1);
    t->name = arena_text(&t->arena, text_of(name));
    t->hosts[0].routes[0].action.respond.status = 418;
    put(t);
}

/* The first that fits; none: 404. The client's namespace has a word before all others. */
static void matched(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(5);
    forward(t, 0, 1, 0);
    of_seeds(t, 0, 0, 10);
    forward(t, 1, 0, 1);
    of_seeds(t, 1, 5, 20);
    struct route_backend *gone = forward(t, 2, 1, 0)->backends;
    gone[0].cluster = TEXT("outbound|80||gone.shop");
    of_seeds(t, 2, 20, 23);
    forward(t, 4, 0, 0)->no_cluster_status = 503; /* of a GRPCRoute: UNAVAILABLE */
    of_seeds(t, 4, 25, 27);
    forward(t, 3, 1, 0);
    struct fault *h = of_table(t, 1, sizeof *h); /* what is not done here is not left out in silence */
    *h = (struct fault){.active_max = 1, .delay = {0, 100}, .abort = {0, 100}};
    t->hosts[0].routes[3].action.fault = h;
    of_seeds(t, 3, 23, 25);
    put(t);
    other_table("outbound|80||s0.shop@other");
    fleet_ask(30);
    assert_int_equal(served_by(0, 2), 10);
    assert_int_equal(served_by(2, 2), 10);
    assert_int_equal(n_client_whole, 20);
    assert_int_equal(fleet.own[500], 5);
    assert_int_equal(fleet.own[503], 2);
    assert_int_equal(fleet.own[404], 3);
    assert_int_equal(sim_log_requests("no route"), 3);
    assert_int_equal(sim_log_requests("no backend"), 5);
    assert_int_equal(sim_log_requests("not done here"), 2);
    other_table("outbound|80||s0.shop@shop");
    fleet_ask(5);
    assert_int_equal(fleet.own[418], 5);
    assert_int_equal(n_client_whole, 20);
    assert_true(
        directory_remove_routes(fleet.mesh.nodes[0].directory, TEXT("outbound|80||s0.shop@shop")));
    assert_true(
        directory_remove_routes(fleet.mesh.nodes[0].directory, TEXT("outbound|80||s0.shop")));
    fleet_ask(5);
    assert_int_equal(n_client_whole, 25); /* its endpoints again */
    fleet_end();
}

/* ---- what is changed -------------------------------------------------------- */

static unsigned n_right;

static void look_at_request(struct call *c)
{
    const struct http_head *h = &c->s.head;
    n_right += text_equal(h->path, TEXT("/new/b?c=d/../e")) &&
               text_equal(http_head_get(h, TEXT("x-forwarded-host")), TEXT("server:80")) &&
               text_equal(http_head_get(h, TEXT("x-route")), TEXT("r")) &&
               text_equal(http_head_get(h, TEXT("x-backend")), TEXT("b"));
}
static void look_at_answer(const struct call *c)
{
    n_right += text_equal(http_head_get(&c->s.head, TEXT("x-answer")), TEXT("a"));
}

static void changed(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    struct route_forward *f = forward(t, 0, 1, 0);
    struct route *r = &t->hosts[0].routes[0];
    r->match.path = (struct path_match){.kind = PATH_SEPARATED, .value = TEXT("/a")};
    f->path = (struct path_rewrite){.kind = REWRITE_PREFIX, .value = TEXT("/new")};
    f->host = (struct host_rewrite){HOST_LITERAL, TEXT("other.example"), true};
    put_edit(t, &r->action.edits.request, "x-route", "r");
    put_edit(t, &f->backends[0].edits.request, "x-backend", "b");
    put_edit(t, &r->action.edits.response, "x-answer", "a");
    put(t);
    n_right = 0;
    as_it_was = rewritten = true;
    fleet.served = look_at_request;
    fleet.answered = look_at_answer;
    fleet_ask(10);
    assert_int_equal(n_client_whole, 10);
    assert_int_equal(n_right, 20);
    fleet_end();
    rewritten = false;
}

/* ---- what is copied --------------------------------------------------------- */

static unsigned n_shadows;
static void count_shadow(struct call *c)
{
    n_shadows += text_equal(c->s.head.authority, TEXT("server-shadow:80"));
}

static void put_mirror(struct route_table *t, struct route_forward *f)
{
    f->mirrors = of_table(t, 1, sizeof *f->mirrors);
    f->n_mirrors = 1;
    f->mirrors[0] =
        (struct route_mirror){.cluster = TEXT("outbound|80||s3.shop"), .fraction = {100, 100}};
}

/* Whole, bodies and all, whether its endpoints answer or not. */
static void mirrored(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    put_mirror(t, forward(t, 0, 1, 0));
    put(t);
    fleet.posts = rewritten = true;
    fleet.served = count_shadow;
    n_shadows = 0;
    fleet.servers[2].hangs = true;
    fleet_ask(20);
    fake_net_run_for(net, 1000);
    assert_int_equal(n_client_whole, 20);
    assert_int_equal(served_by(0, 2), 20);
    assert_int_equal(served_by(2, 2), 20);
    assert_int_equal(n_shadows, 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(fleet.seen[i], 2);
    fleet.posts = false;
    fleet.bytes = 70000; /* more than what is kept: said once */
    fleet_ask(3);
    fake_net_run_for(net, 1000);
    assert_int_equal(served_by(0, 2), 23);
    assert_int_equal(served_by(2, 2), 20);
    fleet_end();
    rewritten = false;
}

/* Copies are requests of their cluster, of which it has no more at a time than it may have: the rest is left out. */
static void mirrors_hold(uint64_t seed)
{
    begin(seed, APP_HTTP2);
    struct route_table *t = table(1);
    struct cluster *c = cluster("outbound|80||s3.shop", BALANCE_ROUND_ROBIN);
    c->breaker[0].max[BREAKER_REQUESTS] = 3;
    put_cluster(c);
    put_endpoints("outbound|80||s3.shop", 12);
    put_mirror(t, forward(t, 0, 1, 0));
    put(t);
    fleet.servers[2].hangs = fleet.servers[3].hangs = rewritten = true;
    fleet_ask(20);
    fake_net_run_for(net, 1000);
    assert_int_equal(n_client_whole, 20);
    assert_int_equal(served_by(2, 2), 3);
    assert_int_equal(fleet.web->local.mirrors.left_out, 17);
    fake_net_run_for(net, 11 * 1000); /* nobody waits longer for the answer to a copy */
    fleet_ask(4);
    fake_net_run_for(net, 1000);
    assert_int_equal(served_by(2, 2), 6);
    fleet_end();
    rewritten = false;
}

/* ---- what is answered here -------------------------------------------------- */

static char location[200];
static uint64_t last_body;
static void keep_answer(const struct call *c)
{
    struct text t = http_head_get(&c->s.head, TEXT("location"));
    snprintf(location, sizeof location, "%.*s", (int)t.len, t.data ? t.data : "");
    last_body = c->got;
    n_right += text_equal(http_head_get(&c->s.head, TEXT("x-answer")), TEXT("a"));
}

static void answered_here(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(3);
    struct route *r = t->hosts[0].routes;
    r[0].match.path = (struct path_match){.kind = PATH_SEPARATED, .value = TEXT("/a")};
    r[0].action = (struct route_action){
        .kind = ROUTE_REDIRECT,
        .redirect = {.https = true,
                     .host = TEXT("there.example"),
                     .status = 301,
                     .path = {.kind = REWRITE_PREFIX, .value = TEXT("/new")}}};
    put_edit(t, &r[0].action.edits.response, "x-answer", "a");
    of_seeds(t, 0, 0, 10);
    r[1].action.respond = (struct route_respond){.status = 451, .body = TEXT("no, thank you")};
    put_edit(t, &r[1].action.edits.response, "x-answer", "a");
    of_seeds(t, 1, 10, 20);
    r[2].action.respond = (struct route_respond){.status = 204, .body = TEXT("nothing follows")};
    put(t);
    n_right = 0;
    fleet.posts = true;
    fleet.answered = keep_answer;
    fleet_ask(10);
    assert_int_equal(fleet.own[301], 10);
    assert_string_equal(location, "https://there.example/new/b?c=d/../e");
    fleet_ask(10);
    assert_int_equal(fleet.own[451], 10);
    assert_int_equal(last_body, strlen("no, thank you"));
    assert_int_equal(n_right, 20);
    fleet_ask(5);
    assert_int_equal(fleet.own[204], 5);
    assert_int_equal(last_body, 0);
    assert_int_equal(fleet_served(), 0);
    assert_int_equal(sim_log_requests("closed"), 25);
    fleet_end();
}

static void faulty(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    forward(t, 0, 1, 1)->timeout_ms = 600; /* the delay is before it */
    struct fault *f = of_table(t, 1, sizeof *f);
    *f = (struct fault){
        .delay_ms = 700, .delay = {100, 100}, .abort_status = 555, .abort = {50, 100}};
    t->hosts[0].routes[0].action.fault = f;
    put(t);
    fake_net_run_for(net, 100);
    uint64_t began = fake_net_now_ms(net);
    fleet_ask(1);
    assert_in_range(fake_net_now_ms(net) - began, 700, 900);
    fleet.posts = true;
    fleet_ask(99);
    assert_int_equal(fleet.own[555] + n_client_whole, 100);
    assert_in_range(fleet.own[555], 30, 70); /* 4 sigma */
    assert_int_equal(fleet_served(), n_client_whole);
    assert_int_equal(sim_log_requests("fault injected"), fleet.own[555]);
    fleet_end();
}

/* ---- how long, and how often ------------------------------------------------ */

static void too_late(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    struct route_forward *f = forward(t, 0, 1, 0);
    f->timeout_ms = 400;
    put(t);
    fleet.posts = true;
    fleet.servers[0].hangs = fleet.servers[1].hangs = true;
    fake_net_run_for(net, 100);
    uint64_t began = fake_net_now_ms(net);
    fleet_ask(1);
    assert_in_range(fake_net_now_ms(net) - began, 400, 700);
    fleet_ask(9);
    assert_int_equal(fleet.own[504], 10);
    for (unsigned i = 0; i < 10; i++) /* and nobody is asked twice */
        assert_int_equal(fleet.seen[i], 1);
    assert_int_equal(sim_log_requests("answer timeout"), 10);
    fleet_end();
}

/* A connection may be silent for less than that: the route says of this answer. */
static void silent_for_long(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    fleet.mesh.nodes[0].config.idle_ms = 1000;
    forward(t, 0, 1, 0)->timeout_ms = 5000;
    put(t);
    fleet.servers[0].hangs = fleet.servers[1].hangs = true;
    fake_net_run_for(net, 100);
    assert_true(client_can_ask());
    fake_net_run_for(net, 100);
    fleet.mesh.nodes[0].config.idle_ms = 0; /* what is the server's side of this node has no bound */
    uint64_t began = fake_net_now_ms(net);
    fleet_ask(1);
    assert_in_range(fake_net_now_ms(net) - began, 5000, 6000);
    assert_int_equal(fleet.own[504], 1);
    fleet_end();
}

/* The time runs where there is no connection yet, whoever has read the body. */
static void late_on_the_way(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    forward(t, 0, 1, 0)->timeout_ms = 400;
    put(t);
    fleet.posts = fleet.only_posts = true;
    fleet.mesh.troubles.hbone_lost = fleet.mesh.troubles.app_lost = 100;
    fake_net_run_for(net, 100);
    uint64_t began = fake_net_now_ms(net);
    fleet_ask(1);
    assert_in_range(fake_net_now_ms(net) - began, 400, 700);
    assert_int_equal(fleet.own[504], 1);
    fleet.mesh.troubles.hbone_lost = fleet.mesh.troubles.app_lost = 0;
    fleet_end();
}

/* It begins at the request's end. */
static void slow_to_ask(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    forward(t, 0, 1, 0)->timeout_ms = 400;
    put(t);
    fleet.servers[0].hangs = fleet.servers[1].hangs = true;
    fake_net_run_for(net, 100);
    assert_true(client_can_ask());
    uint64_t began = fake_net_now_ms(net);
    struct call *c = ask(
        &(struct wish){.seed = 1, .request_bytes = 3000, .status = 200, .post = true, .stalls = true});
    assert_non_null(c);
    c->told_over = fleet_over;
    fake_net_run_for(net, 350);
    c->wish.stalls = false;
    call_pump(c);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 10 * 1000));
    assert_in_range(fake_net_now_ms(net) - began, 750, 1000);
    assert_int_equal(fleet.own[504], 1);
    fleet_end();
}

/* Of two endpoints one is bad in some way: the other one answers all, and each of them whole. */
static void elsewhere(uint64_t seed, void (*spoil)(struct fleet_server *s), uint32_t on,
                      uint64_t try_ms)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    retries(t, forward(t, 0, 1, 0), on, 2)->per_try_timeout_ms = try_ms;
    put(t);
    fleet.posts = true;
    fleet.plain = false;
    fleet_ask(10);
    assert_int_equal(n_client_whole, 10);
    spoil(&fleet.servers[seed % 3 == 0]);
    fleet_ask(30);
    assert_int_equal(n_client_whole, 40);
    fleet_end();
}

static void spoil_fails(struct fleet_server *s)
{
    s->fails = true;
}
static void spoil_hangs(struct fleet_server *s)
{
    s->hangs = true;
}
static void spoil_refuses(struct fleet_server *s)
{
    s->refuses = true;
}
static void spoil_gone(struct fleet_server *s)
{
    sim_unlisten(&fleet.mesh, s->listening);
    s->listening = -1;
    for (unsigned i = 0; i < WIRES_MAX; i++)
        if (fleet.wires[i] && server_of(fleet.wires[i]) == s && fleet.wires[i]->link)
            http_link_close(fleet.wires[i]->link);
    fake_net_run_for(net, 3000);
}
static void one_fails(uint64_t seed)
{
    elsewhere(seed, spoil_fails, RETRY_GATEWAY_ERROR, 0);
}
static void one_hangs(uint64_t seed)
{
    elsewhere(seed, spoil_hangs, RETRY_GATEWAY_ERROR, 3000);
}
static void one_breaks(uint64_t seed)
{
    elsewhere(seed, spoil_refuses, RETRY_RESET | RETRY_GATEWAY_ERROR, 0);
}
static void one_is_gone(uint64_t seed)
{
    elsewhere(seed, spoil_gone, RETRY_GATEWAY_ERROR | RETRY_CONNECT_FAILURE, 0);
}

/* So often, and then the answer is what it is. A body that is too long to be kept is said once. */
static void given_up(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    retries(t, forward(t, 0, 1, 0), RETRY_5XX, 3);
    put(t);
    fleet.servers[0].refuses = fleet.servers[1].refuses = true;
    fleet_ask(5);
    assert_int_equal(fleet.own[503], 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(fleet.seen[i], 4);
    fleet.servers[0].refuses = fleet.servers[1].refuses = false;
    fleet.status = 503;
    fleet.bytes = 60000;
    fleet_ask(5);
    for (unsigned i = 5; i < 10; i++)
        assert_int_equal(fleet.seen[i], 4);
    fleet.bytes = 70000;
    fleet_ask(5);
    for (unsigned i = 10; i < 15; i++)
        assert_int_equal(fleet.seen[i], 1);
    fleet_end();
}

static size_t chunks_of_node(void)
{
    struct ring_stats stats;
    ring_stats(fleet.mesh.nodes[0].env.ring, &stats);
    return stats.chunks_live;
}

/* What waits for its answer may be kept, but not without end: no more than a part of the buffers. */
static void keeps_little(uint64_t seed)
{
    enum { STREAMS = 90 };
    begin(2 * seed, APP_HTTP2);
    struct route_table *t = table(1);
    retries(t, forward(t, 0, 1, 0), RETRY_GATEWAY_ERROR, 2);
    put(t);
    fleet.servers[0].hangs = fleet.servers[1].hangs = true;
    fake_net_run_for(net, 100);
    struct chunk_pool *chunks = ring_chunks(fleet.mesh.nodes[0].env.ring);
    size_t before = chunks->n_live, most = chunks->n_max;
    chunks->n_max = 16 * 40;
    for (unsigned i = 0; i < STREAMS; i++) {
        struct call *c = ask(&(struct wish){.seed = i, .request_bytes = 16000, .status = 200});
        assert_non_null(c);
        c->told_over = fleet_over;
    }
    fake_net_run_for(net, 1000);
    assert_int_equal(fleet_served(), STREAMS);
    assert_int_equal(fleet.web->local.exchanges.chunks_kept, 40);
    assert_in_range(chunks->n_live, 40, before + 60);
    fleet.servers[0].hangs = fleet.servers[1].hangs = false;
    http_link_close(client->link);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    fake_net_run_for(net, 1000);
    assert_int_equal(fleet.web->local.exchanges.chunks_kept, 0);
    chunks->n_max = most;
    fleet_end();
}

/* Streams that were answered and go on: nothing of them is kept any more. */
static void keeps_nothing(uint64_t seed)
{
    enum { STREAMS = 40 };
    begin(2 * seed, APP_HTTP2); /* HTTP/2 */
    struct route_table *t = table(1);
    retries(t, forward(t, 0, 1, 0), RETRY_GATEWAY_ERROR, 2);
    put(t);
    fake_net_run_for(net, 100);
    size_t before = chunks_of_node();
    for (unsigned i = 0; i < STREAMS; i++) {
        struct call *c = ask(&(struct wish){.seed = i,
                                            .request_bytes = 40000,
                                            .answer_bytes = 100,
                                            .status = 200,
                                            .early = true,
                                            .stalls = true});
        assert_non_null(c);
        c->told_over = fleet_over;
    }
    fake_net_run_for(net, 1000);
    assert_int_equal(fleet_served(), STREAMS);
    assert_in_range(chunks_of_node(), 0, before + STREAMS / 2);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    fleet_end();
}

/* ---- without memory --------------------------------------------------------- */

enum { POINTS_MAX = 20000 };

static bool without(uint64_t nth, uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(2);
    struct route_forward *f = forward(t, 0, 1, 0);
    retries(t, f, RETRY_GATEWAY_ERROR, 2);
    put_mirror(t, f);
    put_edit(t, &t->hosts[0].routes[0].action.edits.request, "x-route", "r");
    of_seeds(t, 0, 0, 5);
    t->hosts[0].routes[1].action.respond = (struct route_respond){418, TEXT("tea")};
    put(t);
    fleet.posts = fleet.reconnects = rewritten = true;
    fleet.servers[0].refuses = true;
    sim_alloc_fail_at(nth);
    fleet_ask(7);
    fleet.servers[0].refuses = false;
    bool reached = sim_alloc_failed();
    sim_alloc_fail_at(0);
    unsigned before = fleet.own[418];
    fleet_ask(3); /* and then all is well again */
    assert_int_equal(fleet.own[418], before + 3);
    fleet_end();
    rewritten = false;
    return reached;
}

static void without_memory(uint64_t seed)
{
    uint64_t nth = seed;
    for (; without(nth, seed); nth += 3) /* a third of them a run: there are thousands */
        assert_true(nth < POINTS_MAX);
    assert_true(nth > 500);
}

#define STORIES(X)                                                                                 \
    X(silent_for_long, 4)                                                                          \
    X(matched, 4)                                                                                  \
    X(changed, 4) X(answered_here, 4) X(faulty, 4) X(too_late, 4) X(late_on_the_way, 4)            \
        X(slow_to_ask, 4) X(one_fails, 12)                                                         \
        X(one_hangs, 12) X(one_breaks, 12) X(one_is_gone, 12) X(given_up, 4) X(mirrored, 4) X(mirrors_hold, 2)        \
            X(keeps_little, 2) X(keeps_nothing, 2) X(without_memory, 2)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
