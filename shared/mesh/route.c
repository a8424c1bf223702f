#include "shared/mesh/route.h"

#include "shared/http/http_head.h"
#include "shared/mesh/kept_regex.h"

#include <errno.h>
#include <stdlib.h>

struct route_table *route_table_new(size_t arena_max)
{
    struct route_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    arena_init(&t->arena, arena_max);
    return t;
}

struct route_table *route_table_ref(struct route_table *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

struct route_table *route_table_unref(struct route_table *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    kept_regex_done(&t->regexes);
    arena_done(&t->arena);
    free(t);
    return NULL;
}

/* The same number decides about fractions; spread anew (splitmix64's last steps), so that who fell
 * into the smaller part there is not all in the first backend here. */
static uint64_t spread(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

const struct route_backend *route_forward_backend(const struct route_forward *f, uint64_t random)
{
    if (f->total_weight == 0)
        return NULL;
    uint64_t at = spread(random) % f->total_weight;
    for (size_t i = 0; i < f->n_backends; i++) {
        if (at < f->backends[i].weight)
            return &f->backends[i];
        at -= f->backends[i].weight;
    }
    return NULL;
}

int route_table_choose(const struct route_table *t, const struct route_request *request,
                       struct route_choice *ret)
{
    struct route_choice c = {.host = route_table_host(t, request->head->authority)};
    int e = c.host ? virtual_host_route(c.host, request, &c.route) : -ENOENT;

    if (c.route) {
        const struct route_action *a = &c.route->action;
        c.fault = a->fault ? a->fault : c.host->fault;
        c.cors = a->cors ? a->cors : c.host->cors;
        if (a->kind == ROUTE_FORWARD) {
            c.backend = route_forward_backend(&a->forward, request->random);
            c.retry = a->forward.retry ? a->forward.retry : c.host->retry;
        }
    }
    *ret = c;
    return e;
}
