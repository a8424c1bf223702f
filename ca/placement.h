/*
 * Which identities run on which node, as the controller tells every xDS client: an index kept as
 * resources come and go, by their xDS names. Only workloads that are part of the mesh count.
 * Whether it is still to be believed is for the owner to know (grant.h). One thread; bounded by
 * what the xDS client accepts.
 */
#ifndef CA_PLACEMENT_H
#define CA_PLACEMENT_H
#include "shared/base/map.h"
#include "shared/mesh/spiffe_id.h"
#include "shared/mesh/workload.h"

struct placement {
    struct map by_name; /* resource -> its key below (heap text) */
    struct map counts;  /* "node identity" -> number of workloads (as uintptr_t) */
};
void placement_init(struct placement *p);
void placement_done(struct placement *p);
/* The resource of this name is now that workload (NULL: no workload). -ENOMEM: what was known of it
 * is forgotten, so that nothing is granted by it. */
int placement_put(struct placement *p, struct text name, const struct workload *w);
void placement_remove(struct placement *p, struct text name); /* fine if it is no workload */
bool placement_has(const struct placement *p, const char *node, const struct spiffe_id *id);
#endif
