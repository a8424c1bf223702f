#include "controller/ctl/mesh_read.h"
#include "shared/xds/routing.h"
#include <errno.h>
#include <stdlib.h>

enum { ITEMS_MAX = 100000 };

static struct text string_at(const struct json *j, const char *name)
{
    struct text t = json_text(json_member(j, text_of(name)));
    return t.data ? t : (struct text){"", 0};
}

static bool says(const struct json *j, const char *name, const char *word)
{
    return text_equal(string_at(j, name), text_of(word));
}

static bool is_true(const struct json *j, const char *name)
{
    struct json_error e = {0};
    bool b = false;
    (void)json_opt_bool(j, name, &b, &e);
    return b;
}

/* Room for all items of a list; zeroed. NULL, with *err: no memory. */
static void *room(const struct json *list, size_t len, int *err)
{
    size_t n = json_count(list);
    void *items = calloc(n ? n : 1, len);
    if (!items || n > ITEMS_MAX)
        *err = items ? -EINVAL : -ENOMEM;
    return items;
}

static uint8_t app_protocol(const struct json *port)
{
    for (uint8_t i = APP_UNKNOWN + 1; i <= APP_TLS; i++)
        if (says(port, "appProtocol", app_protocol_word(i)))
            return i;
    return APP_UNKNOWN;
}

static int read_ports(const struct json *list, struct port_pair **ret, size_t *ret_n)
{
    struct json_error e = {0};
    int err = 0;
    *ret = room(list, sizeof **ret, &err);
    json_for_each (p, list) {
        int64_t from = 0, to = 0;
        if (err == 0 && (json_read_i64(p, "servicePort", 0, 65535, &from, &e) < 0 ||
                         json_read_i64(p, "targetPort", 0, 65535, &to, &e) < 0))
            err = -EINVAL;
        if (err == 0)
            (*ret)[(*ret_n)++] =
                (struct port_pair){.service_port = (uint16_t)from, .target_port = (uint16_t)to,
                                    .app_protocol = app_protocol(p)};
    }
    return err;
}

static int read_ips(const struct json *list, struct ip **ret, size_t *ret_n)
{
    int err = 0;
    *ret = room(list, sizeof **ret, &err);
    json_for_each (j, list)
        if (err == 0 && (err = ip_parse(json_text(j), &(*ret)[*ret_n])) == 0)
            ++*ret_n;
    return err;
}

/* ---- Workloads and services ----------------------------------------------------------------- */

static int read_services(const struct json *map, struct workload *w)
{
    int err = 0;
    w->services = room(map, sizeof *w->services, &err);
    json_for_each (ports, map) {
        if (err < 0)
            break;
        struct workload_service *s = &w->services[w->n_services++];
        s->key = text_dup(json_name(ports));
        err = s->key ? read_ports(ports, &s->ports, &s->n_ports) : -ENOMEM;
    }
    return err;
}

static int read_names(const struct json *list, char ***ret, size_t *ret_n)
{
    int err = 0;
    *ret = room(list, sizeof **ret, &err);
    json_for_each (j, list) {
        if (err < 0)
            break;
        (*ret)[*ret_n] = text_dup(json_text(j));
        if (!(*ret)[*ret_n])
            return -ENOMEM;
        ++*ret_n;
    }
    return err;
}

