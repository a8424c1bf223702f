/* What a node proxy knows, as JSON; see the header. */
#include "nodeproxy/node_dump.h"

#include "nodeproxy/control/routes_dump.h"
#include "shared/base/clock.h"
#include <stdio.h>
#include <weir_version.h>

static void put_ips(struct json_out *o, const char *name, const struct ip *ips, size_t n)
{
    char text[IP_TEXT_MAX];
    json_out_array(o, name);
    for (size_t i = 0; i < n; i++)
        json_out_string(o, NULL, ip_print(&ips[i], text));
    json_out_end(o);
}

static void put_ports(struct json_out *o, const char *name, const struct port_pair *ports, size_t n)
{
    json_out_array(o, name);
    for (size_t i = 0; i < n; i++) {
        json_out_object(o, NULL);
        json_out_u64(o, "port", ports[i].service_port);
        json_out_u64(o, "targetPort", ports[i].target_port);
        json_out_end(o);
    }
    json_out_end(o);
}

static bool put_workload(const struct workload *w, void *arg)
{
    struct json_out *o = arg;
    char identity[SPIFFE_ID_TEXT_MAX];
    static const char *const types[] = {"deployment", "cronjob", "pod", "job"};
    snprintf(identity, sizeof identity, "spiffe://%s/ns/%s/sa/%s", w->trust_domain, w->ns, w->service_account);
    json_out_object(o, NULL);
    json_out_string(o, "uid", w->uid);
    json_out_string(o, "name", w->name);
    json_out_string(o, "namespace", w->ns);
    put_ips(o, "addresses", w->addresses, w->n_addresses);
    json_out_string(o, "node", w->node);
    json_out_string(o, "protocol", w->tunnel == TUNNEL_HBONE ? "HBONE" : "TCP");
    json_out_string(o, "serviceAccount", w->service_account);
    json_out_string(o, "identity", identity);
    json_out_string(o, "status", w->healthy ? "Healthy" : "Unhealthy");
    json_out_string(o, "network", w->network);
    json_out_string(o, "clusterId", w->cluster_id);
    json_out_string(o, "workloadName", w->workload_name);
    json_out_string(o, "workloadType", types[w->type]);
    json_out_string(o, "canonicalName", w->canonical_name);
    json_out_string(o, "canonicalRevision", w->canonical_revision);
    json_out_bool(o, "hostNetwork", w->host_network);
    json_out_object(o, "locality");
    json_out_string(o, "region", w->locality.region);
    json_out_string(o, "zone", w->locality.zone);
    json_out_end(o);
    json_out_array(o, "services");
    for (size_t i = 0; i < w->n_services; i++) {
        json_out_object(o, NULL);
        json_out_string(o, "key", w->services[i].key);
        put_ports(o, "ports", w->services[i].ports, w->services[i].n_ports);
        json_out_end(o);
    }
    json_out_end(o);
    json_out_array(o, "policies");
    for (size_t i = 0; i < w->n_policies; i++)
        json_out_string(o, NULL, w->policies[i]);
    json_out_end(o);
    json_out_end(o);
    return true;
}

struct service_dump {
    struct json_out *out;
    const struct directory *directory;
};

static bool put_service(const struct service *s, void *arg)
{
    struct service_dump *d = arg;
    char text[IP_TEXT_MAX];
    const struct workload *const *endpoints;
    size_t n = directory_endpoints(d->directory, s, &endpoints), healthy = 0;
    for (size_t i = 0; i < n; i++)
        healthy += endpoints[i]->healthy;
    json_out_object(d->out, NULL);
    json_out_string(d->out, "name", s->name);
    json_out_string(d->out, "namespace", s->ns);
    json_out_string(d->out, "hostname", s->hostname);
    json_out_array(d->out, "vips");
    for (size_t i = 0; i < s->n_addresses; i++)
        json_out_string(d->out, NULL, ip_print(&s->addresses[i].ip, text));
    json_out_end(d->out);
    put_ports(d->out, "ports", s->ports, s->n_ports);
    json_out_u64(d->out, "endpoints", n);
    json_out_u64(d->out, "healthyEndpoints", healthy);
    json_out_end(d->out);
    return true;
}

static bool put_policy(const struct policy *p, void *arg)
{
    struct json_out *o = arg;
    static const char *const scopes[] = {"Global", "Namespace", "WorkloadSelector"};
    static const char *const actions[] = {"Allow", "Deny", "Audit"};
    json_out_object(o, NULL);
    json_out_string(o, "name", p->name);
    json_out_string(o, "namespace", p->ns);
    json_out_string(o, "action", actions[p->action]);
    json_out_string(o, "scope", scopes[p->scope]);
    json_out_bool(o, "dryRun", p->dry_run);
    json_out_u64(o, "rules", p->n_rules);
    json_out_u64(o, "httpRules", p->n_http_rules);
    json_out_end(o);
    return true;
}

