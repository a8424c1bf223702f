#include "shared/base/map.h"
#include "shared/mesh/directory_tables.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- Threads ------------------------------------------------------------------------------- */

static _Thread_local bool registered;

void directory_thread_register(void)
{
    if (!registered)
        urcu_qsbr_register_thread();
    registered = true;
}

void directory_thread_unregister(void)
{
    rcu_readers_quiescent();
    if (registered)
        urcu_qsbr_unregister_thread();
    registered = false;
}

void directory_thread_offline(void)
{
    rcu_readers_quiescent();
    urcu_qsbr_thread_offline();
}

void directory_thread_online(void)
{
    urcu_qsbr_thread_online();
}

/* ---- Tables -------------------------------------------------------------------------------- */

#define slot_of(type, node_) caa_container_of(node_, struct type, node)
#define now_of(slot) atomic_load_explicit(&(slot)->now, memory_order_acquire)

static struct text key_of(const void *key)
{
    return *(const struct text *)key;
}

static int match_workload(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(now_of(slot_of(workload_slot, node))->uid), key_of(key));
}

static int match_service(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(slot_of(service_slot, node)->key), key_of(key));
}

static int match_policy(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(now_of(slot_of(policy_slot, node))->key), key_of(key));
}

static int match_namespace(struct cds_lfht_node *node, const void *key)
{
    rcu_learned(node);
    return text_equal(text_of(slot_of(namespace_slot, node)->name), key_of(key));
}

static struct cds_lfht_node *find(const struct directory *d, struct cds_lfht *table,
                                  cds_lfht_match_fct match, struct text key)
{
    struct cds_lfht_iter iter;

    cds_lfht_lookup(table, hash_bytes(d->seed, key.data, key.len), match, &key, &iter);
    return cds_lfht_iter_get_node(&iter);
}

static void add(struct directory *d, struct cds_lfht *table, struct text key,
                struct cds_lfht_node *node)
{
    cds_lfht_node_init(node);
    rcu_told(node);
    cds_lfht_add(table, hash_bytes(d->seed, key.data, key.len), node);
}

static struct workload_slot *workload_slot(const struct directory *d, struct text uid)
{
    struct cds_lfht_node *node = find(d, d->workloads, match_workload, uid);
    return node ? slot_of(workload_slot, node) : NULL;
}

struct service_slot *directory_service_slot(const struct directory *d, struct text key)
{
    struct cds_lfht_node *node = find(d, d->services, match_service, key);
    return node ? slot_of(service_slot, node) : NULL;
}

static struct policy_slot *policy_slot(const struct directory *d, struct text key)
{
    struct cds_lfht_node *node = find(d, d->policies, match_policy, key);
    return node ? slot_of(policy_slot, node) : NULL;
}

struct namespace_slot *directory_namespace_slot(const struct directory *d, struct text name)
{
    struct cds_lfht_node *node = find(d, d->namespaces, match_namespace, name);
    return node ? slot_of(namespace_slot, node) : NULL;
}

static void workload_slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct workload_slot, head));
}

static void service_slot_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct service_slot, head));
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

static void workload_release(void *w)
{
    (void)workload_free(w);
}

static void service_release(void *s)
{
    (void)service_free(s);
}

static void policy_release(void *p)
{
    (void)policy_free(p);
}

static void changed(struct directory *d, bool policies)
{
    if (policies)
        atomic_fetch_add_explicit(&d->policy_version, 1, memory_order_release);
    atomic_fetch_add_explicit(&d->version, 1, memory_order_release);
}

/* ---- Life ---------------------------------------------------------------------------------- */

