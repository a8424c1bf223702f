/* The catalog follows the store change by change: all along a random walk it is what a translation
 * from scratch gives. */
#include "controller/serve/projection.h"
#include "shared/base/log.h"
#include "shared/base/rng.h"
#include "tests/unit/shared/tls/tls_fixture.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <stdio.h>

enum { STEPS = 400, LOOK_STEPS = 4 };
enum { NAMESPACES = 4, PODS = 12, SERVICES = 5, SLICES = 6, POLICIES = 3, NODES = 3 };

struct world {
    struct object_store store;
    struct catalog catalog;
    struct projection projection;
    struct rng rng;
    struct translate_settings settings;
};

static const char *const namespaces[NAMESPACES] = {"shop", "bank", "weir-system", "late"};

static void world_open(struct world *w, uint64_t seed)
{
    *w = (struct world){.settings = fixture_settings};
    object_store_init(&w->store);
    catalog_init(&w->catalog);
    projection_init(&w->projection, &w->store, &w->catalog, &w->settings);
    rng_seed(&w->rng, seed);
}

static void world_close(struct world *w)
{
    projection_done(&w->projection);
    catalog_done(&w->catalog);
    object_store_done(&w->store);
}

static void assert_same_names(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    assert_int_equal(n_a, n_b);
    for (size_t i = 0; i < n_a; i++)
        assert_string_equal(a[i], b[i]);
}

static void assert_same_problems(const struct problems *a, const struct problems *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        assert_string_equal(a->items[i].object, b->items[i].object);
        assert_string_equal(a->items[i].field, b->items[i].field);
        assert_string_equal(a->items[i].message, b->items[i].message);
    }
}

/* The oracle. */
static void assert_as_from_scratch(const struct world *w)
{
    struct resources wanted;
    struct problems problems;
    problems_init(&problems);
    assert_int_equal(translate(&w->store, &w->settings, &wanted, &problems), 0);
    size_t n = 0;
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        n += catalog_count(&w->catalog, (enum xds_type)type);
    assert_int_equal(wanted.n, n);
    for (size_t i = 0; i < wanted.n; i++) {
        const struct resource *r = wanted.items[i];
        const struct resource *have = catalog_get(&w->catalog, r->type, text_of(r->name));
        if (!have || !resource_equal(have, r))
            fail_msg("%s %s", r->name, have ? "is another" : "is missing");
        assert_same_names(have->aliases, have->n_aliases, r->aliases, r->n_aliases);
        assert_same_names(have->services, have->n_services, r->services, r->n_services);
    }
    assert_same_problems(&w->projection.problems, &problems);
    resources_done(&wanted);
    problems_done(&problems);
}

/* ---- Random objects ------------------------------------------------------------------------- */

static unsigned below(struct world *w, unsigned n)
{
    return (unsigned)rng_below(&w->rng, n);
}

static const char *label(struct world *w)
{
    static const char *const labels[] = {"{app: a}", "{app: b}", "{app: a, tier: x}",
                                         "{weir.mesh/enrolled: 'false', app: b}", "{}",
                                         "{app: b, gateway.networking.k8s.io/gateway-name: i0}"};
    return labels[below(w, 6)];
}

static const char *ns_of(struct world *w)
{
    return namespaces[below(w, NAMESPACES)];
}

static void put(struct world *w, struct text_out *yaml)
{
    assert_false(yaml->overflow);
    fixture_load(&w->store, yaml->data);
}

static void put_namespace(struct world *w, struct text_out *out)
{
    static const char *const meta[] = {
        "", ", labels: {weir.mesh/enrolled: 'true'}", ", labels: {weir.mesh/enrolled: 'no'}",
        ", annotations: {networking.istio.io/traffic-distribution: PreferClose}"};
    text_printf(out, "{apiVersion: v1, kind: Namespace, metadata: {name: %s%s}}", ns_of(w),
                meta[below(w, 4)]);
}

