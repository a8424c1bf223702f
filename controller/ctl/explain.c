#include "controller/ctl/explain.h"
#include "shared/mesh/egress.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STATIC_STRICT "istio_converted_static_strict" /* controller/translate/peer.h */
#define CONVERTED     "converted_peer_authentication_"

/* ---- Who is meant --------------------------------------------------------------------------- */

struct looking {
    struct text ns, name;
    const struct workload *workload;
    const struct service *service;
    struct ip ip;
};

static bool look_workload(const struct workload *w, void *arg)
{
    struct looking *l = arg;
    bool found = l->ip.len == 0 && text_equal(text_of(w->ns), l->ns) &&
                 text_equal(text_of(w->name), l->name);
    for (size_t i = 0; l->ip.len > 0 && i < w->n_addresses && !found; i++)
        found = ip_equal(&w->addresses[i], &l->ip) && !w->host_network;
    if (found)
        l->workload = w;
    return !found;
}

static bool look_service(const struct service *s, void *arg)
{
    struct looking *l = arg;
    bool found = l->ip.len == 0 &&
                 ((text_equal(text_of(s->ns), l->ns) && text_equal(text_of(s->name), l->name)) ||
                  (l->ns.len == 0 && text_equal(text_of(s->hostname), l->name)));
    for (size_t i = 0; l->ip.len > 0 && i < s->n_addresses && !found; i++)
        found = ip_equal(&s->addresses[i].ip, &l->ip);
    if (found)
        l->service = s;
    return !found;
}

/* "ns/name", "host.name", "1.2.3.4"; false: neither. */
static bool look(const struct directory *d, struct text what, bool services, struct looking *ret)
{
    *ret = (struct looking){.name = what};
    if (ip_parse(what, &ret->ip) < 0) {
        ret->ip.len = 0;
        struct text ns, name;
        if (text_split(what, '/', &ns, &name)) {
            ret->ns = ns;
            ret->name = name;
        }
    }
    if (services)
        directory_each_service(d, look_service, ret);
    if (!ret->service)
        directory_each_workload(d, look_workload, ret);
    return ret->service || ret->workload || ret->ip.len > 0;
}

/* The port off the end: "[fd00::1]:80", "10.0.0.1:80", "a/b:80", "host:80"; an address alone has none. */
static bool take_port(struct text *what, uint16_t *ret_port)
{
    struct addr a;
    struct ip ip;
    uint64_t port;
    *ret_port = 0;
    if (ip_parse(*what, &ip) == 0)
        return true;
    if (addr_parse(*what, &a) == 0) {
        *ret_port = a.port;
        const char *end = what->data + what->len;
        while (*--end != ':')
            ;
        what->len = (size_t)(end - what->data);
        if (what->data[0] == '[')
            *what = (struct text){what->data + 1, what->len - 2};
        return true;
    }
    const char *colon = memchr(what->data, ':', what->len);
    if (!colon)
        return true;
    struct text number = {colon + 1, (size_t)(what->data + what->len - colon - 1)};
    if (text_to_u64(number, 65535, &port) < 0 || port == 0)
        return false;
    *ret_port = (uint16_t)port;
    what->len = (size_t)(colon - what->data);
    return true;
}

/* ---- What is decided ------------------------------------------------------------------------ */

/* A policy's key as the object that people wrote. */
static void print_policy(const char *key, struct text_out *out)
{
    struct text ns, name;
    if (!text_split(text_of(key), '/', &ns, &name))
        text_puts(out, key);
    else if (text_equal(name, TEXT(STATIC_STRICT)))
        text_puts(out, "PeerAuthentication with mode STRICT (of the mesh, of the namespace or of the "
                       "workload)");
    else if (text_starts_with(name, TEXT(CONVERTED)))
        text_printf(out, "PeerAuthentication %.*s/%s", (int)ns.len, ns.data,
                    name.data + strlen(CONVERTED));
    else
        text_printf(out, "AuthorizationPolicy %s", key);
}

