/* What the directories of a simulated mesh know: workloads, services, policies. */
#include "tests/sim/sim_mesh.h"

static char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *format_text(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int r = vasprintf(&text, format, args);
    va_end(args);
    assert_true(r >= 0);
    return text;
}

static void set(char **field, char *taken)
{
    free(*field);
    *field = taken;
}

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n, size);
    assert_non_null(p);
    return p;
}

static struct port_pair *service_ports(const struct sim_mesh *m)
{
    struct port_pair *p = zeroed(1, sizeof *p);
    *p = (struct port_pair){.service_port = SIM_SERVICE_PORT, .target_port = SIM_PORT, .app_protocol = m->app_protocol};
    return p;
}

static struct workload *workload_make(const struct sim_pod *p)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    set(&w->uid, format_text("%s", p->uid));
    set(&w->name, format_text("%s", p->name));
    set(&w->workload_name, format_text("%s", p->name));
    set(&w->canonical_name, format_text("%s", p->name));
    set(&w->ns, format_text("shop"));
    set(&w->service_account, format_text("%s", p->account));
    set(&w->node, format_text("node%d", p->node ? (int)p->node->index : -1));
    w->tunnel = p->node ? TUNNEL_HBONE : TUNNEL_NONE;
    w->addresses = zeroed(2, sizeof *w->addresses);
    if (!p->no_v4)
        w->addresses[w->n_addresses++] = p->v4;
    w->addresses[w->n_addresses++] = p->v6;
    w->services = zeroed(SIM_SERVICES_MAX, sizeof *w->services);
    for (unsigned i = 0; i < SIM_SERVICES_MAX; i++)
        if (p->services & 1u << i)
            w->services[w->n_services++] = (struct workload_service){
                .key = format_text("shop/s%u.shop", i), .ports = service_ports(p->mesh), .n_ports = 1};
    return w;
}

void sim_pod_publish_to(struct sim_pod *p, unsigned node)
{
    assert_int_equal(directory_put_workload(p->mesh->nodes[node].directory, workload_make(p)), 0);
    sim_news(p->mesh);
}

void sim_pod_publish(struct sim_pod *p)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        sim_pod_publish_to(p, i);
}

struct addr sim_service_addr(unsigned number, bool v6)
{
    struct addr a = {.ip = {4, {10, 96, 0, (uint8_t)(1 + number)}}, .port = SIM_SERVICE_PORT};
    if (v6)
        a.ip = (struct ip){16, {0xfd, 0x96, [15] = (uint8_t)(1 + number)}};
    return a;
}

static struct service *service_make(const struct sim_mesh *m, unsigned number)
{
    struct service *s = service_new();
    assert_non_null(s);
    set(&s->name, format_text("s%u", number));
    set(&s->ns, format_text("shop"));
    set(&s->hostname, format_text("s%u.shop", number));
    set(&s->key, format_text("shop/s%u.shop", number));
    s->addresses = zeroed(2, sizeof *s->addresses);
    for (unsigned i = 0; i < 2; i++)
        s->addresses[s->n_addresses++] = (struct service_address){
            .network = format_text("%s", ""), .ip = sim_service_addr(number, i == 1).ip};
    s->ports = service_ports(m);
    s->n_ports = 1;
    return s;
}

void sim_service(struct sim_mesh *m, unsigned number)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_int_equal(directory_put_service(m->nodes[i].directory, service_make(m, number)), 0);
    sim_news(m);
}

/* ---- policies -------------------------------------------------------------------------------------------------- */

static struct string_match *put_match(struct string_matches *all, enum string_match_kind kind,
                                      char *taken_value)
{
    all->items = zeroed(1, sizeof *all->items);
    all->items[0] = (struct string_match){.kind = kind, .value = taken_value};
    all->n = 1;
    return all->items;
}

