/* The views of weirctl; see the header. */
#include "controller/ctl/views.h"

#include <stdio.h>

static struct text get(const struct json *item, const char *path) { return json_text(json_get(item, path)); }

static struct text joined(const struct json *array, char *data, size_t size)
{
    struct text_out out = {data, 0, size, false};
    data[0] = '\0';
    json_for_each(value, array)
    {
        if (out.len > 0)
            text_putc(&out, ',');
        text_put(&out, json_text(value));
    }
    return (struct text){data, out.len};
}

static uint64_t number(const struct json *item, const char *path)
{
    struct json_error e = {0};
    int64_t n = 0;
    (void)json_opt_i64(item, path, 0, INT64_MAX, &n, &e);
    return (uint64_t)n;
}

/* As a node proxy says it, or a controller. */
static bool on_host_network(const struct json *w)
{
    struct json_error e = {0};
    bool host = false;
    (void)json_opt_bool(w, "hostNetwork", &host, &e);
    return host || text_equal(get(w, "networkMode"), TEXT("HostNetwork"));
}

static void workload_rows(struct table *t, const struct json *w)
{
    char addresses[512];
    table_cell(t, 0, get(w, "namespace"));
    table_cell(t, 1, get(w, "name"));
    const struct json *list = json_get(w, "addresses");
    table_cell(t, 2, joined(list ? list : json_get(w, "workloadIps"), addresses, sizeof addresses));
    table_cell(t, 3, get(w, "node"));
    table_cell(t, 4, TEXT("None"));
    table_cell(t, 5, on_host_network(w) ? TEXT("TCP (host network: never in the mesh)") : get(w, "protocol"));
}

static void service_rows(struct table *t, const struct json *s)
{
    char vips[512], endpoints[48];
    snprintf(endpoints, sizeof endpoints, "%llu/%llu", (unsigned long long)number(s, "healthyEndpoints"), (unsigned long long)number(s, "endpoints"));
    table_cell(t, 0, get(s, "namespace"));
    table_cell(t, 1, get(s, "name"));
    table_cell(t, 2, joined(json_get(s, "vips"), vips, sizeof vips));
    table_cell(t, 3, TEXT("None"));
    table_cell(t, 4, json_get(s, "endpoints") ? text_of(endpoints) : TEXT("-"));
}

static void policy_rows(struct table *t, const struct json *p)
{
    struct json_error e = {0};
    bool dry_run = false;
    (void)json_opt_bool(p, "dryRun", &dry_run, &e);
    table_cell(t, 0, get(p, "namespace"));
    table_cell(t, 1, get(p, "name"));
    table_cell(t, 2, get(p, "action"));
    table_cell(t, 3, get(p, "scope"));
    table_cell(t, 4, dry_run ? TEXT("true") : TEXT("false"));
}

/* A row for each route, in their order. */
static void route_rows(struct table *t, const struct json *table)
{
    size_t n = 0;
    json_for_each(host, json_get(table, "virtualHosts"))
    {
        json_for_each(route, json_get(host, "routes"))
        {
            char place[24];
            snprintf(place, sizeof place, "%5zu", ++n);
            table_cell(t, 0, get(table, "namespace"));
            table_cell(t, 1, get(table, "name"));
            table_cell(t, 2, text_of(place));
            table_cell(t, 3, get(route, "name"));
            table_cell(t, 4, get(route, "match"));
            table_cell(t, 5, get(route, "action"));
        }
    }
    if (n > 0)
        return;
    table_cell(t, 0, get(table, "namespace"));
    table_cell(t, 1, get(table, "name"));
    for (size_t i = 2; i < 6; i++)
        table_cell(t, i, TEXT("-"));
}

/* A row for each endpoint. */
static void cluster_rows(struct table *t, const struct json *c)
{
    const struct json *endpoints = json_get(c, "endpoints");
    char text[48];
    json_for_each(e, endpoints)
    {
        struct text address = get(e, "address");
        table_cell(t, 0, get(c, "name"));
        table_cell(t, 1, get(c, "balancing"));
        table_cell(t, 2, address.len > 0 ? address : get(e, "host"));
        table_cell(t, 3, get(e, "locality"));
        snprintf(text, sizeof text, "%llu", (unsigned long long)number(e, "priority"));
        table_cell(t, 4, text_of(text));
        snprintf(text, sizeof text, "%llu", (unsigned long long)number(e, "weight"));
        table_cell(t, 5, text_of(text));
        table_cell(t, 6, get(e, "health"));
        snprintf(text, sizeof text, "by %llu of %llu", (unsigned long long)number(e, "ejectedBy"), (unsigned long long)number(e, "users"));
        table_cell(t, 7, number(e, "users") > 0 ? text_of(text) : TEXT("-"));
        snprintf(text, sizeof text, "%llu", (unsigned long long)number(e, "requests"));
        table_cell(t, 8, text_of(text));
    }
    if (json_count(endpoints) > 0)
        return;
    table_cell(t, 0, get(c, "name"));
    table_cell(t, 1, get(c, "balancing"));
    for (size_t i = 2; i < 9; i++)
        table_cell(t, i, TEXT("-"));
}

