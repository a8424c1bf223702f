/*
 * Addresses of Services: which one has an address that several name. A pod has its own, a node its
 * own (where a pod is on its network); a Service of Kubernetes has what its API server gave it; of those that ServiceEntries make the oldest has it, and
 * with it the other hosts of its entry. For a host without any the mesh chooses: they follow from its
 * name, so that they are the same in each replica and after each restart: a few places in
 * 240.240.0.0/12, of which it has the first that it can have, and one in 2001:2::/48 (both are Istio's
 * ranges, the first is wider). Pure.
 */
#ifndef CONTROLLER_TRANSLATE_SERVICE_PLACE_H
#define CONTROLLER_TRANSLATE_SERVICE_PLACE_H
#include "controller/translate/view.h"
#include "shared/mesh/service.h"

enum { NARROW_PLACES = 4, PLACES = NARROW_PLACES + 1 }; /* the last one is the IPv6 address */
struct ip service_place(struct text host, unsigned i);  /* i: less than PLACES */
/* How many addresses a Service names, or may be given: those in `ret`. */
size_t service_wanted(const struct object *service, struct text host,
                      struct ip ret[static SERVICE_ADDRESSES_MAX]);
/* Who comes before it at an address that it wants: a pod, one on a node's network, or another Service. NULL: nobody, it has it. */
const struct object *service_before(const struct view *v, const struct object *service,
                                    const struct ip *wanted);
/* How many it has: those in `ret`. */
size_t service_addresses(const struct view *v, const struct object *service,
                         struct ip ret[static SERVICE_ADDRESSES_MAX]);
#endif
