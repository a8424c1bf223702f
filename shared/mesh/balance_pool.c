#include "shared/mesh/balance_pool.h"

#include <errno.h>
#include <stdlib.h>

enum { HUNDRED = 100 };

enum balance_share balance_share_of(const struct balance_host *h)
{
    if (h->outlier.ejected || h->failed_check)
        return SHARE_ALL;
    switch (h->endpoint->health) {
    case HEALTH_UNKNOWN:
    case HEALTH_HEALTHY:
        return SHARE_HEALTHY;
    case HEALTH_DEGRADED:
        return SHARE_DEGRADED;
    case HEALTH_UNHEALTHY:
    case HEALTH_DRAINING:
    case HEALTH_TIMEOUT:
        break;
    }
    return SHARE_ALL;
}

/* ---- Lists. */

static bool list_add(struct balance_list *l, struct balance_host *h, size_t n_max)
{
    if (!l->hosts) {
        l->hosts = calloc(n_max, sizeof *l->hosts);
        l->same_weight = true;
    }
    if (!l->hosts)
        return false;
    if (l->n > 0 && l->hosts[0]->endpoint->weight != h->endpoint->weight)
        l->same_weight = false;
    l->hosts[l->n++] = h;
    return true;
}

/* How many of the pool's hosts each group has: the room that its lists need. */
struct rooms {
    size_t *of_group, *of_priority;
};

static bool place_host(struct balance_pool *p, const struct endpoints *e, struct balance_host *h,
                       const struct rooms *rooms)
{
    size_t g = (size_t)(h->group - e->groups);
    struct balance_priority *priority = &p->priorities[h->group->priority];
    enum balance_share share = balance_share_of(h);

    if (!list_add(&priority->lists[SHARE_ALL], h, rooms->of_priority[h->group->priority]))
        return false;
    if (share == SHARE_ALL)
        return true;
    if (!list_add(&priority->lists[share], h, rooms->of_priority[h->group->priority]))
        return false;
    return !p->localities[share] || list_add(&p->localities[share][g], h, rooms->of_group[g]);
}

static void weigh_localities(struct balance_pool *p, const struct endpoints *e,
                             const struct rooms *rooms)
{
    for (int share = 0; share < SHARE_ALL; share++) {
        for (size_t g = 0; p->localities[share] && g < p->n_localities; g++) {
            struct balance_list *l = &p->localities[share][g];
            if (l->n == 0)
                continue;
            double part = (double)l->n / (double)rooms->of_group[g] *
                          (e->overprovisioning_percent / (double)HUNDRED);
            l->weight = e->groups[g].weight * (part < 1 ? part : 1);
        }
    }
}

/* ---- Loads (Envoy's "priority levels", "degraded endpoints" and "panic threshold"). */

static uint32_t available_percent(const struct balance_priority *p, enum balance_share share,
                                  const struct endpoints *e)
{
    size_t all = p->lists[SHARE_ALL].n;
    uint64_t percent = all ? (uint64_t)e->overprovisioning_percent * p->lists[share].n / all : 0;
    return percent < HUNDRED ? (uint32_t)percent : HUNDRED;
}

/* All priorities are in panic: requests go to all hosts, in proportion. */
static void spread_in_panic(struct balance_pool *p)
{
    size_t all = 0, first = p->n_priorities;
    uint32_t left = HUNDRED;

    for (size_t i = 0; i < p->n_priorities; i++) {
        all += p->priorities[i].lists[SHARE_ALL].n;
        if (first == p->n_priorities && p->priorities[i].lists[SHARE_ALL].n > 0)
            first = i;
    }
    for (size_t i = 0; all > 0 && i < p->n_priorities; i++) {
        struct balance_priority *q = &p->priorities[i];
        q->load[SHARE_DEGRADED] = 0;
        q->load[SHARE_HEALTHY] = (uint32_t)(HUNDRED * q->lists[SHARE_ALL].n / all);
        left -= q->load[SHARE_HEALTHY];
    }
    if (all > 0)
        p->priorities[first].load[SHARE_HEALTHY] += left;
}

static void spread(struct balance_pool *p, const struct endpoints *e, uint32_t total)
{
    uint32_t left = HUNDRED;
    struct balance_priority *first = NULL;
    int first_share = SHARE_HEALTHY;

    for (int share = 0; share < SHARE_ALL; share++) {
        for (size_t i = 0; i < p->n_priorities; i++) {
            struct balance_priority *q = &p->priorities[i];
            uint32_t part = available_percent(q, share, e) * HUNDRED / total;
            q->load[share] = part < left ? part : left;
            left -= q->load[share];
            if (!first && q->load[share] > 0) {
                first = q;
                first_share = share;
            }
        }
    }
    if (first)
        first->load[first_share] += left; /* what rounding left over */
}

static void set_loads(struct balance_pool *p, const struct cluster *c, const struct endpoints *e)
{
    uint32_t total = 0;
    bool all_panic = true;

    for (size_t i = 0; i < p->n_priorities; i++)
        total += available_percent(&p->priorities[i], SHARE_HEALTHY, e) +
                 available_percent(&p->priorities[i], SHARE_DEGRADED, e);
    if (total > HUNDRED)
        total = HUNDRED;
    for (size_t i = 0; i < p->n_priorities; i++) {
        struct balance_priority *q = &p->priorities[i];
        size_t usable = q->lists[SHARE_HEALTHY].n + q->lists[SHARE_DEGRADED].n;
        /* While the priorities together have capacity enough, none is in panic. */
        q->panic = total < HUNDRED &&
                   usable * HUNDRED < (uint64_t)c->balance.panic_percent *
                                          (q->lists[SHARE_ALL].n ? q->lists[SHARE_ALL].n : 1);
        all_panic &= q->panic;
    }
    if (all_panic)
        spread_in_panic(p);
    else if (total > 0)
        spread(p, e, total);
}

