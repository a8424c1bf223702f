#include "controller/translate/touched.h"
#include "controller/translate/backend_tls_attach.h"
#include "controller/translate/from_authorization.h"
#include "controller/translate/gateway_attach.h"
#include "controller/translate/service_place.h"
#include "controller/translate/traffic_host.h"
#include "controller/translate/translate.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void touched_init(struct touched *t)
{
    map_init(&t->objects, 0);
}

void touched_done(struct touched *t)
{
    map_done(&t->objects, free);
}

static int touch(struct touched *t, enum object_kind kind, const char *ns, const char *name)
{
    char key[OBJECT_KEY_MAX];
    object_key(kind, ns, name, key);
    if (map_get(&t->objects, text_of(key)))
        return 0;
    size_t ns_size = strlen(ns) + 1, name_size = strlen(name) + 1;
    struct touched_object *o = calloc(1, sizeof *o + ns_size + name_size);
    if (!o)
        return -ENOMEM;
    char *texts = (char *)(o + 1);
    memcpy(texts, ns, ns_size);
    memcpy(texts + ns_size, name, name_size);
    *o = (struct touched_object){kind, texts, texts + ns_size};
    int err = map_put(&t->objects, text_of(key), o, NULL);
    if (err < 0)
        free(o);
    return err;
}

static int touch_object(struct touched *t, const struct object *o)
{
    return touch(t, o->kind, o->ns, o->name);
}

static int touch_group(struct touched *t, struct object_group g)
{
    int err = 0;
    for (size_t i = 0; i < g.n && err == 0; i++)
        err = touch_object(t, g.items[i]);
    return err;
}

static int touch_range(struct touched *t, struct view_range range)
{
    int err = 0;
    for (size_t i = 0; i < range.n && err == 0; i++)
        err = touch_object(t, range.items[i]);
    return err;
}

/* All of a namespace; of the root namespace: all there are. */
static int touch_reach(struct touched *t, const struct view *v, enum object_kind kind,
                       const char *ns)
{
    bool root = strcmp(ns, v->settings->root_namespace) == 0;
    return touch_range(t, root ? view_all(v, kind) : view_namespace(v, kind, ns));
}

/* Pods that a selector takes, which is one of its namespace, or of the mesh. */
static int touch_selected(struct touched *t, struct view_range pods, const struct labels *selector)
{
    int err = 0;
    for (size_t i = 0; i < pods.n && err == 0; i++)
        if (labels_select(selector, &pods.items[i]->labels))
            err = touch_object(t, pods.items[i]);
    return err;
}

/* Services that take a pod: their endpoints. */
static int touch_selecting(struct touched *t, const struct view *v, const struct object *pod)
{
    struct view_range services = view_namespace(v, OBJECT_SERVICE, pod->ns);
    int err = 0;
    for (size_t i = 0; i < services.n && err == 0; i++) {
        const struct labels *selector = &services.items[i]->service.selector;
        if (selector->n > 0 && labels_select(selector, &pod->labels))
            err = touch_object(t, services.items[i]);
    }
    return err;
}

static int touch_slices_services(struct touched *t, const struct view *v, struct object_group g)
{
    int err = 0;
    for (size_t i = 0; i < g.n && err == 0; i++) {
        const struct object *service = view_slice_service(v, g.items[i]);
        err = service ? touch_object(t, service) : 0;
    }
    return err;
}

/* Those that point at it by a slice, by its name or its address. */
static int touch_linking(struct touched *t, const struct view *v, const struct object *pod)
{
    char name[VIEW_KEY_MAX];
    struct text key = view_name(pod->ns, pod->name, name);
    int err = touch_slices_services(t, v, object_index_get(&v->slices_to, key));
    for (size_t i = 0; view_owns_addresses(pod) && i < pod->pod.n_ips && err == 0; i++)
        err = touch_slices_services(
            t, v, object_index_get(&v->slices_at, view_address(&pod->pod.ips[i])));
    return err;
}

