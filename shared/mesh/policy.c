#include "shared/mesh/policy.h"

#include "shared/base/list.h"
#include "shared/mesh/decision.h"
#include "shared/mesh/owned.h"

#include <stdio.h>
#include <stdlib.h>

struct policy *policy_new(void)
{
    struct policy *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    char **const fields[] = {&p->name, &p->ns, &p->key};
    return strings_init(fields, ARRAY_SIZE(fields)) ? p : policy_free(p);
}

static void account_matches_done(struct account_matches *m)
{
    for (size_t i = 0; m->items && i < m->n; i++) {
        free(m->items[i].ns);
        free(m->items[i].service_account);
    }
    free(m->items);
}

static void match_done(struct policy_match *m)
{
    string_matches_done(&m->namespaces);
    string_matches_done(&m->not_namespaces);
    string_matches_done(&m->principals);
    string_matches_done(&m->not_principals);
    account_matches_done(&m->accounts);
    account_matches_done(&m->not_accounts);
    free(m->source_ips.items);
    free(m->not_source_ips.items);
    free(m->destination_ips.items);
    free(m->not_destination_ips.items);
    free(m->destination_ports.items);
    free(m->not_destination_ports.items);
    (void)request_match_free(m->request);
}

static void rules_free(struct policy_rule *rules, size_t n)
{
    for (size_t r = 0; rules && r < n; r++) {
        struct policy_rule *rule = &rules[r];
        for (size_t c = 0; rule->clauses && c < rule->n; c++) {
            struct policy_clause *clause = &rule->clauses[c];
            for (size_t m = 0; clause->matches && m < clause->n; m++)
                match_done(&clause->matches[m]);
            free(clause->matches);
        }
        free(rule->clauses);
    }
    free(rules);
}

struct policy *policy_free(struct policy *p)
{
    if (!p)
        return NULL;
    rules_free(p->rules, p->n_rules);
    rules_free(p->http_rules, p->n_http_rules);
    free(p->name);
    free(p->ns);
    free(p->key);
    free(p);
    return NULL;
}

static bool account_matches_equal(const struct account_matches *a, const struct account_matches *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->items[i].ns, b->items[i].ns) != 0 ||
            strcmp(a->items[i].service_account, b->items[i].service_account) != 0)
            return false;
    }
    return true;
}

static bool prefix_matches_equal(const struct prefix_matches *a, const struct prefix_matches *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->items[i].bits != b->items[i].bits || !ip_equal(&a->items[i].ip, &b->items[i].ip))
            return false;
    }
    return true;
}

static bool port_matches_equal(const struct port_matches *a, const struct port_matches *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->items, b->items, a->n * sizeof *a->items) == 0);
}

static bool match_equal(const struct policy_match *a, const struct policy_match *b)
{
    return a->unreadable == b->unreadable && string_matches_equal(&a->namespaces, &b->namespaces) &&
           string_matches_equal(&a->not_namespaces, &b->not_namespaces) &&
           string_matches_equal(&a->principals, &b->principals) &&
           string_matches_equal(&a->not_principals, &b->not_principals) &&
           account_matches_equal(&a->accounts, &b->accounts) &&
           account_matches_equal(&a->not_accounts, &b->not_accounts) &&
           prefix_matches_equal(&a->source_ips, &b->source_ips) &&
           prefix_matches_equal(&a->not_source_ips, &b->not_source_ips) &&
           prefix_matches_equal(&a->destination_ips, &b->destination_ips) &&
           prefix_matches_equal(&a->not_destination_ips, &b->not_destination_ips) &&
           port_matches_equal(&a->destination_ports, &b->destination_ports) &&
           port_matches_equal(&a->not_destination_ports, &b->not_destination_ports) &&
           request_match_equal(a->request, b->request);
}

static bool clause_equal(const struct policy_clause *a, const struct policy_clause *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!match_equal(&a->matches[i], &b->matches[i]))
            return false;
    }
    return true;
}

static bool rule_equal(const struct policy_rule *a, const struct policy_rule *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!clause_equal(&a->clauses[i], &b->clauses[i]))
            return false;
    }
    return true;
}

static bool rules_equal(const struct policy_rule *a, size_t n_a, const struct policy_rule *b,
                        size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++) {
        if (!rule_equal(&a[i], &b[i]))
            return false;
    }
    return true;
}

bool policy_equal(const struct policy *a, const struct policy *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->ns, b->ns) == 0 &&
           strcmp(a->key, b->key) == 0 && a->scope == b->scope && a->action == b->action &&
           a->dry_run == b->dry_run && rules_equal(a->rules, a->n_rules, b->rules, b->n_rules) &&
           rules_equal(a->http_rules, a->n_http_rules, b->http_rules, b->n_http_rules);
}

static bool account_any(const struct account_matches *m, const struct spiffe_id *id)
{
    for (size_t i = 0; id && spiffe_id_present(id) && i < m->n; i++) {
        if (text_equal(spiffe_id_namespace(id), text_of(m->items[i].ns)) &&
            text_equal(spiffe_id_service_account(id), text_of(m->items[i].service_account)))
            return true;
    }
    return false;
}

static bool prefix_any(const struct prefix_matches *m, const struct ip *ip)
{
    for (size_t i = 0; i < m->n; i++) {
        if (prefix_contains(&m->items[i], ip))
            return true;
    }
    return false;
}

static bool port_any(const struct port_matches *m, uint16_t port)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i] == port)
            return true;
    }
    return false;
}

