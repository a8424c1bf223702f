/*
 * Addresses that the mesh chooses for a host of a ServiceEntry without any, so that its name can be
 * answered and its connections be told apart. They follow from the name, so that they are the same in
 * each replica and after each restart: a few places in 240.240.0.0/12, of which it has the first that is
 * no place of an older one, and one in 2001:2::/48 (both are Istio's ranges, the first is wider). Pure.
 */
#ifndef CONTROLLER_TRANSLATE_SERVICE_PLACE_H
#define CONTROLLER_TRANSLATE_SERVICE_PLACE_H
#include "controller/translate/view.h"

enum { PLACES = 4 };
struct ip service_place(struct text host, unsigned i); /* i: less than PLACES */
/* How many addresses it has of those in `ret`: the IPv6 one, and the IPv4 one unless older hosts have all
 * of its places. */
enum { PLACED_MAX = 2 };
size_t service_placed(const struct view *v, const struct object *service,
                      struct ip ret[static PLACED_MAX]);
#endif
