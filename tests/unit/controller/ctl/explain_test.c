/* From manifests, by way of the controller's dump, to what weirctl explain says. */
#include "controller/ctl/explain.h"
#include "controller/ctl/mesh_read.h"
#include "controller/serve/dump.h"
#include "tests/unit/controller/fixture.h"
#include <errno.h>

static struct directory *directory;
static struct catalog catalog;

static const char mesh[] =
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {weir.mesh/enrolled: "
    "'true'}}}\n---\n"
    "{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {weir.mesh/enrolled: "
    "'true'}}}\n---\n"
    "{apiVersion: v1, kind: Namespace, metadata: {name: legacy}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: "
    "{serviceAccountName: web, nodeName: node-a}, status: {podIP: 10.0.0.1}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: cart, namespace: shop}, spec: "
    "{serviceAccountName: cart, nodeName: node-a}, status: {podIP: 10.0.0.5}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: old, namespace: legacy}, spec: {nodeName: "
    "node-a}, status: {podIP: 10.0.0.2}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: bank}, spec: {hostNetwork: "
    "true, nodeName: node-b}, status: {podIP: 192.168.0.2}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: api-1, namespace: bank, labels: {app: api}}, "
    "spec: {serviceAccountName: api, nodeName: node-b}, status: {podIP: 10.0.1.1}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: api-2, namespace: bank, labels: {app: api, canary: "
    "'yes'}}, spec: {serviceAccountName: api, nodeName: node-a}, status: {podIP: 10.0.1.2}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: api-3, namespace: bank, labels: {app: api}}, "
    "spec: {serviceAccountName: api, nodeName: node-b}, status: {podIP: 10.0.1.3, conditions: "
    "[{type: Ready, status: 'False'}]}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: api, namespace: bank}, spec: {clusterIP: "
    "10.96.0.1, selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: two, namespace: bank}, spec: {clusterIP: "
    "10.96.0.2, selector: {app: none}, ports: [{name: a, port: 80}, {name: b, port: 81}]}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: idle-1, namespace: shop, labels: {app: idle}}, "
    "spec: {nodeName: node-b}, status: {podIP: 10.0.2.1, conditions: [{type: Ready, status: "
    "'False'}]}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: idle, namespace: shop}, spec: {selector: {app: "
    "idle}, ports: [{port: 80}]}}\n---\n"
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: only-web, "
    "namespace: bank}, spec: {rules: [{from: [{source: {principals: "
    "['td.example/ns/shop/sa/w*'], ipBlocks: [10.0.0.0/8]}}], to: [{operation: {ports: "
    "['8080']}}]}]}}\n---\n"
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: no-canary, "
    "namespace: bank}, spec: {action: DENY, selector: {matchLabels: {canary: 'yes'}}, rules: [{}]}}"
    "\n---\n"
    "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: strict, "
    "namespace: shop}, spec: {mtls: {mode: STRICT}}}\n---\n"
    "{apiVersion: v1, kind: Namespace, metadata: {name: pay, labels: {weir.mesh/enrolled: "
    "'true'}}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: old-1, namespace: pay, labels: {app: old}}, spec: "
    "{nodeName: node-b}, status: {podIP: 10.0.3.1}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: new-1, namespace: pay, labels: {app: new}}, spec: "
    "{nodeName: node-b}, status: {podIP: 10.0.3.2}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: old, namespace: pay}, spec: {clusterIP: "
    "10.96.0.8, selector: {app: old}, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}}\n---\n"
    "{apiVersion: v1, kind: Service, metadata: {name: new, namespace: pay}, spec: {clusterIP: "
    "10.96.0.9, selector: {app: new}, ports: [{name: http, port: 80}]}}\n---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: "
    "pay}, spec: {parentRefs: [{group: '', kind: Service, name: old, port: 80}], rules: "
    "[{matches: [{path: {type: PathPrefix, value: /v2}, method: POST}], filters: [{type: URLRewrite, "
    "urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}], backendRefs: "
    "[{name: new, port: 80, weight: 3}, {name: old, port: 80, weight: 1}]}, "
    "{matches: [{headers: [{name: x-user, value: joe}]}], filters: [{type: RequestRedirect, "
    "requestRedirect: {hostname: joe.example, statusCode: 302}}]}, "
    "{matches: [{path: {type: PathPrefix, value: /open}}], backendRefs: [{name: old, port: 80}]}]}}\n---\n"
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: no-admin, "
    "namespace: pay}, spec: {action: DENY, rules: [{to: [{operation: {paths: ['/new/admin*', "
    "'/new/{*}/x'], methods: [POST]}}], when: [{key: 'request.headers[x-user]', values: [jane, "
    "'j*'], notValues: [jim]}]}]}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: split, namespace: bank}, "
    "spec: {hosts: [new.pay.svc.cluster.local], exportTo: ['.'], http: [{route: [{destination: {host: "
    "new.pay.svc.cluster.local, subset: a}, weight: 1}, {destination: {host: new.pay.svc.cluster.local, "
    "subset: b}, weight: 1}]}]}}\n---\n"
    "{apiVersion: v1, kind: Namespace, metadata: {name: shut, labels: {weir.mesh/enrolled: "
    "'true'}}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: in, namespace: shut}, spec: {nodeName: node-a}, "
    "status: {podIP: 10.0.9.1}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: shut}, spec: "
    "{egress: [{hosts: ['./*', pay/old.pay.svc.cluster.local]}], outboundTrafficPolicy: {mode: "
    "REGISTRY_ONLY}}}\n---\n"
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: shut}, "
    "spec: {hosts: [private.example], exportTo: ['.'], resolution: STATIC, ports: [{number: 80, name: "
    "tcp}], endpoints: [{address: 192.0.2.7}]}}\n";

