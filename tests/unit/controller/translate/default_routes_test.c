/* What consumers of Envoy's resources get of a Service that nobody wrote routes for. */
#include "controller/translate/default_routes.h"
#include "shared/xds/routing.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <errno.h>
#include <stdio.h>

enum { TEXT_MAX = 4096 };

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

static void put_endpoints(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX], printed[ADDR_TEXT_MAX];
    struct endpoints *e;
    if (xds_endpoints_decode(r->body, r->body_len, &e, why) < 0)
        fail_msg("%s: %s", r->name, why);
    assert_true(text_equal(e->name, text_of(r->name)));
    for (size_t i = 0; i < e->n_groups; i++) {
        const struct endpoint_group *g = &e->groups[i];
        text_printf(out, " [%s*%u", g->zone.data, g->weight);
        for (size_t j = 0; j < g->n_endpoints; j++)
            text_printf(out, " %s", addr_print(&g->endpoints[j].addr, printed));
        text_puts(out, "]");
    }
    endpoints_free(e);
}

static void put_cluster(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX];
    struct cluster *c;
    if (xds_cluster_decode(r->body, r->body_len, &c, why) < 0)
        fail_msg("%s: %s", r->name, why);
    assert_int_equal(c->kind, CLUSTER_EDS);
    text_printf(out, " of %s%s", c->eds_name.data,
                c->protocol == UPSTREAM_HTTP2 ? " by HTTP/2" : "");
    cluster_free(c);
}

static void put_routes(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX];
    struct route_table *t;
    if (xds_routes_decode(r->body, r->body_len, &t, why) < 0)
        fail_msg("%s: %s", r->name, why);
    const struct route_forward *f = &t->hosts->routes->action.forward;
    text_printf(out, " %s: %s%s -> %s", t->hosts->name.data, t->hosts->domains->data,
                t->hosts->routes->match.path.value.data, f->backends->cluster.data);
    route_table_unref(t);
}

static void put_listener(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX];
    struct api_listener l;
    if (xds_listener_decode(r->body, r->body_len, &l, why) < 0)
        fail_msg("%s: %s", r->name, why);
    text_printf(out, " %s", l.routes);
    api_listener_done(&l);
}

/* Lines of this type. */
static const char *default_of(const struct mesh *m, const char *service, enum xds_type type)
{
    static char text[TEXT_MAX];
    static void (*const puts[XDS_TYPE_COUNT])(struct text_out *out, const struct resource *r) = {
        [XDS_ENDPOINTS] = put_endpoints,
        [XDS_CLUSTER] = put_cluster,
        [XDS_ROUTES] = put_routes,
        [XDS_LISTENER] = put_listener,
    };
    struct text_out out = TEXT_OUT(text);
    struct resources all = {0};
    const struct object *o = object_store_get(&m->store, OBJECT_SERVICE, "n", service);
    assert_non_null(o);
    assert_int_equal(default_routes(&m->view, o, &all), 0);
    text[0] = '\0';
    for (size_t i = 0; i < all.n; i++) {
        if (all.items[i]->type != type)
            continue;
        text_puts(&out, all.items[i]->name);
        puts[type](&out, all.items[i]);
        text_puts(&out, "\n");
    }
    assert_false(out.overflow);
    resources_done(&all);
    return text;
}

/* ---- Manifests ------------------------------------------------------------------------------ */

#define NODE(name, zone)                                                                           \
    "{apiVersion: v1, kind: Node, metadata: {name: " name                                          \
    ", labels: {topology.kubernetes.io/zone: " zone "}}}\n---\n"
#define POD(name, node, ip, port, more)                                                            \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name                                           \
    ", namespace: n, labels: {app: web}}, spec: {nodeName: " node more                             \
    ", containers: [{ports: [" port "]}]}, status: {phase: Running, podIP: " ip "}}\n---\n"
#define HTTP(port) "{name: http, containerPort: " port "}"
#define SERVICE(name, spec)                                                                        \
    "{apiVersion: v1, kind: Service, metadata: {name: " name                                       \
    ", namespace: n}, spec: {" spec "}}\n---\n"
#define SLICE(service, ports, endpoints)                                                           \
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: " service             \
    "-x, namespace: n, labels: {kubernetes.io/service-name: " service                              \
    "}}, addressType: IPv4, ports: [" ports "], endpoints: [" endpoints "]}\n---\n"
#define TO_POD(name, ip)                                                                           \
    "{addresses: [" ip "], targetRef: {kind: Pod, name: " name ", namespace: n}, conditions: "     \
    "{ready: true}}"

/* A pod with a named port of its own, one without it, one that is not ready; two on their host's
 * network with the same port; and one Service after the other. */
