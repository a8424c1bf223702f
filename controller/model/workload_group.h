/*
 * WorkloadGroup (networking.istio.io) as it is written: what machines have in common that register
 * themselves. An entry is made of it for each of them, as if somebody had written it: see
 * controller/serve/registry.h. With a flaw it has none.
 */
#ifndef CONTROLLER_MODEL_WORKLOAD_GROUP_H
#define CONTROLLER_MODEL_WORKLOAD_GROUP_H
#include "controller/model/workload_entry.h"

struct workload_group {
    struct gateway_flaw flaw;
    struct labels labels;          /* of its entries: the template's, and those of its metadata besides */
    struct workload_entry template; /* without an address */
};
/* A WorkloadEntry of it, with one reference: of this name, at this address, which speaks the mesh's mTLS unless
 * the template says otherwise. NULL: the group has a flaw. -ENOMEM. */
int workload_group_entry(const struct object *group, const char *name, const struct ip *address,
                         int64_t created_s, struct object **ret);
#endif