static int touch_services_of(struct touched *t, const struct view *v, const struct object *pod)
{
    int err = touch_selecting(t, v, pod);
    return err == 0 ? touch_linking(t, v, pod) : err;
}

/* Whoever leaves serves on if nothing else does: that depends on the others of its Services. */
static int touch_leaving(struct touched *t, const struct view *v, const char *ns)
{
    struct object_group g = object_index_get(&v->leaving, text_of(ns));
    int err = touch_group(t, g);
    for (size_t i = 0; i < g.n && err == 0; i++) {
        const struct object *o = g.items[i];
        const struct object *service =
            o->kind == OBJECT_ENDPOINT_SLICE ? view_slice_service(v, o) : NULL;
        err = service ? touch_object(t, service) : 0;
        if (o->kind == OBJECT_POD)
            err = touch_services_of(t, v, o);
    }
    return err;
}

/* A slice, and the pods that its endpoints are. */
static int touch_slice(struct touched *t, const struct view *v, const struct object *o)
{
    const struct object *service = view_slice_service(v, o);
    int err = touch_object(t, o);
    if (err == 0 && service)
        err = touch_object(t, service);
    for (size_t i = 0; i < o->slice.n_endpoints && err == 0; i++) {
        const struct slice_endpoint *e = &o->slice.endpoints[i];
        if (e->to_pod)
            err = touch(t, OBJECT_POD, e->pod_ns, e->pod_name);
        for (size_t j = 0; !e->to_pod && j < e->n_addresses && err == 0; j++)
            err = touch_group(t, object_index_get(&v->pods_at, view_address(&e->addresses[j])));
    }
    return err;
}

/* The ServiceEntry that a Service is a part of. */
static int touch_entry(struct touched *t, const struct object *service)
{
    char name[ENTRY_PART_NAME_MAX];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(service->name, "/"), service->name);
    return touch(t, OBJECT_SERVICE_ENTRY, service->ns, name);
}

/* A pod, and what the endpoints at its addresses are. */
static int touch_owner(struct touched *t, const struct view *v, const struct object *o)
{
    int err = touch_object(t, o);
    if (err == 0)
        err = touch_services_of(t, v, o);
    for (size_t i = 0; view_owns_addresses(o) && i < o->pod.n_ips && err == 0; i++) {
        struct object_group slices = object_index_get(&v->slices_at, view_address(&o->pod.ips[i]));
        for (size_t j = 0; j < slices.n && err == 0; j++) {
            err = touch_slice(t, v, slices.items[j]);
            if (err == 0 && strcmp(slices.items[j]->ns, o->ns) != 0)
                err = touch_leaving(t, v, slices.items[j]->ns);
        }
    }
    return err == 0 ? touch_leaving(t, v, o->ns) : err;
}

/* Of several Services and machines that name an address one has it; and a pod has its own. */
static int touch_at(struct touched *t, const struct view *v, const struct ip *address)
{
    struct object_group g = object_index_get(&v->services_at, view_address(address));
    struct object_group pods = object_index_get(&v->pods_at, view_address(address));
    int err = touch_group(t, g);
    for (size_t i = 0; i < g.n && err == 0; i++)
        err = g.items[i]->made ? touch_entry(t, g.items[i]) : 0;
    for (size_t i = 0; i < pods.n && err == 0; i++)
        err = pods.items[i]->made ? touch_owner(t, v, pods.items[i]) : 0;
    return err;
}

static int touch_addresses(struct touched *t, const struct view *v, const struct object *service)
{
    char host[VIEW_KEY_MAX];
    struct ip wanted[SERVICE_ADDRESSES_MAX];
    size_t n = service_wanted(service, traffic_service_host(v, service, host), wanted);
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++)
        err = touch_at(t, v, &wanted[i]);
    return err;
}

