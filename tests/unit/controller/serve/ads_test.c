/* The ADS machine and shared/xds's client back to back in memory; and a client that says each word itself. */
#include "controller/serve/ads.h"
#include "shared/base/log.h"
#include "shared/xds/xds_client.h"
#include "tests/unit/controller/fixture.h"
#include <errno.h>
#include <stdio.h>

enum { CHUNKS = 8192, RESPONSES_MAX = 64 };

/* ---- A wire: two HTTP/2 sessions ------------------------------------------------------------------ */

struct wire {
    struct chunk_pool pool;
    struct http2 *client, *server;
    struct ads *ads;
    bool cut_client; /* the client reads nothing */
};

static struct http2_stream *request(struct http2 *h, const struct http2_head *head, unsigned *ret_status)
{
    struct wire *w = http2_user(h);
    struct text path, bearer;
    if (grpc_request_check(head, &path, &bearer, ret_status) < 0)
        return NULL;
    assert_true(text_equal(path, TEXT(XDS_DELTA_PATH)));
    return ads_accept(w->ads, &w->pool, "spiffe://td/ns/a/sa/b", 0);
}

static void ignore(struct http2 *h)
{
    (void)h;
}

static void ignore_goaway(struct http2 *h, uint32_t code)
{
    (void)h;
    (void)code;
}

static const struct http2_events wire_events = {.request = request, .want_flush = ignore, .goaway = ignore_goaway};

static void wire_open(struct wire *w, struct ads *ads)
{
    *w = (struct wire){.ads = ads};
    chunk_pool_init(&w->pool, CHUNKS, 16);
    assert_int_equal(http2_new(&w->client, &(struct http2_options){0}, &wire_events, w, &w->pool), 0);
    assert_int_equal(http2_new(&w->server, &(struct http2_options){.server = true}, &wire_events, w, &w->pool), 0);
}

static bool wire_move(struct http2 *from, struct http2 *to)
{
    struct buf bytes = {0};
    if (!http2_wants_output(from))
        return false;
    assert_int_equal(http2_output(from, &bytes, SIZE_MAX), 0);
    bool any = bytes.len > 0;
    assert_int_equal(http2_input(to, &bytes), 0);
    buf_done(&bytes);
    return any;
}

static void wire_run(struct wire *w)
{
    bool any;
    do {
        any = wire_move(w->client, w->server);
        any = (!w->cut_client && wire_move(w->server, w->client)) || any;
    } while (any);
}

static void wire_close(struct wire *w)
{
    w->client = http2_free(w->client);
    w->server = http2_free(w->server);
    chunk_pool_done(&w->pool);
}

/* ---- The catalog, from manifests ------------------------------------------------------------------ */

struct control {
    struct catalog catalog;
    struct ads ads;
};

static void control_open(struct control *c)
{
    catalog_init(&c->catalog);
    ads_init(&c->ads, &c->catalog);
}

static size_t control_set(struct control *c, const char *yaml)
{
    struct object_store store;
    struct resources resources;
    struct problems problems;
    size_t changed;
    object_store_init(&store);
    problems_init(&problems);
    fixture_load(&store, yaml);
    assert_int_equal(translate(&store, &fixture_settings, &resources, &problems), 0);
    assert_int_equal(catalog_replace(&c->catalog, &resources, &changed), 0);
    problems_done(&problems);
    object_store_done(&store);
    ads_push(&c->ads, 0);
    return changed;
}

static void control_close(struct control *c)
{
    ads_done(&c->ads);
    assert_int_equal(c->ads.flight_bytes, 0);
    catalog_done(&c->catalog);
}

#define POD(name, ip, labels) "{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: n, labels: {" labels "}}, status: {podIP: " ip "}}\n---\n"
#define SERVICE(name, ip) "{apiVersion: v1, kind: Service, metadata: {name: " name ", namespace: n}, spec: {clusterIP: " ip ", selector: {app: " name "}, ports: [{port: 80}]}}\n---\n"
#define POLICY(name) "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: " name ", namespace: n}}\n---\n"
#define UID(name) "Kubernetes//Pod/n/" name

