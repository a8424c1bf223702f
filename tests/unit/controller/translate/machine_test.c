/*
 * WorkloadEntries: what node proxies read of them, whose an address is; and who may say what of another namespace's
 * pods.
 */
#include "controller/translate/from_pod.h"
#include "controller/translate/translate.h"
#include "tests/unit/controller/translate/entry_text.h"
#include <stdio.h>

#define MACHINE(name, more, spec)                                                                  \
    "{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: " name              \
    ", namespace: shop" more "}, spec: {" spec "}}\n---\n"
#define DB "hosts: [db.example], addresses: [192.0.2.1], workloadSelector: {labels: {app: db}}"

/* Selected as pods are, with ports, weight and place of its own. */
static void machines_are_selected(void **state)
{
    (void)state;
    assert_all(ENTRY("db", "", HTTP STATIC DB)
                   MACHINE("vm", ", labels: {app: no, v: '1'}",
                           "address: 192.0.2.7, labels: {app: db}, ports: {http: 8080}, locality: "
                           "r/z/s, weight: 3, serviceAccount: db, network: n")
                       MACHINE("other", "", "address: 192.0.2.8, labels: {app: x}")
                           MACHINE("bad", "", "address: db.example, labels: {app: db}"),
               "service shop/db.example (db.example) 192.0.2.1 80->80/1\n"
               "endpoints outbound|80||db.example 192.0.2.7:8080*3\n"
               "workload other 192.0.2.8*1\n"
               "workload vm 192.0.2.7*3 in r/z/s shop/db.example 80->8080/0\n"
               "WorkloadEntry shop/bad: counts for nothing: spec.address: 'db.example' is no IP "
               "address\n"
               "WorkloadEntry shop/vm: spec.network: counts for nothing: no way into other networks is "
               "known, so the machine must be reachable by its address\n");
}

/* An address is a pod's, a Service's, or the oldest entry's: nobody becomes another by writing it down. */
static void a_machine_takes_no_address(void **state)
{
    (void)state;
    assert_all(ENTRY("db", "", HTTP STATIC DB) POD("p", "10.0.0.1", "app: p")
                   MACHINE("a", AT("1"), "address: 10.0.0.1, labels: {app: db}")
                       MACHINE("b", AT("2"), "address: 192.0.2.7, labels: {app: db}")
                           MACHINE("c", AT("1"), "address: 192.0.2.7, labels: {app: db}")
                               MACHINE("d", AT("1"), "address: 10.96.0.1, labels: {app: db}")
               "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}, spec: {clusterIP: "
               "10.96.0.1}}",
               "service n/s.n.svc.cluster.local (s) 10.96.0.1\n"
               "service shop/db.example (db.example) 192.0.2.1 80->80/1\n"
               "endpoints outbound|80||db.example 192.0.2.7:80*1\n"
               "workload c 192.0.2.7*1 shop/db.example 80->80/0\n"
               "workload p 10.0.0.1*1\n"
               "WorkloadEntry shop/a: spec.address: counts for nothing: a pod, a Service, an "
               "older entry or another namespace's EndpointSlice has it\n"
               "WorkloadEntry shop/b: spec.address: counts for nothing: a pod, a Service, an "
               "older entry or another namespace's EndpointSlice has it\n"
               "WorkloadEntry shop/d: spec.address: counts for nothing: a pod, a Service, an "
               "older entry or another namespace's EndpointSlice has it\n");
}

/* It speaks the mesh's TLS where it says so, as nobody else's identity. */
static void a_machine_in_the_mesh(void **state)
{
    struct object_store store;
    struct resources all = {0};
    struct problems problems;
    struct workload *w = NULL;
    struct service *s = NULL;
    char why[XDS_WHY_MAX];
    (void)state;
    object_store_init(&store);
    problems_init(&problems);
    fixture_load(&store, MACHINE("vm", "", "address: 192.0.2.7, serviceAccount: db, labels: "
                                           "{networking.istio.io/tunnel: http}"));
    assert_int_equal(translate(&store, &fixture_settings, &all, &problems), 0);
    assert_int_equal(all.n, 1);
    assert_string_equal(all.items[0]->name,
                        "Kubernetes/networking.istio.io/WorkloadEntry/shop/vm");
    assert_int_equal(xds_address_decode(all.items[0]->body, all.items[0]->body_len, &w, &s, why),
                     0);
    assert_int_equal(w->tunnel, TUNNEL_HBONE);
    assert_string_equal(w->service_account, "db");
    assert_string_equal(w->ns, "shop");
    assert_true(object_store_remove(&store, OBJECT_WORKLOAD_ENTRY, "shop", "vm"));
    assert_null(object_store_get(&store, OBJECT_POD, "shop", "vm/machine"));
    workload_free(w);
    resources_done(&all);
    problems_done(&problems);
    object_store_done(&store);
}

