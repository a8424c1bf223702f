/*
 * What is to be said to the author of a Gateway of ours (the Gateway API's conditions and reasons): of
 * the whole, and of each listener. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_INGRESS_STATUS_H
#define CONTROLLER_TRANSLATE_INGRESS_STATUS_H
#include "controller/translate/gateway_status.h"

enum { INGRESS_ADDRESSES_MAX = 16 /* the definition's own */ };
struct ingress_listener_status {
    const struct ingress_listener *listener;
    struct gateway_condition accepted, programmed, conflicted, resolved;
    size_t n_routes; /* attached */
};
struct ingress_status {
    struct gateway_condition accepted, programmed;
    struct ip addresses[INGRESS_ADDRESSES_MAX]; /* of the Services that lead to its pods */
    size_t n_addresses;
    struct ingress_listener_status *listeners; /* on the heap; the caller frees it */
    size_t n_listeners;
};
/* -ENOMEM: nothing is to be freed. */
int ingress_status(const struct view *v, const struct object *gateway, struct ingress_status *ret);
/* Tells of all that does not count as it is written. -ENOMEM. */
int ingress_warn(const struct view *v, const struct object *gateway, struct problems *problems);
#endif
