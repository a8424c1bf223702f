/*
 * Which BackendTLSPolicy a port of a Service has, and what becomes of it: of those that name it the one that
 * names the port, and of several the oldest (GEP-713). Whoever has one that can't be honoured is closed. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_BACKEND_TLS_ATTACH_H
#define CONTROLLER_TRANSLATE_BACKEND_TLS_ATTACH_H
#include "controller/translate/gateway_status.h"

struct cluster;
/* NULL: there is none. */
const struct object *backend_tls_of(const struct view *v, const struct object *service,
                                    const struct kube_service_port *port);
/* Into the cluster of that port; false: nobody says anything. -ENOMEM is a closed one, too. */
bool backend_tls_apply(const struct view *v, const struct object *service,
                       const struct kube_service_port *port, struct cluster *c);
/* What is to be said of each of its targets, on the heap; the caller frees it. -ENOMEM. */
int backend_tls_status(const struct view *v, const struct object *policy,
                       struct gateway_parent_status **ret, size_t *ret_n);
void backend_tls_warn(const struct view *v, const struct object *policy, struct problems *problems);
/* Does it name this Service, or these roots (a ConfigMap)? */
bool backend_tls_names(const struct object *policy, const struct object *service);
bool backend_tls_trusts(const struct object *policy, const struct object *config_map);
#endif