/* Endpoints of others, before its own: an address stays with whom it was, and the API server's is not asked for by
 * mTLS. */
static void a_machine_takes_no_endpoint(void **state)
{
    (void)state;
    assert_all("{apiVersion: v1, kind: Service, metadata: {name: api, namespace: default}, spec: {clusterIP: "
               "10.96.0.1, ports: [{port: 443}]}}\n---\n"
               "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: api, namespace: default, "
               "labels: {kubernetes.io/service-name: api}}, addressType: IPv4, ports: [{port: 6443}], endpoints: "
               "[{addresses: [192.0.2.7]}]}\n---\n"
               "{apiVersion: v1, kind: Service, metadata: {name: own, namespace: shop}, spec: {clusterIP: "
               "10.96.0.2, ports: [{port: 443}]}}\n---\n"
               "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: own, namespace: shop, "
               "labels: {kubernetes.io/service-name: own}}, addressType: IPv4, ports: [{port: 6443}], endpoints: "
               "[{addresses: [192.0.2.8]}]}\n---\n"
               MACHINE("a", "", "address: 192.0.2.7, labels: {networking.istio.io/tunnel: http}")
               MACHINE("b", "", "address: 192.0.2.8, labels: {networking.istio.io/tunnel: http}"),
               "service default/api.default.svc.cluster.local (api) 10.96.0.1 443->443/0\n"
               "endpoints outbound|443||api.default.svc.cluster.local 192.0.2.7:6443*1\n"
               "service shop/own.shop.svc.cluster.local (own) 10.96.0.2 443->443/0\n"
               "endpoints outbound|443||own.shop.svc.cluster.local 192.0.2.8:6443*1\n"
               "workload b 192.0.2.8*1 shop/own.shop.svc.cluster.local 443->6443/0\n"
               "workload api 192.0.2.7*1 default/api.default.svc.cluster.local 443->6443/0\n"
               "WorkloadEntry shop/a: spec.address: counts for nothing: a pod, a Service, an older entry or "
               "another namespace's EndpointSlice has it\n");
}

#define TOLD(name)                                                                                 \
    "WorkloadEntry shop/" name ": spec.address: counts for nothing: a pod, a Service, an older "   \
    "entry or another namespace's EndpointSlice has it\n"

/* What another namespace's entry called before is called as it was; a younger one has an endpoint that is the machine. */
static void a_machine_takes_no_endpoint_of_an_older_entry(void **state)
{
    static const char other[] =
        "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: bank" AT("2")
        "}, spec: {hosts: [db.example], addresses: [192.0.2.1], resolution: STATIC, ports: [{number: 80, name: db}], "
        "endpoints: [{address: 192.0.2.7}, {address: 192.0.2.8}]}}\n---\n";
    char yaml[4096];
    (void)state;
    snprintf(yaml, sizeof yaml, "%s%s", other,
             MACHINE("old", AT("1"), "address: 192.0.2.7, ports: {db: 9999}")
             MACHINE("young", AT("3"), "address: 192.0.2.8, ports: {db: 9999}"));
    assert_all(yaml,
               "service bank/db.example (db.example) 192.0.2.1 80->80/0\n"
               "endpoints outbound|80||db.example 192.0.2.8:80*1 192.0.2.7:80*1\n"
               "workload old 192.0.2.7*1 bank/db.example 80->80/0\n"
               "workload e/db.example/1 192.0.2.8*1 bank/db.example 80->80/0\n" TOLD("young"));
}

