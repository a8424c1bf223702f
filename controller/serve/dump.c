#include "controller/serve/dump.h"
#include <stdlib.h>

static void put_ips(struct json_out *o, const char *name, const struct ip *ips, size_t n)
{
    char printed[IP_TEXT_MAX];
    json_out_array(o, name);
    for (size_t i = 0; i < n; i++)
        json_out_string(o, NULL, ip_print(&ips[i], printed));
    json_out_end(o);
}

static void put_ports(struct json_out *o, const char *name, const struct port_pair *ports, size_t n)
{
    json_out_array(o, name);
    for (size_t i = 0; i < n; i++) {
        json_out_object(o, NULL);
        json_out_u64(o, "servicePort", ports[i].service_port);
        json_out_u64(o, "targetPort", ports[i].target_port);
        if (app_protocol_word(ports[i].app_protocol)[0])
            json_out_string(o, "appProtocol", app_protocol_word(ports[i].app_protocol));
        json_out_end(o);
    }
    json_out_end(o);
}

/* Nothing, if there are none. */
static void put_names(struct json_out *o, const char *name, char *const *names, size_t n)
{
    if (n == 0)
        return;
    json_out_array(o, name);
    for (size_t i = 0; i < n; i++)
        json_out_string(o, NULL, names[i]);
    json_out_end(o);
}

static void put_workload(struct json_out *o, const struct resource *r, const struct workload *w)
{
    static const char *const types[] = {"deployment", "cronjob", "pod", "job"};
    json_out_object(o, NULL);
    json_out_string(o, "uid", w->uid);
    json_out_string(o, "version", r->version);
    json_out_string(o, "name", w->name);
    json_out_string(o, "namespace", w->ns);
    put_ips(o, "workloadIps", w->addresses, w->n_addresses);
    json_out_string(o, "protocol", w->tunnel == TUNNEL_HBONE ? "HBONE" : "TCP");
    json_out_string(o, "status", w->healthy ? "Healthy" : "Unhealthy");
    json_out_string(o, "networkMode", w->host_network ? "HostNetwork" : "Standard");
    json_out_string(o, "network", w->network);
    json_out_string(o, "trustDomain", w->trust_domain);
    json_out_string(o, "serviceAccount", w->service_account);
    json_out_string(o, "node", w->node);
    json_out_string(o, "canonicalName", w->canonical_name);
    json_out_string(o, "canonicalRevision", w->canonical_revision);
    json_out_string(o, "workloadName", w->workload_name);
    json_out_string(o, "workloadType", types[w->type]);
    json_out_string(o, "clusterId", w->cluster_id);
    json_out_object(o, "locality");
    json_out_string(o, "region", w->locality.region);
    json_out_string(o, "zone", w->locality.zone);
    json_out_string(o, "subzone", w->locality.subzone);
    json_out_end(o);
    json_out_object(o, "services");
    for (size_t i = 0; i < w->n_services; i++)
        put_ports(o, w->services[i].key, w->services[i].ports, w->services[i].n_ports);
    json_out_end(o);
    json_out_array(o, "authorizationPolicies");
    for (size_t i = 0; i < w->n_policies; i++)
        json_out_string(o, NULL, w->policies[i]);
    json_out_end(o);
    if (w->registry_only)
        json_out_string(o, "outboundTrafficPolicy", "REGISTRY_ONLY");
    put_names(o, "egress", w->egress, w->n_egress);
    json_out_end(o);
}

