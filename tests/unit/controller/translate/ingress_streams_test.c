/* Listeners of TCP and TLS: which table a route is in, of which listener a host is, what is said of kinds and conflicts. */
#include "controller/translate/ingress_attach.h"
#include "controller/translate/ingress_certificates.h"
#include "controller/translate/ingress_status.h"
#include "controller/translate/ingress_table.h"
#include "shared/http/http_head.h"
#include "shared/xds/gateway.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/tls/tls_fixture.h"

#define GATEWAY(listeners)                                                                         \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge, namespace: " \
    "shop}, spec: {gatewayClassName: weir, listeners: [" listeners "]}}\n---\n"
#define ROUTE(kind, name, section, rest)                                                           \
    "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: " kind ", metadata: {name: " name       \
    ", namespace: shop}, spec: {parentRefs: [{name: edge, sectionName: " section "}], "             \
    "rules: [{backendRefs: [{name: " name ", port: 70}]}]" rest "}}\n---\n"
#define HTTP(name, section, hosts)                                                                 \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " name            \
    ", namespace: shop}, spec: {parentRefs: [{name: edge, sectionName: " section "}], hostnames: [" \
    hosts "], rules: [{backendRefs: [{name: " name ", port: 70}]}]}}\n---\n"
#define SERVICE(name)                                                                              \
    "{apiVersion: v1, kind: Service, metadata: {name: " name ", namespace: shop}, spec: "           \
    "{clusterIP: 192.0.2.9, ports: [{port: 70}]}}\n---\n"
#define POD                                                                                        \
    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: "                     \
    "{gateway.networking.k8s.io/gateway-name: edge}}, spec: {nodeName: n, serviceAccountName: a}, " \
    "status: {phase: Running, podIP: 10.0.0.1}}\n---\n"
#define CERTIFICATE "tls: {certificateRefs: [{name: cert}]}"
#define PASSES "tls: {mode: Passthrough}"

struct mesh {
    struct object_store store;
    struct view view;
    struct problems problems;
    struct gateway_tables tables;
    const struct object *gateway;
};

/* As it stands within a string of YAML. */
static const char *escape(const char *pem, char *out)
{
    char *to = out;
    for (; *pem; pem++) {
        if (*pem == '\n')
            *to++ = '\\';
        *to++ = *pem == '\n' ? 'n' : *pem;
    }
    *to = '\0';
    return out;
}

/* With a Secret "cert". */
static void mesh_open(struct mesh *m, const char *yaml)
{
    static char all[32768], pem[X509_PEM_MAX], chain[2 * X509_PEM_MAX], key[2 * KEY_PEM_MAX];
    size_t len;
    struct party root = root_make("root"), leaf = leaf_make(ALICE, &root);
    assert_int_equal(x509_to_pem(&leaf.cert, pem, sizeof pem, &len), 0);
    (void)escape(pem, chain);
    assert_int_equal(key_to_pem(leaf.key, pem, sizeof pem, &len), 0);
    snprintf(all, sizeof all, "%s{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {weir.mesh/enrolled: 'true'}}}\n---\n"
                              "{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: shop}, type: kubernetes.io/tls, "
                              "stringData: {tls.crt: \"%s\", tls.key: \"%s\"}}",
             yaml, chain, escape(pem, key));
    party_done(&leaf);
    party_done(&root);
    *m = (struct mesh){.tables = {.n = 0}};
    object_store_init(&m->store);
    fixture_load(&m->store, all);
    problems_init(&m->problems);
    assert_int_equal(view_open(&m->view, &m->store, &fixture_settings), 0);
    m->gateway = object_store_get(&m->store, OBJECT_INGRESS, "shop", "edge");
    assert_non_null(m->gateway);
    assert_int_equal(ingress_tables(&m->view, m->gateway, &m->tables, &m->problems), 0);
}

static void mesh_close(struct mesh *m)
{
    gateway_tables_done(&m->tables);
    view_close(&m->view);
    object_store_done(&m->store);
    problems_done(&m->problems);
}

static const struct route_table *table(const struct mesh *m, const char *name)
{
    for (size_t i = 0; i < m->tables.n; i++)
        if (text_equal(m->tables.items[i].table->name, text_of(name)))
            return m->tables.items[i].table;
    return NULL;
}

/* The Service that the connection of a server's name is led to: "-": to none; "?": nothing has the name. */
static const char *led(const struct mesh *m, const char *name, const char *server)
{
    static char to[64];
    struct http_head head = {.path = TEXT("/"), .authority = text_of(server)};
    const struct route_request q = {.head = &head};
    struct route_choice c;
    const struct route_table *t = table(m, name);
    assert_non_null(t);
    if (!route_table_host(t, text_of(server)))
        return "?";
    if (route_table_choose(t, &q, &c) < 0 || c.route->action.kind != ROUTE_FORWARD || !c.backend)
        return "-";
    snprintf(to, sizeof to, "%.*s", (int)c.backend->cluster.len, c.backend->cluster.data);
    char *end = strstr(to, ".shop.svc");
    assert_non_null(end);
    *end = '\0';
    return to + strlen("outbound|70||");
}

