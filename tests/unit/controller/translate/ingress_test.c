/* Gateways: which listener and route has a request, whom a listener takes, what is said of it, which pods serve. */
#include "controller/translate/from_pod.h"
#include "controller/translate/ingress_attach.h"
#include "controller/translate/ingress_status.h"
#include "controller/translate/ingress_table.h"
#include "controller/translate/peer.h"
#include "shared/http/http_head.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <errno.h>
#include <stdio.h>

#define GATEWAY(listeners)                                                                         \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge, namespace: " \
    "shop}, spec: {gatewayClassName: weir, listeners: [" listeners "]}}\n---\n"
#define ROUTE(name, ns, spec)                                                                      \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " name           \
    ", namespace: " ns "}, spec: {" spec "}}\n---\n"
#define TO_EDGE "parentRefs: [{name: edge, namespace: shop}]"
#define ANSWERS(status)                                                                            \
    "rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: " status "}}]}]"
#define SERVICE(name, ns)                                                                          \
    "{apiVersion: v1, kind: Service, metadata: {name: " name ", namespace: " ns                    \
    "}, spec: {clusterIP: 192.0.2.9, selector: {app: edge}, ports: [{port: 80}]}}\n---\n"
#define POD                                                                                        \
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {weir.mesh/enrolled: "        \
    "'true'}}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: "     \
    "{app: edge, gateway.networking.k8s.io/gateway-name: edge}}, spec: {nodeName: n}, status: "    \
    "{phase: Running, podIP: 10.0.0.1}}\n---\n"
#define NOT_READY                                                                                  \
    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: {app: edge, "        \
    "gateway.networking.k8s.io/gateway-name: edge}}, status: {phase: Running, podIP: 10.0.0.1, "   \
    "conditions: [{type: Ready, status: 'False'}]}}\n---\n"

struct mesh {
    struct object_store store;
    struct view view;
    struct problems problems;
    struct gateway_tables tables;
};

static const struct object *gateway(const struct mesh *m)
{
    return object_store_get(&m->store, OBJECT_INGRESS, "shop", "edge");
}

static void mesh_open(struct mesh *m, const char *yaml)
{
    *m = (struct mesh){.tables = {.n = 0}};
    object_store_init(&m->store);
    fixture_load(&m->store, yaml);
    problems_init(&m->problems);
    assert_int_equal(view_open(&m->view, &m->store, &fixture_settings), 0);
    assert_int_equal(ingress_tables(&m->view, gateway(m), &m->tables, &m->problems), 0);
}

static void mesh_close(struct mesh *m)
{
    gateway_tables_done(&m->tables);
    view_close(&m->view);
    object_store_done(&m->store);
    problems_done(&m->problems);
}

/* The status that a request is redirected by; 1: it is forwarded; 0: nothing takes it. */
static unsigned asked(const struct mesh *m, size_t table, const char *authority, const char *path)
{
    struct http_head head;
    struct route_choice choice;
    unsigned status = 0;
    http_head_init(&head);
    assert_int_equal(http_head_set_method(&head, TEXT("GET")), 0);
    assert_int_equal(http_head_set_authority(&head, text_of(authority)), 0);
    assert_int_equal(http_head_set_path(&head, text_of(path)), 0);
    const struct route_request q = {.head = &head};
    assert_true(table < m->tables.n);
    if (route_table_choose(m->tables.items[table].table, &q, &choice) == 0) {
        const struct route_action *a = &choice.route->action;
        status = a->kind == ROUTE_REDIRECT  ? a->redirect.status
                 : a->kind == ROUTE_RESPOND ? a->respond.status
                                            : 1;
    }
    http_head_done(&head);
    return status;
}

