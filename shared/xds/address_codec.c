#include "shared/mesh/egress.h"
#include "shared/xds/wire.h"
#include "weir.pb-c.h"
#include "workload.pb-c.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* An unpacked address is at most this many times its bytes, and some more. */
enum { GROWTH = 64, POLICIES_MAX = 1024, ALT_NAMES_MAX = 256 };
enum { POD_UID_MAX = 128 };

/* What istio.workload has no field for: docs/decisions/0015. */
static char pod_extension[] = "weir.mesh/pod";
static char pod_type_url[] = "type.googleapis.com/weir.workload.Pod";
static char service_extension[] = "weir.mesh/service";
static char service_type_url[] = "type.googleapis.com/weir.workload.Service";

/* ---- Decoding ------------------------------------------------------------------------------ */

static int take_name(char **field, const char *value, const char *name, bool required,
                     char why[static XDS_WHY_MAX])
{
    struct text t = text_of(value);

    if (required && t.len == 0)
        return wire_refuse(why, "%s: must not be empty", name);
    if (t.len > XDS_NAME_MAX)
        return wire_refuse(why, "%s: has %zu bytes, at most %d are allowed", name, t.len,
                           XDS_NAME_MAX);
    return workload_set(field, t) < 0 ? wire_no_memory(why) : 0;
}

static int check_count(const char *name, size_t n, size_t max, char why[static XDS_WHY_MAX])
{
    return n > max ? wire_refuse(why, "%s: has %zu entries, at most %zu are allowed", name, n, max)
                   : 0;
}

static int check_enum(const char *name, int value, int max, char why[static XDS_WHY_MAX])
{
    return value < 0 || value > max
               ? wire_refuse(why, "%s: %d is no value known here (0 to %d)", name, value, max)
               : 0;
}

static int take_names(char ***ret_items, size_t *ret_n, char *const *values, size_t n, size_t max,
                      const char *name, char why[static XDS_WHY_MAX])
{
    int r = check_count(name, n, max, why);
    if (r < 0 || n == 0)
        return r;
    if (!(*ret_items = calloc(n, sizeof **ret_items)))
        return wire_no_memory(why);
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        if ((r = take_name(&(*ret_items)[i], values[i], name, true, why)) < 0)
            return r;
    }
    return 0;
}

static int take_ports(struct port_pair **ret_items, size_t *ret_n, Istio__Workload__Port **values,
                      size_t n, const char *name, char why[static XDS_WHY_MAX])
{
    int r = check_count(name, n, SERVICE_PORTS_MAX, why);
    if (r < 0 || n == 0)
        return r;
    if (!(*ret_items = calloc(n, sizeof **ret_items)))
        return wire_no_memory(why);
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        const Istio__Workload__Port *p = values[i];
        if (p->service_port == 0 || p->service_port > UINT16_MAX)
            return wire_refuse(why, "%s.service_port: %u is not in 1 to 65535", name,
                               p->service_port);
        if (p->target_port > UINT16_MAX)
            return wire_refuse(why, "%s.target_port: %u is not in 0 to 65535", name,
                               p->target_port);
        unsigned app = (unsigned)p->app_protocol;
        (*ret_items)[i] = (struct port_pair){
            .service_port = (uint16_t)p->service_port,
            .target_port = (uint16_t)p->target_port,
            .app_protocol = app <= ISTIO__WORKLOAD__APP_PROTOCOL__TLS ? (uint8_t)app : 0,
        };
    }
    return 0;
}

static int take_workload_services(struct workload *w, const Istio__Workload__Workload *m,
                                  char why[static XDS_WHY_MAX])
{
    int r = check_count("workload.services", m->n_services, WORKLOAD_SERVICES_MAX, why);
    if (r < 0 || m->n_services == 0)
        return r;
    if (!(w->services = calloc(m->n_services, sizeof *w->services)))
        return wire_no_memory(why);
    for (size_t i = 0; i < m->n_services; i++) {
        const Istio__Workload__Workload__ServicesEntry *e = m->services[i];
        bool again = false;
        /* A map's key that comes again replaces what was said before. */
        for (size_t later = i + 1; later < m->n_services; later++)
            again = again || strcmp(e->key, m->services[later]->key) == 0;
        if (again)
            continue;
        if (!strchr(e->key, '/'))
            return wire_refuse(why, "workload.services: '%.100s' is not namespace/hostname",
                               e->key);
        struct workload_service *s = &w->services[w->n_services++];
        if ((r = take_name(&s->key, e->key, "workload.services", true, why)) < 0 ||
            (e->value && (r = take_ports(&s->ports, &s->n_ports, e->value->ports, e->value->n_ports,
                                         "workload.services.ports", why)) < 0))
            return r;
    }
    return 0;
}

