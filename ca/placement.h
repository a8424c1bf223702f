/*
 * Which identities run on which node, as the controller tells every xDS client: an index kept as resources come and go. Only workloads that
 * are part of the mesh count. While it is not known, or was lost for too long, nobody may be granted anything. One thread.
 */
#ifndef CA_PLACEMENT_H
#define CA_PLACEMENT_H
#include "shared/base/map.h"
#include "shared/mesh/spiffe_id.h"
#include "shared/mesh/workload.h"

struct placement {
    struct map by_uid;   /* uid -> its key below (heap text) */
    struct map counts;   /* "node identity" -> number of workloads (as uintptr_t) */
};
void placement_init(struct placement *p);
void placement_done(struct placement *p);
int placement_put(struct placement *p, const struct workload *w); /* -ENOMEM: what was known of this uid is forgotten: fail closed */
void placement_remove(struct placement *p, struct text uid);      /* fine if it is no workload */
bool placement_has(const struct placement *p, const char *node, const struct spiffe_id *id);
#endif
