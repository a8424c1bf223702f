#include "controller/translate/view.h"
#include "controller/translate/service_place.h"
#include "controller/translate/serving.h"
#include "controller/translate/traffic_host.h"
#include "shared/base/list.h"
#include "shared/mesh/workload.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int object_order(const struct object *a, const struct object *b)
{
    int by_ns = strcmp(a->ns, b->ns);
    return by_ns ? by_ns : strcmp(a->name, b->name);
}

struct text view_name(const char *ns, const char *name, char out[static VIEW_KEY_MAX])
{
    snprintf(out, VIEW_KEY_MAX, "%s/%s", ns, name);
    return text_of(out);
}

struct text view_label(const char *ns, const struct object_label *label, char out[static VIEW_KEY_MAX])
{
    snprintf(out, VIEW_KEY_MAX, "%s/%s=%s", ns, label->key, label->value);
    return text_of(out);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

/* Where an object of this name is, or would be. */
static size_t list_place(const struct view_list *l, const struct object *o)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (object_order(l->items[middle], o) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int list_put(struct view_list *l, struct object *o)
{
    size_t at = list_place(l, o);
    if (at < l->n && object_order(l->items[at], o) == 0) {
        l->items[at] = o;
        return 0;
    }
    if (l->n == l->size) {
        size_t size = l->size ? 2 * l->size : 64;
        struct object **items = realloc(l->items, size * sizeof(struct object *));
        if (!items)
            return -ENOMEM;
        l->items = items;
        l->size = size;
    }
    memmove(&l->items[at + 1], &l->items[at], (l->n - at) * sizeof(struct object *));
    l->items[at] = o;
    l->n++;
    return 0;
}

static void list_drop(struct view_list *l, const struct object *o)
{
    size_t at = list_place(l, o);
    if (at == l->n || object_order(l->items[at], o) != 0)
        return;
    l->n--;
    memmove(&l->items[at], &l->items[at + 1], (l->n - at) * sizeof(struct object *));
}

struct view_range view_all(const struct view *v, enum object_kind kind)
{
    return (struct view_range){v->lists[kind].items, v->lists[kind].n};
}

/* The first of `n` objects whose namespace is `ns` or later (after: later than ns). */
static size_t namespace_bound(struct object *const *items, size_t n, const char *ns, bool after)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(items[middle]->ns, ns);
        if (order < 0 || (after && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct view_range view_namespace(const struct view *v, enum object_kind kind, const char *ns)
{
    struct view_range all = view_all(v, kind);
    size_t begin = namespace_bound(all.items, all.n, ns, false);
    size_t end = namespace_bound(all.items, all.n, ns, true);
    return (struct view_range){end > begin ? all.items + begin : NULL, end - begin};
}

/* ---- Indexes -------------------------------------------------------------------------------- */

static int add(struct object_index *x, struct text key, const struct object *o, bool there)
{
    if (there)
        return object_index_add(x, key, o);
    object_index_remove(x, key, o);
    return 0;
}

static int index_pod(struct view *v, const struct object *o, bool there)
{
    int err = o->pod.node[0] ? add(&v->pods_on, text_of(o->pod.node), o, there) : 0;
    if (err == 0 && serving_pod_leaves(o))
        err = add(&v->leaving, text_of(o->ns), o, there);
    for (size_t i = 0; view_owns_addresses(o) && i < o->pod.n_ips && err == 0; i++)
        err = add(&v->pods_at, view_address(&o->pod.ips[i]), o, there);
    for (size_t i = 0; o->pod.host_network && !o->pod.over && i < o->pod.n_ips && err == 0; i++)
        err = add(&v->hosts_at, view_address(&o->pod.ips[i]), o, there);
    return err;
}

static int index_slice(struct view *v, const struct object *o, bool there)
{
    char name[VIEW_KEY_MAX];
    int err = 0;
    if (o->slice.service[0])
        err = add(&v->slices_of, view_name(o->ns, o->slice.service, name), o, there);
    for (size_t i = 0; i < o->slice.n_endpoints && err == 0; i++) {
        const struct slice_endpoint *e = &o->slice.endpoints[i];
        if (e->to_pod)
            err = add(&v->slices_to, view_name(e->pod_ns, e->pod_name, name), o, there);
        if (err == 0 && e->terminating && e->serving)
            err = add(&v->leaving, text_of(o->ns), o, there);
        for (size_t j = 0; !e->to_pod && j < e->n_addresses && err == 0; j++)
            err = add(&v->slices_at, view_address(&e->addresses[j]), o, there);
    }
    return err;
}

static int index_ref(struct object_index *x, const struct object *o, const struct gateway_ref *ref,
                     bool there)
{
    char name[VIEW_KEY_MAX];
    bool service = ref->group[0] == '\0' && strcmp(ref->kind, "Service") == 0;
    return service ? add(x, view_name(ref->ns, ref->name, name), o, there) : 0;
}

static int index_route(struct view *v, const struct object *o, bool there)
{
    const struct gateway_route *route = &o->route;
    char name[VIEW_KEY_MAX];
    int err = 0;
    for (size_t i = 0; i < route->n_parents && err == 0; i++) {
        const struct gateway_ref *ref = &route->parents[i].ref;
        err = index_ref(&v->routes_of, o, ref, there);
        if (err == 0 && view_is_ingress(ref))
            err = add(&v->ingress_routes, view_name(ref->ns, ref->name, name), o, there);
    }
    for (size_t i = 0; i < route->n_rules && err == 0; i++) {
        const struct gateway_rule *rule = &route->rules[i];
        for (size_t j = 0; j < rule->n_backends && err == 0; j++)
            err = index_ref(&v->routes_to, o, &rule->backends[j].ref, there);
        for (size_t j = 0; j < rule->filters.n_mirrors && err == 0; j++)
            err = index_ref(&v->routes_to, o, &rule->filters.mirrors[j].ref, there);
    }
    return err;
}

static int index_destinations(struct view *v, const struct object *o,
                              const struct virtual_destination *list, size_t n, bool there)
{
    char host[VIEW_KEY_MAX];
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++)
        err = add(&v->virtual_to, traffic_full_host(v, o->ns, list[i].host, host), o, there);
    return err;
}

static int index_rules(struct view *v, const struct object *o, const struct virtual_rule *rules,
                       size_t n, bool there)
{
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        const struct virtual_rule *rule = &rules[i];
        char name[VIEW_KEY_MAX];
        if (rule->delegate.name[0])
            err = add(&v->delegating, view_name(rule->delegate.ns, rule->delegate.name, name), o,
                      there);
        if (rule->action.kind != ROUTE_FORWARD)
            continue;
        err = index_destinations(v, o, rule->backends, rule->action.forward.n_backends, there);
        if (err == 0)
            err = index_destinations(v, o, rule->mirrors, rule->action.forward.n_mirrors, there);
    }
    return err;
}

static int index_virtual(struct view *v, const struct object *o, bool there)
{
    const struct virtual_service *s = &o->virtual_service;
    char host[VIEW_KEY_MAX];
    int err = 0;
    for (size_t i = 0; i < s->hosts.n && err == 0; i++)
        err = add(&v->virtual_of, traffic_full_host(v, o->ns, s->hosts.items[i], host), o, there);
    if (err == 0)
        err = index_rules(v, o, s->rules, s->n_rules, there);
    return err == 0 ? index_rules(v, o, s->streams, s->n_streams, there) : err;
}

static int index_rule(struct view *v, const struct object *o, bool there)
{
    char host[VIEW_KEY_MAX];
    return add(&v->rules_of, traffic_full_host(v, o->ns, o->destination_rule.host, host), o, there);
}

static int index_service(struct view *v, const struct object *o, bool there)
{
    char host[VIEW_KEY_MAX];
    struct ip wanted[SERVICE_ADDRESSES_MAX];
    struct text full = traffic_service_host(v, o, host);
    size_t n = service_wanted(o, full, wanted);
    int err = o->made ? add(&v->made_of, full, o, there) : 0;
    for (size_t i = 0; i < n && err == 0; i++)
        err = add(&v->services_at, view_address(&wanted[i]), o, there);
    return err;
}

static int index_sidecar(struct view *v, const struct object *o, bool there)
{
    char name[VIEW_KEY_MAX];
    const struct labels *selector = &o->sidecar.selector;
    struct text key = selector->n > 0 ? view_label(o->ns, &selector->items[0], name) : text_of(o->ns);
    return add(&v->sidecars_of, key, o, there);
}

static int view_index(struct view *v, const struct object *o, bool there)
{
    if (o->kind == OBJECT_SIDECAR)
        return index_sidecar(v, o, there);
    if (o->kind == OBJECT_SERVICE)
        return index_service(v, o, there);
    if (o->kind == OBJECT_VIRTUAL_SERVICE)
        return index_virtual(v, o, there);
    if (o->kind == OBJECT_DESTINATION_RULE)
        return index_rule(v, o, there);
    if (o->kind >= OBJECT_HTTP_ROUTE && o->kind <= OBJECT_TLS_ROUTE)
        return index_route(v, o, there);
    if (o->kind == OBJECT_POD)
        return index_pod(v, o, there);
    return o->kind == OBJECT_ENDPOINT_SLICE ? index_slice(v, o, there) : 0;
}

int view_change(struct view *v, const struct object *old, struct object *now)
{
    if (old)
        (void)view_index(v, old, false);
    if (old && !now)
        list_drop(&v->lists[old->kind], old);
    int err = now ? list_put(&v->lists[now->kind], now) : 0;
    return now && err == 0 ? view_index(v, now, true) : err;
}

int view_open(struct view *v, const struct object_store *s,
              const struct translate_settings *settings)
{
    *v = (struct view){.settings = settings, .store = s};
    int r = 0;
    object_index_init(&v->pods_at);
    object_index_init(&v->hosts_at);
    object_index_init(&v->pods_on);
    object_index_init(&v->leaving);
    object_index_init(&v->slices_of);
    object_index_init(&v->slices_to);
    object_index_init(&v->slices_at);
    object_index_init(&v->routes_of);
    object_index_init(&v->ingress_routes);
    object_index_init(&v->routes_to);
    object_index_init(&v->virtual_of);
    object_index_init(&v->virtual_to);
    object_index_init(&v->delegating);
    object_index_init(&v->rules_of);
    object_index_init(&v->made_of);
    object_index_init(&v->sidecars_of);
    object_index_init(&v->services_at);
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT && r == 0; kind++) {
        struct view_list *l = &v->lists[kind];
        r = object_store_list(s, (enum object_kind)kind, &l->items, &l->n);
        l->size = l->n;
        for (size_t i = 0; i < l->n && r == 0; i++)
            r = view_index(v, l->items[i], true);
    }
    if (r < 0)
        view_close(v);
    return r;
}

void view_close(struct view *v)
{
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++)
        free(v->lists[kind].items);
    object_index_done(&v->pods_at);
    object_index_done(&v->hosts_at);
    object_index_done(&v->pods_on);
    object_index_done(&v->leaving);
    object_index_done(&v->slices_of);
    object_index_done(&v->slices_to);
    object_index_done(&v->slices_at);
    object_index_done(&v->routes_of);
    object_index_done(&v->ingress_routes);
    object_index_done(&v->routes_to);
    object_index_done(&v->virtual_of);
    object_index_done(&v->virtual_to);
    object_index_done(&v->delegating);
    object_index_done(&v->rules_of);
    object_index_done(&v->made_of);
    object_index_done(&v->sidecars_of);
    object_index_done(&v->services_at);
    *v = (struct view){0};
}