/* ---- shared/xds's client --------------------------------------------------------------------------- */

struct follower {
    struct xds_client client;
    struct map have[XDS_TYPE_COUNT]; /* name -> version of the body, as a hash */
    char story[4096];                /* what came, in order */
    struct text_out out;
    const char *refuse;
    unsigned closed, puts;
    enum grpc_status status;
};

static int follower_put(struct xds_client *c, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct follower *f = c->user;
    struct workload *w = NULL;
    struct service *s = NULL;
    struct policy *p = NULL;
    int r = type == XDS_ADDRESS ? xds_address_decode(body, len, &w, &s, why) : xds_policy_decode(body, len, &p, why);
    assert_int_equal(r, 0);
    workload_free(w);
    service_free(s);
    policy_free(p);
    if (f->refuse && text_equal(name, text_of(f->refuse))) {
        snprintf(why, XDS_WHY_MAX, "no, thank you");
        return -EINVAL;
    }
    f->puts++;
    text_printf(&f->out, "+%.*s ", (int)name.len, name.data);
    assert_int_equal(map_put(&f->have[type], name, f, NULL), 0);
    return 0;
}

static void follower_removed(struct xds_client *c, enum xds_type type, struct text name)
{
    struct follower *f = c->user;
    text_printf(&f->out, "-%.*s ", (int)name.len, name.data);
    assert_non_null(map_remove(&f->have[type], name));
}

static void follower_synced(struct xds_client *c, enum xds_type type)
{
    (void)c;
    (void)type;
}

static void follower_closed(struct xds_client *c, enum grpc_status status, struct text message)
{
    struct follower *f = c->user;
    (void)message;
    f->closed++;
    f->status = status;
}

static const struct xds_client_events follower_events = {follower_put, follower_removed, follower_synced, follower_closed};

static void follower_init(struct follower *f)
{
    *f = (struct follower){0};
    f->out = TEXT_OUT(f->story);
    xds_client_init(&f->client, "node-a", &follower_events, f);
    for (unsigned t = 0; t < XDS_TYPE_COUNT; t++)
        map_init(&f->have[t], 0);
}

static void follower_done(struct follower *f)
{
    xds_client_done(&f->client);
    for (unsigned t = 0; t < XDS_TYPE_COUNT; t++)
        map_done(&f->have[t], NULL);
}

static const char *told(struct follower *f)
{
    static char copy[4096];
    snprintf(copy, sizeof copy, "%s", f->story);
    f->out = TEXT_OUT(f->story);
    return copy;
}

static void start(struct follower *f, struct wire *w)
{
    assert_int_equal(xds_client_start(&f->client, w->client, &w->pool, TEXT("controller"), TEXT("")), 0);
    wire_run(w);
}

static void wildcard(void **state)
{
    struct control c;
    struct wire w;
    struct follower f;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    follower_init(&f);
    start(&f, &w);
    assert_true(f.client.stats.synced[XDS_ADDRESS] && f.client.stats.synced[XDS_AUTHORIZATION]); /* of nothing */
    assert_string_equal(told(&f), "");
    control_set(&c, POD("a", "10.0.0.1", "app: web") SERVICE("web", "10.96.0.1") POLICY("p"));
    wire_run(&w);
    assert_string_equal(told(&f), "+n/p +n/web.n.svc.cluster.local +" UID("a") " "); /* policies first */
    control_set(&c, POD("a", "10.0.0.1", "app: web") SERVICE("web", "10.96.0.1") POLICY("p"));
    wire_run(&w);
    assert_string_equal(told(&f), ""); /* nothing is different */
    control_set(&c, POD("a", "10.0.0.2", "app: web") SERVICE("web", "10.96.0.1") POLICY("p"));
    wire_run(&w);
    assert_string_equal(told(&f), "+" UID("a") " "); /* only what is */
    control_set(&c, POD("b", "10.0.0.3", "app: web"));
    wire_run(&w);
    /* Their policy goes after the workloads did. */
    assert_string_equal(told(&f), "+" UID("b") " -" UID("a") " -n/web.n.svc.cluster.local -n/p ");
    assert_int_equal(c.catalog.logs[XDS_ADDRESS].n_graves, 0);
    assert_int_equal(c.ads.flight_bytes, 0);
    assert_int_equal(c.ads.stats.clients, 1);
    assert_int_equal(f.client.stats.nacks[XDS_ADDRESS], 0);
    follower_done(&f);
    wire_run(&w);
    assert_int_equal(c.ads.stats.clients, 0);
    wire_close(&w);
    control_close(&c);
}

