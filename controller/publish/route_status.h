/*
 * Our entries in the status of a policy for each of its targets (ancestors), or of an HTTPRoute or GRPCRoute: one for each of its parents that is a Service
 * or a Gateway of ours, with our name as the controller's. Pure: what an object has, what it is to have, and the patch between
 * the two, which leaves other controllers' entries as they are. What is there is known by a number made
 * of what it says.
 */
#ifndef CONTROLLER_PUBLISH_ROUTE_STATUS_H
#define CONTROLLER_PUBLISH_ROUTE_STATUS_H
#include "controller/publish/condition.h"
#include "controller/translate/gateway_status.h"

#define ROUTE_STATUS_CONTROLLER INGRESS_CONTROLLER
enum { ROUTE_STATUS_PARENTS_MAX = 32, ROUTE_STATUS_ANCESTORS_MAX = 16 }; /* of all controllers: the definition's own */

struct route_status { /* what is to be there */
    const struct gateway_parent_status *parents;
    size_t n;
    bool ancestors; /* it is a policy's (GEP-713): status.ancestors, each with an ancestorRef */
    int64_t generation; /* of the object that was judged */
};
uint64_t route_status_number(const struct route_status *s); /* 0: nothing is to be there, */
uint64_t route_status_there(const struct json *object, bool ancestors); /* or is */
/* The merge patch for /status, with the object's resourceVersion as the condition of its own. -EINVAL:
 * the object has no version, or parents that are no list; -E2BIG: too many; -ENOMEM. */
int route_status_patch(const struct json *object, const struct route_status *s, int64_t unix_ms,
                       struct text_heap *ret_body);
#endif