static void the_most_precise_host_has_a_request(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: a, port: 80, protocol: HTTP, hostname: '*.example'}, "
                          "{name: b, port: 80, protocol: HTTP, hostname: shop.example}, "
                          "{name: c, port: 8080, protocol: HTTP}")
                  ROUTE("one", "shop", "parentRefs: [{name: edge, sectionName: a}], "
                                       "hostnames: [a.example, shop.example, other.test], " ANSWERS("301"))
                  ROUTE("two", "shop", "parentRefs: [{name: edge, sectionName: a}], " ANSWERS("302"))
                  ROUTE("three", "shop", "parentRefs: [{name: edge, port: 8080}], " ANSWERS("303")));
    assert_int_equal(m.tables.n, 2);
    assert_string_equal(m.tables.items[0].table->name.data, "gateway|80||shop/edge");
    assert_string_equal(m.tables.items[1].table->name.data, "gateway|8080||shop/edge");
    assert_int_equal(asked(&m, 0, "a.example", "/"), 301);
    assert_int_equal(asked(&m, 0, "A.Example:80", "/"), 301);
    assert_int_equal(asked(&m, 0, "b.example", "/"), 302);
    /* Listener b has the host, and no route: what the others' routes say of it does not count. */
    assert_int_equal(asked(&m, 0, "shop.example", "/"), 0);
    assert_int_equal(asked(&m, 0, "other.test", "/"), 0);
    assert_int_equal(asked(&m, 0, "example", "/"), 0);
    assert_int_equal(asked(&m, 1, "any.test", "/"), 303);
    mesh_close(&m);
}

static void what_is_not_served_has_no_table(void **state)
{
    struct mesh m;
    char said[GATEWAY_MESSAGE_MAX];
    (void)state;
    mesh_open(&m, GATEWAY("{name: a, port: 443, protocol: HTTPS}, {name: b, port: 80, protocol: HTTP}, "
                          "{name: c, port: 80, protocol: HTTP}, {name: d, port: 81, protocol: HTTP}, "
                          "{name: e, port: 81, protocol: UDP}, {name: f, port: 82, protocol: HTTP, tls: {}}, "
                          "{name: g, port: 15008, protocol: HTTP}, {name: h, port: 83, protocol: HTTP, x: 1}")
                  ROUTE("one", "shop", TO_EDGE ", " ANSWERS("301")));
    static const char *const reasons[] = {"UnsupportedValue", "HostnameConflict",
                                          "HostnameConflict",    "ProtocolConflict",
                                          "UnsupportedProtocol", "UnsupportedValue",
                                          "PortUnavailable",     "UnsupportedValue"};
    assert_int_equal(m.tables.n, 0);
    for (size_t i = 0; i < 8; i++) {
        struct text_out out = TEXT_OUT(said);
        assert_string_equal(ingress_listener_refused(gateway(&m), i, &out), reasons[i]);
    }
    mesh_close(&m);
}

static const char *refused(const struct mesh *m, const char *ns, const char *name)
{
    char said[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(said);
    const struct object *o = object_store_get(&m->store, OBJECT_HTTP_ROUTE, ns, name);
    const char *why = ingress_parent_refused(&m->view, o, &o->route.parents[0], &out);
    return why ? why : "";
}

static void a_listener_says_whose_routes_it_takes(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: same, port: 80, protocol: HTTP}, "
                          "{name: all, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}, "
                          "{name: some, port: 82, protocol: HTTP, allowedRoutes: {namespaces: "
                          "{from: Selector, selector: {matchLabels: {team: x}}}}}, "
                          "{name: grpc, port: 83, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}, "
                          "{name: host, port: 84, protocol: HTTP, hostname: '*.example'}")
                  "{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {team: x}}}\n---\n"
                  ROUTE("a", "bank", "parentRefs: [{name: edge, namespace: shop, sectionName: same}]")
                  ROUTE("b", "bank", "parentRefs: [{name: edge, namespace: shop, sectionName: all}]")
                  ROUTE("c", "bank", "parentRefs: [{name: edge, namespace: shop, sectionName: some}]")
                  ROUTE("c", "mill", "parentRefs: [{name: edge, namespace: shop, sectionName: some}]")
                  ROUTE("d", "shop", "parentRefs: [{name: edge, sectionName: grpc}]")
                  ROUTE("e", "shop", "parentRefs: [{name: edge, sectionName: nobody}]")
                  ROUTE("f", "shop", "parentRefs: [{name: edge, sectionName: host}], hostnames: [a.test, example]")
                  ROUTE("g", "shop", "parentRefs: [{name: edge, sectionName: host}], hostnames: [a.b.example]"));
    assert_string_equal(refused(&m, "bank", "a"), "NotAllowedByListeners");
    assert_string_equal(refused(&m, "bank", "b"), "");
    assert_string_equal(refused(&m, "bank", "c"), "");
    assert_string_equal(refused(&m, "mill", "c"), "NotAllowedByListeners");
    assert_string_equal(refused(&m, "shop", "d"), "NotAllowedByListeners");
    assert_string_equal(refused(&m, "shop", "e"), "NoMatchingParent");
    assert_string_equal(refused(&m, "shop", "f"), "NoMatchingListenerHostname");
    assert_string_equal(refused(&m, "shop", "g"), "");
    mesh_close(&m);
}

