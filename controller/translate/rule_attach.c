#include "controller/translate/rule_attach.h"

struct object_group rule_candidates(const struct view *v, const struct object *service)
{
    char host[VIEW_KEY_MAX];
    return object_index_get(&v->rules_of, traffic_service_host(v, service, host));
}

static bool good_in(const struct object *rule, const char *ns)
{
    return rule->destination_rule.flaw.kind == GATEWAY_NO_FLAW && strcmp(rule->ns, ns) == 0;
}

/* The namespace whose rules count. */
static const char *home(const struct view *v, const struct object *service,
                        struct object_group rules)
{
    for (size_t i = 0; i < rules.n; i++)
        if (good_in(rules.items[i], service->ns))
            return service->ns;
    return v->settings->root_namespace;
}

bool rule_counts(const struct view *v, const struct object *service, const struct object *rule)
{
    return good_in(rule, home(v, service, rule_candidates(v, service)));
}

bool rule_any(const struct view *v, const struct object *service)
{
    struct object_group rules = rule_candidates(v, service);
    const char *ns = home(v, service, rules);
    for (size_t i = 0; i < rules.n; i++)
        if (good_in(rules.items[i], ns))
            return true;
    return false;
}

static const struct rule_subset *subset_in(const struct object *rule, const char *name)
{
    const struct destination_rule *d = &rule->destination_rule;
    for (size_t i = 0; i < d->n_subsets; i++)
        if (strcmp(d->subsets[i].name, name) == 0)
            return &d->subsets[i];
    return NULL;
}

const struct rule_subset *rule_subset(const struct view *v, const struct object *service,
                                      const char *name)
{
    struct object_group rules = rule_candidates(v, service);
    const char *ns = home(v, service, rules);
    const struct rule_subset *found = NULL;
    for (size_t i = 0; i < rules.n && !found; i++)
        if (good_in(rules.items[i], ns))
            found = subset_in(rules.items[i], name);
    return found;
}

static const struct traffic_policies *policies_of(const struct view *v,
                                                  const struct object *service)
{
    struct object_group rules = rule_candidates(v, service);
    const char *ns = home(v, service, rules);
    for (size_t i = 0; i < rules.n; i++) {
        const struct traffic_policies *policies = &rules.items[i]->destination_rule.policies;
        if (good_in(rules.items[i], ns) && policies->said)
            return policies;
    }
    return NULL;
}

static void merge(struct traffic_policy *to, const struct traffic_policies *p, uint16_t port)
{
    if (!p)
        return;
    if (p->all.balance)
        to->balance = p->all.balance;
    if (p->all.pool)
        to->pool = p->all.pool;
    if (p->all.outlier)
        to->outlier = p->all.outlier;
    for (size_t i = 0; i < p->n_ports; i++)
        if (p->ports[i].port == port) {
            *to = p->ports[i].policy;
            return;
        }
}

bool rule_policy(const struct view *v, const struct object *service, uint16_t port,
                 const char *subset, struct traffic_policy *ret)
{
    const struct rule_subset *s = subset[0] ? rule_subset(v, service, subset) : NULL;
    *ret = (struct traffic_policy){0};
    merge(ret, policies_of(v, service), port);
    merge(ret, s ? &s->policies : NULL, port);
    return rule_any(v, service);
}

void rule_warn(const struct view *v, const struct object *o, struct problems *problems)
{
    const struct destination_rule *d = &o->destination_rule;
    char key[OBJECT_KEY_MAX];
    const struct object *service = traffic_service(v, o->ns, d->host);
    object_key(o->kind, o->ns, o->name, key);
    if (d->flaw.kind != GATEWAY_NO_FLAW)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "", "counts for nothing: %s",
                     d->flaw.text);
    else if (!service)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.host",
                     "there is no Service '%s'", d->host);
    else if (strcmp(o->ns, service->ns) != 0 && strcmp(o->ns, v->settings->root_namespace) != 0)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.host",
                     "counts for nothing: rules for '%s' are those of its namespace, or of %s",
                     d->host, v->settings->root_namespace);
    else if (!rule_counts(v, service, o))
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.host",
                     "counts for nothing: namespace %s has rules of its own for '%s'", service->ns,
                     d->host);
}

/* ---- Into a cluster ------------------------------------------------------------------------- */

static void apply_pool(const struct rule_pool *p, struct cluster *c)
{
    for (size_t i = 0; i < 2; i++)
        for (unsigned k = 0; k < BREAKER_KINDS; k++)
            c->breaker[i].max[k] = p ? p->breaker.max[k] : UINT32_MAX;
    c->idle_timeout_ms = p ? p->idle_timeout_ms : RULE_IDLE_MS;
    if (!p)
        return;
    if (p->connect_timeout_ms)
        c->connect_timeout_ms = p->connect_timeout_ms;
    c->max_connection_ms = p->max_connection_ms;
    c->keepalive_idle_ms = p->keepalive_idle_ms;
    c->keepalive_interval_ms = p->keepalive_interval_ms;
    c->keepalive_probes = p->keepalive_probes;
    c->requests_per_connection_max = p->requests_per_connection_max;
    c->concurrent_streams_max = p->concurrent_streams_max;
    if (p->http2)
        c->protocol = UPSTREAM_HTTP2;
    if (p->as_client)
        c->protocol = UPSTREAM_AS_DOWNSTREAM;
}

void rule_apply(const struct traffic_policy *p, struct cluster *c)
{
    if (p->balance)
        c->balance = p->balance->settings;
    else
        c->balance.kind = BALANCE_LEAST_REQUEST;
    apply_pool(p->pool, c);
    c->outlier_detection = p->outlier != NULL;
    if (!p->outlier)
        return;
    c->outlier = p->outlier->settings;
    c->balance.panic_percent = p->outlier->panic_percent;
}
