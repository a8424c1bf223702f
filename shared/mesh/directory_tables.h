/*
 * The inside of a directory, shared by directory.c, directory_{services,workloads,policies,kept}.c
 * (what is known) and directory_decide.c (what follows from it).
 */
#ifndef SHARED_MESH_DIRECTORY_TABLES_H
#define SHARED_MESH_DIRECTORY_TABLES_H
#include "shared/mesh/address_table.h"
#include "shared/mesh/directory.h"

/* A slot lives as long as its key is known; `now` is what readers see, `retired` frees it later. */
struct workload_slot {
    struct cds_lfht_node node;
    struct rcu_head head;
    _Atomic(struct workload *) now; /* never NULL */
    struct retired *retired;
};
struct service_slot { /* also stands for a service that only workloads speak of yet */
    struct cds_lfht_node node, by_name;
    struct rcu_head head;
    _Atomic(struct service *) now; /* NULL: only endpoints are known */
    struct retired *retired;
    struct rcu_array endpoints; /* struct workload */
    char key[];
};
struct policy_slot {
    struct cds_lfht_node node;
    struct rcu_head head;
    _Atomic(struct policy *) now; /* never NULL */
    struct retired *retired;
};
/* Values by their names, of which readers take references: route tables, clusters, endpoints. */
struct kept_slot {
    struct cds_lfht_node node;
    struct rcu_head head;
    _Atomic(void *) now; /* never NULL; the directory's reference */
    struct retired *retired;
};
enum kept_kind { KEPT_ROUTES, KEPT_CLUSTERS, KEPT_ENDPOINTS, KEPT_KINDS };
struct kept_table {
    struct cds_lfht *slots;
    _Atomic size_t n;
};
struct namespace_slot { /* exists while the namespace has policies */
    struct cds_lfht_node node;
    struct rcu_head head;
    struct rcu_array policies; /* struct policy */
    char name[];
};
struct directory {
    struct cds_lfht *workloads, *services, *policies, *namespaces;
    struct cds_lfht *service_names; /* of the same slots, by host name: one may be there twice */
    struct kept_table kept[KEPT_KINDS];
    struct address_table workload_addresses, service_addresses;
    struct rcu_array mesh_policies; /* struct policy */
    uint64_t seed[2];
    _Atomic uint64_t version, policy_version, cluster_version;
    _Atomic size_t n_workloads, n_services, n_policies;
};
#define slot_of(type, node_) caa_container_of(node_, struct type, node)
#define now_of(slot)         atomic_load_explicit(&(slot)->now, memory_order_acquire)

/* By the hash of `key`; the match gets a pointer to it. */
struct cds_lfht_node *directory_find(const struct directory *d, struct cds_lfht *table,
                                     cds_lfht_match_fct match, struct text key);
void directory_add(struct directory *d, struct cds_lfht *table, struct text key,
                   struct cds_lfht_node *node);
/* The version grows; of the policies too: once the change can be seen. */
void directory_changed(struct directory *d, bool policies);

struct service_slot *directory_service_slot(const struct directory *d, struct text key);
/* Finds or makes; a new one stands for no service and has no endpoints. NULL: no memory. */
struct service_slot *directory_service_reserve(struct directory *d, struct text key);
void directory_service_drop_unused(struct directory *d, struct service_slot *slot);
struct namespace_slot *directory_namespace_slot(const struct directory *d, struct text name);

/* Take out what a slot holds; the version stays. */
void directory_drop_workload(struct directory *d, struct workload_slot *slot);
void directory_drop_service(struct directory *d, struct service_slot *slot);
void directory_drop_policy(struct directory *d, struct policy_slot *slot);
void directory_drop_kept(struct directory *d, enum kept_kind kind, struct kept_slot *slot);
#endif
