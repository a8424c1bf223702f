/*
 * WorkloadEntry (networking.istio.io) as it is written: a machine that is no pod. It is said by an object that
 * the mesh knows already: a Pod of its name, which Services and ServiceEntries select by labels, and policies,
 * too. workload_entry_part() makes it; the store has it beside the entry, for as long as that is there. With a
 * flaw it has none.
 */
#ifndef CONTROLLER_MODEL_WORKLOAD_ENTRY_H
#define CONTROLLER_MODEL_WORKLOAD_ENTRY_H
#include "controller/model/gateway_route.h"
#include "shared/base/addr.h"

enum { ENTRY_TARGETS_MAX = 128 };
#define MACHINE_TUNNEL_LABEL "networking.istio.io/tunnel" /* "http": it speaks the mesh's mTLS */

struct object;
struct container_port;
struct workload_entry {
    struct gateway_flaw flaw;
    const struct ip *address;
    const char *service_account;
    const struct container_port *targets; /* by the names of Services' ports */
    size_t n_targets;
    const char *region, *zone, *subzone;
    const char *network; /* "": not said */
    uint32_t weight;
};
/* The name of its Pod: nothing else can have such a one. */
enum { MACHINE_NAME_MAX = 300 };
const char *workload_entry_part_name(const char *entry, char out[static MACHINE_NAME_MAX]);
/* That Pod, with one reference; NULL: it has none. -ENOMEM. */
int workload_entry_part(const struct object *entry, struct object **ret);
#endif
