/* What is told otherwise to who asks: by its namespace, its place, and what its program knows. */
#include "controller/serve/asker.h"
#include "shared/xds/routing.h"
#include "tests/unit/controller/serve/sotw_client.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

enum { FAILURES_MAX = 1000 };

static struct asker read_id(const char *id)
{
    struct asker a;
    asker_read(&a, &(struct sotw_request){.node_id = (char *)id});
    return a;
}

static void namespaces_of_node_ids(void **state)
{
    char id[200];
    (void)state;
    assert_string_equal(read_id("sidecar~10.0.0.9~web-1.shop~shop.svc.cluster.local").ns, "shop");
    assert_string_equal(read_id("sidecar~10.0.0.9~web.v1.shop~").ns, "shop");
    assert_string_equal(read_id("proxyless~client").ns, "");
    assert_string_equal(read_id("a~b~web.shop").ns, "");
    assert_string_equal(read_id("a~b~web~c").ns, "");
    assert_string_equal(read_id("a~b~.~c").ns, "");
    assert_string_equal(read_id("").ns, "");
    snprintf(id, sizeof id, "a~b~web.%0*d~c", ASKER_NAMESPACE_MAX, 1);
    assert_string_equal(read_id(id).ns, "");
    snprintf(id, sizeof id, "a~b~web.%0*d~c", ASKER_NAMESPACE_MAX - 1, 1);
    assert_int_equal(strlen(read_id(id).ns), ASKER_NAMESPACE_MAX - 1);
}

/* ---- Listeners ------------------------------------------------------------------------------ */

static void a_namespace_has_its_own_listener(void **state)
{
    struct bench b;
    char **names = LIST("h:80", "i:80");
    (void)state;
    bench_open(&b);
    b.t.node_id = "sidecar~10.0.0.9~web.bank~x";
    has(&b.c, XDS_LISTENER, "h:80", "all");
    has(&b.c, XDS_LISTENER, "h:80@shop", "shop");
    has(&b.c, XDS_LISTENER, "i:80", "all");
    ask(&b, XDS_LISTENER, names);
    assert_string_equal(hear(&b, names), "listener: h:80=all i:80=all");
    has(&b.c, XDS_LISTENER, "h:80@bank", "1");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, names), "listener: h:80@bank=1 i:80=all");
    has(&b.c, XDS_LISTENER, "h:80@bank", "2");
    has(&b.c, XDS_LISTENER, "h:80@shop", "2"); /* not its own */
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, names), "listener: h:80@bank=2 i:80=all");
    assert_string_equal(hear(&b, names), "");
    has_not(&b.c, XDS_LISTENER, "h:80@bank");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, names), "listener: h:80=all i:80=all");
    assert_string_equal(hear(&b, names), "");
    has_not(&b.c, XDS_LISTENER, "h:80@shop");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, names), "");
    bench_close(&b);
}

static void wildcards_hold_no_name_twice(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    b.t.node_id = "sidecar~10.0.0.9~web.bank~x";
    has(&b.c, XDS_LISTENER, "h:80", "all");
    has(&b.c, XDS_LISTENER, "h:80@bank", "bank");
    has(&b.c, XDS_LISTENER, "h:80@shop", "shop");
    has(&b.c, XDS_LISTENER, "i:80", "all");
    ask(&b, XDS_LISTENER, NONE);
    assert_string_equal(hear(&b, NONE), "listener: h:80@bank=bank i:80=all");
    bench_close(&b);
}

static void nobody_else_hears_of_it(void **state)
{
    struct bench b;
    (void)state;
    bench_open(&b);
    has(&b.c, XDS_LISTENER, "h:80", "all");
    has(&b.c, XDS_LISTENER, "h:80@bank", "bank");
    ask(&b, XDS_LISTENER, LIST("h:80"));
    assert_string_equal(hear(&b, LIST("h:80")), "listener: h:80=all");
    bench_close(&b);
}

/* ---- Endpoints and clusters ----------------------------------------------------------------- */

#define NODE(name, region, zone)                                                                   \
    "{apiVersion: v1, kind: Node, metadata: {name: " name                                          \
    ", labels: {topology.kubernetes.io/region: " region ", topology.kubernetes.io/zone: " zone     \
    "}}}\n---\n"
#define POD_ON(name, ip, node)                                                                     \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name                                           \
    ", namespace: n, labels: {app: s}}, spec: {nodeName: " node "}, status: {podIP: " ip           \
    ", phase: Running, conditions: [{type: Ready, status: 'True'}]}}\n---\n"
#define MESH                                                                                       \
    NODE("x", "north", "n1")                                                                       \
    NODE("y", "north", "n2") NODE("z", "south", "s1") POD_ON("p", "10.0.0.1", "x")                 \
        POD_ON("q", "10.0.0.2", "y") POD_ON("r", "10.0.0.3", "z")
#define SPEC(more)                                                                                 \
    "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: {clusterIP: "        \
    "10.9.0.1, selector: {app: s}, ports: [{port: 80}]" more "}}\n---\n"