static void put_chain(struct json_out *o, const char *pem, bool chain)
{
    struct x509 all[X509_CHAIN_MAX];
    char serial[2 * X509_SERIAL_MAX + 1], from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
    int64_t now = clock_unix_s();
    const char *why;
    size_t n = 0;
    if (x509_from_pem(text_of(pem), all, X509_CHAIN_MAX, &n, &why) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        x509_serial_text(&all[i], serial);
        json_out_object(o, NULL);
        json_out_string(o, "type", !chain ? "Root" : i == 0 ? "Leaf" : "Intermediate");
        json_out_string(o, "serialNumber", serial);
        json_out_bool(o, "valid", now >= all[i].not_before_s && now < all[i].not_after_s);
        json_out_string(o, "notBefore", clock_print(all[i].not_before_s * 1000, 0, from));
        json_out_string(o, "notAfter", clock_print(all[i].not_after_s * 1000, 0, to));
        json_out_end(o);
        x509_done(&all[i]);
    }
}

static void put_certificate(const struct spiffe_id *id, const char *state, const struct credential *c, const char *error, void *arg)
{
    struct json_out *o = arg;
    char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
    json_out_object(o, NULL);
    json_out_text(o, "identity", spiffe_id_text(id));
    json_out_string(o, "state", state);
    if (error && error[0])
        json_out_string(o, "error", error);
    if (c) {
        json_out_string(o, "serialNumber", c->serial);
        json_out_string(o, "notBefore", clock_print(c->not_before_s * 1000, 0, from));
        json_out_string(o, "notAfter", clock_print(c->not_after_s * 1000, 0, to));
        json_out_array(o, "certChain");
        put_chain(o, c->chain_pem, true);
        put_chain(o, c->roots_pem, false);
        json_out_end(o);
        json_out_string(o, "chainPem", c->chain_pem);
        json_out_string(o, "rootsPem", c->roots_pem);
    }
    json_out_end(o);
}

void node_dump_workloads(struct node *n, struct json_out *o)
{
    json_out_array(o, "workloads");
    directory_each_workload(n->directory, put_workload, o);
    json_out_end(o);
}
void node_dump_services(struct node *n, struct json_out *o)
{
    struct service_dump d = {o, n->directory};
    json_out_array(o, "services");
    directory_each_service(n->directory, put_service, &d);
    json_out_end(o);
}
void node_dump_policies(struct node *n, struct json_out *o)
{
    json_out_array(o, "policies");
    directory_each_policy(n->directory, put_policy, o);
    json_out_end(o);
}
void node_dump_routes(struct node *n, struct json_out *o) { routes_dump(n->directory, o); }
void node_dump_certificates(struct node *n, struct json_out *o)
{
    json_out_array(o, "certificates");
    credentials_each(n->credentials, put_certificate, o);
    json_out_end(o);
}

void node_dump_status(struct node *n, struct json_out *o)
{
    struct credentials_stats credentials;
    credentials_stats(n->credentials, &credentials);
    json_out_object(o, "status");
    json_out_string(o, "node", n->config.node);
    json_out_string(o, "version", WEIR_VERSION);
    json_out_string(o, "trustDomain", n->config.trust_domain);
    json_out_u64(o, "workers", n->n_workers);
    json_out_bool(o, "controllerConnected", n->subscription.feed.xds.stats.connected);
    json_out_string(o, "controllerError", n->subscription.feed.last_error);
    json_out_bool(o, "caConnected", credentials.reachable);
    json_out_string(o, "caError", credentials.last_error);
    json_out_u64(o, "directoryVersion", directory_version(n->directory));
    json_out_array(o, "pods");
    list_for_each(link, pods_all(n->pods))
    {
        struct pod *pod = container_of(link, struct pod, link);
        json_out_object(o, NULL);
        json_out_string(o, "name", pod->name);
        json_out_string(o, "namespace", pod->ns);
        json_out_bool(o, "captured", pod->captured);
        put_ips(o, "addresses", pod->addresses, pod->n_addresses);
        json_out_end(o);
    }
    json_out_end(o);
    json_out_end(o);
}

static void put_views(const char *ns, const char *name, const struct bound_view views[static BOUND_COUNT], void *arg)
{
    struct json_out *o = arg;
    char workload[520];
    snprintf(workload, sizeof workload, "%s/%s", ns, name);
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        if (views[i].most == 0 && views[i].reached == 0)
            continue;
        json_out_object(o, NULL);
        json_out_string(o, "workload", workload);
        json_out_string(o, "limit", bound_label((enum bound)i));
        json_out_u64(o, "max", views[i].max);
        json_out_u64(o, "current", views[i].now);
        json_out_u64(o, "highest", views[i].most);
        json_out_u64(o, "reached", views[i].reached);
        json_out_end(o);
    }
}

void node_dump_limits(struct node *n, struct json_out *o)
{
    json_out_array(o, "limits");
    bounds_each(n->bounds, put_views, o);
    json_out_end(o);
}
