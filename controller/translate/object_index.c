#include "controller/translate/object_index.h"
#include <errno.h>
#include <stdlib.h>

int object_index_order(const struct object *a, const struct object *b)
{
    uint64_t at_a = a->created_s ? (uint64_t)a->created_s : UINT64_MAX;
    uint64_t at_b = b->created_s ? (uint64_t)b->created_s : UINT64_MAX;
    if (a->made != b->made)
        return a->made ? 1 : -1;
    if (at_a != at_b)
        return at_a < at_b ? -1 : 1;
    int order = strcmp(a->ns, b->ns);
    if (order == 0)
        order = strcmp(a->name, b->name);
    return order ? order : (int)a->kind - (int)b->kind;
}

/* Where it is, or would be. An old and a new object of one name may be there together for a moment. */
static size_t place(const struct object_group *g, const struct object *o)
{
    size_t low = 0, high = g->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = object_index_order(g->items[middle], o);
        if (order < 0 || (order == 0 && g->items[middle] < o))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

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
    size_t at = place(g, o);
    if (at < g->n && g->items[at] == o)
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
    memmove(&g->items[at + 1], &g->items[at], (g->n++ - at) * sizeof(const struct object *));
    g->items[at] = o;
    return 0;
}

void object_index_remove(struct object_index *x, struct text key, const struct object *o)
{
    struct object_group *g = map_get(&x->groups, key);
    size_t at = g ? place(g, o) : 0;
    if (!g || at == g->n || g->items[at] != o)
        return;
    memmove(&g->items[at], &g->items[at + 1], (--g->n - at) * sizeof(const struct object *));
    if (g->n == 0)
        group_free(map_remove(&x->groups, key));
}

struct object_group object_index_get(const struct object_index *x, struct text key)
{
    const struct object_group *g = map_get(&x->groups, key);
    return g ? *g : (struct object_group){0};
}