static void put_node(struct world *w, struct text_out *out)
{
    text_printf(out,
                "{apiVersion: v1, kind: Node, metadata: {name: node-%u, labels: "
                "{topology.kubernetes.io/zone: z%u}}}",
                below(w, NODES), below(w, 2));
}

/* Pods share few addresses, so that these wander from one to another. */
static void put_pod(struct world *w, struct text_out *out)
{
    static const char *const status[] = {
        "phase: Running", "phase: Succeeded", "phase: Pending", "phase: Running",
        "phase: Running, conditions: [{type: Ready, status: 'False'}]", "phase: Running"};
    text_printf(out,
                "{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: %s, labels: %s%s, "
                "creationTimestamp: '2026-01-01T00:00:0%uZ'}, spec: {nodeName: node-%u, "
                "hostNetwork: %s, containers: [{ports: [{name: h, containerPort: %u}]}]}, "
                "status: {",
                below(w, PODS), ns_of(w), label(w),
                below(w, 5) ? "" : ", deletionTimestamp: '2026-01-01T00:00:00Z'", below(w, 10),
                below(w, NODES), below(w, 6) ? "false" : "true", 8000 + below(w, 3));
    text_puts(out, status[below(w, 6)]);
    if (below(w, 5))
        text_printf(out, ", podIP: 10.0.0.%u", 1 + below(w, 20));
    text_puts(out, "}}");
}

static void put_service(struct world *w, struct text_out *out)
{
    static const char *const specs[] = {
        "selector: {app: a}, ports: [{name: w, port: 80, targetPort: h}]",
        "selector: {app: b}, ports: [{port: 80, targetPort: 8080}]",
        "selector: {app: a, tier: x}, ports: [{port: 81}]",
        "clusterIP: 192.0.2.9, ports: [{name: w, port: 90}, {name: v, port: 91}]",
        "ports: [{port: 90}]",
        "type: ExternalName, externalName: a.example",
        "selector: {app: a}, trafficDistribution: PreferClose, ports: [{port: 80}]",
    };
    text_printf(out,
                "{apiVersion: v1, kind: Service, metadata: {name: s%u, namespace: %s}, spec: "
                "{%s}}",
                below(w, SERVICES), ns_of(w), specs[below(w, 7)]);
}

static void put_slice(struct world *w, struct text_out *out)
{
    const char *ns = ns_of(w);
    text_printf(out,
                "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e%u, "
                "namespace: %s, labels: {kubernetes.io/service-name: s%u}}, addressType: IPv4, "
                "ports: [{name: %s, port: %u}], endpoints: [",
                below(w, SLICES), ns, below(w, SERVICES), below(w, 2) ? "w" : "''",
                9000 + below(w, 2));
    for (unsigned i = 0, n = below(w, 4); i < n; i++) {
        text_printf(out, "{addresses: [10.0.0.%u]", 1 + below(w, 25));
        if (below(w, 2))
            text_printf(out, ", targetRef: {kind: Pod, name: p%u, namespace: %s}", below(w, PODS),
                        ns);
        text_printf(out, ", conditions: {ready: %s, serving: true, terminating: %s}}, ",
                    below(w, 3) ? "true" : "false", below(w, 3) ? "false" : "true");
    }
    text_puts(out, "]}");
}

static void put_authorization(struct world *w, struct text_out *out)
{
    static const char *const specs[] = {
        "selector: {matchLabels: {app: a}}, rules: [{}]",
        "selector: {matchLabels: {app: b}}, action: DENY, rules: [{to: [{operation: {paths: [/]}}]}]",
        "action: AUDIT, selector: {matchLabels: {app: a}}, rules: [{}]",
        "rules: [{from: [{source: {namespaces: [shop]}}]}]",
        "rules: []",
    };
    text_printf(out,
                "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: "
                "a%u, namespace: %s}, spec: {%s}}",
                below(w, POLICIES), ns_of(w), specs[below(w, 5)]);
}

