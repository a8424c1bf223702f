/*
 * What a link of an upstream_pool stands on: a carrier (carrier.h). One worker.
 */
#ifndef NODEPROXY_PATH_UPSTREAM_CARRIER_H
#define NODEPROXY_PATH_UPSTREAM_CARRIER_H
#include "nodeproxy/path/local_pod.h"

extern const struct upstream_pool_ops upstream_carrier_ops; /* of a local_pod's `upstreams` */
#endif
