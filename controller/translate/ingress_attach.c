#include "controller/translate/ingress_attach.h"
#include "controller/translate/gateway_attach.h"

bool ingress_is_ours(const struct object *gateway)
{
    return strcmp(gateway->ingress.class_name, INGRESS_CLASS) == 0;
}

static const struct object *ours(const struct view *v, const char *ns, const char *name)
{
    const struct object *o = object_store_get(v->store, OBJECT_INGRESS, ns, name);
    return o && ingress_is_ours(o) ? o : NULL;
}

const struct object *ingress_of_parent(const struct view *v, const struct gateway_parent *parent)
{
    return view_is_ingress(&parent->ref) ? ours(v, parent->ref.ns, parent->ref.name) : NULL;
}

const struct object *ingress_of_pod(const struct view *v, const struct object *pod)
{
    const char *name = labels_get(&pod->labels, INGRESS_POD_LABEL);
    return name ? ours(v, pod->ns, name) : NULL;
}

/* ---- Hosts ---------------------------------------------------------------------------------- */

static bool is_wildcard(const char *host)
{
    return host[0] == '*';
}

bool ingress_host_within(const char *host, const char *other)
{
    if (!other[0] || strcmp(host, other) == 0)
        return true;
    if (!host[0] || !is_wildcard(other))
        return false;
    struct text name = text_of(is_wildcard(host) ? host + 1 : host);
    struct text ending = text_of(other + 1);
    return name.len > ending.len && text_ends_with(name, ending);
}

const char *ingress_common_host(const char *listener, const char *route)
{
    if (ingress_host_within(route, listener))
        return route;
    return ingress_host_within(listener, route) ? listener : NULL;
}

static bool shares_host(const struct ingress_listener *l, const struct gateway_route *r)
{
    for (size_t i = 0; i < r->hostnames.n; i++)
        if (ingress_is_host(text_of(r->hostnames.items[i])) &&
            ingress_common_host(l->hostname, r->hostnames.items[i]))
            return true;
    return r->hostnames.n == 0;
}

/* ---- Listeners ------------------------------------------------------------------------------ */

static const char *conflict(const struct ingress *g, size_t listener, struct text_out *message)
{
    const struct ingress_listener *l = &g->listeners[listener];
    for (size_t i = 0; i < g->n_listeners; i++) {
        const struct ingress_listener *other = &g->listeners[i];
        if (i == listener || other->port != l->port)
            continue;
        /* What begins with TLS is told from each other by the name that a client asks for. */
        bool tls = ingress_listener_is_tls(other) && ingress_listener_is_tls(l);
        if (strcmp(other->protocol, l->protocol) != 0 && !tls) {
            text_printf(message, "port %u is %s of listener %s", l->port, other->protocol,
                        other->name);
            return "ProtocolConflict";
        }
        if (strcmp(other->hostname, l->hostname) == 0) {
            text_printf(message, "listener %s has the same port and host", other->name);
            return "HostnameConflict";
        }
    }
    return NULL;
}

