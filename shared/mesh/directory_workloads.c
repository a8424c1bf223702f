#include "shared/mesh/directory_tables.h"

#include <errno.h>
#include <stdlib.h>

static int match_workload(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(now_of(slot_of(workload_slot, node))->uid),
                      *(const struct text *)key);
}

static struct workload_slot *workload_slot(const struct directory *d, struct text uid)
{
    struct cds_lfht_node *node = directory_find(d, d->workloads, match_workload, uid);
    return node ? slot_of(workload_slot, node) : NULL;
}

static void workload_slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct workload_slot, head));
}

static void workload_release(void *w)
{
    (void)workload_free(w);
}

static bool workload_has_address(const struct workload *w, size_t n, const struct ip *ip)
{
    for (size_t i = 0; i < n; i++) {
        if (ip_equal(&w->addresses[i], ip))
            return true;
    }
    return false;
}

/* Is the claim on address `i` of `w` one that `other` does not make as well? */
static bool address_news(const struct workload *w, size_t i, const struct workload *other)
{
    const struct ip *ip = &w->addresses[i];

    if (workload_has_address(w, i, ip))
        return false;
    return !other || other->host_network != w->host_network ||
           strcmp(other->network, w->network) != 0 ||
           !workload_has_address(other, other->n_addresses, ip);
}

static bool workload_has_service(const struct workload *w, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(w->services[i].key, key) == 0)
            return true;
    }
    return false;
}

/* Is `w` an endpoint of its service `i`, said here for the first time? */
static bool service_first(const struct workload *w, size_t i)
{
    return !workload_has_service(w, i, w->services[i].key);
}

static bool endpoint_before(const struct workload *old, const char *key)
{
    return old && workload_has_service(old, old->n_services, key);
}

/* Do other policies apply than before? NULL: not known. */
static bool selection_differs(const struct workload *a, const struct workload *b)
{
    size_t n_a = a ? a->n_policies : 0, n_b = b ? b->n_policies : 0;

    if (n_a != n_b || (a && b && strcmp(a->ns, b->ns) != 0))
        return true;
    for (size_t i = 0; i < n_a; i++) {
        if (strcmp(a->policies[i], b->policies[i]) != 0)
            return true;
    }
    return false;
}

struct endpoint_plan {
    struct service_slot *slot; /* NULL: nothing to do */
    struct rcu_block *block;
};

static int plan_endpoints(struct directory *d, const struct workload *old, const struct workload *w,
                          struct endpoint_plan *plans)
{
    for (size_t i = 0; i < w->n_services; i++) {
        const char *key = w->services[i].key;
        if (!service_first(w, i))
            continue;
        if (!(plans[i].slot = directory_service_reserve(d, text_of(key))))
            return -ENOMEM;
        const struct rcu_array *endpoints = &plans[i].slot->endpoints;
        int r = endpoint_before(old, key) ? rcu_array_prepare_replace(endpoints, &plans[i].block)
                                          : rcu_array_prepare_add(endpoints, &plans[i].block);
        if (r < 0)
            return r;
    }
    return 0;
}

static void carry_out_endpoints(struct directory *d, const struct workload *old,
                                const struct workload *w, struct endpoint_plan *plans)
{
    for (size_t i = 0; i < w->n_services; i++) {
        struct endpoint_plan *p = &plans[i];
        if (!p->slot)
            continue;
        if (endpoint_before(old, w->services[i].key))
            rcu_array_replace(&p->slot->endpoints, p->block, old, w, w->capacity);
        else
            rcu_array_add(&p->slot->endpoints, p->block, w, w->capacity);
    }
    for (size_t i = 0; old && i < old->n_services; i++) {
        const char *key = old->services[i].key;
        if (!service_first(old, i) || workload_has_service(w, w->n_services, key))
            continue;
        struct service_slot *slot = directory_service_slot(d, text_of(key));
        rcu_array_remove(&slot->endpoints, old);
        directory_service_drop_unused(d, slot);
    }
}

