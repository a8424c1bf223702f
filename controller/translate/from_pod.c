#include "controller/translate/from_pod.h"
#include "controller/translate/from_authorization.h"
#include "controller/translate/from_service.h"
#include "controller/translate/from_sidecar.h"
#include "controller/translate/ingress_attach.h"
#include "controller/translate/peer.h"
#include "controller/translate/serving.h"
#include "controller/translate/sidecar.h"
#include "controller/translate/traffic_host.h"
#include "shared/mesh/policy.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *first_label(const struct object *o, const char *const *keys, const char *absent)
{
    for (; *keys; keys++) {
        const char *value = labels_get(&o->labels, *keys);
        if (value)
            return value;
    }
    return absent;
}

/* Of a machine, its WorkloadEntry's. */
static struct text name_of(const struct object *o)
{
    return (struct text){o->name, strcspn(o->name, "/")};
}

static struct text without_suffix(struct text t, struct text suffix)
{
    if (suffix.len && t.len > suffix.len + 1 && text_ends_with(t, suffix) &&
        t.data[t.len - suffix.len - 1] == '-')
        t.len -= suffix.len + 1;
    return t;
}

/* A job of a cron job ends with the minute of its schedule: eight to ten digits. */
static struct text cron_job_name(struct text job)
{
    size_t digits = 0;
    while (digits < job.len && job.data[job.len - 1 - digits] >= '0' &&
           job.data[job.len - 1 - digits] <= '9')
        digits++;
    if (digits < 8 || digits > 10 || job.len < digits + 2 || job.data[job.len - 1 - digits] != '-')
        return (struct text){"", 0};
    return (struct text){job.data, job.len - digits - 1};
}

/* What the pod is one of: its controlling owner, seen through a ReplicaSet to the Deployment
 * behind it. */
static struct text workload_name_of(const struct object *o, enum workload_type *ret_type)
{
    struct text owner = text_of(o->pod.owner_name);
    *ret_type = WORKLOAD_POD;
    if (owner.len == 0)
        return name_of(o);
    if (strcmp(o->pod.owner_kind, "ReplicaSet") == 0) {
        struct text hash = text_of(labels_get(&o->labels, "pod-template-hash"));
        struct text name = without_suffix(owner, hash);
        if (name.len < owner.len)
            *ret_type = WORKLOAD_DEPLOYMENT;
        return name;
    }
    if (strcmp(o->pod.owner_kind, "CronJob") == 0)
        *ret_type = WORKLOAD_CRONJOB;
    if (strcmp(o->pod.owner_kind, "Job") == 0) {
        struct text cron = cron_job_name(owner);
        *ret_type = cron.len ? WORKLOAD_CRONJOB : WORKLOAD_JOB;
        return cron.len ? cron : owner;
    }
    return owner;
}

static int set_uid(const struct view *v, const struct object *o, struct workload *w)
{
    char uid[OBJECT_KEY_MAX + 128];
    struct text name = name_of(o);
    snprintf(uid, sizeof uid, "%s/%s/%s/%.*s", v->settings->cluster_id,
             o->made ? NETWORKING_GROUP "/WorkloadEntry" : "/Pod", o->ns, (int)name.len, name.data);
    return workload_set(&w->uid, text_of(uid));
}

