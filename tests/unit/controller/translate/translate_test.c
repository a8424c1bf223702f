#include "tests/unit/controller/fixture.h"

struct world {
    struct object_store store;
    struct resources resources;
    struct problems problems;
};

static void world_make(struct world *w, const char *yaml)
{
    *w = (struct world){0};
    object_store_init(&w->store);
    problems_init(&w->problems);
    fixture_load(&w->store, yaml);
    assert_int_equal(translate(&w->store, &fixture_settings, &w->resources, &w->problems), 0);
}

static void world_done(struct world *w)
{
    resources_done(&w->resources);
    problems_done(&w->problems);
    object_store_done(&w->store);
}

static const struct resource *find(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->resources.n; i++)
        if (strcmp(w->resources.items[i]->name, name) == 0)
            return w->resources.items[i];
    return NULL;
}

/* As a client would see it. */
static struct workload *workload_of(const struct world *w, const char *uid)
{
    char why[XDS_WHY_MAX];
    struct workload *ret = NULL;
    struct service *none = NULL;
    const struct resource *r = find(w, uid);
    if (!r)
        fail_msg("no %s", uid);
    assert_int_equal(xds_address_decode(r->body, r->body_len, &ret, &none, why), 0);
    assert_non_null(ret);
    return ret;
}

static struct service *service_of(const struct world *w, const char *key)
{
    char why[XDS_WHY_MAX];
    struct workload *none = NULL;
    struct service *ret = NULL;
    const struct resource *r = find(w, key);
    if (!r)
        fail_msg("no %s", key);
    assert_int_equal(xds_address_decode(r->body, r->body_len, &none, &ret, why), 0);
    assert_non_null(ret);
    return ret;
}

static struct policy *policy_of(const struct world *w, const char *key)
{
    char why[XDS_WHY_MAX];
    struct policy *ret = NULL;
    const struct resource *r = find(w, key);
    if (!r)
        fail_msg("no %s", key);
    assert_int_equal(xds_policy_decode(r->body, r->body_len, &ret, why), 0);
    return ret;
}

