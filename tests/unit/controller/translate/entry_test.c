/*
 * ServiceEntries: what node proxies read of them, as text; the Services and slices that the store has
 * for them; and the addresses that hosts are given.
 */
#include "controller/translate/service_place.h"
#include "controller/translate/touched.h"
#include "shared/xds/routing.h"
#include "tests/unit/controller/translate/entry_text.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <errno.h>
#include <stdio.h>

/* ---- What becomes of one -------------------------------------------------------------------- */

static void all_is_said(void **state)
{
    (void)state;
    assert_all(
        ENTRY("db", "",
              STATIC "hosts: [Db.Example, b.example], addresses: [192.0.2.1, '2001:db8::1'], "
                     "location: MESH_EXTERNAL, exportTo: ['*'], ports: [{number: 80, name: http, "
                     "protocol: HTTP, targetPort: 8080}, {number: 443, name: tls, protocol: "
                     "HTTPS}], endpoints: [{address: 192.0.2.7, ports: {http: 81}, locality: "
                     "r/z/s, weight: 3}, {address: 192.0.2.8, locality: r}]"),
        "service shop/b.example (b.example) 192.0.2.1 2001:db8::1 80->8080/1 443->443/5\n"
        "endpoints outbound|80||b.example 192.0.2.8:8080*1 192.0.2.7:81*3\n"
        "endpoints outbound|443||b.example 192.0.2.8:443*1 192.0.2.7:443*3\n"
        "service shop/db.example (db.example) 192.0.2.1 2001:db8::1 80->8080/1 443->443/5\n"
        "endpoints outbound|80||db.example 192.0.2.8:8080*1 192.0.2.7:81*3\n"
        "endpoints outbound|443||db.example 192.0.2.8:443*1 192.0.2.7:443*3\n"
        "workload db/b.example/0 192.0.2.7*3 in r/z/s shop/b.example 80->81/0 443->443/0\n"
        "workload db/b.example/1 192.0.2.8*1 in r// shop/b.example 80->8080/0 443->443/0\n"
        "workload db/db.example/0 192.0.2.7*3 in r/z/s shop/db.example 80->81/0 443->443/0\n"
        "workload db/db.example/1 192.0.2.8*1 in r// shop/db.example 80->8080/0 443->443/0\n");
}

static void pods(void **state)
{
    (void)state;
    /* A pod that is an endpoint by its address, and one that is selected. */
    assert_all(POD("a", "10.0.0.1", "app: a") POD("b", "10.0.0.2", "app: b")
                   ENTRY("x", "",
                         STATIC HTTP "hosts: [x.example], addresses: [192.0.2.1], endpoints: "
                                     "[{address: 10.0.0.1}]")
                       ENTRY("y", "",
                             STATIC HTTP "hosts: [y.example], addresses: [192.0.2.2], "
                                         "workloadSelector: {labels: {app: b}}"),
               "service shop/x.example (x.example) 192.0.2.1 80->80/1\n"
               "endpoints outbound|80||x.example 10.0.0.1:80*1\n"
               "service shop/y.example (y.example) 192.0.2.2 80->80/1\n"
               "endpoints outbound|80||y.example 10.0.0.2:80*1\n"
               "workload a 10.0.0.1*1 shop/x.example 80->80/0\n"
               "workload b 10.0.0.2*1 shop/y.example 80->80/0\n");
}

/* Nor is anybody a workload of a Service that another one is. */
static void pods_of_what_does_not_count(void **state)
{
    (void)state;
    assert_all(POD("a", "10.0.0.1", "app: a") POD("b", "10.0.0.2", "app: b")
                   ENTRY("x", AT("1"), STATIC HTTP "hosts: [x.example], addresses: [192.0.2.1]")
                       ENTRY("y", AT("2"),
                             STATIC HTTP "hosts: [x.example], addresses: [192.0.2.2], "
                                         "workloadSelector: {labels: {app: b}}")
                           ENTRY("z", AT("2"),
                                 STATIC HTTP "hosts: [x.example], addresses: [192.0.2.3], "
                                             "endpoints: [{address: 10.0.0.1}]"),
               "service shop/x.example (x.example) 192.0.2.1 80->80/1\n"
               "endpoints outbound|80||x.example\n"
               "workload a 10.0.0.1*1\n"
               "workload b 10.0.0.2*1\n"
               "ServiceEntry shop/y: spec.hosts: 'x.example' counts for nothing: ServiceEntry "
               "shop/x has it\n"
               "ServiceEntry shop/z: spec.hosts: 'x.example' counts for nothing: ServiceEntry "
               "shop/x has it\n");
}