static int set_names(const struct view *v, const struct object *o, struct workload *w)
{
    static const char *const name_labels[] = {"service.istio.io/canonical-name",
                                              "app.kubernetes.io/name", "app", NULL};
    static const char *const revision_labels[] = {"service.istio.io/canonical-revision",
                                                  "app.kubernetes.io/version", "version", NULL};
    static const char *const workload_labels[] = {"service.istio.io/workload-name", NULL};
    struct text owner = workload_name_of(o, &w->type);
    const char *said = first_label(o, workload_labels, NULL);
    if (said)
        owner = text_of(said);
    const struct {
        char **field;
        struct text value;
    } strings[] = {
        {&w->name, name_of(o)},
        {&w->ns, text_of(o->ns)},
        {&w->network, text_of(v->settings->network)},
        {&w->trust_domain, text_of(v->settings->trust_domain)},
        {&w->cluster_id, text_of(v->settings->cluster_id)},
        {&w->service_account, text_of(o->pod.service_account)},
        {&w->node, text_of(o->pod.node)},
        {&w->workload_name, owner},
        {&w->canonical_revision, text_of(first_label(o, revision_labels, "latest"))},
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (workload_set(strings[i].field, strings[i].value) < 0)
            return -ENOMEM;
    return workload_set(&w->canonical_name, text_of(first_label(o, name_labels, w->workload_name)));
}

static int set_locality(const struct view *v, const struct object *o, struct workload *w)
{
    static const char *const region[] = {"topology.kubernetes.io/region",
                                         "failure-domain.beta.kubernetes.io/region", NULL};
    static const char *const zone[] = {"topology.kubernetes.io/zone",
                                       "failure-domain.beta.kubernetes.io/zone", NULL};
    static const char *const subzone[] = {"topology.istio.io/subzone", NULL};
    const struct pod *p = &o->pod;
    const struct object *node = object_store_get(v->store, OBJECT_NODE, "", p->node);
    if (o->made)
        return workload_set(&w->locality.region, text_of(p->region)) < 0 ||
                       workload_set(&w->locality.zone, text_of(p->zone)) < 0 ||
                       workload_set(&w->locality.subzone, text_of(p->subzone)) < 0
                   ? -ENOMEM
                   : 0;
    if (!node)
        return 0;
    if (workload_set(&w->locality.region, text_of(first_label(node, region, ""))) < 0 ||
        workload_set(&w->locality.zone, text_of(first_label(node, zone, ""))) < 0 ||
        workload_set(&w->locality.subzone, text_of(first_label(node, subzone, ""))) < 0)
        return -ENOMEM;
    return 0;
}

/* By its labels. One on its host's network never is. */
static bool wants_to_be_enrolled(const struct view *v, const struct object *o)
{
    const char *tunnel = labels_get(&o->labels, MACHINE_TUNNEL_LABEL);
    if (o->made) /* its namespace's label is about pods, which are captured where they run */
        return tunnel && strcmp(tunnel, "http") == 0;
    const struct object *ns = object_store_get(v->store, OBJECT_NAMESPACE, "", o->ns);
    const char *of_ns = ns ? labels_get(&ns->labels, v->settings->enrol_label) : NULL;
    const char *own = labels_get(&o->labels, v->settings->enrol_label);
    return of_ns && strcmp(of_ns, "true") == 0 && !(own && strcmp(own, "false") == 0);
}

static uint16_t container_port(const struct pod *pod, const char *name)
{
    for (size_t i = 0; i < pod->n_ports; i++)
        if (strcmp(pod->ports[i].name, name) == 0)
            return pod->ports[i].port;
    return 0;
}

static uint16_t slice_port(const struct endpoint_slice *slice, const char *name)
{
    for (size_t i = 0; i < slice->n_ports; i++)
        if (strcmp(slice->ports[i].name, name) == 0)
            return slice->ports[i].port;
    return 0;
}

/* slice NULL: selected; a port whose target this pod has not is left out. */
static int add_service(const struct view *v, const struct object *o, const struct object *service,
                       const struct endpoint_slice *slice, struct workload *w)
{
    const struct kube_service *s = &service->service;
    char key[SERVICE_KEY_MAX];
    service_key(v, service->ns, service->name, key);
    for (size_t i = 0; i < w->n_services; i++)
        if (strcmp(w->services[i].key, key) == 0)
            return 0;
    if (w->n_services == WORKLOAD_SERVICES_MAX)
        return -ENOSPC;
    struct workload_service *services =
        realloc(w->services, (w->n_services + 1) * sizeof *services);
    if (!services)
        return -ENOMEM;
    w->services = services;
    struct workload_service *out = &services[w->n_services++];
    *out = (struct workload_service){
        .key = text_dup(text_of(key)),
        .ports = calloc(s->n_ports + 1, sizeof *out->ports),
    };
    if (!out->key || !out->ports)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_ports; i++) {
        uint16_t target = s->ports[i].target;
        if (slice)
            target = slice_port(slice, s->ports[i].name);
        else if (s->ports[i].target_name[0])
            target = container_port(&o->pod, s->ports[i].target_name);
        uint16_t own = o->made && !slice ? container_port(&o->pod, s->ports[i].name) : 0;
        if (own) /* where it is selected: a slice has said which port it means */
            target = own;
        if (target)
            out->ports[out->n_ports++] =
                (struct port_pair){.service_port = s->ports[i].port, .target_port = target};
    }
    return 0;
}

static int service_order(const void *a, const void *b)
{
    return strcmp(((const struct workload_service *)a)->key,
                  ((const struct workload_service *)b)->key);
}

static int add_selecting_service(const struct view *v, const struct object *o,
                                 const struct object *service, struct workload *w)
{
    const struct kube_service *s = &service->service;
    bool selects = s->selector.n > 0 && strcmp(service->ns, o->ns) == 0 &&
                   labels_select(&s->selector, &o->labels) && traffic_counts(v, service);
    return selects ? add_service(v, o, service, NULL, w) : 0;
}