/* A machine has no address that another namespace's endpoint has. */
static int touch_endpoints(struct touched *t, const struct view *v, const struct object *slice)
{
    int err = 0;
    for (size_t i = 0; i < slice->slice.n_endpoints; i++) {
        const struct slice_endpoint *e = &slice->slice.endpoints[i];
        for (size_t j = 0; !e->to_pod && j < e->n_addresses && err == 0; j++)
            err = touch_at(t, v, &e->addresses[j]);
    }
    return err;
}

/* Whose an address is decides what the endpoints there are. */
static int touch_pod(struct touched *t, const struct view *v, const struct object *o)
{
    int err = touch_owner(t, v, o);
    for (size_t i = 0; i < o->pod.n_ips && err == 0; i++)
        err = touch_at(t, v, &o->pod.ips[i]);
    /* Who is told of a Gateway's certificates are its pods. */
    const char *served = labels_get(&o->labels, INGRESS_POD_LABEL);
    if (err == 0 && served && object_store_get(v->store, OBJECT_INGRESS, o->ns, served))
        err = touch(t, OBJECT_INGRESS, o->ns, served);
    return err;
}

/* Policies that name a Service, which is there or not; and of a policy its Services, with those that name them, too. */
static int touch_backend_tls_of(struct touched *t, const struct view *v, const char *ns, const char *service)
{
    struct view_range all = view_namespace(v, OBJECT_BACKEND_TLS_POLICY, ns);
    int err = 0;
    for (size_t i = 0; i < all.n && err == 0; i++)
        for (size_t j = 0; j < all.items[i]->backend_tls.n_targets && err == 0; j++)
            if (strcmp(all.items[i]->backend_tls.targets[j].ref.name, service) == 0)
                err = touch_object(t, all.items[i]);
    return err;
}

static int touch_backend_tls(struct touched *t, const struct view *v, const struct object *o)
{
    int err = touch_object(t, o);
    for (size_t i = 0; i < o->backend_tls.n_targets && err == 0; i++) {
        const char *service = o->backend_tls.targets[i].ref.name;
        err = touch(t, OBJECT_SERVICE, o->ns, service);
        if (err == 0)
            err = touch_backend_tls_of(t, v, o->ns, service);
    }
    return err;
}

static int touch_config_map(struct touched *t, const struct view *v, const struct object *o)
{
    struct view_range all = view_namespace(v, OBJECT_BACKEND_TLS_POLICY, o->ns);
    int err = 0;
    for (size_t i = 0; i < all.n && err == 0; i++)
        if (backend_tls_trusts(all.items[i], o))
            err = touch_backend_tls(t, v, all.items[i]);
    return err;
}

static int touch_service(struct touched *t, const struct view *v, const struct object *o)
{
    char name[VIEW_KEY_MAX];
    int err = touch_object(t, o);
    if (err == 0 && o->service.selector.n > 0)
        err = touch_selected(t, view_namespace(v, OBJECT_POD, o->ns), &o->service.selector);
    struct object_group slices = object_index_get(&v->slices_of, view_name(o->ns, o->name, name));
    for (size_t i = 0; i < slices.n && err == 0; i++)
        err = touch_slice(t, v, slices.items[i]);
    return err == 0 ? touch_backend_tls_of(t, v, o->ns, o->name) : err;
}

static int touch_authorization(struct touched *t, const struct view *v, const struct object *o)
{
    bool root = strcmp(o->ns, v->settings->root_namespace) == 0;
    int err = touch_object(t, o);
    if (err == 0 && authorization_selects(o))
        err =
            touch_selected(t, root ? view_all(v, OBJECT_POD) : view_namespace(v, OBJECT_POD, o->ns),
                           &o->authorization.selector);
    return err;
}

/* Which one of several wins depends on all of them. */
static int touch_peer(struct touched *t, const struct view *v, const struct object *o)
{
    int err = touch_object(t, o);
    if (err == 0)
        err = touch_reach(t, v, OBJECT_PEER_AUTHENTICATION, o->ns);
    return err == 0 ? touch_reach(t, v, OBJECT_POD, o->ns) : err;
}