static int open_mesh(void **state)
{
    struct object_store store;
    struct resources resources;
    struct problems problems;
    struct ads ads;
    struct text_heap out;
    struct json *tree = NULL;
    struct json_error e = {0};
    size_t n;
    (void)state;
    object_store_init(&store);
    catalog_init(&catalog);
    ads_init(&ads, &catalog);
    problems_init(&problems);
    fixture_load(&store, mesh);
    assert_int_equal(translate(&store, &fixture_settings, &resources, &problems), 0);
    assert_int_equal(catalog_replace(&catalog, &resources, &n), 0);
    text_heap_init(&out, 1 << 20);
    dump_config(&catalog, &ads, 0, DUMP_ALL, &out);
    assert_int_equal(json_parse((struct text){out.data, out.len}, NULL, &tree, &e), 0);
    assert_int_equal(directory_new(&directory), 0);
    directory_thread_register();
    if (mesh_read(tree, directory, &e) < 0)
        fail_msg("%s", e.text);
    json_free(tree);
    text_heap_done(&out);
    problems_done(&problems);
    object_store_done(&store);
    return 0;
}

static int close_mesh(void **state)
{
    (void)state;
    directory_thread_unregister();
    directory_free(directory);
    catalog_done(&catalog);
    return 0;
}

/* What was read back is what was dumped. */
static void nothing_is_lost_on_the_way(void **state)
{
    struct directory_counts counts;
    (void)state;
    directory_counts(directory, &counts);
    assert_int_equal(counts.workloads, 12);
    assert_int_equal(counts.services, 6);
    assert_int_equal(counts.policies, 4);
    const struct map_entry *m;
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        for (size_t i = 0; (m = map_next(&catalog.entries[type], &i));) {
            const struct resource *r = ((const struct catalog_entry *)m->value)->resource;
            struct policy *p = NULL;
            char why[XDS_WHY_MAX];
            if (type != XDS_AUTHORIZATION)
                continue;
            assert_int_equal(xds_policy_decode(r->body, r->body_len, &p, why), 0);
            assert_true(policy_equal(p, directory_policy(directory, text_of(p->key))));
            policy_free(p);
        }
}

