/*
 * Clusters that somebody wrote something for: who gets which request, who is left out because it fails, how much may be in use
 * at once; and what the client sees of all that.
 */
#include "tests/sim/fleet_routes.h"
#include "tests/sim/sim_stories.h"

/* ---- whose turn it is ----------------------------------------------------- */

static void in_turn(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(cluster(CALLED, BALANCE_ROUND_ROBIN), ALL);
    fleet_ask(40);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(fleet.servers[i].n_served, 10);
    put_endpoints(CALLED, 3);
    fleet_ask(40);
    assert_int_equal(served_by(2, 2), 20); /* none of them any more */
    assert_int_equal(fleet_served(), 80);
    assert_true(directory_remove_cluster(fleet.mesh.nodes[0].directory, TEXT(CALLED)));
    fleet_ask(40); /* the Service's own endpoints */
    assert_true(served_by(2, 2) > 20);
    assert_int_equal(n_client_whole, 120);
    fleet_end();
}

/* The default of a Service: one that is slow to answer gets little. */
static void the_less_busy(uint64_t seed)
{
    enum { STREAMS = 80 };
    begin(2 * seed, APP_HTTP2); /* HTTP/2 */
    fleet.servers[0].hangs = true;
    fake_net_run_for(net, 100);
    for (unsigned i = 0; i < STREAMS; i++) {
        struct call *c = ask(&(struct wish){.seed = i, .status = 200});
        assert_non_null(c);
        c->told_over = fleet_over;
        fake_net_run_for(net, 50);
    }
    fake_net_run_for(net, 2000);
    assert_int_equal(fleet_served(), STREAMS);
    assert_in_range(fleet.servers[0].n_served, 1, STREAMS / 10);
    http_link_close(client->link);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    fleet_end();
}

/* ---- who it may be -------------------------------------------------------- */

/* By the label that the route asks for; one that nobody has: nobody. */
static void of_a_subset(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    static struct text names[] = {TEXT("zone")};
    static struct subset_keys keys = {names, 1};
    static struct label zones[] = {{TEXT("zone"), TEXT("c")}, {TEXT("zone"), TEXT("e")}};
    c->subsets = (struct cluster_subsets){.keys = &keys, .n_keys = 1};
    put_called(c, ALL);
    for (unsigned i = 0; i < 2; i++) {
        struct route_table *t = table(1);
        struct route_backend *b = forward_called(t)->backends;
        b->subset = &zones[i];
        b->n_subset = 1;
        put(t);
        fleet_ask(20);
    }
    assert_int_equal(fleet.servers[2].n_served, 20);
    assert_int_equal(fleet_served(), 20);
    assert_int_equal(fleet.own[503], 20);
    fleet_end();
}

/* An endpoint that is said to be a workload, and is none that the directory has, is not spoken to as if it were nobody's. */
static void not_a_stranger(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(cluster(CALLED, BALANCE_ROUND_ROBIN), 3);
    assert_true(directory_remove_workload(fleet.mesh.nodes[0].directory,
                                          text_of(fleet.servers[1].pod->uid)));
    fleet_ask(20);
    assert_int_equal(fleet.servers[0].n_served, 10);
    assert_int_equal(fleet.servers[1].n_accepted, 0);
    assert_int_equal(fleet.own[503], 10);
    fleet_end();
}

/* A cluster that asks for TLS of its own has nobody spoken to without. */
static void not_in_the_clear(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->tls.kind = seed % 3 == 0 ? TLS_SIMPLE : seed % 3 == 1 ? TLS_MUTUAL : TLS_UNKNOWN;
    put_called(c, ALL);
    fleet_ask(5);
    assert_int_equal(fleet_served(), 0);
    assert_int_equal(fleet.own[500], 5);
    assert_int_equal(sim_log_requests("not done here"), 5);
    fleet_end();
}

/* Nor while nobody has told its endpoints: the Service's own would do otherwise. */
static void not_before_it_is_whole(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->tls.kind = TLS_SIMPLE;
    put_cluster(c);
    fleet_ask(5);
    assert_int_equal(fleet_served(), 0);
    assert_int_equal(fleet.own[503], 5);
    fleet_end();
}

