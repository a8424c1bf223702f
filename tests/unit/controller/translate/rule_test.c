/* What DestinationRules make of a Service's clusters: as a consumer of Envoy's resources reads them. */
#include "controller/translate/default_routes.h"
#include "controller/translate/rule_attach.h"
#include "controller/translate/virtual_table.h"
#include "shared/base/list.h"
#include "shared/xds/routing.h"
#include "shared/yaml/yaml.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <errno.h>
#include <stdio.h>

enum { TEXT_MAX = 8192 };

struct mesh {
    struct object_store store;
    struct view view;
};

static void mesh_open(struct mesh *m, const char *yaml)
{
    object_store_init(&m->store);
    fixture_load(&m->store, yaml);
    assert_int_equal(view_open(&m->view, &m->store, &fixture_settings), 0);
}

static void mesh_close(struct mesh *m)
{
    view_close(&m->view);
    object_store_done(&m->store);
}

static void put_number(struct text_out *out, const char *name, uint64_t value, uint64_t usual)
{
    if (value != usual)
        text_printf(out, " %s=%llu", name, (unsigned long long)value);
}

static void put_outlier(struct text_out *out, const struct outlier_settings *s)
{
    text_puts(out, " outlier(");
    put_number(out, "5xx", s->consecutive_5xx, 5);
    put_number(out, "5xx-enforced", s->enforcing_consecutive_5xx, 100);
    put_number(out, "gateway", s->consecutive_gateway_failure, 5);
    put_number(out, "gateway-enforced", s->enforcing_consecutive_gateway_failure, 0);
    put_number(out, "split", s->split_local_origin, 0);
    put_number(out, "local", s->consecutive_local_origin_failure, 5);
    put_number(out, "interval", s->interval_ms, 10000);
    put_number(out, "ejection", s->base_ejection_ms, 30000);
    put_number(out, "ejection-max", s->max_ejection_ms, 300000);
    put_number(out, "percent", s->max_ejection_percent, 10);
    put_number(out, "rate-enforced", s->enforcing_success_rate, 0);
    text_puts(out, ")");
}

static void put_locality(struct text_out *out, const struct cluster *c)
{
    const struct locality_lb *lb = &c->locality;
    if (lb->said)
        text_printf(out, " places(%s%s", lb->off ? "off" : "", c->balance.locality_weighted ? "weighted" : "");
    for (size_t i = 0; i < lb->n_distribute; i++) {
        text_printf(out, " %.*s:", (int)lb->distribute[i].from.len, lb->distribute[i].from.data);
        for (size_t j = 0; j < lb->distribute[i].n_to; j++)
            text_printf(out, " %.*s=%u", (int)lb->distribute[i].to[j].to.len,
                        lb->distribute[i].to[j].to.data, lb->distribute[i].to[j].percent);
    }
    for (size_t i = 0; i < lb->n_failover; i++)
        text_printf(out, " %.*s->%.*s", (int)lb->failover[i].from.len, lb->failover[i].from.data,
                    (int)lb->failover[i].to.len, lb->failover[i].to.data);
    for (size_t i = 0; i < lb->n_priorities; i++)
        text_printf(out, " %.*s%s%.*s", (int)lb->priorities[i].label.name.len,
                    lb->priorities[i].label.name.data, lb->priorities[i].own ? "?" : "=",
                    (int)lb->priorities[i].label.value.len, lb->priorities[i].label.value.data);
    if (lb->said)
        text_puts(out, ")");
}

static void put_tls(struct text_out *out, const struct cluster_tls *t)
{
    if (t->kind == TLS_NONE)
        return;
    text_printf(out, " tls(%s%.*s", t->kind == TLS_SIMPLE ? "" : "mutual ", (int)t->sni.len, t->sni.data);
    for (size_t i = 0; i < t->n_sans; i++)
        text_printf(out, " %s%.*s", t->sans[i].kind == TEXT_EXACT ? "=" : "~", (int)t->sans[i].value.len, t->sans[i].value.data);
    for (size_t i = 0; i < t->n_alpn; i++)
        text_printf(out, " speaks %.*s", (int)t->alpn[i].len, t->alpn[i].data);
    text_printf(out, "%s%s)", t->system_roots ? " roots" : "", t->insecure ? " any" : "");
}