static void says_of(const char *from, const char *to, const struct explain_wish *wish,
                    const char *wanted)
{
    struct explain x;
    struct text_heap out;
    text_heap_init(&out, 1 << 16);
    int err = explain_ask(directory, from, to, wish, &x);
    if (err < 0)
        text_heap_printf(&out, "%s", x.why);
    else
        explain_print(&x, &out);
    assert_string_equal(out.data, wanted);
    explain_done(&x);
    text_heap_done(&out);
}

static void says(const char *from, const char *to, const char *wanted)
{
    says_of(from, to, NULL, wanted);
}

#define WEB                                                                                        \
    "from  shop/web  10.0.0.1  on node-a\n"                                                        \
    "      spiffe://td.example/ns/shop/sa/web\n"
#define OLD                                                                                        \
    "from  legacy/old  10.0.0.2  on node-a\n"                                                      \
    "      not in the mesh: its namespace is not enrolled, or the pod opts out\n"
#define API "to    Service bank/api port 80  (api.bank.svc.cluster.local), 3 endpoints\n"

static void a_service_with_a_policy_on_some(void **state)
{
    static const char wanted[] = WEB API
        "  allowed  bank/api-1  10.0.1.1:8080  on node-b\n"
        "           tunnel (HBONE, mTLS); allowed by AuthorizationPolicy bank/only-web\n"
        "  REFUSED  bank/api-2  10.0.1.2:8080  on node-a\n"
        "           within the node; refused by AuthorizationPolicy bank/no-canary\n"
        "  unused   bank/api-3  10.0.1.3:8080  on node-b  (not ready)\n"
        "           tunnel (HBONE, mTLS); allowed by AuthorizationPolicy bank/only-web\n"
        "=> mixed\n";
    (void)state;
    says("shop/web", "bank/api", wanted);
    says("10.0.0.1", "10.96.0.1:80", wanted);
    says("shop/web", "api.bank.svc.cluster.local:80", wanted);
}

static void who_is_refused_and_why(void **state)
{
    (void)state;
    says("legacy/old", "bank/api-1:8080",
         OLD "to    bank/api-1 port 8080\n"
             "  REFUSED  bank/api-1  10.0.1.1:8080  on node-b\n"
             "           plaintext; refused: no rule of AuthorizationPolicy bank/only-web, nor of "
             "another ALLOW policy of this workload, takes it; the source is not in the mesh, so it "
             "has no identity\n"
             "=> refused\n");
    says("legacy/old", "shop/cart:80",
         OLD "to    shop/cart port 80\n"
             "  REFUSED  shop/cart  10.0.0.5:80  on node-a\n"
             "           plaintext; refused by PeerAuthentication with mode STRICT (of the mesh, of "
             "the namespace or of the workload); the source is not in the mesh, so it has no "
             "identity\n"
             "=> refused\n");
    says("shop/web", "bank/api-1:9090",
         WEB "to    bank/api-1 port 9090\n"
             "  REFUSED  bank/api-1  10.0.1.1:9090  on node-b\n"
             "           tunnel (HBONE, mTLS); refused: no rule of AuthorizationPolicy "
             "bank/only-web, nor of another ALLOW policy of this workload, takes it\n"
             "=> refused\n");
}