static void a_returning_client_gets_the_difference(void **state)
{
    struct control c, other;
    struct wire w;
    struct follower f;
    (void)state;
    control_open(&c);
    control_set(&c, POD("a", "10.0.0.1", "") POD("b", "10.0.0.2", "") POD("c", "10.0.0.3", "") POLICY("p") POLICY("q"));
    wire_open(&w, &c.ads);
    follower_init(&f);
    start(&f, &w);
    told(&f);
    assert_int_equal(f.puts, 5);
    wire_close(&w);
    assert_int_equal(f.closed, 1);
    control_close(&c);
    /* Another controller, as after a restart; the world went on meanwhile. */
    control_open(&other);
    control_set(&other, POD("a", "10.0.0.1", "") POD("b", "10.0.0.9", "") POD("d", "10.0.0.4", "") POLICY("q"));
    wire_open(&w, &other.ads);
    start(&f, &w);
    const char *story = told(&f);
    assert_non_null(strstr(story, "+" UID("b")));
    assert_non_null(strstr(story, "+" UID("d")));
    assert_non_null(strstr(story, "-" UID("c")));
    assert_non_null(strstr(story, "-n/p"));
    assert_int_equal(f.puts, 5 + 2);
    assert_int_equal(f.have[XDS_ADDRESS].count, 3);
    assert_int_equal(f.have[XDS_AUTHORIZATION].count, 1);
    /* And changes go on from there. */
    control_set(&other, POD("a", "10.0.0.8", ""));
    wire_run(&w);
    assert_int_equal(f.have[XDS_ADDRESS].count, 1);
    assert_int_equal(f.have[XDS_AUTHORIZATION].count, 0);
    follower_done(&f);
    wire_close(&w);
    control_close(&other);
}

static void a_refusal_is_counted_and_not_repeated(void **state)
{
    struct control c;
    struct wire w;
    struct follower f;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    follower_init(&f);
    f.refuse = UID("a");
    start(&f, &w);
    control_set(&c, POD("a", "10.0.0.1", "") POD("b", "10.0.0.2", ""));
    wire_run(&w);
    assert_string_equal(told(&f), "+" UID("b") " ");
    assert_int_equal(c.ads.stats.nacks[XDS_ADDRESS], 1);
    uint64_t pushes = c.ads.stats.pushes[XDS_ADDRESS];
    ads_push(&c.ads, 0);
    wire_run(&w);
    assert_int_equal(c.ads.stats.pushes[XDS_ADDRESS], pushes);
    f.refuse = NULL; /* a change is tried again */
    control_set(&c, POD("a", "10.0.0.3", "") POD("b", "10.0.0.2", ""));
    wire_run(&w);
    assert_string_equal(told(&f), "+" UID("a") " ");
    follower_done(&f);
    wire_close(&w);
    control_close(&c);
}