int directory_new(struct directory **ret)
{
    struct rng rng;
    struct directory *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    int r = rng_seed_os(&rng);
    if (r < 0)
        goto failed;
    d->seed[0] = rng_u64(&rng);
    d->seed[1] = rng_u64(&rng);
    r = -ENOMEM;
    d->workloads = rcu_table_new();
    d->services = rcu_table_new();
    d->policies = rcu_table_new();
    d->namespaces = rcu_table_new();
    if (!d->workloads || !d->services || !d->policies || !d->namespaces ||
        address_table_init(&d->workload_addresses, d->seed) < 0 ||
        address_table_init(&d->service_addresses, d->seed) < 0)
        goto failed;
    *ret = d;
    return 0;
failed:
    (void)directory_free(d);
    return r;
}

static void remove_workload(struct directory *d, struct workload_slot *slot);
static void remove_service(struct directory *d, struct service_slot *slot);
static void remove_policy(struct directory *d, struct policy_slot *slot);

static void table_done(struct cds_lfht *table)
{
    if (!table)
        return;
    int r = cds_lfht_destroy(table, NULL);
    assert(r == 0);
    (void)r;
}

struct directory *directory_free(struct directory *d)
{
    struct cds_lfht_iter iter;
    bool was_registered = registered;

    if (!d)
        return NULL;
    directory_thread_register();
    if (d->workloads && d->services && d->policies && d->namespaces) {
        struct workload_slot *w;
        struct service_slot *s;
        struct policy_slot *p;
        cds_lfht_for_each_entry(d->workloads, &iter, w, node) remove_workload(d, w);
        cds_lfht_for_each_entry(d->services, &iter, s, node) remove_service(d, s);
        cds_lfht_for_each_entry(d->policies, &iter, p, node) remove_policy(d, p);
    }
    urcu_qsbr_barrier();
    /* A table's end waits for its helper thread, which may wait for all that are online. */
    directory_thread_offline();
    table_done(d->workloads);
    table_done(d->services);
    table_done(d->policies);
    table_done(d->namespaces);
    address_table_done(&d->workload_addresses);
    address_table_done(&d->service_addresses);
    free(d);
    directory_thread_online();
    if (!was_registered)
        directory_thread_unregister();
    return NULL;
}

uint64_t directory_version(const struct directory *d)
{
    return atomic_load_explicit(&d->version, memory_order_acquire);
}

uint64_t directory_policy_version(const struct directory *d)
{
    return atomic_load_explicit(&d->policy_version, memory_order_acquire);
}

/* ---- Services ------------------------------------------------------------------------------ */

/* Finds or makes; a new one stands for no service and has no endpoints. NULL: no memory. */
static struct service_slot *service_slot_reserve(struct directory *d, struct text key)
{
    struct service_slot *slot = directory_service_slot(d, key);
    if (slot)
        return slot;
    slot = calloc(1, sizeof *slot + key.len + 1);
    if (!slot)
        return NULL;
    memcpy(slot->key, key.data, key.len);
    add(d, d->services, key, &slot->node);
    return slot;
}

static void service_slot_drop_unused(struct directory *d, struct service_slot *slot)
{
    if (now_of(slot) || rcu_array_view(&slot->endpoints).n > 0)
        return;
    (void)cds_lfht_del(d->services, &slot->node);
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
    slot = retired ? service_slot_reserve(d, key) : NULL;
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
    changed(d, false);
    return 0;

unreserve:
    for (size_t i = 0; i < s->n_addresses; i++)
        address_unreserve(&d->service_addresses, text_of(s->addresses[i].network),
                          &s->addresses[i].ip);
    service_slot_drop_unused(d, slot);
refused:
    free(retired);
    (void)service_free(s);
    return r;
}

static void remove_service(struct directory *d, struct service_slot *slot)
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
    service_slot_drop_unused(d, slot);
    atomic_fetch_sub_explicit(&d->n_services, 1, memory_order_relaxed);
}

bool directory_remove_service(struct directory *d, struct text key)
{
    struct service_slot *slot = directory_service_slot(d, key);
    if (!slot || !now_of(slot))
        return false;
    remove_service(d, slot);
    changed(d, false);
    return true;
}