/* A retry looks for somebody who has not been tried. */
static void somebody_else(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = cluster(CALLED, BALANCE_RANDOM);
    c->breaker[0].max[BREAKER_RETRIES] = 1000;
    put_called(c, 3);
    struct route_table *t = table(1);
    retries(t, forward_called(t), RETRY_5XX, 1)->choices_max = 50;
    put(t);
    fleet.servers[1].fails = true;
    fleet_ask(60);
    assert_int_equal(n_client_whole, 60);
    assert_in_range(fleet.servers[1].n_served, 10, 50);
    fleet_end();
}

/* ---- by a hash ------------------------------------------------------------ */

static int served_at[SEEDS_MAX];
static unsigned n_moved;
static void remember(struct call *c)
{
    unsigned seed = (unsigned)number_in(&c->s.head, "x-seed");
    int at = (int)(uintptr_t)((struct wire *)c->s.link->user)->user;
    n_moved += served_at[seed] >= 0 && served_at[seed] != at;
    served_at[seed] = at;
}

static struct hash_policy *hashed(struct route_table *t)
{
    struct route_forward *f = forward_called(t);
    f->hashes = of_table(t, 1, sizeof *f->hashes);
    f->n_hashes = 1;
    return f->hashes;
}

static void found_again(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    memset(served_at, 0xff, sizeof served_at);
    n_moved = 0;
    put_called(cluster(CALLED, seed % 4 < 2 ? BALANCE_RING_HASH : BALANCE_MAGLEV), ALL);
    struct route_table *t = table(1);
    *hashed(t) = (struct hash_policy){.source = HASH_HEADER, .name = TEXT("x-seed")};
    put(t);
    fleet.served = remember;
    fleet_ask(60);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_in_range(fleet.servers[i].n_served, 3, 40);
    fleet.n_asked = 0;
    fleet_ask(60);
    assert_int_equal(n_moved, 0);
    fleet.n_asked = 0;
    put_endpoints(CALLED, 7); /* who was with the fourth goes elsewhere, and few others */
    fleet_ask(60);
    assert_in_range(n_moved, 1, 35);
    fleet.n_asked = 0;
    n_moved = 0;
    t = table(1);
    *hashed(t) = (struct hash_policy){.source = HASH_SOURCE_IP};
    put(t);
    unsigned before[SERVERS], n_used = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        before[i] = fleet.servers[i].n_served;
    fleet_ask(30);
    for (unsigned i = 0; i < SERVERS; i++)
        n_used += fleet.servers[i].n_served != before[i];
    assert_int_equal(n_used, 1); /* one client, one server */
    fleet_end();
}

static unsigned n_cookies;
static void look_for_cookie(const struct call *c)
{
    struct text t = http_head_get(&c->s.head, TEXT("set-cookie"));
    n_cookies += text_starts_with(t, TEXT("who=\"")) && t.len > 22 &&
                 text_equal((struct text){t.data + 22, t.len - 22},
                            TEXT("; Max-Age=60; Path=/a; HttpOnly"));
}

static void brings_a_cookie(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(cluster(CALLED, BALANCE_RING_HASH), ALL);
    struct route_table *t = table(1);
    *hashed(t) = (struct hash_policy){.source = HASH_COOKIE,
                                      .name = TEXT("who"),
                                      .make_cookie = true,
                                      .cookie_ttl_ms = 60000,
                                      .cookie_path = TEXT("/a")};
    put(t);
    n_cookies = 0;
    fleet.answered = look_for_cookie;
    fleet_ask(20);
    assert_int_equal(n_cookies, 20);
    assert_int_equal(n_client_whole, 20);
    fleet_end();
}

/* ---- near and far --------------------------------------------------------- */

/* The client lies where server 0 does: all is for it, until it is left out. */
static void the_nearest(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    web_is_in_zone("a");
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->outlier_detection = true;
    c->outlier.consecutive_5xx = 3;
    c->outlier.max_ejection_percent = 100;
    c->breaker[0].max[BREAKER_RETRIES] = 1000;
    put_called(c, ALL);
    with_retries(RETRY_5XX, 0);
    fleet_ask(20);
    assert_int_equal(fleet.servers[0].n_served, 20);
    fleet.servers[0].fails = true;
    fleet_ask(20);
    assert_in_range(fleet.servers[0].n_served, 23, seed % 2 ? 23 : 60);
    assert_int_equal(served_by(1, 3), 20);
    fleet_end();
}