#define SHOP                                                                                       \
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {weir.mesh/enrolled: "       \
    "\"true\"}}}\n---\n"
#define POD(name, metadata, spec, status)                                                          \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: shop" metadata              \
    "}, spec: {" spec "}, status: {" status "}}\n---\n"

static void a_pod_in_full(void **state)
{
    struct world w;
    (void)state;
    world_make(&w, SHOP "{apiVersion: v1, kind: Node, metadata: {name: node-a, labels: "
                        "{topology.kubernetes.io/region: eu, "
                        "topology.kubernetes.io/zone: eu-1}}}\n---\n" POD(
                            "web-6f-x",
                            ", uid: 5f0a9a9e-0000-4000-8000-000000010011"
                            ", labels: {app: web, version: v2, pod-template-hash: 6f}, "
                            "ownerReferences: [{kind: ReplicaSet, name: "
                            "web-6f, controller: true}]",
                            "serviceAccountName: web, nodeName: node-a",
                            "podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]"));
    assert_int_equal(w.resources.n, 1);
    assert_int_equal(w.resources.items[0]->n_aliases, 2);
    assert_string_equal(w.resources.items[0]->aliases[0], "net1/10.0.0.1");
    assert_string_equal(w.resources.items[0]->aliases[1], "net1/fd00::1");
    struct workload *p = workload_of(&w, "Kubernetes//Pod/shop/web-6f-x");
    assert_string_equal(p->name, "web-6f-x");
    assert_string_equal(p->ns, "shop");
    assert_string_equal(p->network, "net1");
    assert_string_equal(p->trust_domain, "td.example");
    assert_string_equal(p->service_account, "web");
    assert_string_equal(p->node, "node-a");
    assert_string_equal(p->pod_uid, "5f0a9a9e-0000-4000-8000-000000010011");
    assert_string_equal(p->canonical_name, "web");
    assert_string_equal(p->canonical_revision, "v2");
    assert_string_equal(p->workload_name, "web");
    assert_int_equal(p->type, WORKLOAD_DEPLOYMENT);
    assert_string_equal(p->cluster_id, "Kubernetes");
    assert_int_equal(p->n_labels, 3);
    assert_true(text_equal(p->labels[0].name, TEXT("app")));
    assert_true(text_equal(p->labels[2].value, TEXT("6f")));
    assert_string_equal(p->locality.region, "eu");
    assert_string_equal(p->locality.zone, "eu-1");
    assert_int_equal(p->tunnel, TUNNEL_HBONE);
    assert_true(p->healthy);
    assert_false(p->host_network);
    assert_int_equal(p->n_addresses, 2);
    workload_free(p);
    world_done(&w);
}

static bool is_healthy(const char *yaml, const char *uid)
{
    struct world w;
    world_make(&w, yaml);
    struct workload *p = workload_of(&w, uid);
    bool healthy = p->healthy;
    workload_free(p);
    world_done(&w);
    return healthy;
}

#define LEAVING   ", deletionTimestamp: '2026-01-01T00:00:00Z'"
#define READY(is) "phase: Running, conditions: [{type: Ready, status: '" is "'}], podIP: "
#define APP       ", labels: {app: web}"

/* A pod that ends serves on while its Service has nothing else that is ready. */
static void who_leaves_is_the_last_resort(void **state)
{
    static const char service[] = "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: "
                                  "shop}, spec: {selector: {app: web}, ports: [{port: 80}]}}\n---\n";
    static const struct {
        const char *others;
        bool service, healthy;
    } cases[] = {
        {"", false, false}, /* nobody needs it */
        {"", true, true},
        {POD("q", APP, "", READY("True") "10.0.0.2"), true, false},
        {POD("q", APP, "", READY("False") "10.0.0.2"), true, true},
        {POD("q", APP LEAVING, "", READY("True") "10.0.0.2"), true, true},
        {POD("q", "", "", READY("True") "10.0.0.2"), true, true}, /* not of the Service */
        {"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e, namespace: shop, "
         "labels: {kubernetes.io/service-name: s}}, ports: [{port: 80}], endpoints: [{addresses: "
         "[192.0.2.1]}]}\n---\n",
         true, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[4096];
        struct text_out out = TEXT_OUT(yaml);
        text_printf(&out, SHOP "%s%s" POD("p", APP LEAVING, "", READY("True") "10.0.0.1"),
                    cases[i].service ? service : "", cases[i].others);
        if (is_healthy(yaml, "Kubernetes//Pod/shop/p") != cases[i].healthy)
            fail_msg("case %zu", i);
    }
}

/* The same for endpoints that are no pods. */
static void an_endpoint_that_ends(void **state)
{
    static const struct {
        const char *endpoints;
        bool healthy; /* the first */
    } cases[] = {
        {"conditions: {ready: false, serving: true, terminating: true}}", true},
        {"conditions: {ready: false, serving: false, terminating: true}}", false},
        {"conditions: {ready: false, serving: true, terminating: true}}, {addresses: [192.0.2.2]}",
         false},
        {"conditions: {ready: false, serving: true, terminating: true}}, {addresses: [192.0.2.2], "
         "conditions: {ready: false}}",
         true},
        {"conditions: {ready: false}}", false},
        {"conditions: {}}", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[4096];
        struct text_out out = TEXT_OUT(yaml);
        text_printf(&out,
                    "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}, spec: "
                    "{ports: [{port: 80}]}}\n---\n{apiVersion: discovery.k8s.io/v1, kind: "
                    "EndpointSlice, metadata: {name: e, namespace: shop, labels: "
                    "{kubernetes.io/service-name: s}}, ports: [{port: 80}], endpoints: [{addresses: "
                    "[192.0.2.1], %s]}",
                    cases[i].endpoints);
        if (is_healthy(yaml, "Kubernetes/discovery.k8s.io/EndpointSlice/shop/e/192.0.2.1") !=
            cases[i].healthy)
            fail_msg("case %zu", i);
    }
}

static void which_pods_are_known_and_how(void **state)
{
    static const struct {
        const char *pod;
        bool known, healthy, hbone;
    } cases[] = {
        {POD("p", "", "", "podIP: 10.0.0.1"), true, true, true},
        {POD("p", "", "",
             "podIP: 10.0.0.1, phase: Running, conditions: [{type: Ready, status: 'True'}]"),
         true, true, true},
        {POD("p", "", "", "podIP: 10.0.0.1, conditions: [{type: Ready, status: 'False'}]"), true,
         false, true},
        {POD("p", "", "", "podIP: 10.0.0.1, conditions: [{type: Ready, status: Unknown}]"), true,
         false, true},
        {POD("p", "", "", "podIP: 10.0.0.1, conditions: [{type: Other, status: 'False'}]"), true,
         true, true},
        {POD("p", ", deletionTimestamp: '2026-01-01T00:00:00Z'", "", "podIP: 10.0.0.1"), true,
         false, true},
        {POD("p", "", "", "podIP: 10.0.0.1, phase: Pending"), true, true, true},
        {POD("p", "", "", "phase: Pending"), false, false, false},
        {POD("p", "", "nodeName: node-a", "phase: Pending"), true, false, true},
        {POD("p", "", "nodeName: node-a, hostNetwork: true", "phase: Pending"), false, false,
         false},
        /* Its node was started anew. */
        {POD("p", "", "nodeName: node-a", "phase: Running, conditions: [{type: Ready, status: "
                                          "'False'}]"), true, false, true},
        {POD("p", "", "nodeName: node-a", "phase: Unknown"), false, false, false},
        {POD("p", "", "nodeName: node-a", ""), false, false, false},
        {POD("p", "", "", ""), false, false, false},
        {POD("p", "", "", "podIP: 10.0.0.1, phase: Succeeded"), false, false, false},
        {POD("p", "", "", "podIP: 10.0.0.1, phase: Failed"), false, false, false},
        {POD("p", ", labels: {weir.mesh/enrolled: 'false'}", "", "podIP: 10.0.0.1"), true, true,
         false},
        {POD("p", ", labels: {weir.mesh/enrolled: 'true'}", "", "podIP: 10.0.0.1"), true, true,
         true},
        {POD("p", "", "hostNetwork: true", "podIP: 10.0.0.1"), true, true, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[2048];
        struct text_out out = TEXT_OUT(yaml);
        struct world w;
        text_printf(&out, SHOP "%s", cases[i].pod);
        world_make(&w, yaml);
        assert_int_equal(w.resources.n, cases[i].known ? 1 : 0);
        if (cases[i].known) {
            struct workload *p = workload_of(&w, "Kubernetes//Pod/shop/p");
            if (p->healthy != cases[i].healthy || (p->tunnel == TUNNEL_HBONE) != cases[i].hbone)
                fail_msg("case %zu: healthy %d, tunnel %d", i, p->healthy, p->tunnel);
            workload_free(p);
        }
        world_done(&w);
    }
    struct world w; /* on its host's network: said to be so, unless nobody wants it in the mesh */
    world_make(&w, SHOP POD("p", "", "hostNetwork: true", "podIP: 10.0.0.1")
                       POD("q", ", labels: {weir.mesh/enrolled: 'false'}", "hostNetwork: true",
                           "podIP: 10.0.0.1"));
    assert_int_equal(w.problems.n, 1);
    assert_string_equal(w.problems.items[0].object, "Pod shop/p");
    assert_string_equal(w.problems.items[0].field, "spec.hostNetwork");
    world_done(&w);
    /* A namespace that is not enrolled, whatever the pod says. */
    world_make(&w, POD("p", ", labels: {weir.mesh/enrolled: 'true'}", "", "podIP: 10.0.0.1"));
    struct workload *p = workload_of(&w, "Kubernetes//Pod/shop/p");
    assert_int_equal(p->tunnel, TUNNEL_NONE);
    workload_free(p);
    world_done(&w);
}

static void names_of_workloads(void **state)
{
    static const struct {
        const char *metadata, *workload, *canonical, *revision;
        enum workload_type type;
    } cases[] = {
        {"", "p", "p", "latest", WORKLOAD_POD},
        {", labels: {app: a}", "p", "a", "latest", WORKLOAD_POD},
        {", labels: {app: a, app.kubernetes.io/name: b, app.kubernetes.io/version: '1', version: "
         "'2'}",
         "p", "b", "1", WORKLOAD_POD},
        {", labels: {app: a, service.istio.io/canonical-name: c, "
         "service.istio.io/canonical-revision: r}",
         "p", "c", "r", WORKLOAD_POD},
        {", ownerReferences: [{kind: StatefulSet, name: db, controller: true}]", "db", "db",
         "latest", WORKLOAD_POD},
        {", ownerReferences: [{kind: StatefulSet, name: db}]", "p", "p", "latest", WORKLOAD_POD},
        {", ownerReferences: [{kind: ReplicaSet, name: web-6f, controller: true}]", "web-6f",
         "web-6f", "latest", WORKLOAD_POD},
        {", labels: {pod-template-hash: 6f}, ownerReferences: [{kind: ReplicaSet, name: web-6f, "
         "controller: true}]",
         "web", "web", "latest", WORKLOAD_DEPLOYMENT},
        {", labels: {pod-template-hash: 6f}, ownerReferences: [{kind: ReplicaSet, name: web6f, "
         "controller: true}]",
         "web6f", "web6f", "latest", WORKLOAD_POD},
        {", ownerReferences: [{kind: Job, name: once, controller: true}]", "once", "once", "latest",
         WORKLOAD_JOB},
        {", ownerReferences: [{kind: Job, name: nightly-29384756, controller: true}]", "nightly",
         "nightly", "latest", WORKLOAD_CRONJOB},
        {", ownerReferences: [{kind: Job, name: nightly-293, controller: true}]", "nightly-293",
         "nightly-293", "latest", WORKLOAD_JOB},
        {", ownerReferences: [{kind: CronJob, name: c, controller: true}]", "c", "c", "latest",
         WORKLOAD_CRONJOB},
        {", labels: {service.istio.io/workload-name: w}", "w", "w", "latest", WORKLOAD_POD},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[1024];
        struct text_out out = TEXT_OUT(yaml);
        struct world w;
        text_printf(&out,
                    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop%s}, status: "
                    "{podIP: 10.0.0.1}}",
                    cases[i].metadata);
        world_make(&w, yaml);
        struct workload *p = workload_of(&w, "Kubernetes//Pod/shop/p");
        if (strcmp(p->workload_name, cases[i].workload) != 0 ||
            strcmp(p->canonical_name, cases[i].canonical) != 0 ||
            strcmp(p->canonical_revision, cases[i].revision) != 0 || p->type != cases[i].type)
            fail_msg("case %zu: %s %s %s %d", i, p->workload_name, p->canonical_name,
                     p->canonical_revision, p->type);
        workload_free(p);
        world_done(&w);
    }
}

static const struct workload_service *served(const struct workload *w, const char *key)
{
    for (size_t i = 0; i < w->n_services; i++)
        if (strcmp(w->services[i].key, key) == 0)
            return &w->services[i];
    return NULL;
}

static void services_of_a_pod(void **state)
{
    struct world w;
    (void)state;
    world_make(&w, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: {app: "
                   "web, x: y}}, spec: {containers: [{ports: [{name: http, "
                   "containerPort: 8080}]}]}, status: {podIP: 10.0.0.1}}\n---\n"
                   "{apiVersion: v1, kind: Service, metadata: {name: named, namespace: shop}, "
                   "spec: {selector: {app: web}, ports: [{name: a, port: 80, "
                   "targetPort: http}, {name: b, port: 81, targetPort: nothing}, {name: c, port: "
                   "82, targetPort: 9}, {name: d, port: 83}]}}\n---\n"
                   "{apiVersion: v1, kind: Service, metadata: {name: other, namespace: shop}, "
                   "spec: {selector: {app: web, x: z}, ports: [{port: 80}]}}\n---\n"
                   "{apiVersion: v1, kind: Service, metadata: {name: elsewhere, namespace: "
                   "legacy}, spec: {selector: {app: web}, ports: [{port: 80}]}}\n---\n"
                   "{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, "
                   "spec: {type: ExternalName, externalName: e, selector: {app: web}}}\n---\n"
                   "{apiVersion: v1, kind: Service, metadata: {name: manual, namespace: shop}, "
                   "spec: {clusterIP: 10.96.0.5, ports: [{name: a, port: 90}, "
                   "{name: b, port: 91}]}}\n---\n"
                   "{apiVersion: v1, kind: Service, metadata: {name: by-ip, namespace: legacy}, "
                   "spec: {ports: [{port: 70, targetPort: 71}]}}\n---\n"
                   "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: "
                   "manual-1, namespace: shop, labels: {kubernetes.io/service-name: "
                   "manual}}, addressType: IPv4, ports: [{name: a, port: 9090}], endpoints: "
                   "[{addresses: [10.0.0.1], targetRef: {kind: Pod, name: p}}, "
                   "{addresses: [10.0.0.77], targetRef: {kind: Pod, name: unknown}}, {addresses: "
                   "[192.0.2.1]}, {addresses: [192.0.2.1]}, "
                   "{addresses: [192.0.2.2], conditions: {ready: false}}]}\n---\n"
                   "{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice, metadata: {name: "
                   "by-ip-1, namespace: legacy, labels: "
                   "{kubernetes.io/service-name: by-ip}}, addressType: IPv4, ports: [{port: 71}], "
                   "endpoints: [{addresses: [10.0.0.1]}]}\n---\n"
                   "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: stray, "
                   "namespace: shop}, endpoints: [{addresses: [192.0.2.9]}]}\n");
    struct workload *p = workload_of(&w, "Kubernetes//Pod/shop/p");
    assert_int_equal(p->n_services, 3);
    const struct workload_service *named = served(p, "shop/named.shop.svc.cluster.local");
    assert_int_equal(named->n_ports, 3); /* the one whose target the pod has not is left out */
    assert_int_equal(named->ports[0].target_port, 8080);
    assert_int_equal(named->ports[1].service_port, 82);
    assert_int_equal(named->ports[1].target_port, 9);
    assert_int_equal(named->ports[2].target_port, 83);
    const struct workload_service *manual = served(p, "shop/manual.shop.svc.cluster.local");
    assert_int_equal(manual->n_ports, 1);
    assert_int_equal(manual->ports[0].service_port, 90);
    assert_int_equal(manual->ports[0].target_port, 9090);
    assert_int_equal(served(p, "legacy/by-ip.legacy.svc.cluster.local")->ports[0].target_port, 71);
    workload_free(p);

    const char *uid = "Kubernetes/discovery.k8s.io/EndpointSlice/shop/manual-1/192.0.2.1";
    struct workload *e = workload_of(&w, uid);
    assert_int_equal(e->tunnel, TUNNEL_NONE);
    assert_true(e->healthy);
    assert_int_equal(served(e, "shop/manual.shop.svc.cluster.local")->ports[0].target_port, 9090);
    workload_free(e);
    e = workload_of(&w, "Kubernetes/discovery.k8s.io/EndpointSlice/shop/manual-1/192.0.2.2");
    assert_false(e->healthy);
    workload_free(e);
    assert_null(find(&w, "Kubernetes/discovery.k8s.io/EndpointSlice/shop/manual-1/10.0.0.77"));
    assert_null(find(&w, "shop/alias.shop.svc.cluster.local"));
    size_t addresses = 0;
    for (size_t i = 0; i < w.resources.n; i++)
        addresses += w.resources.items[i]->type == XDS_ADDRESS;
    assert_int_equal(addresses, 1 + 5 + 2); /* pod, services, two addresses */
    world_done(&w);
}

static void services(void **state)
{
    static const struct {
        const char *spec, *annotations;
        size_t n_scopes;
        enum lb_scope last;
        enum lb_mode mode;
        bool allow_unhealthy;
    } cases[] = {
        {"", "", 0, 0, LB_UNSPECIFIED_MODE, false},
        {"trafficDistribution: PreferClose", "", 3, LB_ZONE, LB_FAILOVER, false},
        {"trafficDistribution: PreferSameNode", "", 5, LB_NODE, LB_FAILOVER, false},
        {"trafficDistribution: PreferClose, internalTrafficPolicy: Local", "", 1, LB_NODE,
         LB_STRICT, false},
        {"internalTrafficPolicy: Cluster, publishNotReadyAddresses: true", "", 0, 0,
         LB_UNSPECIFIED_MODE, true},
        {"", "networking.istio.io/traffic-distribution: PreferClose", 3, LB_ZONE, LB_FAILOVER,
         false},
        {"trafficDistribution: PreferSameNode",
         "networking.istio.io/traffic-distribution: PreferClose", 5, LB_NODE, LB_FAILOVER, false},
    };
    struct world w;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[1024];
        struct text_out out = TEXT_OUT(yaml);
        text_printf(&out,
                    "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n, "
                    "annotations: {%s}}, spec: {%s}}",
                    cases[i].annotations, cases[i].spec);
        world_make(&w, yaml);
        struct service *s = service_of(&w, "n/s.n.svc.cluster.local");
        if (s->n_scopes != cases[i].n_scopes || s->lb_mode != cases[i].mode ||
            s->allow_unhealthy != cases[i].allow_unhealthy ||
            (s->n_scopes && s->scopes[s->n_scopes - 1] != cases[i].last))
            fail_msg("case %zu: %zu scopes, mode %d", i, s->n_scopes, s->lb_mode);
        service_free(s);
        world_done(&w);
    }
    world_make(&w, "{apiVersion: v1, kind: Namespace, metadata: {name: n, annotations: "
                   "{networking.istio.io/traffic-distribution: PreferClose}}}\n---\n"
                   "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: "
                   "{clusterIPs: [10.96.0.1, 'fd00::1'], ipFamilies: "
                   "[IPv4, IPv6], ports: [{name: http, port: 80, targetPort: web}, {name: udp, "
                   "port: 53, protocol: UDP}]}}");
    struct service *s = service_of(&w, "n/s.n.svc.cluster.local");
    assert_string_equal(s->hostname, "s.n.svc.cluster.local");
    assert_string_equal(s->name, "s");
    assert_int_equal(s->n_scopes, 3);
    assert_int_equal(s->n_addresses, 2);
    assert_string_equal(s->addresses[1].network, "net1");
    assert_int_equal(s->ip_families, 3);
    assert_int_equal(s->n_ports, 1);
    assert_int_equal(s->ports[0].target_port, 0);
    assert_int_equal(s->ports[0].app_protocol, 1);
    assert_true(s->canonical);
    assert_string_equal(find(&w, s->key)->aliases[1], "net1/fd00::1");
    service_free(s);
    world_done(&w);
}

#define POLICY(ns, name, spec)                                                                     \
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: " name         \
    ", namespace: " ns "}, spec: {" spec "}}\n---\n"

static void policies_and_who_they_are_for(void **state)
{
    struct world w;
    (void)state;
    world_make(
        &w,
        POD("p", ", labels: {app: web}", "", "podIP: 10.0.0.1") POLICY("weir-system", "mesh", "")
            POLICY("weir-system", "mesh-web",
                   "selector: {matchLabels: {app: web}}, action: DENY, rules: [{}]")
                POLICY("shop", "all", "rules: [{}]")
                    POLICY("shop", "web", "selector: {matchLabels: {app: web}}")
                        POLICY("shop", "audit",
                               "selector: {matchLabels: {app: web}}, action: AUDIT, rules: [{}]")
                            POLICY("shop", "cart", "selector: {matchLabels: {app: cart}}")
                                POLICY("legacy", "web", "selector: {matchLabels: {app: web}}"));
    struct workload *p = workload_of(&w, "Kubernetes//Pod/shop/p");
    assert_int_equal(p->n_policies, 3);
    assert_string_equal(p->policies[0], "shop/audit");
    assert_string_equal(p->policies[1], "shop/web");
    assert_string_equal(p->policies[2], "weir-system/mesh-web");
    workload_free(p);
    static const struct {
        const char *key;
        enum policy_scope scope;
        enum policy_action action;
        size_t n_rules;
    } cases[] = {
        {"weir-system/mesh", POLICY_GLOBAL, POLICY_ALLOW, 0},
        {"weir-system/mesh-web", POLICY_WORKLOAD, POLICY_DENY, 1},
        {"shop/all", POLICY_NAMESPACE, POLICY_ALLOW, 1},
        {"shop/web", POLICY_WORKLOAD, POLICY_ALLOW, 0},
        {"shop/audit", POLICY_WORKLOAD, POLICY_AUDIT, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy *q = policy_of(&w, cases[i].key);
        assert_int_equal(q->scope, cases[i].scope);
        assert_int_equal(q->action, cases[i].action);
        assert_int_equal(q->n_rules, cases[i].n_rules);
        policy_free(q);
    }
    assert_int_equal(w.problems.n, 0);
    world_done(&w);
}

static void what_is_told(void **state)
{
    struct world w;
    (void)state;
    world_make(&w, POD("p", "", "",
                       "") POLICY("shop", "allow",
                                  "rules: [{to: [{operation: {ports: ['80'], paths: [/a]}}]}, {}]")
                       POLICY("shop", "deny",
                              "action: DENY, rules: [{to: [{operation: {ports: ['80'], paths: "
                              "[/a]}}]}]") "{apiVersion: security.istio.io/v1, kind: "
                                           "PeerAuthentication, metadata: {name: a, namespace: "
                                           "weir-system}, spec: {selector: "
                                           "{matchLabels: {a: b}}}}\n---\n"
                                           "{apiVersion: security.istio.io/v1, kind: "
                                           "PeerAuthentication, metadata: {name: b, namespace: "
                                           "shop}, spec: {portLevelMtls: {80: {mode: STRICT}}}}");
    static const struct {
        const char *object, *field;
        unsigned line;
    } wanted[] = {
        {"AuthorizationPolicy shop/allow", "spec.rules[0]", 3},
        {"AuthorizationPolicy shop/deny", "spec.rules[0]", 5},
        {"PeerAuthentication shop/b", "spec.portLevelMtls", 9},
        {"PeerAuthentication weir-system/a", "spec.selector", 7},
        {"Pod shop/p", "status.podIPs", 1},
    };
    assert_int_equal(w.problems.n, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < w.problems.n; i++) {
        assert_string_equal(w.problems.items[i].object, wanted[i].object);
        assert_string_equal(w.problems.items[i].field, wanted[i].field);
        assert_int_equal(w.problems.items[i].line, wanted[i].line);
        assert_string_equal(w.problems.items[i].file, "t.yaml");
        assert_int_equal(w.problems.items[i].severity, PROBLEM_WARNING);
    }
    struct policy *allow = policy_of(&w, "shop/allow"), *deny = policy_of(&w, "shop/deny");
    assert_int_equal(allow->n_rules, 1);
    assert_int_equal(allow->rules[0].n, 0);
    assert_int_equal(deny->rules[0].n, 1);
    assert_int_equal(deny->rules[0].clauses[0].matches[0].destination_ports.items[0], 80);
    policy_free(allow);
    policy_free(deny);
    world_done(&w);
}

/* The same objects, whatever their order and whenever they came, are the same bytes. */
static void versions_are_stable(void **state)
{
    static const char one[] =
        POD("p", ", labels: {app: web}", "",
            "podIP: 10.0.0.1") "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: "
                               "shop}, spec: {selector: {app: web}}}\n---\n"
                               "{apiVersion: v1, kind: Service, metadata: {name: b, namespace: "
                               "shop}, spec: {selector: {app: web}}}\n";
    static const char two[] =
        "{apiVersion: v1, kind: Service, metadata: {name: b, namespace: shop}, spec: {selector: "
        "{app: web}}}\n---\n"
        "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}, spec: {selector: "
        "{app: web}}}\n---\n" POD("p", ", labels: {app: web}", "", "podIP: 10.0.0.1");
    struct world x, y;
    (void)state;
    world_make(&x, one);
    world_make(&y, two);
    assert_int_equal(x.resources.n, 3);
    for (size_t i = 0; i < x.resources.n; i++) {
        const struct resource *other = find(&y, x.resources.items[i]->name);
        assert_non_null(other);
        assert_true(resource_equal(x.resources.items[i], other));
        assert_string_equal(x.resources.items[i]->version, other->version);
    }
    assert_int_equal(strlen(x.resources.items[0]->version), 32);
    world_done(&y);
    world_make(&y, POD("p", ", labels: {app: web}", "", "podIP: 10.0.0.2"));
    assert_string_not_equal(find(&x, "Kubernetes//Pod/shop/p")->version,
                            find(&y, "Kubernetes//Pod/shop/p")->version);
    world_done(&x);
    world_done(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_in_full),
        cmocka_unit_test(who_leaves_is_the_last_resort),
        cmocka_unit_test(an_endpoint_that_ends),
        cmocka_unit_test(which_pods_are_known_and_how),
        cmocka_unit_test(names_of_workloads), cmocka_unit_test(services_of_a_pod),
        cmocka_unit_test(services),           cmocka_unit_test(policies_and_who_they_are_for),
        cmocka_unit_test(what_is_told),       cmocka_unit_test(versions_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
