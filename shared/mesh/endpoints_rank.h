/*
 * Endpoints as one place sees them: those that are near come first, as priorities. For clusters whose
 * own endpoints have one priority only. Pure.
 */
#ifndef SHARED_MESH_ENDPOINTS_RANK_H
#define SHARED_MESH_ENDPOINTS_RANK_H
#include "shared/mesh/endpoints.h"
#include "shared/mesh/workload.h"

enum { ENDPOINT_RANKS_MAX = 96, ENDPOINT_LEFT_OUT = -1 };
struct endpoint_ranking { /* how far an endpoint is: 0 is best, below ENDPOINT_RANKS_MAX; or left out */
    int (*rank)(void *arg, const struct endpoint_group *g, const struct endpoint *e);
    void *arg;
};
/* By region, zone and sub-zone, each only within the one before: 0 to 3. */
int endpoint_distance(const struct locality *from, const struct endpoint_group *g);
/* A copy whose texts and labels are those of `e`, which must outlive it; ranks without anybody are
 * left out. -ENOMEM. */
int endpoints_ranked(const struct endpoints *e, const struct endpoint_ranking *by,
                     struct endpoints **ret);
#endif
