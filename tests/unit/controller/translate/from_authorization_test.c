/* AuthorizationPolicies as access policies, for whoever sees bytes and for whoever sees requests,
 * against a naive reading of the manifests, on random ones. */
#include "controller/translate/from_authorization.h"
#include "shared/base/rng.h"
#include "tests/unit/controller/fixture.h"
#include <inttypes.h>

enum { ROUNDS = 4000, ACCESSES = 12 };
static const char *const principals[] = {"td.example/ns/shop/sa/web", "td.example/ns/shop/*",
                                         "*/sa/web", "*", "other/ns/a/sa/b"};
static const char *const namespaces[] = {"shop", "sh*", "*cy", "*", "legacy"};
static const char *const accounts[] = {"web", "shop/cart", "legacy/web", "cart"};
static const char *const blocks[] = {"10.0.0.0/8", "10.1.2.3", "fd00::/16", "192.0.2.0/24"};
static const char *const port_texts[] = {"80", "443", "8080"};
static const char *const methods[] = {"GET", "P*", "DELETE"};
static const char *const paths[] = {"/a", "/a/*", "*/c", "/{*}/b", "/a/{**}"};
static const char *const hosts[] = {"shop.example", "*.example", "orders:80", "*"};
static const char *const headers[] = {"one", "t*", "*"};

/* `not` and `yes` are masks of the values above. */
struct field {
    unsigned yes, no;
};
struct written_source {
    struct field principals, namespaces, accounts, ips;
    bool beyond;
};
struct written_operation {
    struct field ports, methods, paths, hosts;
};
struct written_condition {
    /* 0 ip, 1 namespace, 2 principal, 3 destination port, 4 destination ip, 5 account, 6 beyond,
     * 7 a header, 8 Host */
    unsigned key;
    struct field values;
};
struct written_rule {
    struct written_source from[2];
    struct written_operation to[2];
    struct written_condition when[2];
    unsigned n_from, n_to, n_when;
};
struct written {
    bool deny;
    struct written_rule rules[3];
    unsigned n_rules;
};

static void put_list(struct text_out *out, const char *name, const char *const *values, size_t n,
                     unsigned mask)
{
    if (!mask)
        return;
    text_printf(out, "%s: [", name);
    for (size_t i = 0; i < n; i++)
        if (mask & 1u << i)
            text_printf(out, "'%s', ", values[i]);
    text_puts(out, "], ");
}

static struct field pick(struct rng *rng, size_t n)
{
    struct field f = {0};
    if (rng_below(rng, 3) == 0)
        f.yes = (unsigned)rng_below(rng, 1u << n);
    if (rng_below(rng, 5) == 0)
        f.no = (unsigned)rng_below(rng, 1u << n);
    return f;
}

static void put_field(struct text_out *out, const char *yes, const char *no,
                      const char *const *values, size_t n, struct field f)
{
    put_list(out, yes, values, n, f.yes);
    put_list(out, no, values, n, f.no);
}

#define SET(array) (array), sizeof(array) / sizeof *(array)

static void write_source(struct rng *rng, struct written_source *s, struct text_out *out)
{
    *s = (struct written_source){.ips = pick(rng, 4), .beyond = rng_below(rng, 8) == 0};
    if (rng_below(rng, 3) == 0)
        s->accounts = pick(rng, 4);
    else {
        s->principals = pick(rng, 5);
        s->namespaces = pick(rng, 5);
    }
    const struct field *all[] = {&s->ips, &s->accounts, &s->principals, &s->namespaces};
    bool empty = !s->beyond;
    for (size_t i = 0; i < 4; i++)
        empty = empty && !all[i]->yes && !all[i]->no;
    if (empty)
        s->ips.yes = 1;
    text_puts(out, "{source: {");
    put_field(out, "principals", "notPrincipals", SET(principals), s->principals);
    put_field(out, "namespaces", "notNamespaces", SET(namespaces), s->namespaces);
    put_field(out, "serviceAccounts", "notServiceAccounts", SET(accounts), s->accounts);
    put_field(out, "ipBlocks", "notIpBlocks", SET(blocks), s->ips);
    text_printf(out, "%s}}, ", s->beyond ? "requestPrincipals: ['*']" : "");
}

