#include "shared/mesh/cluster.h"

#include "shared/mesh/kept_regex.h"

#include <assert.h>
#include <stdlib.h>

struct cluster *cluster_new(size_t arena_max)
{
    struct cluster *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    arena_init(&c->arena, arena_max);
    c->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    c->balance = (struct balance_settings){.choices = 2,
                                           .active_bias = 1,
                                           .ring_min = RING_SIZE_MIN,
                                           .ring_max = RING_SIZE_MAX,
                                           .maglev_table = MAGLEV_TABLE,
                                           .slow_start = {0, 1, 10},
                                           .panic_percent = 50};
    for (size_t i = 0; i < 2; i++)
        breaker_limits_init(&c->breaker[i]);
    outlier_settings_init(&c->outlier);
    return c;
}

struct cluster *cluster_ref(struct cluster *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

struct cluster *cluster_free(struct cluster *c)
{
    assert(!c || atomic_load(&c->refs) == 1);
    return cluster_unref(c);
}

struct cluster *cluster_unref(struct cluster *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    kept_regex_done(&c->regexes);
    endpoints_free(c->inline_endpoints);
    arena_done(&c->arena);
    free(c);
    return NULL;
}