/* What is not Envoy's default. */
static void put_cluster(struct text_out *out, const struct resource *r)
{
    static const char *const kinds[] = {"round-robin", "least-request", "random", "ring", "maglev"};
    static const char *const protocols[] = {"", " http2", " as-client", " alpn"};
    char why[XDS_WHY_MAX];
    struct cluster *c;
    if (xds_cluster_decode(r->body, r->body_len, &c, why) < 0)
        fail_msg("%s: %s", r->name, why);
    const struct balance_settings *b = &c->balance;
    assert_true(text_equal(c->eds_name.len ? c->eds_name : c->name, text_of(r->name)));
    text_printf(out, "%s %s%s", r->name, kinds[b->kind], protocols[c->protocol]);
    put_number(out, "ring", b->ring_min, RING_SIZE_MIN);
    put_number(out, "table", b->maglev_table, MAGLEV_TABLE);
    put_number(out, "warmup", b->slow_start.window_ms, 0);
    put_number(out, "warmup-from", b->slow_start.min_weight_percent, 10);
    put_number(out, "panic", b->panic_percent, 50);
    put_number(out, "connections", c->breaker[0].max[BREAKER_CONNECTIONS], UINT32_MAX);
    put_number(out, "pending", c->breaker[0].max[BREAKER_PENDING], UINT32_MAX);
    put_number(out, "requests", c->breaker[0].max[BREAKER_REQUESTS], UINT32_MAX);
    put_number(out, "retries", c->breaker[0].max[BREAKER_RETRIES], UINT32_MAX);
    if (c->breaker[1].budget)
        text_printf(out, " budget(%g%% %u)", c->breaker[0].budget_percent, c->breaker[1].budget_min);
    put_number(out, "connect", c->connect_timeout_ms, CONNECT_TIMEOUT_MS);
    put_number(out, "lives", c->max_connection_ms, 0);
    put_number(out, "idle", c->idle_timeout_ms, RULE_IDLE_MS);
    put_number(out, "alive-idle", c->keepalive_idle_ms, 0);
    put_number(out, "alive-interval", c->keepalive_interval_ms, 0);
    put_number(out, "alive-probes", c->keepalive_probes, 0);
    put_number(out, "per-connection", c->requests_per_connection_max, 0);
    put_number(out, "streams", c->concurrent_streams_max, 0);
    if (c->outlier_detection)
        put_outlier(out, &c->outlier);
    put_locality(out, c);
    put_tls(out, &c->tls);
    text_puts(out, "\n");
    cluster_free(c);
}

static void put_endpoints(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX], printed[ADDR_TEXT_MAX];
    struct endpoints *e;
    if (xds_endpoints_decode(r->body, r->body_len, &e, why) < 0)
        fail_msg("%s: %s", r->name, why);
    text_puts(out, r->name);
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t j = 0; j < e->groups[i].n_endpoints; j++)
            text_printf(out, " %s", addr_print(&e->groups[i].endpoints[j].addr, printed));
    text_puts(out, "\n");
    endpoints_free(e);
}

static void assert_made(const char *yaml, enum xds_type type, const char *wanted)
{
    static char text[TEXT_MAX];
    struct text_out out = TEXT_OUT(text);
    struct resources all = {0};
    struct mesh m;
    mesh_open(&m, yaml);
    const struct object *o = object_store_get(&m.store, OBJECT_SERVICE, "n", "web");
    assert_non_null(o);
    assert_int_equal(default_routes(&m.view, o, &all), 0);
    text[0] = '\0';
    for (size_t i = 0; i < all.n; i++)
        if (all.items[i]->type == type)
            (type == XDS_CLUSTER ? put_cluster : put_endpoints)(&out, all.items[i]);
    assert_false(out.overflow);
    assert_string_equal(text, wanted);
    resources_done(&all);
    mesh_close(&m);
}

#define WEB                                                                                        \
    "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: n}, spec: {selector: {app: " \
    "web}, ports: [{name: http, port: 80}, {name: grpc, port: 81}]}}\n---\n"
#define POD(name, ip, labels)                                                                      \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name                                           \
    ", namespace: n, labels: {app: web" labels "}}, status: {phase: Running, podIP: " ip           \
    "}}\n---\n"
#define RULE(name, spec)                                                                           \
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: " name           \
    ", namespace: n}, spec: {host: web, " spec "}}\n---\n"
#define NAME(port, subset) "outbound|" port "|" subset "|web.n.svc.cluster.local"

static void nobody_says_anything(void **state)
{
    (void)state;
    /* Envoy's own limits. */
    assert_made(
        WEB, XDS_CLUSTER,
        NAME("80", "") " round-robin connections=1024 pending=1024 requests=1024 "
                       "retries=3 idle=0\n" NAME(
                           "81",
                           "") " round-robin http2 connections=1024 pending=1024 requests=1024 "
                               "retries=3 idle=0\n");
}