const char *ingress_listener_refused(const struct object *gateway, size_t listener,
                                     struct text_out *message)
{
    static const uint16_t own[] = {15001, 15006, 15008, 15053};
    const struct ingress *g = &gateway->ingress;
    const struct ingress_listener *l = &g->listeners[listener];
    const struct gateway_flaw *flaw = g->flaw.kind != GATEWAY_NO_FLAW ? &g->flaw : &l->flaw;
    if (flaw->kind != GATEWAY_NO_FLAW) {
        text_puts(message, flaw->text);
        return "UnsupportedValue";
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (l->port == own[i]) {
            text_printf(message, "port %u is the mesh's own", l->port);
            return "PortUnavailable";
        }
    if (!ingress_kinds(l)) {
        text_printf(message, "protocol %s is not served", l->protocol);
        return "UnsupportedProtocol";
    }
    return conflict(g, listener, message);
}

bool ingress_listener_is_tls(const struct ingress_listener *l)
{
    return strcmp(l->protocol, "HTTPS") == 0 || strcmp(l->protocol, "TLS") == 0;
}

enum gateway_table_kind ingress_listener_table(const struct ingress_listener *l)
{
    if (strcmp(l->protocol, "TCP") == 0)
        return GATEWAY_TABLE_PLAIN;
    if (strcmp(l->protocol, "TLS") == 0)
        return l->passes_tls ? GATEWAY_TABLE_PASSED : GATEWAY_TABLE_ENDED;
    return GATEWAY_TABLE_REQUESTS;
}

const char *ingress_certificate_refused(const struct view *v, const struct object *gateway,
                                        size_t listener, struct text_out *message)
{
    const struct ingress_listener *l = &gateway->ingress.listeners[listener];
    const struct gateway_ref *ref = &l->certificate;
    if (!l->has_certificate)
        return NULL;
    if (ref->group[0] || strcmp(ref->kind, "Secret") != 0) {
        text_printf(message, "%s: a %s has no certificate, only a Secret", ref->field, ref->kind);
        return "InvalidCertificateRef";
    }
    if (!gateway_is_granted(v, gateway, ref)) {
        text_printf(message, "%s: no ReferenceGrant in %s allows it", ref->field, ref->ns);
        return "RefNotPermitted";
    }
    const struct object *o = object_store_get(v->store, OBJECT_SECRET, ref->ns, ref->name);
    if (o && !o->secret.flaw)
        return NULL;
    text_printf(message, "%s: %s", ref->field, o ? o->secret.flaw : "there is no such Secret, or it may not be read");
    return "InvalidCertificateRef";
}

bool ingress_listener_serves(const struct view *v, const struct object *gateway, size_t listener)
{
    char said[GATEWAY_MESSAGE_MAX];
    struct text_out out = TEXT_OUT(said);
    return !ingress_listener_refused(gateway, listener, &out) &&
           !ingress_certificate_refused(v, gateway, listener, &out);
}

/* ---- Routes --------------------------------------------------------------------------------- */

static bool means(const struct gateway_parent *p, const struct ingress_listener *l)
{
    return (!p->ref.port || p->ref.port == l->port) &&
           (!p->section[0] || strcmp(p->section, l->name) == 0);
}

static bool from_there(const struct view *v, const struct object *gateway,
                       const struct ingress_listener *l, const char *ns)
{
    const struct object *namespace = object_store_get(v->store, OBJECT_NAMESPACE, "", ns);
    switch (l->from) {
    case INGRESS_FROM_ALL:
        return true;
    case INGRESS_FROM_SAME:
        return strcmp(gateway->ns, ns) == 0;
    case INGRESS_FROM_SELECTOR:
        return namespace && labels_select(&l->selector, &namespace->labels);
    case INGRESS_FROM_NONE:
        break;
    }
    return false;
}

static bool of_kind(const struct ingress_listener *l, const struct object *route)
{
    switch (route->kind) {
    case OBJECT_HTTP_ROUTE:
        return l->kinds & INGRESS_HTTP_ROUTES;
    case OBJECT_GRPC_ROUTE:
        return l->kinds & INGRESS_GRPC_ROUTES;
    case OBJECT_TLS_ROUTE:
        return l->kinds & INGRESS_TLS_ROUTES;
    case OBJECT_TCP_ROUTE:
        return l->kinds & INGRESS_TCP_ROUTES;
    default:
        return false;
    }
}

const char *ingress_route_refused(const struct view *v, const struct object *gateway,
                                  size_t listener, const struct object *route,
                                  const struct gateway_parent *parent, struct text_out *message)
{
    const struct ingress_listener *l = &gateway->ingress.listeners[listener];
    if (!means(parent, l)) {
        text_printf(message, "%s: the Gateway has no such listener", parent->ref.field);
        return "NoMatchingParent";
    }
    if (!from_there(v, gateway, l, route->ns) || !of_kind(l, route)) {
        text_printf(message, "%s: listener %s takes no %s of namespace %s", parent->ref.field,
                    l->name, object_kind_name(route->kind), route->ns);
        return "NotAllowedByListeners";
    }
    if (!shares_host(l, &route->route)) {
        text_printf(message, "%s: none of its hostnames is one of listener %s (%s)",
                    parent->ref.field, l->name, l->hostname);
        return "NoMatchingListenerHostname";
    }
    return gateway_route_refused(route, message);
}

/* How far it came: what is said is the reason of the listener that it came furthest at. */
static unsigned rank(const char *reason)
{
    static const char *const order[] = {"NoMatchingParent", "NotAllowedByListeners",
                                        "NoMatchingListenerHostname"};
    unsigned i = 0;
    while (i < sizeof order / sizeof *order && strcmp(order[i], reason) != 0)
        i++;
    return i;
}

const char *ingress_parent_refused(const struct view *v, const struct object *route,
                                   const struct gateway_parent *parent, struct text_out *message)
{
    const struct object *gateway = ingress_of_parent(v, parent);
    const char *refused = "NoMatchingParent";
    size_t begin = message->len;
    text_printf(message, "%s: the Gateway has no such listener", parent->ref.field);
    for (size_t i = 0; gateway && i < gateway->ingress.n_listeners; i++) {
        char said[GATEWAY_MESSAGE_MAX];
        struct text_out out = TEXT_OUT(said);
        const char *why = ingress_route_refused(v, gateway, i, route, parent, &out);
        if (!why) {
            message->len = begin;
            message->data[begin] = '\0';
            return NULL;
        }
        if (rank(why) <= rank(refused))
            continue;
        refused = why;
        message->len = begin;
        text_put(message, (struct text){out.data, out.len});
    }
    return refused;
}

bool ingress_attaches(const struct view *v, const struct object *gateway, size_t listener,
                      const struct object *route)
{
    for (size_t i = 0; i < route->route.n_parents; i++) {
        char said[GATEWAY_MESSAGE_MAX];
        struct text_out out = TEXT_OUT(said);
        const struct gateway_parent *parent = &route->route.parents[i];
        if (ingress_of_parent(v, parent) == gateway &&
            !ingress_route_refused(v, gateway, listener, route, parent, &out))
            return true;
    }
    return false;
}