static void put_service(struct json_out *o, const struct resource *r, const struct service *s)
{
    static const char *const scopes[] = {"unspecified", "region",  "zone",   "subzone",
                                         "node",        "cluster", "network"};
    static const char *const modes[] = {"", "strict", "failover", "passthrough"};
    json_out_object(o, NULL);
    json_out_string(o, "key", s->key);
    json_out_string(o, "version", r->version);
    json_out_string(o, "name", s->name);
    json_out_string(o, "namespace", s->ns);
    json_out_string(o, "hostname", s->hostname);
    json_out_array(o, "vips");
    for (size_t i = 0; i < s->n_addresses; i++) {
        char printed[IP_TEXT_MAX], vip[512];
        struct text_out t = TEXT_OUT(vip);
        text_printf(&t, "%s/%s", s->addresses[i].network, ip_print(&s->addresses[i].ip, printed));
        json_out_string(o, NULL, vip);
    }
    json_out_end(o);
    put_ports(o, "ports", s->ports, s->n_ports);
    json_out_string(o, "loadBalancing", modes[s->lb_mode]);
    json_out_array(o, "routingPreference");
    for (size_t i = 0; i < s->n_scopes; i++)
        json_out_string(o, NULL, scopes[s->scopes[i]]);
    json_out_end(o);
    json_out_bool(o, "allowUnhealthy", s->allow_unhealthy);
    put_names(o, "exportTo", s->exported, s->n_exported);
    json_out_end(o);
}

static void put_strings(struct json_out *o, const char *name, const struct string_matches *m)
{
    static const char *const before[] = {"", "", "*", "*", ""};
    static const char *const after[] = {"", "*", "", "", ""};
    if (m->n == 0)
        return;
    json_out_array(o, name);
    for (size_t i = 0; i < m->n; i++) {
        char pattern[1024];
        struct text_out t = TEXT_OUT(pattern);
        text_printf(&t, "%s%s%s", before[m->items[i].kind], m->items[i].value,
                    after[m->items[i].kind]);
        json_out_string(o, NULL, pattern);
    }
    json_out_end(o);
}

static void put_accounts(struct json_out *o, const char *name, const struct account_matches *m)
{
    if (m->n == 0)
        return;
    json_out_array(o, name);
    for (size_t i = 0; i < m->n; i++) {
        char account[512];
        struct text_out t = TEXT_OUT(account);
        text_printf(&t, "%s/%s", m->items[i].ns, m->items[i].service_account);
        json_out_string(o, NULL, account);
    }
    json_out_end(o);
}

static void put_prefixes(struct json_out *o, const char *name, const struct prefix_matches *m)
{
    if (m->n == 0)
        return;
    json_out_array(o, name);
    for (size_t i = 0; i < m->n; i++) {
        char printed[IP_TEXT_MAX], prefix[IP_TEXT_MAX + 8];
        struct text_out t = TEXT_OUT(prefix);
        text_printf(&t, "%s/%u", ip_print(&m->items[i].ip, printed), m->items[i].bits);
        json_out_string(o, NULL, prefix);
    }
    json_out_end(o);
}

static void put_numbers(struct json_out *o, const char *name, const struct port_matches *m)
{
    if (m->n == 0)
        return;
    json_out_array(o, name);
    for (size_t i = 0; i < m->n; i++)
        json_out_u64(o, NULL, m->items[i]);
    json_out_end(o);
}

static void put_request(struct json_out *o, const struct request_match *m)
{
    put_strings(o, "methods", &m->methods);
    put_strings(o, "notMethods", &m->not_methods);
    put_strings(o, "hosts", &m->hosts);
    put_strings(o, "notHosts", &m->not_hosts);
    put_strings(o, "paths", &m->paths);
    put_strings(o, "notPaths", &m->not_paths);
    if (m->n_headers > 0)
        json_out_array(o, "headers");
    for (size_t i = 0; i < m->n_headers; i++) {
        json_out_object(o, NULL);
        json_out_string(o, "name", m->headers[i].name);
        put_strings(o, "values", &m->headers[i].values);
        put_strings(o, "notValues", &m->headers[i].not_values);
        json_out_end(o);
    }
    if (m->n_headers > 0)
        json_out_end(o);
}