/* All that select it or are linked with it by a slice, or whether `only` does. */
static int set_services(const struct view *v, const struct object *o, const struct object *only,
                        struct workload *w)
{
    struct view_range services = view_namespace(v, OBJECT_SERVICE, o->ns);
    int r = only ? add_selecting_service(v, o, only, w) : 0;
    for (size_t i = 0; !only && i < services.n && r == 0; i++)
        r = add_selecting_service(v, o, services.items[i], w);
    size_t n = 0;
    struct view_link *links = NULL;
    if (r == 0)
        r = view_links(v, o, &links, &n);
    for (unsigned pass = 0; pass < 2; pass++) /* other namespaces' push none of its own out */
        for (size_t i = 0; i < n && r == 0; i++)
            if ((!only || links[i].service == only) &&
                (strcmp(links[i].service->ns, o->ns) != 0) == (pass == 1))
                r = add_service(v, o, links[i].service, &links[i].slice->slice, w);
    free(links);
    if (r != -ENOMEM && w->n_services > 1)
        qsort(w->services, w->n_services, sizeof *w->services, service_order);
    return r;
}

static int add_policy(struct workload *w, const char *ns, const char *prefix, const char *name)
{
    char key[POLICY_NAME_MAX];
    snprintf(key, sizeof key, "%s/%s%s", ns, prefix, name);
    char **policies = realloc(w->policies, (w->n_policies + 1) * sizeof *policies);
    if (!policies)
        return -ENOMEM;
    w->policies = policies;
    policies[w->n_policies] = text_dup(text_of(key));
    return policies[w->n_policies] ? (w->n_policies++, 0) : -ENOMEM;
}

