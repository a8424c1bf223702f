#include "controller/translate/default_routes.h"
#include "controller/translate/backend_tls_attach.h"
#include "controller/translate/from_pod.h"
#include "controller/translate/from_service.h"
#include "controller/translate/from_slice.h"
#include "controller/translate/gateway_action.h"
#include "controller/translate/rule_attach.h"
#include "controller/translate/traffic_host.h"
#include "controller/translate/virtual_table.h"
#include "shared/base/map.h"
#include "shared/xds/routing.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void routes_name(const char *host, uint16_t port, char out[static ROUTES_NAME_MAX])
{
    snprintf(out, ROUTES_NAME_MAX, "outbound|%u||%s", port, host);
}

static int add(struct resources *all, enum xds_type type, const char *name, int encoded,
               struct xds_bytes *taken_body)
{
    struct resource *r;
    int err = encoded < 0 ? encoded : resource_of_body(type, name, taken_body, &r);
    return err < 0 ? err : resources_add(all, r);
}

/* Nobody wrote anything for it: who asks for all there is knows it as well from the Service and its workloads. */
static int add_unless(bool written, struct resources *all, enum xds_type type, const char *name,
                      int encoded, struct xds_bytes *taken_body)
{
    int err = add(all, type, name, encoded, taken_body);
    if (err == 0)
        all->items[all->n - 1]->by_name_only = !written;
    return err;
}

/* ---- Who serves ----------------------------------------------------------------------------- */

struct serving_workload {
    struct workload *workload;   /* owned */
    const struct labels *labels; /* the pod's, or what a ServiceEntry says of an endpoint */
};
struct workloads {
    struct serving_workload *items;
    size_t n, size;
    struct map pods; /* whose are there already: by address of the object */
};

static int workloads_add(struct workloads *w, struct workload *taken, const struct labels *labels)
{
    if (!taken)
        return 0;
    if (w->n == w->size) {
        size_t size = w->size ? 2 * w->size : 16;
        struct serving_workload *items = realloc(w->items, size * sizeof *items);
        if (!items) {
            workload_free(taken);
            return -ENOMEM;
        }
        w->items = items;
        w->size = size;
    }
    w->items[w->n++] = (struct serving_workload){taken, labels};
    return 0;
}

static void workloads_done(struct workloads *w)
{
    for (size_t i = 0; i < w->n; i++)
        workload_free(w->items[i].workload);
    free(w->items);
    map_done(&w->pods, NULL);
}

/* Selected pods are in slices, too. */
static int add_pod(const struct view *v, const struct object *pod, const struct object *service,
                   struct workloads *all)
{
    struct workload *w;
    void *there = NULL;
    int err = map_put(&all->pods, (struct text){(const char *)&pod, sizeof pod}, all, &there);
    if (err < 0 || there)
        return err;
    err = from_pod_serving(v, pod, service, &w);
    return err < 0 ? err : workloads_add(all, w, &pod->labels);
}

static int add_slice(const struct view *v, const struct object *slice, const struct object *service,
                     struct workloads *all)
{
    int err = 0;
    for (size_t i = 0; i < slice->slice.n_endpoints && err == 0; i++) {
        const struct object *pod = view_endpoint_pod(v, &slice->slice.endpoints[i]);
        struct workload *w = NULL;
        err = pod ? add_pod(v, pod, service, all) : from_slice(v, slice, i, &w);
        if (err == 0)
            err = workloads_add(all, w, &slice->slice.endpoints[i].labels);
    }
    return err;
}

static int workload_order(const void *a, const void *b)
{
    const struct serving_workload *x = a, *y = b;
    return strcmp(x->workload->uid, y->workload->uid);
}