static void put_match(struct json_out *o, const struct policy_match *m)
{
    json_out_object(o, NULL);
    put_strings(o, "namespaces", &m->namespaces);
    put_strings(o, "notNamespaces", &m->not_namespaces);
    put_strings(o, "principals", &m->principals);
    put_strings(o, "notPrincipals", &m->not_principals);
    put_accounts(o, "serviceAccounts", &m->accounts);
    put_accounts(o, "notServiceAccounts", &m->not_accounts);
    put_prefixes(o, "sourceIps", &m->source_ips);
    put_prefixes(o, "notSourceIps", &m->not_source_ips);
    put_prefixes(o, "destinationIps", &m->destination_ips);
    put_prefixes(o, "notDestinationIps", &m->not_destination_ips);
    put_numbers(o, "destinationPorts", &m->destination_ports);
    put_numbers(o, "notDestinationPorts", &m->not_destination_ports);
    if (m->request)
        put_request(o, m->request);
    if (m->unreadable)
        json_out_bool(o, "unreadable", true);
    json_out_end(o);
}

/* Any of them; of each rule every clause; of each clause any match. */
static void put_rules(struct json_out *o, const char *name, const struct policy_rule *rules,
                      size_t n)
{
    json_out_array(o, name);
    for (size_t i = 0; i < n; i++) {
        json_out_array(o, NULL);
        for (size_t j = 0; j < rules[i].n; j++) {
            json_out_array(o, NULL);
            for (size_t k = 0; k < rules[i].clauses[j].n; k++)
                put_match(o, &rules[i].clauses[j].matches[k]);
            json_out_end(o);
        }
        json_out_end(o);
    }
    json_out_end(o);
}

static void put_policy(struct json_out *o, const struct resource *r, const struct policy *p)
{
    static const char *const scopes[] = {"Global", "Namespace", "WorkloadSelector"};
    static const char *const actions[] = {"Allow", "Deny", "Audit"};
    json_out_object(o, NULL);
    json_out_string(o, "key", p->key);
    json_out_string(o, "version", r->version);
    json_out_string(o, "name", p->name);
    json_out_string(o, "namespace", p->ns);
    json_out_string(o, "scope", scopes[p->scope]);
    json_out_string(o, "action", actions[p->action]);
    json_out_bool(o, "dryRun", p->dry_run);
    put_rules(o, "rules", p->rules, p->n_rules);
    if (p->n_http_rules > 0)
        put_rules(o, "httpRules", p->http_rules, p->n_http_rules);
    json_out_end(o);
}

static int name_order(const void *a, const void *b)
{
    return strcmp((*(const struct resource *const *)a)->name,
                  (*(const struct resource *const *)b)->name);
}

/* On the heap, by name; NULL: no memory. */
static const struct resource **sorted(const struct catalog *c, enum xds_type type, size_t *ret_n)
{
    size_t n = 0;
    const struct resource **all =
        calloc(c->entries[type].count + 1, sizeof(const struct resource *));
    const struct map_entry *m;
    *ret_n = 0;
    if (!all)
        return NULL;
    for (size_t i = 0; (m = map_next(&c->entries[type], &i));) {
        const struct catalog_entry *e = m->value;
        if (e->resource)
            all[n++] = e->resource;
    }
    qsort(all, n, sizeof(const struct resource *), name_order);
    *ret_n = n;
    return all;
}

static void put_addresses(struct json_out *o, const struct resource *const *all, size_t n,
                          bool services)
{
    char why[XDS_WHY_MAX];
    json_out_array(o, services ? "services" : "workloads");
    for (size_t i = 0; i < n; i++) {
        struct workload *w = NULL;
        struct service *s = NULL;
        if (all[i]->is_service != services ||
            xds_address_decode(all[i]->body, all[i]->body_len, &w, &s, why) < 0)
            continue;
        if (w)
            put_workload(o, all[i], w);
        if (s)
            put_service(o, all[i], s);
        workload_free(w);
        service_free(s);
    }
    json_out_end(o);
}

