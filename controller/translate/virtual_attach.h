/*
 * Which VirtualService counts for a port of a Service, and for whose clients. Of several that speak of
 * it and are to be seen by a client the one with the most precise host does, then one that is exported
 * to the client's namespace by name, then the oldest: all of it, as in Istio, and not merged with
 * others. A route of the Gateway API that has the port comes before all of them. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_VIRTUAL_ATTACH_H
#define CONTROLLER_TRANSLATE_VIRTUAL_ATTACH_H
#include "controller/translate/gateway_attach.h"
#include "controller/translate/traffic_host.h"

/* All that speak of a Service, whether they count or not; on the heap, the caller frees `items`. In no
 * order, each once. -ENOMEM. */
int virtual_candidates(const struct view *v, const struct object *service,
                       struct object_group *ret);
/* The one for the clients of a namespace (NULL: of those that none is for by name). NULL: none. */
const struct object *virtual_chosen(const struct view *v, const struct object *service,
                                    const struct object_group *candidates, const char *ns);
/* Is the port taken by a route of the Gateway API, for all clients? */
bool virtual_loses(const struct view *v, const struct object *service,
                   const struct kube_service_port *port);
/* Does a match of a rule speak of this port in the mesh? NULL: a rule without matches does. */
bool virtual_match_means(const struct virtual_match *m, uint16_t port);
bool virtual_means(const struct object *virtual_service, uint16_t port);
#endif