static int fill_workload(const struct json *j, struct workload *w)
{
    const struct {
        char **field;
        const char *name;
    } strings[] = {
        {&w->uid, "uid"},         {&w->name, "name"},
        {&w->ns, "namespace"},    {&w->network, "network"},
        {&w->node, "node"},       {&w->trust_domain, "trustDomain"},
        {&w->cluster_id, "clusterId"}, {&w->service_account, "serviceAccount"},
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (workload_set(strings[i].field, string_at(j, strings[i].name)) < 0)
            return -ENOMEM;
    w->tunnel = says(j, "protocol", "HBONE") ? TUNNEL_HBONE : TUNNEL_NONE;
    w->healthy = says(j, "status", "Healthy");
    w->host_network = says(j, "networkMode", "HostNetwork");
    const struct json *where = json_member(j, TEXT("locality"));
    if (workload_set(&w->locality.region, string_at(where, "region")) < 0 ||
        workload_set(&w->locality.zone, string_at(where, "zone")) < 0 ||
        workload_set(&w->locality.subzone, string_at(where, "subzone")) < 0)
        return -ENOMEM;
    int err = read_ips(json_member(j, TEXT("workloadIps")), &w->addresses, &w->n_addresses);
    if (err == 0)
        err = read_services(json_member(j, TEXT("services")), w);
    if (err == 0)
        err = read_names(json_member(j, TEXT("authorizationPolicies")), &w->policies,
                         &w->n_policies);
    w->registry_only = says(j, "outboundTrafficPolicy", "REGISTRY_ONLY");
    if (err == 0)
        err = read_names(json_member(j, TEXT("egress")), &w->egress, &w->n_egress);
    return err;
}

static int read_workload(const struct json *j, struct directory *d)
{
    struct workload *w = workload_new();
    int err = w ? fill_workload(j, w) : -ENOMEM;
    if (err == 0)
        return directory_put_workload(d, w);
    workload_free(w);
    return err;
}

static int read_vips(const struct json *list, struct service *s)
{
    struct text network, ip;
    int err = 0;
    s->addresses = room(list, sizeof *s->addresses, &err);
    json_for_each (j, list) {
        if (err < 0)
            break;
        if (!text_split(json_text(j), '/', &network, &ip) ||
            ip_parse(ip, &s->addresses[s->n_addresses].ip) < 0)
            return -EINVAL;
        s->addresses[s->n_addresses].network = text_dup(network);
        if (!s->addresses[s->n_addresses++].network)
            err = -ENOMEM;
    }
    return err;
}

static int fill_service(const struct json *j, struct service *s)
{
    static const char *const scopes[] = {"unspecified", "region",  "zone",   "subzone",
                                         "node",        "cluster", "network"};
    if (workload_set(&s->name, string_at(j, "name")) < 0 ||
        workload_set(&s->ns, string_at(j, "namespace")) < 0 ||
        workload_set(&s->hostname, string_at(j, "hostname")) < 0 ||
        workload_set(&s->key, string_at(j, "key")) < 0)
        return -ENOMEM;
    s->allow_unhealthy = is_true(j, "allowUnhealthy");
    s->lb_mode = says(j, "loadBalancing", "strict")     ? LB_STRICT
                 : says(j, "loadBalancing", "failover") ? LB_FAILOVER
                                                        : LB_UNSPECIFIED_MODE;
    json_for_each (scope, json_member(j, TEXT("routingPreference")))
        for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
            if (text_equal(json_text(scope), text_of(scopes[i])) && s->n_scopes < LB_SCOPES_MAX)
                s->scopes[s->n_scopes++] = (enum lb_scope)i;
    int err = read_vips(json_member(j, TEXT("vips")), s);
    if (err == 0)
        err = read_names(json_member(j, TEXT("exportTo")), &s->exported, &s->n_exported);
    return err == 0 ? read_ports(json_member(j, TEXT("ports")), &s->ports, &s->n_ports) : err;
}

static int read_service(const struct json *j, struct directory *d)
{
    struct service *s = service_new();
    int err = s ? fill_service(j, s) : -ENOMEM;
    if (err == 0)
        return directory_put_service(d, s);
    service_free(s);
    return err;
}

/* ---- Policies ------------------------------------------------------------------------------- */

static int read_strings(const struct json *m, const char *name, struct string_matches *ret)
{
    const struct json *list = json_member(m, text_of(name));
    int err = 0;
    ret->items = room(list, sizeof *ret->items, &err);
    json_for_each (j, list) {
        if (err < 0)
            break;
        struct text t = json_text(j);
        struct string_match *out = &ret->items[ret->n];
        if (text_equal(t, TEXT("*")))
            *out = (struct string_match){MATCH_PRESENCE, text_dup(TEXT(""))};
        else if (memmem(t.data, t.len, "{*", 2))
            *out = (struct string_match){MATCH_TEMPLATE, text_dup(t)};
        else if (text_ends_with(t, TEXT("*")))
            *out = (struct string_match){MATCH_PREFIX, text_dup((struct text){t.data, t.len - 1})};
        else if (text_starts_with(t, TEXT("*")))
            *out =
                (struct string_match){MATCH_SUFFIX, text_dup((struct text){t.data + 1, t.len - 1})};
        else
            *out = (struct string_match){MATCH_EXACT, text_dup(t)};
        if (!out->value)
            return -ENOMEM;
        ret->n++;
    }
    return err;
}

static int read_accounts(const struct json *m, const char *name, struct account_matches *ret)
{
    const struct json *list = json_member(m, text_of(name));
    int err = 0;
    ret->items = room(list, sizeof *ret->items, &err);
    json_for_each (j, list) {
        struct text ns, account;
        if (err < 0)
            break;
        if (!text_split(json_text(j), '/', &ns, &account))
            return -EINVAL;
        struct account_match *out = &ret->items[ret->n++];
        *out = (struct account_match){text_dup(ns), text_dup(account)};
        if (!out->ns || !out->service_account)
            err = -ENOMEM;
    }
    return err;
}

static int read_prefixes(const struct json *m, const char *name, struct prefix_matches *ret)
{
    const struct json *list = json_member(m, text_of(name));
    int err = 0;
    ret->items = room(list, sizeof *ret->items, &err);
    json_for_each (j, list)
        if (err == 0 && (err = prefix_parse(json_text(j), &ret->items[ret->n])) == 0)
            ret->n++;
    return err;
}

static int read_numbers(const struct json *m, const char *name, struct port_matches *ret)
{
    const struct json *list = json_member(m, text_of(name));
    struct json_error e = {0};
    int err = 0;
    ret->items = room(list, sizeof *ret->items, &err);
    json_for_each (j, list) {
        int64_t port = 0;
        if (err == 0 && (err = json_read_i64(j, "", 0, 65535, &port, &e)) == 0)
            ret->items[ret->n++] = (uint16_t)port;
    }
    return err;
}

static int read_header(const struct json *j, struct request_header *h)
{
    h->name = text_dup(string_at(j, "name"));
    int err = h->name ? read_strings(j, "values", &h->values) : -ENOMEM;
    return err ? err : read_strings(j, "notValues", &h->not_values);
}

static int read_request(const struct json *j, struct request_match *m)
{
    const struct json *headers = json_member(j, TEXT("headers"));
    int err = read_strings(j, "methods", &m->methods);
    err = err ? err : read_strings(j, "notMethods", &m->not_methods);
    err = err ? err : read_strings(j, "hosts", &m->hosts);
    err = err ? err : read_strings(j, "notHosts", &m->not_hosts);
    err = err ? err : read_strings(j, "paths", &m->paths);
    err = err ? err : read_strings(j, "notPaths", &m->not_paths);
    if (err == 0)
        m->headers = room(headers, sizeof *m->headers, &err);
    json_for_each (header, headers)
        if (err == 0)
            err = read_header(header, &m->headers[m->n_headers++]);
    return err;
}

/* Its members are among those of the match. */
static int add_request(const struct json *j, struct policy_match *m)
{
    static const char *const names[] = {"methods", "notMethods", "hosts", "notHosts", "paths", "notPaths", "headers"};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        any |= json_member(j, text_of(names[i])) != NULL;
    if (!any)
        return 0;
    m->request = calloc(1, sizeof *m->request);
    return m->request ? read_request(j, m->request) : -ENOMEM;
}

static int read_match(const struct json *j, struct policy_match *m)
{
    m->unreadable = is_true(j, "unreadable");
    int err = add_request(j, m);
    err = err ? err : read_strings(j, "namespaces", &m->namespaces);
    err = err ? err : read_strings(j, "notNamespaces", &m->not_namespaces);
    err = err ? err : read_strings(j, "principals", &m->principals);
    err = err ? err : read_strings(j, "notPrincipals", &m->not_principals);
    err = err ? err : read_accounts(j, "serviceAccounts", &m->accounts);
    err = err ? err : read_accounts(j, "notServiceAccounts", &m->not_accounts);
    err = err ? err : read_prefixes(j, "sourceIps", &m->source_ips);
    err = err ? err : read_prefixes(j, "notSourceIps", &m->not_source_ips);
    err = err ? err : read_prefixes(j, "destinationIps", &m->destination_ips);
    err = err ? err : read_prefixes(j, "notDestinationIps", &m->not_destination_ips);
    err = err ? err : read_numbers(j, "destinationPorts", &m->destination_ports);
    return err ? err : read_numbers(j, "notDestinationPorts", &m->not_destination_ports);
}

static int read_clause(const struct json *list, struct policy_clause *c)
{
    int err = 0;
    c->matches = room(list, sizeof *c->matches, &err);
    json_for_each (j, list)
        if (err == 0)
            err = read_match(j, &c->matches[c->n++]);
    return err;
}

static int read_rule(const struct json *list, struct policy_rule *r)
{
    int err = 0;
    r->clauses = room(list, sizeof *r->clauses, &err);
    json_for_each (j, list)
        if (err == 0)
            err = read_clause(j, &r->clauses[r->n++]);
    return err;
}

static int fill_policy(const struct json *j, struct policy *p)
{
    const struct json *rules = json_member(j, TEXT("rules"));
    const struct json *http_rules = json_member(j, TEXT("httpRules"));
    int err = 0;
    if (workload_set(&p->name, string_at(j, "name")) < 0 ||
        workload_set(&p->ns, string_at(j, "namespace")) < 0 ||
        workload_set(&p->key, string_at(j, "key")) < 0)
        return -ENOMEM;
    p->scope = says(j, "scope", "Global")      ? POLICY_GLOBAL
               : says(j, "scope", "Namespace") ? POLICY_NAMESPACE
                                               : POLICY_WORKLOAD;
    p->action = says(j, "action", "Deny")    ? POLICY_DENY
                : says(j, "action", "Audit") ? POLICY_AUDIT
                                             : POLICY_ALLOW;
    p->dry_run = is_true(j, "dryRun");
    p->rules = room(rules, sizeof *p->rules, &err);
    json_for_each (rule, rules)
        if (err == 0)
            err = read_rule(rule, &p->rules[p->n_rules++]);
    if (err == 0)
        p->http_rules = room(http_rules, sizeof *p->http_rules, &err);
    json_for_each (rule, http_rules)
        if (err == 0)
            err = read_rule(rule, &p->http_rules[p->n_http_rules++]);
    return err;
}

static int read_policy(const struct json *j, struct directory *d)
{
    struct policy *p = policy_new();
    int err = p ? fill_policy(j, p) : -ENOMEM;
    if (err == 0)
        return directory_put_policy(d, p);
    policy_free(p);
    return err;
}

/* ---- Routes --------------------------------------------------------------------------------- */

static int unhex(struct text hex, uint8_t **ret)
{
    uint8_t *bytes = malloc(hex.len / 2 + 1);
    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        int high = text_hex_digit(hex.data[i]), low = text_hex_digit(hex.data[i + 1]);
        if (high < 0 || low < 0) {
            free(bytes);
            return -EINVAL;
        }
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    *ret = bytes;
    return 0;
}

static int read_table(const struct json *j, struct directory *d)
{
    char why[XDS_WHY_MAX];
    uint8_t *bytes;
    struct route_table *t;
    struct text hex = string_at(j, "encoded");
    int err = hex.len % 2 == 0 ? unhex(hex, &bytes) : -EINVAL;
    if (err < 0)
        return err;
    err = xds_routes_decode(bytes, hex.len / 2, &t, why);
    free(bytes);
    return err < 0 ? err : directory_put_routes(d, t);
}

int mesh_read(const struct json *dump, struct directory *d, struct json_error *error)
{
    static const struct {
        const char *list;
        int (*read)(const struct json *j, struct directory *d);
    } lists[] = {{"policies", read_policy}, {"services", read_service}, {"workloads", read_workload}, {"routes", read_table}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct json *list = json_member(dump, text_of(lists[i].list));
        if (!list && lists[i].read == read_table)
            continue; /* a controller of before */
        if (!json_is(list, JSON_ARRAY))
            return json_fail(error, dump, "has no list '%s': is it a controller's dump?",
                             lists[i].list);
        json_for_each (item, list) {
            int err = lists[i].read(item, d);
            if (err == -ENOMEM)
                return err;
            if (err < 0)
                return json_fail(error, item, "can't be read as one of %s", lists[i].list);
        }
    }
    return 0;
}
