#include "controller/ctl/ctl.h"
#include <stdio.h>

static const char *const titles[] = {"NODE",      "PROXY",         "READY",  "CONTROLLER",
                                     "WORKLOADS", "POLICIES", "UNACKED", "CAPTURED", "REFUSED"};
enum { PROXY = 1, CONTROLLER = 3, UNACKED = 6, CAPTURED, REFUSED, COLUMNS };

static bool follows(const struct json *client, const char *node)
{
    char part[320];
    struct text id = json_text(json_member(client, TEXT("node")));
    snprintf(part, sizeof part, "weir-nodeproxy-%s.", node);
    return id.len > 0 && memmem(id.data, id.len, part, strlen(part));
}

/* The controller that a node's proxy is connected to. */
static const struct check_program *followed(const struct check_program *programs, size_t n,
                                            const char *node, const struct json **ret_client)
{
    for (size_t i = 0; i < n; i++)
        json_for_each (client, json_get(programs[i].dump, "clients"))
            if (follows(client, node)) {
                *ret_client = client;
                return &programs[i];
            }
    return NULL;
}

static struct text synced(const struct json *client, const char *type)
{
    struct json_error e = {0};
    bool is = false;
    const struct json *of = json_member(json_member(client, TEXT("types")), text_of(type));
    if (!of)
        return TEXT("not asked");
    (void)json_opt_bool(of, "synced", &is, &e);
    return is ? TEXT("synced") : TEXT("STALE");
}

/* What it refused last, and goes on without: "cluster: its words". */
static void put_refused(struct table *t, const struct json *client)
{
    char words[700];
    struct text_out out = TEXT_OUT(words);
    const struct json *refused = json_member(client, TEXT("refused"));
    text_put(&out, json_text(json_member(refused, TEXT("type"))));
    text_puts(&out, ": ");
    text_put(&out, json_text(json_member(refused, TEXT("message"))));
    table_cell(t, REFUSED, refused ? (struct text){out.data, out.len} : TEXT("-"));
}

static void put_unacknowledged(struct table *t, const struct json *client)
{
    struct json_error e = {0};
    int64_t waiting = 0;
    char number[32] = "-";
    if (client && json_opt_i64(client, "unacknowledged", 0, INT64_MAX, &waiting, &e) == 0)
        snprintf(number, sizeof number, "%lld", (long long)waiting);
    table_cell(t, UNACKED, text_of(number));
}

static struct text is_ready(const struct json *pod)
{
    json_for_each (condition, json_get(pod, "status.conditions"))
        if (text_equal(json_text(json_member(condition, TEXT("type"))), TEXT("Ready")))
            return text_equal(json_text(json_member(condition, TEXT("status"))), TEXT("True"))
                       ? TEXT("yes")
                       : TEXT("NO");
    return TEXT("NO");
}

static void put_row(struct table *t, const struct check_program *programs, size_t n,
                    const struct check_program *p)
{
    const struct json *client = NULL;
    const struct check_program *controller = followed(programs, n, p->node, &client);
    char captured[32] = "-";
    double pods = check_metric(p->metrics, "workload_manager_active_proxy_count", NULL);
    if (pods >= 0)
        snprintf(captured, sizeof captured, "%.0f", pods);
    table_cell(t, 0, text_of(p->node));
    table_cell(t, 1, text_of(p->name));
    table_cell(t, 2, is_ready(p->pod));
    table_cell(t, 3, controller ? text_of(controller->name) : TEXT("NONE"));
    table_cell(t, 4,
               client ? synced(client, "type.googleapis.com/istio.workload.Address") : TEXT("-"));
    table_cell(t, 5, client ? synced(client, "type.googleapis.com/istio.security.Authorization")
                            : TEXT("-"));
    put_unacknowledged(t, client);
    table_cell(t, CAPTURED, text_of(captured));
    put_refused(t, client);
}

static bool has_row(const struct check_program *programs, size_t n, const struct json *client)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(programs[i].role, "nodeproxy") == 0 && follows(client, programs[i].node))
            return true;
    return false;
}

/* Who follows a controller and has no row by now: proxyless gRPC clients and such; node proxies, where the controller
 * alone was asked. */
static void put_others(struct table *t, const struct check_program *programs, size_t n,
                       const struct check_program *controller)
{
    json_for_each (client, json_get(controller->dump, "clients")) {
        struct text id = json_text(json_member(client, TEXT("node")));
        if (id.len == 0 || text_equal(id, TEXT("weir-ca")) || has_row(programs, n, client))
            continue;
        table_cell(t, 0, TEXT("-"));
        table_cell(t, PROXY, id);
        table_cell(t, CONTROLLER, text_of(controller->name));
        put_unacknowledged(t, client);
        put_refused(t, client);
    }
}

void status_table(const struct check_program *programs, size_t n, struct table *ret)
{
    table_init(ret, titles, COLUMNS);
    for (size_t i = 0; i < n; i++)
        if (strcmp(programs[i].role, "nodeproxy") == 0)
            put_row(ret, programs, n, &programs[i]);
        else
            put_others(ret, programs, n, &programs[i]);
    table_sort(ret);
}