static const char *of_listener(const struct mesh *m, size_t i)
{
    char said[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(said);
    const char *why = ingress_listener_refused(m->gateway, i, &out);
    return why ? why : "";
}

static void each_kind_has_a_table(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: tcp, port: 70, protocol: TCP, hostname: ignored.example}, "
                          "{name: pass, port: 443, protocol: TLS, hostname: '*.pass.example', " PASSES "}, "
                          "{name: end, port: 443, protocol: TLS, hostname: '*.end.example', " CERTIFICATE "}, "
                          "{name: https, port: 443, protocol: HTTPS, " CERTIFICATE "}")
                  ROUTE("TCPRoute", "a", "tcp", "") ROUTE("TLSRoute", "b", "pass", ", hostnames: [One.pass.example, x.example]")
                  ROUTE("TLSRoute", "c", "end", ", hostnames: [one.end.example]") ROUTE("TCPRoute", "d", "end", "")
                  HTTP("e", "https", "") SERVICE("a") SERVICE("b") SERVICE("c") SERVICE("d") SERVICE("e"));
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(of_listener(&m, i), "");
    assert_int_equal(m.tables.n, 4);
    assert_string_equal(led(&m, "gateway-tcp|70||shop/edge", ""), "a");
    assert_string_equal(led(&m, "gateway-passthrough|443||shop/edge", "one.pass.example"), "b");
    assert_string_equal(led(&m, "gateway-passthrough|443||shop/edge", "two.pass.example"), "-");
    assert_string_equal(led(&m, "gateway-passthrough|443||shop/edge", "x.example"), "?");
    assert_string_equal(led(&m, "gateway-passthrough|443||shop/edge", ""), "?");
    assert_string_equal(led(&m, "gateway-tls|443||shop/edge", "one.end.example"), "c");
    assert_string_equal(led(&m, "gateway-tls|443||shop/edge", "two.end.example"), "d");
    /* What passes, or is bytes, is no host of requests. */
    assert_string_equal(led(&m, "gateway|443||shop/edge", "shop.example"), "e");
    assert_string_equal(led(&m, "gateway|443||shop/edge", "one.pass.example"), "-");
    assert_string_equal(led(&m, "gateway|443||shop/edge", "two.end.example"), "-");
    mesh_close(&m);
}

/* Of listeners of different kinds, too, the most precise one has a name, whether a route is there or not. */
static void the_most_precise_listener_has_a_name(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: pass, port: 443, protocol: TLS, hostname: '*.example', " PASSES "}, "
                          "{name: https, port: 443, protocol: HTTPS, hostname: shop.example, " CERTIFICATE "}, "
                          "{name: none, port: 443, protocol: TLS, hostname: gone.example, tls: {certificateRefs: [{name: none}]}}")
                  ROUTE("TLSRoute", "b", "pass", ", hostnames: [a.example, shop.example, gone.example]") SERVICE("b"));
    assert_string_equal(led(&m, "gateway-passthrough|443||shop/edge", "a.example"), "b");
    assert_string_equal(led(&m, "gateway-passthrough|443||shop/edge", "shop.example"), "-");
    assert_null(table(&m, "gateway-tls|443||shop/edge")); /* its certificate is not there */
    mesh_close(&m);
}

/* Both kinds of one listener by age, and a route that can't be honoured refuses what it takes. */
static void what_cannot_be_led_is_refused(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: tcp, port: 70, protocol: TCP}, {name: udp, port: 53, protocol: UDP}")
                  ROUTE("TCPRoute", "a", "tcp", "") ROUTE("TCPRoute", "b", "tcp", "") SERVICE("b"));
    /* "a" is the older one by its name, and its Service is not there: no connection falls to "b". */
    const struct route_table *t = table(&m, "gateway-tcp|70||shop/edge");
    assert_non_null(t);
    assert_true(text_ends_with(t->hosts[0].routes[0].name, TEXT("a/0")));
    assert_string_equal(of_listener(&m, 1), "UnsupportedProtocol");
    assert_int_equal(m.tables.n, 1);
    mesh_close(&m);
}

static void what_conflicts(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: a, port: 1, protocol: TCP}, {name: b, port: 1, protocol: TCP, hostname: x.example}, "
                          "{name: c, port: 2, protocol: TCP}, {name: d, port: 2, protocol: TLS, " PASSES "}, "
                          "{name: e, port: 3, protocol: HTTPS, hostname: x.example, " CERTIFICATE "}, "
                          "{name: f, port: 3, protocol: TLS, hostname: x.example, " PASSES "}, "
                          "{name: g, port: 4, protocol: TLS, tls: {mode: Maybe}}, {name: h, port: 5, protocol: TLS}, "
                          "{name: i, port: 6, protocol: TCP, " PASSES "}"));
    static const char *const reasons[] = {"HostnameConflict", "HostnameConflict", "ProtocolConflict",
                                          "ProtocolConflict", "HostnameConflict", "HostnameConflict",
                                          "UnsupportedValue", "UnsupportedValue", "UnsupportedValue"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        assert_string_equal(of_listener(&m, i), reasons[i]);
    assert_int_equal(m.tables.n, 0);
    mesh_close(&m);
}