static bool of_request(const struct written_operation *o)
{
    return o->methods.yes || o->methods.no || o->paths.yes || o->paths.no || o->hosts.yes ||
           o->hosts.no;
}

static void write_operation(struct rng *rng, struct written_operation *o, struct text_out *out)
{
    *o = (struct written_operation){.ports = pick(rng, 3)};
    if (rng_below(rng, 3) == 0) {
        o->methods = pick(rng, 3);
        o->paths = pick(rng, 5);
        o->hosts = pick(rng, 4);
    }
    if (!of_request(o) && !o->ports.yes && !o->ports.no)
        o->ports.no = 2;
    text_puts(out, "{operation: {");
    put_field(out, "ports", "notPorts", SET(port_texts), o->ports);
    put_field(out, "methods", "notMethods", SET(methods), o->methods);
    put_field(out, "paths", "notPaths", SET(paths), o->paths);
    put_field(out, "hosts", "notHosts", SET(hosts), o->hosts);
    text_puts(out, "}}, ");
}

static const struct {
    const char *key;
    const char *const *values;
    size_t n;
} conditions[] = {
    {"source.ip", SET(blocks)},
    {"source.namespace", SET(namespaces)},
    {"source.principal", SET(principals)},
    {"destination.port", SET(port_texts)},
    {"destination.ip", SET(blocks)},
    {"source.serviceAccount", SET(accounts)},
    {"request.auth.claims[x]", SET(accounts)},
    {"request.headers[X-A]", SET(headers)},
    {"request.headers[host]", SET(hosts)},
};

static void write_condition(struct rng *rng, struct written_condition *c, struct text_out *out)
{
    *c = (struct written_condition){.key = (unsigned)rng_below(rng, 9)};
    c->values = pick(rng, conditions[c->key].n);
    if (!c->values.yes && !c->values.no)
        c->values.yes = 3;
    text_printf(out, "{key: '%s', ", conditions[c->key].key);
    put_field(out, "values", "notValues", conditions[c->key].values, conditions[c->key].n,
              c->values);
    text_puts(out, "}, ");
}

static void write_policy(struct rng *rng, struct written *p, struct text_out *out)
{
    *p = (struct written){.deny = rng_below(rng, 2), .n_rules = 1 + (unsigned)rng_below(rng, 3)};
    text_printf(out,
                "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p, "
                "namespace: shop}, spec: {action: %s, rules: [",
                p->deny ? "DENY" : "ALLOW");
    for (unsigned i = 0; i < p->n_rules; i++) {
        struct written_rule *r = &p->rules[i];
        *r = (struct written_rule){.n_from = (unsigned)rng_below(rng, 3),
                                   .n_to = (unsigned)rng_below(rng, 3),
                                   .n_when = (unsigned)rng_below(rng, 3)};
        text_puts(out, "{");
        for (unsigned j = 0; j < r->n_from; j++) {
            text_puts(out, j ? "" : "from: [");
            write_source(rng, &r->from[j], out);
        }
        text_puts(out, r->n_from ? "], " : "");
        for (unsigned j = 0; j < r->n_to; j++) {
            text_puts(out, j ? "" : "to: [");
            write_operation(rng, &r->to[j], out);
        }
        text_puts(out, r->n_to ? "], " : "");
        for (unsigned j = 0; j < r->n_when; j++) {
            text_puts(out, j ? "" : "when: [");
            write_condition(rng, &r->when[j], out);
        }
        text_puts(out, r->n_when ? "]}, " : "}, ");
    }
    text_puts(out, "]}}");
    assert_false(out->overflow);
}

/* ---- The naive reading ---------------------------------------------------------------------- */

static bool text_fits(const char *pattern, struct text value)
{
    size_t len = strlen(pattern);
    if (value.len == 0)
        return false;
    if (strcmp(pattern, "*") == 0)
        return true;
    if (pattern[0] == '*')
        return value.len >= len - 1 &&
               memcmp(value.data + value.len - (len - 1), pattern + 1, len - 1) == 0;
    if (pattern[len - 1] == '*')
        return value.len >= len - 1 && memcmp(value.data, pattern, len - 1) == 0;
    return value.len == len && memcmp(value.data, pattern, len) == 0;
}

