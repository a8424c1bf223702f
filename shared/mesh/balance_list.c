#include "shared/mesh/balance_list.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static bool consistent(const struct cluster *c)
{
    return c->balance.kind == BALANCE_RING_HASH || c->balance.kind == BALANCE_MAGLEV;
}

/* ---- Weights. */

static double slow_start_factor(const struct slow_start *s, const struct balance_host *h,
                                uint64_t now_ms)
{
    uint64_t age = now_ms > h->since_ms ? now_ms - h->since_ms : 0;

    if (s->window_ms == 0 || age >= s->window_ms)
        return 1;
    /* A host that has just come is one millisecond old: none has a weight of 0. */
    double part = (double)(age ? age : 1) / (double)s->window_ms;
    return fmax(s->min_weight_percent / 100.0, pow(part, 1 / s->aggression));
}

static double weight_now(const struct cluster *c, const struct balance_host *h, uint64_t now_ms)
{
    double weight = h->endpoint->weight * slow_start_factor(&c->balance.slow_start, h, now_ms);

    if (c->balance.kind == BALANCE_LEAST_REQUEST && c->balance.active_bias > 0)
        weight /= pow(h->active + 1.0, c->balance.active_bias);
    return fmax(weight, 1e-9);
}

/* ---- What each policy needs. */

static struct text key_of(const struct cluster *c, const struct balance_host *h,
                          char out[static ADDR_TEXT_MAX])
{
    if (c->balance.hash_hostname && h->endpoint->hostname.len > 0)
        return h->endpoint->hostname;
    return text_of(addr_print(&h->addr, out));
}

/* In a consistent table a locality's weight goes into its hosts' weights. */
static double weight_in_table(const struct balance_host *h, const struct cluster *c,
                              const double *group_weights, const struct endpoints *e)
{
    if (!c->balance.locality_weighted)
        return h->endpoint->weight;
    return h->endpoint->weight * group_weights[h->group - e->groups];
}

static int build_table(struct balance_list *l, const struct cluster *c, const struct endpoints *e)
{
    const struct balance_settings *b = &c->balance;
    char(*texts)[ADDR_TEXT_MAX] = calloc(l->n + 1, sizeof *texts);
    struct consistent_host *hosts = calloc(l->n + 1, sizeof *hosts);
    double *group_weights = calloc(e->n_groups + 1, sizeof *group_weights);
    size_t n = 0;
    int error = -ENOMEM;

    if (texts && hosts && group_weights) {
        for (size_t i = 0; i < l->n; i++)
            group_weights[l->hosts[i]->group - e->groups] += l->hosts[i]->endpoint->weight;
        for (size_t g = 0; g < e->n_groups; g++) {
            if (group_weights[g] > 0)
                group_weights[g] = e->groups[g].weight / group_weights[g];
        }
        /* A host of a locality without weight stays out, and the numbers stay those of l->hosts:
         * such hosts are put behind the others. */
        for (size_t i = 0; i < l->n; i++) {
            double weight = weight_in_table(l->hosts[i], c, group_weights, e);
            if (weight <= 0)
                continue;
            struct balance_host *h = l->hosts[i];
            l->hosts[i] = l->hosts[n];
            l->hosts[n] = h;
            hosts[n] = (struct consistent_host){key_of(c, h, texts[n]), weight};
            n++;
        }
        l->n = n;
        error = b->kind == BALANCE_MAGLEV
                    ? maglev_build(&l->maglev, hosts, n, b->maglev_table)
                    : ring_build(&l->ring, hosts, n, b->ring_min,
                                 b->ring_max < RING_ENTRIES_MAX ? b->ring_max : RING_ENTRIES_MAX,
                                 b->ring_murmur);
    }
    free(texts);
    free(hosts);
    free(group_weights);
    return error;
}

static int build_edf(struct balance_list *l, const struct cluster *c,
                     const struct balance_request *r)
{
    int e = edf_init(&l->edf, l->n);

    /* Everybody begins somewhere in its first turn: many balancers that are made at once do not all
     * begin with the same host. */
    for (size_t i = 0; e == 0 && i < l->n; i++) {
        double part = (double)(rng_u64(r->rng) >> 11) * 0x1p-53;
        edf_add(&l->edf, (uint32_t)i, part / weight_now(c, l->hosts[i], r->now_ms));
    }
    return e;
}

static bool wants_edf(const struct balance_list *l, const struct cluster *c)
{
    if (c->balance.kind == BALANCE_ROUND_ROBIN)
        return true;
    return c->balance.kind == BALANCE_LEAST_REQUEST &&
           (!l->same_weight || c->balance.slow_start.window_ms > 0);
}

int balance_list_prepare(struct balance_list *l, const struct cluster *c, const struct endpoints *e,
                         const struct balance_request *r)
{
    int error = 0;

    if (l->built || l->n == 0)
        return 0;
    if (consistent(c))
        error = build_table(l, c, e);
    else if (wants_edf(l, c))
        error = build_edf(l, c, r);
    l->built = error == 0;
    return error;
}

void balance_list_done(struct balance_list *l)
{
    free(l->hosts);
    edf_done(&l->edf);
    ring_done(&l->ring);
    maglev_done(&l->maglev);
    *l = (struct balance_list){0};
}

/* ---- Choosing. */

static struct balance_host *least_of_some(struct balance_list *l, const struct cluster *c,
                                          struct rng *rng)
{
    struct balance_host *best = NULL;

    for (uint32_t i = 0; i < c->balance.choices; i++) {
        struct balance_host *h = l->hosts[rng_below(rng, l->n)];
        if (!best || h->active < best->active)
            best = h;
    }
    return best;
}

struct balance_host *balance_list_choose(struct balance_list *l, const struct cluster *c,
                                         const struct balance_request *r, uint32_t attempt)
{
    uint64_t hash = r->has_hash ? r->hash : rng_u64(r->rng);

    if (l->n == 0)
        return NULL;
    if (c->balance.kind == BALANCE_RING_HASH)
        return l->hosts[ring_find(&l->ring, hash, attempt)];
    if (c->balance.kind == BALANCE_MAGLEV)
        return l->hosts[maglev_find(&l->maglev, hash, attempt)];
    if (c->balance.kind == BALANCE_RANDOM)
        return l->hosts[rng_below(r->rng, l->n)];
    if (!wants_edf(l, c))
        return least_of_some(l, c, r->rng);
    struct balance_host *h = l->hosts[edf_first(&l->edf)];
    edf_taken(&l->edf, weight_now(c, h, r->now_ms));
    return h;
}