static int who_serves(const struct view *v, const struct object *service, struct workloads *all)
{
    char name[VIEW_KEY_MAX];
    const struct labels *selector = &service->service.selector;
    struct view_range pods = view_namespace(v, OBJECT_POD, service->ns);
    struct object_group slices =
        object_index_get(&v->slices_of, view_name(service->ns, service->name, name));
    int err = 0;
    for (size_t i = 0; selector->n > 0 && i < pods.n && err == 0; i++)
        if (labels_select(selector, &pods.items[i]->labels))
            err = add_pod(v, pods.items[i], service, all);
    for (size_t i = 0; i < slices.n && err == 0; i++)
        err = add_slice(v, slices.items[i], service, all);
    if (all->n > 1)
        qsort(all->items, all->n, sizeof *all->items, workload_order);
    return err;
}

/* ---- Endpoints ------------------------------------------------------------------------------ */

/* 0: it does not serve this port. */
static uint16_t target_of(const struct workload *w, const char *key, uint16_t port)
{
    for (size_t i = 0; i < w->n_services; i++) {
        if (strcmp(w->services[i].key, key) != 0)
            continue;
        for (size_t j = 0; j < w->services[i].n_ports; j++)
            if (w->services[i].ports[j].service_port == port)
                return w->services[i].ports[j].target_port;
    }
    return 0;
}

struct serving {
    const struct workload *workload;
    uint16_t port;
};

static int locality_order(const void *a, const void *b)
{
    const struct serving *x = a, *y = b;
    int by = strcmp(x->workload->locality.region, y->workload->locality.region);
    if (by == 0)
        by = strcmp(x->workload->locality.zone, y->workload->locality.zone);
    if (by == 0)
        by = strcmp(x->workload->locality.subzone, y->workload->locality.subzone);
    return by ? by : strcmp(x->workload->uid, y->workload->uid);
}

static bool same_locality(const struct workload *a, const struct workload *b)
{
    return strcmp(a->locality.region, b->locality.region) == 0 &&
           strcmp(a->locality.zone, b->locality.zone) == 0 &&
           strcmp(a->locality.subzone, b->locality.subzone) == 0;
}

/* An address serves a port once: pods of the host's network may share theirs. */
static bool first_there(struct map *seen, const struct serving *s, int *err)
{
    char key[ADDR_TEXT_MAX];
    void *old = NULL;
    const struct addr at = {s->workload->addresses[0], s->port};
    *err = map_put(seen, text_of(addr_print(&at, key)), seen, &old);
    return !old;
}

static bool is_of(const struct serving_workload *w, const struct labels *subset)
{
    return labels_select(subset, w->labels);
}

static size_t serving_of(const struct object *service, const struct workloads *all,
                         const struct labels *subset, const char *key, uint16_t port,
                         struct serving *out, int *err)
{
    size_t n = 0;
    struct map seen;
    map_init(&seen, 0);
    for (size_t i = 0; i < all->n && *err == 0; i++) {
        const struct workload *w = all->items[i].workload;
        const struct serving s = {w, target_of(w, key, port)};
        bool serves =
            (w->healthy || service->service.publish_not_ready) && is_of(&all->items[i], subset);
        if (serves && s.port && s.workload->n_addresses > 0 && first_there(&seen, &s, err))
            out[n++] = s;
    }
    map_done(&seen, NULL);
    qsort(out, n, sizeof *out, locality_order);
    return n;
}

static void fill_endpoint(const struct serving *s, struct endpoint *e)
{
    *e = (struct endpoint){
        .addr = {s->workload->addresses[0], s->port},
        .hostname = text_of(s->workload->hostname),
        .health = HEALTH_HEALTHY,
        .weight = s->workload->capacity ? s->workload->capacity : 1,
        .workload = text_of(s->workload->uid),
    };
}

