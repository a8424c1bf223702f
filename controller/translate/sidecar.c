#include "controller/translate/sidecar.h"
#include "controller/translate/default_routes.h"
#include "controller/translate/service_place.h"
#include "controller/translate/traffic_host.h"
#include "shared/xds/routing.h"
#include "shared/xds/sidecar.h"
#include <errno.h>
#include <stdio.h>

#define PREFIX       "sidecar|"
#define PASSES       "PassthroughCluster"
#define PASSES_IN    "InboundPassthroughCluster"
#define GOES_NOWHERE "BlackHoleCluster"

enum { OUTBOUND_PORT = 15001, INBOUND_PORT = 15006 };

/* ---- Who is told ---------------------------------------------------------------------------- */

bool sidecar_is_in(const struct view *v, const struct object *pod)
{
    const char *said = v->settings->sidecars ? labels_get(&pod->labels, "weir.mesh/sidecar") : NULL;
    return said && strcmp(said, "envoy") == 0 && !pod->pod.host_network;
}

void sidecar_owner(struct text ns, struct text pod, struct text account,
                   char out[static SIDECAR_OWNER_MAX])
{
    int len = snprintf(out, SIDECAR_OWNER_MAX, "%.*s/%.*s/%.*s", (int)ns.len, ns.data, (int)pod.len,
                       pod.data, (int)account.len, account.data);
    if (len < 0 || len >= SIDECAR_OWNER_MAX)
        out[0] = '\0';
}

static struct text own_name(const char *owner, const char *what, char out[static XDS_NAME_MAX])
{
    int len = snprintf(out, XDS_NAME_MAX, PREFIX "%s|%s", owner, what);
    return (struct text){out, (size_t)len};
}

struct text sidecar_own_name(const char *owner, char out[static XDS_NAME_MAX])
{
    return own_name(owner, "virtualInbound", out);
}

bool sidecar_may_see(struct text listener, const char *owner)
{
    struct text whose, what, prefix = TEXT(PREFIX);
    if (!text_starts_with(listener, prefix))
        return !owner;
    listener = (struct text){listener.data + prefix.len, listener.len - prefix.len};
    if (!owner || !text_split(listener, '|', &whose, &what))
        return false;
    return whose.len == 0 || text_equal(whose, text_of(owner));
}

/* ---- Listeners ------------------------------------------------------------------------------ */

static int add(struct resources *all, enum xds_type type, const char *name, int encoded,
               struct xds_bytes *taken_body)
{
    struct resource *r;
    int err = encoded < 0 ? encoded : resource_of_body(type, name, taken_body, &r);
    return err == 0 ? resources_add(all, r) : err;
}

static int add_listener(struct resources *all, const struct sidecar_listener *l)
{
    struct xds_bytes body = {0};
    return add(all, XDS_LISTENER, l->name, xds_sidecar_listener_encode(l, &body), &body);
}

int sidecar_of_service(const struct view *v, const struct object *service, struct resources *all)
{
    struct ip addresses[SERVICE_ADDRESSES_MAX];
    char buffer[VIEW_KEY_MAX], cluster[ROUTES_NAME_MAX];
    char printed[ADDR_TEXT_MAX], name[XDS_NAME_MAX];
    int err = 0;
    if (!v->settings->sidecars || !traffic_counts(v, service))
        return 0;
    size_t n = service_addresses(v, service, addresses);
    const char *host = traffic_service_host(v, service, buffer).data;
    for (size_t i = 0; i < service->service.n_ports && err == 0; i++) {
        const struct kube_service_port *port = &service->service.ports[i];
        routes_name(host, port->port, cluster);
        const struct sidecar_chain chain = {.name = cluster,
                                            .http = app_protocol_is_http(port->app_protocol),
                                            .routes = cluster,
                                            .cluster = cluster};
        for (size_t j = 0; j < n && err == 0; j++) {
            struct sidecar_listener l = {.name = name,
                                         .role = SIDECAR_SERVICE,
                                         .at = {{addresses[j], port->port}},
                                         .n_at = 1,
                                         .chains = &chain,
                                         .n_chains = 1};
            snprintf(name, sizeof name, PREFIX "|%s|%s", addr_print(&l.at[0], printed), host);
            err = add_listener(all, &l);
        }
    }
    return err;
}

/* ---- A pod's own ---------------------------------------------------------------------------- */

struct requests { /* ports of the pod: what is spoken there */
    uint16_t ports[SIDECAR_CHAINS_MAX];
    bool http[SIDECAR_CHAINS_MAX]; /* by all Services that lead to it */
    size_t n;
};

static void note(struct requests *r, uint16_t port, bool http)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->ports[i] == port) {
            r->http[i] = r->http[i] && http;
            return;
        }
    }
    if (r->n < SIDECAR_CHAINS_MAX && port != INBOUND_PORT) {
        r->ports[r->n] = port;
        r->http[r->n++] = http;
    }
}

