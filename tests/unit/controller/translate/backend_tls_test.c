/*
 * BackendTLSPolicy: what clusters become by it, which one counts, what is said of it; and that nobody is spoken to in the clear by one that
 * can't be honoured.
 */
#include "controller/translate/backend_tls_attach.h"
#include "shared/xds/routing.h"
#include "tests/unit/controller/fixture.h"
#include "tests/unit/shared/tls/tls_fixture.h"

#define WEB "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: n}, spec: {ports: [{name: a, port: 80, appProtocol: http}, {name: b, port: 81}]}}\n---\n"
#define POLICY_AT(name, day, target, validation)                                                   \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: " name      \
    ", namespace: n, creationTimestamp: '2026-01-0" day "T00:00:00Z'}, spec: {targetRefs: [{group: '', kind: Service, name: " target "}], validation: {" validation "}}}\n---\n"
#define POLICY(validation) POLICY_AT("p", "1", "web", validation)
#define SYSTEM "hostname: web.example, wellKnownCACertificates: System"
#define MAP(name) "{group: '', kind: ConfigMap, name: " name "}"
#define MAPS(maps) "hostname: web.example, caCertificateRefs: [" maps "]"

static char root_pem[X509_PEM_MAX], root_map[3 * X509_PEM_MAX];
static size_t root_len;

static int set_up(void **state)
{
    char *out = root_map;
    (void)state;
    struct party root = root_make("root");
    assert_int_equal(x509_to_pem(&root.cert, root_pem, sizeof root_pem, &root_len), 0);
    out = stpcpy(out, "{apiVersion: v1, kind: ConfigMap, metadata: {name: good, namespace: n}, data: {ca.crt: \"");
    for (const char *c = root_pem; *c; c++)
        out = *c == '\n' ? stpcpy(out, "\\n") : (*out = *c, out + 1);
    (void)stpcpy(out, "\"}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: empty, namespace: n}, data: {}}\n---\n"
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: bad, namespace: n}, data: {ca.crt: x}}\n---\n");
    party_done(&root);
    return 0;
}

struct mesh {
    struct object_store store;
    struct view view;
    struct problems problems;
};

static void mesh_open(struct mesh *m, const char *yaml)
{
    object_store_init(&m->store);
    problems_init(&m->problems);
    fixture_load(&m->store, root_map);
    fixture_load(&m->store, yaml);
    assert_int_equal(view_open(&m->view, &m->store, &fixture_settings), 0);
}

static void mesh_close(struct mesh *m)
{
    view_close(&m->view);
    problems_done(&m->problems);
    object_store_done(&m->store);
}

/* "80: tls(web.example system http/1.1) 81: plain": as clusters are told. */
static const char *clusters(struct mesh *m)
{
    static char text[1024];
    struct text_out out = TEXT_OUT(text);
    struct resources all;
    struct problems problems;
    problems_init(&problems);
    assert_int_equal(translate(&m->store, &fixture_settings, &all, &problems), 0);
    for (size_t i = 0; i < all.n; i++) {
        char why[XDS_WHY_MAX];
        struct cluster *c;
        if (all.items[i]->type != XDS_CLUSTER)
            continue;
        assert_int_equal(xds_cluster_decode(all.items[i]->body, all.items[i]->body_len, &c, why), 0);
        const struct cluster_tls *t = &c->tls;
        text_printf(&out, "%.*s: ", 2, c->name.data + sizeof "outbound|" - 1);
        if (t->kind == TLS_NONE)
            text_printf(&out, "%s ", all.items[i]->by_name_only ? "plain" : "written");
        else if (!t->system_roots && !t->ca_pem.len)
            text_puts(&out, "closed ");
        else {
            text_printf(&out, "tls(%.*s %s%zu", (int)t->sni.len, t->sni.data, t->system_roots ? "system " : "roots ", t->ca_pem.len / root_len);
            for (size_t k = 0; k < t->n_sans; k++)
                text_printf(&out, " =%.*s", (int)t->sans[k].value.len, t->sans[k].value.data);
            if (t->n_alpn)
                text_printf(&out, " %.*s", (int)t->alpn[0].len, t->alpn[0].data);
            text_puts(&out, ") ");
        }
        cluster_unref(c);
    }
    resources_done(&all);
    problems_done(&problems);
    return text;
}

/* "Accepted ResolvedRefs", of the policy's targets, one after another. */
static const char *status(struct mesh *m, const char *name)
{
    static char text[1024];
    struct text_out out = TEXT_OUT(text);
    struct gateway_parent_status *all;
    size_t n;
    const struct object *policy = object_store_get(&m->store, OBJECT_BACKEND_TLS_POLICY, "n", name);
    assert_non_null(policy);
    assert_int_equal(backend_tls_status(&m->view, policy, &all, &n), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(all[i].accepted.holds, strcmp(all[i].accepted.reason, "Accepted") == 0);
        assert_int_equal(all[i].accepted.holds, all[i].accepted.message[0] == '\0');
        text_printf(&out, "%s%s %s", i > 0 ? ", " : "", all[i].accepted.reason, all[i].resolved.reason);
    }
    free(all);
    return text;
}

static void is(const char *yaml, const char *expected_clusters, const char *expected_status)
{
    struct mesh m;
    mesh_open(&m, yaml);
    assert_string_equal(clusters(&m), expected_clusters);
    if (expected_status)
        assert_string_equal(status(&m, "p"), expected_status);
    mesh_close(&m);
}