/* A node's: whatever else is there is called by it, too. */
static void a_machine_takes_no_node(void **state)
{
    (void)state;
    assert_all("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: kube-system}, spec: {hostNetwork: true}, "
               "status: {phase: Running, podIP: 192.0.2.7}}\n---\n"
               "{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: kube-system}, spec: {hostNetwork: true}, "
               "status: {phase: Succeeded, podIP: 192.0.2.8}}\n---\n"
               MACHINE("a", "", "address: 192.0.2.7, labels: {networking.istio.io/tunnel: http}")
               MACHINE("b", "", "address: 192.0.2.8"),
               "workload p 192.0.2.7*1\n"
               "workload b 192.0.2.8*1\n" TOLD("a"));
}

/* Whose it is decides who serves what selects it. */
static void an_address_touches_its_machine(void **state)
{
    struct object_store s;
    struct view v;
    (void)state;
    object_store_init(&s);
    fixture_load(&s, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {hostNetwork: true}, "
                     "status: {phase: Running, podIP: 192.0.2.7}}\n---\n"
                     ENTRY("e", "", HTTP STATIC "hosts: [x.example], endpoints: [{address: 192.0.2.8}]")
                     ENTRY("db", "", HTTP STATIC DB)
                     MACHINE("a", "", "address: 192.0.2.7, labels: {app: db}")
                     MACHINE("b", "", "address: 192.0.2.8, labels: {app: db}"));
    assert_int_equal(view_open(&v, &s, &fixture_settings), 0);
    assert_touched(&v, OBJECT_POD, "p", "Pod shop/a/machine");
    assert_touched(&v, OBJECT_POD, "p", "Service shop/db/db.example");
    assert_touched(&v, OBJECT_ENDPOINT_SLICE, "e/x.example/0", "Pod shop/b/machine");
    assert_touched(&v, OBJECT_ENDPOINT_SLICE, "e/x.example/0", "Service shop/db/db.example");
    view_close(&v);
    object_store_done(&s);
}

/* A pod is an endpoint of few enough Services to be told; its own namespace's come first. */
static void others_services_push_nobody_out(void **state)
{
    enum { OTHERS = WORKLOAD_SERVICES_MAX + 4 };
    struct text_heap yaml;
    struct object_store store;
    struct view v;
    struct problems problems;
    struct workload *w = NULL;
    bool own = false;
    (void)state;
    text_heap_init(&yaml, 1 << 20);
    text_heap_puts(&yaml, POD("p", "10.0.0.1", "app: p")
                   "{apiVersion: v1, kind: Service, metadata: {name: own, namespace: shop}, spec: {}}\n---\n"
                   "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: own, namespace: "
                   "shop, labels: {kubernetes.io/service-name: own}}, addressType: IPv4, endpoints: [{addresses: "
                   "[10.0.0.1]}]}\n---\n");
    for (unsigned i = 0; i < OTHERS; i++)
        text_heap_printf(
            &yaml,
            "{apiVersion: v1, kind: Service, metadata: {name: s%u, namespace: a}, spec: {}}\n---\n"
            "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s%u, namespace: a, labels: "
            "{kubernetes.io/service-name: s%u}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], "
            "targetRef: {kind: Pod, name: p, namespace: shop}}]}\n---\n",
            i, i, i);
    assert_false(yaml.failed);
    object_store_init(&store);
    problems_init(&problems);
    fixture_load(&store, yaml.data);
    assert_int_equal(view_open(&v, &store, &fixture_settings), 0);
    assert_int_equal(from_pod(&v, object_store_get(&store, OBJECT_POD, "shop", "p"), &w, &problems), 0);
    assert_int_equal(w->n_services, WORKLOAD_SERVICES_MAX);
    for (size_t i = 0; i < w->n_services; i++)
        own |= strcmp(w->services[i].key, "shop/own.shop.svc.cluster.local") == 0;
    assert_true(own);
    assert_int_equal(problems.n, 1);
    workload_free(w);
    problems_done(&problems);
    view_close(&v);
    object_store_done(&store);
    text_heap_done(&yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_are_selected),
        cmocka_unit_test(a_machine_takes_no_address),
        cmocka_unit_test(a_machine_takes_no_endpoint),
        cmocka_unit_test(a_machine_takes_no_endpoint_of_an_older_entry),
        cmocka_unit_test(a_machine_takes_no_node),
        cmocka_unit_test(an_address_touches_its_machine),
        cmocka_unit_test(a_machine_in_the_mesh),
        cmocka_unit_test(others_services_push_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
