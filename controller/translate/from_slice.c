#include "controller/translate/from_slice.h"
#include "controller/translate/from_service.h"
#include "controller/translate/serving.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A slice's ports carry the names of the Service's ports. */
static int set_service(const struct view *v, const struct object *o, const struct object *service,
                       struct workload *w)
{
    const struct kube_service *s = &service->service;
    char key[SERVICE_KEY_MAX];
    service_key(v, service->ns, service->name, key);
    w->services = calloc(1, sizeof *w->services);
    if (!w->services)
        return -ENOMEM;
    w->n_services = 1;
    w->services->key = text_dup(text_of(key));
    w->services->ports = calloc(s->n_ports + 1, sizeof *w->services->ports);
    if (!w->services->key || !w->services->ports)
        return -ENOMEM;
    for (size_t i = 0; i < o->slice.n_ports; i++) {
        for (size_t j = 0; j < s->n_ports && w->services->n_ports < s->n_ports; j++) {
            if (strcmp(s->ports[j].name, o->slice.ports[i].name) != 0)
                continue;
            w->services->ports[w->services->n_ports++] = (struct port_pair){
                .service_port = s->ports[j].port, .target_port = o->slice.ports[i].port};
            break;
        }
    }
    return 0;
}

static int set_addresses(const struct slice_endpoint *e, struct workload *w)
{
    w->addresses = calloc(e->n_addresses, sizeof *w->addresses);
    if (!w->addresses)
        return -ENOMEM;
    memcpy(w->addresses, e->addresses, e->n_addresses * sizeof *w->addresses);
    w->n_addresses = e->n_addresses;
    return 0;
}

static int set_locality(const struct slice_endpoint *e, struct workload *w)
{
    if (!e->region)
        return 0;
    if (workload_set(&w->locality.region, text_of(e->region)) < 0 ||
        workload_set(&w->locality.zone, text_of(e->zone)) < 0 ||
        workload_set(&w->locality.subzone, text_of(e->subzone)) < 0)
        return -ENOMEM;
    return 0;
}

int from_slice(const struct view *v, const struct object *o, size_t endpoint, struct workload **ret)
{
    const struct slice_endpoint *e = &o->slice.endpoints[endpoint];
    const struct object *service = view_slice_service(v, o);
    char uid[2 * OBJECT_KEY_MAX + 128];
    *ret = NULL;
    if (!service || e->to_pod || e->n_addresses == 0 || view_endpoint_pod(v, e))
        return 0;
    for (size_t i = 0; i < endpoint;
         i++) /* the same address twice would be the same workload twice */
        if (o->slice.endpoints[i].n_addresses &&
            strcmp(o->slice.endpoints[i].address_texts[0], e->address_texts[0]) == 0)
            return 0;
    struct workload *w = workload_new();
    if (!w)
        return -ENOMEM;
    snprintf(uid, sizeof uid, "%s/discovery.k8s.io/EndpointSlice/%s/%s/%s", v->settings->cluster_id,
             o->ns, o->name, e->address_texts[0]);
    w->healthy = serving_endpoint(v, o, e);
    w->tunnel = TUNNEL_NONE;
    w->host_network = true; /* the address may be shared: it must not become anybody's identity */
    w->type = WORKLOAD_POD;
    if (e->weight > 0)
        w->capacity = e->weight;
    if (workload_set(&w->uid, text_of(uid)) < 0 || workload_set(&w->name, text_of(o->name)) < 0 ||
        workload_set(&w->ns, text_of(o->ns)) < 0 ||
        workload_set(&w->network, text_of(v->settings->network)) < 0 ||
        workload_set(&w->trust_domain, text_of(v->settings->trust_domain)) < 0 ||
        workload_set(&w->cluster_id, text_of(v->settings->cluster_id)) < 0 ||
        set_locality(e, w) < 0 || set_addresses(e, w) < 0 || set_service(v, o, service, w) < 0) {
        workload_free(w);
        return -ENOMEM;
    }
    *ret = w;
    return 0;
}