static const char manifests[] =
    NODE("a", "z1") NODE("b", "z2") POD("p1", "b", "10.0.0.1", HTTP("8080"), "")
        POD("p2", "a", "10.0.0.2", HTTP("8081"), "") POD("p3", "a", "10.0.0.3", "", "")
            POD("h1", "a", "192.0.2.9", HTTP("8080"), ", hostNetwork: true")
                POD("h2", "a", "192.0.2.9", HTTP("8080"), ", hostNetwork: true")
    "{apiVersion: v1, kind: Pod, metadata: {name: p4, namespace: n, labels: {app: web}}, spec: "
    "{nodeName: b, containers: [{ports: [{name: http, containerPort: 8080}]}]}, status: {phase: "
    "Running, podIP: 10.0.0.4, conditions: [{type: Ready, status: 'False'}]}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: p5, namespace: n, labels: {app: web}}, status: "
    "{phase: Pending}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: p6, namespace: n, labels: {app: other}}, spec: "
    "{nodeName: a}, status: {phase: Running, podIP: 10.0.0.6}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: m, labels: {app: web}}, spec: "
    "{nodeName: a}, status: {phase: Running, podIP: 10.0.1.1}}\n---\n"
    SERVICE("web", "selector: {app: web}, ports: [{name: h, port: 80, targetPort: http}, "
                   "{name: g, port: 81, targetPort: 9000, appProtocol: grpc}]")
    SLICE("web", "{name: h, port: 7777}", TO_POD("p1", "10.0.0.1") ", " TO_POD("p6", "10.0.0.6")
                  ", {addresses: [10.0.1.1], targetRef: {kind: Pod, name: p1, namespace: m}}")
    SERVICE("all", "selector: {app: web}, publishNotReadyAddresses: true, ports: [{port: 80}]")
    SERVICE("bare", "ports: [{port: 80}]")
    SLICE("bare", "{port: 8000}", TO_POD("p6", "10.0.0.6") ", {addresses: [192.0.2.1]}, "
                                  "{addresses: [192.0.2.2], conditions: {ready: false}}")
    SERVICE("none", "selector: {app: nothing}, ports: [{port: 80}]")
    SERVICE("alias", "type: ExternalName, externalName: a.example")
    SERVICE("headless", "clusterIP: None, selector: {app: web}");

#define HOST(name) name ".n.svc.cluster.local"

/* ---- Cases ---------------------------------------------------------------------------------- */

static void endpoints(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, manifests);
    /* p1 serves by the port that the selector gives it, not by the slice's; a selector takes none of
     * another namespace. */
    assert_string_equal(default_of(&m, "web", XDS_ENDPOINTS),
                        "outbound|80||" HOST("web") " [z1*4 10.0.1.1:7777 192.0.2.9:8080 "
                                                    "10.0.0.2:8081 10.0.0.6:7777] [z2*1 "
                                                    "10.0.0.1:8080]\n"
                        "outbound|81||" HOST("web") " [z1*3 192.0.2.9:9000 10.0.0.2:9000 "
                                                    "10.0.0.3:9000] [z2*1 10.0.0.1:9000]\n");
    assert_string_equal(default_of(&m, "all", XDS_ENDPOINTS),
                        "outbound|80||" HOST("all") " [z1*3 192.0.2.9:80 10.0.0.2:80 10.0.0.3:80] "
                                                    "[z2*2 10.0.0.1:80 10.0.0.4:80]\n");
    assert_string_equal(default_of(&m, "bare", XDS_ENDPOINTS),
                        "outbound|80||" HOST("bare") " [*1 192.0.2.1:8000] [z1*1 10.0.0.6:8000]\n");
    assert_string_equal(default_of(&m, "none", XDS_ENDPOINTS), "outbound|80||" HOST("none") "\n");
    assert_string_equal(default_of(&m, "alias", XDS_ENDPOINTS), "");
    assert_string_equal(default_of(&m, "headless", XDS_ENDPOINTS), "");
    mesh_close(&m);
}

static void the_way_there(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, manifests);
    assert_string_equal(default_of(&m, "web", XDS_CLUSTER),
                        "outbound|80||" HOST("web") " of outbound|80||" HOST("web") "\n"
                        "outbound|81||" HOST("web") " of outbound|81||" HOST("web") " by HTTP/2\n");
    assert_string_equal(default_of(&m, "web", XDS_ROUTES),
                        "outbound|80||" HOST("web") " " HOST("web") ":80: */ -> outbound|80||" HOST(
                            "web") "\n"
                        "outbound|81||" HOST("web") " " HOST("web") ":81: */ -> outbound|81||" HOST(
                            "web") "\n");
    assert_string_equal(default_of(&m, "web", XDS_LISTENER),
                        HOST("web") ":80 outbound|80||" HOST("web") "\n" HOST(
                            "web") ":81 outbound|81||" HOST("web") "\n");
    assert_string_equal(default_of(&m, "alias", XDS_LISTENER), "");
    mesh_close(&m);
}

static void no_memory(void **state)
{
    bool failed = true;
    long n = 0;
    struct mesh m;
    (void)state;
    mesh_open(&m, manifests);
    const struct object *web = object_store_get(&m.store, OBJECT_SERVICE, "n", "web");
    const struct object *bare = object_store_get(&m.store, OBJECT_SERVICE, "n", "bare");
    for (; failed && n < 5000; n++) {
        struct resources all = {0};
        alloc_fail_at(n);
        int err = default_routes(&m.view, web, &all);
        if (err == 0)
            err = default_routes(&m.view, bare, &all);
        failed = alloc_failed();
        assert_int_equal(err, failed ? -ENOMEM : 0);
        if (!failed)
            assert_int_equal(all.n, 3 * 4);
        resources_done(&all);
    }
    assert_false(failed);
    assert_true(n > 100);
    mesh_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(endpoints), cmocka_unit_test(the_way_there),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