static void what_is_not_in_the_mesh(void **state)
{
    (void)state;
    says("shop/web", "legacy/old:80",
         WEB "to    legacy/old port 80\n"
             "  allowed  legacy/old  10.0.0.2:80  on node-a\n"
             "           plaintext; passes as it is: the destination is not in the mesh: its "
             "namespace is not enrolled, or the pod opts out\n"
             "=> allowed\n");
    says("bank/agent", "shop/cart:80",
         "from  bank/agent  192.168.0.2  on node-b\n"
         "      not in the mesh: it uses its host's network\n"
         "to    shop/cart port 80\n"
         "  REFUSED  shop/cart  10.0.0.5:80  on node-a\n"
         "           plaintext; refused by PeerAuthentication with mode STRICT (of the mesh, of the "
         "namespace or of the workload); the source is not in the mesh, so it has no identity\n"
         "=> refused\n");
    says("shop/web", "203.0.113.9:443",
         WEB "to    203.0.113.9:443\n"
             "=> outside the mesh: the mesh knows nothing at this address: the connection passes as "
             "it is, without the mesh's encryption\n");
    says("shop/web", "bank/two:80",
         WEB "to    Service bank/two port 80  (two.bank.svc.cluster.local), 0 endpoints\n"
             "=> unreachable: the Service has no endpoint: does its selector fit the pods' labels, "
             "and its port a port of theirs?\n");
    says("shop/web", "shop/idle",
         WEB "to    Service shop/idle port 80  (idle.shop.svc.cluster.local), 1 endpoint\n"
             "  unused   shop/idle-1  10.0.2.1:80  on node-b  (not ready)\n"
             "           tunnel (HBONE, mTLS); no policy applies\n"
             "=> unreachable: none of its 1 endpoints is ready: look at the readiness of its pods\n");
    says("shop/web", "bank/api:99",
         WEB "to    Service bank/api port 99  (api.bank.svc.cluster.local), 0 endpoints\n"
             "=> unreachable: the Service has no port 99\n");
}

#define SHUT                                                                                       \
    "from  shut/in  10.0.9.1  on node-a\n"                                                          \
    "      spiffe://td.example/ns/shut/sa/default\n"
#define ONLY                                                                                       \
    ": the source may connect only to what it sees (outboundTrafficPolicy: REGISTRY_ONLY), so its "   \
    "node refuses the connection (BlackHoleCluster)\n"
#define HIDDEN "the source does not see it, by its Sidecar's egress hosts or the destination's exportTo"

static void what_is_not_seen(void **state)
{
    (void)state;
    says("shut/in", "bank/api",
         SHUT "to    Service bank/api port 80  (api.bank.svc.cluster.local), 0 endpoints\n"
              "=> refused: " HIDDEN ONLY);
    says("shut/in", "bank/api-1:8080",
         SHUT "to    bank/api-1:8080\n"
              "=> refused: " HIDDEN ONLY);
    says("shut/in", "203.0.113.9:443",
         SHUT "to    203.0.113.9:443\n"
              "=> refused: the mesh knows nothing at this address" ONLY);
    says("shut/in", "pay/old:81",
         SHUT "to    Service pay/old port 81  (old.pay.svc.cluster.local), 1 endpoint\n"
              "  REFUSED  pay/old-1  10.0.3.1:81  on node-b\n"
              "           tunnel (HBONE, mTLS); refused by AuthorizationPolicy pay/no-admin\n"
              "=> refused\n");
    says("shop/web", "private.example:80",
         WEB "to    Service shut/private.example port 80  (private.example), 0 endpoints\n"
             "=> outside the mesh: " HIDDEN ": the connection passes as it is, without the mesh's "
             "encryption\n");
}

static void questions_that_are_none(void **state)
{
    (void)state;
    says("shop/nobody", "bank/api:80",
         "'shop/nobody' is no pod that the mesh knows: write NAMESPACE/POD, or its address");
    says("shop/web", "bank/nothing:80",
         "'bank/nothing:80' is no Service and no pod that the mesh knows: write NAMESPACE/NAME, a "
         "host name, or an address");
    says("shop/web", "bank/two", "bank/two has 2 ports: say which, as bank/two:PORT");
    says("shop/web", "bank/api-1", "say the port: bank/api-1:PORT");
    says("shop/web", "bank/api:0", "'bank/api:0' has no port that can be: write NAME:80");
    says("shop/web", "bank/api:http", "'bank/api:http' has no port that can be: write NAME:80");
    says("shop/web", "",
         "'' is no Service and no pod that the mesh knows: write NAMESPACE/NAME, a host name, or an "
         "address");
}