static void print_verdict(const struct verdict *v, bool anonymous, struct text_out *out)
{
    if (v->allowed && !v->policy[0])
        text_puts(out, "no policy applies");
    else if (v->allowed) {
        text_puts(out, "allowed by ");
        print_policy(v->policy, out);
    } else if (v->unmatched) {
        text_puts(out, "refused: no rule of ");
        print_policy(v->policy, out);
        text_puts(out, ", nor of another ALLOW policy of this workload, takes it");
    } else {
        text_puts(out, "refused by ");
        print_policy(v->policy, out);
    }
    if (!v->allowed && anonymous)
        text_puts(out, "; the source is not in the mesh, so it has no identity");
    if (v->dry_run[0]) {
        text_puts(out, "; it would be otherwise with ");
        print_policy(v->dry_run, out);
        text_puts(out, ", which is on trial (dry run)");
    }
}

static bool in_mesh(const struct workload *w)
{
    return w && w->tunnel == TUNNEL_HBONE;
}

static const char *why_not_in_mesh(const struct workload *w)
{
    if (!w)
        return "unknown to the mesh";
    return w->host_network ? "not in the mesh: it uses its host's network"
                           : "not in the mesh: its namespace is not enrolled, or the pod opts out";
}

static const struct ip *address_for(const struct workload *w, const struct ip *like)
{
    for (size_t i = 0; i < w->n_addresses; i++)
        if (!like || like->len == 0 || w->addresses[i].len == like->len)
            return &w->addresses[i];
    return w->n_addresses ? &w->addresses[0] : NULL;
}

static void judge(const struct directory *d, const struct explain *x, struct explain_endpoint *e)
{
    struct text_out out = TEXT_OUT(e->because);
    struct spiffe_id id;
    struct verdict v = {0};
    if (!in_mesh(e->workload)) {
        e->allowed = true;
        text_printf(&out, "passes as it is: the destination is %s", why_not_in_mesh(e->workload));
        return;
    }
    e->tunnel = in_mesh(x->source);
    struct access a = {.source = x->source_ip,
                       .destination = e->target.ip,
                       .destination_port = e->target.port};
    if (e->tunnel && spiffe_id_parse(text_of(x->source_identity), &id) == 0)
        a.identity = &id;
    if (x->request.seen && x->request.declared) {
        a.form = ACCESS_REQUEST;
        a.request = &x->request.view;
    }
    directory_authorise(d, e->workload, &a, &v);
    e->allowed = v.allowed;
    print_verdict(&v, !a.identity, &out);
}

static uint16_t target_port(const struct workload *w, const struct service *s, uint16_t port)
{
    for (size_t i = 0; i < w->n_services; i++)
        for (size_t j = 0; strcmp(w->services[i].key, s->key) == 0 && j < w->services[i].n_ports;
             j++)
            if (w->services[i].ports[j].service_port == port)
                return w->services[i].ports[j].target_port;
    return 0;
}

static int endpoint_order(const void *a, const void *b)
{
    return strcmp(((const struct explain_endpoint *)a)->workload->uid,
                  ((const struct explain_endpoint *)b)->workload->uid);
}

static void take_endpoints(const struct directory *d, struct explain *x, const struct service *s,
                           uint16_t service_port)
{
    const struct workload *const *all;
    size_t n = directory_endpoints(d, s, &all), before = x->n_endpoints;
    for (size_t i = 0; i < n && x->n_endpoints < EXPLAIN_ENDPOINTS_MAX; i++) {
        uint16_t port = target_port(all[i], s, service_port);
        const struct ip *ip = address_for(all[i], &x->source_ip);
        if (!port || !ip)
            continue;
        x->endpoints[x->n_endpoints++] = (struct explain_endpoint){
            .workload = all[i],
            .target = {*ip, port},
            .usable = all[i]->healthy || s->allow_unhealthy,
        };
    }
    qsort(x->endpoints + before, x->n_endpoints - before, sizeof *x->endpoints, endpoint_order);
}