/* ---- What belongs together ------------------------------------------------------------------ */

const struct object *view_slice_service(const struct view *v, const struct object *slice)
{
    if (!slice->slice.service[0] || slice->slice.fqdn)
        return NULL;
    const struct object *service =
        object_store_get(v->store, OBJECT_SERVICE, slice->ns, slice->slice.service);
    return service && traffic_counts(v, service) ? service : NULL;
}

/* An address that is given to a new pod may still be written at the old one. */
static bool owns_rather(const struct object *a, const struct object *than)
{
    if (than && a->made != than->made)
        return !a->made;
    if (than && a->made)
        return object_index_order(a, than) < 0;
    if (!than || a->deleting != than->deleting)
        return !than || than->deleting;
    if (a->created_s != than->created_s)
        return a->created_s > than->created_s;
    return object_order(a, than) < 0;
}

/* Is a machine's address somebody else's? */
static bool is_taken(const struct view *v, const struct object *machine, struct text address)
{
    struct object_group pods = object_index_get(&v->pods_at, address);
    struct object_group services = object_index_get(&v->services_at, address);
    struct object_group slices = object_index_get(&v->slices_at, address);
    bool taken = object_index_get(&v->hosts_at, address).n > 0 ||
                 (pods.n > 0 && pods.items[0] != machine);
    for (size_t i = 0;
         i < services.n && !taken && object_index_order(services.items[i], machine) < 0; i++)
        taken = traffic_counts(v, services.items[i]);
    for (size_t i = 0;
         i < slices.n && !taken && object_index_order(slices.items[i], machine) < 0; i++)
        taken = strcmp(slices.items[i]->ns, machine->ns) != 0;
    return taken;
}