/* Of its namespace one without a selector counts, and that is told of the others. */
static int touch_sidecar(struct touched *t, const struct view *v, const struct object *o)
{
    int err = touch_object(t, o);
    if (err == 0)
        err = touch_range(t, view_namespace(v, OBJECT_SIDECAR, o->ns));
    return err == 0 ? touch_reach(t, v, OBJECT_POD, o->ns) : err;
}

/* A route, and the tables that it is in: those of its parents. */
static int touch_routed(struct touched *t, const struct view *v, const struct object *o)
{
    int err = touch_object(t, o);
    for (size_t i = 0; i < o->route.n_parents && err == 0; i++) {
        const struct gateway_ref *ref = &o->route.parents[i].ref;
        if (gateway_is_service(ref))
            err = touch(t, OBJECT_SERVICE, ref->ns, ref->name);
        else if (view_is_ingress(ref) &&
                 object_store_get(v->store, OBJECT_INGRESS, ref->ns, ref->name))
            err = touch(t, OBJECT_INGRESS, ref->ns, ref->name);
    }
    return err;
}

/* A Gateway, its pods, and its routes, of which something is said. */
static int touch_ingress(struct touched *t, const struct view *v, const struct object *o)
{
    char name[VIEW_KEY_MAX];
    struct view_range pods = view_namespace(v, OBJECT_POD, o->ns);
    int err = touch_object(t, o);
    for (size_t i = 0; i < pods.n && err == 0; i++) {
        const char *served = labels_get(&pods.items[i]->labels, INGRESS_POD_LABEL);
        if (served && strcmp(served, o->name) == 0)
            err = touch_object(t, pods.items[i]);
    }
    struct text key = view_name(o->ns, o->name, name);
    return err == 0 ? touch_group(t, object_index_get(&v->ingress_routes, key)) : err;
}

/* Gateways whose listeners show the certificate in a Secret. */
static int touch_secret(struct touched *t, const struct view *v, const struct object *o)
{
    struct view_range gateways = view_all(v, OBJECT_INGRESS);
    int err = 0;
    for (size_t i = 0; i < gateways.n; i++) {
        const struct ingress *g = &gateways.items[i]->ingress;
        bool meant = false;
        for (size_t j = 0; j < g->n_listeners; j++)
            meant |= g->listeners[j].has_certificate &&
                     strcmp(g->listeners[j].certificate.ns, o->ns) == 0 &&
                     strcmp(g->listeners[j].certificate.name, o->name) == 0;
        if (meant && err == 0)
            err = touch_ingress(t, v, gateways.items[i]);
    }
    return err;
}

static bool selects_namespaces(const struct object *gateway)
{
    for (size_t i = 0; i < gateway->ingress.n_listeners; i++)
        if (gateway->ingress.listeners[i].from == INGRESS_FROM_SELECTOR)
            return true;
    return false;
}

/* Gateways that a namespace's labels, or (all) a grant may open to routes. */
static int touch_ingresses(struct touched *t, const struct view *v, bool all)
{
    struct view_range gateways = view_all(v, OBJECT_INGRESS);
    int err = 0;
    for (size_t i = 0; i < gateways.n && err == 0; i++)
        if (all || selects_namespaces(gateways.items[i]))
            err = touch_ingress(t, v, gateways.items[i]);
    return err;
}

static int touch_namespace(struct touched *t, const struct view *v, const struct object *o)
{
    int err = touch_range(t, view_namespace(v, OBJECT_POD, o->name));
    if (err == 0)
        err = touch_range(t, view_namespace(v, OBJECT_SERVICE, o->name));
    return err == 0 ? touch_ingresses(t, v, false) : err;
}

struct touching {
    struct touched *touched;
    const struct view *view;
};