/* As the Gateway API says of Gateways: a backend of another namespace needs a grant, which routes of the mesh don't. */
static void a_backend_of_another_namespace_needs_a_grant(void **state)
{
    static const char yaml[] =
        GATEWAY("{name: a, port: 80, protocol: HTTP}") SERVICE("till", "bank")
        ROUTE("a", "shop", TO_EDGE ", rules: [{backendRefs: [{name: till, namespace: bank, port: 80}]}]");
    static const char grant[] =
        "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: bank}, "
        "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: [{group: '', kind: Service}]}}";
    char both[2048];
    struct mesh m;
    struct gateway_parent_status *status;
    size_t n;
    (void)state;
    for (unsigned granted = 0; granted < 2; granted++) {
        snprintf(both, sizeof both, "%s%s", yaml, granted ? grant : "{}");
        if (!granted)
            both[sizeof yaml - 1] = '\0';
        mesh_open(&m, both);
        const struct route *r = &m.tables.items[0].table->hosts[0].routes[0];
        assert_string_equal(r->action.forward.backends[0].cluster.data,
                            granted ? "outbound|80||till.bank.svc.cluster.local" : GATEWAY_NO_CLUSTER);
        const struct object *o = object_store_get(&m.store, OBJECT_HTTP_ROUTE, "shop", "a");
        assert_int_equal(gateway_status(&m.view, o, &status, &n), 0);
        assert_int_equal(n, 1);
        assert_true(status[0].accepted.holds);
        assert_string_equal(status[0].resolved.reason, granted ? "ResolvedRefs" : "RefNotPermitted");
        free(status);
        mesh_close(&m);
    }
}