#define RULE(policy)                                                                               \
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r, namespace: "  \
    "n}, spec: {host: s, trafficPolicy: {" policy "}}}\n---\n"
#define CLUSTER "outbound|80||s.n.svc.cluster.local"

/* "10.0.0.1/0 ...": addresses with their priorities. */
static const char *told_endpoints(const struct sotw_response *r)
{
    static char told[512];
    char why[XDS_WHY_MAX], ip[IP_TEXT_MAX];
    struct text_out out = TEXT_OUT(told);
    struct endpoints *e;
    told[0] = '\0';
    assert_non_null(r);
    assert_int_equal(r->n_resources, 1);
    assert_int_equal(xds_endpoints_decode(r->resources[0].data, r->resources[0].len, &e, why), 0);
    for (size_t g = 0; g < e->n_groups; g++)
        for (size_t i = 0; i < e->groups[g].n_endpoints; i++)
            text_printf(&out, "%s%s/%u", out.len ? " " : "",
                        ip_print(&e->groups[g].endpoints[i].addr.ip, ip), e->groups[g].priority);
    endpoints_unref(e);
    return told;
}

static void assert_seen(const char *yaml, const char *region, const char *wanted)
{
    struct bench b;
    const struct sotw_response *r;
    bench_open(&b);
    b.t.region = region;
    control_set(&b.c, yaml);
    ask(&b, XDS_ENDPOINTS, LIST((char *)CLUSTER));
    consumer_hear(&b.t, &r);
    assert_string_equal(told_endpoints(r), wanted);
    bench_close(&b);
}

