/*
 * PeerAuthentication as access policies: STRICT becomes "deny whoever has no identity". Pure. For
 * a workload the mesh's, its namespace's and its own policy count, each the oldest of its scope;
 * each that is not UNSET overrides the one before; port modes count only in the workload's own
 * (Istio, PeerAuthentication reference). DISABLE is PERMISSIVE: tunnels are always accepted.
 */
#ifndef CONTROLLER_TRANSLATE_PEER_H
#define CONTROLLER_TRANSLATE_PEER_H
#include "controller/translate/view.h"
#include "shared/mesh/policy.h"

#define PEER_STATIC_NAME      "istio_converted_static_strict"
#define PEER_CONVERTED_PREFIX "converted_peer_authentication_"
#define PEER_GATEWAY_PREFIX   "converted_gateway_"

struct peer_outcome {           /* what is to be attached to a workload */
    bool strict;                /* the static policy */
    const struct object *ports; /* the converted policy of this PeerAuthentication; NULL: none */
};
void peer_compose(const struct view *v, const char *ns, const struct labels *labels,
                  struct peer_outcome *ret);
/* The policy that a PeerAuthentication with port modes becomes. 0 with *ret NULL: it needs none
 * of its own. */
int peer_policy(const struct view *v, const struct object *peer, struct policy **ret);
int peer_static_policy(const struct view *v, struct policy **ret);
/* STRICT for the pods of a Gateway of ours, instead of the static policy: who comes to its listeners
 * from outside has no identity. All ports but those of the listeners that are served. */
int peer_gateway_policy(const struct object *gateway, struct policy **ret);
/* What is written in it and has no effect. */
void peer_warn(const struct view *v, const struct object *peer, struct problems *problems);
#endif
