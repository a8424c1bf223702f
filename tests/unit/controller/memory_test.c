/* Each allocation on the way from a file to the clients fails in turn: nothing leaks, and trying
 * again leads to the same state. */
#include "controller/discovery/folder.h"
#include "controller/serve/interest.h"
#include "shared/base/log.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"

enum { FAILURES_MAX = 20000 };

static const char before[] =
    "{apiVersion: v1, kind: Namespace, metadata: {name: n}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: gone, namespace: n}, status: {podIP: "
    "10.0.0.1}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: n}, status: {podIP: 10.0.0.2}}\n";
static const char after[] =
    "{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {weir.mesh/enrolled: "
    "'true'}}}\n---\n"
    "{apiVersion: v1, kind: Node, metadata: {name: a, labels: {topology.kubernetes.io/zone: "
    "z}}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: n, labels: {app: web}}, spec: "
    "{nodeName: a, containers: [{ports: [{name: h, "
    "containerPort: 8080}]}]}, status: {podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}]}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: e, namespace: n, labels: {app: web, "
    "weir.mesh/sidecar: envoy}}, spec: {serviceAccountName: e}, status: {podIPs: [{ip: 10.0.0.8}, "
    "{ip: 'fd00::8'}]}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: {clusterIP: "
    "10.96.0.1, selector: {app: web}, ports: [{port: 80, "
    "targetPort: h}]}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: t, namespace: n}, spec: {ports: [{port: "
    "90}]}}\n---\n"
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: t-1, namespace: n, "
    "labels: {kubernetes.io/service-name: t}}, ports: "
    "[{port: 91}], endpoints: [{addresses: [10.0.0.2]}, {addresses: [192.0.2.1]}]}\n---\n"
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: "
    "n}, spec: {selector: {matchLabels: {app: web}}, "
    "rules: [{from: [{source: {principals: [a, 'b*'], ipBlocks: [10.0.0.0/8]}}, {source: "
    "{serviceAccounts: [x]}}], to: [{operation: {ports: "
    "['80']}}], when: [{key: destination.ip, values: [10.0.0.2]}]}, {to: [{operation: {paths: "
    "[/]}}]}]}}\n---\n"
    "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: p, namespace: "
    "n}, spec: {selector: {matchLabels: {app: web}}, "
    "mtls: {mode: STRICT}, portLevelMtls: {80: {mode: PERMISSIVE}}}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: n}, "
    "spec: {hosts: [s, t], exportTo: [n, '*'], gateways: [mesh, edge], http: [{name: a, match: "
    "[{uri: {prefix: /a}, headers: {X: {prefix: a}}, withoutHeaders: {y: {}}, queryParams: {q: "
    "{exact: v}}, sourceLabels: {app: web}, sourceNamespace: n}], headers: {request: {set: {Host: "
    "h, a: b}, add: {c: d}, remove: [e]}}, timeout: 1s, retries: {attempts: 1, retryOn: '503'}, "
    "fault: {abort: {httpStatus: 500}}, corsPolicy: {allowOrigins: [{exact: a}], allowMethods: "
    "[GET]}, mirror: {host: s}, rewrite: {uri: /b}, route: [{destination: {host: s, subset: one}, "
    "weight: 1}, {destination: {host: t}, weight: 1}]}, {redirect: {uri: /x}}]}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: w, namespace: n}, "
    "spec: {hosts: [s], exportTo: [n], http: [{directResponse: {status: 200, body: {string: "
    "a}}}]}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: "
    "n}, "
    "spec: {host: s, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: "
    "1s}}}, connectionPool: {http: {maxRetries: 1}}, outlierDetection: {}, portLevelSettings: "
    "[{port: {number: 80}, outlierDetection: {}}]}, subsets: [{name: one, labels: {app: "
    "web}}]}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: n}, "
    "spec: {hosts: [a.example, b.example], exportTo: [., x], resolution: STATIC, ports: [{number: 80, name: http}], "
    "endpoints: [{address: 192.0.2.7, labels: {v: a}, locality: a/b/c, weight: 3, ports: {http: "
    "81}}, {address: 10.0.0.2}]}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: m, namespace: n}, "
    "spec: {address: 192.0.2.9, labels: {app: web}, ports: {h: 81}, locality: a/b}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: y, namespace: n}, spec: "
    "{egress: [{port: {number: 80}, hosts: [./a, '*/b.c']}], outboundTrafficPolicy: {mode: "
    "REGISTRY_ONLY}, ingress: []}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: 1}\n---\n{apiVersion: apps/v1, "
    "kind: Deployment}\n";

struct line {
    struct object_store store;
    struct folder folder;
    struct catalog catalog;
};