static void all_is_said(void **state)
{
    (void)state;
    assert_made(
        WEB RULE("r", "trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, loadBalancer: {simple: "
                      "ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 20}}, connectionPool: "
                      "{tcp: {maxConnections: 7, connectTimeout: 30ms, maxConnectionDuration: 1h, "
                      "idleTimeout: 5s, tcpKeepalive: {probes: 3, time: 2s, interval: 4s}}, http: "
                      "{http1MaxPendingRequests: 8, http2MaxRequests: 9, "
                      "maxRequestsPerConnection: 10, maxRetries: 11, idleTimeout: 6s, "
                      "h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 12}}, outlierDetection: "
                      "{consecutive5xxErrors: 0, consecutiveGatewayErrors: 4, interval: 1s, "
                      "baseEjectionTime: 15m, maxEjectionPercent: 100, minHealthPercent: 30, "
                      "splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}}"),
        XDS_CLUSTER,
        NAME("80",
             "") " round-robin http2 warmup=30000 warmup-from=20 panic=30 connections=7 "
                 "pending=8 requests=9 retries=11 connect=30 lives=3600000 idle=6000 "
                 "alive-idle=2000 alive-interval=4000 alive-probes=3 per-connection=10 "
                 "streams=12 outlier( 5xx=0 5xx-enforced=0 gateway=4 gateway-enforced=100 "
                 "split=1 local=2 interval=1000 ejection=900000 ejection-max=900000 "
                 "percent=100)\n" NAME(
                     "81",
                     "") " round-robin http2 warmup=30000 warmup-from=20 panic=30 connections=7 "
                         "pending=8 "
                         "requests=9 retries=11 connect=30 lives=3600000 idle=6000 alive-idle=2000 "
                         "alive-interval=4000 alive-probes=3 per-connection=10 streams=12 outlier( "
                         "5xx=0 "
                         "5xx-enforced=0 gateway=4 gateway-enforced=100 split=1 local=2 "
                         "interval=1000 "
                         "ejection=900000 ejection-max=900000 percent=100)\n");
}

/* Of all ports of the Service, or of a subset. */
static void budgets(void **state)
{
    (void)state;
    assert_made(WEB RULE("r", "trafficPolicy: {retryBudget: {percent: 12.5}, portLevelSettings: [{port: {number: 81}, connectionPool: {http: {maxRetries: 7}}}]}, "
                              "subsets: [{name: own, labels: {}, trafficPolicy: {retryBudget: {minRetryConcurrency: 9}}}]"),
                XDS_CLUSTER,
                NAME("80", "") " least-request budget(12.5% 3)\n" NAME("80", "own") " least-request budget(20% 9)\n" NAME("81", "") " least-request http2 retries=7 budget(12.5% 3)\n" NAME("81", "own") " least-request http2 retries=7 budget(20% 9)\n");
}

/* Least request, no limits, and the panic threshold only changes where outliers are looked for. */
static void defaults(void **state)
{
    (void)state;
    assert_made(WEB RULE("r", "trafficPolicy: {outlierDetection: {}}"), XDS_CLUSTER,
                NAME("80", "") " least-request panic=0 outlier()\n" NAME(
                    "81", "") " least-request http2 panic=0 outlier()\n");
    assert_made(WEB RULE("r", "subsets: []"), XDS_CLUSTER,
                NAME("80", "") " least-request\n" NAME("81", "") " least-request http2\n");
}

static void hashes(void **state)
{
    (void)state;
    assert_made(WEB RULE("r", "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, "
                              "maglev: {tableSize: 101}}}, portLevelSettings: [{port: {number: "
                              "81}, loadBalancer: {consistentHash: {httpHeaderName: a, ringHash: "
                              "{minimumRingSize: 2000}}}}]}"),
                XDS_CLUSTER,
                NAME("80", "") " maglev table=101\n" NAME("81", "") " ring http2 ring=2000\n");
}

#define PLACES(setting) RULE("r", "trafficPolicy: {loadBalancer: {localityLbSetting: {" setting "}}}")