static int touch_virtual_of(void *user, struct text host)
{
    const struct touching *t = user;
    return touch_group(t->touched, object_index_get(&t->view->virtual_of, host));
}

/* VirtualServices that speak of a Service: which of them counts, and what is said of the others. */
static int touch_virtuals(struct touched *t, const struct view *v, struct text host)
{
    struct touching user = {t, v};
    return traffic_each_host(host, touch_virtual_of, &user);
}

/* Routes of one Service may be in each other's way. */
static int touch_route(struct touched *t, const struct view *v, const struct object *o)
{
    char name[VIEW_KEY_MAX], host[VIEW_KEY_MAX];
    int err = touch_routed(t, v, o);
    for (size_t i = 0; i < o->route.n_parents && err == 0; i++) {
        const struct gateway_ref *ref = &o->route.parents[i].ref;
        err = touch_group(t, object_index_get(&v->routes_of, view_name(ref->ns, ref->name, name)));
        if (err == 0 && gateway_is_service(ref))
            err = touch_virtuals(t, v, traffic_named_host(v, ref->ns, ref->name, host));
    }
    return err;
}

/* What is said of routes with it as a parent or a backend depends on it, and whether a backend is
 * there is written in their tables. */
static int touch_routes_of(struct touched *t, const struct view *v, const struct object *service)
{
    char name[VIEW_KEY_MAX];
    struct text key = view_name(service->ns, service->name, name);
    struct object_group leading = object_index_get(&v->routes_to, key);
    int err = touch_group(t, object_index_get(&v->routes_of, key));
    for (size_t i = 0; i < leading.n && err == 0; i++)
        err = touch_routed(t, v, leading.items[i]);
    return err;
}

static int touch_all_routed(struct touched *t, const struct view *v, enum object_kind kind)
{
    struct view_range routes = view_all(v, kind);
    int err = 0;
    for (size_t i = 0; i < routes.n && err == 0; i++)
        err = touch_routed(t, v, routes.items[i]);
    return err;
}

/* Of routes of Services only where grants are asked for does one decide about anything. */
static int touch_grant(struct touched *t, const struct view *v)
{
    if (!v->settings->grants_required)
        return touch_ingresses(t, v, true);
    int err = touch_all_routed(t, v, OBJECT_HTTP_ROUTE);
    for (enum object_kind k = OBJECT_GRPC_ROUTE; k <= OBJECT_TLS_ROUTE && err == 0; k++)
        err = touch_all_routed(t, v, k);
    return err;
}

/* The Service that is a full host, or those that may be. */
static int touch_named(struct touched *t, const struct view *v, struct text host)
{
    struct traffic_name at;
    int err = traffic_name(v, host, &at) ? touch(t, OBJECT_SERVICE, at.ns, at.name) : 0;
    return err == 0 ? touch_group(t, object_index_get(&v->made_of, host)) : err;
}

/* The Services of a host, and with `others` what else speaks of them. */
static int touch_hosted(struct touched *t, const struct view *v, struct text host, bool others)
{
    char full[VIEW_KEY_MAX];
    if (host.len > 0 && host.data[0] != '*') {
        int err = touch_named(t, v, host);
        return err == 0 && others ? touch_virtuals(t, v, host) : err;
    }
    struct view_range services = view_all(v, OBJECT_SERVICE);
    int err = 0;
    for (size_t i = 0; i < services.n && err == 0; i++) {
        const struct object *o = services.items[i];
        if (!traffic_host_matches(host, traffic_service_host(v, o, full)))
            continue;
        err = touch_object(t, o);
        if (err == 0 && others)
            err = touch_virtuals(t, v, traffic_service_host(v, o, full));
    }
    return err;
}

