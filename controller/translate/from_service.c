#include "controller/translate/from_service.h"
#include "controller/model/object_kinds.h"
#include "controller/translate/service_place.h"
#include "controller/translate/traffic_host.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void service_key(const struct view *v, const char *ns, const char *name,
                 char out[static SERVICE_KEY_MAX])
{
    char host[VIEW_KEY_MAX];
    snprintf(out, SERVICE_KEY_MAX, "%s/%s", ns, traffic_named_host(v, ns, name, host).data);
}

static enum traffic_distribution distribution_of(const struct view *v, const struct object *o)
{
    enum traffic_distribution distribution = TRAFFIC_ANY;
    if (o->service.distribution_set)
        return o->service.distribution;
    const struct object *ns = object_store_get(v->store, OBJECT_NAMESPACE, "", o->ns);
    const char *word =
        ns ? labels_get(&ns->annotations, "networking.istio.io/traffic-distribution") : NULL;
    if (word)
        traffic_distribution_parse(word, &distribution);
    return distribution;
}

static void set_preference(const struct view *v, const struct object *o, struct service *s)
{
    static const enum lb_scope near_first[] = {LB_NETWORK, LB_REGION, LB_ZONE, LB_SUBZONE, LB_NODE};
    if (o->service.internal_local) {
        s->scopes[s->n_scopes++] = LB_NODE;
        s->lb_mode = LB_STRICT;
        return;
    }
    enum traffic_distribution distribution = distribution_of(v, o);
    if (distribution == TRAFFIC_ANY)
        return;
    size_t n = distribution == TRAFFIC_SAME_ZONE ? 3 : 5;
    for (size_t i = 0; i < n; i++)
        s->scopes[s->n_scopes++] = near_first[i];
    s->lb_mode = LB_FAILOVER;
}

unsigned service_nearness(const struct view *v, const struct object *o)
{
    enum traffic_distribution distribution = distribution_of(v, o);
    if (o->service.internal_local || distribution == TRAFFIC_ANY)
        return 0;
    return distribution == TRAFFIC_SAME_ZONE ? 2 : 3;
}

static int set_ports(const struct kube_service *from, struct service *s)
{
    if (from->n_ports == 0)
        return 0;
    s->ports = calloc(from->n_ports, sizeof *s->ports);
    if (!s->ports)
        return -ENOMEM;
    for (size_t i = 0; i < from->n_ports; i++)
        s->ports[s->n_ports++] = (struct port_pair){from->ports[i].port, from->ports[i].target,
                                                    from->ports[i].app_protocol};
    return 0;
}

static int set_addresses(const struct view *v, const struct object *o, struct service *s)
{
    struct ip has[SERVICE_ADDRESSES_MAX];
    size_t n = service_addresses(v, o, has);
    if (n == 0)
        return 0;
    s->addresses = calloc(n, sizeof *s->addresses);
    if (!s->addresses)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        s->addresses[i].ip = has[i];
        s->addresses[i].network = text_dup(text_of(v->settings->network));
        s->n_addresses++;
        if (!s->addresses[i].network)
            return -ENOMEM;
    }
    return 0;
}

static int set_exported(const struct object *o, struct service *s)
{
    const struct values *to = &o->service.exported;
    s->exported = to->n > 0 ? calloc(to->n, sizeof *s->exported) : NULL;
    if (to->n > 0 && !s->exported)
        return -ENOMEM;
    for (; s->n_exported < to->n; s->n_exported++) {
        s->exported[s->n_exported] = text_dup(text_of(to->items[s->n_exported]));
        if (!s->exported[s->n_exported])
            return -ENOMEM;
    }
    return 0;
}

int from_service(const struct view *v, const struct object *o, struct service **ret)
{
    char key[SERVICE_KEY_MAX];
    *ret = NULL;
    if (!traffic_counts(v, o))
        return 0;
    struct service *s = service_new();
    if (!s)
        return -ENOMEM;
    service_key(v, o->ns, o->name, key);
    if (workload_set(&s->name, text_of(o->made ? key + strlen(o->ns) + 1 : o->name)) < 0 ||
        workload_set(&s->ns, text_of(o->ns)) < 0 || workload_set(&s->key, text_of(key)) < 0 ||
        workload_set(&s->hostname, text_of(key + strlen(o->ns) + 1)) < 0 ||
        set_ports(&o->service, s) < 0 || set_addresses(v, o, s) < 0 || set_exported(o, s) < 0) {
        service_free(s);
        return -ENOMEM;
    }
    set_preference(v, o, s);
    s->allow_unhealthy = o->service.publish_not_ready;
    s->ip_families = o->service.ip_families;
    s->canonical = true;
    *ret = s;
    return 0;
}
