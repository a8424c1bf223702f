/* Sidecars, and what the mesh says where there is none: what a workload is told to see. */
#include "controller/translate/from_pod.h"
#include "controller/translate/from_service.h"
#include "controller/translate/from_sidecar.h"
#include "controller/translate/traffic_host.h"
#include "controller/translate/translate.h"
#include "shared/mesh/egress.h"
#include "tests/unit/controller/fixture.h"
#include <stdio.h>

#define SIDECAR(ns, name, more, spec)                                                              \
    "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: " name ", namespace: " ns  \
    more "}, spec: {" spec "}}\n---\n"
#define AT(day) ", creationTimestamp: '2026-01-0" day "T00:00:00Z'"
#define MESH                                                                                       \
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {weir.mesh/enrolled: "         \
    "'true'}}}\n---\n"                                                                             \
    "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, "       \
    "status: {podIP: 10.0.0.1}}\n---\n"

struct mesh {
    struct object_store store;
    struct translate_settings settings;
    struct view view;
    struct problems problems;
};

static void mesh_open(struct mesh *m, const char *yaml, bool registry_only)
{
    m->settings = fixture_settings;
    m->settings.registry_only = registry_only;
    object_store_init(&m->store);
    problems_init(&m->problems);
    fixture_load(&m->store, yaml);
    assert_int_equal(view_open(&m->view, &m->store, &m->settings), 0);
}

static void mesh_close(struct mesh *m)
{
    view_close(&m->view);
    problems_done(&m->problems);
    object_store_done(&m->store);
}

/* "all", or what shop/web sees; and what becomes of the rest. */
static void assert_sees(const char *yaml, bool registry_only, const char *wanted)
{
    char text[1024] = "";
    struct text_out out = TEXT_OUT(text);
    struct mesh m;
    struct workload *w;
    mesh_open(&m, yaml, registry_only);
    const struct object *pod = object_store_get(&m.store, OBJECT_POD, "shop", "web");
    assert_int_equal(from_pod(&m.view, pod, &w, &m.problems), 0);
    assert_non_null(w);
    for (size_t i = 0; i < w->n_egress; i++)
        text_printf(&out, "%s ", w->egress[i]);
    text_puts(&out, w->n_egress == 0 ? "all " : "");
    text_puts(&out, w->registry_only ? "only" : "any");
    assert_string_equal(text, wanted);
    workload_free(w);
    mesh_close(&m);
}

