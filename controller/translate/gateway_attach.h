/*
 * What routes of the Gateway API speak of (GEP-1294): a Service's port as everybody sees it (routes
 * of the Service's namespace), or as the clients of another namespace do (routes of that one, which
 * replace the others for them). Pure.
 */
#ifndef CONTROLLER_TRANSLATE_GATEWAY_ATTACH_H
#define CONTROLLER_TRANSLATE_GATEWAY_ATTACH_H
#include "controller/translate/view.h"

struct gateway_scope {
    const struct object *service;
    const struct kube_service_port *port;
    const char *ns; /* of the routes; another than the Service's: only its clients are meant */
    bool streams;   /* routes of connections (TCPRoute, TLSRoute), and not of requests */
};
enum { GATEWAY_MESSAGE_MAX = 512 };

/* May an object speak of another one: of its own namespace, or by a ReferenceGrant of the other's. */
bool gateway_is_granted(const struct view *v, const struct object *from,
                        const struct gateway_ref *ref);
bool gateway_is_service(const struct gateway_ref *ref);
/* Why a reference to a Service of this port is refused (a reason of the Gateway API; the rest is
 * written to `message`); NULL: it is fine. `grants`: one of another namespace needs a ReferenceGrant. */
const char *gateway_backend_refused(const struct view *v, const struct object *route,
                                    const struct gateway_ref *ref, bool grants,
                                    struct text_out *message);
/* Why nothing of a route can be honoured, likewise: then it counts nowhere. */
const char *gateway_route_refused(const struct object *route, struct text_out *message);
/* Likewise for one of its parents, which is a Service. */
const char *gateway_parent_refused(const struct view *v, const struct object *route,
                                   const struct gateway_parent *parent, struct text_out *message);
/* Does this parent of a route mean this port? Of requests none that is declared to be TCP's or TLS's,
 * of streams none that is declared HTTP. */
bool gateway_parent_means(const struct gateway_parent *parent, const struct kube_service_port *port,
                          bool streams);
/* Is it one of connections: TCPRoute, TLSRoute? They count where a port is not declared HTTP. */
bool gateway_is_stream(enum object_kind kind);
/* The kind of routes that counts there, of several: GRPCRoute, then HTTPRoute; of streams any of
 * theirs, since both count together. OBJECT_KIND_COUNT: there is none. */
enum object_kind gateway_scope_kind(const struct view *v, const struct gateway_scope *s);
/* Does this route count there, if its kind does? */
bool gateway_scope_wants(const struct gateway_scope *s, const struct object *route);
#endif
