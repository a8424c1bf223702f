#include "controller/translate/from_authorization.h"
#include "controller/translate/policy_build.h"
#include <errno.h>
#include <stdio.h>

/* What nobody can evaluate in it; NULL: nothing. */
static const char *rule_beyond(const struct policy_object_rule *rule)
{
    for (size_t i = 0; i < rule->n_from; i++)
        if (rule->from[i].beyond)
            return rule->from[i].beyond;
    for (size_t i = 0; i < rule->n_when; i++)
        if (rule->when[i].key == CONDITION_BEYOND)
            return rule->when[i].name;
    return NULL;
}

/* What of it only a request has; NULL: nothing. */
static const char *rule_of_request(const struct policy_object_rule *rule)
{
    for (size_t i = 0; i < rule->n_to; i++)
        if (rule->to[i].of_request)
            return rule->to[i].of_request;
    for (size_t i = 0; i < rule->n_when; i++)
        if (rule->when[i].key == CONDITION_REQUEST_HEADER)
            return rule->when[i].name;
    return NULL;
}

static bool source_is_readable(const struct policy_source *s)
{
    return s->principals.n || s->not_principals.n || s->namespaces.n || s->not_namespaces.n ||
           s->service_accounts.n || s->not_service_accounts.n || s->ips.n || s->not_ips.n;
}

static int add_source(struct policy_clause *clause, const struct policy_source *s, const char *ns)
{
    struct policy_match *m = policy_add_match(clause);
    if (!m || match_strings(&m->principals, &s->principals) < 0 ||
        match_strings(&m->not_principals, &s->not_principals) < 0 ||
        match_strings(&m->namespaces, &s->namespaces) < 0 ||
        match_strings(&m->not_namespaces, &s->not_namespaces) < 0 ||
        match_accounts(&m->accounts, &s->service_accounts, ns) < 0 ||
        match_accounts(&m->not_accounts, &s->not_service_accounts, ns) < 0 ||
        match_prefixes(&m->source_ips, &s->ips) < 0 ||
        match_prefixes(&m->not_source_ips, &s->not_ips) < 0)
        return -ENOMEM;
    return 0;
}

/*
 * Alternatives, of which one has nothing left that layer 4 can read, are fulfilled by anybody
 * (this is a DENY, or the rule would have been left out): then there is no clause. An empty match
 * would not do: other readers of these policies take it for "never".
 */
static int add_from(struct policy_rule *out, const struct policy_object_rule *rule, const char *ns)
{
    for (size_t i = 0; i < rule->n_from; i++)
        if (!source_is_readable(&rule->from[i]))
            return 0;
    if (rule->n_from == 0)
        return 0;
    struct policy_clause *clause = policy_add_clause(out);
    if (!clause)
        return -ENOMEM;
    for (size_t i = 0; i < rule->n_from; i++)
        if (add_source(clause, &rule->from[i], ns) < 0)
            return -ENOMEM;
    return 0;
}