static bool match_empty(const struct policy_match *m)
{
    return m->namespaces.n + m->not_namespaces.n + m->principals.n + m->not_principals.n +
                   m->accounts.n + m->not_accounts.n + m->source_ips.n + m->not_source_ips.n +
                   m->destination_ips.n + m->not_destination_ips.n + m->destination_ports.n +
                   m->not_destination_ports.n ==
               0 &&
           (!m->request || request_match_empty(m->request));
}

/*
 * What a match asks of a request. Where there will be one and it isn't there yet, it may hold and may
 * not: a connection is refused only by what needn't be asked. Where there will be none it can't be
 * evaluated: it refuses more and grants less.
 */
static bool request_holds(const struct policy_match *m, const struct access *a, bool deny)
{
    if (!m->request || request_match_empty(m->request))
        return true;
    switch (a->form) {
    case ACCESS_REQUEST:
        return request_match_holds(m->request, a->request, !deny);
    case ACCESS_CONNECTION:
        return !deny;
    case ACCESS_BYTES:
        break;
    }
    return deny;
}

/* An empty field asks for nothing; of a filled one some value must hit, of a not_ field none
 * may. */
static bool match_holds(const struct policy_match *m, const struct access *a, bool deny)
{
    const struct spiffe_id *id = a->identity;
    bool known = id && spiffe_id_present(id);
    struct text principal = known ? spiffe_id_principal(id) : TEXT("");
    struct text ns = known ? spiffe_id_namespace(id) : TEXT("");

    if (match_empty(m) || m->unreadable) {
        if (!deny)
            return false;
    }
    if ((m->namespaces.n && !string_matches_any(&m->namespaces, ns)) ||
        (m->principals.n && !string_matches_any(&m->principals, principal)) ||
        (m->accounts.n && !account_any(&m->accounts, id)) ||
        (m->source_ips.n && !prefix_any(&m->source_ips, &a->source)) ||
        (m->destination_ips.n && !prefix_any(&m->destination_ips, &a->destination)) ||
        (m->destination_ports.n && !port_any(&m->destination_ports, a->destination_port)))
        return false;
    return !string_matches_any(&m->not_namespaces, ns) &&
           !string_matches_any(&m->not_principals, principal) &&
           !account_any(&m->not_accounts, id) && !prefix_any(&m->not_source_ips, &a->source) &&
           !prefix_any(&m->not_destination_ips, &a->destination) &&
           !port_any(&m->not_destination_ports, a->destination_port) && request_holds(m, a, deny);
}

static bool clause_holds(const struct policy_clause *c, const struct access *a, bool deny)
{
    if (c->n == 0)
        return true;
    for (size_t i = 0; i < c->n; i++) {
        if (match_holds(&c->matches[i], a, deny))
            return true;
    }
    return false;
}

static bool rule_holds(const struct policy_rule *r, const struct access *a, bool deny)
{
    for (size_t i = 0; i < r->n; i++) {
        if (!clause_holds(&r->clauses[i], a, deny))
            return false;
    }
    return true;
}

static bool speaks_of_requests(const struct policy *p, const struct access *a)
{
    return p->n_http_rules > 0 && a->form != ACCESS_BYTES;
}

bool policy_matches(const struct policy *p, const struct access *a)
{
    bool http = speaks_of_requests(p, a), deny = p->action != POLICY_ALLOW;
    const struct policy_rule *rules = http ? p->http_rules : p->rules;

    for (size_t i = 0, n = http ? p->n_http_rules : p->n_rules; i < n; i++) {
        if (rule_holds(&rules[i], a, deny))
            return true;
    }
    return false;
}

void decision_add(struct decision *d, const struct policy *p)
{
    bool dry = p->dry_run;

    d->by_request = d->by_request || speaks_of_requests(p, d->access);
    if (p->action == POLICY_AUDIT) {
        if (!d->audit && policy_matches(p, d->access))
            d->audit = p;
        return;
    }
    if (p->action == POLICY_DENY) {
        if (!d->deny[dry] && policy_matches(p, d->access))
            d->deny[dry] = p;
        return;
    }
    if (!d->allow_applies[dry])
        d->allow_applies[dry] = p;
    if (!d->allow[dry] && policy_matches(p, d->access))
        d->allow[dry] = p;
}

void decision_make(const struct decision *d, struct verdict *ret)
{
    const struct policy *named = NULL, *dry = NULL;
    bool by_default = !d->deny[0] && !d->allow[0] && d->allow_applies[0];

    ret->allowed = !d->deny[0] && !by_default;
    if (d->deny[0])
        named = d->deny[0];
    else
        named = d->allow[0] ? d->allow[0] : d->allow_applies[0];
    ret->unmatched = by_default && !d->deny[0];
    ret->by_request = d->by_request;
    (void)snprintf(ret->policy, sizeof ret->policy, "%s", named ? named->key : "");
    /* What would be decided, were the dry-run policies in force too? Told only where it differs. */
    if (ret->allowed && d->deny[1])
        dry = d->deny[1];
    else if (ret->allowed && !d->allow[0] && !d->allow[1])
        dry = d->allow_applies[1];
    else if (by_default && !d->deny[1])
        dry = d->allow[1];
    (void)snprintf(ret->dry_run, sizeof ret->dry_run, "%s", dry ? dry->key : "");
    (void)snprintf(ret->audit, sizeof ret->audit, "%s", d->audit ? d->audit->key : "");
}

void policies_decide(const struct policy *const *policies, size_t n, const struct access *a,
                     struct verdict *ret)
{
    struct decision d;

    decision_init(&d, a);
    for (size_t i = 0; i < n; i++)
        decision_add(&d, policies[i]);
    decision_make(&d, ret);
}
