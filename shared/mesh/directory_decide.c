#include "shared/mesh/decision.h"
#include "shared/mesh/directory_tables.h"

#include <errno.h>

/* Draws before the endpoints are gone through one by one; looks at policies that change
 * meanwhile. */
enum { DRAWS_MAX = 16, LOOKS_MAX = 1000 };

static void add_all(struct decision *decision, const struct rcu_array *policies)
{
    struct rcu_view view = rcu_array_view(policies);

    for (size_t i = 0; i < view.n; i++)
        decision_add(decision, view.items[i]);
}

/*
 * A policy that moves between two sets is in the new one before it leaves the old one, and the
 * version grows between. So who missed it in both sees that, and looks again; the last look counts,
 * since a later version makes the caller decide anew anyway.
 */
void directory_authorise(const struct directory *d, const struct workload *local,
                         const struct access *a, struct verdict *ret)
{
    struct decision decision;
    uint64_t version;

    for (unsigned look = 0; look < LOOKS_MAX; look++) {
        version = directory_policy_version(d);
        decision_init(&decision, a);
        add_all(&decision, &d->mesh_policies);
        const struct namespace_slot *ns = directory_namespace_slot(d, text_of(local->ns));
        if (ns)
            add_all(&decision, &ns->policies);
        for (size_t i = 0; i < local->n_policies; i++) {
            const struct policy *p = directory_policy(d, text_of(local->policies[i]));
            if (p)
                decision_add(&decision, p);
        }
        if (directory_policy_version(d) == version)
            break;
    }
    decision_make(&decision, ret);
}

struct search {
    const struct service *service;
    const struct port_pair *port; /* of the service */
    const struct workload *source;
    int family;
    unsigned n_scopes; /* that count; 0: no preference */
    bool network_first;
    int nearest; /* the highest rank that there is */
};

static bool same_scope(enum lb_scope scope, const struct workload *a, const struct workload *b)
{
    switch (scope) {
    case LB_REGION:
        return strcmp(a->locality.region, b->locality.region) == 0;
    case LB_ZONE:
        return strcmp(a->locality.zone, b->locality.zone) == 0;
    case LB_SUBZONE:
        return strcmp(a->locality.subzone, b->locality.subzone) == 0;
    case LB_NODE:
        return strcmp(a->node, b->node) == 0;
    case LB_CLUSTER:
        return strcmp(a->cluster_id, b->cluster_id) == 0;
    case LB_NETWORK:
        return strcmp(a->network, b->network) == 0;
    case LB_UNSPECIFIED_SCOPE:
        break;
    }
    return false;
}

/*
 * How near the endpoint is: the number of scopes in a row that it shares with the source. Where the
 * network is the first scope, one in the same network is nearer than any other, and one of another
 * network is compared by the rest. -1: not near enough for a strict preference.
 */
static int rank_of(const struct search *q, const struct workload *w)
{
    const struct service *s = q->service;
    unsigned shared = 0, nearer = 0;

    for (unsigned i = 0; i < q->n_scopes; i++) {
        bool same = same_scope(s->scopes[i], q->source, w);
        if (same)
            shared++;
        if (same && q->network_first && s->scopes[i] == LB_NETWORK)
            nearer = q->n_scopes - 1;
        else if (!same && !(q->network_first && s->scopes[i] == LB_NETWORK))
            break;
    }
    if (s->lb_mode == LB_STRICT && shared != s->n_scopes) /* a source that nobody knows is near to nobody */
        return -1;
    return (int)(shared + nearer);
}

/* 0: the endpoint does not serve this port. */
static uint16_t target_port(const struct search *q, const struct workload *w)
{
    for (size_t i = 0; i < w->n_services; i++) {
        const struct workload_service *s = &w->services[i];
        if (strcmp(s->key, q->service->key) != 0)
            continue;
        for (size_t p = 0; p < s->n_ports; p++) {
            if (s->ports[p].service_port == q->port->service_port && s->ports[p].target_port)
                return s->ports[p].target_port;
        }
    }
    return q->port->target_port;
}

static bool target_of(const struct search *q, const struct workload *w, struct addr *ret)
{
    uint16_t port = target_port(q, w);

    for (size_t i = 0; port && i < w->n_addresses; i++) {
        if (q->family == 0 || ip_family(&w->addresses[i]) == q->family) {
            *ret = (struct addr){w->addresses[i], port};
            return true;
        }
    }
    return false;
}

