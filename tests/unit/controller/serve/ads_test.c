/* The ADS machine and shared/xds's client, which wants everything, back to back in memory. */
#include "shared/xds/routing.h"
#include "shared/xds/xds_client.h"
#include "tests/unit/controller/serve/ads_fixture.h"
#include <errno.h>
#include <stdio.h>

struct follower {
    struct xds_client client;
    struct map have[XDS_TYPE_COUNT]; /* name -> version of the body, as a hash */
    char story[4096];                /* what came, in order */
    struct text_out out;
    const char *refuse;
    unsigned closed, puts;
    enum grpc_status status;
};

static int follower_put(struct xds_client *c, enum xds_type type, struct text name,
                        const uint8_t *body, size_t len, char why[static XDS_WHY_MAX])
{
    struct follower *f = c->user;
    struct workload *w = NULL;
    struct service *s = NULL;
    struct policy *p = NULL;
    struct route_table *t = NULL;
    struct cluster *k = NULL;
    int r = type == XDS_ADDRESS  ? xds_address_decode(body, len, &w, &s, why)
            : type == XDS_ROUTES ? xds_routes_decode(body, len, &t, why)
                                 : type == XDS_CLUSTER ? xds_cluster_decode(body, len, &k, why)
                                  : xds_policy_decode(body, len, &p, why);
    if (r != 0)
        fail_msg("type %d %.*s: %s", (int)type, (int)name.len, name.data, why);
    workload_free(w);
    service_free(s);
    policy_free(p);
    cluster_unref(k);
    route_table_unref(t);
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

static const struct xds_client_events follower_events = {follower_put, follower_removed,
                                                         follower_synced, follower_closed};

static void follower_init_of(struct follower *f, unsigned types)
{
    *f = (struct follower){0};
    f->out = TEXT_OUT(f->story);
    xds_client_init(&f->client, "node-a", types, &follower_events, f);
    for (unsigned t = 0; t < XDS_TYPE_COUNT; t++)
        map_init(&f->have[t], 0);
}

static void follower_init(struct follower *f)
{
    follower_init_of(f, XDS_MESH);
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
    assert_int_equal(
        xds_client_start(&f->client, w->client, &w->pool, TEXT("controller"), TEXT("")), 0);
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
    assert_true(f.client.stats.synced[XDS_ADDRESS] &&
                f.client.stats.synced[XDS_AUTHORIZATION]); /* of nothing */
    assert_string_equal(told(&f), "");
    control_set(&c, POD("a", "10.0.0.1", "app: web") SERVICE("web", "10.96.0.1") POLICY("p"));
    wire_run(&w);
    assert_string_equal(told(&f),
                        "+n/p +n/web.n.svc.cluster.local +" UID("a") " "); /* policies first */
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
    control_set(&c, POD("a", "10.0.0.1", "") POD("b", "10.0.0.2", "") POD("c", "10.0.0.3", "")
                        POLICY("p") POLICY("q"));
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
    control_set(&other, POD("a", "10.0.0.1", "") POD("b", "10.0.0.9", "") POD("d", "10.0.0.4", "")
                            POLICY("q"));
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
        text_printf(&out,
                    "{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: n}, status: "
                    "{podIP: 10.%u.%u.%u}}\n---\n",
                    i, shift, i / 250, i % 250);
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

/* A client that does not read costs two responses, however much changes meanwhile, and then gets
 * the latest state. */
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
    catalog_forget(&c.catalog, XDS_ADDRESS,
                   c.catalog.sequence); /* as when there are too many graves */
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

/* "*" of routes means those that somebody wrote: where nobody did, the one that is made up is not
 * told, and what was written and is no more is told as gone. */
static void written_routes_alone(void **state)
{
#define WEB      SERVICE("web", "10.96.0.1")
#define TABLE    "outbound|80||web.n.svc.cluster.local"
#define TO(port) HTTP_ROUTE("r", "n", "web", "backendRefs: [{name: web, port: " port "}]")
#define OF_CLIENTS                                                                                 \
    HTTP_ROUTE("c", "bank", "web", "backendRefs: [{name: web, port: 80, namespace: n}]")
    struct control c;
    struct wire w;
    struct follower f;
    (void)state;
    control_open(&c);
    control_set(&c, WEB);
    wire_open(&w, &c.ads);
    follower_init_of(&f, XDS_MESH_AND_ROUTES);
    start(&f, &w);
    assert_true(xds_client_synced(&f.client, XDS_MESH_AND_ROUTES));
    assert_string_equal(told(&f), "+n/web.n.svc.cluster.local ");
    assert_non_null(catalog_get(&c.catalog, XDS_ROUTES, TEXT(TABLE)));
    control_set(&c, WEB SERVICE("other", "10.96.0.2"));
    wire_run(&w);
    assert_string_equal(told(&f), "+n/other.n.svc.cluster.local ");
    control_set(&c, WEB TO("80"));
    wire_run(&w);
    assert_string_equal(told(&f), "-n/other.n.svc.cluster.local +" TABLE " ");
    control_set(&c, WEB TO("81"));
    wire_run(&w);
    assert_string_equal(told(&f), "+" TABLE " ");
    control_set(&c, WEB OF_CLIENTS); /* the clients' own, and no other any more */
    wire_run(&w);
    assert_string_equal(told(&f), "+" TABLE "@bank -" TABLE " ");
    control_set(&c, WEB TO("80") OF_CLIENTS);
    wire_run(&w);
    assert_string_equal(told(&f), "+" TABLE " ");
    xds_client_stop(&f.client);
    control_set(&c, WEB OF_CLIENTS); /* while it is away */
    start(&f, &w);
    assert_string_equal(told(&f), "-" TABLE " ");
    control_set(&c, "");
    wire_run(&w);
    assert_string_equal(told(&f), "-n/web.n.svc.cluster.local -" TABLE "@bank ");
    assert_int_equal(f.have[XDS_ROUTES].count, 0);
    assert_int_equal(f.client.stats.nacks[XDS_ROUTES], 0);
    follower_done(&f);
    wire_close(&w);
    control_close(&c);
}

/* Whoever knows a Service that asks for TLS knows that it does: at the start, and of what comes together. */
static void clusters_before_services(void **state)
{
#define ASKS "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r, namespace: n}, spec: {host: %s, trafficPolicy: {tls: {mode: SIMPLE}}}}\n---\n"
    struct control c;
    struct wire w;
    struct follower f;
    char yaml[4096];
    (void)state;
    control_open(&c);
    snprintf(yaml, sizeof yaml, "%s" ASKS, SERVICE("web", "10.96.0.1"), "web");
    control_set(&c, yaml);
    wire_open(&w, &c.ads);
    follower_init_of(&f, XDS_MESH | 1u << XDS_CLUSTER);
    start(&f, &w);
    assert_string_equal(told(&f), "+outbound|80||web.n.svc.cluster.local +n/web.n.svc.cluster.local ");
    snprintf(yaml, sizeof yaml, "%s" ASKS, SERVICE("shop", "10.96.0.2"), "shop");
    control_set(&c, yaml);
    wire_run(&w);
    assert_string_equal(told(&f), "+outbound|80||shop.n.svc.cluster.local +n/shop.n.svc.cluster.local -n/web.n.svc.cluster.local "
                                  "-outbound|80||web.n.svc.cluster.local ");
    follower_done(&f);
    wire_close(&w);
    control_close(&c);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcard),
        cmocka_unit_test(clusters_before_services),
        cmocka_unit_test(a_returning_client_gets_the_difference),
        cmocka_unit_test(a_refusal_is_counted_and_not_repeated),
        cmocka_unit_test(big_answers_come_in_pieces),
        cmocka_unit_test(a_slow_client_costs_nothing_and_catches_up),
        cmocka_unit_test(a_stuck_client_is_cut_off),
        cmocka_unit_test(too_far_behind_means_anew),
        cmocka_unit_test(written_routes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