static int take_addresses(struct workload *w, const Istio__Workload__Workload *m,
                          char why[static XDS_WHY_MAX])
{
    int r = check_count("workload.addresses", m->n_addresses, WORKLOAD_ADDRESSES_MAX, why);
    if (r < 0 || m->n_addresses == 0)
        return r;
    if (!(w->addresses = calloc(m->n_addresses, sizeof *w->addresses)))
        return wire_no_memory(why);
    w->n_addresses = m->n_addresses;
    for (size_t i = 0; i < m->n_addresses; i++) {
        if (ip_from_bytes(m->addresses[i].data, m->addresses[i].len, &w->addresses[i]) < 0)
            return wire_refuse(why, "workload.addresses: has %zu bytes, must be 4 or 16",
                               m->addresses[i].len);
    }
    return 0;
}

static int take_labels(struct workload *w, const Weir__Workload__Pod *pod, struct arena *a,
                       char why[static XDS_WHY_MAX])
{
    int r = check_count("Pod.labels", pod->n_labels, WORKLOAD_LABELS_MAX, why);
    if (r < 0 || pod->n_labels == 0)
        return r;
    struct label *labels = arena_zero(a, pod->n_labels, sizeof *labels);
    if (!labels)
        return wire_no_memory(why);
    size_t n = 0;
    for (size_t i = 0; i < pod->n_labels; i++) {
        const Weir__Workload__Pod__LabelsEntry *e = pod->labels[i];
        labels[n++] = (struct label){text_of(e->key), text_of(e->value)};
        if (labels[n - 1].name.len > XDS_NAME_MAX || labels[n - 1].value.len > XDS_NAME_MAX)
            return wire_refuse(why, "Pod.labels: one has more than %d bytes", XDS_NAME_MAX);
    }
    return workload_set_labels(w, labels, n) < 0 ? wire_no_memory(why) : 0;
}

static int take_gateway_ports(struct workload *w, const Weir__Workload__Pod *pod,
                              char why[static XDS_WHY_MAX])
{
    int r = check_count("Pod.gateway_ports", pod->n_gateway_ports, GATEWAY_PORTS_MAX, why);
    if (r < 0 || pod->n_gateway_ports == 0)
        return r;
    w->gateway_ports = calloc(pod->n_gateway_ports, sizeof *w->gateway_ports);
    if (!w->gateway_ports)
        return wire_no_memory(why);
    for (size_t i = 0; i < pod->n_gateway_ports; i++) {
        const Weir__Workload__GatewayPort *p = pod->gateway_ports[i];
        if (p->port == 0 || p->port > UINT16_MAX)
            return wire_refuse(why, "Pod.gateway_ports: %u is no port", p->port);
        if (workload_gateway_port(w, (uint16_t)p->port))
            return wire_refuse(why, "Pod.gateway_ports: %u is there twice", p->port);
        w->gateway_ports[w->n_gateway_ports++] = (struct gateway_port){(uint16_t)p->port, p->tls};
    }
    return 0;
}

static int take_egress(struct workload *w, const Weir__Workload__Pod *pod,
                       char why[static XDS_WHY_MAX])
{
    w->registry_only = pod->registry_only;
    int r = take_names(&w->egress, &w->n_egress, pod->egress, pod->n_egress, EGRESS_HOSTS_MAX,
                       "Pod.egress", why);
    for (size_t i = 0; i < w->n_egress && r == 0; i++) {
        const char *wrong = egress_host_check(text_of(w->egress[i]));
        if (wrong)
            r = wire_refuse(why, "Pod.egress: '%.100s' %s", w->egress[i], wrong);
    }
    return r;
}