static void put_peer(struct world *w, struct text_out *out)
{
    static const char *const specs[] = {
        "mtls: {mode: STRICT}",
        "mtls: {mode: PERMISSIVE}",
        "mtls: {mode: UNSET}",
        "selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: PERMISSIVE}}",
        "selector: {matchLabels: {app: a}}, portLevelMtls: {8080: {mode: STRICT}}",
        "portLevelMtls: {8080: {mode: STRICT}}",
    };
    text_printf(out,
                "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: "
                "m%u, namespace: %s, creationTimestamp: '2026-01-01T00:00:0%uZ'}, spec: {%s}}",
                below(w, POLICIES), ns_of(w), below(w, 10), specs[below(w, 6)]);
}

static void put_route(struct world *w, struct text_out *out)
{
    static const char *const rules[] = {
        "backendRefs: [{name: s0, port: 80}]",
        "backendRefs: [{name: s1, port: 80, namespace: shop}, {name: s2, port: 90}]",
        "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: s3, port: 80}}}]",
        "backendRefs: [{name: s0, port: 80}], hedging: {}",
        "matches: [{headers: [{name: a, value: b}]}, {}], backendRefs: [{name: s4, port: 80, weight: 3}, "
        "{name: s1, port: 90}]",
    };
    static const char *const ports[] = {"", ", port: 80", ", port: 90"};
    static const char *const gateways[] = {"", ", {name: i0}", ", {name: i1, namespace: shop}",
                                           ", {name: i0, namespace: bank, port: 80}"};
    bool grpc = below(w, 3) == 0;
    text_printf(out,
                "{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: %c%u, "
                "namespace: %s}, spec: {parentRefs: [{group: '', kind: Service, name: s%u%s}, "
                "{group: '', kind: Service, name: s%u, namespace: %s}%s], rules: [{%s}]}}",
                grpc ? "GRPCRoute" : "HTTPRoute", grpc ? 'g' : 'h', below(w, 2), ns_of(w),
                below(w, SERVICES), ports[below(w, 3)], below(w, SERVICES), ns_of(w),
                gateways[below(w, 4)], rules[below(w, 5)]);
}

static void put_ingress(struct world *w, struct text_out *out)
{
    static const char *const specs[] = {
        "listeners: [{name: a, port: 80, protocol: HTTP}]",
        "listeners: [{name: a, port: 80, protocol: HTTP, hostname: x.example, allowedRoutes: {namespaces: {from: All}}}]",
        "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 81, protocol: HTTP, allowedRoutes: "
        "{namespaces: {from: Selector, selector: {matchLabels: {weir.mesh/enrolled: 'true'}}}}}]",
        "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: TLS}]",
    };
    text_printf(out,
                "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: i%u, "
                "namespace: %s}, spec: {gatewayClassName: %s, %s}}",
                below(w, 2), ns_of(w), below(w, 4) ? "weir" : "other", specs[below(w, 4)]);
}

static void put_grant(struct world *w, struct text_out *out)
{
    text_printf(out,
                "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: "
                "r%u, namespace: %s}, spec: {from: [{group: gateway.networking.k8s.io, kind: %s, "
                "namespace: %s}], to: [{group: '', kind: Service}]}}",
                below(w, 2), ns_of(w), below(w, 2) ? "HTTPRoute" : "GRPCRoute", ns_of(w));
}

