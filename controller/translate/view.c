#include "controller/translate/view.h"
#include <errno.h>
#include <stdlib.h>

static int order_of_ip(const struct ip *a, const struct ip *b)
{
    if (a->len != b->len)
        return a->len - b->len;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static int address_order(const void *a, const void *b)
{
    return order_of_ip(&((const struct view_address *)a)->ip,
                       &((const struct view_address *)b)->ip);
}

static int object_order(const struct object *a, const struct object *b)
{
    int by_ns = strcmp(a->ns, b->ns);
    return by_ns ? by_ns : strcmp(a->name, b->name);
}

/* By pod, then by service and slice, so that the answer does not depend on how the sort works. */
static int link_order(const void *a, const void *b)
{
    const struct view_link *x = a, *y = b;
    int order = object_order(x->pod, y->pod);
    if (!order)
        order = object_order(x->service, y->service);
    return order ? order : object_order(x->slice, y->slice);
}

/* A host-network pod shares its addresses, so that they do not tell which pod is meant. */
static bool owns_addresses(const struct object *pod)
{
    return !pod->pod.host_network && !pod->pod.over;
}

static int view_index_addresses(struct view *v)
{
    struct view_range pods = view_all(v, OBJECT_POD);
    size_t n = 0;
    for (size_t i = 0; i < pods.n; i++)
        n += owns_addresses(pods.items[i]) ? pods.items[i]->pod.n_ips : 0;
    if (n == 0)
        return 0;
    v->addresses = calloc(n, sizeof *v->addresses);
    if (!v->addresses)
        return -ENOMEM;
    for (size_t i = 0; i < pods.n; i++)
        for (size_t j = 0; owns_addresses(pods.items[i]) && j < pods.items[i]->pod.n_ips; j++)
            v->addresses[v->n_addresses++] =
                (struct view_address){pods.items[i]->pod.ips[j], pods.items[i]};
    qsort(v->addresses, v->n_addresses, sizeof *v->addresses, address_order);
    return 0;
}

const struct object *view_slice_service(const struct view *v, const struct object *slice)
{
    if (!slice->slice.service[0] || slice->slice.fqdn)
        return NULL;
    const struct object *service =
        object_store_get(v->store, OBJECT_SERVICE, slice->ns, slice->slice.service);
    return service && !service->service.external_name ? service : NULL;
}

const struct object *view_endpoint_pod(const struct view *v, const struct slice_endpoint *e)
{
    if (e->to_pod)
        return object_store_get(v->store, OBJECT_POD, e->pod_ns, e->pod_name);
    for (size_t i = 0; v->addresses && i < e->n_addresses; i++) {
        struct view_address wanted = {.ip = e->addresses[i]};
        const struct view_address *found =
            bsearch(&wanted, v->addresses, v->n_addresses, sizeof wanted, address_order);
        if (found)
            return found->pod;
    }
    return NULL;
}

static int view_add_link(struct view *v, struct view_link link)
{
    if (v->n_links == v->links_size) {
        size_t size = v->links_size ? 2 * v->links_size : 64;
        struct view_link *links = realloc(v->links, size * sizeof *links);
        if (!links)
            return -ENOMEM;
        v->links = links;
        v->links_size = size;
    }
    v->links[v->n_links++] = link;
    return 0;
}

static int view_index_links(struct view *v)
{
    struct view_range slices = view_all(v, OBJECT_ENDPOINT_SLICE);
    for (size_t i = 0; i < slices.n; i++) {
        const struct object *service = view_slice_service(v, slices.items[i]);
        const struct endpoint_slice *slice = &slices.items[i]->slice;
        for (size_t j = 0; service && j < slice->n_endpoints; j++) {
            const struct object *pod = view_endpoint_pod(v, &slice->endpoints[j]);
            if (pod && view_add_link(v, (struct view_link){pod, slices.items[i], service}) < 0)
                return -ENOMEM;
        }
    }
    if (v->n_links > 1)
        qsort(v->links, v->n_links, sizeof *v->links, link_order);
    return 0;
}

int view_open(struct view *v, const struct object_store *s,
              const struct translate_settings *settings)
{
    *v = (struct view){.settings = settings, .store = s};
    int r = 0;
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT && r == 0; kind++)
        r = object_store_list(s, (enum object_kind)kind, &v->lists[kind], &v->counts[kind]);
    if (r == 0)
        r = view_index_addresses(v);
    if (r == 0)
        r = view_index_links(v);
    if (r < 0)
        view_close(v);
    return r;
}

void view_close(struct view *v)
{
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++)
        free(v->lists[kind]);
    free(v->addresses);
    free(v->links);
    *v = (struct view){0};
}

struct view_range view_all(const struct view *v, enum object_kind kind)
{
    return (struct view_range){v->lists[kind], v->counts[kind]};
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

const struct view_link *view_links(const struct view *v, const struct object *pod, size_t *ret_n)
{
    size_t low = 0, high = v->n_links, n = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (object_order(v->links[middle].pod, pod) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + n < v->n_links && v->links[low + n].pod == pod)
        n++;
    *ret_n = n;
    return n ? &v->links[low] : NULL;
}
