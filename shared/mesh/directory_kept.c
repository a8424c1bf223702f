/* What readers take references of: route tables, clusters, endpoints. */
#include "shared/base/map.h"
#include "shared/mesh/cluster.h"
#include "shared/mesh/directory_tables.h"
#include "shared/mesh/route.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static struct text routes_name(const void *t)
{
    return ((const struct route_table *)t)->name;
}
static bool routes_finished(const void *t)
{
    return ((const struct route_table *)t)->finished;
}
static void *routes_ref(void *t)
{
    return route_table_ref(t);
}
/* Readers who found it before have references of their own by now. */
static void routes_unref(void *t)
{
    (void)route_table_unref(t);
}

static struct text cluster_name(const void *c)
{
    return ((const struct cluster *)c)->name;
}
static bool cluster_finished(const void *c)
{
    return ((const struct cluster *)c)->finished;
}
static void *cluster_more(void *c)
{
    return cluster_ref(c);
}
static void cluster_less(void *c)
{
    (void)cluster_unref(c);
}

static struct text endpoints_name(const void *e)
{
    return ((const struct endpoints *)e)->name;
}
static bool endpoints_finished(const void *e)
{
    return ((const struct endpoints *)e)->finished;
}
static void *endpoints_more(void *e)
{
    return endpoints_ref(e);
}
static void endpoints_less(void *e)
{
    (void)endpoints_unref(e);
}

static const struct kept_ops {
    struct text (*name)(const void *value);
    bool (*finished)(const void *value);
    void *(*ref)(void *value);
    void (*unref)(void *value);
} kinds[KEPT_KINDS] = {
    [KEPT_ROUTES] = {routes_name, routes_finished, routes_ref, routes_unref},
    [KEPT_CLUSTERS] = {cluster_name, cluster_finished, cluster_more, cluster_less},
    [KEPT_ENDPOINTS] = {endpoints_name, endpoints_finished, endpoints_more, endpoints_less},
};

/* ---- One table ----------------------------------------------------------------------------- */

struct wanted {
    struct text name;
    const struct kept_ops *ops;
};

static int match_kept(struct cds_lfht_node *node, const void *key)
{
    const struct wanted *w = key;
    rcu_learned(node);
    return text_equal(w->ops->name(now_of(slot_of(kept_slot, node))), w->name);
}

static struct kept_slot *slot_named(const struct directory *d, enum kept_kind kind,
                                    struct text name)
{
    const struct wanted w = {name, &kinds[kind]};
    struct cds_lfht_iter iter;
    cds_lfht_lookup(d->kept[kind].slots, hash_bytes(d->seed, name.data, name.len), match_kept, &w,
                    &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node ? slot_of(kept_slot, node) : NULL;
}

static void slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct kept_slot, head));
}

/* What readers keep by name over many requests is looked for again when this grows. */
static void kept_changed(struct directory *d, enum kept_kind kind)
{
    if (kind != KEPT_ROUTES)
        atomic_fetch_add_explicit(&d->cluster_version, 1, memory_order_release);
}

static int put(struct directory *d, enum kept_kind kind, void *taken_value)
{
    const struct kept_ops *ops = &kinds[kind];
    struct text name = ops->name(taken_value);
    if (name.len == 0) {
        ops->unref(taken_value);
        return -EINVAL;
    }
    assert(ops->finished(taken_value));
    struct kept_slot *slot = slot_named(d, kind, name);
    bool is_new = !slot;
    struct retired *retired = calloc(1, sizeof *retired);
    if (is_new)
        slot = calloc(1, sizeof *slot);
    if (!retired || !slot) {
        if (is_new)
            free(slot);
        free(retired);
        ops->unref(taken_value);
        return -ENOMEM;
    }
    void *old = now_of(slot);
    struct retired *old_retired = slot->retired;
    atomic_store_explicit(&slot->now, taken_value, memory_order_release);
    slot->retired = retired;
    if (is_new) {
        directory_add(d, d->kept[kind].slots, name, &slot->node);
        atomic_fetch_add_explicit(&d->kept[kind].n, 1, memory_order_relaxed);
    } else
        retired_later(old_retired, old, ops->unref);
    kept_changed(d, kind);
    return 0;
}

void directory_drop_kept(struct directory *d, enum kept_kind kind, struct kept_slot *slot)
{
    (void)cds_lfht_del(d->kept[kind].slots, &slot->node);
    retired_later(slot->retired, now_of(slot), kinds[kind].unref);
    rcu_free_later(&slot->head, slot_release);
    atomic_fetch_sub_explicit(&d->kept[kind].n, 1, memory_order_relaxed);
    kept_changed(d, kind);
}

static bool remove_named(struct directory *d, enum kept_kind kind, struct text name)
{
    struct kept_slot *slot = slot_named(d, kind, name);
    if (!slot)
        return false;
    directory_drop_kept(d, kind, slot);
    return true;
}

static void *get(const struct directory *d, enum kept_kind kind, struct text name)
{
    const struct kept_slot *slot = slot_named(d, kind, name);
    return slot ? kinds[kind].ref(now_of(slot)) : NULL;
}

/* ---- The three ----------------------------------------------------------------------------- */

int directory_put_routes(struct directory *d, struct route_table *taken_table)
{
    return put(d, KEPT_ROUTES, taken_table);
}
int directory_put_cluster(struct directory *d, struct cluster *taken_cluster)
{
    return put(d, KEPT_CLUSTERS, taken_cluster);
}
int directory_put_endpoints(struct directory *d, struct endpoints *taken_endpoints)
{
    return put(d, KEPT_ENDPOINTS, taken_endpoints);
}

bool directory_remove_routes(struct directory *d, struct text name)
{
    return remove_named(d, KEPT_ROUTES, name);
}
bool directory_remove_cluster(struct directory *d, struct text name)
{
    return remove_named(d, KEPT_CLUSTERS, name);
}
bool directory_remove_endpoints(struct directory *d, struct text name)
{
    return remove_named(d, KEPT_ENDPOINTS, name);
}

struct route_table *directory_routes(const struct directory *d, struct text name)
{
    return get(d, KEPT_ROUTES, name);
}
struct cluster *directory_cluster(const struct directory *d, struct text name)
{
    return get(d, KEPT_CLUSTERS, name);
}
struct endpoints *directory_endpoints_of(const struct directory *d, struct text name)
{
    return get(d, KEPT_ENDPOINTS, name);
}

uint64_t directory_cluster_version(const struct directory *d)
{
    return atomic_load_explicit(&d->cluster_version, memory_order_acquire);
}

void directory_each_routes(const struct directory *d,
                           bool (*visit)(const struct route_table *t, void *arg), void *arg)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_for_each(d->kept[KEPT_ROUTES].slots, &iter, node)
    {
        rcu_learned(node);
        if (!visit(now_of(slot_of(kept_slot, node)), arg))
            return;
    }
}

void directory_each_cluster(const struct directory *d,
                            bool (*visit)(const struct cluster *c, void *arg), void *arg)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_for_each(d->kept[KEPT_CLUSTERS].slots, &iter, node)
    {
        rcu_learned(node);
        if (!visit(now_of(slot_of(kept_slot, node)), arg))
            return;
    }
}
