/* HTTPS listeners: which certificate they show, why they are not served, and what their pods' nodes are told of it. */
#include "controller/translate/from_pod.h"
#include "controller/translate/ingress_attach.h"
#include "controller/translate/ingress_certificates.h"
#include "controller/translate/ingress_status.h"
#include "controller/translate/ingress_table.h"
#include "shared/tls/web_key.h"
#include "shared/xds/gateway.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/tls/tls_fixture.h"

#define LISTENER(tls) "{name: a, port: 443, protocol: HTTPS, hostname: shop.example, tls: {" tls "}}"
#define GATEWAY(listeners)                                                                         \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge, namespace: " \
    "shop}, spec: {gatewayClassName: weir, listeners: [" listeners "]}}\n---\n"
#define POD(name, account)                                                                         \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: shop, labels: "              \
    "{gateway.networking.k8s.io/gateway-name: edge}}, spec: {nodeName: n, serviceAccountName: "     \
    account "}, status: {phase: Running, podIP: 10.0.0.1}}\n---\n"
#define GRANT(kind, name)                                                                          \
    "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, "    \
    "namespace: keys}, spec: {from: [{group: gateway.networking.k8s.io, kind: " kind                \
    ", namespace: shop}], to: [{group: '', kind: Secret" name "}]}}\n---\n"

static char good_chain[2 * X509_PEM_MAX], good_key[2 * KEY_PEM_MAX], other_key[2 * KEY_PEM_MAX];

/* As it stands within a string of YAML. */
static void escape(const char *pem, char *out)
{
    for (; *pem; pem++) {
        if (*pem == '\n')
            *out++ = '\\';
        *out++ = *pem == '\n' ? 'n' : *pem;
    }
    *out = '\0';
}

static int set_up(void **state)
{
    static char pem[X509_PEM_MAX];
    size_t len;
    (void)state;
    struct party root = root_make("root"), leaf = leaf_make(ALICE, &root), other = leaf_make(BOB, &root);
    assert_int_equal(x509_to_pem(&leaf.cert, pem, sizeof pem, &len), 0);
    escape(pem, good_chain);
    assert_int_equal(key_to_pem(leaf.key, pem, sizeof pem, &len), 0);
    escape(pem, good_key);
    assert_int_equal(key_to_pem(other.key, pem, sizeof pem, &len), 0);
    escape(pem, other_key);
    party_done(&root);
    party_done(&leaf);
    party_done(&other);
    return 0;
}

struct mesh {
    struct object_store store;
    struct view view;
    struct problems problems;
    struct gateway_tables tables;
    const struct object *gateway;
};

