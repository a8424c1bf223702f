/*
 * Random workloads, services and policies for the tests of mesh and xds: small alphabets, so that
 * things meet; every field takes every kind of value. What is made is freed by the noun's own free.
 */
#ifndef TESTS_UNIT_SHARED_MESH_NOUNS_H
#define TESTS_UNIT_SHARED_MESH_NOUNS_H
#include "shared/mesh/policy.h"
#include "shared/mesh/service.h"
#include "tests/unit/shared/base/test.h"

static inline bool one_in(struct rng *r, uint64_t n)
{
    return rng_below(r, n) == 0;
}

static inline char *heap_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline char *heap_text(const char *format, ...)
{
    char *text;
    va_list arguments;

    va_start(arguments, format);
    int r = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert_true(r >= 0);
    return text;
}

static inline void put_text(char **field, char *taken)
{
    free(*field);
    *field = taken;
}

static inline struct ip test_ip(struct rng *r, unsigned n)
{
    struct ip ip = {0};
    if (one_in(r, 2))
        ip = (struct ip){4, {10, 0, (uint8_t)(n >> 8), (uint8_t)n}};
    else
        ip = (struct ip){16, {0xfd, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
    return ip;
}

static inline struct port_pair *random_ports(struct rng *r, size_t *ret_n, bool named)
{
    size_t n = rng_below(r, 4);
    struct port_pair *p = calloc(n + 1, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        p[i].service_port = (uint16_t)(80 + i);
        p[i].target_port = (uint16_t)(named && one_in(r, 4) ? 0 : 8080 + rng_below(r, 3));
        p[i].app_protocol = (uint8_t)rng_below(r, 6);
    }
    *ret_n = n;
    return p;
}

/* Number `id` among few; `addresses` and `services` are how many different ones there are. */
static inline struct workload *random_workload(struct rng *r, unsigned id, unsigned addresses,
                                               unsigned services)
{
    static const char *const zones[] = {"", "a", "b"};
    struct workload *w = workload_new();
    assert_non_null(w);

    put_text(&w->uid, heap_text("cluster//Pod/ns/w%u", id));
    put_text(&w->name, heap_text("w%u", id));
    put_text(&w->ns, heap_text("ns%u", (unsigned)rng_below(r, 3)));
    put_text(&w->service_account, heap_text("sa%u", (unsigned)rng_below(r, 3)));
    put_text(&w->node, heap_text("node%u", (unsigned)rng_below(r, 3)));
    put_text(&w->network, heap_text("%s", one_in(r, 4) ? "net" : ""));
    put_text(&w->locality.region, heap_text("%s", zones[rng_below(r, 3)]));
    put_text(&w->locality.zone, heap_text("%s", zones[rng_below(r, 3)]));
    put_text(&w->locality.subzone, heap_text("%s", zones[rng_below(r, 3)]));
    put_text(&w->cluster_id, heap_text("%s", zones[rng_below(r, 3)]));
    put_text(&w->pod_uid, heap_text("%s", zones[rng_below(r, 3)]));
    put_text(&w->gateway, heap_text("%s", zones[rng_below(r, 3)]));
    if (one_in(r, 4)) {
        put_text(&w->trust_domain, heap_text("other.td"));
        put_text(&w->hostname, heap_text("h%u.example", id));
        put_text(&w->canonical_name, heap_text("canonical"));
        put_text(&w->canonical_revision, heap_text("v%u", (unsigned)rng_below(r, 3)));
        put_text(&w->workload_name, heap_text("deployment"));
    }
    w->type = (enum workload_type)rng_below(r, 4);
    w->tunnel = one_in(r, 2) ? TUNNEL_HBONE : TUNNEL_NONE;
    w->native_tunnel = one_in(r, 8);
    w->healthy = !one_in(r, 3);
    w->host_network = one_in(r, 6);
    w->capacity = (uint32_t)(one_in(r, 3) ? rng_below(r, 5) : 1);
    w->n_addresses = rng_below(r, 4);
    w->addresses = calloc(4, sizeof *w->addresses);
    assert_non_null(w->addresses);
    for (size_t i = 0; i < w->n_addresses; i++)
        w->addresses[i] = test_ip(r, (unsigned)rng_below(r, addresses));
    w->services = calloc(5, sizeof *w->services);
    assert_non_null(w->services);
    unsigned first = (unsigned)rng_below(r, services), count = (unsigned)rng_below(r, 4);
    for (unsigned i = 0; i < count && i < services; i++) {
        struct workload_service *s = &w->services[w->n_services++];
        s->key = heap_text("ns/s%u", (first + i) % services);
        s->ports = random_ports(r, &s->n_ports, false);
    }
    w->gateway_ports = calloc(3, sizeof *w->gateway_ports);
    assert_non_null(w->gateway_ports);
    w->n_gateway_ports = rng_below(r, 3);
    for (size_t i = 0; i < w->n_gateway_ports; i++)
        w->gateway_ports[i] = (struct gateway_port){(uint16_t)(80 + i), one_in(r, 2)};
    struct label labels[3];
    size_t n_labels = rng_below(r, 4);
    for (size_t i = 0; i < n_labels; i++)
        labels[i] = (struct label){text_of(zones[i]), text_of(zones[rng_below(r, 3)])};
    assert_int_equal(workload_set_labels(w, labels, n_labels), 0);
    w->policies = calloc(4, sizeof *w->policies);
    assert_non_null(w->policies);
    w->n_policies = rng_below(r, 3);
    for (size_t i = 0; i < w->n_policies; i++)
        w->policies[i] =
            heap_text("ns%u/p%u", (unsigned)rng_below(r, 3), (unsigned)rng_below(r, 6));
    w->registry_only = one_in(r, 4);
    w->egress = calloc(4, sizeof *w->egress);
    assert_non_null(w->egress);
    w->n_egress = rng_below(r, 3);
    for (size_t i = 0; i < w->n_egress; i++)
        w->egress[i] = heap_text("ns%u/s%u:8%u", (unsigned)rng_below(r, 3), (unsigned)rng_below(r, 6),
                                 (unsigned)i);
    return w;
}

static inline struct service *random_service(struct rng *r, unsigned id, unsigned addresses)
{
    struct service *s = service_new();
    assert_non_null(s);
    put_text(&s->name, heap_text("s%u", id));
    put_text(&s->ns, heap_text("ns"));
    put_text(&s->hostname, heap_text("s%u", id));
    put_text(&s->key, heap_text("ns/s%u", id));
    s->n_addresses = rng_below(r, 4);
    s->addresses = calloc(4, sizeof *s->addresses);
    assert_non_null(s->addresses);
    for (size_t i = 0; i < s->n_addresses; i++) {
        s->addresses[i].network = heap_text("%s", one_in(r, 4) ? "net" : "");
        s->addresses[i].ip = test_ip(r, (unsigned)rng_below(r, addresses));
    }
    s->ports = random_ports(r, &s->n_ports, true);
    s->n_subject_alt_names = rng_below(r, 3);
    s->subject_alt_names = calloc(4, sizeof *s->subject_alt_names);
    assert_non_null(s->subject_alt_names);
    for (size_t i = 0; i < s->n_subject_alt_names; i++)
        s->subject_alt_names[i] = heap_text("spiffe://cluster.local/ns/ns/sa/a%zu", i);
    s->n_exported = rng_below(r, 3);
    s->exported = calloc(4, sizeof *s->exported);
    assert_non_null(s->exported);
    for (size_t i = 0; i < s->n_exported; i++)
        s->exported[i] = heap_text("ns%zu", i);
    s->n_scopes = rng_below(r, 4);
    for (size_t i = 0; i < s->n_scopes; i++)
        s->scopes[i] = (enum lb_scope)rng_below(r, 7);
    s->lb_mode = (enum lb_mode)rng_below(r, 4);
    s->allow_unhealthy = one_in(r, 4);
    s->ip_families = (uint8_t)rng_below(r, 4);
    s->canonical = one_in(r, 3);
    return s;
}

static inline struct string_matches random_strings(struct rng *r, const char *const *values,
                                                   size_t n_values)
{
    struct string_matches m = {0};
    if (!one_in(r, 4))
        return m;
    m.n = 1 + rng_below(r, 3);
    m.items = calloc(m.n, sizeof *m.items);
    assert_non_null(m.items);
    for (size_t i = 0; i < m.n; i++) {
        const char *value = values[rng_below(r, n_values)];
        size_t len = strlen(value), cut = rng_below(r, len + 1);
        m.items[i].kind = (enum string_match_kind)rng_below(r, 4);
        switch (m.items[i].kind) {
        case MATCH_EXACT:
            m.items[i].value = heap_text("%s", value);
            break;
        case MATCH_PREFIX:
            m.items[i].value = heap_text("%.*s", (int)cut, value);
            break;
        case MATCH_SUFFIX:
            m.items[i].value = heap_text("%s", value + cut);
            break;
        case MATCH_PRESENCE:
        case MATCH_TEMPLATE: /* not drawn */
            m.items[i].value = heap_text("%s", "");
            break;
        }
    }
    return m;
}

static inline struct account_matches random_accounts(struct rng *r)
{
    struct account_matches m = {0};
    if (!one_in(r, 6))
        return m;
    m.n = 1 + rng_below(r, 2);
    m.items = calloc(m.n, sizeof *m.items);
    assert_non_null(m.items);
    for (size_t i = 0; i < m.n; i++) {
        m.items[i].ns = heap_text("ns%u", (unsigned)rng_below(r, 3));
        m.items[i].service_account = heap_text("sa%u", (unsigned)rng_below(r, 3));
    }
    return m;
}

static inline struct prefix_matches random_prefixes(struct rng *r)
{
    static const char *const texts[] = {"10.0.0.0/8",  "10.0.0.1/32", "10.0.0.2/31", "0.0.0.0/0",
                                        "fd00::/8",    "fd00::1/128", "fd00::/127",  "::/0",
                                        "10.0.0.6/30", "10.0.0.3/32"};
    struct prefix_matches m = {0};
    if (!one_in(r, 6))
        return m;
    m.n = 1 + rng_below(r, 2);
    m.items = calloc(m.n, sizeof *m.items);
    assert_non_null(m.items);
    for (size_t i = 0; i < m.n; i++)
        assert_int_equal(prefix_parse(text_of(texts[rng_below(r, ARRAY_SIZE(texts))]), &m.items[i]),
                         0);
    return m;
}

static inline struct port_matches random_match_ports(struct rng *r)
{
    struct port_matches m = {0};
    if (!one_in(r, 6))
        return m;
    m.n = 1 + rng_below(r, 2);
    m.items = calloc(m.n, sizeof *m.items);
    assert_non_null(m.items);
    for (size_t i = 0; i < m.n; i++)
        m.items[i] = (uint16_t)(8080 + rng_below(r, 3));
    return m;
}

static inline void random_match(struct rng *r, struct policy_match *m)
{
    static const char *const namespaces[] = {"ns0", "ns1", "ns2", "ns10"};
    static const char *const principals[] = {
        "cluster.local/ns/ns0/sa/sa0", "cluster.local/ns/ns1/sa/sa1", "other.td/ns/ns0/sa/sa0",
        "cluster.local/ns/ns2/sa/sa0"};
    if (one_in(r, 8))
        return; /* empty */
    m->namespaces = random_strings(r, namespaces, ARRAY_SIZE(namespaces));
    m->not_namespaces = random_strings(r, namespaces, ARRAY_SIZE(namespaces));
    m->principals = random_strings(r, principals, ARRAY_SIZE(principals));
    m->not_principals = random_strings(r, principals, ARRAY_SIZE(principals));
    m->accounts = random_accounts(r);
    m->not_accounts = random_accounts(r);
    m->source_ips = random_prefixes(r);
    m->not_source_ips = random_prefixes(r);
    m->destination_ips = random_prefixes(r);
    m->not_destination_ips = random_prefixes(r);
    m->destination_ports = random_match_ports(r);
    m->not_destination_ports = random_match_ports(r);
    m->unreadable = one_in(r, 10);
}

static inline struct string_matches random_paths(struct rng *r)
{
    static const char *const paths[] = {"/", "/a", "/a/b", "/a/b/c", "/b"};
    static const char *const templates[] = {"/{*}", "/a/{*}", "/{**}/c", "/{*}/b/{**}"};
    struct string_matches m = random_strings(r, paths, ARRAY_SIZE(paths));
    for (size_t i = 0; i < m.n; i++) {
        if (!one_in(r, 4))
            continue;
        m.items[i].kind = MATCH_TEMPLATE;
        put_text(&m.items[i].value, heap_text("%s", templates[rng_below(r, 4)]));
    }
    return m;
}

static inline struct request_match *random_request_match(struct rng *r)
{
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    static const char *const hosts[] = {"shop.example", "shop.example:80", "orders"};
    static const char *const names[] = {"x-a", "x-b"};
    static const char *const values[] = {"one", "two", "three"};
    struct request_match *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->methods = random_strings(r, methods, ARRAY_SIZE(methods));
    m->not_methods = random_strings(r, methods, ARRAY_SIZE(methods));
    m->hosts = random_strings(r, hosts, ARRAY_SIZE(hosts));
    m->not_hosts = random_strings(r, hosts, ARRAY_SIZE(hosts));
    m->paths = random_paths(r);
    m->not_paths = random_paths(r);
    m->headers = calloc(2, sizeof *m->headers);
    assert_non_null(m->headers);
    m->n_headers = one_in(r, 3) ? rng_below(r, 3) : 0;
    for (size_t i = 0; i < m->n_headers; i++) {
        m->headers[i].name = heap_text("%s", names[rng_below(r, 2)]);
        m->headers[i].values = random_strings(r, values, ARRAY_SIZE(values));
        m->headers[i].not_values = random_strings(r, values, ARRAY_SIZE(values));
    }
    return m;
}

static inline struct policy_rule *random_rules(struct rng *r, size_t n, bool http)
{
    struct policy_rule *rules = calloc(3, sizeof *rules);
    assert_non_null(rules);
    for (size_t i = 0; i < n; i++) {
        struct policy_rule *rule = &rules[i];
        rule->n = rng_below(r, 3);
        rule->clauses = calloc(3, sizeof *rule->clauses);
        assert_non_null(rule->clauses);
        for (size_t c = 0; c < rule->n; c++) {
            struct policy_clause *clause = &rule->clauses[c];
            clause->n = rng_below(r, 4);
            clause->matches = calloc(4, sizeof *clause->matches);
            assert_non_null(clause->matches);
            for (size_t m = 0; m < clause->n; m++) {
                random_match(r, &clause->matches[m]);
                if (http && one_in(r, 2))
                    clause->matches[m].request = random_request_match(r);
            }
        }
    }
    return rules;
}

static inline struct policy *random_policy(struct rng *r, unsigned id)
{
    struct policy *p = policy_new();
    assert_non_null(p);
    unsigned ns = (unsigned)rng_below(r, 3);
    put_text(&p->ns, heap_text("ns%u", ns));
    put_text(&p->name, heap_text("p%u", id));
    put_text(&p->key, heap_text("ns%u/p%u", ns, id));
    p->scope = (enum policy_scope)rng_below(r, 3);
    p->action = one_in(r, 2) ? POLICY_DENY : POLICY_ALLOW;
    p->dry_run = one_in(r, 5);
    p->n_rules = rng_below(r, 3);
    p->rules = random_rules(r, p->n_rules, false);
    p->n_http_rules = one_in(r, 3) ? 1 + rng_below(r, 2) : 0;
    p->http_rules = random_rules(r, p->n_http_rules, true);
    return p;
}
#endif
