/*
 * What is to be said to the author of an HTTPRoute or GRPCRoute, for each of its parents that is a
 * Service or a Gateway of ours (the Gateway API's conditions and reasons). Other parents are other
 * controllers'.
 * Pure.
 */
#ifndef CONTROLLER_TRANSLATE_GATEWAY_STATUS_H
#define CONTROLLER_TRANSLATE_GATEWAY_STATUS_H
#include "controller/translate/gateway_attach.h"

struct gateway_condition {
    bool holds;
    const char *reason;
    char message[GATEWAY_MESSAGE_MAX];
};
struct gateway_parent_status {
    const struct gateway_parent *parent;
    struct gateway_condition accepted, resolved; /* types Accepted and ResolvedRefs */
    struct gateway_condition partial; /* PartiallyInvalid; it is left out where it does not hold */
};
/* On the heap; the caller frees it. NULL with *ret_n 0: there is no such parent. -ENOMEM. */
int gateway_status(const struct view *v, const struct object *route,
                   struct gateway_parent_status **ret, size_t *ret_n);
/* Tells of all that does not count as it is written. -ENOMEM. */
int gateway_warn(const struct view *v, const struct object *route, struct problems *problems);
#endif