/* Of extensions, ours; those of others are for others. NULL: it is not there. */
static int find_extension(Istio__Workload__Extension **extensions, size_t n, const char *name,
                          const char *type_url, const ProtobufCMessageDescriptor *descriptor,
                          struct arena *a, const ProtobufCMessage **ret,
                          char why[static XDS_WHY_MAX])
{
    *ret = NULL;
    for (size_t i = 0; i < n; i++) {
        const Google__Protobuf__Any *config = extensions[i]->config;
        if (strcmp(extensions[i]->name, name) == 0 && config &&
            strcmp(config->type_url, type_url) == 0)
            return wire_unpack(descriptor, config->value.data, config->value.len, a, ret, why);
    }
    return 0;
}

static int take_pod(struct workload *w, const Istio__Workload__Workload *m, struct arena *a,
                    char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *found;
    int r = find_extension(m->extensions, m->n_extensions, pod_extension, pod_type_url,
                           &weir__workload__pod__descriptor, a, &found, why);
    const Weir__Workload__Pod *pod = (const Weir__Workload__Pod *)found;
    if (r < 0 || !pod)
        return r;
    struct text uid = text_of(pod->uid);
    if (uid.len > POD_UID_MAX)
        return wire_refuse(why, "Pod.uid: has %zu bytes, at most %d are allowed", uid.len,
                           POD_UID_MAX);
    if (workload_set(&w->pod_uid, uid) < 0)
        return wire_no_memory(why);
    r = take_name(&w->gateway, pod->gateway, "Pod.gateway", false, why);
    if (r == 0)
        r = take_gateway_ports(w, pod, why);
    if (r == 0)
        r = take_labels(w, pod, a, why);
    return r < 0 ? r : take_egress(w, pod, why);
}

static int take_workload(struct workload *w, const Istio__Workload__Workload *m, struct arena *a,
                         char why[static XDS_WHY_MAX])
{
    const struct {
        char **field;
        const char *value, *name;
        bool required;
    } strings[] = {
        {&w->uid, m->uid, "workload.uid", true},
        {&w->name, m->name, "workload.name", false},
        {&w->ns, m->namespace_, "workload.namespace", false},
        {&w->hostname, m->hostname, "workload.hostname", false},
        {&w->network, m->network, "workload.network", false},
        {&w->node, m->node, "workload.node", false},
        {&w->canonical_name, m->canonical_name, "workload.canonical_name", false},
        {&w->canonical_revision, m->canonical_revision, "workload.canonical_revision", false},
        {&w->workload_name, m->workload_name, "workload.workload_name", false},
        {&w->cluster_id, m->cluster_id, "workload.cluster_id", false},
        {&w->locality.region, m->locality ? m->locality->region : "", "workload.locality", false},
        {&w->locality.zone, m->locality ? m->locality->zone : "", "workload.locality", false},
        {&w->locality.subzone, m->locality ? m->locality->subzone : "", "workload.locality", false},
        /* Empty stands for what is usual, as for every consumer of this message. */
        {&w->trust_domain, *m->trust_domain ? m->trust_domain : "cluster.local",
         "workload.trust_domain", true},
        {&w->service_account, *m->service_account ? m->service_account : "default",
         "workload.service_account", true},
    };
    int r;

    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        if ((r = take_name(strings[i].field, strings[i].value, strings[i].name, strings[i].required,
                           why)) < 0)
            return r;
    }
    const char *bad = trust_domain_check(text_of(w->trust_domain));
    if (bad)
        return wire_refuse(why, "workload.trust_domain: %s", bad);
    if ((r = check_enum("workload.workload_type", (int)m->workload_type, WORKLOAD_JOB, why)) < 0 ||
        (r = check_enum("workload.tunnel_protocol", (int)m->tunnel_protocol, TUNNEL_HBONE, why)) <
            0 ||
        (r = check_enum("workload.status", (int)m->status,
                        ISTIO__WORKLOAD__WORKLOAD_STATUS__UNHEALTHY, why)) < 0 ||
        (r = check_enum("workload.network_mode", (int)m->network_mode,
                        ISTIO__WORKLOAD__NETWORK_MODE__HOST_NETWORK, why)) < 0)
        return r;
    w->type = (enum workload_type)m->workload_type;
    w->tunnel = (enum tunnel_protocol)m->tunnel_protocol;
    w->native_tunnel = m->native_tunnel;
    w->healthy = m->status == ISTIO__WORKLOAD__WORKLOAD_STATUS__HEALTHY;
    w->host_network = m->network_mode == ISTIO__WORKLOAD__NETWORK_MODE__HOST_NETWORK;
    w->capacity = m->capacity ? m->capacity->value : 1;
    if ((r = take_addresses(w, m, why)) < 0 || (r = take_workload_services(w, m, why)) < 0 ||
        (r = take_pod(w, m, a, why)) < 0)
        return r;
    return take_names(&w->policies, &w->n_policies, m->authorization_policies,
                      m->n_authorization_policies, POLICIES_MAX, "workload.authorization_policies",
                      why);
}