static void mesh_open(struct mesh *m, const char *yaml, const char *ns, const char *type, const char *key)
{
    static char all[4 * X509_PEM_MAX];
    snprintf(all, sizeof all, "%s%s{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: %s}, type: %s, stringData: {tls.crt: \"%s\", tls.key: \"%s\"}}",
             "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {weir.mesh/enrolled: 'true'}}}\n---\n", yaml, ns, type,
             good_chain, key);
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

static void what_is_served(void **state)
{
    static const struct {
        const char *yaml, *ns, *type;
        const char *key; /* NULL: the good one */
        const char *refused, *unresolved, *says;
    } cases[] = {
        {GATEWAY(LISTENER("certificateRefs: [{name: cert}]")), "shop", "kubernetes.io/tls", NULL, NULL, NULL, ""},
        {GATEWAY(LISTENER("mode: Terminate, certificateRefs: [{group: '', kind: Secret, name: cert}]")), "shop", "kubernetes.io/tls", NULL, NULL, NULL, ""},
        {GATEWAY(LISTENER("certificateRefs: [{name: other}]")), "shop", "kubernetes.io/tls", NULL, NULL, "InvalidCertificateRef", "there is no such Secret"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert}]")), "shop", "Opaque", NULL, NULL, "InvalidCertificateRef", "kubernetes.io/tls"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert}]")), "shop", "kubernetes.io/tls", other_key, NULL, "InvalidCertificateRef", "for another key"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert}]")), "shop", "kubernetes.io/tls", "x", NULL, "InvalidCertificateRef", "tls.key: no private key"},
        {GATEWAY(LISTENER("certificateRefs: [{group: x.test, kind: Cert, name: cert}]")), "shop", "kubernetes.io/tls", NULL, NULL, "InvalidCertificateRef", "a Cert"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert, namespace: keys}]")), "keys", "kubernetes.io/tls", NULL, NULL, "RefNotPermitted", "no ReferenceGrant in keys"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert, namespace: keys}]")) GRANT("Gateway", ""), "keys", "kubernetes.io/tls", NULL, NULL, NULL, ""},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert, namespace: keys}]")) GRANT("Gateway", ", name: cert"), "keys", "kubernetes.io/tls", NULL, NULL, NULL, ""},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert, namespace: keys}]")) GRANT("Gateway", ", name: x"), "keys", "kubernetes.io/tls", NULL, NULL, "RefNotPermitted", ""},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert, namespace: keys}]")) GRANT("HTTPRoute", ""), "keys", "kubernetes.io/tls", NULL, NULL, "RefNotPermitted", ""},
        {GATEWAY(LISTENER("mode: Passthrough, certificateRefs: [{name: cert}]")), "shop", "kubernetes.io/tls", NULL, "UnsupportedValue", NULL, "Passthrough"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert}, {name: cert}]")), "shop", "kubernetes.io/tls", NULL, "UnsupportedValue", NULL, "one Secret"},
        {GATEWAY(LISTENER("")), "shop", "kubernetes.io/tls", NULL, "UnsupportedValue", NULL, "one Secret"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert}], options: {a: b}")), "shop", "kubernetes.io/tls", NULL, "UnsupportedValue", NULL, "options"},
        {GATEWAY(LISTENER("certificateRefs: [{name: cert}], frontendValidation: {}")), "shop", "kubernetes.io/tls", NULL, "UnsupportedValue", NULL, "frontendValidation"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct mesh m;
        char said[GATEWAY_MESSAGE_MAX];
        struct text_out out = TEXT_OUT(said);
        struct ingress_status s;
        mesh_open(&m, cases[i].yaml, cases[i].ns, cases[i].type, cases[i].key ? cases[i].key : good_key);
        const char *refused = ingress_listener_refused(m.gateway, 0, &out);
        const char *unresolved = refused ? NULL : ingress_certificate_refused(&m.view, m.gateway, 0, &out);
        if (!refused != !cases[i].refused || !unresolved != !cases[i].unresolved || !strstr(said, cases[i].says) ||
            (refused && strcmp(refused, cases[i].refused) != 0) || (unresolved && strcmp(unresolved, cases[i].unresolved) != 0))
            fail_msg("%zu: %s, %s: %s", i, refused ? refused : "-", unresolved ? unresolved : "-", said);
        bool served = !refused && !unresolved;
        assert_int_equal(m.tables.n, served);
        assert_int_equal(ingress_listener_serves(&m.view, m.gateway, 0), served);
        assert_int_equal(ingress_status(&m.view, m.gateway, &s), 0);
        assert_int_equal(s.listeners[0].programmed.holds, served);
        assert_int_equal(s.listeners[0].resolved.holds, !unresolved);
        assert_string_equal(s.accepted.reason, served ? "Accepted" : "ListenersNotValid");
        free(s.listeners);
        assert_int_equal(ingress_warn(&m.view, m.gateway, &m.problems), 0);
        assert_int_equal(m.problems.n > 0, !served);
        mesh_close(&m);
    }
}

