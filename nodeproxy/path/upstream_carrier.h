/*
 * What a link of an upstream_pool stands on: a tunnel to the workload that is there, or a connection from the pod's own
 * namespace. One worker; belongs to its link, and is freed from the loop after everything in it has drained.
 *
 * A workload of the same node is reached by a tunnel, too.
 */
#ifndef NODEPROXY_PATH_UPSTREAM_CARRIER_H
#define NODEPROXY_PATH_UPSTREAM_CARRIER_H
#include "nodeproxy/path/local_pod.h"

extern const struct upstream_pool_ops upstream_carrier_ops; /* of a local_pod's `upstreams` */
#endif
