#include "controller/model/object_read.h"
#include "shared/mesh/string_match.h"
#include "shared/yaml/yaml.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int read_one(const char *yaml, struct object **ret, struct object_identity *identity,
                    struct json_error *error)
{
    struct yaml_documents documents;
    assert_int_equal(yaml_parse(text_of(yaml), NULL, &documents), 0);
    assert_int_equal(documents.n, 1);
    assert_non_null(documents.items[0].root);
    int r = object_read(documents.items[0].root, "x.yaml", ret, identity, error);
    yaml_documents_done(&documents);
    return r;
}

static struct object *read_good(const char *yaml)
{
    struct object *o = NULL;
    struct object_identity identity;
    struct json_error error;
    int r = read_one(yaml, &o, &identity, &error);
    if (r < 0)
        fail_msg("%d: %s", r, error.text);
    assert_true(identity.known);
    return o;
}

#define POD     "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n}\n"
#define SERVICE "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
#define SLICE   "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\n"
#define POLICY  "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\n"
#define VIRTUAL "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\n"
#define RULE    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\n"
#define PEER    "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\n"

static const struct {
    const char *yaml;
    unsigned line;
    const char *text; /* all of it */
} wrong[] = {
    {"[1]", 1, "a document must be an object with apiVersion, kind and metadata, and is an array"},
    {"apiVersion: v1\nmetadata: {name: x}", 1, "kind is missing or no string"},
    {"kind: Pod\napiVersion: 1", 1, "apiVersion is missing or no string"},
    {"apiVersion: v2\nkind: Pod\nmetadata: {name: x}", 1,
     "apiVersion: 'v2' is not supported; write v1"},
    {"kind: PeerAuthentication\napiVersion: security.istio.io/v1alpha1", 2,
     "apiVersion: 'security.istio.io/v1alpha1' is not supported; write security.istio.io/v1"},
    {"apiVersion: v1\nkind: Pod", 1, "metadata.name is missing or no string"},
    {"apiVersion: v1\nkind: Pod\nmetadata: {namespace: n}", 3,
     "metadata: name is missing or no string"},
    {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: A_b", 4,
     "metadata.name: 'A_b' must be 1 to 253 of a-z, 0-9, '-' and '.', with a letter or digit "
     "around each '.'"},
    {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: x.y", 5,
     "metadata.namespace: 'x.y' must be 1 to 63 of a-z, 0-9 and '-', with no '-' at either end"},
    {"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {weir.mesh/enrolled: true}",
     5,
     "metadata.labels[\"weir.mesh/enrolled\"]: is true or false and must be a string: put it into "
     "quotes"},
    {"apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n  creationTimestamp: yesterday", 5,
     "metadata.creationTimestamp: 'yesterday' is no time such as 2026-01-31T12:00:00Z"},
    {POD "spec: {hostNetwork: \"true\"}", 4,
     "spec.hostNetwork: is a string and must be true or false: write it without quotes"},
    {POD "spec: {serviceAccountName: A}", 4,
     "spec: serviceAccountName 'A' must be 1 to 253 of a-z, 0-9, '-' and '.', with a letter or "
     "digit around each '.'"},
    {POD "spec:\n  containers:\n  - ports:\n    - {name: x}", 7,
     "spec.containers[0].ports[0]: containerPort is missing"},
    {POD "spec:\n  containers:\n  - ports:\n    - containerPort: 0", 7,
     "spec.containers[0].ports[0].containerPort: 0 is not in 1 to 65535"},
    {POD "status:\n  podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.256}]", 5,
     "status.podIPs[1].ip: '10.0.0.256' is no IP address, such as 10.1.2.3 or fd00::1"},
    {POD "status:\n  podIP: here", 5,
     "status.podIP: 'here' is no IP address, such as 10.1.2.3 or fd00::1"},
    {SERVICE "spec:\n  ports:\n  - port: 70000", 6,
     "spec.ports[0].port: 70000 is not in 1 to 65535"},
    {SERVICE "spec:\n  ports:\n  - {name: http}", 6, "spec.ports[0]: port is missing"},
    {SERVICE "spec:\n  ports: [{port: 80}, {port: 80, name: b}]", 5,
     "spec.ports[1]: port 80 is there twice"},
    {SERVICE "spec:\n  ports:\n  - port: 80\n    targetPort: \"a b\"", 7,
     "spec.ports[0].targetPort: 'a b' is neither a port number nor a port's name"},
    {SERVICE "spec:\n  clusterIP: 10.0.0", 5,
     "spec.clusterIP: '10.0.0' is no IP address, such as 10.1.2.3 or fd00::1"},
    {SERVICE "spec:\n  selector: [a]", 5, "spec.selector: is an array and must be an object"},
    {"apiVersion: v1\nkind: Service\nmetadata: {name: a.b}", 3,
     "metadata.name: 'a.b' must be 1 to 63 of a-z, 0-9 and '-', with no '-' at either end"},
    {SLICE "endpoints:\n- conditions: {ready: true}", 5,
     "endpoints[0]: addresses is missing or empty"},
    {SLICE "endpoints:\n- addresses: [x]", 5,
     "endpoints[0].addresses[0]: 'x' is no IP address, such as 10.1.2.3 or fd00::1"},
    {POLICY "spec:\n  rule: []", 5, "spec.rule: is not known here; did you mean rules?"},
    {POLICY "spec:\n  zzzzzzzzzzz: []", 5, "spec.zzzzzzzzzzz: is not known here; remove it"},
    {POLICY "spec:\n  action: CUSTOM", 5,
     "spec.action: CUSTOM (an external authorizer) is not supported: use ALLOW or DENY"},
    {POLICY "spec:\n  action: Deny", 5, "spec.action: 'Deny' is not one of ALLOW, DENY, AUDIT"},
    {POLICY "spec:\n  action: DENY", 5,
     "spec: a DENY without rules denies nothing: add a rule ({} matches everything)"},
    {POLICY "spec:\n  targetRefs: [{kind: Service, name: x}]", 5,
     "spec.targetRefs: is not supported: attach the policy to workloads with selector, or to the "
     "whole namespace"},
    {POLICY "spec:\n  rules: [null]", 5, "spec.rules[0]: must be an object; {} matches everything"},
    {POLICY "spec:\n  rules:\n  - from: []", 6,
     "spec.rules[0].from: is empty; leave it out to match everything"},
    {POLICY "spec:\n  rules:\n  - from:\n    - sources: {}", 7,
     "spec.rules[0].from[0].sources: is not known here; did you mean source?"},
    {POLICY "spec:\n  rules:\n  - from:\n    - source: {}", 7,
     "spec.rules[0].from[0].source: is empty; to match every source leave out from"},
    {POLICY "spec:\n  rules:\n  - from:\n    - source: {principal: [a]}", 7,
     "spec.rules[0].from[0].source.principal: is not known here; did you mean principals?"},
    {POLICY "spec:\n  rules:\n  - from:\n    - source: {principals: [\"\"]}", 7,
     "spec.rules[0].from[0].source.principals[0]: is empty and would match nothing: remove it, or "
     "write a value"},
    {POLICY "spec:\n  rules:\n  - from:\n    - source: {ipBlocks: [10.0.0.0/33]}", 7,
     "spec.rules[0].from[0].source.ipBlocks[0]: '10.0.0.0/33' is neither an address nor a range "
     "such as 10.0.0.0/8"},
    {POLICY "spec:\n  rules:\n  - from:\n    - source: {serviceAccounts: [\"*\"]}", 7,
     "spec.rules[0].from[0].source.serviceAccounts[0]: '*' is no service account: write 'name' or "
     "'namespace/name', without '*'"},
    {POLICY "spec:\n  rules:\n  - from:\n    - source: {serviceAccounts: [a], namespaces: [b]}", 7,
     "spec.rules[0].from[0].source: serviceAccounts can't be mixed with principals or namespaces: "
     "write two sources"},
    {POLICY "spec:\n  rules:\n  - to:\n    - operation: {ports: [8080]}", 7,
     "spec.rules[0].to[0].operation.ports[0]: is a number and must be a string: put it into "
     "quotes"},
    {POLICY "spec:\n  rules:\n  - to:\n    - operation: {ports: [\"http\"]}", 7,
     "spec.rules[0].to[0].operation.ports[0]: 'http' is no port: write a number from 1 to 65535 in "
     "quotes"},
    {POLICY "spec:\n  rules:\n  - when:\n    - {key: source.ports, values: [\"1\"]}", 7,
     "spec.rules[0].when[0].key: 'source.ports' is not a condition; there are "
     "source.ip, source.namespace, "
     "source.principal, source.serviceAccount, destination.ip, destination.port, "
     "request.headers[name]"},
    {POLICY "spec:\n  rules:\n  - to:\n    - operation: {notPaths: [/a, \"/{**}/b/{*}\"]}", 7,
     "spec.rules[0].to[0].operation.notPaths[1]: '/{**}/b/{*}' is no path template: {**} must be "
     "the "
     "last operator"},
    {POLICY "spec:\n  rules:\n  - when:\n    - {key: source.ip}", 7,
     "spec.rules[0].when[0]: values and notValues are both empty"},
    {POLICY "spec:\n  rules:\n  - when:\n    - {values: [a]}", 7,
     "spec.rules[0].when[0]: key is missing"},
    {POLICY "spec:\n  selector: {matchExpressions: []}", 5,
     "spec.selector.matchExpressions: is not known here; remove it"},
    {"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: a\n  "
     "annotations: {istio.io/dry-run: \"yes\"}",
     5, "metadata.annotations[\"istio.io/dry-run\"]: 'yes' must be 'true' or 'false'"},
    {"apiVersion: networking.istio.io/v1alpha1\nkind: VirtualService\nmetadata: {name: x}", 1,
     "apiVersion: 'networking.istio.io/v1alpha1' is not supported; write networking.istio.io/v1"},
    {VIRTUAL, 1, "spec is missing"},
    {VIRTUAL "spec: {hosts: [1]}", 4, "spec.hosts[0]: must be a string"},
    {VIRTUAL "spec: {hosts: [a], http: [1]}", 4, "spec.http[0]: must be an object"},
    {VIRTUAL "spec: {hosts: [a], http: [{match: [{uri: x}]}]}", 4,
     "spec.http[0].match[0].uri: must be an object with exact, prefix or regex"},
    {VIRTUAL "spec: {hosts: [a], http: [{route: [{}]}]}", 4,
     "spec.http[0].route[0]: destination is missing"},
    {VIRTUAL "spec: {hosts: [a], http: [{redirect: {port: 0}}]}", 4,
     "spec.http[0].redirect.port: 0 is not in 1 to 65535"},
    {RULE, 1, "spec is missing"},
    {RULE "spec: {host: a, subsets: [1]}", 4, "spec.subsets[0]: must be an object"},
    {PEER "spec:\n  mtls: {mode: strict}", 5,
     "spec.mtls.mode: 'strict' is not one of UNSET, DISABLE, PERMISSIVE, STRICT"},
    {PEER "spec:\n  portLevelMtls:\n    http: {mode: STRICT}", 6,
     "spec.portLevelMtls.http: is no port: write a number from 1 to 65535"},
    {PEER "spec:\n  portLevelMtls:\n    80: STRICT", 6,
     "spec.portLevelMtls.80: must be an object such as {mode: STRICT}"},
    {PEER "spec:\n  mode: STRICT", 5, "spec.mode: is not known here; did you mean mtls?"},
};