static void the_meshs_own_mode(void **state)
{
    (void)state;
    assert_sees(MESH, false, "all any");
    assert_sees(MESH, true, "all only");
    assert_sees(MESH SIDECAR("shop", "s", "", ""), true, "all only");
    assert_sees(MESH SIDECAR("shop", "s", "", "outboundTrafficPolicy: {mode: ALLOW_ANY}"), true, "all any");
    assert_sees(MESH SIDECAR("shop", "s", "", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"), false, "all only");
    assert_sees(MESH SIDECAR("shop", "s", "", "outboundTrafficPolicy: {}"), false, "all only");
    assert_sees(MESH SIDECAR("bank", "s", "", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"), false, "all any");
}

/* Its own namespace's that selects it, its own namespace's, the mesh's; the oldest of several; all of it is one's. */
static void which_one_counts(void **state)
{
#define ROOT SIDECAR("weir-system", "r", "", "egress: [{hosts: ['*/root']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
#define WIDE SIDECAR("shop", "w", AT("2"), "egress: [{hosts: ['*/wide']}]")
#define OLD  SIDECAR("shop", "x", AT("1"), "egress: [{hosts: ['*/old']}]")
#define OWN  SIDECAR("shop", "o", AT("3"), "workloadSelector: {labels: {app: web}}, egress: [{hosts: ['*/own']}]")
#define ELSE SIDECAR("shop", "e", AT("1"), "workloadSelector: {labels: {app: no}}, egress: [{hosts: ['*/else']}]")
    (void)state;
    assert_sees(MESH ROOT, false, "*/root only");
    assert_sees(MESH ROOT WIDE ELSE, false, "*/wide any");
    assert_sees(MESH ROOT WIDE OLD, false, "*/old any");
    assert_sees(MESH ROOT WIDE OLD OWN ELSE, false, "*/own any");
    assert_sees(MESH SIDECAR("weir-system", "r", "", "workloadSelector: {labels: {app: web}}, egress: [{hosts: "
                                                   "['*/root']}]"), false, "all any");
}

static void hosts(void **state)
{
    (void)state;
    assert_sees(MESH SIDECAR("shop", "s", "",
                             "egress: [{port: {number: 443, protocol: TLS, name: tls}, hosts: ['./*', "
                             "'~/*']}, {bind: 127.0.0.1, captureMode: NONE, hosts: ['*/*.Example.com', "
                             "bank/api.bank.svc.cluster.local]}]"),
                false, "shop/*:443 ~/*:443 */*.example.com bank/api.bank.svc.cluster.local any");
}

/* What is there to hold back is refused as a whole where it can't be read. */
static void what_is_refused(void **state)
{
    static const struct {
        const char *spec, *why;
    } cases[] = {
        {"egress: [{hosts: [web]}]", "spec.egress[0].hosts[0]: must be NAMESPACE/HOST"},
        {"egress: [{hosts: ['a b/*']}]", "'a b/*' is no NAMESPACE/HOST"},
        {"egress: [{hosts: ['*/a b']}]", "'*/a b' is no NAMESPACE/HOST"},
        {"egress: [{hosts: []}]", "has no hosts"},
        {"egress: [{port: {name: x}, hosts: ['*/*']}]", "number is missing"},
        {"egress: [{hosts: ['*/*'], tls: {}}]", "is not known here"},
        {"egress: [x]", "must be an object"},
        {"outboundTrafficPolicy: {mode: SOME}", "neither REGISTRY_ONLY nor ALLOW_ANY"},
        {"outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {}}", "is not known here"},
        {"workloadSelector: {matchLabels: {a: b}}", "is not known here"},
        {"nothing: 1", "is not known here"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[1024];
        struct manifest m;
        struct problems problems;
        problems_init(&problems);
        snprintf(yaml, sizeof yaml, SIDECAR("shop", "s", "", "%s"), cases[i].spec);
        assert_int_equal(manifest_read("t.yaml", text_of(yaml), &m, &problems), 0);
        assert_int_equal(m.n_objects, 0);
        assert_int_equal(problems.n, 1);
        char said[1024];
        struct text_out out = TEXT_OUT(said);
        problem_print(&problems.items[0], &out);
        if (!strstr(said, cases[i].why))
            fail_msg("%s: %s", cases[i].spec, said);
        problems_done(&problems);
        manifest_done(&m);
    }
}

static void what_is_told(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, WIDE OLD SIDECAR("shop", "z", AT("4"), "workloadSelector: {labels: {a: b}}, ingress: [{}]"), false);
    struct view_range all = view_all(&m.view, OBJECT_SIDECAR);
    for (size_t i = 0; i < all.n; i++)
        sidecar_warn(&m.view, all.items[i], &m.problems);
    assert_int_equal(m.problems.n, 2);
    assert_string_equal(m.problems.items[0].object, "Sidecar shop/w");
    assert_non_null(strstr(m.problems.items[0].message, "the oldest counts, x"));
    assert_int_equal(m.problems.items[0].severity, PROBLEM_ERROR);
    assert_string_equal(m.problems.items[1].object, "Sidecar shop/z");
    assert_non_null(strstr(m.problems.items[1].message, "spec.ingress: counts for nothing"));
    mesh_close(&m);
}

/* By whichever of its labels it is selected. */
static void the_oldest_of_all_that_select_counts(void **state)
{
#define WEB "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {weir.mesh/enrolled: 'true'}}}\n---\n"  \
    "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web, tier: b, z: z}}, status: "   \
    "{podIP: 10.0.0.1}}\n---\n"
#define FOR(name, day, labels)                                                                     \
    SIDECAR("shop", name, AT(day), "workloadSelector: {labels: {" labels "}}, egress: [{hosts: ['*/" name "']}]")
    (void)state;
    assert_sees(WEB FOR("a", "3", "app: web") FOR("b", "2", "tier: b") FOR("c", "1", "tier: b, z: y"), false, "*/b any");
    assert_sees(WEB FOR("a", "3", "app: web") FOR("b", "4", "tier: b"), false, "*/a any");
    assert_sees(WEB FOR("b", "2", "tier: b, z: z, app: web") FOR("a", "3", "app: web"), false, "*/b any");
    assert_sees(WEB FOR("b", "2", "tier: b, no: z"), false, "all any");
}

static void many_cost_no_more(void **state)
{
    enum { MANY = 4000 };
    struct text_heap yaml;
    struct mesh m;
    (void)state;
    text_heap_init(&yaml, 8 << 20);
    text_heap_puts(&yaml, MESH);
    for (unsigned i = 0; i < MANY; i++)
        text_heap_printf(&yaml, "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s%u, namespace: shop}, "
                                "spec: {workloadSelector: {labels: {n: '%u'}}}}\n---\n", i, i);
    mesh_open(&m, yaml.data, false);
    text_heap_done(&yaml);
    assert_null(sidecar_of(&m.view, "shop", &object_store_get(&m.store, OBJECT_POD, "shop", "web")->labels));
    /* What is looked at for one pod: a group for each of its labels, and never all. */
    for (size_t i = 0, n = 0; i < MANY; i++) {
        const struct map_entry *e = map_next(&m.view.sidecars_of.groups, &n);
        assert_non_null(e);
        assert_int_equal(((const struct object_group *)e->value)->n, 1);
    }
    mesh_close(&m);
}

/* ---- exportTo ------------------------------------------------------------------------------- */

#define ENTRY(ns, day, to)                                                                         \
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: " ns     \
    AT(day) "}, spec: {hosts: [x.example], resolution: STATIC, ports: [{number: 80, name: http}], "   \
    "endpoints: [{address: 192.0.2.7}], exportTo: " to "}}\n---\n"

static void who_is_told_of_an_entry(void **state)
{
    struct mesh m;
    struct service *s;
    (void)state;
    mesh_open(&m, ENTRY("shop", "1", "['.', bank]"), false);
    const struct object *o = traffic_by_host(&m.view, TEXT("x.example"));
    assert_int_equal(from_service(&m.view, o, &s), 0);
    assert_int_equal(s->n_exported, 2);
    assert_string_equal(s->exported[0], "shop");
    assert_string_equal(s->exported[1], "bank");
    assert_ptr_equal(traffic_service(&m.view, "bank", "x.example"), o);
    assert_null(traffic_service(&m.view, "other", "x.example"));
    service_free(s);
    mesh_close(&m);
}

/* By the annotation of a Service; a word that can't be read tells nobody. */
static void who_is_told_of_a_service(void **state)
{
    static const struct {
        const char *says, *told; /* of shop, bank and other */
        const char *flaw;
    } cases[] = {
        {"'*'", "shop bank other ", NULL},        {"''", "shop bank other ", NULL},
        {"'.'", "shop ", NULL},                   {"' . , bank'", "shop bank ", NULL},
        {"'bank,*'", "shop bank other ", NULL},   {"'~'", "", NULL},
        {"'b_nk'", "", "'b_nk' is none of"},      {"'bank,'", "bank ", "'' is none of"},
        {"'~,other'", "other ", NULL},
    };
    static const char *const namespaces[] = {"shop", "bank", "other"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[1024], told[64] = "";
        struct text_out out = TEXT_OUT(told);
        struct resources all = {0};
        struct service *s;
        struct mesh m;
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, annotations: "
                 "{networking.istio.io/exportTo: %s}}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}\n", cases[i].says);
        mesh_open(&m, yaml, false);
        const struct object *o = object_store_get(&m.store, OBJECT_SERVICE, "shop", "web");
        assert_int_equal(from_service(&m.view, o, &s), 0);
        for (size_t k = 0; k < 3; k++)
            if (service_is_told_to(s, text_of(namespaces[k])))
                text_printf(&out, "%s ", namespaces[k]);
        assert_string_equal(told, cases[i].told);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(traffic_service(&m.view, namespaces[k], "web.shop.svc.cluster.local") != NULL,
                             strstr(told, namespaces[k]) != NULL);
        assert_int_equal(translate_object(&m.view, o, &all, &m.problems), 0);
        assert_int_equal(m.problems.n, cases[i].flaw != NULL);
        if (cases[i].flaw) {
            assert_non_null(strstr(m.problems.items[0].message, cases[i].flaw));
            assert_string_equal(m.problems.items[0].field, "metadata.annotations[networking.istio.io/exportTo]");
        }
        resources_done(&all);
        service_free(s);
        mesh_close(&m);
    }
}

/* What somebody said of a host for few nobody else leads elsewhere later: not even for all. */
static void who_was_first_has_the_host(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, ENTRY("a", "1", "['.']") ENTRY("b", "2", "['*']") ENTRY("c", "3", "['*']"), false);
    assert_string_equal(traffic_service(&m.view, "a", "x.example")->ns, "a");
    assert_null(traffic_service(&m.view, "b", "x.example"));
    assert_null(traffic_service(&m.view, "other", "x.example"));
    mesh_close(&m);
    mesh_open(&m, ENTRY("a", "2", "['.']") ENTRY("b", "1", "['*']"), false);
    assert_string_equal(traffic_service(&m.view, "a", "x.example")->ns, "b");
    mesh_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_meshs_own_mode),
        cmocka_unit_test(which_one_counts),
        cmocka_unit_test(hosts),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(what_is_told),
        cmocka_unit_test(who_is_told_of_an_entry),
        cmocka_unit_test(who_is_told_of_a_service),
        cmocka_unit_test(who_was_first_has_the_host),
        cmocka_unit_test(the_oldest_of_all_that_select_counts),
        cmocka_unit_test(many_cost_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