static void put_virtual(struct world *w, struct text_out *out)
{
    static const char *const hosts[] = {"s0", "s1", "s2.shop.svc.cluster.local",
                                        "'*.bank.svc.cluster.local'", "'*'", "x.example"};
    static const char *const rules[] = {
        "route: [{destination: {host: s0}}]",
        "route: [{destination: {host: s1, subset: v1}, weight: 1}, {destination: {host: s2}, weight: 2}]",
        "match: [{port: 80}], route: [{destination: {host: s1.shop.svc.cluster.local, port: {number: 90}}}]",
        "match: [{sourceNamespace: bank}], route: [{destination: {host: s2}}]",
        "route: [{destination: {host: s3}}], mirror: {host: x.example}",
        "delegate: {name: v0}", "match: [{uri: {prefix: /a}}], delegate: {name: v1, namespace: shop}",
        "redirect: {uri: /x}",
    };
    static const char *const exports[] = {"", ", exportTo: [.]", ", exportTo: [bank, shop]",
                                          ", exportTo: ['*']"};
    text_printf(out,
                "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v%u, "
                "namespace: %s, creationTimestamp: '2026-01-01T00:00:0%uZ'}, spec: {hosts: [",
                below(w, 3), ns_of(w), below(w, 3));
    if (below(w, 4) > 0) /* else for others to delegate to */
        text_printf(out, "%s, %s", hosts[below(w, 6)], hosts[below(w, 6)]);
    text_printf(out, "]%s, http: [{%s}]}}", exports[below(w, 4)], rules[below(w, 8)]);
}

static void put_rule(struct world *w, struct text_out *out)
{
    static const char *const hosts[] = {"s0", "s1", "s1.shop.svc.cluster.local",
                                        "x.example"};
    static const char *const specs[] = {
        "subsets: [{name: v1, labels: {tier: x}}]",
        "subsets: [{name: v1, labels: {app: b}}, {name: v2, labels: {}}]",
        "trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: a}}}",
        "trafficPolicy: {connectionPool: {http: {http2MaxRequests: 5}}}",
        "exportTo: [.]",
    };
    bool root = below(w, 3) == 0;
    text_printf(out,
                "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d%u, "
                "namespace: %s, creationTimestamp: '2026-01-01T00:00:0%uZ'}, spec: {host: %s, %s}}",
                below(w, 2), root ? "weir-system" : ns_of(w), below(w, 3), hosts[below(w, 4)],
                specs[below(w, 5)]);
}

/* Hosts and addresses of several entries, of Services and pods; endpoints that are pods, and ones that are none. */
static void put_entry(struct world *w, struct text_out *out)
{
    static const char *const hosts[] = {"x.example", "y.example, x.example",
                                        "s0.shop.svc.cluster.local", "z.example"};
    static const char *const specs[] = {
        "resolution: STATIC, endpoints: [{address: 192.0.2.1, labels: {tier: x}}, {address: 10.0.0.1}]",
        "resolution: STATIC, addresses: [192.0.2.9, 10.0.0.2], endpoints: [{address: 192.0.2.2, ports: {http: 81}}]",
        "resolution: STATIC, workloadSelector: {labels: {app: a}}",
        "resolution: STATIC, addresses: [192.0.2.9], workloadSelector: {labels: {app: b}}",
        "resolution: DNS",
        "resolution: STATIC, exportTo: [.]",
    };
    text_printf(out,
                "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: x%u, "
                "namespace: %s, creationTimestamp: '2026-01-01T00:00:0%uZ'}, spec: {hosts: [%s], "
                "ports: [{number: 80, name: http, protocol: HTTP}], %s}}",
                below(w, 3), ns_of(w), below(w, 3), hosts[below(w, 4)], specs[below(w, 6)]);
}

/* Addresses are those of pods and Services, too. */
static void put_machine(struct world *w, struct text_out *out)
{
    static const char *const addresses[] = {"10.0.0.2",  "10.0.0.5",  "10.0.0.22", "10.0.0.23",
                                            "192.0.2.9", "192.0.2.2", "x"};
    text_printf(out,
                "{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: w%u, "
                "namespace: %s, creationTimestamp: '2026-01-01T00:00:0%uZ'}, spec: {address: %s, "
                "labels: {app: %c}, ports: {http: 8080}}}",
                below(w, 3), ns_of(w), below(w, 3), addresses[below(w, 7)], 'a' + (char)below(w, 2));
}

static char root_data[2 * X509_PEM_MAX];