static void errors_name_line_and_field(void **state)
{
    size_t bad = 0;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct object *o = NULL;
        struct object_identity identity;
        struct json_error error;
        int r = read_one(wrong[i].yaml, &o, &identity, &error);
        if (r != -EINVAL || error.line != wrong[i].line || strcmp(error.text, wrong[i].text) != 0)
            bad++, print_error("case %zu: %d, line %u: %s\nwanted line %u: %s\n", i, r, error.line,
                               error.text, wrong[i].line, wrong[i].text);
        assert_null(o);
    }
    assert_int_equal(bad, 0);
}

static void identity_of_bad_documents(void **state)
{
    (void)state;
    struct object *o = NULL;
    struct object_identity identity;
    struct json_error error;
    assert_int_equal(read_one(SERVICE "spec: {ports: 3}", &o, &identity, &error), -EINVAL);
    assert_true(identity.known);
    assert_int_equal(identity.kind, OBJECT_SERVICE);
    assert_string_equal(identity.ns, "default");
    assert_string_equal(identity.name, "s");
    assert_int_equal(read_one("apiVersion: v1\nkind: Pod\nmetadata: {}", &o, &identity, &error),
                     -EINVAL);
    assert_false(identity.known);
    /* Another group's Service is none of ours. */
    assert_int_equal(
        read_one("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}", &o,
                 &identity, &error),
        -ENOENT);
    assert_string_equal(identity.api_kind, "serving.knative.dev/v1 Service");
    assert_null(o);
}