static void certificate_rows(struct table *t, const struct json *c)
{
    const struct json *chain = json_get(c, "certChain");
    json_for_each(one, chain)
    {
        struct json_error e = {0};
        bool valid = false;
        (void)json_opt_bool(one, "valid", &valid, &e);
        table_cell(t, 0, get(c, "identity"));
        table_cell(t, 1, get(one, "type"));
        table_cell(t, 2, get(c, "state"));
        table_cell(t, 3, valid ? TEXT("true") : TEXT("false"));
        table_cell(t, 4, get(one, "serialNumber"));
        table_cell(t, 5, get(one, "notAfter"));
        table_cell(t, 6, get(one, "notBefore"));
    }
    if (json_count(chain) > 0)
        return;
    table_cell(t, 0, get(c, "identity"));
    table_cell(t, 1, TEXT("Leaf"));
    table_cell(t, 2, get(c, "state"));
    table_cell(t, 3, TEXT("false"));
    for (size_t i = 4; i < 7; i++)
        table_cell(t, i, TEXT("-"));
}

static void connection_rows(struct table *t, const struct json *c)
{
    bool in = text_equal(get(c, "direction"), TEXT("Inbound"));
    table_cell(t, 0, get(c, "workload"));
    table_cell(t, 1, get(c, "direction"));
    table_cell(t, 2, in ? get(c, "target") : get(c, "source"));
    table_cell(t, 3, in ? get(c, "source") : get(c, "destination"));
    table_cell(t, 4, in ? get(c, "peer") : get(c, "target"));
    table_cell(t, 5, get(c, "protocol"));
}

const struct view views[] = {
    {"workloads", "/workloads", "workloads", {"NAMESPACE", "POD NAME", "ADDRESS", "NODE", "WAYPOINT", "PROTOCOL"}, 6, workload_rows, true},
    {"services", "/services", "services", {"NAMESPACE", "SERVICE NAME", "SERVICE VIP", "WAYPOINT", "ENDPOINTS"}, 5, service_rows, true},
    {"policies", "/policies", "policies", {"NAMESPACE", "POLICY NAME", "ACTION", "SCOPE", "DRY RUN"}, 5, policy_rows, true},
    {"routes", "/routes", "routes", {"NAMESPACE", "TABLE", "PLACE", "ROUTE", "MATCH", "ACTION"}, 6, route_rows, false},
    {"clusters", "/clusters", "clusters", {"CLUSTER", "BALANCING", "ENDPOINT", "LOCALITY", "PRIORITY", "WEIGHT", "HEALTH", "LEFT OUT", "REQUESTS"}, 9, cluster_rows, false},
    {"certificates", "/certificates", "certificates", {"CERTIFICATE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"}, 7, certificate_rows, false},
    {"connections", "/connections", "connections", {"WORKLOAD", "DIRECTION", "LOCAL", "REMOTE", "REMOTE TARGET", "PROTOCOL"}, 6, connection_rows, false},
};
const size_t n_views = sizeof views / sizeof *views;

const struct view *view_find(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < n_views; i++) {
        const char *full = views[i].name;
        bool singular = strncmp(full, name, len) == 0 && strcmp(full + len, "s") == 0;
        if (strcmp(full, name) == 0 || singular || (strcmp(name, "policy") == 0 && strcmp(full, "policies") == 0))
            return &views[i];
    }
    return NULL;
}

static bool in_namespace(const struct json *item, const char *ns)
{
    struct text have = get(item, "namespace"), workload = get(item, "workload"), head, tail;
    if (!ns)
        return true;
    if (have.len > 0)
        return text_equal(have, text_of(ns));
    if (text_split(workload, '/', &head, &tail))
        return text_equal(head, text_of(ns));
    char part[300]; /* an identity */
    snprintf(part, sizeof part, "/ns/%s/", ns);
    struct text identity = get(item, "identity");
    return identity.len > 0 && memmem(identity.data, identity.len, part, strlen(part));
}

void view_table(const struct view *v, const struct json *answer, const char *ns, struct table *ret)
{
    table_init(ret, v->titles, v->n_columns);
    json_for_each(item, json_get(answer, v->list))
    {
        if (in_namespace(item, ns))
            v->rows(ret, item);
    }
    table_sort(ret);
}
