#include "shared/http/http_grammar.h"
#include "shared/mesh/checks.h"
#include "shared/mesh/route_index.h"

#include <errno.h>

static int check_path(const struct checker *c, const struct place *at, struct path_match *m)
{
    static const char *const names[] = {"prefix", "path", "path_separated_prefix",
                                        "safe_regex.regex"};
    const struct place *place = AT(at, names[m->kind]);
    struct text v = m->value;

    if (m->kind == PATH_REGEX)
        return check_regex(c, place, v, &m->regex);
    if (m->kind == PATH_EXACT && v.len == 0)
        return place_refuse(place, c->why, "is empty");
    if (m->kind == PATH_SEPARATED && (v.len < 2 || v.data[v.len - 1] == '/' ||
                                      memchr(v.data, '?', v.len) || memchr(v.data, '#', v.len)))
        return place_refuse(place, c->why,
                            "has less than two characters, ends in /, or has a ? or #");
    return 0;
}

static int check_match(const struct checker *c, const struct place *at, struct route_match *m)
{
    int e = check_path(c, at, &m->path);

    if (e == 0)
        e = check_headers(c, at, "headers", m->headers, m->n_headers);
    if (e == 0)
        e = place_count(AT(at, "query_parameters"), m->n_queries, ROUTE_MATCHES_MAX, c->why);
    for (size_t i = 0; e == 0 && i < m->n_queries; i++) {
        const struct place *query = AT_I(at, "query_parameters", i);
        if (m->queries[i].name.len == 0)
            e = place_refuse(AT(query, "name"), c->why, "is empty");
        else if (m->queries[i].kind == QUERY_TEXT)
            e = check_text_match(c, AT(query, "string_match"), &m->queries[i].text);
    }
    if (e == 0)
        e = check_labels(c, AT(at, "dynamic_metadata"), m->source.labels, m->source.n_labels);
    if (e == 0 && m->some)
        e = check_fraction(c, AT(at, "runtime_fraction.default_value"), m->fraction);
    return e;
}

/* A wildcard stands at one end; elsewhere there is what a host and a port are made of. */
static bool is_domain(struct text d)
{
    if (d.len == 0 || d.len > DOMAIN_ENDING_MAX)
        return false;
    if (text_equal(d, TEXT("*")))
        return true;
    if (d.data[0] == '*')
        d = (struct text){d.data + 1, d.len - 1};
    else if (d.data[d.len - 1] == '*')
        d.len--;
    for (size_t i = 0; i < d.len; i++) {
        char ch = d.data[i];
        if (ch <= ' ' || ch >= 0x7f || memchr("*/?#@\\", ch, 6))
            return false;
    }
    return true;
}

static int check_host(const struct checker *c, const struct place *at, struct virtual_host *h)
{
    int e;

    if (h->name.len == 0)
        return place_refuse(AT(at, "name"), c->why, "is empty");
    if (h->n_domains == 0)
        return place_refuse(AT(at, "domains"), c->why, "is empty");
    e = place_count(AT(at, "domains"), h->n_domains, DOMAINS_MAX, c->why);
    for (size_t i = 0; e == 0 && i < h->n_domains; i++) {
        if (!is_domain(h->domains[i]))
            e = place_refuse(AT_I(at, "domains", i), c->why,
                             "is no domain, with or without a * at one end");
    }
    if (e == 0)
        e = place_count(AT(at, "routes"), h->n_routes, ROUTES_MAX, c->why);
    for (size_t i = 0; e == 0 && i < h->n_routes; i++) {
        const struct place *route = AT_I(at, "routes", i);
        e = check_match(c, AT(route, "match"), &h->routes[i].match);
        if (e == 0)
            e = check_action(c, route, &h->routes[i].action);
    }
    if (e == 0)
        e = check_edits(c, at, &h->edits);
    if (e == 0 && h->retry)
        e = check_retry(c, AT(at, "retry_policy"), h->retry);
    if (e == 0 && h->fault)
        e = check_fault(c, AT(at, "typed_per_filter_config[envoy.filters.http.fault]"), h->fault);
    if (e == 0 && h->cors)
        e = check_cors(c, AT(at, "typed_per_filter_config[envoy.filters.http.cors]"), h->cors);
    if (e == 0 && route_index_build(c->arena, h) < 0)
        e = place_no_memory(c->why);
    return e;
}

int route_table_finish(struct route_table *t, char why[static WHY_MAX])
{
    const struct checker c = {&t->arena, &t->regexes, ROUTE_REGEXES_MAX, why};
    int e = place_count(AT(NULL, "virtual_hosts"), t->n_hosts, VIRTUAL_HOSTS_MAX, why);

    for (size_t i = 0; e == 0 && i < t->n_hosts; i++)
        e = check_host(&c, AT_I(NULL, "virtual_hosts", i), &t->hosts[i]);
    if (e == 0)
        e = check_edits(&c, NULL, &t->edits);
    if (e == 0)
        e = domain_index_build(t, why);
    t->finished = e == 0;
    return e;
}