static int make_root(void **state)
{
    char pem[X509_PEM_MAX], *out = root_data;
    size_t len;
    (void)state;
    struct party root = root_make("root");
    assert_int_equal(x509_to_pem(&root.cert, pem, sizeof pem, &len), 0);
    out = stpcpy(out, "ca.crt: \"");
    for (const char *c = pem; *c; c++)
        out = *c == '\n' ? stpcpy(out, "\\n") : (*out = *c, out + 1);
    (void)stpcpy(out, "\"");
    party_done(&root);
    return 0;
}

static void put_backend_tls(struct world *w, struct text_out *out)
{
    static const char *const roots[] = {"wellKnownCACertificates: System", "caCertificateRefs: [{group: '', kind: ConfigMap, name: c0}]",
                                        "caCertificateRefs: [{group: '', kind: ConfigMap, name: c1}, {group: '', kind: ConfigMap, name: c2}]"};
    static const char *const ports[] = {"", ", sectionName: w", ", sectionName: x"};
    text_printf(out,
                "{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: b%u, namespace: %s, creationTimestamp: "
                "'2026-01-01T00:00:0%uZ'}, spec: {targetRefs: [{group: '', kind: Service, name: s%u%s}], validation: {hostname: h%u, %s}}}",
                below(w, PODS), ns_of(w), below(w, 3), below(w, SERVICES), ports[below(w, 3)], below(w, 2), roots[below(w, 3)]);
}

static void put_config_map(struct world *w, struct text_out *out)
{
    text_printf(out, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: %s}, data: {%s}}", below(w, 3), ns_of(w),
                below(w, 2) ? root_data : "other: x");
}

static void put_sidecar(struct world *w, struct text_out *out)
{
    static const char *const specs[] = {"", "workloadSelector: {labels: {app: a}}, ",
                                        "outboundTrafficPolicy: {mode: REGISTRY_ONLY}, "};
    text_printf(out,
                "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: y%u, namespace: "
                "%s, creationTimestamp: '2026-01-01T00:00:0%uZ'}, spec: {%segress: [{hosts: ['./%c']}]}}",
                below(w, 3), below(w, 6) ? ns_of(w) : fixture_settings.root_namespace, below(w, 3),
                specs[below(w, 3)], 'a' + (char)below(w, 3));
}

static void remove_some(struct world *w)
{
    static const char prefixes[] = {[OBJECT_POD] = 'p', [OBJECT_SERVICE] = 's',
                                    [OBJECT_ENDPOINT_SLICE] = 'e',
                                    [OBJECT_AUTHORIZATION_POLICY] = 'a',
                                    [OBJECT_PEER_AUTHENTICATION] = 'm',
                                    [OBJECT_HTTP_ROUTE] = 'h',
                                    [OBJECT_GRPC_ROUTE] = 'g',
                                    [OBJECT_REFERENCE_GRANT] = 'r',
                                    [OBJECT_INGRESS] = 'i',
                                    [OBJECT_VIRTUAL_SERVICE] = 'v',
                                    [OBJECT_DESTINATION_RULE] = 'd',
                                    [OBJECT_SERVICE_ENTRY] = 'x',
                                    [OBJECT_WORKLOAD_ENTRY] = 'w',
                                    [OBJECT_WORKLOAD_GROUP] = 'u',
                                    [OBJECT_BACKEND_TLS_POLICY] = 'b',
                                    [OBJECT_CONFIG_MAP] = 'c',
                                    [OBJECT_SIDECAR] = 'y'};
    enum object_kind kind = (enum object_kind)below(w, OBJECT_KIND_COUNT);
    char name[32];
    if (kind == OBJECT_SERVICE_ACCOUNT)
        return;
    if (kind == OBJECT_NAMESPACE || kind == OBJECT_NODE) {
        snprintf(name, sizeof name, "node-%u", below(w, NODES));
        (void)object_store_remove(&w->store, kind, "", kind == OBJECT_NODE ? name : ns_of(w));
        return;
    }
    snprintf(name, sizeof name, "%c%u", prefixes[kind], below(w, PODS));
    (void)object_store_remove(&w->store, kind, ns_of(w), name);
}