/* ---- Building. */

void balance_pool_done(struct balance_pool *p)
{
    for (size_t i = 0; p->priorities && i < p->n_priorities; i++) {
        struct balance_priority *q = &p->priorities[i];
        for (int share = 0; share < SHARES; share++)
            balance_list_done(&q->lists[share]);
    }
    for (int share = 0; share < SHARE_ALL; share++) {
        for (size_t g = 0; p->localities[share] && g < p->n_localities; g++)
            balance_list_done(&p->localities[share][g]);
        free(p->localities[share]);
        p->localities[share] = NULL;
    }
    free(p->priorities);
    p->priorities = NULL;
    p->n_priorities = p->n_localities = p->n_hosts = 0;
}

bool balance_pool_has(const struct balance_pool *p, const struct balance_host *h)
{
    return labels_include(h->endpoint->labels, h->endpoint->n_labels, p->labels, p->n_labels);
}

static bool make_localities(struct balance_pool *p, const struct endpoints *e)
{
    p->n_localities = e->n_groups;
    for (int share = 0; share < SHARE_ALL; share++) {
        p->localities[share] = calloc(e->n_groups + 1, sizeof *p->localities[share]);
        if (!p->localities[share])
            return false;
    }
    return true;
}

static bool fill(struct balance_pool *p, const struct cluster *c, const struct endpoints *e,
                 struct balance_host *const *hosts, size_t n_hosts, const struct rooms *rooms)
{
    bool weighted = c->balance.locality_weighted && c->balance.kind != BALANCE_RING_HASH &&
                    c->balance.kind != BALANCE_MAGLEV;

    if (weighted && !make_localities(p, e))
        return false;
    for (size_t i = 0; i < n_hosts; i++) {
        if (balance_pool_has(p, hosts[i])) {
            p->n_hosts++;
            rooms->of_group[hosts[i]->group - e->groups]++;
            rooms->of_priority[hosts[i]->group->priority]++;
        }
    }
    for (size_t i = 0; i < n_hosts; i++) {
        if (balance_pool_has(p, hosts[i]) && !place_host(p, e, hosts[i], rooms))
            return false;
    }
    weigh_localities(p, e, rooms);
    return true;
}

int balance_pool_build(struct balance_pool *p, const struct cluster *c, const struct endpoints *e,
                       struct balance_host *const *hosts, size_t n_hosts)
{
    struct rooms rooms = {calloc(e->n_groups + 1, sizeof(size_t)),
                          calloc(e->n_priorities + 1, sizeof(size_t))};
    bool done = false;

    balance_pool_done(p);
    p->priorities = calloc(e->n_priorities + 1, sizeof *p->priorities);
    if (p->priorities && rooms.of_group && rooms.of_priority) {
        p->n_priorities = e->n_priorities;
        done = fill(p, c, e, hosts, n_hosts, &rooms);
    }
    if (done)
        set_loads(p, c, e);
    else
        balance_pool_done(p);
    free(rooms.of_group);
    free(rooms.of_priority);
    return done ? 0 : -ENOMEM;
}

/* ---- Choosing. */

static struct balance_list *choose_locality(struct balance_pool *p, const struct endpoints *e,
                                            size_t priority, enum balance_share share,
                                            struct rng *rng)
{
    struct balance_list *l = p->localities[share], *last = NULL;
    double sum = 0;

    for (size_t g = 0; g < p->n_localities; g++)
        sum += e->groups[g].priority == priority ? l[g].weight : 0;
    double at = (double)(rng_u64(rng) >> 11) * 0x1p-53 * sum;
    for (size_t g = 0; g < p->n_localities; g++) {
        if (e->groups[g].priority != priority || l[g].weight <= 0)
            continue;
        last = &l[g];
        if (at < last->weight)
            break;
        at -= last->weight;
    }
    return last ? last : &p->priorities[priority].lists[share];
}

static struct balance_list *choose_list(struct balance_pool *p, const struct cluster *c,
                                        const struct endpoints *e, const struct balance_request *r)
{
    /* Of a hash, so that a client stays with its priority. */
    uint64_t at = (r->has_hash ? r->hash : rng_u64(r->rng)) % HUNDRED;

    for (int share = 0; share < SHARE_ALL; share++) {
        for (size_t i = 0; i < p->n_priorities; i++) {
            struct balance_priority *q = &p->priorities[i];
            if (at >= q->load[share]) {
                at -= q->load[share];
                continue;
            }
            if (q->panic)
                return c->balance.fail_in_panic ? NULL : &q->lists[SHARE_ALL];
            if (p->localities[share])
                return choose_locality(p, e, i, share, r->rng);
            return &q->lists[share];
        }
    }
    return NULL;
}

int balance_pool_choose(struct balance_pool *p, const struct cluster *c, const struct endpoints *e,
                        const struct balance_request *r, uint32_t attempt,
                        struct balance_host **ret)
{
    struct balance_list *l = choose_list(p, c, e, r);

    if (!l)
        return -EHOSTUNREACH;
    int error = balance_list_prepare(l, c, e, r);
    if (error < 0)
        return error;
    struct balance_host *h = balance_list_choose(l, c, r, attempt);
    if (!h)
        return -EHOSTUNREACH;
    *ret = h;
    return 0;
}