static void places(void **state)
{
    (void)state;
    assert_made(WEB PLACES("enabled: false, distribute: [{from: a, to: {b: 100}}]"), XDS_CLUSTER,
                NAME("80", "") " least-request places(off a: b=100)\n" NAME("81", "")
                    " least-request http2 places(off a: b=100)\n");
    assert_made(WEB PLACES("distribute: [{from: a/b/*, to: {a/b: 80, 'a/c/*': 20}}, {from: '*', to: {'*': 100}}]"),
                XDS_CLUSTER,
                NAME("80", "") " least-request places(weighted a/b/*: a/b=80 a/c/*=20 *: *=100)\n" NAME(
                    "81", "") " least-request http2 places(weighted a/b/*: a/b=80 a/c/*=20 *: *=100)\n");
    assert_made(WEB PLACES("failover: [{from: a, to: b}], failoverPriority: [rack, 'kind=big', 'none=']"), XDS_CLUSTER,
                NAME("80", "") " least-request places( a->b rack? kind=big none=)\n" NAME("81", "")
                    " least-request http2 places( a->b rack? kind=big none=)\n");
}

/* A subset has what it does not say from the Service, part by part; what a port says is all there is
 * for it. */
static void what_is_inherited(void **state)
{
    (void)state;
    assert_made(
        WEB RULE("r",
                 "trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {http: "
                 "{http2MaxRequests: 5}}, outlierDetection: {interval: 1s}, portLevelSettings: "
                 "[{port: {number: 81}, connectionPool: {tcp: {maxConnections: 6}}}]}, subsets: "
                 "[{name: plain, labels: {}}, {name: own, labels: {}, trafficPolicy: "
                 "{connectionPool: {http: {maxRetries: 7}}}}, {name: port, labels: {}, "
                 "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}, portLevelSettings: [{port: "
                 "{number: 80}, connectionPool: {tcp: {maxConnections: 8}}}]}}]"),
        XDS_CLUSTER,
        NAME("80", "") " random panic=0 requests=5 outlier( interval=1000)\n" NAME("80", "plain") " random panic=0 requests=5 outlier( interval=1000)\n" NAME("80", "own") " random panic=0 retries=7 outlier( interval=1000)\n" NAME(
            "80",
            "port") " least-request connections=8\n" NAME("81",
                                                          "") " least-request http2 "
                                                              "connections=6\n" NAME(
                                                                  "81",
                                                                  "plain") " lea"
                                                                           "st-"
                                                                           "requ"
                                                                           "est "
                                                                           "http"
                                                                           "2 "
                                                                           "conn"
                                                                           "ecti"
                                                                           "ons="
                                                                           "6"
                                                                           "\n" NAME("81", "own") " least-request http2 retries=7\n" NAME(
                                                                               "81",
                                                                               "port") " round-"
                                                                                       "robin "
                                                                                       "http2 "
                                                                                       "connections"
                                                                                       "=6\n");
}

/* Of what several say the oldest one's counts, whatever they are called; what one alone says does. */
/* Of a port's own, of the Service, and what a subset says instead. */
static void tls_to_servers_of_others(void **state)
{
    (void)state;
    assert_made(
        WEB RULE("r", "trafficPolicy: {tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 81}, tls: {mode: "
                      "SIMPLE, sni: a.example, subjectAltNames: [b.example, 192.0.2.1, 'spiffe://c']}}]}, "
                      "subsets: [{name: open, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 81}}]}}, "
                      "{name: any, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}}]"),
        XDS_CLUSTER,
        "outbound|80||web.n.svc.cluster.local least-request tls(web.n.svc.cluster.local speaks http/1.1 roots)\n"
        "outbound|80|open|web.n.svc.cluster.local least-request\n"
        "outbound|80|any|web.n.svc.cluster.local least-request tls(web.n.svc.cluster.local speaks http/1.1 any)\n"
        "outbound|81||web.n.svc.cluster.local least-request http2 tls(a.example =b.example =192.0.2.1 =spiffe://c speaks h2 roots)\n"
        "outbound|81|open|web.n.svc.cluster.local least-request http2\n"
        "outbound|81|any|web.n.svc.cluster.local least-request http2 tls(web.n.svc.cluster.local speaks h2 any)\n");
}

/* A rule that counts for nothing, and asks for TLS, in whichever namespace it would have counted: TLS without anything to judge
 * by, which no node proxy makes, instead of none. */