static bool value_fits(unsigned key, const char *pattern, const struct access *a)
{
    struct prefix prefix;
    const struct spiffe_id none = {0}, *id = a->identity ? a->identity : &none;
    char account[600];
    switch (key) {
    case 0:
    case 4:
        assert_int_equal(prefix_parse(text_of(pattern), &prefix), 0);
        return prefix_contains(&prefix, key == 0 ? &a->source : &a->destination);
    case 1:
        return a->identity && text_fits(pattern, spiffe_id_namespace(id));
    case 2:
        return text_fits(pattern, spiffe_id_principal(id));
    case 3:
        return (uint16_t)strtoul(pattern, NULL, 10) == a->destination_port;
    default: {
        struct text_out out = TEXT_OUT(account);
        text_printf(&out, "%s%s", strchr(pattern, '/') ? "" : "shop/", pattern);
        char own[600];
        struct text_out mine = TEXT_OUT(own);
        if (!a->identity)
            return false;
        text_put(&mine, spiffe_id_namespace(id));
        text_putc(&mine, '/');
        text_put(&mine, spiffe_id_service_account(id));
        return strcmp(own, account) == 0;
    }
    }
}

static bool field_fits(unsigned key, struct field f, const struct access *a)
{
    bool any = f.yes == 0;
    for (unsigned i = 0; i < conditions[key].n; i++) {
        bool fits = ((f.yes | f.no) & 1u << i) && value_fits(key, conditions[key].values[i], a);
        if (fits && (f.no & 1u << i))
            return false;
        any = any || (fits && (f.yes & 1u << i));
    }
    return any;
}

/* What can't be evaluated: true in a DENY (it denies more), false in an ALLOW. */
static bool rule_fits(const struct written_rule *r, bool deny, const struct access *a)
{
    bool from = r->n_from == 0, to = r->n_to == 0;
    for (unsigned i = 0; i < r->n_from; i++) {
        const struct written_source *s = &r->from[i];
        if (s->beyond && !deny)
            return false;
        from = from || (field_fits(0, s->ips, a) && field_fits(1, s->namespaces, a) &&
                        field_fits(2, s->principals, a) && field_fits(5, s->accounts, a));
    }
    for (unsigned i = 0; i < r->n_to; i++) {
        if (of_request(&r->to[i]) && !deny)
            return false;
        to = to || field_fits(3, r->to[i].ports, a);
    }
    for (unsigned i = 0; i < r->n_when; i++) {
        if (r->when[i].key >= 6 && !deny)
            return false;
        if (r->when[i].key < 6 && !field_fits(r->when[i].key, r->when[i].values, a))
            from = false;
    }
    return from && to;
}

/* ---- Of requests ---------------------------------------------------------------------------- */

struct asked {
    const char *method, *host, *path, *header; /* header: NULL: none */
};

static bool template_fits(const char *pattern, const char *path)
{
    /* Both of them that are drawn, in words. */
    const char *second = strchr(path + 1, '/');
    if (strcmp(pattern, "/a/{**}") == 0)
        return strncmp(path, "/a/", 3) == 0;
    return second && second > path + 1 && strcmp(second, "/b") == 0;
}

static bool value_of_request_fits(const char *pattern, const char *value)
{
    if (!value)
        return false;
    return strchr(pattern, '{') ? template_fits(pattern, value)
                                : text_fits(pattern, text_of(value));
}

static bool asked_field_fits(struct field f, const char *const *values, size_t n, const char *value)
{
    bool any = f.yes == 0;
    for (unsigned i = 0; i < n; i++) {
        bool fits = value_of_request_fits(values[i], value);
        if (fits && (f.no & 1u << i))
            return false;
        any = any || (fits && (f.yes & 1u << i));
    }
    return any;
}