static void rules_and_routes(void **state)
{
    (void)state;
    assert_all(ENTRY("x", "",
                     STATIC HTTP "hosts: [x.example], addresses: [192.0.2.1], endpoints: "
                                 "[{address: "
                                 "192.0.2.7, labels: {v: a}}, {address: 192.0.2.8, labels: {v: "
                                 "b}}]") "{apiVersion: networking.istio.io/v1, kind: "
                                         "DestinationRule, metadata: {name: r, "
                                         "namespace: shop}, spec: {host: x.example, subsets: "
                                         "[{name: b, labels: {v: b}}]}}\n---\n"
                                         "{apiVersion: networking.istio.io/v1, kind: "
                                         "VirtualService, metadata: {name: v, "
                                         "namespace: bank}, spec: {hosts: ['*.example'], http: "
                                         "[{route: [{destination: {host: "
                                         "x.example, subset: c}}]}]}}\n",
               "service shop/x.example (x.example) 192.0.2.1 80->80/1\n"
               "endpoints outbound|80||x.example 192.0.2.7:80*1 192.0.2.8:80*1\n"
               "endpoints outbound|80|b|x.example 192.0.2.8:80*1\n"
               "table outbound|80||x.example\n"
               "workload x/x.example/0 192.0.2.7*1 shop/x.example 80->80/0\n"
               "workload x/x.example/1 192.0.2.8*1 shop/x.example 80->80/0\n"
               "VirtualService bank/v: spec.http[0].route[0].destination.subset: no "
               "DestinationRule that "
               "counts has a subset 'c': answered 503\n");
}

/* The oldest has a host; a Service of Kubernetes comes before all. */
static void one_has_a_host(void **state)
{
    (void)state;
    assert_all(
        ENTRY("a", AT("2"),
              STATIC HTTP "hosts: [x.example, own.example], addresses: [192.0.2.1], endpoints: "
                          "[{address: 192.0.2.7}]") ENTRY("b", AT("1"),
                                                          STATIC HTTP
                                                          "hosts: [x.example], addresses: "
                                                          "[192.0.2.2], endpoints: [{address: "
                                                          "192.0.2.8}]")
            ENTRY("c", "",
                  STATIC HTTP
                  "hosts: [web.n.svc.cluster.local, dns.n.svc.cluster.local], "
                  "endpoints: [{address: 192.0.2.9}]") "{apiVersion: v1, kind: Service, metadata: "
                                                       "{name: dns, namespace: n}, spec: {type: "
                                                       "ExternalName}}\n---\n"
                                                       "{apiVersion: v1, kind: Service, metadata: "
                                                       "{name: web, namespace: n}, spec: {ports: "
                                                       "[{port: 80}]}}\n",
        "service n/web.n.svc.cluster.local (web) 80->80/0\n"
        "endpoints outbound|80||web.n.svc.cluster.local\n"
        "service shop/own.example (own.example) 192.0.2.1 80->80/1\n"
        "endpoints outbound|80||own.example 192.0.2.7:80*1\n"
        "service shop/x.example (x.example) 192.0.2.2 80->80/1\n"
        "endpoints outbound|80||x.example 192.0.2.8:80*1\n"
        "workload a/own.example/0 192.0.2.7*1 shop/own.example 80->80/0\n"
        "workload b/x.example/0 192.0.2.8*1 shop/x.example 80->80/0\n"
        "ServiceEntry shop/a: spec.hosts: 'x.example' counts for nothing: ServiceEntry shop/b has "
        "it\n"
        "ServiceEntry shop/c: spec.hosts: 'web.n.svc.cluster.local' counts for nothing: Service "
        "n/web has it\n"
        "ServiceEntry shop/c: spec.hosts: 'dns.n.svc.cluster.local' counts for nothing: a Service "
        "of type ExternalName has it\n");
}

