#include "shared/mesh/directory_tables.h"
#include "shared/mesh/route.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static int match_routes(struct cds_lfht_node *node, const void *name)
{
    rcu_learned(node);
    return text_equal(now_of(slot_of(routes_slot, node))->name, *(const struct text *)name);
}

static struct routes_slot *routes_slot(const struct directory *d, struct text name)
{
    struct cds_lfht_node *node = directory_find(d, d->routes, match_routes, name);
    return node ? slot_of(routes_slot, node) : NULL;
}

static void routes_slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct routes_slot, head));
}

/* Readers who found it before have references of their own by now. */
static void routes_release(void *t)
{
    (void)route_table_unref(t);
}

int directory_put_routes(struct directory *d, struct route_table *taken_table)
{
    struct route_table *t = taken_table;
    if (t->name.len == 0) {
        route_table_unref(t);
        return -EINVAL;
    }
    assert(t->finished);
    struct routes_slot *slot = routes_slot(d, t->name);
    bool is_new = !slot;
    struct retired *retired = calloc(1, sizeof *retired);
    if (is_new)
        slot = calloc(1, sizeof *slot);
    if (!retired || !slot) {
        if (is_new)
            free(slot);
        free(retired);
        route_table_unref(t);
        return -ENOMEM;
    }
    struct route_table *old = now_of(slot);
    struct retired *old_retired = slot->retired;
    atomic_store_explicit(&slot->now, t, memory_order_release);
    slot->retired = retired;
    if (is_new) {
        directory_add(d, d->routes, t->name, &slot->node);
        atomic_fetch_add_explicit(&d->n_routes, 1, memory_order_relaxed);
    } else
        retired_later(old_retired, old, routes_release);
    return 0;
}

void directory_drop_routes(struct directory *d, struct routes_slot *slot)
{
    (void)cds_lfht_del(d->routes, &slot->node);
    retired_later(slot->retired, now_of(slot), routes_release);
    rcu_free_later(&slot->head, routes_slot_release);
    atomic_fetch_sub_explicit(&d->n_routes, 1, memory_order_relaxed);
}

bool directory_remove_routes(struct directory *d, struct text name)
{
    struct routes_slot *slot = routes_slot(d, name);
    if (!slot)
        return false;
    directory_drop_routes(d, slot);
    return true;
}

struct route_table *directory_routes(const struct directory *d, struct text name)
{
    const struct routes_slot *slot = routes_slot(d, name);
    return slot ? route_table_ref(now_of(slot)) : NULL;
}

void directory_each_routes(const struct directory *d,
                           bool (*visit)(const struct route_table *t, void *arg), void *arg)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_for_each(d->routes, &iter, node)
    {
        rcu_learned(node);
        if (!visit(now_of(slot_of(routes_slot, node)), arg))
            return;
    }
}