/* ---- who fails is left out -------------------------------------------------- */

static struct cluster *with_outliers(uint32_t in_a_row)
{
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->outlier_detection = true;
    c->outlier.consecutive_5xx = in_a_row;
    c->outlier.max_ejection_percent = 50;
    c->breaker[0].max[BREAKER_RETRIES] = 1000; /* as Istio has it */
    return c;
}

static const struct cluster_use *use_of_called(void)
{
    struct text name = TEXT(CALLED);
    const struct upstream_cluster *c = map_get(&fleet.web->local.clusters.all, name);
    return c ? c->use : NULL;
}

static void one_fails(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(with_outliers(5), ALL);
    with_retries(RETRY_5XX, 0);
    fleet.posts = true;
    fleet.servers[1].fails = true;
    fleet_ask(200);
    assert_int_equal(n_client_whole, 200); /* the client sees nothing of it */
    unsigned failed = fleet.servers[1].n_served;
    assert_in_range(failed, 5, seed % 2 ? 5 : 60); /* of HTTP/2 some are on their way */
    assert_int_equal(use_of_called()->ejected, 1);
    assert_int_equal(use_of_called()->ejections, 1);
    fleet.servers[1].fails = false;
    fake_net_run_for(net, 45 * 1000);
    fleet_ask(40);
    assert_int_equal(fleet.servers[1].n_served, failed + 10); /* back */
    assert_int_equal(use_of_called()->ejected, 0);
    fleet_end();
}

/* Every second one: not five in a row, but of a rate that stands out. */
static unsigned n_flaky;
static void fail_half(struct call *c)
{
    if (server_of(c->s.link->user) == &fleet.servers[1] && ++n_flaky % 2)
        c->wish.status = 503;
}

static void one_fails_half(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = with_outliers(5);
    c->outlier.success_rate_min_hosts = 3;
    c->outlier.success_rate_volume = 20;
    c->outlier.success_rate_stdev_factor = 1000;
    c->outlier.interval_ms = 30000;
    put_called(c, ALL);
    with_retries(RETRY_5XX, 0);
    n_flaky = 0;
    fleet.served = fail_half;
    fleet_ask(200);
    fake_net_run_for(net, 31000);
    unsigned before = fleet.servers[1].n_served;
    assert_true(before > 40);
    fleet_ask(100);
    assert_int_equal(n_client_whole, 300);
    assert_int_equal(fleet.servers[1].n_served, before);
    fleet_end();
}

static void one_hangs(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(with_outliers(3), ALL);
    with_retries(RETRY_5XX, 300);
    fleet.servers[2].hangs = true;
    fleet_ask(100);
    assert_int_equal(n_client_whole, 100);
    assert_in_range(fleet.servers[2].n_served, 3, seed % 2 ? 3 : 60);
    fleet_end();
}

/* Killed under load. */
static void one_is_killed(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(with_outliers(3), ALL);
    with_retries(RETRY_5XX | RETRY_CONNECT_FAILURE | RETRY_RESET, 0);
    fleet_ask(40);
    fleet.n_left = 200;
    fake_net_run_for(net, 30);
    struct fleet_server *s = &fleet.servers[seed % SERVERS];
    sim_unlisten(&fleet.mesh, s->listening);
    s->listening = -1;
    s->refuses = true; /* what it has said already arrives, as it does of a process that is killed */
    fake_net_run_for(net, 100);
    for (unsigned i = 0; i < WIRES_MAX; i++)
        if (fleet.wires[i] && server_of(fleet.wires[i]) == s && fleet.wires[i]->link)
            http_link_close(fleet.wires[i]->link);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 600 * 1000));
    assert_int_equal(n_client_whole, 240);
    fleet_end();
}

