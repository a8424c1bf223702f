#include "controller/translate/serving.h"
#include "controller/translate/traffic_host.h"
#include <stdlib.h>

static bool has_ready_pod(const struct view *v, const struct object *service)
{
    struct view_range pods = view_namespace(v, OBJECT_POD, service->ns);
    for (size_t i = 0; i < pods.n; i++)
        if (labels_select(&service->service.selector, &pods.items[i]->labels) &&
            serving_pod_is_ready(pods.items[i]) && view_has_address(v, pods.items[i]))
            return true;
    return false;
}

static bool endpoint_is_ready(const struct view *v, const struct slice_endpoint *e)
{
    const struct object *pod = view_endpoint_pod(v, e);
    return pod ? serving_pod_is_ready(pod) : e->ready && !e->terminating;
}

static bool has_ready_endpoint(const struct view *v, const struct object *service)
{
    char name[VIEW_KEY_MAX];
    struct object_group slices =
        object_index_get(&v->slices_of, view_name(service->ns, service->name, name));
    for (size_t i = 0; i < slices.n; i++)
        for (size_t j = 0; j < slices.items[i]->slice.n_endpoints; j++)
            if (endpoint_is_ready(v, &slices.items[i]->slice.endpoints[j]))
                return true;
    return false;
}

static bool has_ready(const struct view *v, const struct object *service)
{
    return (service->service.selector.n > 0 && has_ready_pod(v, service)) ||
           has_ready_endpoint(v, service);
}

int serving_last_pod(const struct view *v, const struct object *pod, bool *ret)
{
    struct view_range services = view_namespace(v, OBJECT_SERVICE, pod->ns);
    struct view_link *links;
    size_t n;
    *ret = false;
    for (size_t i = 0; i < services.n && !*ret; i++) {
        const struct kube_service *s = &services.items[i]->service;
        *ret = s->selector.n > 0 && labels_select(&s->selector, &pod->labels) &&
               traffic_counts(v, services.items[i]) && !has_ready(v, services.items[i]);
    }
    if (*ret)
        return 0;
    int err = view_links(v, pod, &links, &n);
    for (size_t i = 0; err == 0 && i < n && !*ret; i++)
        *ret = strcmp(links[i].service->ns, pod->ns) == 0 && !has_ready(v, links[i].service);
    if (err == 0)
        free(links);
    return err;
}

bool serving_endpoint(const struct view *v, const struct object *slice,
                      const struct slice_endpoint *e)
{
    if (!e->terminating)
        return e->ready;
    const struct object *service = view_slice_service(v, slice);
    return e->serving && service && !has_ready(v, service);
}