static void as_json(void **state)
{
    struct explain x;
    struct text_heap out;
    struct json_out o;
    (void)state;
    text_heap_init(&out, 1 << 16);
    assert_int_equal(explain_ask(directory, "shop/web", "bank/api-1:8080", NULL, &x), 0);
    json_out_init(&o, &out, false);
    explain_json(&x, &o);
    assert_string_equal(
        out.data,
        "{\"source\":\"shop/web\",\"identity\":\"spiffe://td.example/ns/shop/sa/web\","
        "\"destination\":\"bank/api-1:8080\",\"port\":8080,\"result\":\"allowed\",\"why\":\"\","
        "\"endpoints\":[{\"workload\":\"Kubernetes//Pod/bank/api-1\",\"address\":\"10.0.1.1:8080\","
        "\"node\":\"node-b\",\"way\":\"tunnel (HBONE, mTLS)\",\"ready\":true,\"allowed\":true,"
        "\"because\":\"allowed by AuthorizationPolicy bank/only-web\"}]}");
    explain_done(&x);
    text_heap_done(&out);
}

/* A dump of something else, or of another version. */
static void dumps_that_are_none(void **state)
{
    static const char *const dumps[] = {
        "{}",
        "[]",
        "{\"policies\":[],\"services\":[]}",
        "{\"policies\":[{\"rules\":[[[{\"sourceIps\":[\"x\"]}]]]}],\"services\":[],\"workloads\":[]}",
        "{\"policies\":[{\"rules\":[[[{\"serviceAccounts\":[\"x\"]}]]]}],\"services\":[],"
        "\"workloads\":[]}",
        "{\"policies\":[],\"services\":[{\"vips\":[\"x\"]}],\"workloads\":[]}",
        "{\"policies\":[],\"services\":[{\"ports\":[{}]}],\"workloads\":[]}",
        "{\"policies\":[],\"services\":[],\"workloads\":[{\"workloadIps\":[7]}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof dumps / sizeof *dumps; i++) {
        struct directory *d = NULL;
        struct json *tree = NULL;
        struct json_error e = {0};
        assert_int_equal(directory_new(&d), 0);
        assert_int_equal(json_parse(text_of(dumps[i]), NULL, &tree, &e), 0);
        assert_int_equal(mesh_read(tree, d, &e), -EINVAL);
        assert_true(json_failed(&e));
        json_free(tree);
        directory_free(d);
    }
}

/* ---- Requests ------------------------------------------------------------------------------- */

#define TABLE "outbound|80||old.pay.svc.cluster.local"
#define OLD_1(verdict)                                                                             \
    "  allowed  pay/old-1  10.0.3.1:80  on node-b\n           tunnel (HBONE, mTLS); " verdict "\n"
#define TO_OLD(n, s) "to    Service pay/old port 80  (old.pay.svc.cluster.local), " n " endpoint" s "\n"

static void requests(void **state)
{
    const struct arg_list joe = {{"X-User:  joe "}, 1}, jane = {{"accept: */*", "x-user: jane"}, 2};
    (void)state;
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.path = "/open/%61?b"},
            WEB TO_OLD("1", "") "route " TABLE ": pay/r/2 takes it: to " TABLE "\n" OLD_1(
                "no policy applies") "=> allowed\n");
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.method = "POST", .path = "/v2/admin", .headers = &jane},
            WEB TO_OLD("2", "s") "route " TABLE ": pay/r/0 takes it: to outbound|80||new.pay.svc.cluster.local (3 of 4), " TABLE
            " (1 of 4)\n"
            "  REFUSED  pay/new-1  10.0.3.2:80  on node-b\n           tunnel (HBONE, mTLS); refused by AuthorizationPolicy pay/no-admin\n"
            "  REFUSED  pay/old-1  10.0.3.1:80  on node-b\n           tunnel (HBONE, mTLS); refused by AuthorizationPolicy pay/no-admin\n"
            "=> refused\n");
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.method = "POST", .path = "/v2/a/x", .headers = &joe},
            WEB TO_OLD("2", "s") "route " TABLE ": pay/r/0 takes it: to outbound|80||new.pay.svc.cluster.local (3 of 4), " TABLE
            " (1 of 4)\n"
            "  REFUSED  pay/new-1  10.0.3.2:80  on node-b\n           tunnel (HBONE, mTLS); refused by AuthorizationPolicy pay/no-admin\n"
            "  REFUSED  pay/old-1  10.0.3.1:80  on node-b\n           tunnel (HBONE, mTLS); refused by AuthorizationPolicy pay/no-admin\n"
            "=> refused\n");
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.path = "/a", .headers = &joe},
            WEB TO_OLD("0", "s") "route " TABLE ": pay/r/1 takes it: answered 302: http://joe.example/a\n=> answered on the way\n");
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.method = "GET"},
            WEB TO_OLD("0", "s") "route " TABLE ": no route takes it, so it is answered 404\n=> answered on the way\n");
}

