/*
 * The directory's clusters for people: what was asked of each, its endpoints with what this node's workloads have in use of them,
 * and what each workload has in use of a cluster. Bounded by the text that it is written to. Control thread.
 */
#ifndef NODEPROXY_CONTROL_CLUSTERS_DUMP_H
#define NODEPROXY_CONTROL_CLUSTERS_DUMP_H
#include "nodeproxy/http/upstream_seen.h"
#include "shared/json/json_out.h"

/* Members "clusters" and "clusterUse". */
void clusters_dump(const struct directory *d, struct bounds *b, const struct upstream_seen *seen, struct json_out *o);
#endif