static void reads_a_pod(void **state)
{
    (void)state;
    struct object *o =
        read_good("apiVersion: v1\n"
                  "kind: Pod\n"
                  "metadata:\n"
                  "  name: web-5\n"
                  "  namespace: shop\n"
                  "  creationTimestamp: 2026-01-31T13:30:00.5+01:30\n"
                  "  deletionTimestamp: 2026-01-31T13:30:00Z\n"
                  "  labels: {app: web}\n"
                  "  ownerReferences:\n"
                  "  - {kind: Other, name: o}\n"
                  "  - {kind: ReplicaSet, name: web-1, controller: true}\n"
                  "spec:\n"
                  "  serviceAccountName: web\n"
                  "  nodeName: node-a\n"
                  "  hostNetwork: true\n"
                  "  initContainers:\n"
                  "  - ports: [{name: gone, containerPort: 1}]\n"
                  "  - {restartPolicy: Always, ports: [{name: side, containerPort: 2}]}\n"
                  "  containers:\n"
                  "  - ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, "
                  "protocol: UDP}]\n"
                  "status:\n"
                  "  phase: Running\n"
                  "  podIP: 10.0.0.1\n"
                  "  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]\n"
                  "  conditions: [{type: Ready, status: \"False\"}]\n");
    assert_int_equal(o->kind, OBJECT_POD);
    assert_int_equal(o->line, 1);
    assert_string_equal(o->file, "x.yaml");
    assert_int_equal(o->created_s, 1769860800); /* 2026-01-31T12:00:00Z */
    assert_true(o->deleting);
    assert_string_equal(labels_get(&o->labels, "app"), "web");
    assert_null(labels_get(&o->labels, "ap"));
    assert_string_equal(o->pod.service_account, "web");
    assert_string_equal(o->pod.owner_name, "web-1");
    assert_int_equal(o->pod.n_ips, 2);
    assert_int_equal(o->pod.n_ports, 2);
    assert_string_equal(o->pod.ports[0].name, "http");
    assert_string_equal(o->pod.ports[1].name, "side");
    assert_true(o->pod.host_network);
    assert_false(o->pod.ready);
    assert_false(o->pod.over);
    object_unref(o);
    o = read_good(POD);
    assert_string_equal(o->pod.service_account, "default");
    assert_true(o->pod.ready);
    assert_int_equal(o->pod.n_ips, 0);
    object_unref(o);
    o = read_good(POD "spec:\nstatus: {phase: Failed, podIP: 10.0.0.9}");
    assert_true(o->pod.over);
    assert_int_equal(o->pod.n_ips, 1);
    object_unref(o);
}

