#include "controller/translate/policy_build.h"
#include "shared/mesh/workload.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct policy *policy_build(const char *ns, const char *name, enum policy_scope scope,
                            enum policy_action action)
{
    char key[POLICY_NAME_MAX];
    struct policy *p = policy_new();
    if (!p)
        return NULL;
    snprintf(key, sizeof key, "%s/%s", ns, name);
    p->scope = scope;
    p->action = action;
    if (workload_set(&p->ns, text_of(ns)) < 0 || workload_set(&p->name, text_of(name)) < 0 ||
        workload_set(&p->key, text_of(key)) < 0)
        return policy_free(p);
    return p;
}

/* One more, zeroed, at the end of an array of n; NULL: no memory, nothing changed. */
static void *grow(void *items, size_t n, size_t len)
{
    unsigned char *grown = realloc(items, (n + 1) * len);
    if (grown)
        memset(grown + n * len, 0, len);
    return grown;
}

static struct policy_rule *add_rule(struct policy_rule **rules, size_t *n)
{
    struct policy_rule *more = grow(*rules, *n, sizeof *more);
    if (!more)
        return NULL;
    *rules = more;
    return &more[(*n)++];
}

struct policy_rule *policy_add_rule(struct policy *p)
{
    return add_rule(&p->rules, &p->n_rules);
}

struct policy_rule *policy_add_http_rule(struct policy *p)
{
    return add_rule(&p->http_rules, &p->n_http_rules);
}

struct policy_clause *policy_add_clause(struct policy_rule *r)
{
    struct policy_clause *clauses = grow(r->clauses, r->n, sizeof *clauses);
    if (!clauses)
        return NULL;
    r->clauses = clauses;
    return &clauses[r->n++];
}

struct policy_match *policy_add_match(struct policy_clause *c)
{
    struct policy_match *matches = grow(c->matches, c->n, sizeof *matches);
    if (!matches)
        return NULL;
    c->matches = matches;
    return &matches[c->n++];
}

static int add_match(struct string_matches *m, enum string_match_kind kind, struct text value)
{
    struct string_match *items = grow(m->items, m->n, sizeof *items);
    if (!items)
        return -ENOMEM;
    m->items = items;
    char *copy = text_dup(value);
    if (!copy)
        return -ENOMEM;
    items[m->n++] = (struct string_match){kind, copy};
    return 0;
}

static int add_string(struct string_matches *m, struct text value)
{
    enum string_match_kind kind = MATCH_EXACT;
    if (text_equal(value, TEXT("*"))) {
        kind = MATCH_PRESENCE;
        value = TEXT("");
    } else if (text_starts_with(value, TEXT("*"))) {
        kind = MATCH_SUFFIX;
        value = (struct text){value.data + 1, value.len - 1};
    } else if (text_ends_with(value, TEXT("*"))) {
        kind = MATCH_PREFIX;
        value.len--;
    }
    return add_match(m, kind, value);
}

int match_strings(struct string_matches *m, const struct values *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (add_string(m, text_of(v->items[i])) < 0)
            return -ENOMEM;
    return 0;
}

int match_presence(struct string_matches *m)
{
    return add_string(m, TEXT("*"));
}

int match_paths(struct string_matches *m, const struct values *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct text value = text_of(v->items[i]);
        bool is_template = strstr(v->items[i], "{*}") || strstr(v->items[i], "{**}");
        if ((is_template ? add_match(m, MATCH_TEMPLATE, value) : add_string(m, value)) < 0)
            return -ENOMEM;
    }
    return 0;
}

struct request_match *match_request(struct policy_match *m)
{
    if (!m->request)
        m->request = calloc(1, sizeof *m->request);
    return m->request;
}

struct request_header *match_header(struct policy_match *m, const char *name)
{
    struct request_match *request = match_request(m);
    if (!request)
        return NULL;
    struct request_header *headers = grow(request->headers, request->n_headers, sizeof *headers);
    if (!headers)
        return NULL;
    request->headers = headers;
    headers[request->n_headers].name = text_dup(text_of(name));
    return headers[request->n_headers].name ? &headers[request->n_headers++] : NULL;
}

int match_accounts(struct account_matches *m, const struct values *v, const char *ns)
{
    for (size_t i = 0; i < v->n; i++) {
        struct text account_ns = text_of(ns), name = text_of(v->items[i]);
        text_split(name, '/', &account_ns, &name);
        struct account_match *items = grow(m->items, m->n, sizeof *items);
        if (!items)
            return -ENOMEM;
        m->items = items;
        items[m->n++] = (struct account_match){text_dup(account_ns), text_dup(name)};
        if (!items[m->n - 1].ns || !items[m->n - 1].service_account)
            return -ENOMEM;
    }
    return 0;
}

int match_prefixes(struct prefix_matches *m, const struct prefixes *p)
{
    if (p->n == 0)
        return 0;
    m->items = calloc(p->n, sizeof *m->items);
    if (!m->items)
        return -ENOMEM;
    memcpy(m->items, p->items, p->n * sizeof *m->items);
    m->n = p->n;
    return 0;
}

int match_ports(struct port_matches *m, const struct ports *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (match_port(m, p->items[i]) < 0)
            return -ENOMEM;
    return 0;
}

int match_port(struct port_matches *m, uint16_t port)
{
    uint16_t *items = grow(m->items, m->n, sizeof *items);
    if (!items)
        return -ENOMEM;
    m->items = items;
    items[m->n++] = port;
    return 0;
}