/* n pods, their addresses shifted by `shift`. On the heap. */
static char *many_pods(unsigned from, unsigned n, unsigned shift)
{
    size_t size = (size_t)n * 128 + 1;
    char *yaml = calloc(1, size);
    struct text_out out = {yaml, 0, size, false};
    assert_non_null(yaml);
    for (unsigned i = from; i < from + n; i++)
        text_printf(&out, "{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: n}, status: {podIP: 10.%u.%u.%u}}\n---\n", i, shift,
                    i / 250, i % 250);
    return yaml;
}

static void big_answers_come_in_pieces(void **state)
{
    enum { PODS = 9000 };
    struct control c;
    struct wire w;
    struct follower f;
    (void)state;
    char *yaml = many_pods(0, PODS, 1);
    control_open(&c);
    control_set(&c, yaml);
    wire_open(&w, &c.ads);
    follower_init(&f);
    start(&f, &w);
    assert_int_equal(f.have[XDS_ADDRESS].count, PODS);
    assert_int_equal(f.puts, PODS);
    assert_true(f.client.stats.messages[XDS_ADDRESS] >= 2);
    assert_int_equal(f.client.stats.nacks[XDS_ADDRESS], 0);
    control_set(&c, ""); /* and removals */
    wire_run(&w);
    assert_int_equal(f.have[XDS_ADDRESS].count, 0);
    assert_int_equal(c.catalog.entries[XDS_ADDRESS].count, 0);
    follower_done(&f);
    wire_close(&w);
    control_close(&c);
    free(yaml);
}

/* A client that does not read costs two responses, however much changes meanwhile, and then gets the latest state. */
static void a_slow_client_costs_nothing_and_catches_up(void **state)
{
    enum { PODS = 300, ROUNDS = 200 };
    struct control c;
    struct wire w;
    struct follower f;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    follower_init(&f);
    start(&f, &w);
    w.cut_client = true;
    size_t flight = 0, log = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char *yaml = many_pods(i, PODS, i % 200);
        control_set(&c, yaml);
        wire_run(&w);
        free(yaml);
        if (i == 10)
            flight = c.ads.flight_bytes;
        log = c.catalog.logs[XDS_ADDRESS].n > log ? c.catalog.logs[XDS_ADDRESS].n : log;
    }
    assert_true(flight > 0);
    assert_int_equal(c.ads.flight_bytes, flight);
    assert_true(log < 3 * (PODS + ROUNDS));
    w.cut_client = false;
    wire_run(&w);
    assert_int_equal(f.have[XDS_ADDRESS].count, PODS);
    assert_non_null(map_get(&f.have[XDS_ADDRESS], TEXT(UID("p200"))));
    assert_true(f.puts < 4 * PODS); /* not one for each change */
    assert_int_equal(c.ads.flight_bytes, 0);
    ads_tick(&c.ads, 1);
    assert_int_equal(c.catalog.logs[XDS_ADDRESS].n_graves, 0);
    follower_done(&f);
    wire_close(&w);
    control_close(&c);
}

static void a_stuck_client_is_cut_off(void **state)
{
    struct control c;
    struct wire w;
    struct follower f;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    follower_init(&f);
    start(&f, &w);
    w.cut_client = true;
    control_set(&c, POD("a", "10.0.0.1", ""));
    wire_run(&w);
    ads_tick(&c.ads, ADS_ACK_MS);
    assert_true(c.ads.flight_bytes > 0);
    ads_tick(&c.ads, ADS_ACK_MS + 1);
    assert_int_equal(c.ads.flight_bytes, 0);
    w.cut_client = false;
    wire_run(&w);
    assert_int_equal(f.closed, 1);
    assert_int_equal(c.ads.stats.clients, 0);
    follower_done(&f);
    wire_close(&w);
    control_close(&c);
}