static void step(struct world *w)
{
    static void (*const makers[])(struct world *w, struct text_out *out) = {
        put_pod,     put_pod,   put_pod,           put_pod,  put_service, put_service,
        put_slice,   put_slice, put_authorization, put_peer, put_node,    put_namespace,
        put_route,   put_route, put_route,         put_grant, put_virtual, put_virtual,
        put_virtual, put_rule,  put_rule,          put_entry, put_entry,
        put_machine, put_machine, put_sidecar, put_backend_tls, put_config_map,
        put_ingress, put_ingress,
    };
    char yaml[8192];
    struct text_out out = TEXT_OUT(yaml);
    unsigned which = below(w, 35);
    if (which >= sizeof makers / sizeof *makers) {
        remove_some(w);
        return;
    }
    makers[which](w, &out);
    put(w, &out);
}

/* ---- Cases ---------------------------------------------------------------------------------- */

static size_t written_tables(const struct world *w)
{
    size_t n = 0;
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(&w->catalog.entries[XDS_ROUTES], &i));) {
        const struct catalog_entry *e = m->value;
        n += e->resource && !e->resource->by_name_only;
    }
    return n;
}

static void a_random_walk_stays_equal(void **state)
{
    const char *said = getenv("WEIR_SEED");
    uint64_t seed = 0;
    (void)state;
    if (!said || text_to_u64(text_of(said), UINT64_MAX, &seed) < 0)
        assert_int_equal(rng_os(&seed, sizeof seed), 0);
    printf("WEIR_SEED=%llu\n", (unsigned long long)seed);
    for (unsigned grants = 0; grants < 2; grants++) {
        struct world w;
        size_t changed, tables = 0;
        world_open(&w, seed);
        w.settings.grants_required = grants;
        for (unsigned i = 0; i < STEPS; i++) {
            for (unsigned n = 1 + below(&w, 2); n > 0; n--)
                step(&w);
            assert_int_equal(projection_run(&w.projection, &changed), 0);
            /* It is what costs most here, and what was forgotten stays wrong for a while. */
            if (i % LOOK_STEPS == LOOK_STEPS - 1)
                assert_as_from_scratch(&w);
            tables += written_tables(&w);
        }
        assert_true(tables > STEPS); /* more than one at each step, on the average */
        assert_int_equal(w.projection.wholes, 1);
        world_close(&w);
    }
}

/* A change costs what it touches. */
static void only_what_is_touched_is_translated(void **state)
{
    struct world w;
    size_t changed;
    char yaml[512];
    (void)state;
    world_open(&w, 1);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: n, labels: {app: "
                 "a%u}}, status: {podIP: 10.0.0.%u}}\n---\n{apiVersion: v1, kind: Service, "
                 "metadata: {name: s%u, namespace: n}, spec: {selector: {app: a%u}, ports: "
                 "[{port: 80}]}}",
                 i, i % 20, i + 1, i % 20, i % 20);
        fixture_load(&w.store, yaml);
    }
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(changed, 200 + 20 * 5); /* a Service is four more of Envoy's */
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 0);
    fixture_load(&w.store, "{apiVersion: v1, kind: Pod, metadata: {name: p7, namespace: n, labels: "
                           "{app: a8}}, status: {podIP: 10.0.0.8}}");
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 3); /* and two Services with other endpoints */
    assert_int_equal(changed, 3);
    fixture_load(&w.store, "{apiVersion: v1, kind: Service, metadata: {name: s3, namespace: n}, "
                           "spec: {selector: {app: a3}, ports: [{port: 81}]}}");
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 11); /* it, and its ten pods */
    assert_int_equal(w.projection.wholes, 1);
    world_close(&w);
}