static void note_service(const struct view *v, const struct workload_service *serves,
                         struct requests *r)
{
    struct text ns, host;
    const struct object *service = text_split(text_of(serves->key), '/', &ns, &host)
                                       ? traffic_by_host(v, host)
                                       : NULL;
    for (size_t i = 0; service && i < service->service.n_ports; i++) {
        const struct kube_service_port *port = &service->service.ports[i];
        for (size_t j = 0; j < serves->n_ports; j++)
            if (serves->ports[j].service_port == port->port)
                note(r, serves->ports[j].target_port, app_protocol_is_http(port->app_protocol));
    }
}

/* All of both families that the pod has. */
static size_t listen_at(const struct workload *w, uint16_t port,
                        struct addr ret[static SIDECAR_ADDRESSES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_addresses && n < SIDECAR_ADDRESSES_MAX; i++) {
        struct addr any = {{.len = w->addresses[i].len}, port};
        if (n == 0 || ret[0].ip.len != any.ip.len)
            ret[n++] = any;
    }
    return n;
}

static int add_inbound(const struct view *v, const struct workload *w, const char *owner,
                       struct resources *all)
{
    struct sidecar_chain chains[SIDECAR_CHAINS_MAX + 2];
    char names[SIDECAR_CHAINS_MAX][sizeof "inbound|65535||"], name[XDS_NAME_MAX];
    struct requests requests = {0};
    struct sidecar_listener l = {
        .name = sidecar_own_name(owner, name).data, .role = SIDECAR_INBOUND, .chains = chains};
    for (size_t i = 0; i < w->n_services; i++)
        note_service(v, &w->services[i], &requests);
    for (size_t i = 0; i < requests.n; i++) {
        if (!requests.http[i])
            continue;
        snprintf(names[l.n_chains], sizeof names[0], "inbound|%u||", requests.ports[i]);
        chains[l.n_chains] = (struct sidecar_chain){.name = names[l.n_chains],
                                                    .port = requests.ports[i],
                                                    .http = true,
                                                    .cluster = PASSES_IN};
        l.n_chains++;
    }
    /* Who calls the listener itself would be sent in circles. */
    chains[l.n_chains++] = (struct sidecar_chain){
        .name = "virtualInbound-blackhole", .port = INBOUND_PORT, .cluster = GOES_NOWHERE};
    chains[l.n_chains++] =
        (struct sidecar_chain){.name = "virtualInbound", .cluster = PASSES_IN};
    l.n_at = listen_at(w, INBOUND_PORT, l.at);
    return add_listener(all, &l);
}

static int add_outbound(const struct workload *w, const char *owner, struct resources *all)
{
    char name[XDS_NAME_MAX];
    const struct sidecar_chain chains[] = {
        {.name = "virtualOutbound-blackhole", .port = OUTBOUND_PORT, .cluster = GOES_NOWHERE},
        {.name = "virtualOutbound", .cluster = PASSES},
    };
    struct sidecar_listener l = {.name = own_name(owner, "virtualOutbound", name).data,
                                 .role = SIDECAR_OUTBOUND,
                                 .chains = chains,
                                 .n_chains = sizeof chains / sizeof *chains};
    l.n_at = listen_at(w, OUTBOUND_PORT, l.at);
    return add_listener(all, &l);
}

int sidecar_of_pod(const struct view *v, const struct object *pod, const struct workload *w,
                   struct resources *all, struct problems *problems)
{
    char owner[SIDECAR_OWNER_MAX], key[OBJECT_KEY_MAX];
    if (!w || w->n_addresses == 0 || !sidecar_is_in(v, pod))
        return 0;
    sidecar_owner(text_of(w->ns), text_of(w->name), text_of(w->service_account), owner);
    if (!owner[0])
        return 0;
    object_key(pod->kind, pod->ns, pod->name, key);
    if (w->n_policies > 0)
        problems_add(problems, PROBLEM_WARNING, pod->file, pod->line, key, "metadata.labels",
                     "say that the pod has an Envoy of its own: policies that select it have no "
                     "effect there");
    int err = add_inbound(v, w, owner, all);
    return err == 0 ? add_outbound(w, owner, all) : err;
}

/* ---- What they have in common --------------------------------------------------------------- */

static int add_cluster(const char *name, enum cluster_kind kind, struct resources *all)
{
    struct xds_bytes body = {0};
    struct cluster *c = cluster_new(CLUSTER_BYTES_MAX);
    if (!c)
        return -ENOMEM;
    c->name = text_of(name);
    c->kind = kind;
    c->protocol = UPSTREAM_AS_DOWNSTREAM;
    int err = add(all, XDS_CLUSTER, name, xds_cluster_encode(c, &body), &body);
    if (err == 0) /* node proxies have no use for it */
        all->items[all->n - 1]->by_name_only = true;
    cluster_free(c);
    return err;
}

int sidecar_common(const struct view *v, struct resources *all)
{
    if (!v->settings->sidecars)
        return 0;
    int err = add_cluster(PASSES, CLUSTER_ORIGINAL_DST, all);
    if (err == 0)
        err = add_cluster(PASSES_IN, CLUSTER_ORIGINAL_DST, all);
    return err == 0 ? add_cluster(GOES_NOWHERE, CLUSTER_STATIC, all) : err;
}