static void what_asks_for_tls_is_never_open(void **state)
{
    static const char closed[] = "outbound|80||web.n.svc.cluster.local round-robin connections=1024 pending=1024 requests=1024 retries=3 idle=0 tls()\n"
                                 "outbound|81||web.n.svc.cluster.local round-robin http2 connections=1024 pending=1024 requests=1024 retries=3 idle=0 tls()\n";
    (void)state;
    assert_made(WEB RULE("r", "trafficPolicy: {tls: {mode: MUTUAL}}"), XDS_CLUSTER, closed);
    assert_made(WEB RULE("r", "subsets: [{name: v1, trafficPolicy: {tls: {mode: SIMPLE, credentialName: x}}}]"), XDS_CLUSTER, closed);
    /* An older rule counts instead of it. */
    static const char random[] = "outbound|80||web.n.svc.cluster.local random tls()\noutbound|81||web.n.svc.cluster.local random http2 tls()\n";
    assert_made(WEB RULE("a", "trafficPolicy: {loadBalancer: {simple: RANDOM}}") RULE("b", "trafficPolicy: {tls: {mode: SIMPLE}}"),
                XDS_CLUSTER, random);
    assert_made(WEB RULE("a", "trafficPolicy: {loadBalancer: {simple: RANDOM}}")
                    RULE("b", "trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {mode: SIMPLE}}]}"),
                XDS_CLUSTER, random);
}