static void too_far_behind_means_anew(void **state)
{
    struct control c;
    struct wire w;
    struct follower f;
    (void)state;
    control_open(&c);
    control_set(&c, POD("a", "10.0.0.1", "") POD("b", "10.0.0.2", ""));
    wire_open(&w, &c.ads);
    follower_init(&f);
    start(&f, &w);
    assert_int_equal(f.have[XDS_ADDRESS].count, 2);
    assert_int_equal(catalog_remove(&c.catalog, XDS_ADDRESS, TEXT(UID("a"))), 0);
    catalog_forget(&c.catalog, XDS_ADDRESS, c.catalog.sequence); /* as when there are too many graves */
    ads_push(&c.ads, 0);
    wire_run(&w);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.status, GRPC_UNAVAILABLE);
    start(&f, &w);
    assert_int_equal(f.have[XDS_ADDRESS].count, 1);
    assert_null(map_get(&f.have[XDS_ADDRESS], TEXT(UID("a"))));
    follower_done(&f);
    wire_close(&w);
    control_close(&c);
}

/* ---- A client that says each word itself ----------------------------------------------------------- */

struct talker {
    struct grpc_call call;
    struct wire *wire;
    struct delta_response responses[RESPONSES_MAX];
    size_t n, at;
    bool closed;
    enum grpc_status status;
};

static void talker_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct talker *t = call->user;
    char why[XDS_WHY_MAX];
    assert_true(t->n < RESPONSES_MAX);
    assert_int_equal(delta_response_decode(data, len, &t->responses[t->n++], why), 0);
}

static void talker_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    struct talker *t = call->user;
    (void)message;
    t->closed = true;
    t->status = status;
}

static const struct grpc_call_events talker_events = {.message = talker_message, .closed = talker_closed};

static void talker_open(struct talker *t, struct wire *w)
{
    const struct grpc_call_options options = {.path = TEXT(XDS_DELTA_PATH), .authority = TEXT("c")};
    *t = (struct talker){.wire = w};
    assert_int_equal(grpc_call_start(&t->call, w->client, &w->pool, &options, &talker_events, t), 0);
}

static void talker_done(struct talker *t)
{
    for (size_t i = 0; i < t->n; i++)
        delta_response_done(&t->responses[i]);
    if (!t->closed)
        grpc_call_cancel(&t->call);
}

static void say(struct talker *t, const struct delta_request *request)
{
    struct xds_bytes bytes;
    assert_int_equal(delta_request_encode(request, &bytes), 0);
    assert_int_equal(grpc_call_send(&t->call, bytes.data, bytes.len), 0);
    xds_bytes_done(&bytes);
    wire_run(t->wire);
}

/* Lists end with NULL. */
static void ask(struct talker *t, enum xds_type type, char **subscribe, char **unsubscribe)
{
    struct delta_request r = {.node_id = "n", .type_url = (char *)xds_type_url(type), .subscribe = subscribe, .unsubscribe = unsubscribe, .nonce = ""};
    while (subscribe && subscribe[r.n_subscribe])
        r.n_subscribe++;
    while (unsubscribe && unsubscribe[r.n_unsubscribe])
        r.n_unsubscribe++;
    say(t, &r);
}

/* The next response, as text, acknowledged; "" if there is none. */
static const char *hear(struct talker *t)
{
    static char heard[4096];
    struct text_out out = TEXT_OUT(heard);
    if (t->at == t->n)
        return "";
    const struct delta_response *r = &t->responses[t->at++];
    text_puts(&out, strcmp(r->type_url, xds_type_url(XDS_ADDRESS)) == 0 ? "address:" : "other:");
    for (size_t i = 0; i < r->n_resources; i++) {
        text_printf(&out, " +%s", r->resources[i].name);
        assert_true(r->resources[i].version[0]);
        for (size_t j = 0; j < r->resources[i].n_aliases; j++)
            text_printf(&out, "=%s", r->resources[i].aliases[j]);
    }
    for (size_t i = 0; i < r->n_removed; i++)
        text_printf(&out, " -%s", r->removed[i]);
    say(t, &(struct delta_request){.type_url = r->type_url, .nonce = r->nonce});
    return heard;
}

#define LIST(...) ((char *[]){__VA_ARGS__, NULL})

