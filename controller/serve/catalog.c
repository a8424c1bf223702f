#include "controller/serve/catalog.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { LOG_VOID_MIN = 64 };

void catalog_init(struct catalog *c)
{
    *c = (struct catalog){0};
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        map_init(&c->entries[type], 0);
        map_init(&c->aliases[type], 0);
    }
    map_init(&c->members, 0);
}

static void entry_free(void *value)
{
    struct catalog_entry *e = value;
    resource_free(e->resource);
    resource_free(e->buried);
    free(e->name);
    free(e);
}

static void group_free(void *value)
{
    struct catalog_group *g = value;
    free(g->items);
    free(g);
}

void catalog_done(struct catalog *c)
{
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        map_done(&c->entries[type], entry_free);
        map_done(&c->aliases[type], group_free);
        free(c->logs[type].items);
    }
    map_done(&c->members, group_free);
}

/* ---- Groups --------------------------------------------------------------------------------- */

static int group_add(struct map *m, const char *key, struct catalog_entry *e)
{
    struct catalog_group *g = map_get(m, text_of(key));
    if (!g) {
        g = calloc(1, sizeof *g);
        if (!g)
            return -ENOMEM;
        if (map_put(m, text_of(key), g, NULL) < 0) {
            free(g);
            return -ENOMEM;
        }
    }
    if (g->n > 0 && g->items[g->n - 1] == e)
        return 0; /* the resource says it twice */
    if (g->n == g->size) {
        size_t size = g->size ? 2 * g->size : 1;
        struct catalog_entry **items = realloc(g->items, size * sizeof(struct catalog_entry *));
        if (!items)
            return -ENOMEM;
        g->items = items;
        g->size = size;
    }
    g->items[g->n++] = e;
    return 0;
}

static void group_remove(struct map *m, const char *key, const struct catalog_entry *e)
{
    struct catalog_group *g = map_get(m, text_of(key));
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i] == e) {
            g->items[i] = g->items[--g->n];
            break;
        }
    }
    if (g->n == 0)
        group_free(map_remove(m, text_of(key)));
}

static void unlink_names(struct catalog *c, const struct catalog_entry *e, const struct resource *r)
{
    for (size_t i = 0; r && i < r->n_aliases; i++)
        group_remove(&c->aliases[r->type], r->aliases[i], e);
    for (size_t i = 0; r && i < r->n_services; i++)
        group_remove(&c->members, r->services[i], e);
}

static int link_names(struct catalog *c, struct catalog_entry *e, const struct resource *r)
{
    int err = 0;
    for (size_t i = 0; i < r->n_aliases && err == 0; i++)
        err = group_add(&c->aliases[r->type], r->aliases[i], e);
    for (size_t i = 0; i < r->n_services && err == 0; i++)
        err = group_add(&c->members, r->services[i], e);
    return err;
}

static bool same_texts(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Most changes leave them as they are, and groups may be large. */
static bool same_names(const struct resource *a, const struct resource *b)
{
    return a && same_texts(a->aliases, a->n_aliases, b->aliases, b->n_aliases) &&
           same_texts(a->services, a->n_services, b->services, b->n_services);
}

static int relink_names(struct catalog *c, struct catalog_entry *e, const struct resource *r)
{
    if (same_names(e->resource, r))
        return 0;
    unlink_names(c, e, e->resource);
    if (link_names(c, e, r) == 0)
        return 0;
    unlink_names(c, e, r);
    if (e->resource && link_names(c, e, e->resource) < 0)
        unlink_names(c, e,
                     e->resource); /* it is only found by its own name until the next change */
    return -ENOMEM;
}

/* ---- The log -------------------------------------------------------------------------------- */

static size_t log_find(const struct catalog_log *l, uint64_t sequence)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->items[middle].sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void log_compact(struct catalog_log *l)
{
    size_t n = 0;
    if (l->n_void < LOG_VOID_MIN || l->n_void < l->n / 2)
        return;
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].entry)
            l->items[n++] = l->items[i];
    l->n = n;
    l->n_void = 0;
}

static int log_reserve(struct catalog_log *l)
{
    log_compact(l);
    if (l->n < l->size)
        return 0;
    size_t size = l->size ? 2 * l->size : 256;
    struct catalog_change *items = realloc(l->items, size * sizeof *items);
    if (!items)
        return -ENOMEM;
    l->items = items;
    l->size = size;
    return 0;
}

/* Out of the place of its last change. */
static void log_void(struct catalog_log *l, const struct catalog_entry *e)
{
    if (e->sequence == 0)
        return;
    size_t at = log_find(l, e->sequence - 1);
    assert(at < l->n && l->items[at].entry == e);
    l->items[at].entry = NULL;
    l->n_void++;
}

/* There must be room: log_reserve(). */
static void log_append(struct catalog *c, enum xds_type type, struct catalog_entry *e)
{
    struct catalog_log *l = &c->logs[type];
    log_void(l, e);
    e->sequence = ++c->sequence;
    l->items[l->n++] = (struct catalog_change){e->sequence, e};
}

size_t catalog_after(const struct catalog *c, enum xds_type type, uint64_t sequence)
{
    return log_find(&c->logs[type], sequence);
}

const struct catalog_entry *catalog_next(const struct catalog *c, enum xds_type type, size_t *index)
{
    const struct catalog_log *l = &c->logs[type];
    while (*index < l->n) {
        const struct catalog_entry *e = l->items[(*index)++].entry;
        if (e)
            return e;
    }
    return NULL;
}

