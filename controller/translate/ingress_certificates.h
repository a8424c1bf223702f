/*
 * With what the listeners of a Gateway end TLS, as the node proxies of its pods are told it, and nobody
 * else (shared/xds/gateway.h): of each listener that is served its certificate and key. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_INGRESS_CERTIFICATES_H
#define CONTROLLER_TRANSLATE_INGRESS_CERTIFICATES_H
#include "controller/translate/resource.h"
#include "controller/translate/view.h"

/* *ret NULL: no listener of it is one of TLS, or no pod serves as it. -ENOMEM. */
int ingress_certificates(const struct view *v, const struct object *gateway, struct resource **ret);
#endif