static void reads_a_service(void **state)
{
    (void)state;
    static const struct {
        const char *port;
        uint8_t protocol;
    } protocols[] = {
        {"{port: 1, name: http}", 1},
        {"{port: 1, name: HTTP-web}", 1},
        {"{port: 1, name: http2-x}", 2},
        {"{port: 1, name: grpc}", 3},
        {"{port: 1, name: grpc-web-x}", 0},
        {"{port: 1, name: tcp-x}", 4},
        {"{port: 1, name: tls}", 5},
        {"{port: 1, name: https}", 5},
        {"{port: 1, name: mysql}", 0},
        {"{port: 3306}", 4},
        {"{port: 3306, name: mysql}", 0},
        {"{port: 1}", 0},
        {"{port: 1, name: http, appProtocol: kubernetes.io/h2c}", 2},
        {"{port: 1, name: http, appProtocol: tcp}", 4},
        {"{port: 1, appProtocol: kubernetes.io/wss}", 5},
    };
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        char yaml[256];
        struct text_out out = TEXT_OUT(yaml);
        text_printf(&out, SERVICE "spec: {ports: [%s]}", protocols[i].port);
        struct object *o = read_good(yaml);
        if (o->service.ports[0].app_protocol != protocols[i].protocol)
            fail_msg("%s: %d", protocols[i].port, o->service.ports[0].app_protocol);
        object_unref(o);
    }
    struct object *o = read_good(SERVICE "spec:\n"
                                         "  clusterIPs: [10.96.0.1, 'fd00::1']\n"
                                         "  ipFamilies: [IPv4, IPv6]\n"
                                         "  internalTrafficPolicy: Local\n"
                                         "  trafficDistribution: PreferClose\n"
                                         "  publishNotReadyAddresses: true\n"
                                         "  selector: {app: web}\n"
                                         "  ports:\n"
                                         "  - {name: a, port: 80, targetPort: http}\n"
                                         "  - {name: b, port: 81, targetPort: \"8081\"}\n"
                                         "  - {name: c, port: 53, protocol: UDP}\n"
                                         "  - {name: d, port: 82}\n");
    assert_int_equal(o->service.n_addresses, 2);
    assert_int_equal(o->service.ip_families, 3);
    assert_int_equal(o->service.n_ports, 3);
    assert_string_equal(o->service.ports[0].target_name, "http");
    assert_int_equal(o->service.ports[1].target, 8081);
    assert_int_equal(o->service.ports[2].target, 82);
    assert_true(o->service.internal_local && o->service.publish_not_ready);
    assert_int_equal(o->service.distribution, TRAFFIC_SAME_ZONE);
    object_unref(o);
    o = read_good(SERVICE "spec: {clusterIP: None}");
    assert_int_equal(o->service.n_addresses, 0);
    object_unref(o);
}

