#include "shared/mesh/endpoints_rank.h"

#include <assert.h>
#include <errno.h>

static bool same(struct text a, const char *b)
{
    return text_equal(a, text_of(b));
}

int endpoint_distance(const struct locality *from, const struct endpoint_group *g)
{
    if (!same(g->region, from->region))
        return 3;
    if (!same(g->zone, from->zone))
        return 2;
    return same(g->sub_zone, from->subzone) ? 0 : 1;
}

/* Of one rank what a group has of it; 0: nothing. */
static size_t take(const struct endpoint_group *g, const int8_t *ranks, int rank,
                   struct endpoint *out)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_endpoints; i++)
        if (ranks[i] == rank)
            out[n++] = g->endpoints[i];
    return n;
}

struct ranked {
    int8_t *of; /* each endpoint's, in order */
    bool there[ENDPOINT_RANKS_MAX];
};

static void rank_all(const struct endpoints *e, const struct endpoint_ranking *by, struct ranked *r)
{
    size_t n = 0;
    for (size_t g = 0; g < e->n_groups; g++)
        for (size_t i = 0; i < e->groups[g].n_endpoints; i++) {
            int rank = by->rank(by->arg, &e->groups[g], &e->groups[g].endpoints[i]);
            assert(rank < ENDPOINT_RANKS_MAX);
            r->of[n++] = (int8_t)rank;
            if (rank >= 0)
                r->there[rank] = true;
        }
}

static void fill(struct endpoints *to, const struct endpoints *e, const struct ranked *r,
                 struct endpoint *room)
{
    for (int rank = 0; rank < ENDPOINT_RANKS_MAX; rank++) {
        const int8_t *ranks = r->of;
        for (size_t g = 0; r->there[rank] && g < e->n_groups; g++) {
            size_t n = take(&e->groups[g], ranks, rank, room);
            ranks += e->groups[g].n_endpoints;
            if (n == 0)
                continue;
            struct endpoint_group *made = &to->groups[to->n_groups++];
            *made = e->groups[g];
            made->priority = (uint32_t)to->n_priorities;
            made->endpoints = room;
            made->n_endpoints = n;
            room += n;
            to->n_endpoints += n;
        }
        to->n_priorities += r->there[rank];
    }
}

int endpoints_ranked(const struct endpoints *e, const struct endpoint_ranking *by,
                     struct endpoints **ret)
{
    struct endpoints *to = endpoints_new(ENDPOINTS_BYTES_MAX);
    struct ranked r = {.of = NULL};
    size_t groups = 0;

    if (!to)
        return -ENOMEM;
    r.of = arena_zero(&to->arena, e->n_endpoints, sizeof *r.of);
    struct endpoint *room = arena_zero(&to->arena, e->n_endpoints, sizeof *room);
    if (!r.of || !room)
        goto no_memory;
    rank_all(e, by, &r);
    for (int i = 0; i < ENDPOINT_RANKS_MAX; i++)
        groups += r.there[i] ? e->n_groups : 0;
    to->groups = arena_zero(&to->arena, groups, sizeof *to->groups);
    if (!to->groups)
        goto no_memory;
    to->name = e->name;
    to->drops = e->drops;
    to->n_drops = e->n_drops;
    to->overprovisioning_percent = e->overprovisioning_percent;
    fill(to, e, &r, room);
    to->finished = true;
    *ret = to;
    return 0;
no_memory:
    endpoints_free(to);
    return -ENOMEM;
}