/* Texts are the workloads'. */
static int fill_endpoints(const struct serving *list, size_t n, struct endpoints *e)
{
    struct endpoint *items = arena_zero(&e->arena, n, sizeof *items);
    struct endpoint_group *groups = arena_zero(&e->arena, n, sizeof *groups);
    if (!items || !groups)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct workload *w = list[i].workload;
        if (i == 0 || !same_locality(w, list[i - 1].workload))
            groups[e->n_groups++] =
                (struct endpoint_group){.region = text_of(w->locality.region),
                                        .zone = text_of(w->locality.zone),
                                        .sub_zone = text_of(w->locality.subzone),
                                        .endpoints = &items[i]};
        struct endpoint_group *g = &groups[e->n_groups - 1];
        fill_endpoint(&list[i], &items[i]);
        g->weight += items[i].weight; /* consumers skip a locality without one */
        g->n_endpoints++;
    }
    e->groups = groups;
    return 0;
}

static int add_endpoints(const struct object *service, const struct workloads *workloads,
                         const struct labels *subset, const char *key, uint16_t port,
                         const char *name, bool written, unsigned nearness,
                         struct resources *all)
{
    struct xds_bytes body = {0};
    struct endpoints *e = endpoints_new(ENDPOINTS_BYTES_MAX);
    struct serving *list = calloc(workloads->n + 1, sizeof *list);
    int err = e && list ? 0 : -ENOMEM;
    size_t n = err == 0 ? serving_of(service, workloads, subset, key, port, list, &err) : 0;
    if (err == 0) {
        e->name = text_of(name);
        err = fill_endpoints(list, n, e);
    }
    if (err == 0)
        err = add_unless(written, all, XDS_ENDPOINTS, name, xds_endpoints_encode(e, &body), &body);
    if (err == 0)
        all->items[all->n - 1]->nearness = (uint8_t)nearness;
    free(list);
    endpoints_free(e);
    return err;
}

/* ---- The way there -------------------------------------------------------------------------- */

/* As the port is declared; where it isn't, what the client speaks. */
static enum upstream_protocol spoken(uint8_t app_protocol)
{
    enum { HTTP11 = 1, HTTP2 = 2, GRPC = 3 }; /* istio.workload.AppProtocol */
    return app_protocol == HTTP2 || app_protocol == GRPC ? UPSTREAM_HTTP2
           : app_protocol == HTTP11                      ? UPSTREAM_HTTP1
                                                         : UPSTREAM_AS_DOWNSTREAM;
}

struct made { /* of which Service */
    const struct view *view;
    const struct object *service;
    const struct workloads *workloads;
    const struct rules *rules;
    const struct rule_subset *const *subsets;
    size_t n_subsets;
    const char *key, *host;
    struct resources *all;
};

/* m NULL: of a Service that leads nowhere; policy NULL: nobody said anything of it. */
static int add_cluster(const struct made *m, const struct kube_service_port *port,
                       const struct traffic_policy *policy, const char *name, bool written,
                       struct resources *all)
{
    const struct health_check *check = m ? m->service->service.health_check : NULL;
    static const struct traffic_policy nothing;
    struct health_check checks[1];
    struct xds_bytes body = {0};
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX);
    if (!c)
        return -ENOMEM;
    c->name = c->eds_name = text_of(name);
    c->kind = CLUSTER_EDS;
    /* All consumers know it. */
    c->balance.kind = BALANCE_ROUND_ROBIN;
    c->protocol = spoken(port->app_protocol);
    if (policy || check)
        rule_apply(policy ? policy : &nothing, c);
    if (m && policy)
        rule_apply_tls(policy, m->host, c);
    if (m)
        (void)backend_tls_apply(m->view, m->service, port, c);
    if (m && m->rules->closed)
        rule_close(c);
    if (check) {
        checks[0] = *check;
        c->health_checks = checks;
        c->n_health_checks = 1;
    }
    int err = add_unless(written, all, XDS_CLUSTER, name, xds_cluster_encode(c, &body), &body);
    if (err == 0)
        all->items[all->n - 1]->balanced_anyhow =
            c->balance.kind == BALANCE_LEAST_REQUEST || c->balance.kind == BALANCE_RANDOM;
    cluster_free(c);
    return err;
}