static int run(struct line *l, const char *content)
{
    bool changed;
    size_t n;
    struct resources resources;
    struct problems problems;
    struct translate_settings settings = fixture_settings;
    settings.sidecars = true;
    problems_init(&problems);
    folder_begin(&l->folder);
    int err = folder_file(&l->folder, "a.yaml", text_of(content));
    if (err == 0)
        err = folder_commit(&l->folder, &changed);
    if (err == 0)
        err = translate(&l->store, &settings, &resources, &problems);
    if (err == 0)
        err = catalog_replace(&l->catalog, &resources, &n);
    problems_done(&problems);
    return err;
}

static void line_open(struct line *l)
{
    object_store_init(&l->store);
    folder_init(&l->folder, &l->store);
    catalog_init(&l->catalog);
    assert_int_equal(run(l, before), 0);
}

static void line_close(struct line *l)
{
    catalog_done(&l->catalog);
    folder_done(&l->folder);
    object_store_done(&l->store);
}

static void assert_equal_catalogs(const struct catalog *a, const struct catalog *b)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        const struct map_entry *m;
        assert_int_equal(catalog_count(a, (enum xds_type)type),
                         catalog_count(b, (enum xds_type)type));
        for (size_t i = 0; (m = map_next(&a->entries[type], &i));) {
            const struct catalog_entry *e = m->value;
            if (!e->resource)
                continue;
            const struct resource *other = catalog_get(b, (enum xds_type)type, text_of(e->name));
            assert_non_null(other);
            assert_string_equal(e->resource->version, other->version);
            for (size_t j = 0; j < other->n_aliases; j++)
                assert_non_null(catalog_by_alias(b, other->type, text_of(other->aliases[j])));
        }
    }
}

static void from_file_to_catalog(void **state)
{
    struct line wanted;
    long n = 0;
    bool failed = true;
    (void)state;
    line_open(&wanted);
    assert_int_equal(run(&wanted, after), 0);
    assert_int_equal(catalog_count(&wanted.catalog, XDS_ADDRESS), 10);
    assert_int_equal(catalog_count(&wanted.catalog, XDS_AUTHORIZATION), 3);
    for (; failed && n < FAILURES_MAX; n++) {
        struct line l;
        line_open(&l);
        alloc_fail_at(n);
        (void)run(&l, after);
        failed = alloc_failed();
        assert_int_equal(run(&l, after), 0);
        assert_equal_catalogs(&wanted.catalog, &l.catalog);
        assert_int_equal(l.folder.problems.n, 1);
        line_close(&l);
    }
    assert_false(failed);
    assert_true(n > 300);
    line_close(&wanted);
}

static struct delta_request on_demand_request(void)
{
    static char star[] = "*", service[] = "net1/10.96.0.1", absent[] = "net1/10.0.0.77",
                gone[] = "gone";
    static char *subscribe[] = {star, service, absent}, *unsubscribe[] = {star};
    static struct xds_version initial[] = {{gone, gone}};
    return (struct delta_request){.subscribe = subscribe,
                                  .n_subscribe = 3,
                                  .unsubscribe = unsubscribe,
                                  .n_unsubscribe = 1,
                                  .initial = initial,
                                  .n_initial = 1,
                                  .nonce = star,
                                  .type_url = star};
}

/* What fails is asked again; a request that failed ends its stream, so that it begins anew. */
static void from_catalog_to_client(void **state)
{
    struct line l;
    long n = 0;
    bool failed = true;
    (void)state;
    line_open(&l);
    assert_int_equal(run(&l, after), 0);
    for (; failed && n < FAILURES_MAX; n++) {
        struct delta_request request = on_demand_request();
        struct interest interest;
        struct interest_answer answer;
        interest_init(&interest, XDS_ADDRESS, INTEREST_NAMES_MAX);
        alloc_fail_at(n);
        int r = interest_request(&interest, &l.catalog, &request);
        if (r < 0) {
            interest_done(&interest);
            assert_int_equal(interest_request(&interest, &l.catalog, &request), 0);
        }
        if (interest_refresh(&interest, &l.catalog) < 0)
            assert_int_equal(interest_refresh(&interest, &l.catalog), 0);
        r = interest_answer(&interest, &l.catalog, true, &answer);
        if (r < 0)
            r = interest_answer(&interest, &l.catalog, true, &answer);
        failed = alloc_failed();
        assert_int_equal(r, 1);
        assert_int_equal(answer.n_resources, 4); /* the service, the pods and the machine behind it */
        assert_int_equal(answer.n_removed, 2);
        interest_told(&interest, &l.catalog, &answer);
        interest_answer_done(&answer);
        assert_int_equal(interest_answer(&interest, &l.catalog, true, &answer), 0);
        interest_done(&interest);
    }
    assert_false(failed);
    assert_true(n > 10);
    line_close(&l);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_file_to_catalog),
                                       cmocka_unit_test(from_catalog_to_client)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