int directory_put_workload(struct directory *d, struct workload *taken_workload)
{
    struct workload *w = taken_workload, *old = NULL, *packed;
    struct text uid = text_of(w->uid), network;
    struct retired *retired = NULL;
    struct endpoint_plan *plans = NULL;
    struct workload_slot *slot = NULL;
    bool is_new = false;
    int r = -EINVAL;

    if (uid.len == 0)
        goto refused;
    slot = workload_slot(d, uid);
    old = slot ? now_of(slot) : NULL;
    r = 0;
    if (old && workload_equal(old, w))
        goto refused;
    r = -ENOMEM;
    if (!(packed = workload_pack(w)))
        goto refused;
    (void)workload_free(w);
    w = packed;
    uid = text_of(w->uid);
    network = text_of(w->network);
    is_new = !slot;
    retired = calloc(1, sizeof *retired);
    plans = calloc(w->n_services + 1, sizeof *plans);
    if (is_new)
        slot = calloc(1, sizeof *slot);
    if (!retired || !plans || !slot || plan_endpoints(d, old, w, plans) < 0)
        goto unreserve;
    for (size_t i = 0; i < w->n_addresses; i++) {
        if (address_news(w, i, old) &&
            address_reserve(&d->workload_addresses, network, &w->addresses[i]) < 0)
            goto unreserve;
    }

    struct retired *old_retired = slot->retired;
    atomic_store_explicit(&slot->now, w, memory_order_release);
    slot->retired = retired;
    if (is_new)
        directory_add(d, d->workloads, uid, &slot->node);
    for (size_t i = 0; i < w->n_addresses; i++) {
        if (address_news(w, i, old))
            address_claim(&d->workload_addresses, network, &w->addresses[i], slot, w->host_network);
    }
    for (size_t i = 0; old && i < old->n_addresses; i++) {
        if (address_news(old, i, w))
            address_unclaim(&d->workload_addresses, text_of(old->network), &old->addresses[i],
                            slot);
    }
    carry_out_endpoints(d, old, w, plans);
    free(plans);
    bool selects = selection_differs(old, w);
    if (old)
        retired_later(old_retired, old, workload_release);
    else
        atomic_fetch_add_explicit(&d->n_workloads, 1, memory_order_relaxed);
    directory_changed(d, selects);
    return 0;

unreserve:
    for (size_t i = 0; i < w->n_addresses; i++)
        address_unreserve(&d->workload_addresses, network, &w->addresses[i]);
    for (size_t i = 0; plans && i < w->n_services; i++) {
        rcu_block_drop(plans[i].block);
        if (plans[i].slot)
            directory_service_drop_unused(d, plans[i].slot);
    }
refused:
    if (is_new)
        free(slot);
    free(retired);
    free(plans);
    (void)workload_free(w);
    return r;
}

void directory_drop_workload(struct directory *d, struct workload_slot *slot)
{
    struct workload *old = now_of(slot);

    (void)cds_lfht_del(d->workloads, &slot->node);
    for (size_t i = 0; i < old->n_addresses; i++) {
        if (address_news(old, i, NULL))
            address_unclaim(&d->workload_addresses, text_of(old->network), &old->addresses[i],
                            slot);
    }
    for (size_t i = 0; i < old->n_services; i++) {
        if (!service_first(old, i))
            continue;
        struct service_slot *service = directory_service_slot(d, text_of(old->services[i].key));
        rcu_array_remove(&service->endpoints, old);
        directory_service_drop_unused(d, service);
    }
    retired_later(slot->retired, old, workload_release);
    rcu_free_later(&slot->head, workload_slot_release);
    atomic_fetch_sub_explicit(&d->n_workloads, 1, memory_order_relaxed);
}

bool directory_remove_workload(struct directory *d, struct text uid)
{
    struct workload_slot *slot = workload_slot(d, uid);
    if (!slot)
        return false;
    bool selects = selection_differs(now_of(slot), NULL);
    directory_drop_workload(d, slot);
    directory_changed(d, selects);
    return true;
}

const struct workload *directory_workload(const struct directory *d, struct text uid)
{
    const struct workload_slot *slot = workload_slot(d, uid);
    return slot ? now_of(slot) : NULL;
}

const struct workload *directory_workload_at(const struct directory *d, struct text network,
                                             const struct ip *ip)
{
    const struct workload_slot *slot = address_owner(&d->workload_addresses, network, ip);
    return slot ? now_of(slot) : NULL;
}

void directory_each_workload(const struct directory *d,
                             bool (*visit)(const struct workload *w, void *arg), void *arg)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_for_each(d->workloads, &iter, node)
    {
        rcu_learned(node);
        if (!visit(now_of(slot_of(workload_slot, node)), arg))
            return;
    }
}
