/*
 * What a rule of an HTTPRoute or GRPCRoute does, and what one of its matches asks, as values of a
 * route table. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_GATEWAY_ACTION_H
#define CONTROLLER_TRANSLATE_GATEWAY_ACTION_H
#include "controller/translate/gateway_build.h"
#include "controller/translate/gateway_order.h"
#include "shared/mesh/route.h"

/* Of a backend that can't be had. Of an HTTPRoute no cluster has this name, so its share is answered
 * 500. Proxyless clients of gRPC wait for each cluster, and know no answers of routes: for them there is
 * one with nobody in it, "refused|PORT||HOST" of the Service whose routes these are. */
#define GATEWAY_NO_CLUSTER "weir.invalid"
enum { GATEWAY_CLUSTER_MAX = 640 }; /* a port, a subset and a host, of 253 bytes each */

/* "outbound|PORT||NAME.NAMESPACE.svc.DOMAIN", as Istio names clusters. */
void gateway_cluster_name(const struct view *v, const char *ns, const char *name, uint16_t port,
                          char out[static GATEWAY_CLUSTER_MAX]);
void gateway_refused_name(const struct view *v, const char *ns, const char *name, uint16_t port,
                          char out[static GATEWAY_CLUSTER_MAX]);
void gateway_match_build(struct gateway_build *b, const struct gateway_entry *e,
                         struct route_match *ret);
void gateway_action_build(struct gateway_build *b, const struct gateway_entry *e,
                          struct route_action *ret);
#endif