static int take_service_addresses(struct service *s, const Istio__Workload__Service *m,
                                  char why[static XDS_WHY_MAX])
{
    int r = check_count("service.addresses", m->n_addresses, SERVICE_ADDRESSES_MAX, why);
    if (r < 0 || m->n_addresses == 0)
        return r;
    if (!(s->addresses = calloc(m->n_addresses, sizeof *s->addresses)))
        return wire_no_memory(why);
    for (size_t i = 0; i < m->n_addresses; i++) {
        const Istio__Workload__NetworkAddress *from = m->addresses[i];
        size_t len = from->address.len;
        struct service_address *to = &s->addresses[s->n_addresses];
        if (ip_from_bytes(from->address.data, len, &to->ip) < 0)
            return wire_refuse(why, "service.addresses: has %zu bytes, must be 4 or 16", len);
        /* A range is no virtual address of a service here: it is left out, the rest stands. */
        if (from->length != 0 && from->length != len * 8)
            continue;
        s->n_addresses++;
        if ((r = take_name(&to->network, from->network, "service.addresses.network", false, why)) <
            0)
            return r;
    }
    return 0;
}

static int take_exported(struct service *s, const Istio__Workload__Service *m, struct arena *a,
                         char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *found;
    int r = find_extension(m->extensions, m->n_extensions, service_extension, service_type_url,
                           &weir__workload__service__descriptor, a, &found, why);
    const Weir__Workload__Service *more = (const Weir__Workload__Service *)found;
    if (r < 0 || !more)
        return r;
    return take_names(&s->exported, &s->n_exported, more->export_to, more->n_export_to,
                      SERVICE_EXPORTED_MAX, "Service.export_to", why);
}

static int take_service(struct service *s, const Istio__Workload__Service *m, struct arena *a,
                        char why[static XDS_WHY_MAX])
{
    const Istio__Workload__LoadBalancing *lb = m->load_balancing;
    int r;

    if ((r = take_name(&s->name, m->name, "service.name", false, why)) < 0 ||
        (r = take_name(&s->ns, m->namespace_, "service.namespace", true, why)) < 0 ||
        (r = take_name(&s->hostname, m->hostname, "service.hostname", true, why)) < 0)
        return r;
    size_t ns_len = strlen(s->ns), host_len = strlen(s->hostname);
    free(s->key);
    if (!(s->key = malloc(ns_len + host_len + 2)))
        return wire_no_memory(why);
    memcpy(s->key, s->ns, ns_len);
    s->key[ns_len] = '/';
    memcpy(s->key + ns_len + 1, s->hostname, host_len + 1);
    if (strchr(s->ns, '/'))
        return wire_refuse(why, "service.namespace: must not have a slash");
    if ((r = take_service_addresses(s, m, why)) < 0 || (r = take_exported(s, m, a, why)) < 0 ||
        (r = take_ports(&s->ports, &s->n_ports, m->ports, m->n_ports, "service.ports", why)) < 0 ||
        (r = take_names(&s->subject_alt_names, &s->n_subject_alt_names, m->subject_alt_names,
                        m->n_subject_alt_names, ALT_NAMES_MAX, "service.subject_alt_names", why)) <
            0 ||
        (r = check_enum("service.ip_families", (int)m->ip_families,
                        ISTIO__WORKLOAD__IPFAMILIES__DUAL, why)) < 0)
        return r;
    s->ip_families = (uint8_t)m->ip_families;
    s->canonical = m->canonical;
    if (!lb)
        return 0;
    if ((r = check_count("service.load_balancing.routing_preference", lb->n_routing_preference,
                         LB_SCOPES_MAX, why)) < 0 ||
        (r = check_enum("service.load_balancing.mode", (int)lb->mode, LB_PASSTHROUGH, why)) < 0 ||
        (r = check_enum("service.load_balancing.health_policy", (int)lb->health_policy,
                        ISTIO__WORKLOAD__LOAD_BALANCING__HEALTH_POLICY__ALLOW_ALL, why)) < 0)
        return r;
    for (size_t i = 0; i < lb->n_routing_preference; i++) {
        if ((r = check_enum("service.load_balancing.routing_preference",
                            (int)lb->routing_preference[i], LB_NETWORK, why)) < 0)
            return r;
        s->scopes[s->n_scopes++] = (enum lb_scope)lb->routing_preference[i];
    }
    s->lb_mode = (enum lb_mode)lb->mode;
    s->allow_unhealthy =
        lb->health_policy == ISTIO__WORKLOAD__LOAD_BALANCING__HEALTH_POLICY__ALLOW_ALL;
    return 0;
}