/* Of a split those of each side, in the route's order; a subset's are not told apart, since the mesh's workloads have no labels. */
static void take_backends(const struct directory *d, struct explain *x, const struct route_forward *f)
{
    for (size_t i = 0; i < f->n_backends; i++) {
        struct text subset, host, ns = text_of(x->source ? x->source->ns : "");
        uint16_t port;
        if (f->backends[i].weight == 0 ||
            !explain_cluster_split(f->backends[i].cluster, &port, &subset, &host))
            continue;
        bool before = false;
        for (size_t j = 0; j < i && !before; j++) {
            struct text host_there, subset_there;
            uint16_t port_there;
            before = f->backends[j].weight > 0 &&
                     explain_cluster_split(f->backends[j].cluster, &port_there, &subset_there, &host_there) &&
                     port_there == port && text_equal(host_there, host);
        }
        const struct service *s = before ? NULL : directory_service_named(d, host, ns);
        if (s)
            take_endpoints(d, x, s, port);
    }
}

static void conclude(struct explain *x)
{
    size_t usable = 0, allowed = 0;
    for (size_t i = 0; i < x->n_endpoints; i++) {
        usable += x->endpoints[i].usable;
        allowed += x->endpoints[i].usable && x->endpoints[i].allowed;
    }
    x->result = usable == 0         ? EXPLAIN_UNREACHABLE
                : allowed == usable ? EXPLAIN_ALLOWED
                : allowed == 0      ? EXPLAIN_REFUSED
                                    : EXPLAIN_MIXED;
    if (usable == 0)
        snprintf(x->why, sizeof x->why,
                 x->n_endpoints ? "none of its %zu endpoints is ready: look at the readiness of its pods"
                                : "the Service has no endpoint: does its selector fit the pods' "
                                  "labels, and its port a port of theirs?",
                 x->n_endpoints);
}

/* What its source does not see (NULL: there is nothing at all) passes as it is, or not at all. */
static void beyond(struct explain *x, const char *what)
{
    bool only = in_mesh(x->source) && x->source->registry_only;
    x->result = only ? EXPLAIN_REFUSED : EXPLAIN_OUTSIDE;
    if (!what)
        what = "the mesh knows nothing at this address";
    snprintf(x->why, sizeof x->why, "%s: %s", what,
             only ? "the source may connect only to what it sees (outboundTrafficPolicy: "
                    "REGISTRY_ONLY), so its node refuses the connection (BlackHoleCluster)"
                  : "the connection passes as it is, without the mesh's encryption");
}

static const char hidden[] = "the source does not see it, by its Sidecar's egress hosts or the "
                             "destination's exportTo";

static int explain_service(const struct directory *d, const struct explain_wish *wish,
                           struct explain *x)
{
    const struct service *s = x->service;
    bool known = false;
    if (!x->port && s->n_ports == 1)
        x->port = s->ports[0].service_port;
    if (!x->port) {
        snprintf(x->why, sizeof x->why, "%s/%s has %zu ports: say which, as %s/%s:PORT", s->ns,
                 s->name, s->n_ports, s->ns, s->name);
        return -EINVAL;
    }
    for (size_t i = 0; i < s->n_ports; i++)
        known |= s->ports[i].service_port == x->port;
    if (!known) {
        x->result = EXPLAIN_UNREACHABLE;
        snprintf(x->why, sizeof x->why, "the Service has no port %u", x->port);
        return 0;
    }
    if (in_mesh(x->source) && !egress_sees(x->source, s, x->port)) {
        beyond(x, hidden);
        return 0;
    }
    int err = x->asks ? explain_request_open(&x->request, wish, d, s, x->port, x->source, x->why) : 0;
    if (err < 0)
        return err;
    if (x->request.stopped) {
        x->result = EXPLAIN_ANSWERED;
        return 0;
    }
    x->endpoints = calloc(EXPLAIN_ENDPOINTS_MAX, sizeof *x->endpoints);
    if (!x->endpoints)
        return -ENOMEM;
    if (x->request.forward)
        take_backends(d, x, x->request.forward);
    else
        take_endpoints(d, x, s, x->port);
    for (size_t i = 0; i < x->n_endpoints; i++)
        judge(d, x, &x->endpoints[i]);
    conclude(x);
    return 0;
}