static int touch_own_hosts(struct touched *t, const struct view *v, const struct object *o,
                           bool others)
{
    char host[VIEW_KEY_MAX];
    int err = touch_object(t, o);
    for (size_t i = 0; i < o->virtual_service.hosts.n && err == 0; i++)
        err = touch_hosted(
            t, v, traffic_full_host(v, o->ns, o->virtual_service.hosts.items[i], host), others);
    return err;
}

/* Whether anybody delegates to them is said of them. */
static int touch_delegates(struct touched *t, const struct object *o)
{
    int err = 0;
    for (size_t i = 0; i < o->virtual_service.n_rules && err == 0; i++) {
        const struct virtual_delegate *d = &o->virtual_service.rules[i].delegate;
        err = d->name[0] ? touch(t, OBJECT_VIRTUAL_SERVICE, d->ns, d->name) : 0;
    }
    return err;
}

/* What has no hosts is in the tables of those that delegate to it. */
static int touch_hosts(struct touched *t, const struct view *v, const struct object *o, bool others)
{
    char name[VIEW_KEY_MAX];
    struct object_group roots = {0};
    int err = touch_own_hosts(t, v, o, others);
    if (err == 0)
        roots = object_index_get(&v->delegating, view_name(o->ns, o->name, name));
    for (size_t i = 0; i < roots.n && err == 0; i++)
        err = touch_own_hosts(t, v, roots.items[i], false);
    return err == 0 ? touch_delegates(t, o) : err;
}

/* VirtualServices that lead to a Service: its ports and its rules are written in their tables. */
static int touch_leading(struct touched *t, const struct view *v, struct text host)
{
    struct object_group leading = object_index_get(&v->virtual_to, host);
    int err = 0;
    for (size_t i = 0; i < leading.n && err == 0; i++)
        err = touch_hosts(t, v, leading.items[i], false);
    return err;
}

/* Which rules count depends on all of them. */
static int touch_rule(struct touched *t, const struct view *v, const struct object *o)
{
    char host[VIEW_KEY_MAX];
    struct text full = traffic_full_host(v, o->ns, o->destination_rule.host, host);
    int err = touch_object(t, o);
    if (err == 0)
        err = touch_group(t, object_index_get(&v->rules_of, full));
    if (err == 0)
        err = touch_named(t, v, full);
    return err == 0 ? touch_leading(t, v, full) : err;
}

static int touch_traffic_of(struct touched *t, const struct view *v, const struct object *service)
{
    char host[VIEW_KEY_MAX];
    struct text full = traffic_service_host(v, service, host);
    int err = touch_virtuals(t, v, full);
    if (err == 0)
        err = touch_group(t, object_index_get(&v->rules_of, full));
    return err == 0 ? touch_leading(t, v, full) : err;
}

/* Of several for one host one counts, and it has the addresses that it names. */
static int touch_rivals(struct touched *t, const struct view *v, const struct object *service)
{
    char host[VIEW_KEY_MAX];
    struct object_group same =
        object_index_get(&v->made_of, traffic_service_host(v, service, host));
    int err = service->made ? touch_entry(t, service) : 0;
    for (size_t i = 0; i < same.n && err == 0; i++) {
        err = touch_service(t, v, same.items[i]);
        if (err == 0)
            err = touch_entry(t, same.items[i]);
        if (err == 0)
            err = touch_addresses(t, v, same.items[i]);
        if (err == 0)
            err = touch_leaving(t, v, same.items[i]->ns);
    }
    return err == 0 ? touch_addresses(t, v, service) : err;
}

/* Its labels are where its pods are. */
static int touch_node(struct touched *t, const struct view *v, const struct object *o)
{
    struct object_group pods = object_index_get(&v->pods_on, text_of(o->name));
    int err = touch_group(t, pods);
    for (size_t i = 0; i < pods.n && err == 0; i++)
        err = touch_services_of(t, v, pods.items[i]);
    return err;
}