static void refused(void **state)
{
    static const struct {
        const char *spec, *why;
    } wrong[] = {
        {STATIC HTTP "hosts: []", "spec: has no hosts"},
        {STATIC HTTP "hosts: [plain]", "spec.hosts[0]: 'plain' must be a full name, with a '.'"},
        {STATIC HTTP "hosts: [a.b, A.b]", "spec.hosts[1]: 'a.b' is there twice"},
        {STATIC HTTP "hosts: ['*.a.b']", "spec.hosts[0]: a wildcard needs resolution NONE"},
        {STATIC "hosts: [a.b]", "spec: has no ports"},
        {STATIC "hosts: [a.b], ports: [{name: x}]", "spec.ports[0]: number is missing"},
        {STATIC "hosts: [a.b], ports: [{number: 80, name: x}, {number: 80, name: y}]",
         "spec.ports[1]: its number or name is there twice"},
        {STATIC "hosts: [a.b], ports: [{number: 80, name: x}, {number: 81, name: x}]",
         "spec.ports[1]: its number or name is there twice"},
        {STATIC HTTP "hosts: [a.b], addresses: [10.0.0.0/8]",
         "spec.addresses[0]: '10.0.0.0/8' is no single address"},
        {STATIC HTTP "hosts: [a.b], exportTo: ['~']", "spec.exportTo[0]: '~' is none of '.', '*' and a namespace"},
        {STATIC HTTP "hosts: [a.b], location: HERE", "spec.location: 'HERE' is not known"},
        {HTTP "hosts: [a.b], resolution: DYNAMIC_DNS",
         "spec.resolution: 'DYNAMIC_DNS' is not supported"},
        {HTTP "hosts: [a.b], resolution: DNS, addresses: [10.0.0.1]",
         "spec.addresses: lead nowhere, since names are not resolved by the mesh"},
        {STATIC HTTP "hosts: [a.b], workloadSelector: {}", "spec.workloadSelector: has no labels"},
        {STATIC HTTP "hosts: [a.b], workloadSelector: {labels: {a: b}}, endpoints: [{address: "
                     "10.0.0.1}]",
         "spec.workloadSelector: can't be there beside endpoints"},
        {STATIC HTTP "hosts: [a.b], endpoints: [{address: c.d}]",
         "spec.endpoints[0].address: 'c.d' is no IP address"},
        {STATIC HTTP "hosts: [a.b], endpoints: [{}]", "spec.endpoints[0]: '' is no IP address"},
        {STATIC HTTP "hosts: [a.b], endpoints: [{address: 10.0.0.1, ports: {other: 1}}]",
         "spec.endpoints[0].ports.other: is the name of none of its ports"},
        {STATIC HTTP "hosts: [a.b], endpoints: [{address: 10.0.0.1, zone: x}]",
         "spec.endpoints[0].zone: is not supported"},
        {STATIC HTTP "hosts: [a.b], other: 1", "spec.other: is not supported"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char yaml[2048], text[2048];
        snprintf(yaml, sizeof yaml, ENTRY("x", "", "%s"), wrong[i].spec);
        snprintf(text, sizeof text, "ServiceEntry shop/x: counts for nothing: %s\n", wrong[i].why);
        assert_all(yaml, text);
    }
}

/* Where nobody is chosen connections pass to where they want to. */
static void what_passes(void **state)
{
    (void)state;
    assert_all(ENTRY("none", "", HTTP "hosts: ['*.example'], addresses: [192.0.2.0/24]"), "");
    assert_all(ENTRY("none", "", HTTP "hosts: [a.example], endpoints: [{address: 192.0.2.1}]"),
               "ServiceEntry shop/none: spec.endpoints: count for nothing without resolution "
               "STATIC\n");
    assert_all(ENTRY("dns", "", HTTP "hosts: [a.example], resolution: DNS"),
               "ServiceEntry shop/dns: spec.resolution: names are not resolved by the mesh: "
               "connections pass to where the client's own query led it, without rules and "
               "routes (under REGISTRY_ONLY: they are refused)\n");
    /* Addresses need nobody to resolve them. */
    assert_all(ENTRY("dns", "",
                     HTTP "hosts: [a.example], addresses: [192.0.2.1], resolution: DNS, "
                          "subjectAltNames: [x], endpoints: [{address: 192.0.2.7}]"),
               "service shop/a.example (a.example) 192.0.2.1 80->80/1\n"
               "endpoints outbound|80||a.example 192.0.2.7:80*1\n"
               "workload dns/a.example/0 192.0.2.7*1 shop/a.example 80->80/0\n"
               "ServiceEntry shop/dns: spec.subjectAltNames: is not supported and counts for "
               "nothing\n");
}

/* ---- The store ------------------------------------------------------------------------------ */

static size_t count(const struct object_store *s, enum object_kind kind)
{
    return s->objects[kind].count;
}

#define ONE_HOST ENTRY("e", "", STATIC HTTP "hosts: [a.b], endpoints: [{address: 192.0.2.1}]")
#define TWO_HOSTS                                                                                  \
    ENTRY("e", "",                                                                                 \
          STATIC HTTP                                                                              \
          "hosts: [c.d, a.b], endpoints: [{address: 192.0.2.1}, {address: 192.0.2.2}]")

static void parts_come_and_go(void **state)
{
    struct object_store s;
    (void)state;
    object_store_init(&s);
    fixture_load(&s, TWO_HOSTS ENTRY("f", "", STATIC HTTP "hosts: [a.b]"));
    assert_int_equal(count(&s, OBJECT_SERVICE), 3);
    assert_int_equal(count(&s, OBJECT_ENDPOINT_SLICE), 4);
    fixture_load(&s, ONE_HOST);
    assert_int_equal(count(&s, OBJECT_SERVICE), 2);
    assert_int_equal(count(&s, OBJECT_ENDPOINT_SLICE), 1);
    assert_non_null(object_store_get(&s, OBJECT_SERVICE, "shop", "e/a.b"));
    assert_non_null(object_store_get(&s, OBJECT_ENDPOINT_SLICE, "shop", "e/a.b/0"));
    fixture_load(&s, ENTRY("e", "", "hosts: [a.b], resolution: DNS"));
    assert_int_equal(count(&s, OBJECT_SERVICE), 1);
    fixture_load(&s, TWO_HOSTS);
    assert_true(object_store_remove(&s, OBJECT_SERVICE_ENTRY, "shop", "e"));
    assert_true(object_store_remove(&s, OBJECT_SERVICE_ENTRY, "shop", "f"));
    assert_int_equal(count(&s, OBJECT_SERVICE) + count(&s, OBJECT_ENDPOINT_SLICE), 0);
    object_store_done(&s);
}

static struct object *read_entry(const char *yaml)
{
    struct object_store s;
    object_store_init(&s);
    fixture_load(&s, yaml);
    struct object *o = object_ref(object_store_get(&s, OBJECT_SERVICE_ENTRY, "shop", "e"));
    object_store_done(&s);
    return o;
}

/* What failed has no parts; done again, all of them. */
static void no_memory(void **state)
{
    struct object *one = read_entry(ONE_HOST), *two = read_entry(TWO_HOSTS);
    bool failed = true;
    long n = 0;
    (void)state;
    for (; failed && n < 1000; n++) {
        struct object_store s;
        object_store_init(&s);
        assert_int_equal(object_store_put(&s, one), 0);
        alloc_fail_at(n);
        int err = object_store_put(&s, two);
        failed = alloc_failed();
        assert_int_equal(err, failed ? -ENOMEM : 0);
        size_t parts = count(&s, OBJECT_SERVICE) + count(&s, OBJECT_ENDPOINT_SLICE);
        assert_true(failed ? parts == 0 || parts == 2 : parts == 6);
        assert_int_equal(object_store_put(&s, two), 0);
        assert_int_equal(count(&s, OBJECT_SERVICE), 2);
        assert_int_equal(count(&s, OBJECT_ENDPOINT_SLICE), 4);
        object_store_done(&s);
    }
    assert_false(failed);
    assert_true(n > 5);
    object_unref(one);
    object_unref(two);
}

/* ---- Addresses ------------------------------------------------------------------------------ */

static size_t placed(struct view *v, const char *name, struct ip ret[static SERVICE_ADDRESSES_MAX])
{
    const struct object *o = object_store_get(v->store, OBJECT_SERVICE, "shop", name);
    assert_non_null(o);
    return service_addresses(v, o, ret);
}

/* For ever the same: clients may know them. */
static void addresses_stay(void **state)
{
    (void)state;
    assert_all(ENTRY("x", "", STATIC HTTP "hosts: [db.example]"),
               "service shop/db.example (db.example) 240.247.177.225 "
               "2001:2:0:7c0a:6ad4:efcb:2ca7:b6dd 80->80/1\n"
               "endpoints outbound|80||db.example\n");
    assert_all(ENTRY("x", ", labels: {networking.istio.io/enable-autoallocate-ip: 'false'}",
                     STATIC HTTP "hosts: [db.example]"),
               "service shop/db.example (db.example) 80->80/1\n"
               "endpoints outbound|80||db.example\n");
}

#define KUBE(name, ip)                                                                             \
    "{apiVersion: v1, kind: Service, metadata: {name: " name                                       \
    ", namespace: shop}, spec: {clusterIP: " ip ", ports: [{port: 80}]}}\n---\n"
#define ADDRESSED(name, day, ips)                                                                  \
    ENTRY(name, AT(day), STATIC HTTP "hosts: [" name ".example], addresses: [" ips "]")
#define HAS(name, ips)                                                                             \
    "service shop/" name ".example (" name ".example)" ips                                         \
    " 80->80/1\nendpoints outbound|80||" name ".example\n"

/* A node's is nobody's who writes it down: all that is called there would be led away. */
static void no_entry_takes_a_node(void **state)
{
    (void)state;
    assert_all(ADDRESSED("a", "1", "192.0.2.1, 192.0.2.2")
               "{apiVersion: v1, kind: Pod, metadata: {name: kubelet, namespace: kube-system}, spec: {hostNetwork: "
               "true}, status: {phase: Running, podIP: 192.0.2.1}}\n---\n",
               HAS("a", " 192.0.2.2")
               "workload kubelet 192.0.2.1*1\n"
               "ServiceEntry shop/a: spec.addresses: '192.0.2.1' counts for nothing: Pod kube-system/kubelet has it\n");
}

/* Pods and Services of Kubernetes have their addresses, whoever names them; then the oldest has it. */
static void addresses_are_had_by_one(void **state)
{
    (void)state;
    assert_all(
        KUBE("web", "10.96.0.1") POD("p", "10.0.0.1", "app: p")
            ADDRESSED("b", "1", "10.96.0.1, 10.0.0.1, 192.0.2.1, 192.0.2.1, 192.0.2.2")
                ADDRESSED("a", "2", "192.0.2.2, 192.0.2.3")
                    ADDRESSED("c", "3", "'240.247.177.225', '2001:2:0:7c0a:6ad4:efcb:2ca7:b6dd'")
                        ENTRY("d", AT("2"), STATIC HTTP "hosts: [db.example]"),
        HAS("a", " 192.0.2.3") HAS("b", " 192.0.2.1 192.0.2.1 192.0.2.2") HAS(
            "c",
            "") "service shop/db.example (db.example) 240.247.177.225 "
                "2001:2:0:7c0a:6ad4:efcb:2ca7:b6dd 80->80/1\n"
                "endpoints outbound|80||db.example\n"
                "service shop/web.shop.svc.cluster.local (web) 10.96.0.1 80->80/0\n"
                "endpoints outbound|80||web.shop.svc.cluster.local\n"
                "workload p 10.0.0.1*1\n"
                "ServiceEntry shop/a: spec.addresses: '192.0.2.2' counts for nothing: ServiceEntry "
                "shop/b has it\n"
                "ServiceEntry shop/b: spec.addresses: '10.96.0.1' counts for nothing: Service "
                "shop/web has it\n"
                "ServiceEntry shop/b: spec.addresses: '10.0.0.1' counts for nothing: Pod shop/p "
                "has "
                "it\n"
                "ServiceEntry shop/c: spec.addresses: '240.247.177.225' counts for nothing: "
                "ServiceEntry shop/d has it\n"
                "ServiceEntry shop/c: spec.addresses: '2001:2:0:7c0a:6ad4:efcb:2ca7:b6dd' counts "
                "for "
                "nothing: ServiceEntry shop/d has it\n");
}

/* What the mesh would choose may be somebody's already; an entry that does not count has nothing. */
static void chosen_addresses_give_way(void **state)
{
    (void)state;
    assert_all(
        ADDRESSED("c", "1", "'240.247.177.225', '2001:2:0:7c0a:6ad4:efcb:2ca7:b6dd'")
            ENTRY("d", AT("2"), STATIC HTTP "hosts: [db.example]")
                ENTRY("x", AT("2"), STATIC HTTP "hosts: [c.example], addresses: [192.0.2.1]")
                    ADDRESSED("y", "3", "192.0.2.1"),
        HAS("c",
            " 240.247.177.225 2001:2:0:7c0a:6ad4:efcb:2ca7:b6dd") "service shop/db.example "
                                                                  "(db.example) 240.245.95.40 "
                                                                  "80->80/1\n"
                                                                  "endpoints "
                                                                  "outbound|80||db.example\n" HAS(
                                                                      "y",
                                                                      " 192.0.2.1") "ServiceEntry "
                                                                                    "shop/x: "
                                                                                    "spec.hosts: "
                                                                                    "'c.example' "
                                                                                    "counts for "
                                                                                    "nothing: "
                                                                                    "ServiceEntry "
                                                                                    "shop/c has "
                                                                                    "it\n");
}

static void addresses_touch_each_other(void **state)
{
    struct object_store s;
    struct view v;
    (void)state;
    object_store_init(&s);
    fixture_load(&s, KUBE("web", "192.0.2.1") POD("p", "192.0.2.2", "app: p")
                         ADDRESSED("a", "1", "192.0.2.1, 192.0.2.2, 192.0.2.3")
                             ENTRY("x", AT("2"), STATIC HTTP "hosts: [a.example]")
                                 ADDRESSED("y", "3", "192.0.2.3"));
    assert_int_equal(view_open(&v, &s, &fixture_settings), 0);
    assert_touched(&v, OBJECT_SERVICE, "web", "Service shop/a/a.example");
    assert_touched(&v, OBJECT_SERVICE, "web", "ServiceEntry shop/a");
    assert_touched(&v, OBJECT_POD, "p", "Service shop/a/a.example");
    assert_touched(&v, OBJECT_POD, "p", "ServiceEntry shop/a");
    /* Without x the host were a's, and the address not y's. */
    assert_touched(&v, OBJECT_SERVICE, "x/a.example", "Service shop/y/y.example");
    assert_touched(&v, OBJECT_SERVICE, "x/a.example", "ServiceEntry shop/y");
    view_close(&v);
    object_store_done(&s);
}

/* Two names with a place in common, found by trying; all of the younger one's are taken in turn. */
static void places_are_had_by_the_oldest(void **state)
{
    enum { TRIES = 40000 };
    static unsigned at[1 << 20];
    char first[64] = "", second[64] = "", yaml[2048], name[64];
    (void)state;
    for (unsigned i = 1; i < TRIES && !first[0]; i++) {
        snprintf(second, sizeof second, "h%u.example", i);
        struct ip p = service_place(text_of(second), 0);
        assert_int_equal(p.bytes[0], 240);
        assert_int_equal(p.bytes[1] & 240, 240);
        unsigned key = (unsigned)(p.bytes[1] & 15) << 16 | p.bytes[2] << 8 | p.bytes[3];
        if (at[key])
            snprintf(first, sizeof first, "h%u.example", at[key]);
        at[key] = i;
    }
    assert_true(first[0]);
    for (int younger = 0; younger < 2; younger++) {
        struct object_store s;
        struct view v;
        struct ip one[SERVICE_ADDRESSES_MAX], two[SERVICE_ADDRESSES_MAX];
        struct ip place = service_place(text_of(first), 0);
        snprintf(yaml, sizeof yaml,
                 ENTRY("a", ", creationTimestamp: '2026-01-0%dT00:00:00Z'",
                       STATIC HTTP "hosts: [%s]") ENTRY("b", AT("2"), STATIC HTTP "hosts: [%s]"),
                 younger ? 3 : 1, first, second);
        object_store_init(&s);
        fixture_load(&s, yaml);
        assert_int_equal(view_open(&v, &s, &fixture_settings), 0);
        snprintf(name, sizeof name, "a/%s", first);
        assert_int_equal(placed(&v, name, one), 2);
        snprintf(name, sizeof name, "b/%s", second);
        assert_int_equal(placed(&v, name, two), 2);
        assert_memory_equal(younger ? &two[0] : &one[0], &place, sizeof place);
        assert_memory_not_equal(&one[0], &two[0], sizeof place);
        assert_memory_not_equal(&one[1], &two[1], sizeof place);
        snprintf(yaml, sizeof yaml, "Service shop/a/%s", first);
        assert_touched(&v, OBJECT_SERVICE, name, yaml);
        view_close(&v);
        object_store_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_said),
        cmocka_unit_test(pods),
        cmocka_unit_test(pods_of_what_does_not_count),
        cmocka_unit_test(rules_and_routes),
        cmocka_unit_test(one_has_a_host),
        cmocka_unit_test(refused),
        cmocka_unit_test(what_passes),
        cmocka_unit_test(parts_come_and_go),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(addresses_stay),
        cmocka_unit_test(no_entry_takes_a_node),
        cmocka_unit_test(addresses_are_had_by_one),
        cmocka_unit_test(chosen_addresses_give_way),
        cmocka_unit_test(addresses_touch_each_other),
        cmocka_unit_test(places_are_had_by_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