/* One rule with one clause with one match. */
static struct policy *policy_make(const char *name, enum policy_action action,
                                  struct policy_match **ret_match)
{
    struct policy *p = policy_new();
    assert_non_null(p);
    set(&p->name, format_text("%s", name));
    set(&p->ns, format_text("shop"));
    set(&p->key, format_text("shop/%s", name));
    p->scope = POLICY_NAMESPACE;
    p->action = action;
    p->rules = zeroed(1, sizeof *p->rules);
    p->n_rules = 1;
    p->rules[0].clauses = zeroed(1, sizeof *p->rules[0].clauses);
    p->rules[0].n = 1;
    p->rules[0].clauses[0].matches = zeroed(1, sizeof **ret_match);
    p->rules[0].clauses[0].n = 1;
    *ret_match = &p->rules[0].clauses[0].matches[0];
    return p;
}

static void policy_put(struct sim_mesh *m, struct policy *(*make)(const char *name, const void *a),
                       const char *name, const void *a)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_int_equal(directory_put_policy(m->nodes[i].directory, make(name, a)), 0);
    sim_news(m);
}

struct access_pair {
    const struct sim_pod *to, *from;
};

/* DENY to `to` from everybody else: the namespace's other pods stay as open as they were. */
static struct policy *only_from(const char *name, const void *a)
{
    const struct access_pair *pair = a;
    struct policy_match *match;
    struct policy *p = policy_make(name, POLICY_DENY, &match);
    struct policy_rule *rule = &p->rules[0];
    if (pair->from)
        put_match(&match->not_principals, MATCH_EXACT, format_text("%s", pair->from->id.text + 9));
    else
        put_match(&match->not_principals, MATCH_EXACT, format_text("nobody"));
    /* and: at these addresses */
    struct policy_clause *clauses = zeroed(2, sizeof *clauses);
    clauses[0] = rule->clauses[0];
    clauses[1].matches = zeroed(1, sizeof *match);
    clauses[1].n = 1;
    free(rule->clauses);
    rule->clauses = clauses;
    rule->n = 2;
    struct prefix_matches *at = &clauses[1].matches[0].destination_ips;
    at->items = zeroed(2, sizeof *at->items);
    at->items[at->n++] = (struct prefix){pair->to->v4, 32};
    at->items[at->n++] = (struct prefix){pair->to->v6, 128};
    return p;
}

void sim_policy_allow(struct sim_mesh *m, const char *name, const struct sim_pod *to,
                      const struct sim_pod *from)
{
    policy_put(m, only_from, name, &(struct access_pair){to, from});
}

/* What the controller makes of a DENY of a method: bytes, of which nobody sees the method, are denied. */
static struct policy *no_method(const char *name, const void *a)
{
    struct policy_match *match;
    struct policy *p = policy_make(name, POLICY_DENY, &match);
    match->request = zeroed(1, sizeof *match->request);
    put_match(&match->request->methods, MATCH_EXACT, format_text("%s", (const char *)a));
    p->http_rules = p->rules;
    p->n_http_rules = p->n_rules;
    p->rules = zeroed(1, sizeof *p->rules); /* without a condition */
    return p;
}

void sim_policy_no_method(struct sim_mesh *m, const char *name, const char *method)
{
    policy_put(m, no_method, name, method);
}

/* What the controller makes of a STRICT PeerAuthentication. */
static struct policy *strict(const char *name, const void *a)
{
    struct policy_match *match;
    struct policy *p = policy_make(name, POLICY_DENY, &match);
    (void)a;
    put_match(&match->not_principals, MATCH_PRESENCE, format_text("%s", ""));
    return p;
}

void sim_policy_strict(struct sim_mesh *m, const char *name)
{
    policy_put(m, strict, name, NULL);
}

void sim_policy_remove(struct sim_mesh *m, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "shop/%s", name);
    for (unsigned i = 0; i < SIM_NODES; i++)
        assert_true(directory_remove_policy(m->nodes[i].directory, text_of(key)));
    sim_news(m);
}
