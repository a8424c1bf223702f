#include "controller/translate/gateway_attach.h"
#include "shared/mesh/workload.h"

bool gateway_is_service(const struct gateway_ref *ref)
{
    return ref->group[0] == '\0' && strcmp(ref->kind, "Service") == 0;
}

static bool is_service_port(const struct object *service, uint16_t port)
{
    for (size_t i = 0; i < service->service.n_ports; i++)
        if (service->service.ports[i].port == port)
            return true;
    return false;
}

bool gateway_is_granted(const struct view *v, const struct object *route,
                        const struct gateway_ref *ref)
{
    struct view_range all = view_namespace(v, OBJECT_REFERENCE_GRANT, ref->ns);
    if (strcmp(route->ns, ref->ns) == 0)
        return true;
    for (size_t i = 0; i < all.n; i++)
        if (reference_grant_allows(&all.items[i]->grant, route, ref))
            return true;
    return false;
}

const char *gateway_backend_refused(const struct view *v, const struct object *route,
                                    const struct gateway_ref *ref, bool grants,
                                    struct text_out *message)
{
    if (!gateway_is_service(ref)) {
        text_printf(message, "%s: a %s%s%s can't be a backend, only a Service", ref->field,
                    ref->kind, ref->group[0] ? " of " : "", ref->group);
        return "InvalidKind";
    }
    if (grants && !gateway_is_granted(v, route, ref)) {
        text_printf(message, "%s: no ReferenceGrant in %s allows it", ref->field, ref->ns);
        return "RefNotPermitted";
    }
    const struct object *service = object_store_get(v->store, OBJECT_SERVICE, ref->ns, ref->name);
    if (!service || service->service.external_name) {
        text_printf(message, "%s: %s", ref->field,
                    service ? "a Service of type ExternalName can't be a backend"
                            : "there is no such Service");
        return "BackendNotFound";
    }
    if (is_service_port(service, ref->port))
        return NULL;
    text_printf(message, "%s: the Service has no port %u", ref->field, ref->port);
    return "BackendNotFound";
}

static const char *flaw_reason(enum gateway_flaw_kind kind)
{
    return kind == GATEWAY_FLAW_FILTERS ? "IncompatibleFilters" : "UnsupportedValue";
}

/* Of a route of which nothing can be honoured: its own, or its first rule's. NULL: something can, or
 * it is a GRPCRoute without rules. */
static const struct gateway_flaw *whole_flaw(const struct gateway_route *r)
{
    if (r->flaw.kind != GATEWAY_NO_FLAW)
        return &r->flaw;
    for (size_t i = 0; i < r->n_rules; i++)
        if (r->rules[i].flaw.kind == GATEWAY_NO_FLAW || r->rules[i].flaw.kind == GATEWAY_FLAW_KIND)
            return NULL;
    return r->n_rules > 0 ? &r->rules[0].flaw : NULL;
}

const char *gateway_route_refused(const struct object *route, struct text_out *message)
{
    const struct gateway_flaw *flaw = whole_flaw(&route->route);
    if (!flaw)
        return NULL;
    text_puts(message, flaw->text);
    return flaw_reason(flaw->kind);
}

static bool names(const struct gateway_parent *parent, const struct kube_service_port *port)
{
    return (!parent->ref.port || parent->ref.port == port->port) &&
           (!parent->section[0] || strcmp(parent->section, port->name) == 0);
}

bool gateway_parent_means(const struct gateway_parent *parent, const struct kube_service_port *port,
                          bool streams)
{
    if (streams)
        return names(parent, port) && !app_protocol_is_http(port->app_protocol);
    return names(parent, port) && port->app_protocol != APP_TCP && port->app_protocol != APP_TLS;
}

static bool means(const struct object *route, const struct gateway_scope *s)
{
    for (size_t i = 0; i < route->route.n_parents; i++) {
        const struct gateway_parent *p = &route->route.parents[i];
        if (gateway_is_service(&p->ref) && strcmp(p->ref.ns, s->service->ns) == 0 &&
            strcmp(p->ref.name, s->service->name) == 0 && !s->service->service.headless &&
            gateway_parent_means(p, s->port, s->streams))
            return true;
    }
    return false;
}

bool gateway_is_stream(enum object_kind kind)
{
    return kind == OBJECT_TCP_ROUTE || kind == OBJECT_TLS_ROUTE;
}