static void put_policies(struct json_out *o, const struct resource *const *all, size_t n)
{
    char why[XDS_WHY_MAX];
    json_out_array(o, "policies");
    for (size_t i = 0; i < n; i++) {
        struct policy *p = NULL;
        if (xds_policy_decode(all[i]->body, all[i]->body_len, &p, why) < 0)
            continue;
        put_policy(o, all[i], p);
        policy_free(p);
    }
    json_out_end(o);
}

/* Tables that somebody wrote, as they are on the wire: whoever reads them decides by them (weirctl explain). */
static void put_tables(struct json_out *o, const struct resource *const *all, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    json_out_array(o, "routes");
    for (size_t i = 0; i < n; i++) {
        char *hex = all[i]->by_name_only ? NULL : malloc(2 * all[i]->body_len + 1);
        o->out->failed |= !hex && !all[i]->by_name_only;
        if (!hex)
            continue;
        for (size_t j = 0; j < all[i]->body_len; j++) {
            hex[2 * j] = digits[all[i]->body[j] >> 4];
            hex[2 * j + 1] = digits[all[i]->body[j] & 15];
        }
        json_out_object(o, NULL);
        json_out_string(o, "name", all[i]->name);
        json_out_string(o, "version", all[i]->version);
        json_out_text(o, "encoded", (struct text){hex, 2 * all[i]->body_len});
        json_out_end(o);
        free(hex);
    }
    json_out_end(o);
}

struct client_dump {
    struct json_out *out;
    uint64_t now_ms;
};

static void put_client(const struct ads_client *client, void *arg)
{
    struct client_dump *d = arg;
    json_out_object(d->out, NULL);
    json_out_string(d->out, "node", client->node);
    json_out_string(d->out, "identity", client->peer);
    json_out_string(d->out, "dialect", client->dialect);
    json_out_u64(d->out, "connectedMs", d->now_ms - client->connected_ms);
    json_out_u64(d->out, "unacknowledged", client->unacknowledged);
    if (client->nack[0]) {
        json_out_object(d->out, "refused");
        json_out_text(d->out, "type", xds_type_name(client->nack_type));
        json_out_string(d->out, "message", client->nack);
        json_out_end(d->out);
    }
    json_out_object(d->out, "types");
    for (unsigned type = 0; type < XDS_TYPE_COUNT; type++) {
        if (!client->started[type])
            continue;
        json_out_object(d->out, xds_type_url((enum xds_type)type));
        json_out_bool(d->out, "wildcard", client->wildcard[type]);
        json_out_u64(d->out, "names", client->names[type]);
        json_out_bool(d->out, "synced", client->synced[type]);
        json_out_end(d->out);
    }
    json_out_end(d->out);
    json_out_end(d->out);
}

static void put_clients(struct json_out *o, const struct ads *a, uint64_t now_ms)
{
    json_out_array(o, "clients");
    ads_each(a, put_client, &(struct client_dump){o, now_ms});
    json_out_end(o);
}

/* The node of a workload that is in the mesh, on the heap; NULL: it is none, or no memory (*failed). */
static char *enrolled_node(const struct resource *r, bool *failed)
{
    char why[XDS_WHY_MAX], *node = NULL;
    struct workload *w = NULL;
    struct service *s = NULL;
    if (r->is_service || xds_address_decode(r->body, r->body_len, &w, &s, why) < 0)
        return NULL;
    if (w && w->tunnel == TUNNEL_HBONE) {
        node = text_dup(text_of(w->node));
        *failed |= !node;
    }
    workload_free(w);
    service_free(s);
    return node;
}