/* The client's namespace has a table of its own, and both subsets are of one Service. */
static void requests_of_a_namespace(void **state)
{
    (void)state;
    says_of("bank/api-1", "pay/new:80", &(struct explain_wish){.method = "GET"},
            "from  bank/api-1  10.0.1.1  on node-b\n      spiffe://td.example/ns/bank/sa/api\n"
            "to    Service pay/new port 80  (new.pay.svc.cluster.local), 1 endpoint\n"
            "route outbound|80||new.pay.svc.cluster.local@bank: bank/split/0 takes it: to "
            "outbound|80|a|new.pay.svc.cluster.local (1 of 2), outbound|80|b|new.pay.svc.cluster.local (1 of 2), "
            "tried again 2 times\n"
            "  allowed  pay/new-1  10.0.3.2:80  on node-b\n           within the node; no policy applies\n"
            "=> allowed\n");
}

static void requests_without_routes(void **state)
{
    (void)state;
    says_of("shop/web", "pay/new:80", &(struct explain_wish){.host = "other"},
            WEB "to    Service pay/new port 80  (new.pay.svc.cluster.local), 1 endpoint\n"
                "route none: nobody wrote any for port 80 of this Service\n"
                "  allowed  pay/new-1  10.0.3.2:80  on node-b\n           tunnel (HBONE, mTLS); no policy applies\n"
                "=> allowed\n");
    says_of("shop/web", "pay/old:81", &(struct explain_wish){.method = "GET"},
            WEB "to    Service pay/old port 81  (old.pay.svc.cluster.local), 1 endpoint\n"
                "route none: port 81 is not declared HTTP (its name or appProtocol), so it is bytes to the mesh\n"
                "  REFUSED  pay/old-1  10.0.3.1:81  on node-b\n           tunnel (HBONE, mTLS); refused by AuthorizationPolicy pay/no-admin\n"
                "=> refused\n");
}

static void requests_that_are_none(void **state)
{
    const struct arg_list bad = {{"no colon"}, 1};
    (void)state;
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.path = "a"}, "'a' is no path of a request");
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.path = "/%zz"}, "'/%zz' is no path of a request");
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.method = "A B"}, "'A B' is no method of a request");
    says_of("shop/web", "pay/old:80", &(struct explain_wish){.headers = &bad}, "'no colon' is no header (NAME: VALUE) of a request");
    says_of("shop/web", "pay/old-1:80", &(struct explain_wish){.path = "/"},
            "'pay/old-1:80' is no Service: only requests to Services have routes. Leave --method, --path, --host and --header out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(requests_of_a_namespace),
        cmocka_unit_test(requests_without_routes),
        cmocka_unit_test(requests_that_are_none),
        cmocka_unit_test(nothing_is_lost_on_the_way),
        cmocka_unit_test(a_service_with_a_policy_on_some),
        cmocka_unit_test(who_is_refused_and_why),
        cmocka_unit_test(what_is_not_in_the_mesh),
        cmocka_unit_test(what_is_not_seen),
        cmocka_unit_test(questions_that_are_none),
        cmocka_unit_test(as_json),
        cmocka_unit_test(dumps_that_are_none),
    };
    return cmocka_run_group_tests_name("ctl/explain", tests, open_mesh, close_mesh);
}
