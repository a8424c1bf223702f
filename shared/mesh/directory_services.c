#include "shared/base/map.h"
#include "shared/mesh/directory_tables.h"

#include <errno.h>
#include <stdlib.h>

static int match_service(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(slot_of(service_slot, node)->key), *(const struct text *)key);
}

/* A key is NAMESPACE/HOSTNAME. */
static struct text name_of(const struct service_slot *slot)
{
    struct text ns, name = text_of(slot->key);
    (void)text_split(text_of(slot->key), '/', &ns, &name);
    return name;
}

static int match_name(struct cds_lfht_node *node, const void *name)
{
    rcu_learned(node);
    return text_equal(name_of(caa_container_of(node, struct service_slot, by_name)),
                      *(const struct text *)name);
}

struct service_slot *directory_service_slot(const struct directory *d, struct text key)
{
    struct cds_lfht_node *node = directory_find(d, d->services, match_service, key);
    return node ? slot_of(service_slot, node) : NULL;
}

static void service_slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct service_slot, head));
}

static void service_release(void *s)
{
    (void)service_free(s);
}

struct service_slot *directory_service_reserve(struct directory *d, struct text key)
{
    struct service_slot *slot = directory_service_slot(d, key);
    if (slot)
        return slot;
    slot = calloc(1, sizeof *slot + key.len + 1);
    if (!slot)
        return NULL;
    memcpy(slot->key, key.data, key.len);
    directory_add(d, d->services, key, &slot->node);
    directory_add(d, d->service_names, name_of(slot), &slot->by_name);
    return slot;
}

void directory_service_drop_unused(struct directory *d, struct service_slot *slot)
{
    if (now_of(slot) || rcu_array_view(&slot->endpoints).n > 0)
        return;
    (void)cds_lfht_del(d->services, &slot->node);
    (void)cds_lfht_del(d->service_names, &slot->by_name);
    rcu_free_later(&slot->head, service_slot_release);
}

static bool service_has(const struct service *s, size_t n, const struct service_address *a)
{
    for (size_t i = 0; s && i < n; i++) {
        if (ip_equal(&s->addresses[i].ip, &a->ip) &&
            strcmp(s->addresses[i].network, a->network) == 0)
            return true;
    }
    return false;
}

/* Is the address at `i` of `s` one that `other` lacks, and not said before in `s` itself? */
static bool service_address_news(const struct service *s, size_t i, const struct service *other)
{
    const struct service_address *a = &s->addresses[i];
    return !service_has(s, i, a) && !(other && service_has(other, other->n_addresses, a));
}

int directory_put_service(struct directory *d, struct service *taken_service)
{
    struct service *s = taken_service, *old = NULL;
    struct text key = text_of(s->key);
    struct retired *retired = NULL;
    struct service_slot *slot = NULL;
    int r = -EINVAL;

    if (key.len == 0)
        goto refused;
    slot = directory_service_slot(d, key);
    old = slot ? now_of(slot) : NULL;
    r = 0;
    if (old && service_equal(old, s))
        goto refused;
    r = -ENOMEM;
    retired = calloc(1, sizeof *retired);
    slot = retired ? directory_service_reserve(d, key) : NULL;
    if (!slot)
        goto refused;
    for (size_t i = 0; i < s->n_addresses; i++) {
        struct service_address *a = &s->addresses[i];
        if (service_address_news(s, i, old) &&
            address_reserve(&d->service_addresses, text_of(a->network), &a->ip) < 0)
            goto unreserve;
    }

    struct retired *old_retired = slot->retired;
    atomic_store_explicit(&slot->now, s, memory_order_release);
    slot->retired = retired;
    for (size_t i = 0; i < s->n_addresses; i++) {
        struct service_address *a = &s->addresses[i];
        if (service_address_news(s, i, old))
            address_claim(&d->service_addresses, text_of(a->network), &a->ip, slot, false);
    }
    for (size_t i = 0; old && i < old->n_addresses; i++) {
        struct service_address *a = &old->addresses[i];
        if (service_address_news(old, i, s))
            address_unclaim(&d->service_addresses, text_of(a->network), &a->ip, slot);
    }
    if (old)
        retired_later(old_retired, old, service_release);
    else
        atomic_fetch_add_explicit(&d->n_services, 1, memory_order_relaxed);
    directory_changed(d, false);
    return 0;

unreserve:
    for (size_t i = 0; i < s->n_addresses; i++)
        address_unreserve(&d->service_addresses, text_of(s->addresses[i].network),
                          &s->addresses[i].ip);
    directory_service_drop_unused(d, slot);
refused:
    free(retired);
    (void)service_free(s);
    return r;
}

void directory_drop_service(struct directory *d, struct service_slot *slot)
{
    struct service *old = now_of(slot);

    if (!old)
        return;
    for (size_t i = 0; i < old->n_addresses; i++) {
        if (service_address_news(old, i, NULL))
            address_unclaim(&d->service_addresses, text_of(old->addresses[i].network),
                            &old->addresses[i].ip, slot);
    }
    atomic_store_explicit(&slot->now, NULL, memory_order_release);
    retired_later(slot->retired, old, service_release);
    slot->retired = NULL;
    directory_service_drop_unused(d, slot);
    atomic_fetch_sub_explicit(&d->n_services, 1, memory_order_relaxed);
}

bool directory_remove_service(struct directory *d, struct text key)
{
    struct service_slot *slot = directory_service_slot(d, key);
    if (!slot || !now_of(slot))
        return false;
    directory_drop_service(d, slot);
    directory_changed(d, false);
    return true;
}

const struct service *directory_service(const struct directory *d, struct text key)
{
    const struct service_slot *slot = directory_service_slot(d, key);
    return slot ? now_of(slot) : NULL;
}

const struct service *directory_service_named(const struct directory *d, struct text hostname,
                                              struct text ns)
{
    const struct service *best = NULL;
    struct cds_lfht_iter iter;
    cds_lfht_lookup(d->service_names, hash_bytes(d->seed, hostname.data, hostname.len), match_name,
                    &hostname, &iter);
    for (struct cds_lfht_node *node; (node = cds_lfht_iter_get_node(&iter));
         cds_lfht_next_duplicate(d->service_names, match_name, &hostname, &iter)) {
        const struct service *s = now_of(caa_container_of(node, struct service_slot, by_name));
        if (!s)
            continue;
        if (text_equal(text_of(s->ns), ns))
            return s;
        if (!best || strcmp(s->ns, best->ns) < 0)
            best = s;
    }
    return best;
}

const struct service *directory_service_at(const struct directory *d, struct text network,
                                           const struct ip *ip)
{
    const struct service_slot *slot = address_owner(&d->service_addresses, network, ip);
    return slot ? now_of(slot) : NULL;
}

void directory_each_service(const struct directory *d,
                            bool (*visit)(const struct service *s, void *arg), void *arg)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_for_each(d->services, &iter, node)
    {
        rcu_learned(node);
        const struct service *s = now_of(slot_of(service_slot, node));
        if (s && !visit(s, arg))
            return;
    }
}

size_t directory_endpoints(const struct directory *d, const struct service *s,
                           const struct workload *const **ret)
{
    const struct service_slot *slot = directory_service_slot(d, text_of(s->key));
    struct rcu_view view = slot ? rcu_array_view(&slot->endpoints) : (struct rcu_view){0};

    *ret = (const struct workload *const *)view.items;
    return view.n;
}