static bool usable(const struct search *q, const struct workload *w)
{
    struct addr target;
    return (w->healthy || q->service->allow_unhealthy) && w->capacity > 0 &&
           target_of(q, w, &target);
}

/*
 * Drawing until one fits is exact for those of the best rank (each is taken in proportion to its
 * capacity), and its cost does not grow with the service. Where few fit, all are gone through
 * instead.
 */
static const struct workload *draw(const struct search *q, struct rcu_view all, struct rng *rng)
{
    for (unsigned i = 0; i < DRAWS_MAX && all.top > 0; i++) {
        const struct workload *w = all.items[rng_below(rng, all.n)];
        if (rng_below(rng, all.top) < w->capacity && usable(q, w) && rank_of(q, w) == q->nearest)
            return w;
    }
    return NULL;
}

static const struct workload *search_all(const struct search *q, struct rcu_view all,
                                         struct rng *rng)
{
    const struct workload *chosen = NULL;
    uint64_t weight = 0;
    int best = 0;

    for (size_t i = 0; i < all.n; i++) {
        const struct workload *w = all.items[i];
        if (!usable(q, w))
            continue;
        int rank = rank_of(q, w);
        if (rank < best)
            continue;
        if (rank > best)
            weight = 0;
        best = rank;
        weight += w->capacity;
        if (rng_below(rng, weight) < w->capacity)
            chosen = w;
    }
    return chosen;
}

/* What the service prefers, if it does. */
static void prefer(struct search *q)
{
    const struct service *s = q->service;
    if (!q->source || (s->lb_mode != LB_STRICT && s->lb_mode != LB_FAILOVER))
        return;
    q->n_scopes = (unsigned)s->n_scopes;
    q->network_first = s->n_scopes > 0 && s->scopes[0] == LB_NETWORK;
    q->nearest = (int)(q->network_first ? 2 * q->n_scopes - 1 : q->n_scopes);
}

static bool find_port(struct search *q, uint16_t service_port)
{
    for (size_t i = 0; !q->port && i < q->service->n_ports; i++) {
        if (q->service->ports[i].service_port == service_port)
            q->port = &q->service->ports[i];
    }
    return q->port;
}

static bool serves(const struct workload *w, const struct service *s)
{
    for (size_t i = 0; i < w->n_services; i++)
        if (strcmp(w->services[i].key, s->key) == 0)
            return true;
    return false;
}

int directory_serves(const struct directory *d, const struct service *s, uint16_t service_port,
                   const struct workload *source, struct text network, const struct addr *at,
                   struct choice *ret)
{
    struct search q = {.service = s, .source = source, .family = ip_family(&at->ip)};
    const struct workload *w = directory_workload_at(d, network, &at->ip);
    if (!w || !serves(w, s) || !find_port(&q, service_port) || target_port(&q, w) != at->port ||
        !usable(&q, w))
        return -EHOSTUNREACH;
    prefer(&q);
    if (rank_of(&q, w) < 0)
        return -EHOSTUNREACH;
    *ret = (struct choice){w, *at};
    return 0;
}

int directory_choose(const struct directory *d, const struct service *s, uint16_t service_port,
                     const struct workload *source, int family, struct rng *rng, struct choice *ret)
{
    const struct service_slot *slot = directory_service_slot(d, text_of(s->key));
    struct rcu_view all = slot ? rcu_array_view(&slot->endpoints) : (struct rcu_view){0};
    struct search q = {.service = s, .source = source, .family = family};
    const struct workload *w = NULL;

    if (!find_port(&q, service_port))
        return -ENOENT;
    prefer(&q);
    if (all.n > 0) {
        w = draw(&q, all, rng);
        if (!w)
            w = search_all(&q, all, rng);
    }
    if (!w)
        return -EHOSTUNREACH;
    ret->workload = w;
    (void)target_of(&q, w, &ret->target);
    return 0;
}

int directory_distance(const struct service *s, const struct workload *source,
                       const struct workload *w)
{
    struct search q = {.service = s, .source = source};
    prefer(&q);
    int rank = rank_of(&q, w);
    return rank < 0 ? -1 : q.nearest - rank;
}
