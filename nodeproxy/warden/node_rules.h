/*
 * The node's own nftables rules, in its namespace: the source of probes to enrolled pods, and
 * nobody else's use of it. Tables `inet weir_node` (`ip weir_node` where the kernel has no IPv6)
 * and `bridge weir_node`.
 */
#ifndef NODEPROXY_WARDEN_NODE_RULES_H
#define NODEPROXY_WARDEN_NODE_RULES_H
#include "shared/base/addr.h"
#include "shared/base/why.h"
#include <stdbool.h>

/* Replaces the rules in one transaction, or (more) adds pods to those that are there; n_pods 0:
 * removes them. *bridge: whether pods may be joined by a bridge that the kernel can filter; set to
 * false when it turns out that the kernel can't. */
int node_rules_put(bool ipv6, bool *bridge, bool more, const struct ip *pods, size_t n_pods,
                   char why[static WHY_MAX]);
#endif