static int add_to(struct policy_rule *out, const struct policy_object_rule *rule)
{
    for (size_t i = 0; i < rule->n_to; i++)
        if (!rule->to[i].ports.n && !rule->to[i].not_ports.n)
            return 0;
    if (rule->n_to == 0)
        return 0;
    struct policy_clause *clause = policy_add_clause(out);
    if (!clause)
        return -ENOMEM;
    for (size_t i = 0; i < rule->n_to; i++) {
        struct policy_match *m = policy_add_match(clause);
        if (!m || match_ports(&m->destination_ports, &rule->to[i].ports) < 0 ||
            match_ports(&m->not_destination_ports, &rule->to[i].not_ports) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int fill_condition(struct policy_match *m, const struct policy_condition *c, const char *ns)
{
    int r = 0;
    switch (c->key) {
    case CONDITION_SOURCE_IP:
        r = match_prefixes(&m->source_ips, &c->ips);
        return r < 0 ? r : match_prefixes(&m->not_source_ips, &c->not_ips);
    case CONDITION_DESTINATION_IP:
        r = match_prefixes(&m->destination_ips, &c->ips);
        return r < 0 ? r : match_prefixes(&m->not_destination_ips, &c->not_ips);
    case CONDITION_SOURCE_NAMESPACE:
        r = match_strings(&m->namespaces, &c->values);
        return r < 0 ? r : match_strings(&m->not_namespaces, &c->not_values);
    case CONDITION_SOURCE_PRINCIPAL:
        r = match_strings(&m->principals, &c->values);
        return r < 0 ? r : match_strings(&m->not_principals, &c->not_values);
    case CONDITION_SOURCE_ACCOUNT:
        r = match_accounts(&m->accounts, &c->values, ns);
        return r < 0 ? r : match_accounts(&m->not_accounts, &c->not_values, ns);
    case CONDITION_DESTINATION_PORT:
        r = match_ports(&m->destination_ports, &c->ports);
        return r < 0 ? r : match_ports(&m->not_destination_ports, &c->not_ports);
    case CONDITION_REQUEST_HEADER:
    case CONDITION_BEYOND:
        break;
    }
    return r;
}

static int add_when(struct policy_rule *out, const struct policy_object_rule *rule, const char *ns)
{
    for (size_t i = 0; i < rule->n_when; i++) {
        if (rule->when[i].key == CONDITION_BEYOND || rule->when[i].key == CONDITION_REQUEST_HEADER)
            continue;
        struct policy_clause *clause = policy_add_clause(out);
        struct policy_match *m = clause ? policy_add_match(clause) : NULL;
        if (!m || fill_condition(m, &rule->when[i], ns) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* For whoever sees bytes only. */
static int add_rule(struct policy *p, const struct policy_object_rule *rule)
{
    struct policy_rule *out = policy_add_rule(p);
    if (!out || add_to(out, rule) < 0 || add_from(out, rule, p->ns) < 0 ||
        add_when(out, rule, p->ns) < 0)
        return -ENOMEM;
    return 0;
}

/* ---- In whole ------------------------------------------------------------------------------- */

static int add_http_from(struct policy_rule *out, const struct policy_object_rule *rule,
                         const char *ns)
{
    struct policy_clause *clause = rule->n_from > 0 ? policy_add_clause(out) : NULL;
    for (size_t i = 0; i < rule->n_from; i++) {
        if (!clause || add_source(clause, &rule->from[i], ns) < 0)
            return -ENOMEM;
        clause->matches[i].unreadable = rule->from[i].beyond;
    }
    return 0;
}

static int add_operation(struct policy_clause *clause, const struct policy_operation *o)
{
    struct policy_match *m = policy_add_match(clause);
    if (!m || match_ports(&m->destination_ports, &o->ports) < 0 ||
        match_ports(&m->not_destination_ports, &o->not_ports) < 0)
        return -ENOMEM;
    if (!o->of_request)
        return 0;
    struct request_match *q = match_request(m);
    if (!q || match_strings(&q->methods, &o->methods) < 0 ||
        match_strings(&q->not_methods, &o->not_methods) < 0 ||
        match_strings(&q->hosts, &o->hosts) < 0 ||
        match_strings(&q->not_hosts, &o->not_hosts) < 0 || match_paths(&q->paths, &o->paths) < 0 ||
        match_paths(&q->not_paths, &o->not_paths) < 0)
        return -ENOMEM;
    return 0;
}

static int add_http_to(struct policy_rule *out, const struct policy_object_rule *rule)
{
    struct policy_clause *clause = rule->n_to > 0 ? policy_add_clause(out) : NULL;
    for (size_t i = 0; i < rule->n_to; i++)
        if (!clause || add_operation(clause, &rule->to[i]) < 0)
            return -ENOMEM;
    return 0;
}

/* A request's Host is its authority, whatever it is called on the wire. */
static int fill_header(struct policy_match *m, const struct policy_condition *c)
{
    bool host = strcmp(c->header, "host") == 0;
    struct request_match *q = match_request(m);
    struct request_header *h = q && !host ? match_header(m, c->header) : NULL;
    if (!q || (!host && !h) || match_strings(host ? &q->hosts : &h->values, &c->values) < 0 ||
        match_strings(host ? &q->not_hosts : &h->not_values, &c->not_values) < 0)
        return -ENOMEM;
    return 0;
}

static int add_http_when(struct policy_rule *out, const struct policy_object_rule *rule,
                         const char *ns)
{
    for (size_t i = 0; i < rule->n_when; i++) {
        const struct policy_condition *c = &rule->when[i];
        struct policy_clause *clause = policy_add_clause(out);
        struct policy_match *m = clause ? policy_add_match(clause) : NULL;
        if (!m)
            return -ENOMEM;
        m->unreadable = c->key == CONDITION_BEYOND;
        if ((c->key == CONDITION_REQUEST_HEADER ? fill_header(m, c) : fill_condition(m, c, ns)) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_http_rule(struct policy *p, const struct policy_object_rule *rule)
{
    struct policy_rule *out = policy_add_http_rule(p);
    if (!out || add_http_to(out, rule) < 0 || add_http_from(out, rule, p->ns) < 0 ||
        add_http_when(out, rule, p->ns) < 0)
        return -ENOMEM;
    return 0;
}

/* ---- Both ----------------------------------------------------------------------------------- */

static void warn(const struct object *o, const char *key, size_t index, const char *what,
                 bool of_request, struct problems *problems)
{
    const char *where = of_request
                            ? "is seen only where requests are (a port that is declared HTTP, "
                              "node proxies with --http on); elsewhere"
                            : "can't be evaluated:";
    char field[64];
    snprintf(field, sizeof field, "spec.rules[%zu]", index);
    problems_add(problems, PROBLEM_WARNING, o->file, o->authorization.rules[index].line, key, field,
                 o->authorization.action == AUTHORIZATION_ALLOW
                     ? "%s %s this rule never matches, so less is allowed than is written"
                     : "%s %s it is enforced without it, so it denies more than is written",
                 what, where);
}

static int add_rules(struct policy *p, const struct object *o, const char *key,
                     struct problems *problems)
{
    const struct authorization_policy *a = &o->authorization;
    bool http = false;
    for (size_t i = 0; i < a->n_rules; i++) {
        const char *beyond = rule_beyond(&a->rules[i]);
        const char *of_request = rule_of_request(&a->rules[i]);
        if (beyond || of_request)
            warn(o, key, i, beyond ? beyond : of_request, !beyond, problems);
        http = http || of_request;
        if ((beyond || of_request) && p->action == POLICY_ALLOW)
            continue;
        if (add_rule(p, &a->rules[i]) < 0)
            return -ENOMEM;
    }
    for (size_t i = 0; http && i < a->n_rules; i++)
        if (add_http_rule(p, &a->rules[i]) < 0)
            return -ENOMEM;
    return 0;
}

int from_authorization(const struct view *v, const struct object *o, struct policy **ret,
                       struct problems *problems)
{
    static const enum policy_action actions[] = {[AUTHORIZATION_ALLOW] = POLICY_ALLOW,
                                                 [AUTHORIZATION_DENY] = POLICY_DENY,
                                                 [AUTHORIZATION_AUDIT] = POLICY_AUDIT};
    const struct authorization_policy *a = &o->authorization;
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    enum policy_scope scope = POLICY_NAMESPACE;
    if (a->selector.n > 0)
        scope = POLICY_WORKLOAD;
    else if (strcmp(o->ns, v->settings->root_namespace) == 0)
        scope = POLICY_GLOBAL;
    struct policy *p = policy_build(o->ns, o->name, scope, actions[a->action]);
    if (!p)
        return -ENOMEM;
    p->dry_run = a->dry_run && a->action != AUTHORIZATION_AUDIT;
    if (add_rules(p, o, key, problems) < 0) {
        policy_free(p);
        return -ENOMEM;
    }
    *ret = p;
    return 0;
}

bool authorization_selects(const struct object *o)
{
    return o->authorization.selector.n > 0;
}