static int add_selecting(const struct view *v, const struct object *o, const char *ns,
                         struct workload *w)
{
    struct view_range policies = view_namespace(v, OBJECT_AUTHORIZATION_POLICY, ns);
    for (size_t i = 0; i < policies.n; i++) {
        const struct object *p = policies.items[i];
        if (authorization_selects(p) && labels_select(&p->authorization.selector, &o->labels) &&
            add_policy(w, p->ns, "", p->name) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int set_policies(const struct view *v, const struct object *o, struct workload *w)
{
    const char *root = v->settings->root_namespace;
    struct peer_outcome peer;
    if (add_selecting(v, o, o->ns, w) < 0 ||
        (strcmp(o->ns, root) != 0 && add_selecting(v, o, root, w) < 0))
        return -ENOMEM;
    peer_compose(v, o->ns, &o->labels, &peer);
    const struct object *gateway = peer.strict ? ingress_of_pod(v, o) : NULL;
    if (gateway && add_policy(w, gateway->ns, PEER_GATEWAY_PREFIX, gateway->name) < 0)
        return -ENOMEM;
    if (peer.strict && !gateway && add_policy(w, root, "", PEER_STATIC_NAME) < 0)
        return -ENOMEM;
    if (peer.ports && add_policy(w, peer.ports->ns, PEER_CONVERTED_PREFIX, peer.ports->name) < 0)
        return -ENOMEM;
    return 0;
}

static int set_addresses(const struct object *o, struct workload *w)
{
    if (o->pod.n_ips == 0)
        return 0;
    w->addresses = calloc(o->pod.n_ips, sizeof *w->addresses);
    if (!w->addresses)
        return -ENOMEM;
    memcpy(w->addresses, o->pod.ips, o->pod.n_ips * sizeof *w->addresses);
    w->n_addresses = o->pod.n_ips;
    return 0;
}

static int set_health(const struct view *v, const struct object *o, struct workload *w)
{
    w->healthy = o->pod.ready && !o->deleting && o->pod.n_ips > 0;
    return serving_pod_leaves(o) ? serving_last_pod(v, o, &w->healthy) : 0;
}

static void warn(const struct object *o, const char *field, const char *message,
                 struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    char name[MACHINE_NAME_MAX];
    struct text text = name_of(o);
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.data);
    object_key(o->made ? OBJECT_WORKLOAD_ENTRY : o->kind, o->ns, name, key);
    problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, field, "%s", message);
}

/* If any of its listeners is: one that is not served says nothing of one that is. */
static bool is_tls_port(const struct ingress *g, uint16_t port)
{
    for (size_t i = 0; i < g->n_listeners; i++)
        if (g->listeners[i].port == port && ingress_listener_is_tls(&g->listeners[i]))
            return true;
    return false;
}

/* At ports of listeners there is no application, whether the listener is served or not. */
static int set_gateway(const struct view *v, const struct object *o, struct workload *w)
{
    const struct object *gateway = ingress_of_pod(v, o);
    const struct ingress *g = gateway ? &gateway->ingress : NULL;
    if (!g)
        return 0;
    w->gateway_ports = calloc(g->n_listeners + 1, sizeof *w->gateway_ports);
    if (!w->gateway_ports)
        return -ENOMEM;
    for (size_t i = 0; i < g->n_listeners; i++)
        if (!workload_gateway_port(w, g->listeners[i].port))
            w->gateway_ports[w->n_gateway_ports++] = (struct gateway_port){
                .port = g->listeners[i].port, .tls = is_tls_port(g, g->listeners[i].port)};
    return workload_set(&w->gateway, text_of(gateway->name));
}

/* Of routes that ask who calls; only who is in the mesh is asked. */
static int set_labels(const struct object *o, struct workload *w, struct problems *problems)
{
    struct label labels[WORKLOAD_LABELS_MAX];
    size_t n = 0;
    for (; n < o->labels.n && n < WORKLOAD_LABELS_MAX; n++)
        labels[n] = (struct label){text_of(o->labels.items[n].key), text_of(o->labels.items[n].value)};
    if (o->labels.n > WORKLOAD_LABELS_MAX)
        warn(o, "metadata.labels", "are too many: only the first 128 count for sourceLabels",
             problems);
    return workload_set_labels(w, labels, n);
}

int from_pod(const struct view *v, const struct object *o, struct workload **ret,
             struct problems *problems)
{
    *ret = NULL;
    if (o->pod.over)
        return 0;
    if (!view_has_address(v, o)) {
        warn(o, "spec.address", "counts for nothing: a pod, a Service, an older entry or another namespace's "
             "EndpointSlice has it",
             problems);
        return 0;
    }
    if (o->pod.n_ips == 0) {
        if (!o->pod.alive)
            warn(o, "status.podIPs", "is missing: the mesh can't know the pod without its address",
                 problems);
        /* One that is just being made, or anew, is told to its node before it has an address: the CNI
         * plugin waits for that, and the address comes after it. */
        if (!o->pod.alive || !o->pod.node[0] || o->pod.host_network)
            return 0;
    }
    struct workload *w = workload_new();
    if (!w)
        return -ENOMEM;
    w->host_network = o->pod.host_network;
    if (o->pod.weight > 0)
        w->capacity = o->pod.weight;
    bool wants = wants_to_be_enrolled(v, o);
    if (wants && o->pod.host_network)
        warn(o, "spec.hostNetwork", "is true: the pod is its node to others, and never in the mesh",
             problems);
    bool captured = wants && !o->pod.host_network && !sidecar_is_in(v, o);
    w->tunnel = captured ? TUNNEL_HBONE : TUNNEL_NONE;
    int r = set_uid(v, o, w);
    if (r == 0)
        r = set_health(v, o, w);
    if (r == 0)
        r = set_names(v, o, w);
    if (r == 0 && w->tunnel == TUNNEL_HBONE) /* by it, its node finds it when it runs already */
        r = workload_set(&w->pod_uid, text_of(o->pod.uid));
    if (r == 0 && w->tunnel == TUNNEL_HBONE)
        r = set_gateway(v, o, w);
    if (r == 0 && w->tunnel == TUNNEL_HBONE)
        r = set_labels(o, w, problems);
    if (r == 0 && w->tunnel == TUNNEL_HBONE)
        r = from_sidecar(v, o, w);
    if (r == 0)
        r = set_addresses(o, w);
    if (r == 0)
        r = set_locality(v, o, w);
    if (r == 0)
        r = set_services(v, o, NULL, w);
    if (r == -ENOSPC) {
        warn(o, "metadata.labels", "are selected by too many Services: only the first 256 count",
             problems);
        r = 0;
    }
    if (r == 0)
        r = set_policies(v, o, w);
    if (r < 0)
        workload_free(w);
    else
        *ret = w;
    return r;
}

int from_pod_serving(const struct view *v, const struct object *o, const struct object *service,
                     struct workload **ret)
{
    *ret = NULL;
    if (o->pod.over || o->pod.n_ips == 0 || !view_has_address(v, o))
        return 0;
    struct workload *w = workload_new();
    if (!w)
        return -ENOMEM;
    if (o->pod.weight > 0)
        w->capacity = o->pod.weight;
    if (set_uid(v, o, w) < 0 || set_health(v, o, w) < 0 || set_addresses(o, w) < 0 ||
        set_locality(v, o, w) < 0 || set_services(v, o, service, w) < 0) {
        workload_free(w);
        return -ENOMEM;
    }
    *ret = w;
    return 0;
}