/* All at once, with POSTs, and none of these is read twice: also not where a kept connection ends as if nobody had read it. */
static void never_twice(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(with_outliers(3), ALL);
    with_retries(RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM, 0);
    fleet.once = fleet.posts = true;
    fleet.closes_idle = 3;
    for (unsigned i = 0; i < SERVERS; i++) {
        fleet_ask(30);
        fleet.servers[i].refuses = true;
        fleet_ask(30);
        fleet.servers[i].refuses = false;
    }
    assert_in_range(n_client_whole, 180, 240);
    fleet_end();
}

/* ---- how much may be in use ------------------------------------------------- */

static unsigned n_overloaded;
static void look_for_overload(const struct call *c)
{
    n_overloaded += http_head_get(&c->s.head, TEXT("x-envoy-overloaded")).len > 0;
}

static void ask_at_once(unsigned n)
{
    fake_net_run_for(net, 100);
    for (unsigned i = 0; i < n; i++) {
        struct call *c = ask(&(struct wish){.seed = i, .status = 200});
        assert_non_null(c);
        c->told_over = fleet_over;
    }
    fake_net_run_for(net, 3000);
}

/* So many requests at once, and not one more; given back when they end. Of each priority by itself. */
static void requests_hold(uint64_t seed)
{
    begin(2 * seed, APP_HTTP2);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    struct route_table *t = table(1);
    unsigned high = seed % 2;
    c->breaker[high].max[BREAKER_REQUESTS] = 7;
    put_called(c, ALL);
    forward_called(t)->high_priority = high;
    put(t);
    n_overloaded = 0;
    fleet.answered = look_for_overload;
    for (unsigned i = 0; i < SERVERS; i++)
        fleet.servers[i].hangs = true;
    ask_at_once(20);
    assert_int_equal(fleet_served(), 7);
    assert_int_equal(fleet.own[503], 13);
    assert_int_equal(n_overloaded, 13);
    assert_int_equal(sim_log_requests("overflow"), 13);
    assert_int_equal(breaker_used(&use_of_called()->breakers[high], BREAKER_REQUESTS), 7);
    assert_int_equal(breaker_refused(&use_of_called()->breakers[high], BREAKER_REQUESTS), 13);
    http_link_close(client->link);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    fake_net_run_for(net, 1000);
    assert_int_equal(breaker_used(&use_of_called()->breakers[high], BREAKER_REQUESTS), 0);
    assert_int_equal(breaker_used(&use_of_called()->breakers[high], BREAKER_PENDING), 0);
    fleet_end();
}

/* Of connections there is one for each endpoint whatever the limit, and who waits for one is counted. */
static void connections_hold(uint64_t seed)
{
    begin(2 * seed, APP_HTTP11); /* a client of HTTP/2, servers of HTTP/1.1 */
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->breaker[0].max[BREAKER_CONNECTIONS] = 3;
    c->breaker[0].max[BREAKER_PENDING] = 5;
    put_called(c, 3);
    fleet.servers[0].hangs = fleet.servers[1].hangs = true;
    ask_at_once(20);
    assert_int_equal(fleet.servers[0].n_accepted + fleet.servers[1].n_accepted, 3);
    assert_int_equal(fleet_served(), 3);
    assert_int_equal(breaker_used(&use_of_called()->breakers[0], BREAKER_CONNECTIONS), 3);
    assert_int_equal(breaker_used(&use_of_called()->breakers[0], BREAKER_PENDING) + fleet_served() + fleet.own[503], 20);
    assert_in_range(breaker_used(&use_of_called()->breakers[0], BREAKER_PENDING), 2, 5);
    http_link_close(client->link);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    fleet_end();
}

/* All servers fail; of the requests at once so many may be tried again at a time. */
static void retries_hold(uint64_t seed)
{
    begin(2 * seed, APP_HTTP2);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->breaker[0].max[BREAKER_RETRIES] = 2;
    put_called(c, ALL);
    with_retries(RETRY_5XX, 0);
    for (unsigned i = 0; i < SERVERS; i++)
        fleet.servers[i].refuses = true;
    ask_at_once(20);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    assert_in_range(fleet_served(), 22, 40); /* without the limit: 80 */
    assert_true(breaker_refused(&use_of_called()->breakers[0], BREAKER_RETRIES) >= 12);
    fake_net_run_for(net, 1000);
    assert_int_equal(breaker_used(&use_of_called()->breakers[0], BREAKER_RETRIES), 0);
    fleet_end();
}