/* Not even if it can't be read, as long as its host can. */
static void what_can_not_be_read_is_never_open(void **state)
{
    static const struct {
        const char *spec;
        bool closes;
    } cases[] = {
        {"host: web, trafficPolicy: {tls: {mode: Simple}}", true},
        {"host: web, trafficPolicy: {tls: 1}", true},
        {"host: web, trafficPolicy: {tls: {mode: 7}}", true},
        {"host: web, subsets: [{name: 1, trafficPolicy: {portLevelSettings: [{tls: {mode: SIMPLE}}]}}]", true},
        {"host: web, trafficPolicy: {tls: {mode: DISABLE}, loadBalancer: 1}", false},
        {"host: web, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, loadBalancer: 1}", false},
        {"host: 1, trafficPolicy: {tls: {mode: SIMPLE}}", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[400];
        struct object *o;
        struct object_identity identity;
        struct json_error why;
        snprintf(text, sizeof text,
                 "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r, namespace: n}, spec: {%s}}",
                 cases[i].spec);
        struct yaml_documents documents;
        assert_int_equal(yaml_parse(text_of(text), NULL, &documents), 0);
        assert_int_equal(object_read(documents.items[0].root, "f", &o, &identity, &why), -EINVAL);
        assert_int_equal(o != NULL, cases[i].closes);
        if (o)
            assert_true(o->destination_rule.wants_tls && o->destination_rule.flaw.kind != GATEWAY_NO_FLAW);
        object_unref(o);
        yaml_documents_done(&documents);
    }
}

static void the_oldest_counts(void **state)
{
    (void)state;
    assert_made(
        WEB RULE("a, creationTimestamp: '2026-01-02T00:00:00Z'",
                 "trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: both, labels: {}, "
                 "trafficPolicy: {loadBalancer: {simple: RANDOM}}}, {name: own, labels: {}}]")
            RULE("z, creationTimestamp: '2026-01-01T00:00:00Z'",
                 "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, subsets: [{name: both, labels: "
                 "{}, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}}]"),
        XDS_CLUSTER,
        NAME("80", "") " round-robin\n" NAME("80", "both") " least-request\n" NAME("80", "own")
            " round-robin\n" NAME("81", "") " round-robin http2\n" NAME("81", "both")
            " least-request http2\n" NAME("81", "own") " round-robin http2\n");
}

static void who_is_in_a_subset(void **state)
{
    (void)state;
    assert_made(
        WEB POD("a", "10.0.0.1", ", v: one") POD("b", "10.0.0.2", ", v: two")
            POD("c", "10.0.0.3", "")
                RULE("r", "subsets: [{name: one, labels: {v: one}}, {name: all, labels: "
                          "{app: web}}, {name: none, labels: {v: three}}]"),
        XDS_ENDPOINTS,
        NAME("80", "") " 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80\n" NAME(
            "80",
            "one") " 10.0.0.1:80\n" NAME("80",
                                         "all") " 10.0.0.1:80 10.0.0.2:80 "
                                                "10.0.0.3:80\n" NAME("80", "none") "\n" NAME("81", "") " 10.0.0.1:81 10.0.0.2:81 10.0.0.3:81\n" NAME(
                                                    "81",
                                                    "one") " 10.0.0.1:81\n" NAME("81",
                                                                                 "all") " 10.0.0.1:"
                                                                                        "81 "
                                                                                        "10.0.0.2:"
                                                                                        "81 "
                                                                                        "10.0.0.3:"
                                                                                        "81\n" NAME(
                                                                                            "81",
                                                                                            "none") "\n");
}

/* Each of these counts for nothing, and says why. */
/* Node proxies ask by wildcard: of what nobody wrote anything for they know enough. */
static void assert_told(const char *yaml, const char *wanted)
{
    char text[TEXT_MAX] = "";
    struct text_out out = TEXT_OUT(text);
    struct resources all = {0};
    struct mesh m;
    mesh_open(&m, yaml);
    const struct object *o = object_store_get(&m.store, OBJECT_SERVICE, "n", "web");
    assert_int_equal(default_routes(&m.view, o, &all), 0);
    for (size_t i = 0; i < all.n; i++)
        if ((all.items[i]->type == XDS_CLUSTER || all.items[i]->type == XDS_ENDPOINTS) &&
            !all.items[i]->by_name_only)
            text_printf(&out, "%s %s\n",
                        all.items[i]->type == XDS_CLUSTER ? "cluster" : "endpoints",
                        all.items[i]->name);
    assert_string_equal(text, wanted);
    resources_done(&all);
    mesh_close(&m);
}

static void what_a_wildcard_means(void **state)
{
    (void)state;
    assert_told(WEB, "");
    assert_told(WEB RULE("a", "subsets: [{name: v1, labels: {v: a}}]"),
                "endpoints outbound|80||web.n.svc.cluster.local\n"
                "cluster outbound|80||web.n.svc.cluster.local\n"
                "endpoints outbound|80|v1|web.n.svc.cluster.local\n"
                "cluster outbound|80|v1|web.n.svc.cluster.local\n"
                "endpoints outbound|81||web.n.svc.cluster.local\n"
                "cluster outbound|81||web.n.svc.cluster.local\n"
                "endpoints outbound|81|v1|web.n.svc.cluster.local\n"
                "cluster outbound|81|v1|web.n.svc.cluster.local\n");
}

static void refused(void **state)
{
    static const struct {
        const char *spec, *why;
    } cases[] = {
        {"whatever: 1", "spec.whatever: is not supported"},
        {"workloadSelector: {}", "spec.workloadSelector: is not supported"},
        {"exportTo: [x]", "spec.exportTo: only '*' is supported"},
        {"trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /etc/ca.pem}}", "tls.caCertificates: is not supported: only 'system'"},
        {"trafficPolicy: {tls: {mode: SIMPLE, credentialName: ca}}", "tls.credentialName: is not supported"},
        {"trafficPolicy: {tls: {mode: SIMPLE, sni: 'a b'}}", "tls.sni: 'a b': is neither the name of a host"},
        {"trafficPolicy: {tls: {mode: SIMPLE, subjectAltNames: ['*.a']}}", "subjectAltNames[0]: '*.a': is neither"},
        {"trafficPolicy: {tls: {mode: SIMPLE, subjectAltNames: [a], insecureSkipVerify: true}}", "insecureSkipVerify: is true, and"},
        {"trafficPolicy: {tls: {mode: MUTUAL}}", "tls.mode: MUTUAL is not supported. It asks for TLS: nothing goes to"},
        {"trafficPolicy: {tls: {mode: DISABLE, sni: x}}", "spec.trafficPolicy.tls.sni: is not"},
        {"trafficPolicy: {tunnel: {}}", "spec.trafficPolicy.tunnel: is not supported"},
        {"trafficPolicy: {proxyProtocol: {}}", "spec.trafficPolicy.proxyProtocol: is not"},
        {"trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}", "PASSTHROUGH is not supported"},
        {"trafficPolicy: {loadBalancer: {localityLbSetting: {near: true}}}",
         "localityLbSetting.near: is not supported"},
        {"trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}}",
         "localityLbSetting: failover[0]: leads from a region to itself"},
        {"trafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: ['=a']}}}",
         "localityLbSetting: failoverPriority[0]: is no label"},
        {"trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 99}}]}}}",
         "localityLbSetting: distribute[0].to: are 99 together, not 100"},
        {"trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 100}, by: 1}]}}}",
         "distribute[0].by: is not supported"},
        {"trafficPolicy: {loadBalancer: {consistentHash: {}}}", "must have one of"},
        {"trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: a, useSourceIp: true}}}",
         "must have one of"},
        {"trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: 'a b'}}}", "is no name"},
        {"trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: "
         "100}}}}",
         "tableSize is no prime number"},
        {"trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}",
         "simple and consistentHash can't go together"},
        {"trafficPolicy: {retryBudget: {percent: 101}}", "percent: is not from 0 to 100"},
        {"trafficPolicy: {retryBudget: {budgetInterval: 1s}}", "budgetInterval"},
        {"trafficPolicy: {portLevelSettings: [{port: {number: 80}, retryBudget: {}}]}", "retryBudget"},
        {"trafficPolicy: {connectionPool: {tcp: {connectTimeout: '5'}}}", "'5' is no duration"},
        {"trafficPolicy: {connectionPool: {tcp: {connectTimeout: 0s}}}", "less than a millisecond"},
        {"trafficPolicy: {outlierDetection: {consecutiveErrors: 1}}",
         "consecutiveErrors: is not supported"},
        {"trafficPolicy: {portLevelSettings: [{connectionPool: {}}]}", "port is missing"},
        {"subsets: [{name: a}, {name: a}]", "there are two of the name a"},
        {"subsets: [{name: A_}]", "name 'A_' is none"},
        {"subsets: [{name: a, trafficPolicy: {nothing: 1}}]",
         "spec.subsets[0].trafficPolicy.nothing: is not supported"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[2048];
        struct mesh m;
        struct problems problems;
        problems_init(&problems);
        snprintf(yaml, sizeof yaml, WEB RULE("r", "%s"), cases[i].spec);
        mesh_open(&m, yaml);
        const struct object *service = object_store_get(&m.store, OBJECT_SERVICE, "n", "web");
        const struct object *o = object_store_get(&m.store, OBJECT_DESTINATION_RULE, "n", "r");
        assert_non_null(o);
        assert_false(rule_any(&m.view, service));
        rule_warn(&m.view, o, &problems);
        assert_int_equal(problems.n, 1);
        assert_int_equal(problems.items[0].severity, PROBLEM_ERROR);
        if (!strstr(problems.items[0].message, cases[i].why))
            fail_msg("%s: %s", cases[i].spec, problems.items[0].message);
        problems_done(&problems);
        mesh_close(&m);
    }
}

/* Each cluster of the host repeats it: 4,096 times at most. */
static void places_of_a_length(void **state)
{
    (void)state;
    for (unsigned rules = 8; rules <= 64; rules *= 8) {
        struct text_heap yaml;
        struct mesh m;
        text_heap_init(&yaml, 1 << 20);
        text_heap_puts(&yaml, WEB "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r, namespace: n}, "
                              "spec: {host: web, trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [");
        for (unsigned i = 0; i < rules; i++) {
            text_heap_printf(&yaml, "{from: from-region-%u, to: {", i);
            for (unsigned k = 0; k < 20; k++)
                text_heap_printf(&yaml, "region-%u-to-%u: 5, ", i, k);
            text_heap_puts(&yaml, "}}, ");
        }
        text_heap_puts(&yaml, "]}}}}}\n");
        mesh_open(&m, yaml.data);
        text_heap_done(&yaml);
        const struct object *o = object_store_get(&m.store, OBJECT_DESTINATION_RULE, "n", "r");
        assert_non_null(o);
        assert_int_equal(rule_any(&m.view, object_store_get(&m.store, OBJECT_SERVICE, "n", "web")), rules == 8);
        if (rules > 8)
            assert_non_null(strstr(o->destination_rule.flaw.text, "localityLbSetting: is longer than 8192 bytes"));
        mesh_close(&m);
    }
}

static size_t clusters_of(const struct mesh *m, const char *name)
{
    const struct object *service = object_store_get(&m->store, OBJECT_SERVICE, "n", name);
    struct resources all = {0};
    size_t n = 0;
    assert_int_equal(default_routes(&m->view, service, &all), 0);
    for (size_t i = 0; i < all.n; i++)
        n += all.items[i]->type == XDS_CLUSTER;
    resources_done(&all);
    return n;
}

/* Of a host: 16 rules, and 4,096 clusters of subsets at all ports; the rest is told. */
static void too_many(void **state)
{
    enum { RULES = 20, PORTS = 100, SUBSETS = RULE_CLUSTERS_MAX / PORTS };
    struct text_heap yaml;
    struct mesh m;
    size_t n_refused = 0;
    (void)state;
    text_heap_init(&yaml, 1 << 20);
    for (unsigned ports = 1; ports <= PORTS; ports += PORTS - 1) {
        text_heap_printf(&yaml,
                         "{apiVersion: v1, kind: Service, metadata: {name: s%u, namespace: n}, "
                         "spec: {clusterIP: 10.96.0.%u, ports: [",
                         ports, ports);
        for (unsigned i = 1; i <= ports; i++)
            text_heap_printf(&yaml, "{port: %u, name: p%u}, ", i, i);
        text_heap_puts(&yaml, "]}}\n---\n");
        for (unsigned i = 0; i < RULES; i++) {
            text_heap_printf(&yaml,
                             "{apiVersion: networking.istio.io/v1, kind: DestinationRule, "
                             "metadata: {name: r%u-%02u, namespace: n}, spec: {host: s%u, subsets: [",
                             ports, i, ports);
            for (unsigned j = 0; j < RULE_SUBSETS_MAX; j++)
                text_heap_printf(&yaml, "{name: s%u-%u}, ", i, j);
            text_heap_puts(&yaml, "]}}\n---\n");
        }
    }
    assert_false(yaml.failed);
    mesh_open(&m, yaml.data);
    assert_int_equal(clusters_of(&m, "s1"), 1 + RULE_SUBSETS_OF_HOST_MAX);
    assert_int_equal(clusters_of(&m, "s100"), PORTS * (1 + SUBSETS));
    struct view_range rules = view_all(&m.view, OBJECT_DESTINATION_RULE);
    assert_int_equal(rules.n, 2 * RULES);
    for (size_t i = 0; i < rules.n; i++) {
        struct problems p;
        problems_init(&p);
        rule_warn(&m.view, rules.items[i], &p);
        unsigned at = (unsigned)(i % RULES);
        bool wide = i >= RULES; /* "r1-..." is before "r100-..." */
        const char *wanted = at >= RULES_OF_HOST_MAX ? "only the oldest 16 count"
                             : !wide                 ? NULL
                             : at == 0               ? "24 are not there"
                                                     : "64 are not there";
        assert_int_equal(p.n, wanted != NULL);
        if (wanted && !strstr(p.items[0].message, wanted))
            fail_msg("%s: %s", rules.items[i]->name, p.items[0].message);
        n_refused += p.n > 0 && p.items[0].severity == PROBLEM_ERROR;
        problems_done(&p);
    }
    assert_int_equal(n_refused, 2 * (RULES - RULES_OF_HOST_MAX) + RULES_OF_HOST_MAX);
    mesh_close(&m);
    text_heap_done(&yaml);
}

/* Each allocation fails in turn. */
static void no_memory(void **state)
{
    struct mesh m;
    long n = 0;
    bool failed = true;
    (void)state;
    mesh_open(&m, WEB POD("a", "10.0.0.1", ", v: one")
                      RULE("r", "trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: "
                                "a}, localityLbSetting: {distribute: [{from: a, to: {b: 100}}]}}}, subsets: "
                                "[{name: one, labels: {v: one}}]"));
    const struct object *service = object_store_get(&m.store, OBJECT_SERVICE, "n", "web");
    for (; failed && n < 5000; n++) {
        struct resources all = {0};
        alloc_fail_at(n);
        int err = default_routes(&m.view, service, &all);
        failed = alloc_failed();
        assert_int_equal(err, failed ? -ENOMEM : 0);
        resources_done(&all);
    }
    assert_false(failed);
    assert_true(n > 50);
    mesh_close(&m);
}

/* Of two hosts that differ in their last letter the clusters do, too. */
static void the_longest_name(void **state)
{
    enum { LONGEST = 253 };
    char subset[LONGEST + 1], host[LONGEST + 1], name[GATEWAY_CLUSTER_MAX];
    (void)state;
    memset(subset, 's', LONGEST);
    memset(host, 'h', LONGEST);
    subset[LONGEST] = host[LONGEST] = '\0';
    host[LONGEST - 1] = 'x';
    virtual_cluster_name(65535, subset, host, name);
    assert_int_equal(strlen(name), strlen("outbound|65535||") + 2 * LONGEST);
    assert_string_equal(name + strlen(name) - 2, "hx");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_says_anything),
        cmocka_unit_test(all_is_said),
        cmocka_unit_test(defaults),
        cmocka_unit_test(budgets),
        cmocka_unit_test(hashes),
        cmocka_unit_test(places),
        cmocka_unit_test(what_is_inherited),
        cmocka_unit_test(tls_to_servers_of_others), cmocka_unit_test(what_asks_for_tls_is_never_open),
        cmocka_unit_test(what_can_not_be_read_is_never_open), cmocka_unit_test(the_oldest_counts),
        cmocka_unit_test(who_is_in_a_subset),
        cmocka_unit_test(what_a_wildcard_means),
        cmocka_unit_test(refused),
        cmocka_unit_test(places_of_a_length),
        cmocka_unit_test(the_longest_name),
        cmocka_unit_test(too_many),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