static int explain_workload(const struct directory *d, struct explain *x, const struct workload *w)
{
    const struct ip *ip = x->destination_ip.len ? &x->destination_ip
                                                : address_for(w, &x->source_ip);
    if (!x->port) {
        snprintf(x->why, sizeof x->why, "say the port: %s:PORT", x->destination_text);
        return -EINVAL;
    }
    if (in_mesh(x->source) && w != x->source && !egress_sees_workload(d, x->source, w, x->port)) {
        beyond(x, hidden);
        return 0;
    }
    x->endpoints = calloc(1, sizeof *x->endpoints);
    if (!x->endpoints)
        return -ENOMEM;
    x->n_endpoints = 1;
    x->endpoints[0] = (struct explain_endpoint){
        .workload = w, .target = {ip ? *ip : (struct ip){0}, x->port}, .usable = true};
    judge(d, x, &x->endpoints[0]);
    conclude(x);
    return 0;
}

int explain_ask(const struct directory *d, const char *source, const char *destination,
                const struct explain_wish *wish, struct explain *ret)
{
    struct looking from, to;
    struct text what = text_of(destination);
    struct spiffe_id id;
    struct explain *x = ret;
    *x = (struct explain){.source_text = source, .destination_text = destination, .asks = wish};
    if (!look(d, text_of(source), false, &from)) {
        snprintf(x->why, sizeof x->why,
                 "'%s' is no pod that the mesh knows: write NAMESPACE/POD, or its address", source);
        return -EINVAL;
    }
    x->source = from.workload;
    x->source_ip = from.ip;
    if (x->source && x->source_ip.len == 0 && x->source->n_addresses)
        x->source_ip = x->source->addresses[0];
    if (in_mesh(x->source) &&
        spiffe_id_make(text_of(x->source->trust_domain), text_of(x->source->ns),
                       text_of(x->source->service_account), &id) == 0)
        snprintf(x->source_identity, sizeof x->source_identity, "%.*s",
                 (int)spiffe_id_text(&id).len, spiffe_id_text(&id).data);
    if (!take_port(&what, &x->port)) {
        snprintf(x->why, sizeof x->why, "'%s' has no port that can be: write NAME:80", destination);
        return -EINVAL;
    }
    if (!look(d, what, true, &to)) {
        snprintf(x->why, sizeof x->why,
                 "'%s' is no Service and no pod that the mesh knows: write NAMESPACE/NAME, a host "
                 "name, or an address",
                 destination);
        return -EINVAL;
    }
    x->service = to.service;
    x->destination_ip = to.ip;
    if (to.service)
        return explain_service(d, wish, x);
    if (wish) {
        snprintf(x->why, sizeof x->why,
                 "'%s' is no Service: only requests to Services have routes. Leave --method, --path, --host and --header out",
                 destination);
        return -EINVAL;
    }
    if (to.workload)
        return explain_workload(d, x, to.workload);
    beyond(x, NULL);
    return 0;
}

void explain_done(struct explain *e)
{
    free(e->endpoints);
    e->endpoints = NULL;
    explain_request_close(&e->request);
}

/* ---- What is said --------------------------------------------------------------------------- */