int xds_address_decode(const uint8_t *data, size_t len, struct workload **ret_workload,
                       struct service **ret_service, char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *unpacked;
    struct arena arena;

    arena_init(&arena, wire_space(len, GROWTH));
    int r = wire_unpack(&istio__workload__address__descriptor, data, len, &arena, &unpacked, why);
    if (r < 0)
        goto done;
    const Istio__Workload__Address *m = (const Istio__Workload__Address *)unpacked;
    if (m->type_case == ISTIO__WORKLOAD__ADDRESS__TYPE_WORKLOAD) {
        struct workload *w = workload_new();
        r = w ? take_workload(w, m->workload, &arena, why) : wire_no_memory(why);
        if (r < 0) {
            (void)workload_free(w);
            goto done;
        }
        *ret_workload = w;
        *ret_service = NULL;
    } else if (m->type_case == ISTIO__WORKLOAD__ADDRESS__TYPE_SERVICE) {
        struct service *s = service_new();
        r = s ? take_service(s, m->service, &arena, why) : wire_no_memory(why);
        if (r < 0) {
            (void)service_free(s);
            goto done;
        }
        *ret_workload = NULL;
        *ret_service = s;
    } else {
        r = wire_refuse(why, "Address: has neither a workload nor a service");
    }
done:
    arena_done(&arena);
    return r;
}

/* ---- Encoding ------------------------------------------------------------------------------ */

static Istio__Workload__Port **give_ports(struct arena *a, const struct port_pair *ports, size_t n)
{
    Istio__Workload__Port **list = arena_zero(a, n, sizeof *list);
    Istio__Workload__Port *items = arena_zero(a, n, sizeof *items);

    for (size_t i = 0; list && items && i < n; i++) {
        istio__workload__port__init(&items[i]);
        items[i].service_port = ports[i].service_port;
        items[i].target_port = ports[i].target_port;
        items[i].app_protocol = (Istio__Workload__AppProtocol)ports[i].app_protocol;
        list[i] = &items[i];
    }
    return items ? list : NULL;
}

static bool give_services(struct arena *a, const struct workload *w, Istio__Workload__Workload *m)
{
    Istio__Workload__Workload__ServicesEntry *entries =
        arena_zero(a, w->n_services, sizeof *entries);
    Istio__Workload__PortList *lists = arena_zero(a, w->n_services, sizeof *lists);

    m->services = arena_zero(a, w->n_services, sizeof *m->services);
    if (!entries || !lists || !m->services)
        return false;
    m->n_services = w->n_services;
    for (size_t i = 0; i < w->n_services; i++) {
        const struct workload_service *s = &w->services[i];
        istio__workload__workload__services_entry__init(&entries[i]);
        istio__workload__port_list__init(&lists[i]);
        lists[i].n_ports = s->n_ports;
        if (!(lists[i].ports = give_ports(a, s->ports, s->n_ports)))
            return false;
        entries[i].key = s->key;
        entries[i].value = &lists[i];
        m->services[i] = &entries[i];
    }
    return true;
}

static bool give_labels(struct arena *a, const struct workload *w, Weir__Workload__Pod *pod)
{
    Weir__Workload__Pod__LabelsEntry *entries = arena_zero(a, w->n_labels, sizeof *entries);
    pod->labels = arena_zero(a, w->n_labels, sizeof *pod->labels);
    if (!entries || !pod->labels)
        return false;
    pod->n_labels = w->n_labels;
    for (size_t i = 0; i < w->n_labels; i++) {
        weir__workload__pod__labels_entry__init(&entries[i]);
        entries[i].key = (char *)arena_text(a, w->labels[i].name).data;
        entries[i].value = (char *)arena_text(a, w->labels[i].value).data;
        if (!entries[i].key || !entries[i].value)
            return false;
        pod->labels[i] = &entries[i];
    }
    return true;
}

