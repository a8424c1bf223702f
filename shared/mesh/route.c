#include "shared/mesh/route.h"

#include <stdlib.h>

struct route_table *route_table_new(size_t arena_max)
{
    struct route_table *t = calloc(1, sizeof *t);
    if (t)
        arena_init(&t->arena, arena_max);
    return t;
}

struct route_table *route_table_free(struct route_table *t)
{
    if (!t)
        return NULL;
    arena_done(&t->arena);
    free(t);
    return NULL;
}