bool view_has_address(const struct view *v, const struct object *pod)
{
    bool taken = false;
    for (size_t i = 0; pod->made && i < pod->pod.n_ips && !taken; i++)
        taken = is_taken(v, pod, view_address(&pod->pod.ips[i]));
    return !taken;
}

const struct object *view_endpoint_pod(const struct view *v, const struct slice_endpoint *e)
{
    if (e->to_pod)
        return object_store_get(v->store, OBJECT_POD, e->pod_ns, e->pod_name);
    for (size_t i = 0; i < e->n_addresses; i++) {
        struct object_group pods = object_index_get(&v->pods_at, view_address(&e->addresses[i]));
        const struct object *found = NULL;
        for (size_t j = 0; j < pods.n; j++)
            if (owns_rather(pods.items[j], found))
                found = pods.items[j];
        if (found && view_has_address(v, found))
            return found;
    }
    return NULL;
}

static bool has_endpoint(const struct view *v, const struct object *slice, const struct object *pod)
{
    for (size_t i = 0; i < slice->slice.n_endpoints; i++)
        if (!slice->slice.endpoints[i].to_pod &&
            view_endpoint_pod(v, &slice->slice.endpoints[i]) == pod)
            return true;
    return false;
}

static int link_order(const void *a, const void *b)
{
    const struct view_link *x = a, *y = b;
    int order = object_order(x->service, y->service);
    return order ? order : object_order(x->slice, y->slice);
}