static bool give_gateway_ports(struct arena *a, const struct workload *w, Weir__Workload__Pod *pod)
{
    size_t n = w->n_gateway_ports;
    if (n == 0)
        return true;
    Weir__Workload__GatewayPort *ports = arena_zero(a, n, sizeof *ports);
    pod->gateway_ports = arena_zero(a, n, sizeof *pod->gateway_ports);
    if (!ports || !pod->gateway_ports)
        return false;
    pod->n_gateway_ports = n;
    for (size_t i = 0; i < n; i++) {
        weir__workload__gateway_port__init(&ports[i]);
        ports[i].port = w->gateway_ports[i].port;
        ports[i].tls = w->gateway_ports[i].tls;
        pod->gateway_ports[i] = &ports[i];
    }
    return true;
}

/* A list of one extension; NULL: no memory. */
static Istio__Workload__Extension **give_extension(struct arena *a, const ProtobufCMessage *m,
                                                   char *name, char *type_url)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    Istio__Workload__Extension *extension = arena_zero(a, 1, sizeof *extension);
    Google__Protobuf__Any *config = arena_zero(a, 1, sizeof *config);
    Istio__Workload__Extension **list = arena_zero(a, 1, sizeof *list);
    uint8_t *bytes = arena_zero(a, len, 1);
    if (!extension || !config || !list || !bytes)
        return NULL;
    (void)protobuf_c_message_pack(m, bytes);
    google__protobuf__any__init(config);
    config->type_url = type_url;
    config->value = (ProtobufCBinaryData){len, bytes};
    istio__workload__extension__init(extension);
    extension->name = name;
    extension->config = config;
    list[0] = extension;
    return list;
}

static int give_pod(struct arena *a, const struct workload *w, Istio__Workload__Workload *m)
{
    Weir__Workload__Pod pod = WEIR__WORKLOAD__POD__INIT;
    if (!*w->pod_uid && !*w->gateway && w->n_labels == 0 && w->n_gateway_ports == 0 &&
        w->n_egress == 0 && !w->registry_only)
        return 0;
    pod.uid = w->pod_uid;
    pod.gateway = w->gateway;
    pod.egress = w->egress;
    pod.n_egress = w->n_egress;
    pod.registry_only = w->registry_only;
    if (!give_labels(a, w, &pod) || !give_gateway_ports(a, w, &pod))
        return -ENOMEM;
    m->extensions = give_extension(a, &pod.base, pod_extension, pod_type_url);
    m->n_extensions = m->extensions != NULL;
    return m->extensions ? 0 : -ENOMEM;
}

static int give_exported(struct arena *a, const struct service *s, Istio__Workload__Service *m)
{
    Weir__Workload__Service more = WEIR__WORKLOAD__SERVICE__INIT;
    if (s->n_exported == 0)
        return 0;
    more.export_to = s->exported;
    more.n_export_to = s->n_exported;
    m->extensions = give_extension(a, &more.base, service_extension, service_type_url);
    m->n_extensions = m->extensions != NULL;
    return m->extensions ? 0 : -ENOMEM;
}

static int pack_address(Istio__Workload__Workload *w, Istio__Workload__Service *s,
                        struct xds_bytes *ret)
{
    Istio__Workload__Address m = ISTIO__WORKLOAD__ADDRESS__INIT;

    if (w) {
        m.type_case = ISTIO__WORKLOAD__ADDRESS__TYPE_WORKLOAD;
        m.workload = w;
    } else {
        m.type_case = ISTIO__WORKLOAD__ADDRESS__TYPE_SERVICE;
        m.service = s;
    }
    return wire_pack(&m.base, ret);
}