static void what_is_said_of_a_gateway(void **state)
{
    static const struct {
        const char *yaml, *accepted, *programmed;
        size_t n_addresses, n_routes;
    } cases[] = {
        {GATEWAY("{name: a, port: 80, protocol: HTTP}") ROUTE("r", "shop", TO_EDGE), "Accepted", "NoResources", 0, 1},
        {GATEWAY("{name: a, port: 80, protocol: HTTP}") POD, "Accepted", "AddressNotAssigned", 0, 0},
        {GATEWAY("{name: a, port: 80, protocol: HTTP}") POD SERVICE("edge", "shop"), "Accepted", "Programmed", 1, 0},
        {GATEWAY("{name: a, port: 80, protocol: HTTP}, {name: b, port: 443, protocol: HTTPS}") POD SERVICE("edge", "shop"),
         "ListenersNotValid", "Programmed", 1, 0},
        {GATEWAY("{name: a, port: 80, protocol: HTTP}") NOT_READY SERVICE("edge", "shop"), "Accepted", "NoResources", 0, 0},
        {GATEWAY("{name: b, port: 443, protocol: HTTPS}") POD, "ListenersNotValid", "Invalid", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mesh m;
        struct ingress_status s;
        mesh_open(&m, cases[i].yaml);
        assert_int_equal(ingress_status(&m.view, gateway(&m), &s), 0);
        assert_string_equal(s.accepted.reason, cases[i].accepted);
        assert_string_equal(s.programmed.reason, cases[i].programmed);
        assert_int_equal(s.programmed.holds, strcmp(cases[i].programmed, "Programmed") == 0);
        assert_int_equal(s.n_addresses, cases[i].n_addresses);
        assert_int_equal(s.listeners[0].n_routes, cases[i].n_routes);
        free(s.listeners);
        mesh_close(&m);
    }
}

/* Who has no identity may come to these ports of the workload, and no others: by the policy that its pod names. */
static bool lets_strangers_in(const struct mesh *m, uint16_t port)
{
    struct policy *p;
    struct verdict verdict;
    struct access a = {.destination_port = port};
    assert_int_equal(ip_parse(TEXT("10.0.0.1"), &a.source), 0);
    a.destination = a.source;
    assert_int_equal(peer_gateway_policy(gateway(m), &p), 0);
    assert_string_equal(p->key, "shop/converted_gateway_edge");
    policies_decide((const struct policy *const[]){p}, 1, &a, &verdict);
    policy_free(p);
    return verdict.allowed;
}

/* Its pod is told to its node as such; STRICT, which would refuse all who come from outside, does not count at the
 * listeners that are served, and at all other ports of it. */
static void a_pod_serves_by_its_label(void **state)
{
    static const char strict[] = "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: s, "
                                 "namespace: shop}, spec: {mtls: {mode: STRICT}}}";
    (void)state;
    for (unsigned ours = 0; ours < 2; ours++) {
        char yaml[4096];
        struct mesh m;
        struct workload *w;
        snprintf(yaml, sizeof yaml, "%s%s%s", GATEWAY("{name: a, port: 80, protocol: HTTP}, "
                                                            "{name: b, port: 443, protocol: HTTPS}"), POD, strict);
        char *class_name = strstr(yaml, "weir, listeners");
        if (!ours)
            memcpy(class_name, "them", 4);
        mesh_open(&m, yaml);
        assert_int_equal(m.tables.n, ours);
        const struct object *pod = object_store_get(&m.store, OBJECT_POD, "shop", "p");
        assert_int_equal(from_pod(&m.view, pod, &w, &m.problems), 0);
        assert_string_equal(w->gateway, ours ? "edge" : "");
        /* No application is behind them, be they served or not. */
        assert_true((workload_gateway_port(w, 80) != NULL) == ours);
        assert_true((workload_gateway_port(w, 443) != NULL) == ours);
        assert_null(workload_gateway_port(w, 8080));
        assert_int_equal(w->n_policies, 1);
        assert_string_equal(w->policies[0],
                            ours ? "shop/converted_gateway_edge" : "weir-system/istio_converted_static_strict");
        workload_free(w);
        assert_true(lets_strangers_in(&m, 80));
        assert_false(lets_strangers_in(&m, 443)); /* a listener that is not served */
        assert_false(lets_strangers_in(&m, 8080));
        mesh_close(&m);
    }
}

/* As the projection does it: what could not be told comes again. */
static int tables_again(const struct mesh *m)
{
    struct gateway_tables t = {.n = 0};
    struct problems problems;
    problems_init(&problems);
    int err = ingress_tables(&m->view, gateway(m), &t, &problems);
    if (err == 0)
        err = ingress_warn(&m->view, gateway(m), &problems);
    if (err == 0 && problems_incomplete(&problems))
        err = -ENOMEM;
    gateway_tables_done(&t);
    problems_done(&problems);
    return err;
}

static void without_memory_nothing_is_told(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: x.example}")
                  ROUTE("r", "shop", TO_EDGE ", hostnames: [a.example, x.example], " ANSWERS("301")));
    for (long n = 0;; n++) {
        alloc_fail_at(n);
        int err = tables_again(&m);
        if (!alloc_failed()) {
            assert_int_equal(err, 0);
            assert_true(n > 10);
            break;
        }
        assert_int_equal(err, -ENOMEM);
    }
    mesh_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_precise_host_has_a_request),
        cmocka_unit_test(what_is_not_served_has_no_table),
        cmocka_unit_test(a_listener_says_whose_routes_it_takes),
        cmocka_unit_test(a_backend_of_another_namespace_needs_a_grant),
        cmocka_unit_test(what_is_said_of_a_gateway),
        cmocka_unit_test(a_pod_serves_by_its_label),
        cmocka_unit_test(without_memory_nothing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