static void link_slices(const struct view *v, struct object_group slices,
                        const struct object *by_address, struct view_link *links, size_t *n)
{
    for (size_t i = 0; i < slices.n; i++) {
        const struct object *service = view_slice_service(v, slices.items[i]);
        if (service && (!by_address || has_endpoint(v, slices.items[i], by_address)))
            links[(*n)++] = (struct view_link){slices.items[i], service};
    }
}

int view_links(const struct view *v, const struct object *pod, struct view_link **ret,
               size_t *ret_n)
{
    char name[VIEW_KEY_MAX];
    struct object_group at[WORKLOAD_ADDRESSES_MAX];
    size_t n_at = 0, n = 0;
    struct object_group to = object_index_get(&v->slices_to, view_name(pod->ns, pod->name, name));
    size_t size = to.n;
    for (size_t i = 0; view_owns_addresses(pod) && i < pod->pod.n_ips && n_at < ARRAY_SIZE(at);
         i++) {
        at[n_at] = object_index_get(&v->slices_at, view_address(&pod->pod.ips[i]));
        size += at[n_at++].n;
    }
    *ret = NULL;
    *ret_n = 0;
    if (size == 0)
        return 0;
    struct view_link *links = calloc(size, sizeof *links);
    if (!links)
        return -ENOMEM;
    link_slices(v, to, NULL, links, &n);
    for (size_t i = 0; i < n_at; i++)
        link_slices(v, at[i], pod, links, &n);
    qsort(links, n, sizeof *links, link_order);
    *ret = links;
    *ret_n = n;
    return 0;
}