/* As long as a node takes it, and not longer. */
static void long_values_of_a_policy(void **state)
{
    char yaml[2 * STRING_MATCH_MAX];
    struct object *o = NULL;
    struct object_identity identity;
    struct json_error error;
    (void)state;
    for (int len = STRING_MATCH_MAX; len <= STRING_MATCH_MAX + 1; len++) {
        snprintf(yaml, sizeof yaml,
                 POLICY "spec:\n  rules:\n  - to: [{operation: {paths: [/a, '/%0*d']}}]\n", len - 1,
                 0);
        assert_int_equal(read_one(yaml, &o, &identity, &error) < 0, len > STRING_MATCH_MAX);
        if (len <= STRING_MATCH_MAX)
            object_unref(o);
    }
    assert_non_null(strstr(error.text, "operation.paths[1]: is longer than 1024 bytes"));
}

static void reads_a_policy(void **state)
{
    (void)state;
    struct object *o = read_good(
        POLICY "spec:\n"
               "  selector: {matchLabels: {app: cart}}\n"
               "  action: DENY\n"
               "  rules:\n"
               "  - from:\n"
               "    - source: {namespaces: [a, \"b*\"], notIpBlocks: [10.0.0.0/8, \"fd00::1\"]}\n"
               "    to: [{operation: {ports: [\"80\"], paths: [/x]}}]\n"
               "    when: [{key: destination.port, values: [\"81\"]}, {key: "
               "\"request.headers[x]\", values: [a]}]\n"
               "  - {}\n");
    const struct authorization_policy *p = &o->authorization;
    assert_int_equal(p->action, AUTHORIZATION_DENY);
    assert_int_equal(p->n_rules, 2);
    assert_int_equal(p->rules[0].line, 8);
    assert_int_equal(p->rules[0].from[0].namespaces.n, 2);
    assert_int_equal(p->rules[0].from[0].not_ips.n, 2);
    assert_string_equal(p->rules[0].to[0].of_request, "paths");
    assert_string_equal(p->rules[0].to[0].paths.items[0], "/x");
    assert_int_equal(p->rules[0].to[0].ports.items[0], 80);
    assert_int_equal(p->rules[0].when[0].ports.items[0], 81);
    assert_int_equal(p->rules[0].when[1].key, CONDITION_REQUEST_HEADER);
    assert_string_equal(p->rules[0].when[1].header, "x");
    assert_int_equal(p->rules[1].n_from, 0);
    object_unref(o);
    o = read_good(POLICY "spec:\n"
                         "  rules:\n"
                         "  - when: [{key: \"request.headers[Upgrade]\", values: [a]}, {key: "
                         "\"request.headers[Transfer-Encoding]\", values: [a]}]\n");
    assert_int_equal(o->authorization.rules[0].when[0].key, CONDITION_REQUEST_HEADER);
    assert_string_equal(o->authorization.rules[0].when[0].header, "upgrade");
    assert_int_equal(o->authorization.rules[0].when[1].key, CONDITION_BEYOND);
    object_unref(o);
    o = read_good("apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\n"
                  "metadata: {name: a, annotations: {istio.io/dry-run: \"true\"}}\nspec: {}");
    assert_int_equal(o->authorization.action, AUTHORIZATION_ALLOW);
    assert_int_equal(o->authorization.n_rules, 0);
    assert_true(o->authorization.dry_run);
    object_unref(o);
    o = read_good(PEER "spec: {selector: {matchLabels: {a: b}}, portLevelMtls: {9000: {mode: "
                       "STRICT}, 80: {}, \"443\": {mode: DISABLE}}}");
    assert_int_equal(o->peer.n_ports, 3);
    assert_int_equal(o->peer.ports[0].port, 80);
    assert_int_equal(o->peer.ports[0].mode, PEER_UNSET);
    assert_int_equal(o->peer.ports[2].mode, PEER_STRICT);
    object_unref(o);
}