void catalog_forget(struct catalog *c, enum xds_type type, uint64_t sequence)
{
    struct catalog_log *l = &c->logs[type];
    for (size_t i = 0; l->n_graves > 0 && i < l->n && l->items[i].sequence <= sequence; i++) {
        struct catalog_entry *e = l->items[i].entry;
        if (!e || e->resource)
            continue;
        l->items[i].entry = NULL;
        l->n_void++;
        l->n_graves--;
        map_remove(&c->entries[type], text_of(e->name));
        entry_free(e);
    }
    if (sequence > l->forgotten)
        l->forgotten = sequence;
    log_compact(l);
}

/* ---- Changes -------------------------------------------------------------------------------- */

/* A name that is new gets an entry that looks like a forgotten grave. */
static struct catalog_entry *entry_make(struct catalog *c, enum xds_type type, const char *name)
{
    struct catalog_entry *e = map_get(&c->entries[type], text_of(name));
    if (e)
        return e;
    e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->name = text_dup(text_of(name));
    if (!e->name || map_put(&c->entries[type], text_of(name), e, NULL) < 0) {
        entry_free(e);
        return NULL;
    }
    return e;
}

static void entry_drop_unused(struct catalog *c, enum xds_type type, struct catalog_entry *e)
{
    if (e->resource || e->sequence > 0)
        return;
    map_remove(&c->entries[type], text_of(e->name));
    entry_free(e);
}

int catalog_put(struct catalog *c, struct resource *taken_resource)
{
    struct resource *r = taken_resource;
    enum xds_type type = r->type;
    struct catalog_entry *e = entry_make(c, type, r->name);
    if (!e)
        goto no_memory;
    if (e->resource && resource_equal(e->resource, r)) {
        resource_free(r);
        return 0;
    }
    if (log_reserve(&c->logs[type]) < 0)
        goto no_memory;
    if (relink_names(c, e, r) < 0)
        goto no_memory;
    if (!e->resource && e->sequence > 0)
        c->logs[type].n_graves--;
    resource_free(e->resource);
    e->buried = resource_free(e->buried);
    e->resource = r;
    e->for_all |= !r->by_name_only;
    log_append(c, type, e);
    return 1;

no_memory:
    if (e)
        entry_drop_unused(c, type, e);
    resource_free(r);
    return -ENOMEM;
}

int catalog_remove(struct catalog *c, enum xds_type type, struct text name)
{
    struct catalog_log *l = &c->logs[type];
    struct catalog_entry *e = map_get(&c->entries[type], name);
    if (!e || !e->resource)
        return -ENOENT;
    if (log_reserve(l) < 0)
        return -ENOMEM;
    unlink_names(c, e, e->resource);
    if (type == XDS_CLUSTER)
        e->buried = e->resource;
    else
        resource_free(e->resource);
    e->resource = NULL;
    log_append(c, type, e);
    if (++l->n_graves > GRAVES_MAX) {
        size_t oldest = 0;
        for (size_t found = 0; found < GRAVES_MAX / 2; oldest++)
            found += l->items[oldest].entry && !l->items[oldest].entry->resource;
        catalog_forget(c, type, l->items[oldest - 1].sequence);
    }
    return 0;
}

const struct resource *catalog_get(const struct catalog *c, enum xds_type type, struct text name)
{
    const struct catalog_entry *e = map_get(&c->entries[type], name);
    return e ? e->resource : NULL;
}

size_t catalog_count(const struct catalog *c, enum xds_type type)
{
    return c->entries[type].count - c->logs[type].n_graves;
}

const struct catalog_group *catalog_by_alias(const struct catalog *c, enum xds_type type,
                                             struct text alias)
{
    return map_get(&c->aliases[type], alias);
}

const struct catalog_group *catalog_members(const struct catalog *c, struct text service)
{
    return map_get(&c->members, service);
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names that are there and are not wanted any more. In their order: what is sent should not
 * depend on chance. */
static int remove_others(struct catalog *c, enum xds_type type, const struct map *wanted,
                         size_t *changed)
{
    size_t n = 0;
    char **gone = calloc(c->entries[type].count + 1, sizeof(char *));
    if (!gone)
        return -ENOMEM;
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(&c->entries[type], &i));) {
        const struct catalog_entry *e = m->value;
        if (e->resource && !map_get(wanted, text_of(e->name)))
            gone[n++] = e->name;
    }
    qsort(gone, n, sizeof(char *), name_order);
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        char *name =
            text_dup(text_of(gone[i])); /* the entry may go meanwhile, and its name with it */
        err = name ? catalog_remove(c, type, text_of(name)) : -ENOMEM;
        free(name);
        *changed += err == 0;
        err = err == -ENOENT ? 0 : err;
    }
    free(gone);
    return err;
}

int catalog_replace(struct catalog *c, struct resources *taken, size_t *ret_changed)
{
    struct map wanted[XDS_TYPE_COUNT];
    int err = 0;
    *ret_changed = 0;
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        map_init(&wanted[type], 0);
    for (size_t i = 0; i < taken->n && err == 0; i++)
        err = map_put(&wanted[taken->items[i]->type], text_of(taken->items[i]->name), taken, NULL);
    for (size_t i = 0; i < taken->n && err == 0; i++) {
        err = catalog_put(c, taken->items[i]);
        taken->items[i] = NULL;
        *ret_changed += err == 1;
        err = err > 0 ? 0 : err;
    }
    for (unsigned type = 0; type < XDS_TYPE_COUNT && err == 0; type++)
        err = remove_others(c, (enum xds_type)type, &wanted[type], ret_changed);
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++)
        map_done(&wanted[type], NULL);
    resources_done(taken);
    return err;
}