/* So many requests by a connection, then it ends. */
static void connections_wear_out(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->requests_per_connection_max = 5;
    put_called(c, 1);
    fleet_ask(50);
    assert_int_equal(n_client_whole, 50);
    assert_in_range(fleet.servers[0].n_accepted, 10, 30);
    fleet_end();
}

/* So long without a request a connection stays, as the cluster says, or else as the pool does. */
static void connections_idle(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    bool said = seed % 4 < 2;
    c->idle_timeout_ms = said ? 2000 : 0;
    put_called(c, 1);
    fleet_ask(1);
    fake_net_run_for(net, 1000);
    fleet_ask(1);
    assert_int_equal(fleet.servers[0].n_accepted, 1);
    fake_net_run_for(net, 5000);
    fleet_ask(1);
    assert_int_equal(fleet.servers[0].n_accepted, said ? 2 : 1);
    fake_net_run_for(net, 70 * 1000);
    fleet_ask(1);
    assert_int_equal(fleet.servers[0].n_accepted, said ? 3 : 2);
    fleet_end();
}

/* So many requests at once by a connection of HTTP/2, and then another one. */
static void streams_of_a_connection(uint64_t seed)
{
    begin(2 * seed, APP_HTTP2);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->concurrent_streams_max = 3;
    put_called(c, 1);
    fleet.servers[0].hangs = true;
    ask_at_once(9);
    assert_int_equal(fleet_served(), 9);
    assert_int_equal(fleet.servers[0].n_accepted, 3);
    http_link_close(client->link);
    assert_true(fake_net_run_until(net, fleet_is_done, NULL, 60 * 1000));
    fleet_end();
}

/* ---- what else a route may say ---------------------------------------------- */

static unsigned n_named;
static void look_at_host(struct call *c)
{
    n_named += text_equal(c->s.head.authority, text_of(server_of(c->s.link->user)->pod->name)) &&
               text_equal(http_head_get(&c->s.head, TEXT("x-forwarded-host")), TEXT("server:80"));
}

/* As the endpoint is called, also when another one is tried. */
static void by_its_name(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct cluster *c = cluster(CALLED, BALANCE_ROUND_ROBIN);
    c->breaker[0].max[BREAKER_RETRIES] = 1000;
    put_called(c, ALL);
    struct route_table *t = table(1);
    struct route_forward *f = forward(t, 0, 1, 0);
    f->backends[0].cluster = TEXT(CALLED);
    f->host = (struct host_rewrite){.kind = HOST_OF_ENDPOINT, .append_forwarded = true};
    retries(t, f, RETRY_5XX, 3);
    put(t);
    rewritten = true;
    n_named = 0;
    fleet.served = look_at_host;
    fleet.servers[1].fails = true;
    fleet_ask(20);
    assert_int_equal(n_client_whole, 20);
    assert_int_equal(n_named, fleet_served());
    assert_true(fleet_served() > 20);
    fleet_end();
    rewritten = false;
}

static void not_for_longer(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    forward(t, 0, 1, 0)->max_stream_duration_ms = 500;
    put(t);
    fleet.servers[0].hangs = fleet.servers[1].hangs = true;
    fake_net_run_for(net, 100);
    uint64_t began = fake_net_now_ms(net);
    fleet_ask(1);
    assert_in_range(fake_net_now_ms(net) - began, 500, 700);
    assert_int_equal(fleet.own[408], 1);
    assert_int_equal(sim_log_requests("stream too long"), 1);
    fleet_end();
}

static unsigned n_allowed;
static void look_for_origin(const struct call *c)
{
    n_allowed += text_equal(http_head_get(&c->s.head, TEXT("access-control-allow-origin")),
                            TEXT("https://a.example"));
}