/* What can't be evaluated is true in a DENY, false in an ALLOW: of each alternative alone. */
static bool rule_fits_request(const struct written_rule *r, bool deny, const struct access *a,
                              const struct asked *q)
{
    bool from = r->n_from == 0, to = r->n_to == 0, when = true;
    for (unsigned i = 0; i < r->n_from; i++) {
        const struct written_source *s = &r->from[i];
        from = from || ((deny || !s->beyond) && field_fits(0, s->ips, a) &&
                        field_fits(1, s->namespaces, a) && field_fits(2, s->principals, a) &&
                        field_fits(5, s->accounts, a));
    }
    for (unsigned i = 0; i < r->n_to; i++) {
        const struct written_operation *o = &r->to[i];
        to = to ||
             (field_fits(3, o->ports, a) && asked_field_fits(o->methods, SET(methods), q->method) &&
              asked_field_fits(o->paths, SET(paths), q->path) &&
              asked_field_fits(o->hosts, SET(hosts), q->host));
    }
    for (unsigned i = 0; i < r->n_when; i++) {
        const struct written_condition *c = &r->when[i];
        bool holds = c->key == 6   ? deny
                     : c->key == 7 ? asked_field_fits(c->values, SET(headers), q->header)
                     : c->key == 8 ? asked_field_fits(c->values, SET(hosts), q->host)
                                   : field_fits(c->key, c->values, a);
        when = when && holds;
    }
    return from && to && when;
}

static bool speaks_of_requests(const struct written *p)
{
    bool speaks = false;
    for (unsigned i = 0; i < p->n_rules; i++) {
        for (unsigned k = 0; k < p->rules[i].n_to; k++)
            speaks |= of_request(&p->rules[i].to[k]);
        for (unsigned k = 0; k < p->rules[i].n_when; k++)
            speaks |= p->rules[i].when[k].key > 6;
    }
    return speaks;
}

static bool policy_fits_request(const struct written *p, const struct access *a,
                                const struct asked *q)
{
    for (unsigned i = 0; i < p->n_rules; i++)
        if (rule_fits_request(&p->rules[i], p->deny, a, q))
            return true;
    return false;
}

static void random_asked(struct rng *rng, struct asked *q, struct http_head *head,
                         struct request_view *view)
{
    static const char *const all_methods[] = {"GET", "PUT", "DELETE", "HEAD"};
    static const char *const all_hosts[] = {"shop.example", "a.example", "orders", "orders:80"};
    static const char *const all_paths[] = {"/", "/a", "/a/b", "/a/b/c", "/x/b", "/c"};
    static const char *const all_headers[] = {NULL, "one", "two", "three"};
    *q = (struct asked){all_methods[rng_below(rng, 4)], all_hosts[rng_below(rng, 4)],
                        all_paths[rng_below(rng, 6)], all_headers[rng_below(rng, 4)]};
    http_head_init(head);
    assert_int_equal(http_head_set_method(head, text_of(q->method)), 0);
    assert_int_equal(http_head_set_authority(head, text_of(q->host)), 0);
    assert_int_equal(http_head_set_path(head, text_of(q->path)), 0);
    if (q->header)
        assert_int_equal(http_head_add(head, TEXT("x-a"), text_of(q->header)), 0);
    assert_int_equal(request_view_init(view, head), 0);
}

/* Who sees bytes only is never less strict than who sees the request. */
static void check_request(struct rng *rng, const struct policy *p, const struct written *written,
                          struct access a, bool bytes_fit, unsigned *fits_seen, const char *yaml)
{
    struct asked q;
    struct http_head head;
    struct request_view view;
    random_asked(rng, &q, &head, &view);
    a.form = ACCESS_REQUEST;
    a.request = &view;
    bool fits = speaks_of_requests(written) ? policy_fits_request(written, &a, &q) : bytes_fit;
    assert_int_equal(p->n_http_rules, speaks_of_requests(written) ? written->n_rules : 0);
    if (policy_matches(p, &a) != fits)
        fail_msg("%s %s %s %s: reference %d\n%s", q.method, q.host, q.path,
                 q.header ? q.header : "-", fits, yaml);
    assert_true(written->deny ? bytes_fit || !fits : fits || !bytes_fit);
    *fits_seen += fits;
    a.form = ACCESS_CONNECTION;
    assert_true(written->deny ? fits || !policy_matches(p, &a) : !fits || policy_matches(p, &a));
    request_view_done(&view);
    http_head_done(&head);
}

