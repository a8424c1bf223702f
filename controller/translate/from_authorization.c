#include "controller/translate/from_authorization.h"
#include "controller/translate/policy_build.h"
#include <errno.h>
#include <stdio.h>

static const char *rule_beyond(const struct policy_object_rule *rule)
{
    for (size_t i = 0; i < rule->n_from; i++)
        if (rule->from[i].beyond)
            return rule->from[i].beyond;
    for (size_t i = 0; i < rule->n_to; i++)
        if (rule->to[i].beyond)
            return rule->to[i].beyond;
    for (size_t i = 0; i < rule->n_when; i++)
        if (rule->when[i].key == CONDITION_BEYOND)
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
    case CONDITION_BEYOND:
        break;
    }
    return r;
}

static int add_when(struct policy_rule *out, const struct policy_object_rule *rule, const char *ns)
{
    for (size_t i = 0; i < rule->n_when; i++) {
        if (rule->when[i].key == CONDITION_BEYOND)
            continue;
        struct policy_clause *clause = policy_add_clause(out);
        struct policy_match *m = clause ? policy_add_match(clause) : NULL;
        if (!m || fill_condition(m, &rule->when[i], ns) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_rule(struct policy *p, const struct policy_object_rule *rule)
{
    struct policy_rule *out = policy_add_rule(p);
    if (!out || add_to(out, rule) < 0 || add_from(out, rule, p->ns) < 0 ||
        add_when(out, rule, p->ns) < 0)
        return -ENOMEM;
    return 0;
}

static void warn(const struct object *o, const char *key, size_t index, const char *beyond,
                 struct problems *problems)
{
    char field[64];
    snprintf(field, sizeof field, "spec.rules[%zu]", index);
    problems_add(problems, PROBLEM_WARNING, o->file, o->authorization.rules[index].line, key, field,
                 o->authorization.action == AUTHORIZATION_DENY
                     ? "%s can't be evaluated at layer 4: enforced without it, so it denies more "
                       "than is written"
                     : "%s can't be evaluated at layer 4: this rule never matches, so less is "
                       "allowed than is written",
                 beyond);
}

int from_authorization(const struct view *v, const struct object *o, struct policy **ret,
                       struct problems *problems)
{
    const struct authorization_policy *a = &o->authorization;
    char key[OBJECT_KEY_MAX];
    *ret = NULL;
    object_key(o->kind, o->ns, o->name, key);
    if (a->action == AUTHORIZATION_AUDIT) {
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.action",
                     "AUDIT never changes what is allowed, and is ignored");
        return 0;
    }
    enum policy_scope scope = POLICY_NAMESPACE;
    if (a->selector.n > 0)
        scope = POLICY_WORKLOAD;
    else if (strcmp(o->ns, v->settings->root_namespace) == 0)
        scope = POLICY_GLOBAL;
    struct policy *p = policy_build(o->ns, o->name, scope,
                                    a->action == AUTHORIZATION_DENY ? POLICY_DENY : POLICY_ALLOW);
    if (!p)
        return -ENOMEM;
    p->dry_run = a->dry_run;
    for (size_t i = 0; i < a->n_rules; i++) {
        const char *beyond = rule_beyond(&a->rules[i]);
        if (beyond)
            warn(o, key, i, beyond, problems);
        if (beyond && p->action == POLICY_ALLOW)
            continue;
        if (add_rule(p, &a->rules[i]) < 0) {
            policy_free(p);
            return -ENOMEM;
        }
    }
    *ret = p;
    return 0;
}

bool authorization_selects(const struct object *o)
{
    return o->authorization.selector.n > 0 && o->authorization.action != AUTHORIZATION_AUDIT;
}
