/*
 * All workloads, services, policies, route tables and clusters that this process knows. One thread writes; worker threads
 * read without locks (liburcu, QSBR). Entries are immutable; a write replaces. A read's pointers
 * are valid until the reader's next quiescent moment (worker loops: before they wait in the
 * kernel), so nothing may be kept over a wait: copy out. An update costs what changed (and the
 * endpoints of the services concerned), never the size of the mesh.
 */
#ifndef SHARED_MESH_DIRECTORY_H
#define SHARED_MESH_DIRECTORY_H
#include "shared/base/rng.h"
#include "shared/mesh/policy.h"
#include "shared/mesh/service.h"

struct directory;
struct route_table; /* route.h */
struct cluster;     /* cluster.h */
struct endpoints;   /* endpoints.h */
int directory_new(struct directory **ret);
/* No reader may be left; runs pending frees, and waits for them. */
struct directory *directory_free(struct directory *d);

/* Every thread that reads registers; the writer too. offline/online go around a blocking wait. */
void directory_thread_register(void);
void directory_thread_unregister(void);
void directory_thread_offline(void);
void directory_thread_online(void);

/* Writer. `taken_` ownership passes in every case. -ENOMEM: the old state stays. An equal entry
 * is a no-op. */
int directory_put_workload(struct directory *d, struct workload *taken_workload);
int directory_put_service(struct directory *d, struct service *taken_service);
int directory_put_policy(struct directory *d, struct policy *taken_policy);
int directory_put_routes(struct directory *d, struct route_table *taken_table); /* finished */
int directory_put_cluster(struct directory *d, struct cluster *taken_cluster);  /* likewise */
int directory_put_endpoints(struct directory *d, struct endpoints *taken_endpoints);
bool directory_remove_workload(struct directory *d, struct text uid);
bool directory_remove_service(struct directory *d, struct text key);
bool directory_remove_policy(struct directory *d, struct text key);
bool directory_remove_routes(struct directory *d, struct text name);
bool directory_remove_cluster(struct directory *d, struct text name);
bool directory_remove_endpoints(struct directory *d, struct text name);
/* Grows with each change: of workloads, services and policies (routes are asked for request by
 * request, so that nothing that lives was decided by them); of policies (or of what selects them).
 * Atomic reads, any thread. */
uint64_t directory_version(const struct directory *d);
uint64_t directory_policy_version(const struct directory *d);
uint64_t directory_cluster_version(const struct directory *d); /* of clusters and endpoints */

/*
 * Readers (registered, online). NULL: unknown. network "" is the default network.
 *
 * An address belongs to the workload that claimed it last (a pod's address is given to another one
 * at once, and the news of the two may come in either order); an update that keeps an address keeps
 * its claim's place. An address that any workload claims with host_network belongs to its node,
 * thus to nobody here: directory_workload_at() answers NULL, so that no identity is ever taken from
 * it.
 */
const struct workload *directory_workload(const struct directory *d, struct text uid);
const struct workload *directory_workload_at(const struct directory *d, struct text network,
                                             const struct ip *ip);
const struct service *directory_service(const struct directory *d, struct text key);
const struct service *directory_service_at(const struct directory *d, struct text network,
                                           const struct ip *ip);
/* By its host name alone: the one of this namespace, or else of the first in order of the alphabet. */
const struct service *directory_service_named(const struct directory *d, struct text hostname,
                                              struct text ns);
const struct policy *directory_policy(const struct directory *d, struct text key);
/* A reference of the caller's, since an exchange keeps its table over waits: route_table_unref(),
 * from any thread, also after the directory's end. By the table's name: `outbound|PORT||HOST`, or
 * with `@NAMESPACE` behind it that of this namespace's clients. */
struct route_table *directory_routes(const struct directory *d, struct text name);
/* Likewise; endpoints by the name that their cluster has for them. */
struct cluster *directory_cluster(const struct directory *d, struct text name);
struct endpoints *directory_endpoints_of(const struct directory *d, struct text name);
/* Visits all (for dumps); stop by returning false. */
void directory_each_workload(const struct directory *d,
                             bool (*visit)(const struct workload *w, void *arg), void *arg);
void directory_each_service(const struct directory *d,
                            bool (*visit)(const struct service *s, void *arg), void *arg);
void directory_each_policy(const struct directory *d,
                           bool (*visit)(const struct policy *p, void *arg), void *arg);
void directory_each_routes(const struct directory *d,
                           bool (*visit)(const struct route_table *t, void *arg), void *arg);
void directory_each_cluster(const struct directory *d,
                            bool (*visit)(const struct cluster *c, void *arg), void *arg);
struct directory_counts {
    size_t workloads, services, policies, routes; /* routes: tables */
    size_t clusters, endpoints;                   /* endpoints: lists of them */
};
void directory_counts(const struct directory *d, struct directory_counts *ret);
size_t directory_endpoints(const struct directory *d, const struct service *s,
                           const struct workload *const **ret); /* immutable array, unordered */

/*
 * Decision: may `a` reach the local workload? Policies: its own, its namespace's, the mesh's. A
 * policy that a workload names and that is not here (yet) is taken as absent: whoever serves them
 * sends policies first.
 */
void directory_authorise(const struct directory *d, const struct workload *local,
                         const struct access *a, struct verdict *ret);
/* Decision: an endpoint of the service for this port: weighted random among the best locality
 * group that has healthy endpoints (the service's routing preference, seen from the source; NULL
 * source: no preference, and where it is strict, no endpoint). Only endpoints with an address of `family` (0: any). -ENOENT: the
 * service has no such port; -EHOSTUNREACH: no endpoint may be used. */
struct choice {
    const struct workload *workload; /* as every read: copy out what is needed */
    struct addr target;              /* address of the workload and its target port */
};
int directory_choose(const struct directory *d, const struct service *s, uint16_t service_port,
                     const struct workload *source, int family, struct rng *rng,
                     struct choice *ret);
/* The endpoint of the service for this port that has this address, if it may be used: -EHOSTUNREACH. */
int directory_serves(const struct directory *d, const struct service *s, uint16_t service_port,
                   const struct workload *source, struct text network, const struct addr *at,
                   struct choice *ret);
/* How far an endpoint is from the source, by the service's preference: 0 is best; -1: it may not be
 * used. */
int directory_distance(const struct service *s, const struct workload *source,
                       const struct workload *w);
#endif
