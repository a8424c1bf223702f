#include "shared/mesh/directory_tables.h"

#include <errno.h>
#include <stdlib.h>

static int match_policy(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(now_of(slot_of(policy_slot, node))->key), *(const struct text *)key);
}

static int match_namespace(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(slot_of(namespace_slot, node)->name), *(const struct text *)key);
}

static struct policy_slot *policy_slot(const struct directory *d, struct text key)
{
    struct cds_lfht_node *node = directory_find(d, d->policies, match_policy, key);
    return node ? slot_of(policy_slot, node) : NULL;
}

struct namespace_slot *directory_namespace_slot(const struct directory *d, struct text name)
{
    struct cds_lfht_node *node = directory_find(d, d->namespaces, match_namespace, name);
    return node ? slot_of(namespace_slot, node) : NULL;
}

static void policy_slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct policy_slot, head));
}

static void namespace_slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct namespace_slot, head));
}

static void policy_release(void *p)
{
    (void)policy_free(p);
}

static struct namespace_slot *namespace_slot_reserve(struct directory *d, struct text name)
{
    struct namespace_slot *slot = directory_namespace_slot(d, name);
    if (slot)
        return slot;
    slot = calloc(1, sizeof *slot + name.len + 1);
    if (!slot)
        return NULL;
    memcpy(slot->name, name.data, name.len);
    directory_add(d, d->namespaces, name, &slot->node);
    return slot;
}

static void namespace_slot_drop_unused(struct directory *d, struct namespace_slot *slot)
{
    if (rcu_array_view(&slot->policies).n > 0)
        return;
    (void)cds_lfht_del(d->namespaces, &slot->node);
    rcu_free_later(&slot->head, namespace_slot_release);
}

/* The set that a policy of this scope is in; *ret_slot where it is a namespace's. NULL: in none. */
static struct rcu_array *set_of(struct directory *d, const struct policy *p,
                                struct namespace_slot **ret_slot)
{
    *ret_slot = NULL;
    if (p->scope == POLICY_GLOBAL)
        return &d->mesh_policies;
    if (p->scope == POLICY_NAMESPACE)
        *ret_slot = directory_namespace_slot(d, text_of(p->ns));
    return *ret_slot ? &(*ret_slot)->policies : NULL;
}

static void leave_set(struct directory *d, const struct policy *p)
{
    struct namespace_slot *slot;
    struct rcu_array *set = set_of(d, p, &slot);

    if (set)
        rcu_array_remove(set, p);
    if (slot)
        namespace_slot_drop_unused(d, slot);
}

int directory_put_policy(struct directory *d, struct policy *taken_policy)
{
    struct policy *p = taken_policy, *old = NULL;
    struct text key = text_of(p->key);
    struct retired *retired = NULL;
    struct policy_slot *slot = NULL;
    struct namespace_slot *old_namespace = NULL, *namespace = NULL;
    struct rcu_array *old_set = NULL, *set = NULL;
    struct rcu_block *block = NULL;
    bool is_new = false;
    int r = -EINVAL;

    if (key.len == 0)
        goto refused;
    slot = policy_slot(d, key);
    old = slot ? now_of(slot) : NULL;
    r = 0;
    if (old && policy_equal(old, p))
        goto refused;
    is_new = !slot;
    r = -ENOMEM;
    retired = calloc(1, sizeof *retired);
    if (is_new)
        slot = calloc(1, sizeof *slot);
    if (!retired || !slot)
        goto refused;
    if (p->scope == POLICY_NAMESPACE && !namespace_slot_reserve(d, text_of(p->ns)))
        goto refused;
    set = set_of(d, p, &namespace);
    old_set = old ? set_of(d, old, &old_namespace) : NULL;
    if (set && set == old_set)
        r = rcu_array_prepare_replace(set, &block);
    else if (set)
        r = rcu_array_prepare_add(set, &block);
    else
        r = 0;
    if (r < 0)
        goto unreserve;

    /* Into the new set before out of the old one: at no moment is it in none. */
    if (set && set == old_set)
        rcu_array_replace(set, block, old, p, 0);
    else if (set)
        rcu_array_add(set, block, p, 0);
    struct retired *old_retired = slot->retired;
    atomic_store_explicit(&slot->now, p, memory_order_release);
    slot->retired = retired;
    if (is_new)
        directory_add(d, d->policies, key, &slot->node);
    if (old && set != old_set) {
        directory_changed(
            d,
            true); /* who looked into the sets meanwhile looks again, see directory_authorise() */
        leave_set(d, old);
    }
    if (old)
        retired_later(old_retired, old, policy_release);
    else
        atomic_fetch_add_explicit(&d->n_policies, 1, memory_order_relaxed);
    directory_changed(d, true);
    return 0;

unreserve:
    if (namespace)
        namespace_slot_drop_unused(d, namespace);
refused:
    if (is_new)
        free(slot);
    free(retired);
    (void)policy_free(p);
    return r;
}

void directory_drop_policy(struct directory *d, struct policy_slot *slot)
{
    struct policy *old = now_of(slot);

    (void)cds_lfht_del(d->policies, &slot->node);
    leave_set(d, old);
    retired_later(slot->retired, old, policy_release);
    rcu_free_later(&slot->head, policy_slot_release);
    atomic_fetch_sub_explicit(&d->n_policies, 1, memory_order_relaxed);
}

bool directory_remove_policy(struct directory *d, struct text key)
{
    struct policy_slot *slot = policy_slot(d, key);
    if (!slot)
        return false;
    directory_drop_policy(d, slot);
    directory_changed(d, true);
    return true;
}

const struct policy *directory_policy(const struct directory *d, struct text key)
{
    const struct policy_slot *slot = policy_slot(d, key);
    return slot ? now_of(slot) : NULL;
}

void directory_each_policy(const struct directory *d,
                           bool (*visit)(const struct policy *p, void *arg), void *arg)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_for_each(d->policies, &iter, node)
    {
        rcu_learned(node);
        if (!visit(now_of(slot_of(policy_slot, node)), arg))
            return;
    }
}