static void what_its_nodes_are_told(void **state)
{
    static const char listeners[] = GATEWAY(LISTENER("certificateRefs: [{name: cert}]") ", {name: b, port: 8443, protocol: HTTPS, tls: "
                                            "{certificateRefs: [{name: none}]}}, {name: c, port: 80, protocol: HTTP}")
        POD("p", "front") POD("q", "front") POD("r", "back");
    struct gateway_certificates told;
    char why[XDS_WHY_MAX];
    struct resource *r;
    struct mesh m;
    (void)state;
    mesh_open(&m, listeners, "shop", "kubernetes.io/tls", good_key);
    const struct object *secret = object_store_get(&m.store, OBJECT_SECRET, "shop", "cert");
    assert_int_equal(ingress_certificates(&m.view, m.gateway, &r), 0);
    assert_int_equal(r->type, XDS_GATEWAY);
    assert_string_equal(r->name, "shop/edge");
    assert_int_equal(r->n_aliases, 2);
    assert_string_equal(r->aliases[0], "spiffe://td.example/ns/shop/sa/front");
    assert_string_equal(r->aliases[1], "spiffe://td.example/ns/shop/sa/back");
    assert_int_equal(xds_gateway_decode(r->body, r->body_len, &told, why), 0);
    assert_int_equal(told.n, 1);
    assert_int_equal(told.items[0].port, 443);
    assert_true(text_equal(told.items[0].host, TEXT("shop.example")));
    assert_true(text_equal(told.items[0].chain, text_of(secret->secret.chain)));
    assert_true(text_equal(told.items[0].key, web_key_der(secret->secret.key)));
    gateway_certificates_done(&told);
    resource_free(r);
    mesh_close(&m);
    /* Without a pod there is nobody to tell, and without HTTPS nothing. */
    mesh_open(&m, GATEWAY(LISTENER("certificateRefs: [{name: cert}]")), "shop", "kubernetes.io/tls", good_key);
    assert_int_equal(ingress_certificates(&m.view, m.gateway, &r), 0);
    assert_null(r);
    mesh_close(&m);
    mesh_open(&m, GATEWAY("{name: c, port: 80, protocol: HTTP}") POD("p", "front"), "shop", "kubernetes.io/tls", good_key);
    assert_int_equal(ingress_certificates(&m.view, m.gateway, &r), 0);
    assert_null(r);
    mesh_close(&m);
}

/* A listener of another kind at the same port, served or not, never makes its port one of plaintext. */
static void which_ports_are_tls(void **state)
{
    static const char https[] = LISTENER("certificateRefs: [{name: cert}]");
    static const char passed[] = "{name: t, port: 443, protocol: TLS, hostname: raw.example, tls: {mode: Passthrough}}";
    static const char plain[] = "{name: p, port: 80, protocol: HTTP}";
    const char *const orders[][3] = {{https, passed, plain}, {passed, https, plain}, {plain, passed, https}};
    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        char yaml[2000];
        struct mesh m;
        struct workload *w;
        snprintf(yaml, sizeof yaml, GATEWAY("%s, %s, %s") POD("p", "front"), orders[i][0], orders[i][1], orders[i][2]);
        mesh_open(&m, yaml, "shop", "kubernetes.io/tls", good_key);
        assert_int_equal(from_pod(&m.view, object_store_get(&m.store, OBJECT_POD, "shop", "p"), &w, &m.problems), 0);
        assert_int_equal(w->n_gateway_ports, 2);
        assert_true(workload_gateway_port(w, 443)->tls);
        assert_false(workload_gateway_port(w, 80)->tls);
        assert_int_equal(m.tables.n, 3); /* of HTTP, of HTTPS, of what passes */
        workload_free(w);
        mesh_close(&m);
    }
}

static void without_memory(void **state)
{
    struct mesh m;
    (void)state;
    mesh_open(&m, GATEWAY(LISTENER("certificateRefs: [{name: cert}]")) POD("p", "front"), "shop", "kubernetes.io/tls", good_key);
    for (long n = 0;; n++) {
        struct resource *r = NULL;
        alloc_fail_at(n);
        int err = ingress_certificates(&m.view, m.gateway, &r);
        bool failed = alloc_failed();
        resource_free(r);
        if (!failed) {
            assert_int_equal(err, 0);
            assert_true(n > 3);
            break;
        }
        assert_int_equal(err, -ENOMEM);
    }
    mesh_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_served),
        cmocka_unit_test(what_its_nodes_are_told),
        cmocka_unit_test(which_ports_are_tls),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
