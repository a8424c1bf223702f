#include "controller/translate/object_index.h"
#include <errno.h>
#include <stdlib.h>

void object_index_init(struct object_index *x)
{
    map_init(&x->groups, 0);
}

static void group_free(void *value)
{
    struct object_group *g = value;
    free(g->items);
    free(g);
}

void object_index_done(struct object_index *x)
{
    map_done(&x->groups, group_free);
}

static struct object_group *group_make(struct object_index *x, struct text key)
{
    struct object_group *g = map_get(&x->groups, key);
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    if (g && map_put(&x->groups, key, g, NULL) < 0) {
        free(g);
        return NULL;
    }
    return g;
}

int object_index_add(struct object_index *x, struct text key, const struct object *o)
{
    struct object_group *g = group_make(x, key);
    if (!g)
        return -ENOMEM;
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i] == o)
            return 0;
    if (g->n == g->size) {
        size_t size = g->size ? 2 * g->size : 1;
        const struct object **items = realloc(g->items, size * sizeof(const struct object *));
        if (!items) {
            if (g->n == 0)
                group_free(map_remove(&x->groups, key));
            return -ENOMEM;
        }
        g->items = items;
        g->size = size;
    }
    g->items[g->n++] = o;
    return 0;
}

void object_index_remove(struct object_index *x, struct text key, const struct object *o)
{
    struct object_group *g = map_get(&x->groups, key);
    for (size_t i = 0; g && i < g->n; i++) {
        if (g->items[i] != o)
            continue;
        g->items[i] = g->items[--g->n];
        if (g->n == 0)
            group_free(map_remove(&x->groups, key));
        return;
    }
}

struct object_group object_index_get(const struct object_index *x, struct text key)
{
    const struct object_group *g = map_get(&x->groups, key);
    return g ? *g : (struct object_group){0};
}