static const char *const results[] = {
    [EXPLAIN_ALLOWED] = "allowed",         [EXPLAIN_REFUSED] = "refused",
    [EXPLAIN_MIXED] = "mixed",             [EXPLAIN_UNREACHABLE] = "unreachable",
    [EXPLAIN_OUTSIDE] = "outside the mesh", [EXPLAIN_ANSWERED] = "answered on the way"};

static const char *way(const struct explain *x, const struct explain_endpoint *e)
{
    if (!e->tunnel)
        return "plaintext";
    return strcmp(x->source->node, e->workload->node) == 0 && e->workload->node[0]
               ? "within the node"
               : "tunnel (HBONE, mTLS)";
}

static void print_source(const struct explain *x, struct text_heap *out)
{
    char ip[IP_TEXT_MAX] = "-";
    if (x->source_ip.len)
        ip_print(&x->source_ip, ip);
    if (x->source)
        text_heap_printf(out, "from  %s/%s  %s  on %s\n", x->source->ns, x->source->name, ip,
                         x->source->node[0] ? x->source->node : "-");
    else
        text_heap_printf(out, "from  %s\n", ip);
    if (in_mesh(x->source))
        text_heap_printf(out, "      %s\n", x->source_identity);
    else
        text_heap_printf(out, "      %s\n", why_not_in_mesh(x->source));
}

void explain_print(const struct explain *x, struct text_heap *out)
{
    print_source(x, out);
    if (x->service)
        text_heap_printf(out, "to    Service %s/%s port %u  (%s), %zu endpoint%s\n", x->service->ns,
                         x->service->name, x->port, x->service->hostname, x->n_endpoints,
                         x->n_endpoints == 1 ? "" : "s");
    else if (x->n_endpoints)
        text_heap_printf(out, "to    %s/%s port %u\n", x->endpoints[0].workload->ns,
                         x->endpoints[0].workload->name, x->port);
    else
        text_heap_printf(out, "to    %s\n", x->destination_text);
    if (x->request.text[0])
        text_heap_printf(out, "route %s\n", x->request.text);
    for (size_t i = 0; i < x->n_endpoints; i++) {
        const struct explain_endpoint *e = &x->endpoints[i];
        char target[ADDR_TEXT_MAX];
        text_heap_printf(out, "  %-7s  %s/%s  %s  on %s%s\n           %s; %s\n",
                         !e->usable   ? "unused"
                         : e->allowed ? "allowed"
                                      : "REFUSED",
                         e->workload->ns, e->workload->name, addr_print(&e->target, target),
                         e->workload->node[0] ? e->workload->node : "-",
                         e->usable ? "" : "  (not ready)", way(x, e), e->because);
    }
    text_heap_printf(out, "=> %s%s%s\n", results[x->result], x->why[0] ? ": " : "", x->why);
}

void explain_json(const struct explain *x, struct json_out *o)
{
    json_out_object(o, NULL);
    json_out_string(o, "source", x->source_text);
    json_out_string(o, "identity", x->source_identity);
    json_out_string(o, "destination", x->destination_text);
    json_out_u64(o, "port", x->port);
    if (x->service)
        json_out_string(o, "service", x->service->key);
    if (x->request.text[0])
        json_out_string(o, "route", x->request.text);
    json_out_string(o, "result", results[x->result]);
    json_out_string(o, "why", x->why);
    json_out_array(o, "endpoints");
    for (size_t i = 0; i < x->n_endpoints; i++) {
        const struct explain_endpoint *e = &x->endpoints[i];
        char target[ADDR_TEXT_MAX];
        json_out_object(o, NULL);
        json_out_string(o, "workload", e->workload->uid);
        json_out_string(o, "address", addr_print(&e->target, target));
        json_out_string(o, "node", e->workload->node);
        json_out_string(o, "way", way(x, e));
        json_out_bool(o, "ready", e->usable);
        json_out_bool(o, "allowed", e->allowed);
        json_out_string(o, "because", e->because);
        json_out_end(o);
    }
    json_out_end(o);
    json_out_end(o);
}
