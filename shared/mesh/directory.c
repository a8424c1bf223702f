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

struct cds_lfht_node *directory_find(const struct directory *d, struct cds_lfht *table,
                                     cds_lfht_match_fct match, struct text key)
{
    struct cds_lfht_iter iter;

    cds_lfht_lookup(table, hash_bytes(d->seed, key.data, key.len), match, &key, &iter);
    return cds_lfht_iter_get_node(&iter);
}

void directory_add(struct directory *d, struct cds_lfht *table, struct text key,
                   struct cds_lfht_node *node)
{
    cds_lfht_node_init(node);
    rcu_told(node);
    cds_lfht_add(table, hash_bytes(d->seed, key.data, key.len), node);
}

void directory_changed(struct directory *d, bool policies)
{
    if (policies)
        atomic_fetch_add_explicit(&d->policy_version, 1, memory_order_release);
    atomic_fetch_add_explicit(&d->version, 1, memory_order_release);
}

/* ---- Life ---------------------------------------------------------------------------------- */

static bool has_tables(const struct directory *d)
{
    bool all = d->workloads && d->services && d->policies && d->namespaces && d->service_names;
    for (int i = 0; i < KEPT_KINDS; i++)
        all = all && d->kept[i].slots;
    return all;
}

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
    d->service_names = rcu_table_new();
    for (int i = 0; i < KEPT_KINDS; i++)
        d->kept[i].slots = rcu_table_new();
    if (!has_tables(d) || address_table_init(&d->workload_addresses, d->seed) < 0 ||
        address_table_init(&d->service_addresses, d->seed) < 0)
        goto failed;
    *ret = d;
    return 0;
failed:
    (void)directory_free(d);
    return r;
}

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
    if (has_tables(d)) {
        struct cds_lfht_node *node;
        cds_lfht_for_each(d->workloads, &iter, node)
            directory_drop_workload(d, slot_of(workload_slot, node));
        cds_lfht_for_each(d->services, &iter, node)
            directory_drop_service(d, slot_of(service_slot, node));
        cds_lfht_for_each(d->policies, &iter, node)
            directory_drop_policy(d, slot_of(policy_slot, node));
        for (enum kept_kind i = 0; i < KEPT_KINDS; i++)
            cds_lfht_for_each(d->kept[i].slots, &iter, node)
                directory_drop_kept(d, i, slot_of(kept_slot, node));
    }
    urcu_qsbr_barrier();
    /* A table's end waits for its helper thread, which may wait for all that are online. */
    directory_thread_offline();
    table_done(d->workloads);
    table_done(d->services);
    table_done(d->policies);
    table_done(d->namespaces);
    for (int i = 0; i < KEPT_KINDS; i++)
        table_done(d->kept[i].slots);
    table_done(d->service_names);
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

void directory_counts(const struct directory *d, struct directory_counts *ret)
{
    ret->workloads = atomic_load_explicit(&d->n_workloads, memory_order_relaxed);
    ret->services = atomic_load_explicit(&d->n_services, memory_order_relaxed);
    ret->policies = atomic_load_explicit(&d->n_policies, memory_order_relaxed);
    ret->routes = atomic_load_explicit(&d->kept[KEPT_ROUTES].n, memory_order_relaxed);
    ret->clusters = atomic_load_explicit(&d->kept[KEPT_CLUSTERS].n, memory_order_relaxed);
    ret->endpoints = atomic_load_explicit(&d->kept[KEPT_ENDPOINTS].n, memory_order_relaxed);
}
