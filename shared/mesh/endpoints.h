/*
 * Where a cluster's requests may go (Envoy's ClusterLoadAssignment): endpoints in localities, with
 * priorities and weights. Filled by whoever decodes or translates, in its own arena, then finished,
 * immutable and counted; any thread.
 */
#ifndef SHARED_MESH_ENDPOINTS_H
#define SHARED_MESH_ENDPOINTS_H
#include "shared/base/addr.h"
#include "shared/base/arena.h"
#include "shared/mesh/text_match.h"

#include <stdatomic.h>

enum {
    ENDPOINTS_BYTES_MAX = 64 * 1024 * 1024,
    ENDPOINTS_MAX = 100000,
    ENDPOINT_GROUPS_MAX = 1000,
    ENDPOINT_PRIORITIES_MAX = 128,
    ENDPOINT_LABELS_MAX = 64,
    ENDPOINT_HOST_MAX = 255,
    ENDPOINT_DROPS_MAX = 16,
    OVERPROVISIONING_PERCENT = 140
};

enum endpoint_health {
    HEALTH_UNKNOWN,
    HEALTH_HEALTHY,
    HEALTH_UNHEALTHY,
    HEALTH_DRAINING,
    HEALTH_TIMEOUT,
    HEALTH_DEGRADED
};
struct endpoint {
    struct addr addr;     /* an IP and a port; ip.len 0: `host` is to be resolved */
    struct text host;     /* a name instead of the address (addr.port counts) */
    struct text hostname; /* for HOST_OF_ENDPOINT, health checks and hashing; "" none */
    enum endpoint_health health;
    uint32_t weight;      /* 1 to 2^32-1; what decodes says 1 where none is said */
    struct label *labels; /* metadata "envoy.lb", for subsets */
    size_t n_labels;
    struct text workload; /* our own metadata "weir", key workload: its uid in the directory */
};
struct endpoint_group { /* LocalityLbEndpoints */
    struct text region, zone, sub_zone;
    uint32_t weight; /* among the localities of its priority; 0: not said */
    uint32_t priority;
    struct endpoint *endpoints;
    size_t n_endpoints;
};
struct endpoint_drop {
    struct text category;
    struct fraction fraction;
};
struct endpoints {
    _Atomic unsigned refs;
    struct arena arena;
    struct text name; /* cluster_name */
    struct endpoint_group *groups;
    size_t n_groups;
    struct endpoint_drop *drops;
    size_t n_drops;
    uint32_t overprovisioning_percent; /* 140 */
    size_t n_endpoints, n_priorities;  /* made by endpoints_finish() */
    bool finished;
};
/* Overprovisioning 140, one reference; NULL: no memory */
struct endpoints *endpoints_new(size_t arena_max);
struct endpoints *endpoints_free(struct endpoints *e); /* by who alone has them */
struct endpoints *endpoints_ref(struct endpoints *e);  /* from any thread; the last one frees */
struct endpoints *endpoints_unref(struct endpoints *e);
/* -EINVAL: why names the field; -ENOMEM. Priorities have no gaps, a locality stands once in a
 * priority, an address once in all. */
int endpoints_finish(struct endpoints *e, char why[static WHY_MAX]);
#endif
