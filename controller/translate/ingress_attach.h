/*
 * What belongs to a Gateway of ours: the pods that serve as it, the listeners that are served, the
 * routes that are attached to each. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_INGRESS_ATTACH_H
#define CONTROLLER_TRANSLATE_INGRESS_ATTACH_H
#include "controller/translate/view.h"
#include "shared/mesh/gateway_table_name.h"

/* A Gateway that is ours, by its class. */
bool ingress_is_ours(const struct object *gateway);
/* The one that a parent means; NULL: none, or another controller's. */
const struct object *ingress_of_parent(const struct view *v, const struct gateway_parent *parent);
/* The one as which a pod serves, by its label; NULL: none. */
const struct object *ingress_of_pod(const struct view *v, const struct object *pod);
/* Why a listener is not served (a reason of the Gateway API; the rest is written to `message`);
 * NULL: it is. */
const char *ingress_listener_refused(const struct object *gateway, size_t listener,
                                     struct text_out *message);
bool ingress_listener_is_tls(const struct ingress_listener *l); /* HTTPS, TLS: a ClientHello comes first */
enum gateway_table_kind ingress_listener_table(const struct ingress_listener *l); /* in which its routes are */
/* Likewise why the certificate of a listener can't be had; NULL also for one that needs none. */
const char *ingress_certificate_refused(const struct view *v, const struct object *gateway,
                                        size_t listener, struct text_out *message);
/* Neither of the two. */
bool ingress_listener_serves(const struct view *v, const struct object *gateway, size_t listener);
/* Is a route attached to this listener by this parent, whose Gateway it is? NULL: it is; else why
 * not, as above. */
const char *ingress_route_refused(const struct view *v, const struct object *gateway,
                                  size_t listener, const struct object *route,
                                  const struct gateway_parent *parent, struct text_out *message);
/* Likewise for all listeners that the parent means: one that takes it is enough. */
const char *ingress_parent_refused(const struct view *v, const struct object *route,
                                   const struct gateway_parent *parent, struct text_out *message);
/* By any of its parents. */
bool ingress_attaches(const struct view *v, const struct object *gateway, size_t listener,
                      const struct object *route);
/* What a listener's host and one of a route have in common ("": any host); NULL: nothing. */
const char *ingress_common_host(const char *listener, const char *route);
/* Does a host, which may begin with "*.", lie within another one? Each lies within itself. */
bool ingress_host_within(const char *host, const char *other);
#endif