int xds_workload_encode(const struct workload *w, struct xds_bytes *ret)
{
    Istio__Workload__Workload m = ISTIO__WORKLOAD__WORKLOAD__INIT;
    Istio__Workload__Locality locality = ISTIO__WORKLOAD__LOCALITY__INIT;
    Google__Protobuf__UInt32Value capacity = GOOGLE__PROTOBUF__UINT32_VALUE__INIT;
    struct arena a;
    int r = -ENOMEM;

    arena_init(&a, SIZE_MAX);
    m.uid = w->uid;
    m.name = w->name;
    m.namespace_ = w->ns;
    m.hostname = w->hostname;
    m.network = w->network;
    m.node = w->node;
    m.canonical_name = w->canonical_name;
    m.canonical_revision = w->canonical_revision;
    m.workload_name = w->workload_name;
    m.cluster_id = w->cluster_id;
    m.service_account = w->service_account;
    if (strcmp(w->trust_domain, "cluster.local") != 0)
        m.trust_domain = w->trust_domain;
    if (*w->locality.region || *w->locality.zone || *w->locality.subzone) {
        locality.region = w->locality.region;
        locality.zone = w->locality.zone;
        locality.subzone = w->locality.subzone;
        m.locality = &locality;
    }
    if (w->capacity != 1) {
        capacity.value = w->capacity;
        m.capacity = &capacity;
    }
    m.workload_type = (Istio__Workload__WorkloadType)w->type;
    m.tunnel_protocol = (Istio__Workload__TunnelProtocol)w->tunnel;
    m.native_tunnel = w->native_tunnel;
    m.status = w->healthy ? ISTIO__WORKLOAD__WORKLOAD_STATUS__HEALTHY
                          : ISTIO__WORKLOAD__WORKLOAD_STATUS__UNHEALTHY;
    m.network_mode = w->host_network ? ISTIO__WORKLOAD__NETWORK_MODE__HOST_NETWORK
                                     : ISTIO__WORKLOAD__NETWORK_MODE__STANDARD;
    m.n_authorization_policies = w->n_policies;
    m.authorization_policies = w->policies;
    m.n_addresses = w->n_addresses;
    m.addresses = arena_zero(&a, w->n_addresses, sizeof *m.addresses);
    for (size_t i = 0; m.addresses && i < w->n_addresses; i++)
        m.addresses[i] = (ProtobufCBinaryData){w->addresses[i].len, w->addresses[i].bytes};
    if (m.addresses && give_services(&a, w, &m) && give_pod(&a, w, &m) == 0)
        r = pack_address(&m, NULL, ret);
    arena_done(&a);
    return r;
}

int xds_service_encode(const struct service *s, struct xds_bytes *ret)
{
    Istio__Workload__Service m = ISTIO__WORKLOAD__SERVICE__INIT;
    Istio__Workload__LoadBalancing lb = ISTIO__WORKLOAD__LOAD_BALANCING__INIT;
    Istio__Workload__LoadBalancing__Scope scopes[LB_SCOPES_MAX];
    struct arena a;
    int r = -ENOMEM;

    arena_init(&a, SIZE_MAX);
    m.name = s->name;
    m.namespace_ = s->ns;
    m.hostname = s->hostname;
    m.n_subject_alt_names = s->n_subject_alt_names;
    m.subject_alt_names = s->subject_alt_names;
    m.ip_families = (Istio__Workload__IPFamilies)s->ip_families;
    m.canonical = s->canonical;
    if (s->n_scopes > 0 || s->lb_mode != LB_UNSPECIFIED_MODE || s->allow_unhealthy) {
        for (size_t i = 0; i < s->n_scopes; i++)
            scopes[i] = (Istio__Workload__LoadBalancing__Scope)s->scopes[i];
        lb.n_routing_preference = s->n_scopes;
        lb.routing_preference = scopes;
        lb.mode = (Istio__Workload__LoadBalancing__Mode)s->lb_mode;
        if (s->allow_unhealthy)
            lb.health_policy = ISTIO__WORKLOAD__LOAD_BALANCING__HEALTH_POLICY__ALLOW_ALL;
        m.load_balancing = &lb;
    }
    Istio__Workload__NetworkAddress *items = arena_zero(&a, s->n_addresses, sizeof *items);
    m.addresses = arena_zero(&a, s->n_addresses, sizeof *m.addresses);
    m.n_addresses = s->n_addresses;
    for (size_t i = 0; items && m.addresses && i < s->n_addresses; i++) {
        struct service_address *from = &s->addresses[i];
        istio__workload__network_address__init(&items[i]);
        items[i].network = from->network;
        items[i].address = (ProtobufCBinaryData){from->ip.len, from->ip.bytes};
        m.addresses[i] = &items[i];
    }
    m.n_ports = s->n_ports;
    m.ports = give_ports(&a, s->ports, s->n_ports);
    if (items && m.addresses && m.ports && give_exported(&a, s, &m) == 0)
        r = pack_address(NULL, &m, ret);
    arena_done(&a);
    return r;
}