static void selectors(void **state)
{
    (void)state;
    const struct object_label ab[] = {{"a", "1"}, {"b", "2"}};
    const struct labels both = {ab, 2}, one = {ab, 1}, none = {NULL, 0};
    assert_true(labels_select(&none, &both));
    assert_true(labels_select(&one, &both));
    assert_true(labels_select(&both, &both));
    assert_false(labels_select(&both, &one));
    const struct object_label other[] = {{"a", "2"}};
    assert_false(labels_select(&(struct labels){other, 1}, &both));
}

/* An object in an event of an API server: its fields are its own. */
static void a_part_of_an_event(void **state)
{
    struct yaml_documents documents;
    struct object *o = NULL;
    struct object_identity identity;
    struct json_error error;
    const char *yaml = "object:\n  apiVersion: networking.istio.io/v1\n  kind: VirtualService\n"
                       "  metadata: {name: a}\n  spec: {hosts: [b], http: [{x: 1}], y: 2}\n";
    (void)state;
    assert_int_equal(yaml_parse(text_of(yaml), NULL, &documents), 0);
    const struct json *document = json_member(documents.items[0].root, TEXT("object"));
    assert_int_equal(object_read(document, "", &o, &identity, &error), 0);
    assert_string_equal(o->virtual_service.flaw.text, "spec.y: is not supported");
    assert_string_equal(o->virtual_service.rules[0].flaw.text, "spec.http[0].x: is not supported");
    object_unref(o);
    yaml_documents_done(&documents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_line_and_field),
        cmocka_unit_test(identity_of_bad_documents),
        cmocka_unit_test(reads_a_pod),
        cmocka_unit_test(reads_a_service),
        cmocka_unit_test(reads_a_policy),
        cmocka_unit_test(long_values_of_a_policy),
        cmocka_unit_test(selectors),
        cmocka_unit_test(a_part_of_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
