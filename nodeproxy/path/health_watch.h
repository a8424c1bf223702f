/*
 * The active health checks of a cluster that a workload uses: each endpoint has a health_probe for each check, and one that
 * fails any of them is left out by the cluster's balancer (unless too many do: its panic threshold). Begun with the cluster's
 * first request, ended when nobody has asked for it for as long as clusters are kept (upstream_cluster.h). Until an endpoint
 * has answered for the first time it counts as well, or as it did before.
 *
 * Owned by a local_pod; one worker. Bounded: probes of the worker, and of them a pod's share (health_has_share), beyond which an
 * endpoint is not checked, and counts as well.
 */
#ifndef NODEPROXY_PATH_HEALTH_WATCH_H
#define NODEPROXY_PATH_HEALTH_WATCH_H
#include "nodeproxy/path/local_pod.h"

enum { HEALTH_PROBES_MAX = 4096 /* of a worker */ };
extern const struct upstream_watcher health_watcher; /* of a local_pod's `clusters` */
void health_watches_close(struct local_pod *p);      /* all end; local_pod_look() when the last probe has gone */
#endif