/* All requests, whatever host they name: who asks has chosen the Service by its address or name. */
static int add_routes(const char *host, uint16_t port, const struct traffic_policy *policy,
                      const char *name, struct resources *all)
{
    char host_port[ROUTES_NAME_MAX];
    struct xds_bytes body = {0};
    struct text any = TEXT("*");
    struct route_backend backend = {.cluster = text_of(name), .weight = 1};
    struct route route = {
        .name = TEXT("default"),
        .match.path = {.kind = PATH_PREFIX, .value = TEXT("/")},
        .action = {.kind = ROUTE_FORWARD,
                   .forward = {.backends = &backend,
                               .n_backends = 1,
                               .no_cluster_status = 503,
                               .grpc_timeout = true}},
    };
    struct hash_policy hash;
    bool hashed = policy && policy->balance && policy->balance->hashed;
    if (hashed) {
        hash = policy->balance->hash;
        route.action.forward.hashes = &hash;
        route.action.forward.n_hashes = 1;
    }
    struct virtual_host virtual_host = {
        .domains = &any, .n_domains = 1, .routes = &route, .n_routes = 1};
    struct route_table table = {.name = text_of(name), .hosts = &virtual_host, .n_hosts = 1};
    snprintf(host_port, sizeof host_port, "%s:%u", host, port);
    virtual_host.name = text_of(host_port);
    return add_unless(hashed, all, XDS_ROUTES, name, xds_routes_encode(&table, &body), &body);
}

/* By what somebody wrote; OBJECT_KIND_COUNT: nobody did. */
static enum object_kind routed_by(const struct view *v, const struct object *service,
                                  const struct kube_service_port *port)
{
    const struct gateway_scope scope = {service, port, service->ns, false};
    return gateway_scope_kind(v, &scope);
}

/* A cluster with nobody in it. */
static int add_nowhere(const struct view *v, const struct object *service,
                       const struct kube_service_port *port, struct resources *all)
{
    char name[GATEWAY_CLUSTER_MAX];
    const struct workloads nobody = {0};
    const struct labels all_of_them = {0};
    gateway_refused_name(v, service->ns, service->name, port->port, name);
    int err = add_endpoints(service, &nobody, &all_of_them, "", port->port, name, false, 0, all);
    return err == 0 ? add_cluster(NULL, port, NULL, name, false, all) : err;
}

static int add_listener(const char *host, uint16_t port, const char *name, struct resources *all)
{
    char host_port[ROUTES_NAME_MAX];
    struct xds_bytes body = {0};
    snprintf(host_port, sizeof host_port, "%s:%u", host, port);
    const struct api_listener l = {host_port, (char *)name};
    return add(all, XDS_LISTENER, host_port, xds_listener_encode(&l, &body), &body);
}

int own_listener(struct text table, struct resources *all)
{
    char host_port[ROUTES_NAME_MAX], own[ROUTES_NAME_MAX + 64];
    struct xds_bytes body = {0};
    struct text kind, port, subset, host, ns;
    if (!text_split(table, '|', &kind, &host) || !text_split(host, '|', &port, &host) ||
        !text_split(host, '|', &subset, &host) || !text_split(host, '@', &host, &ns))
        return 0;
    snprintf(host_port, sizeof host_port, "%.*s:%.*s", (int)host.len, host.data, (int)port.len,
             port.data);
    snprintf(own, sizeof own, "%s@%.*s", host_port, (int)ns.len, ns.data);
    const struct api_listener l = {host_port, (char *)table.data};
    return add_unless(false, all, XDS_LISTENER, own, xds_listener_encode(&l, &body), &body);
}

/* As the Service prefers it, or else (as Istio does it, and node proxies) where outliers are left out, so that there is a
 * reason to go further away. */
static unsigned nearness_of(const struct made *m, const struct traffic_policy *policy)
{
    enum { BY_SUB_ZONE = 3 };
    unsigned preferred = service_nearness(m->view, m->service);
    unsigned by_place = policy && policy->outlier ? BY_SUB_ZONE : 0;
    const struct locality_lb *lb = policy && policy->balance ? &policy->balance->locality : NULL;
    if (lb && lb->said)
        return lb->off || locality_lb_has_rules(lb) ? 0 : by_place;
    return preferred ? preferred : by_place;
}