static int touch_one(struct touched *t, const struct view *v, const struct object *o)
{
    int err;
    switch (o->kind) {
    case OBJECT_NAMESPACE:
        return touch_namespace(t, v, o);
    case OBJECT_NODE:
        return touch_node(t, v, o);
    case OBJECT_POD:
        return touch_pod(t, v, o);
    case OBJECT_SERVICE:
        err = touch_service(t, v, o);
        if (err == 0)
            err = touch_routes_of(t, v, o);
        if (err == 0)
            err = touch_traffic_of(t, v, o);
        if (err == 0)
            err = touch_rivals(t, v, o);
        return err == 0 ? touch_leaving(t, v, o->ns) : err;
    case OBJECT_ENDPOINT_SLICE:
        err = touch_slice(t, v, o);
        if (err == 0)
            err = touch_endpoints(t, v, o);
        return err == 0 ? touch_leaving(t, v, o->ns) : err;
    case OBJECT_AUTHORIZATION_POLICY:
        return touch_authorization(t, v, o);
    case OBJECT_PEER_AUTHENTICATION:
        return touch_peer(t, v, o);
    case OBJECT_HTTP_ROUTE:
    case OBJECT_GRPC_ROUTE:
    case OBJECT_TCP_ROUTE:
    case OBJECT_TLS_ROUTE:
        return touch_route(t, v, o);
    case OBJECT_INGRESS:
        return touch_ingress(t, v, o);
    case OBJECT_SECRET:
        return touch_secret(t, v, o);
    case OBJECT_REFERENCE_GRANT:
        return touch_grant(t, v);
    case OBJECT_BACKEND_TLS_POLICY:
        return touch_backend_tls(t, v, o);
    case OBJECT_CONFIG_MAP:
        return touch_config_map(t, v, o);
    case OBJECT_VIRTUAL_SERVICE:
        return touch_hosts(t, v, o, true);
    case OBJECT_DESTINATION_RULE:
        return touch_rule(t, v, o);
    case OBJECT_SIDECAR:
        return touch_sidecar(t, v, o);
    case OBJECT_WORKLOAD_ENTRY:
    case OBJECT_WORKLOAD_GROUP:
    case OBJECT_SERVICE_ENTRY:
        return touch_object(t, o); /* its parts are objects of their own */
    default:
        return 0;
    }
}

static bool same_labels(const struct labels *a, const struct labels *b)
{
    return a->n == b->n && labels_select(a, b);
}

/* Nodes are written every few minutes, and only their labels count. */
static bool touches_nothing(const struct object *old, const struct object *now)
{
    return old && now && old->kind == OBJECT_NODE && same_labels(&old->labels, &now->labels);
}

int touched_change(struct touched *t, const struct view *v, const struct object *old,
                   const struct object *now)
{
    if (touches_nothing(old, now))
        return 0;
    int err = old ? touch_one(t, v, old) : 0;
    return now && err == 0 ? touch_one(t, v, now) : err;
}

static unsigned rank(enum object_kind kind)
{
    unsigned i = 0;
    while (i < TRANSLATED_KINDS && translated_kinds[i] != kind)
        i++;
    return i;
}

static int touched_order(const void *a, const void *b)
{
    const struct touched_object *x = *(const struct touched_object *const *)a;
    const struct touched_object *y = *(const struct touched_object *const *)b;
    if (x->kind != y->kind)
        return rank(x->kind) < rank(y->kind) ? -1 : 1;
    int by_ns = strcmp(x->ns, y->ns);
    return by_ns ? by_ns : strcmp(x->name, y->name);
}

const struct touched_object **touched_list(const struct touched *t)
{
    const struct touched_object **list =
        calloc(t->objects.count + 1, sizeof(const struct touched_object *));
    const struct map_entry *e;
    size_t n = 0;
    if (!list)
        return NULL;
    for (size_t i = 0; (e = map_next(&t->objects, &i));)
        list[n++] = e->value;
    qsort(list, n, sizeof(const struct touched_object *), touched_order);
    return list;
}
