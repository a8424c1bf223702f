#include "controller/translate/rule_attach.h"

static struct object_group candidates(const struct view *v, const struct object *service)
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

static bool asks_for_tls(const struct traffic_policies *p)
{
    bool asks = p->all.tls && p->all.tls->originated;
    for (size_t i = 0; i < p->n_ports && !asks; i++)
        asks = p->ports[i].policy.tls && p->ports[i].policy.tls->originated;
    return asks;
}

static const struct traffic_policies *policies_of(const struct rules *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->items[i]->destination_rule.policies.said)
            return &rules->items[i]->destination_rule.policies;
    return NULL;
}

static bool is_among(const struct rules *rules, const struct object *rule)
{
    bool found = false;
    for (size_t i = 0; i < rules->n && !found; i++)
        found = rules->items[i] == rule;
    return found;
}

/* It meant that nobody speaks to the Service in the clear, and does not count: it has a flaw, */
static bool closes_by_flaw(const struct view *v, const struct object *service, const struct object *rule)
{
    const struct destination_rule *d = &rule->destination_rule;
    return d->flaw.kind != GATEWAY_NO_FLAW && d->wants_tls &&
           (strcmp(rule->ns, service->ns) == 0 || strcmp(rule->ns, v->settings->root_namespace) == 0);
}

/* or older ones of its namespace count instead. */
static bool closes_behind(const struct rules *rules, const char *ns, const struct object *rule)
{
    const struct destination_rule *d = &rule->destination_rule;
    return d->wants_tls && good_in(rule, ns) &&
           (!is_among(rules, rule) || (asks_for_tls(&d->policies) && policies_of(rules) != &d->policies));
}

void rules_find(const struct view *v, const struct object *service, struct rules *ret)
{
    struct object_group all = candidates(v, service);
    const char *ns = home(v, service, all);
    ret->n = 0;
    ret->closed = false;
    for (size_t i = 0; i < all.n && ret->n < RULES_OF_HOST_MAX; i++)
        if (good_in(all.items[i], ns))
            ret->items[ret->n++] = all.items[i];
    for (size_t i = 0; i < all.n && !ret->closed; i++)
        ret->closed = closes_by_flaw(v, service, all.items[i]) || closes_behind(ret, ns, all.items[i]);
}

bool rule_any(const struct view *v, const struct object *service)
{
    struct rules rules;
    rules_find(v, service, &rules);
    return rules.n > 0;
}

static const struct rule_subset *subset_in(const struct object *rule, const char *name)
{
    const struct destination_rule *d = &rule->destination_rule;
    for (size_t i = 0; i < d->n_subsets; i++)
        if (strcmp(d->subsets[i].name, name) == 0)
            return &d->subsets[i];
    return NULL;
}

const struct rule_subset *rules_subset(const struct rules *rules, const char *name)
{
    const struct rule_subset *found = NULL;
    for (size_t i = 0; i < rules->n && !found; i++)
        found = subset_in(rules->items[i], name);
    return found;
}

const struct rule_subset *rule_subset(const struct view *v, const struct object *service,
                                      const char *name)
{
    struct rules rules;
    rules_find(v, service, &rules);
    return rules_subset(&rules, name);
}

size_t rules_subsets(const struct rules *rules, const struct object *service,
                     const struct rule_subset *ret[static RULE_SUBSETS_OF_HOST_MAX])
{
    size_t n_ports = service->service.n_ports, n = 0;
    size_t max = RULE_CLUSTERS_MAX / (n_ports > 0 ? n_ports : 1);
    for (size_t i = 0; i < rules->n; i++) {
        const struct destination_rule *d = &rules->items[i]->destination_rule;
        for (size_t j = 0; j < d->n_subsets && n < max && n < RULE_SUBSETS_OF_HOST_MAX; j++)
            if (rules_subset(rules, d->subsets[j].name) == &d->subsets[j])
                ret[n++] = &d->subsets[j];
    }
    return n;
}

static void merge(struct traffic_policy *to, const struct traffic_policies *p, uint16_t port)
{
    if (!p)
        return;
    if (p->all.tls)
        to->tls = p->all.tls;
    if (p->all.balance)
        to->balance = p->all.balance;
    if (p->all.pool)
        to->pool = p->all.pool;
    if (p->all.budget)
        to->budget = p->all.budget;
    if (p->all.outlier)
        to->outlier = p->all.outlier;
    for (size_t i = 0; i < p->n_ports; i++)
        if (p->ports[i].port == port) {
            const struct rule_budget *budget = to->budget; /* of all ports */
            *to = p->ports[i].policy;
            to->budget = budget;
            return;
        }
}

bool rules_policy(const struct rules *rules, uint16_t port, const struct rule_subset *subset,
                  struct traffic_policy *ret)
{
    *ret = (struct traffic_policy){0};
    merge(ret, policies_of(rules), port);
    merge(ret, subset ? &subset->policies : NULL, port);
    return rules->n > 0;
}