/* s0, s1, ... of namespace n. */
static void put_services(struct object_store *store, unsigned n)
{
    char yaml[256];
    for (unsigned i = 0; i < n; i++) {
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: v1, kind: Service, metadata: {name: s%u, namespace: n}, spec: {ports: "
                 "[{port: 80}]}}",
                 i);
        fixture_load(store, yaml);
    }
}

/* A change that concerns routes costs the Services whose tables they are in, and no others. */
static void routes_touch_their_parents_alone(void **state)
{
#define ROUTE(name, service, backend)                                                              \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " name            \
    ", namespace: n}, spec: {parentRefs: [{group: '', kind: Service, name: " service               \
    "}, {name: edge}], rules: [{backendRefs: [{name: " backend ", port: 80}]}]}}"
    struct world w;
    size_t changed;
    (void)state;
    world_open(&w, 1);
    put_services(&w.store, 20);
    fixture_load(&w.store, ROUTE("a", "s1", "s2"));
    fixture_load(&w.store, ROUTE("b", "s3", "s4"));
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    fixture_load(&w.store, ROUTE("a", "s1", "s5"));
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 2); /* it, and its parent */
    assert_int_equal(changed, 1);
    fixture_load(&w.store, ROUTE("a", "s6", "s5")); /* of another parent */
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 3);
    assert_int_equal(changed, 2);
    (void)object_store_remove(&w.store, OBJECT_SERVICE, "n", "s4"); /* a backend of b's */
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 3); /* it, b, and its parent */
    assert_int_equal(changed, 5 + 1);
    fixture_load(&w.store, "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, "
                           "metadata: {name: g, namespace: n}, spec: {from: [], to: []}}");
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 0); /* nobody asks for grants */
    assert_as_from_scratch(&w);
    world_close(&w);
}

/* Likewise of Istio's. */
static void traffic_rules_touch_what_they_name(void **state)
{
#define VIRTUAL(name, host, backend)                                                               \
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: " name             \
    ", namespace: n}, spec: {hosts: [" host "], http: [{route: [{destination: {host: " backend     \
    "}}]}]}}"
    struct world w;
    size_t changed;
    (void)state;
    world_open(&w, 1);
    put_services(&w.store, 20);
    fixture_load(&w.store, VIRTUAL("a", "s1", "s2"));
    fixture_load(&w.store, VIRTUAL("b", "s3", "s4"));
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    fixture_load(&w.store, VIRTUAL("a", "s1", "s5"));
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 2); /* it, and its host */
    assert_int_equal(changed, 1);
    fixture_load(&w.store, VIRTUAL("a", "s6", "s5")); /* of another host */
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 3);
    assert_int_equal(changed, 2);
    fixture_load(&w.store,
                 "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, "
                 "namespace: n}, spec: {host: s5, trafficPolicy: {loadBalancer: {consistentHash: "
                 "{useSourceIp: true}}}}}");
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 4); /* it, its host, and what leads there: a and s6 */
    assert_int_equal(changed, 4); /* the cluster, its endpoints (who hears of them), its routes, and those of s6 */
    fixture_load(&w.store, VIRTUAL("all", "'*'", "s5"));
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.translated, 20 + 3); /* and what is said of the others */
    assert_int_equal(changed, 18); /* s3 and s6 have better ones */
    assert_as_from_scratch(&w);
    world_close(&w);
}

/* So many changes that all is cheaper. */
static void a_flood_is_taken_as_a_whole(void **state)
{
    struct world w;
    size_t changed;
    char yaml[256];
    (void)state;
    world_open(&w, 1);
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: n}, status: {podIP: "
                 "10.0.%u.%u}}",
                 i, i / 250, i % 250 + 1);
        fixture_load(&w.store, yaml);
    }
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(w.projection.wholes, 2);
    assert_as_from_scratch(&w);
    world_close(&w);
}