static const char *refused(const struct mesh *m, enum object_kind kind, const char *name)
{
    char said[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(said);
    const struct object *o = object_store_get(&m->store, kind, "shop", name);
    const char *why = ingress_parent_refused(&m->view, o, &o->route.parents[0], &out);
    return why ? why : "";
}

static void which_routes_a_listener_takes(void **state)
{
    struct mesh m;
    struct ingress_status s;
    (void)state;
    mesh_open(&m, GATEWAY("{name: tcp, port: 70, protocol: TCP}, {name: pass, port: 443, protocol: TLS, hostname: '*.example', " PASSES "}, "
                          "{name: end, port: 444, protocol: TLS, " CERTIFICATE ", allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: HTTPRoute}]}}, "
                          "{name: http, port: 80, protocol: HTTP}")
                  ROUTE("TCPRoute", "a", "tcp", "") ROUTE("TCPRoute", "b", "pass", "") ROUTE("TCPRoute", "c", "end", "")
                  ROUTE("TCPRoute", "d", "http", "") ROUTE("TLSRoute", "a", "tcp", ", hostnames: [a.example]")
                  ROUTE("TLSRoute", "b", "pass", ", hostnames: [a.example]") ROUTE("TLSRoute", "c", "end", ", hostnames: [a.example]")
                  ROUTE("TLSRoute", "d", "pass", ", hostnames: [a.test]") HTTP("a", "pass", ""));
    assert_string_equal(refused(&m, OBJECT_TCP_ROUTE, "a"), "");
    assert_string_equal(refused(&m, OBJECT_TCP_ROUTE, "b"), "NotAllowedByListeners");
    assert_string_equal(refused(&m, OBJECT_TCP_ROUTE, "c"), "");
    assert_string_equal(refused(&m, OBJECT_TCP_ROUTE, "d"), "NotAllowedByListeners");
    assert_string_equal(refused(&m, OBJECT_TLS_ROUTE, "a"), "NotAllowedByListeners");
    assert_string_equal(refused(&m, OBJECT_TLS_ROUTE, "b"), "");
    assert_string_equal(refused(&m, OBJECT_TLS_ROUTE, "c"), "NotAllowedByListeners");
    assert_string_equal(refused(&m, OBJECT_TLS_ROUTE, "d"), "NoMatchingListenerHostname");
    assert_string_equal(refused(&m, OBJECT_HTTP_ROUTE, "a"), "NotAllowedByListeners");
    assert_int_equal(ingress_status(&m.view, m.gateway, &s), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(s.listeners[i].n_routes, 1);
    assert_int_equal(s.listeners[3].n_routes, 0);
    assert_int_equal(s.listeners[0].listener->kinds, INGRESS_TCP_ROUTES);
    assert_int_equal(s.listeners[1].listener->kinds, INGRESS_TLS_ROUTES);
    assert_int_equal(s.listeners[2].listener->kinds, INGRESS_TCP_ROUTES);
    assert_string_equal(s.listeners[1].resolved.reason, "ResolvedRefs");
    assert_string_equal(s.listeners[2].resolved.reason, "InvalidRouteKinds");
    assert_string_equal(s.listeners[2].resolved.message,
                        "allowedRoutes.kinds: to a listener of protocol TLS can be attached: TLSRoute TCPRoute");
    free(s.listeners);
    mesh_close(&m);
}

/* Keys go to nodes only for what ends there, and with what is in it. */
static void what_its_nodes_are_told(void **state)
{
    struct gateway_certificates told;
    char why[XDS_WHY_MAX];
    struct resource *r;
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY("{name: end, port: 443, protocol: TLS, hostname: a.example, " CERTIFICATE "}, "
                          "{name: https, port: 443, protocol: HTTPS, " CERTIFICATE "}, "
                          "{name: pass, port: 443, protocol: TLS, hostname: b.example, tls: {mode: Passthrough, certificateRefs: [{name: cert}]}}") POD);
    assert_int_equal(ingress_certificates(&m.view, m.gateway, &r), 0);
    assert_int_equal(xds_gateway_decode(r->body, r->body_len, &told, why), 0);
    assert_int_equal(told.n, 2);
    assert_true(told.items[0].streams);
    assert_false(told.items[1].streams);
    gateway_certificates_done(&told);
    resource_free(r);
    mesh_close(&m);
    mesh_open(&m, GATEWAY("{name: pass, port: 443, protocol: TLS, " PASSES "}, {name: tcp, port: 70, protocol: TCP}") POD);
    assert_int_equal(ingress_certificates(&m.view, m.gateway, &r), 0);
    assert_null(r);
    mesh_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_a_table),
        cmocka_unit_test(the_most_precise_listener_has_a_name),
        cmocka_unit_test(what_cannot_be_led_is_refused),
        cmocka_unit_test(what_conflicts),
        cmocka_unit_test(which_routes_a_listener_takes),
        cmocka_unit_test(what_its_nodes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