/* What somebody wrote of places goes with the endpoints, for who can't be told it with the cluster. */
static int add_locality(const struct traffic_policy *policy, struct resource *endpoints)
{
    struct xds_bytes bytes;
    const struct locality_lb *lb = policy->balance ? &policy->balance->locality : NULL;
    if (!lb || !locality_lb_has_rules(lb) || (lb->n_distribute == 0 && !policy->outlier))
        return 0;
    int err = xds_locality_lb_encode(lb, &bytes);
    if (err < 0)
        return err;
    endpoints->locality = bytes.data;
    endpoints->locality_len = bytes.len;
    return 0;
}

/* A cluster and its endpoints, of the Service or of a subset. */
static int add_way(const struct made *m, const struct kube_service_port *port,
                   const struct rule_subset *subset)
{
    char name[GATEWAY_CLUSTER_MAX];
    const struct labels everybody = {0};
    struct traffic_policy policy;
    const char *subset_name = subset ? subset->name : "";
    bool said = rules_policy(m->rules, port->port, subset, &policy);
    bool written = said || subset || m->service->service.health_check || m->rules->closed ||
                   backend_tls_of(m->view, m->service, port);
    virtual_cluster_name(port->port, subset_name, m->host, name);
    int err = add_endpoints(m->service, m->workloads, subset ? &subset->labels : &everybody, m->key,
                            port->port, name, written, nearness_of(m, said ? &policy : NULL),
                            m->all);
    if (err == 0 && said)
        err = add_locality(&policy, m->all->items[m->all->n - 1]);
    return err == 0 ? add_cluster(m, port, said ? &policy : NULL, name, written, m->all) : err;
}

static int add_subsets(const struct made *m, const struct kube_service_port *port)
{
    int err = 0;
    for (size_t i = 0; i < m->n_subsets && err == 0; i++)
        err = add_way(m, port, m->subsets[i]);
    return err;
}

/* What is there by name where nobody wrote any routes. */
static int add_default(const struct made *m, const struct kube_service_port *port, const char *name)
{
    struct traffic_policy policy;
    if (virtual_has_table(m->view, m->service, port))
        return 0;
    bool said = rules_policy(m->rules, port->port, NULL, &policy);
    return add_routes(m->host, port->port, said ? &policy : NULL, name, m->all);
}

int default_routes(const struct view *v, const struct object *service, struct resources *all)
{
    char key[SERVICE_KEY_MAX], name[ROUTES_NAME_MAX];
    const struct kube_service *s = &service->service;
    struct workloads workloads = {0};
    if (!traffic_counts(v, service) || s->n_ports == 0)
        return 0;
    map_init(&workloads.pods, 0);
    service_key(v, service->ns, service->name, key);
    const char *host = key + strlen(service->ns) + 1;
    const struct rule_subset *subsets[RULE_SUBSETS_OF_HOST_MAX];
    struct rules rules;
    rules_find(v, service, &rules);
    size_t n_subsets = rules_subsets(&rules, service, subsets);
    const struct made m = {v, service, &workloads, &rules, subsets, n_subsets, key, host, all};
    int err = who_serves(v, service, &workloads);
    for (size_t i = 0; i < s->n_ports && err == 0; i++) {
        const struct kube_service_port *port = &s->ports[i];
        routes_name(host, port->port, name);
        err = add_way(&m, port, NULL);
        if (err == 0)
            err = add_subsets(&m, port);
        enum object_kind kind = routed_by(v, service, port);
        if (err == 0 && kind == OBJECT_KIND_COUNT)
            err = add_default(&m, port, name);
        if (err == 0 && kind == OBJECT_GRPC_ROUTE)
            err = add_nowhere(v, service, port, all);
        if (err == 0)
            err = add_listener(host, port->port, name, all);
    }
    workloads_done(&workloads);
    return err;
}