/* ---- Workloads ----------------------------------------------------------------------------- */

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

static int plan_endpoints(struct directory *d, const struct workload *old,
                          const struct workload *w, struct endpoint_plan *plans)
{
    for (size_t i = 0; i < w->n_services; i++) {
        const char *key = w->services[i].key;
        if (!service_first(w, i))
            continue;
        if (!(plans[i].slot = service_slot_reserve(d, text_of(key))))
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
        service_slot_drop_unused(d, slot);
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
        add(d, d->workloads, uid, &slot->node);
    for (size_t i = 0; i < w->n_addresses; i++) {
        if (address_news(w, i, old))
            address_claim(&d->workload_addresses, network, &w->addresses[i], slot,
                          w->host_network);
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
    changed(d, selects);
    return 0;

unreserve:
    for (size_t i = 0; i < w->n_addresses; i++)
        address_unreserve(&d->workload_addresses, network, &w->addresses[i]);
    for (size_t i = 0; plans && i < w->n_services; i++) {
        rcu_block_drop(plans[i].block);
        if (plans[i].slot)
            service_slot_drop_unused(d, plans[i].slot);
    }
refused:
    if (is_new)
        free(slot);
    free(retired);
    free(plans);
    (void)workload_free(w);
    return r;
}

static void remove_workload(struct directory *d, struct workload_slot *slot)
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
        service_slot_drop_unused(d, service);
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
    remove_workload(d, slot);
    changed(d, selects);
    return true;
}

/* ---- Policies ------------------------------------------------------------------------------ */

static struct namespace_slot *namespace_slot_reserve(struct directory *d, struct text name)
{
    struct namespace_slot *slot = directory_namespace_slot(d, name);
    if (slot)
        return slot;
    slot = calloc(1, sizeof *slot + name.len + 1);
    if (!slot)
        return NULL;
    memcpy(slot->name, name.data, name.len);
    add(d, d->namespaces, name, &slot->node);
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
        add(d, d->policies, key, &slot->node);
    if (old && set != old_set) {
        changed(d, true); /* who looked into the sets meanwhile looks again, see directory_authorise() */
        leave_set(d, old);
    }
    if (old)
        retired_later(old_retired, old, policy_release);
    else
        atomic_fetch_add_explicit(&d->n_policies, 1, memory_order_relaxed);
    changed(d, true);
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

static void remove_policy(struct directory *d, struct policy_slot *slot)
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
    remove_policy(d, slot);
    changed(d, true);
    return true;
}

/* ---- Readers ------------------------------------------------------------------------------- */

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

const struct service *directory_service(const struct directory *d, struct text key)
{
    const struct service_slot *slot = directory_service_slot(d, key);
    return slot ? now_of(slot) : NULL;
}

const struct service *directory_service_at(const struct directory *d, struct text network,
                                           const struct ip *ip)
{
    const struct service_slot *slot = address_owner(&d->service_addresses, network, ip);
    return slot ? now_of(slot) : NULL;
}

const struct policy *directory_policy(const struct directory *d, struct text key)
{
    const struct policy_slot *slot = policy_slot(d, key);
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

void directory_counts(const struct directory *d, struct directory_counts *ret)
{
    ret->workloads = atomic_load_explicit(&d->n_workloads, memory_order_relaxed);
    ret->services = atomic_load_explicit(&d->n_services, memory_order_relaxed);
    ret->policies = atomic_load_explicit(&d->n_policies, memory_order_relaxed);
}

size_t directory_endpoints(const struct directory *d, const struct service *s,
                           const struct workload *const **ret)
{
    const struct service_slot *slot = directory_service_slot(d, text_of(s->key));
    struct rcu_view view = slot ? rcu_array_view(&slot->endpoints) : (struct rcu_view){0};

    *ret = (const struct workload *const *)view.items;
    return view.n;
}