static void a_cluster_has_tls(void **state)
{
    (void)state;
    is(WEB, "80: plain 81: plain ", NULL);
    is(WEB POLICY(SYSTEM), "80: tls(web.example system 0 http/1.1) 81: tls(web.example system 0) ", "Accepted ResolvedRefs");
    is(WEB POLICY(MAPS(MAP("good"))), "80: tls(web.example roots 1 http/1.1) 81: tls(web.example roots 1) ", "Accepted ResolvedRefs");
    is(WEB POLICY(MAPS(MAP("good") "," MAP("good"))), "80: tls(web.example roots 2 http/1.1) 81: tls(web.example roots 2) ", "Accepted ResolvedRefs");
    is(WEB POLICY(SYSTEM ", subjectAltNames: [{type: Hostname, hostname: x.example}, {type: URI, uri: 'spiffe://x/y'}]"),
       "80: tls(web.example system 0 =x.example =spiffe://x/y http/1.1) 81: tls(web.example system 0 =x.example =spiffe://x/y) ", "Accepted ResolvedRefs");
    is(WEB POLICY_AT("p", "1", "web, sectionName: b", SYSTEM), "80: plain 81: tls(web.example system 0) ", "Accepted ResolvedRefs");
}

/* Nothing in the clear. */
static void what_can_not_be_honoured_is_closed(void **state)
{
    static const struct {
        const char *validation, *status;
    } cases[] = {
        {MAPS(MAP("missing")), "NoValidCACertificate InvalidCACertificateRef"},
        {MAPS(MAP("empty")), "NoValidCACertificate InvalidCACertificateRef"},
        {MAPS(MAP("bad")), "NoValidCACertificate InvalidCACertificateRef"},
        {MAPS("{group: '', kind: Secret, name: good}"), "NoValidCACertificate InvalidKind"},
        {SYSTEM ", caCertificateRefs: [" MAP("good") "]", "Invalid ResolvedRefs"},
        {"hostname: web.example", "Invalid ResolvedRefs"},
        {"hostname: '*.example', wellKnownCACertificates: System", "Invalid ResolvedRefs"},
        {SYSTEM ", subjectAltNames: [{type: Hostname, hostname: '*.example'}]", "Invalid ResolvedRefs"},
        {SYSTEM ", subjectAltNames: [{type: URI}]", "Invalid ResolvedRefs"},
        {SYSTEM ", more: x", "Invalid ResolvedRefs"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char yaml[4096];
        snprintf(yaml, sizeof yaml, "%s" POLICY("%s"), WEB, cases[i].validation);
        is(yaml, "80: closed 81: closed ", cases[i].status);
    }
    /* One good root is enough to judge by. */
    is(WEB POLICY(MAPS(MAP("missing") "," MAP("good"))), "80: tls(web.example roots 1 http/1.1) 81: tls(web.example roots 1) ", "Accepted InvalidCACertificateRef");
}

/* What can't be read at all closes what it names. */
static void what_can_not_be_read_is_closed(void **state)
{
    struct manifest f;
    struct problems problems;
    struct mesh m;
    (void)state;
    problems_init(&problems);
    mesh_open(&m, WEB);
    assert_int_equal(manifest_read("t.yaml", TEXT(POLICY("hostname: 5, wellKnownCACertificates: System")), &f, &problems), 0);
    assert_int_equal(f.n_objects, 0);
    assert_int_equal(f.n_instead, 1);
    assert_int_equal(object_store_put(&m.store, f.instead[0]), 0);
    assert_string_equal(clusters(&m), "80: closed 81: closed ");
    manifest_done(&f);
    problems_done(&problems);
    mesh_close(&m);
}

static void which_one_counts(void **state)
{
    struct mesh m;
    (void)state;
#define OTHER "hostname: other.example, wellKnownCACertificates: System"
    mesh_open(&m, WEB POLICY_AT("p", "2", "web", SYSTEM) POLICY_AT("q", "1", "web", OTHER) POLICY_AT("r", "3", "web, sectionName: b", MAPS(MAP("good")))
                     POLICY_AT("s", "3", "web, sectionName: c", SYSTEM) POLICY_AT("t", "3", "none", SYSTEM));
    assert_string_equal(clusters(&m), "80: tls(other.example system 0 http/1.1) 81: tls(web.example roots 1) ");
    assert_string_equal(status(&m, "p"), "Conflicted ResolvedRefs");
    assert_string_equal(status(&m, "q"), "Accepted ResolvedRefs");
    assert_string_equal(status(&m, "r"), "Accepted ResolvedRefs");
    assert_string_equal(status(&m, "s"), "TargetNotFound ResolvedRefs");
    assert_string_equal(status(&m, "t"), "TargetNotFound ResolvedRefs");
    mesh_close(&m);
    /* Of the same day by name; one that can't be honoured counts, too. */
    mesh_open(&m, WEB POLICY_AT("p", "1", "web", OTHER) POLICY_AT("o", "1", "web", MAPS(MAP("bad"))));
    assert_string_equal(clusters(&m), "80: closed 81: closed ");
    assert_string_equal(status(&m, "p"), "Conflicted ResolvedRefs");
    mesh_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_has_tls),
        cmocka_unit_test(what_can_not_be_honoured_is_closed),
        cmocka_unit_test(what_can_not_be_read_is_closed),
        cmocka_unit_test(which_one_counts),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