static int text_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_enrolled(struct json_out *o, const struct resource *const *all, size_t n)
{
    char **nodes = calloc(n + 1, sizeof *nodes);
    size_t n_nodes = 0;
    o->out->failed |= !nodes;
    for (size_t i = 0; nodes && i < n; i++)
        if ((nodes[n_nodes] = enrolled_node(all[i], &o->out->failed)))
            n_nodes++;
    if (n_nodes > 0)
        qsort(nodes, n_nodes, sizeof *nodes, text_order);
    json_out_array(o, "enrolled");
    for (size_t i = 0, begin = 0; i < n_nodes; i++) {
        if (i + 1 < n_nodes && strcmp(nodes[i], nodes[i + 1]) == 0)
            continue;
        json_out_object(o, NULL);
        json_out_string(o, "node", nodes[i]);
        json_out_u64(o, "pods", i + 1 - begin);
        json_out_end(o);
        begin = i + 1;
    }
    json_out_end(o);
    for (size_t i = 0; i < n_nodes; i++)
        free(nodes[i]);
    free(nodes);
}

/* All of a type that any of these parts needs; NULL: none, or no memory. */
static const struct resource **needed(const struct catalog *c, enum xds_type type, unsigned parts,
                                      size_t *ret_n, struct text_heap *out)
{
    const struct resource **all = parts ? sorted(c, type, ret_n) : NULL;
    out->failed |= parts && !all;
    return all;
}

void dump_config(const struct catalog *c, const struct ads *a, uint64_t now_ms, unsigned parts,
                 struct text_heap *out)
{
    struct json_out o;
    size_t n_addresses = 0, n_policies = 0, n_tables = 0;
    const unsigned of_addresses = DUMP_WORKLOADS | DUMP_SERVICES | DUMP_ENROLLED;
    const struct resource **addresses =
        needed(c, XDS_ADDRESS, parts & of_addresses, &n_addresses, out);
    const struct resource **policies =
        needed(c, XDS_AUTHORIZATION, parts & DUMP_POLICIES, &n_policies, out);
    const struct resource **tables = needed(c, XDS_ROUTES, parts & DUMP_ROUTES, &n_tables, out);
    json_out_init(&o, out, true);
    json_out_object(&o, NULL);
    if (parts & DUMP_WORKLOADS)
        put_addresses(&o, addresses, n_addresses, false);
    if (parts & DUMP_SERVICES)
        put_addresses(&o, addresses, n_addresses, true);
    if (parts & DUMP_POLICIES)
        put_policies(&o, policies, n_policies);
    if (parts & DUMP_ROUTES)
        put_tables(&o, tables, n_tables);
    if (parts & DUMP_CLIENTS)
        put_clients(&o, a, now_ms);
    if (parts & DUMP_ENROLLED)
        put_enrolled(&o, addresses, n_addresses);
    json_out_end(&o);
    free(addresses);
    free(policies);
    free(tables);
}

static void put_problems(struct json_out *o, const char *name, enum problem_severity severity,
                         const struct problems *const *lists, size_t n)
{
    json_out_array(o, name);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < lists[i]->n; j++) {
            const struct problem *p = &lists[i]->items[j];
            if (p->severity != severity)
                continue;
            json_out_object(o, NULL);
            json_out_string(o, "file", p->file);
            json_out_u64(o, "line", p->line);
            json_out_string(o, "object", p->object);
            json_out_string(o, "field", p->field);
            json_out_string(o, "message", p->message);
            json_out_end(o);
        }
    }
    json_out_end(o);
}

void dump_problems(const struct problems *const *lists, size_t n, struct text_heap *out)
{
    struct json_out o;
    uint64_t unlisted = 0;
    for (size_t i = 0; i < n; i++)
        unlisted += lists[i]->dropped;
    json_out_init(&o, out, true);
    json_out_object(&o, NULL);
    put_problems(&o, "errors", PROBLEM_ERROR, lists, n);
    put_problems(&o, "warnings", PROBLEM_WARNING, lists, n);
    json_out_u64(&o, "unlisted", unlisted);
    json_out_end(&o);
}