/* Memory that runs out anywhere: the next run makes it good. */
static void each_allocation_fails_in_turn(void **state)
{
    bool failed = true;
    long n = 0;
    (void)state;
    for (; failed && n < 5000; n++) {
        struct world w;
        size_t changed;
        world_open(&w, 5);
        for (unsigned i = 0; i < 40; i++)
            step(&w);
        assert_int_equal(projection_run(&w.projection, &changed), 0);
        struct object *service = NULL, **all = NULL;
        size_t n_all = 0;
        assert_int_equal(object_store_list(&w.store, OBJECT_SERVICE, &all, &n_all), 0);
        assert_true(n_all > 0);
        service = object_ref(all[0]);
        free(all);
        alloc_fail_at(n);
        (void)object_store_remove(&w.store, OBJECT_SERVICE, service->ns, service->name);
        (void)projection_run(&w.projection, &changed);
        (void)object_store_put(&w.store, service);
        (void)projection_run(&w.projection, &changed);
        failed = alloc_failed();
        assert_int_equal(projection_run(&w.projection, &changed), 0);
        assert_as_from_scratch(&w);
        object_unref(service);
        world_close(&w);
    }
    assert_false(failed);
    assert_true(n > 20);
}

static size_t run_after(struct world *w, const char *yaml, size_t translated)
{
    size_t changed;
    fixture_load(&w->store, yaml);
    assert_int_equal(projection_run(&w->projection, &changed), 0);
    assert_int_equal(w->projection.translated, translated);
    return changed;
}

/* A Gateway costs its pods and its routes; what lets routes come to it or lead on from it costs the Gateway. */
static void gateways_touch_what_they_serve(void **state)
{
#define ELSEWHERE "{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {team: "
    struct world w;
    size_t changed;
    (void)state;
    world_open(&w, 1);
    fixture_load(&w.store, "{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {weir.mesh/enrolled: 'true'}}}\n---\n"
                           "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: n, labels: "
                           "{gateway.networking.k8s.io/gateway-name: edge}}, spec: {nodeName: a}, status: {podIP: 10.0.0.1}}\n---\n"
                           "{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: n}, status: {podIP: 10.0.0.2}}\n---\n"
                           "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: mill}, spec: {ports: [{port: 80}]}}");
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(run_after(&w,
                               "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge, namespace: n}, "
                               "spec: {gatewayClassName: weir, listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: "
                               "{namespaces: {from: Selector, selector: {matchLabels: {team: x}}}}}]}}",
                               2), 3); /* its table, who may come, and its pod */
    assert_int_equal(run_after(&w,
                               "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: bank}, "
                               "spec: {parentRefs: [{name: edge, namespace: n}], rules: [{backendRefs: [{name: s, namespace: "
                               "mill, port: 80}]}]}}",
                               2), 0); /* it may not come */
    assert_int_equal(run_after(&w, ELSEWHERE "x}}}", 3), 1);
    assert_int_equal(run_after(&w,
                               "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, "
                               "namespace: mill}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: "
                               "bank}], to: [{group: '', kind: Service}]}}",
                               3), 1); /* and may not lead there, until now */
    assert_int_equal(run_after(&w, ELSEWHERE "y}}}", 3), 1);
    assert_true(object_store_remove(&w.store, OBJECT_INGRESS, "n", "edge"));
    assert_int_equal(projection_run(&w.projection, &changed), 0);
    assert_int_equal(changed, 3);
    world_close(&w);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_walk_stays_equal),
        cmocka_unit_test(only_what_is_touched_is_translated),
        cmocka_unit_test(routes_touch_their_parents_alone),
        cmocka_unit_test(gateways_touch_what_they_serve),
        cmocka_unit_test(traffic_rules_touch_what_they_name),
        cmocka_unit_test(a_flood_is_taken_as_a_whole),
        cmocka_unit_test(each_allocation_fails_in_turn),
    };
    return cmocka_run_group_tests(tests, make_root, NULL);
}
