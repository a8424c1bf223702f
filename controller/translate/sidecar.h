/*
 * Sidecars: pods whose label weir.mesh/sidecar says "envoy" bring a proxy of their own, which is told here
 * where their connections go. The node proxies leave such a pod alone. What its Envoy gets beside the
 * clusters, endpoints and routes that everybody may ask for:
 *
 *   sidecar||ADDRESS:PORT|HOST                 a listener of each port of each Service's address
 *   sidecar|NAMESPACE/POD/ACCOUNT|virtual...   its own two listeners, for that pod of that account alone
 *   PassthroughCluster, InboundPassthroughCluster, BlackHoleCluster
 *
 * Names say who may be told: sidecar_may_see(). Nothing is made unless the settings ask for it. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_SIDECAR_H
#define CONTROLLER_TRANSLATE_SIDECAR_H
#include "controller/translate/translate.h"
#include "shared/mesh/workload.h"

enum {
    SIDECAR_OWNER_MAX = 640,
    SIDECAR_CHAINS_MAX = 256, /* of ports that carry requests; at others it relays bytes */
};
/* Has the pod one? */
bool sidecar_is_in(const struct view *v, const struct object *pod);
/* "NAMESPACE/POD/ACCOUNT"; "" if that is too long. */
void sidecar_owner(struct text ns, struct text pod, struct text account,
                   char out[static SIDECAR_OWNER_MAX]);
/* A name that this owner has as long as it is a sidecar. */
struct text sidecar_own_name(const char *owner, char out[static XDS_NAME_MAX]);
/* May a listener of this name be told to this owner (NULL: to who is no sidecar)? */
bool sidecar_may_see(struct text listener, const char *owner);

int sidecar_of_service(const struct view *v, const struct object *service, struct resources *all);
/* `w` is what the pod has become. */
int sidecar_of_pod(const struct view *v, const struct object *pod, const struct workload *w,
                   struct resources *all, struct problems *problems);
int sidecar_common(const struct view *v, struct resources *all);
#endif