/* Browsers of other origins: what the client says of its origin is added by a route of the test's. */
static void across_origins(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    forward(t, 0, 1, 0);
    struct cors *c = of_table(t, 1, sizeof *c);
    c->origins = of_table(t, 1, sizeof *c->origins);
    c->n_origins = 1;
    c->origins[0].value = TEXT("https://a.example");
    t->hosts[0].routes[0].action.cors = c;
    put(t);
    n_allowed = 0;
    fleet.answered = look_for_origin;
    fleet_ask(5);
    assert_int_equal(n_allowed, 0); /* of no other origin */
    fleet.origin = "https://a.example";
    fleet_ask(5);
    assert_int_equal(n_allowed, 5);
    fleet.preflights = true;
    unsigned served = fleet_served();
    fleet_ask(5);
    assert_int_equal(n_allowed, 10);
    assert_int_equal(fleet_served(), served); /* nobody was asked */
    fleet.origin = "https://b.example";
    fleet_ask(5);
    assert_int_equal(n_allowed, 10);
    assert_int_equal(fleet_served(), served);
    fleet_end();
}

/* A try that says nothing; another one may. */
static void not_in_silence(uint64_t seed)
{
    begin(seed, APP_HTTP11);
    struct route_table *t = table(1);
    struct retry_policy *p = retries(t, forward(t, 0, 1, 0), RETRY_5XX, 2);
    p->per_try_idle_timeout_ms = 400;
    put(t);
    fleet.servers[0].hangs = true;
    fake_net_run_for(net, 100);
    fleet_ask(10);
    assert_int_equal(n_client_whole, 10);
    fleet.servers[1].hangs = true;
    uint64_t began = fake_net_now_ms(net);
    fleet_ask(1);
    assert_int_equal(fleet.own[504], 1);
    assert_in_range(fake_net_now_ms(net) - began, 1200, 2500);
    fleet_end();
}

/* ---- without memory --------------------------------------------------------- */

enum { POINTS_MAX = 20000 };

static bool without(uint64_t nth, uint64_t seed)
{
    begin(seed, APP_HTTP11);
    put_called(with_outliers(3), ALL);
    with_retries(RETRY_5XX, 0);
    fleet.posts = fleet.reconnects = true;
    fleet.servers[0].fails = true;
    sim_alloc_fail_at(nth);
    fleet_ask(7);
    bool reached = sim_alloc_failed();
    sim_alloc_fail_at(0);
    unsigned before = n_client_whole;
    fleet_ask(5); /* and then all is well again */
    assert_int_equal(n_client_whole, before + 5);
    fake_net_run_for(net, 1000);
    assert_int_equal(breaker_used(&use_of_called()->breakers[0], BREAKER_REQUESTS), 0);
    fleet_end();
    return reached;
}

static void without_memory(uint64_t seed)
{
    uint64_t nth = seed;
    for (; without(nth, seed); nth += 5) /* a fifth of them a run */
        assert_true(nth < POINTS_MAX);
    assert_true(nth > 500);
}

#define STORIES(X)                                                                                 \
    X(in_turn, 4)                                                                                  \
    X(the_less_busy, 2)                                                                            \
    X(of_a_subset, 2)                                                                              \
    X(not_a_stranger, 2)                                                                           \
    X(not_in_the_clear, 2)                                                                         \
    X(not_before_it_is_whole, 1)                                                                   \
    X(somebody_else, 2)                                                                            \
    X(found_again, 4)                                                                              \
    X(brings_a_cookie, 2)                                                                          \
    X(the_nearest, 2)                                                                              \
    X(one_fails, 8)                                                                                \
    X(one_fails_half, 4)                                                                           \
    X(one_hangs, 4)                                                                                \
    X(one_is_killed, 16)                                                                           \
    X(never_twice, 8)                                                                              \
    X(requests_hold, 2)                                                                            \
    X(connections_hold, 2)                                                                         \
    X(retries_hold, 2)                                                                             \
    X(connections_wear_out, 2)                                                                     \
    X(connections_idle, 4)                                                                         \
    X(streams_of_a_connection, 2)                                                                  \
    X(by_its_name, 4)                                                                              \
    X(not_for_longer, 2)                                                                           \
    X(across_origins, 4)                                                                           \
    X(not_in_silence, 2)                                                                           \
    X(without_memory, 2)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