bool gateway_scope_wants(const struct gateway_scope *s, const struct object *route)
{
    return gateway_is_stream(route->kind) == s->streams && strcmp(route->ns, s->ns) == 0 &&
           means(route, s) && !whole_flaw(&route->route);
}

enum object_kind gateway_scope_kind(const struct view *v, const struct gateway_scope *s)
{
    char name[VIEW_KEY_MAX];
    struct object_group routes =
        object_index_get(&v->routes_of, view_name(s->service->ns, s->service->name, name));
    enum object_kind kind = OBJECT_KIND_COUNT;
    for (size_t i = 0; i < routes.n; i++)
        if (kind != OBJECT_GRPC_ROUTE && gateway_scope_wants(s, routes.items[i]))
            kind = routes.items[i]->kind;
    return kind;
}

/* Does another route of connections, which was made first, take all that this one means? */
static bool is_overtaken(const struct view *v, const struct object *route,
                         const struct gateway_scope *s, const char *server)
{
    char name[VIEW_KEY_MAX];
    struct object_group routes =
        object_index_get(&v->routes_of, view_name(s->service->ns, s->service->name, name));
    for (size_t i = 0; i < routes.n; i++) {
        const struct object *o = routes.items[i];
        if (o == route || o->kind != route->kind || !gateway_scope_wants(s, o) ||
            object_index_order(o, route) > 0)
            continue;
        if (!server)
            return true;
        for (size_t j = 0; j < o->route.hostnames.n; j++)
            if (strcmp(o->route.hostnames.items[j], server) == 0)
                return true;
    }
    return false;
}

static bool counts_at(const struct view *v, const struct object *route,
                      const struct gateway_scope *s)
{
    const struct values *servers = &route->route.hostnames;
    if (!s->streams)
        return gateway_scope_kind(v, s) == route->kind;
    if (!gateway_scope_wants(s, route))
        return false;
    bool counts = route->kind == OBJECT_TCP_ROUTE && !is_overtaken(v, route, s, NULL);
    for (size_t i = 0; i < servers->n && !counts; i++)
        counts = !is_overtaken(v, route, s, servers->items[i]);
    return counts;
}

/* Of the ports that a parent means, one at which the route counts is enough. */
static bool loses(const struct view *v, const struct object *route,
                  const struct gateway_parent *parent, const struct object *service)
{
    for (size_t i = 0; i < service->service.n_ports; i++) {
        const struct gateway_scope s = {service, &service->service.ports[i], route->ns,
                                        gateway_is_stream(route->kind)};
        if (gateway_parent_means(parent, s.port, s.streams) && counts_at(v, route, &s))
            return false;
    }
    return true;
}

const char *gateway_parent_refused(const struct view *v, const struct object *route,
                                   const struct gateway_parent *parent, struct text_out *message)
{
    const struct gateway_ref *ref = &parent->ref;
    const struct object *service = object_store_get(v->store, OBJECT_SERVICE, ref->ns, ref->name);
    if (!service || service->service.external_name) {
        text_printf(message, "%s: %s", ref->field,
                    service ? "a Service of type ExternalName can't be a parent"
                            : "there is no such Service");
        return "NoMatchingParent";
    }
    if (service->service.headless) {
        text_printf(message, "%s: a headless Service can't be a parent, since clients call its pods",
                    ref->field);
        return "NoMatchingParent";
    }
    bool stream = gateway_is_stream(route->kind);
    size_t i = 0, named = 0;
    for (; i < service->service.n_ports; i++) {
        named += names(parent, &service->service.ports[i]);
        if (gateway_parent_means(parent, &service->service.ports[i], stream))
            break;
    }
    if (i == service->service.n_ports) {
        text_printf(message, "%s: %s", ref->field,
                    !named   ? "the Service has no such port"
                    : stream ? "the port is declared HTTP: only routes of requests count there"
                             : "the port is declared to speak TCP or TLS, which these routes know nothing of");
        return "NoMatchingParent";
    }
    const char *refused = gateway_route_refused(route, message);
    if (refused)
        return refused;
    if (!loses(v, route, parent, service))
        return NULL;
    if (stream)
        text_printf(message, "%s: an older %s takes all that this one means", ref->field,
                    object_kind_name(route->kind));
    else
        text_printf(message, "%s: a GRPCRoute of this namespace has the Service, and comes first",
                    ref->field);
    return "Conflicted";
}