static void on_demand(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    control_set(&c, POD("a", "10.0.0.1", "app: web") POD("b", "10.0.0.2", "app: other") SERVICE("web", "10.96.0.1"));
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    ask(&t, XDS_ADDRESS, LIST("*"), LIST("*")); /* nothing, please: and that is answered */
    assert_string_equal(hear(&t), "address:");
    assert_string_equal(hear(&t), "");
    ask(&t, XDS_ADDRESS, LIST("net1/10.0.0.2"), NULL);
    assert_string_equal(hear(&t), "address: +" UID("b") "=net1/10.0.0.2");
    ask(&t, XDS_ADDRESS, LIST("net1/10.0.0.99"), NULL); /* absent: that is an answer too */
    assert_string_equal(hear(&t), "address: -net1/10.0.0.99");
    ask(&t, XDS_ADDRESS, LIST(UID("b"), "n/none.n.svc.cluster.local"), NULL);
    assert_string_equal(hear(&t), "address: +" UID("b") "=net1/10.0.0.2 -n/none.n.svc.cluster.local");
    /* A service comes with its endpoints, and with those that it gets later. */
    ask(&t, XDS_ADDRESS, LIST("net1/10.96.0.1"), NULL);
    assert_string_equal(hear(&t), "address: +n/web.n.svc.cluster.local=net1/10.96.0.1 +" UID("a") "=net1/10.0.0.1");
    control_set(&c, POD("a", "10.0.0.1", "app: web") POD("b", "10.0.0.2", "app: other") POD("x", "10.0.0.3", "app: web") POD("y", "10.0.0.4", "app: no")
                SERVICE("web", "10.96.0.1"));
    wire_run(&w);
    assert_string_equal(hear(&t), "address: +" UID("x") "=net1/10.0.0.3"); /* y is nobody's business */
    /* What was absent appears; what was given goes. */
    control_set(&c, POD("a", "10.0.0.1", "app: web") POD("z", "10.0.0.99", "") SERVICE("web", "10.96.0.1"));
    wire_run(&w);
    assert_string_equal(hear(&t), "address: +" UID("z") "=net1/10.0.0.99 -" UID("b") " -" UID("x"));
    /* Unsubscribed: silence. */
    ask(&t, XDS_ADDRESS, NULL, LIST("net1/10.0.0.99"));
    control_set(&c, POD("a", "10.0.0.1", "app: web") SERVICE("web", "10.96.0.1"));
    wire_run(&w);
    assert_string_equal(hear(&t), "");
    assert_int_equal(c.ads.flight_bytes, 0);
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void on_demand_after_a_reconnect(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    control_set(&c, POD("a", "10.0.0.1", "") POD("b", "10.0.0.2", ""));
    const struct resource *a = catalog_get(&c.catalog, XDS_ADDRESS, TEXT(UID("a")));
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    struct xds_version had[] = {{UID("a"), (char *)a->version}, {UID("b"), "old"}, {UID("gone"), "1"}};
    struct delta_request r = {.node_id = "n", .type_url = (char *)xds_type_url(XDS_ADDRESS), .nonce = "", .initial = had, .n_initial = 3};
    r.subscribe = LIST("*", "net1/10.0.0.7");
    r.n_subscribe = 2;
    r.unsubscribe = LIST("*");
    r.n_unsubscribe = 1;
    say(&t, &r);
    assert_string_equal(hear(&t), "address: +" UID("b") "=net1/10.0.0.2 -" UID("gone") " -net1/10.0.0.7");
    /* What it has it goes on being told of. */
    control_set(&c, POD("b", "10.0.0.2", ""));
    wire_run(&w);
    assert_string_equal(hear(&t), "address: -" UID("a"));
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void nonces(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    ask(&t, XDS_ADDRESS, NULL, NULL);
    assert_string_equal(hear(&t), "address:");
    control_set(&c, POD("a", "10.0.0.1", ""));
    control_set(&c, POD("a", "10.0.0.2", ""));
    control_set(&c, POD("a", "10.0.0.3", ""));
    wire_run(&w);
    assert_int_equal(t.n, 3); /* two are in flight, the third waits */
    char *url = t.responses[1].type_url;
    say(&t, &(struct delta_request){.type_url = url, .nonce = "77"});
    say(&t, &(struct delta_request){.type_url = url, .nonce = "x"});
    say(&t, &(struct delta_request){.type_url = (char *)xds_type_url(XDS_AUTHORIZATION), .nonce = t.responses[2].nonce});
    size_t n_address = 0;
    for (size_t i = 0; i < t.n; i++)
        n_address += strcmp(t.responses[i].type_url, url) == 0;
    assert_int_equal(n_address, 3); /* none of these acknowledges anything */
    say(&t, &(struct delta_request){.type_url = url, .nonce = t.responses[1].nonce, .has_error = true, .error_code = 3, .error_message = "bad"});
    assert_int_equal(c.ads.stats.nacks[XDS_ADDRESS], 1);
    assert_string_equal(t.responses[3].type_url, xds_type_url(XDS_AUTHORIZATION)); /* it was asked for above, and goes first */
    say(&t, &(struct delta_request){.type_url = t.responses[3].type_url, .nonce = t.responses[3].nonce});
    assert_int_equal(t.n, 5);
    assert_string_equal(t.responses[4].resources[0].aliases[0], "net1/10.0.0.3");
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void of_other_types_there_is_nothing(void **state)
{
    struct control c;
    struct wire w;
    struct talker t;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    struct delta_request r = {.type_url = "type.googleapis.com/x.Y", .nonce = "", .subscribe = LIST("a"), .n_subscribe = 1};
    say(&t, &r);
    assert_string_equal(hear(&t), "other: -a"); /* and the acknowledgement is not answered again */
    assert_string_equal(hear(&t), "");
    assert_int_equal(c.ads.flight_bytes, 0);
    assert_int_equal(grpc_call_send(&t.call, (const uint8_t *)"\xff\xff", 2), 0);
    wire_run(&w);
    assert_true(t.closed);
    assert_int_equal(t.status, GRPC_INVALID_ARGUMENT);
    talker_done(&t);
    wire_close(&w);
    control_close(&c);
}

static void half_close_and_finish(void **state)
{
    struct control c;
    struct wire w;
    struct talker t, u;
    (void)state;
    control_open(&c);
    wire_open(&w, &c.ads);
    talker_open(&t, &w);
    talker_open(&u, &w);
    ask(&t, XDS_ADDRESS, NULL, NULL);
    ask(&u, XDS_ADDRESS, NULL, NULL);
    assert_int_equal(c.ads.stats.clients, 2);
    grpc_call_half_close(&t.call);
    wire_run(&w);
    assert_true(t.closed);
    assert_int_equal(t.status, GRPC_OK);
    ads_finish(&c.ads, GRPC_UNAVAILABLE, "bye");
    wire_run(&w);
    assert_true(u.closed);
    assert_int_equal(u.status, GRPC_UNAVAILABLE);
    assert_int_equal(c.ads.stats.clients, 0);
    talker_done(&t);
    talker_done(&u);
    wire_close(&w);
    control_close(&c);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcard),
        cmocka_unit_test(a_returning_client_gets_the_difference),
        cmocka_unit_test(a_refusal_is_counted_and_not_repeated),
        cmocka_unit_test(big_answers_come_in_pieces),
        cmocka_unit_test(a_slow_client_costs_nothing_and_catches_up),
        cmocka_unit_test(a_stuck_client_is_cut_off),
        cmocka_unit_test(too_far_behind_means_anew),
        cmocka_unit_test(on_demand),
        cmocka_unit_test(on_demand_after_a_reconnect),
        cmocka_unit_test(nonces),
        cmocka_unit_test(of_other_types_there_is_nothing),
        cmocka_unit_test(half_close_and_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