static void near_endpoints_come_first(void **state)
{
    (void)state;
    assert_seen(MESH SPEC(", trafficDistribution: PreferClose"), "south",
                "10.0.0.3/0 10.0.0.1/1 10.0.0.2/1");
    assert_seen(MESH SPEC(", trafficDistribution: PreferClose"), "north",
                "10.0.0.1/0 10.0.0.2/0 10.0.0.3/1");
    assert_seen(MESH SPEC(", trafficDistribution: PreferClose"), NULL,
                "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
    assert_seen(MESH SPEC(""), "south", "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
    assert_seen(MESH SPEC(", internalTrafficPolicy: Local"), "south",
                "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
    assert_seen(MESH SPEC("") RULE("outlierDetection: {consecutive5xxErrors: 3}"), "south",
                "10.0.0.3/0 10.0.0.1/1 10.0.0.2/1");
}

#define PLACES(setting) "loadBalancer: {localityLbSetting: {" setting "}}"
#define OUTLIERS        ", outlierDetection: {consecutive5xxErrors: 3}"

static void as_somebody_wrote_it(void **state)
{
    (void)state;
    /* Off: neither the Service's preference nor the outliers' reason counts; said, and nothing else: as without. */
    assert_seen(MESH SPEC(", trafficDistribution: PreferClose") RULE(PLACES("enabled: false") OUTLIERS), "south",
                "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
    assert_seen(MESH SPEC("") RULE(PLACES("enabled: true") OUTLIERS), "south",
                "10.0.0.3/0 10.0.0.1/1 10.0.0.2/1");
    assert_seen(MESH SPEC(", trafficDistribution: PreferClose") RULE(PLACES("enabled: true")), "south",
                "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
    /* Who can't be left out is no reason to go away. */
    assert_seen(MESH SPEC("") RULE(PLACES("failover: [{from: south, to: north}]")), "south",
                "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
    assert_seen(MESH SPEC("") RULE(PLACES("failoverPriority: ['topology.kubernetes.io/zone=n2']") OUTLIERS), "south",
                "10.0.0.2/0 10.0.0.1/1 10.0.0.3/1");
    assert_seen(MESH SPEC("") RULE(PLACES("distribute: [{from: south, to: {north/n1: 90, south: 10}}]")), "south",
                "10.0.0.1/0 10.0.0.3/0");
    assert_seen(MESH SPEC("") RULE(PLACES("distribute: [{from: south, to: {north/n1: 90, south: 10}}]")), "north",
                "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
}

static void a_preference_that_comes_is_told(void **state)
{
    struct bench b;
    const struct sotw_response *r;
    (void)state;
    bench_open(&b);
    b.t.region = "south";
    control_set(&b.c, MESH SPEC(""));
    ask(&b, XDS_ENDPOINTS, LIST((char *)CLUSTER));
    consumer_hear(&b.t, &r);
    assert_string_equal(told_endpoints(r), "10.0.0.1/0 10.0.0.2/0 10.0.0.3/0");
    consumer_ask(&b.t, r->type_url, LIST((char *)CLUSTER), r->nonce, NULL);
    control_set(&b.c, MESH SPEC(", trafficDistribution: PreferClose"));
    consumer_hear(&b.t, &r);
    assert_string_equal(told_endpoints(r), "10.0.0.3/0 10.0.0.1/1 10.0.0.2/1");
    consumer_ask(&b.t, r->type_url, LIST((char *)CLUSTER), r->nonce, NULL);
    control_set(&b.c, MESH SPEC(", trafficDistribution: PreferClose")
                          RULE(PLACES("distribute: [{from: south, to: {north/n2: 100}}]")));
    consumer_hear(&b.t, &r);
    assert_string_equal(told_endpoints(r), "10.0.0.2/0");
    bench_close(&b);
}

static enum balance_kind told_balance(const char *agent, const char *policy)
{
    struct bench b;
    const struct sotw_response *r;
    struct cluster *c;
    char yaml[4096], why[XDS_WHY_MAX];
    snprintf(yaml, sizeof yaml, MESH SPEC("") RULE("%s"), policy);
    bench_open(&b);
    b.t.user_agent = agent;
    control_set(&b.c, yaml);
    ask(&b, XDS_CLUSTER, LIST((char *)CLUSTER));
    consumer_hear(&b.t, &r);
    assert_non_null(r);
    assert_int_equal(r->n_resources, 1);
    assert_int_equal(xds_cluster_decode(r->resources[0].data, r->resources[0].len, &c, why), 0);
    enum balance_kind kind = c->balance.kind;
    cluster_unref(c);
    bench_close(&b);
    return kind;
}

static void grpc_clients_take_turns(void **state)
{
    static const char any[] = "connectionPool: {http: {http2MaxRequests: 9}}",
                      random[] = "loadBalancer: {simple: RANDOM}",
                      maglev[] = "loadBalancer: {consistentHash: {httpHeaderName: u, maglev: {}}}";
    (void)state;
    assert_int_equal(told_balance("gRPC Node Pure JS", any), BALANCE_ROUND_ROBIN);
    assert_int_equal(told_balance("grpc-go", random), BALANCE_ROUND_ROBIN);
    assert_int_equal(told_balance("gRPC Node Pure JS", maglev), BALANCE_MAGLEV);
    assert_int_equal(told_balance("envoy", any), BALANCE_LEAST_REQUEST);
    assert_int_equal(told_balance(NULL, random), BALANCE_RANDOM);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static void what_fails_is_told_later(void **state)
{
    bool failed = true;
    long n = 0;
    (void)state;
    for (; failed && n < FAILURES_MAX; n++) {
        struct bench b;
        const struct sotw_response *r;
        bench_open(&b);
        b.t.region = "south";
        control_set(&b.c, MESH SPEC(""));
        ask(&b, XDS_ENDPOINTS, LIST((char *)CLUSTER));
        consumer_hear(&b.t, &r);
        consumer_ask(&b.t, r->type_url, LIST((char *)CLUSTER), r->nonce, NULL);
        control_change(&b.c, MESH SPEC(", trafficDistribution: PreferClose"));
        alloc_fail_at(n);
        ads_push(&b.c.ads, 0);
        failed = alloc_failed();
        ads_tick(&b.c.ads, 0);
        consumer_hear(&b.t, &r);
        assert_string_equal(told_endpoints(r), "10.0.0.3/0 10.0.0.1/1 10.0.0.2/1");
        bench_close(&b);
    }
    assert_false(failed);
    assert_true(n > 5);
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void look_at(const struct ads_client *client, void *arg)
{
    struct text_out *out = arg;
    text_printf(out, "%s %s: %s", client->node, xds_type_name(client->nack_type).data, client->nack);
}

static const char *refused(const struct bench *b)
{
    static char text[512];
    struct text_out out = TEXT_OUT(text);
    ads_each(&b->c.ads, look_at, &out);
    return text;
}

static void a_refusal_is_shown_until_it_is_over(void **state)
{
    struct bench b;
    const struct sotw_response *r;
    (void)state;
    bench_open(&b);
    b.t.node_id = "me\x1b[2J";
    has(&b.c, XDS_CLUSTER, "a", "1");
    has(&b.c, XDS_ENDPOINTS, "a", "1");
    ask(&b, XDS_CLUSTER, LIST("a"));
    consumer_hear(&b.t, &r);
    consumer_ask(&b.t, r->type_url, LIST("a"), r->nonce, "no\nMAGLEV");
    assert_string_equal(refused(&b), "me [2J cluster: no MAGLEV");
    ask(&b, XDS_ENDPOINTS, LIST("a"));
    assert_string_equal(hear(&b, LIST("a")), "endpoints: a=1"); /* of another type */
    assert_string_equal(refused(&b), "me [2J cluster: no MAGLEV");
    has(&b.c, XDS_CLUSTER, "a", "2");
    push(&b.c, &b.w);
    assert_string_equal(hear(&b, LIST("a")), "cluster: a=2");
    assert_string_equal(refused(&b), "me [2J cluster: ");
    bench_close(&b);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(namespaces_of_node_ids),
        cmocka_unit_test(a_namespace_has_its_own_listener),
        cmocka_unit_test(wildcards_hold_no_name_twice),
        cmocka_unit_test(nobody_else_hears_of_it),
        cmocka_unit_test(as_somebody_wrote_it),
        cmocka_unit_test(near_endpoints_come_first),
        cmocka_unit_test(a_preference_that_comes_is_told),
        cmocka_unit_test(grpc_clients_take_turns),
        cmocka_unit_test(what_fails_is_told_later),
        cmocka_unit_test(a_refusal_is_shown_until_it_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