/* How many of its subsets are not there, because there are too many of its host. */
static size_t subsets_missing(const struct rules *rules, const struct object *service,
                              const struct object *rule)
{
    const struct rule_subset *there[RULE_SUBSETS_OF_HOST_MAX];
    const struct destination_rule *d = &rule->destination_rule;
    size_t n = rules_subsets(rules, service, there), missing = 0;
    for (size_t i = 0; i < d->n_subsets; i++) {
        const struct rule_subset *wanted = rules_subset(rules, d->subsets[i].name);
        bool found = false;
        for (size_t j = 0; j < n && !found; j++)
            found = there[j] == wanted;
        missing += !found;
    }
    return missing;
}

/* What of a rule that is good counts for nothing. */
static void warn_rest(const struct view *v, const struct object *o, const struct object *service,
                      const char *key, struct problems *problems)
{
    struct rules rules;
    const char *ns = home(v, service, candidates(v, service));
    rules_find(v, service, &rules);
    bool counts = is_among(&rules, o);
    size_t missing = counts ? subsets_missing(&rules, service, o) : 0;
    if (closes_behind(&rules, ns, o))
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, counts ? "spec.trafficPolicy" : "spec.host",
                     "counts for nothing: older rules for '%s' count. It asks for TLS: nothing goes to '%s' meanwhile; "
                     "say all in the oldest rule that has a trafficPolicy",
                     o->destination_rule.host, o->destination_rule.host);
    else if (!counts && !good_in(o, ns))
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.host",
                     "counts for nothing: namespace %s has rules of its own for '%s'", service->ns,
                     o->destination_rule.host);
    else if (!counts)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "spec.host",
                     "counts for nothing: of the rules for '%s' only the oldest %d count",
                     o->destination_rule.host, RULES_OF_HOST_MAX);
    else if (missing > 0)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "spec.subsets",
                     "%zu are not there: '%s' has too many subsets for its ports, which have %d "
                     "clusters together",
                     missing, o->destination_rule.host, RULE_CLUSTERS_MAX);
}

void rule_warn(const struct view *v, const struct object *o, struct problems *problems)
{
    const struct destination_rule *d = &o->destination_rule;
    char key[OBJECT_KEY_MAX];
    char host[VIEW_KEY_MAX];
    const struct object *service =
        traffic_by_host(v, traffic_full_host(v, o->ns, d->host, host));
    object_key(o->kind, o->ns, o->name, key);
    if (d->flaw.kind != GATEWAY_NO_FLAW && service && closes_by_flaw(v, service, o))
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "",
                     "counts for nothing: %s. It asks for TLS: nothing goes to '%s' meanwhile",
                     d->flaw.text, d->host);
    else if (d->flaw.kind != GATEWAY_NO_FLAW)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "", "counts for nothing: %s",
                     d->flaw.text);
    else if (!service && d->wants_tls)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "spec.host",
                     "there is no Service '%s', nor a ServiceEntry's host with endpoints: TLS is not made, and what is "
                     "sent there passes as it is",
                     d->host);
    else if (!service)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.host",
                     "there is no Service '%s'", d->host);
    else if (strcmp(o->ns, service->ns) != 0 && strcmp(o->ns, v->settings->root_namespace) != 0)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.host",
                     "counts for nothing: rules for '%s' are those of its namespace, or of %s",
                     d->host, v->settings->root_namespace);
    else
        warn_rest(v, o, service, key, problems);
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

static void apply_budget(const struct rule_budget *b, struct cluster *c)
{
    for (size_t i = 0; b && i < 2; i++) {
        c->breaker[i].budget = true;
        c->breaker[i].budget_percent = b->percent;
        c->breaker[i].budget_min = b->min;
    }
}

void rule_apply(const struct traffic_policy *p, struct cluster *c)
{
    if (p->balance) {
        c->balance = p->balance->settings;
        c->locality = p->balance->locality;
    } else
        c->balance.kind = BALANCE_LEAST_REQUEST;
    apply_pool(p->pool, c);
    apply_budget(p->budget, c);
    c->outlier_detection = p->outlier != NULL;
    if (!p->outlier)
        return;
    c->outlier = p->outlier->settings;
    c->balance.panic_percent = p->outlier->panic_percent;
}

void rule_apply_tls(const struct traffic_policy *p, const char *host, struct cluster *c)
{
    static struct text h2[] = {{"h2", 2}}, http11[] = {{"http/1.1", 8}};
    const struct rule_tls *t = p->tls;
    if (!t || !t->originated)
        return;
    c->tls = (struct cluster_tls){.kind = TLS_SIMPLE,
                                  .sni = t->sni.len > 0 ? t->sni : text_of(host),
                                  .insecure = t->insecure,
                                  .system_roots = !t->insecure,
                                  .sans = (struct text_match *)t->names,
                                  .n_sans = t->n_names};
    if (c->protocol == UPSTREAM_HTTP2 || c->protocol == UPSTREAM_HTTP1) {
        c->tls.alpn = c->protocol == UPSTREAM_HTTP2 ? h2 : http11;
        c->tls.n_alpn = 1;
    }
}

void rule_close(struct cluster *c)
{
    c->tls = (struct cluster_tls){.kind = TLS_SIMPLE};
}