static bool policy_fits(const struct written *p, const struct access *a)
{
    for (unsigned i = 0; i < p->n_rules; i++)
        if (rule_fits(&p->rules[i], p->deny, a))
            return true;
    return false;
}

static void random_access(struct rng *rng, struct access *a, struct spiffe_id *id)
{
    static const char *const ids[] = {
        "spiffe://td.example/ns/shop/sa/web", "spiffe://td.example/ns/shop/sa/cart",
        "spiffe://td.example/ns/legacy/sa/web", "spiffe://other/ns/a/sa/b"};
    static const char *const ips[] = {"10.1.2.3", "10.9.9.9", "fd00::5", "192.0.2.7",
                                      "198.51.100.1"};
    static const uint16_t ports[] = {80, 443, 8080, 9};
    *a = (struct access){.destination_port = ports[rng_below(rng, 4)]};
    assert_int_equal(ip_parse(text_of(ips[rng_below(rng, 5)]), &a->source), 0);
    assert_int_equal(ip_parse(text_of(ips[rng_below(rng, 5)]), &a->destination), 0);
    if (rng_below(rng, 4)) {
        assert_int_equal(spiffe_id_parse(text_of(ids[rng_below(rng, 4)]), id), 0);
        a->identity = id;
    }
}

/* No match without a condition may be sent: others read it as "never". */
static void check_no_empty_match(const struct policy *p)
{
    for (size_t i = 0; i < p->n_rules; i++)
        for (size_t j = 0; j < p->rules[i].n; j++) {
            assert_true(p->rules[i].clauses[j].n > 0);
            for (size_t k = 0; k < p->rules[i].clauses[j].n; k++) {
                const struct policy_match *m = &p->rules[i].clauses[j].matches[k];
                assert_true(m->namespaces.n + m->not_namespaces.n + m->principals.n +
                                m->not_principals.n + m->accounts.n + m->not_accounts.n +
                                m->source_ips.n + m->not_source_ips.n + m->destination_ips.n +
                                m->not_destination_ips.n + m->destination_ports.n +
                                m->not_destination_ports.n >
                            0);
            }
        }
}

static void equals_the_reference(void **state)
{
    struct rng rng;
    const uint64_t seed = 771;
    unsigned fits_seen = 0, requests_seen = 0, total = 0;
    (void)state;
    rng_seed(&rng, seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        char yaml[16384];
        struct text_out out = TEXT_OUT(yaml);
        struct written written;
        struct object_store store;
        struct problems problems;
        struct view v;
        struct policy *p, *decoded = NULL;
        struct xds_bytes body;
        char why[XDS_WHY_MAX];
        write_policy(&rng, &written, &out);
        object_store_init(&store);
        problems_init(&problems);
        fixture_load(&store, yaml);
        assert_int_equal(view_open(&v, &store, &fixture_settings), 0);
        assert_int_equal(from_authorization(
                             &v, object_store_get(&store, OBJECT_AUTHORIZATION_POLICY, "shop", "p"),
                             &p, &problems),
                         0);
        check_no_empty_match(p);
        assert_int_equal(xds_policy_encode(p, &body), 0);
        if (xds_policy_decode(body.data, body.len, &decoded, why) < 0)
            fail_msg("%s\n%s", why, yaml);
        assert_true(policy_equal(p, decoded));
        xds_bytes_done(&body);
        for (unsigned i = 0; i < ACCESSES; i++) {
            struct access a;
            struct spiffe_id id;
            random_access(&rng, &a, &id);
            bool fits = policy_fits(&written, &a);
            if (policy_matches(p, &a) != fits)
                fail_msg("seed %" PRIu64 ", round %u, access %u: reference %d\n%s", seed, round, i,
                         fits, yaml);
            fits_seen += fits;
            total++;
            check_request(&rng, p, &written, a, fits, &requests_seen, yaml);
        }
        policy_free(p);
        policy_free(decoded);
        view_close(&v);
        problems_done(&problems);
        object_store_done(&store);
    }
    assert_true(fits_seen > total / 20 && fits_seen < total - total / 20);
    assert_true(requests_seen > total / 20 && requests_seen < total - total / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
