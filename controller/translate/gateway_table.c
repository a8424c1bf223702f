#include "controller/translate/gateway_table.h"
#include "controller/translate/stream_hosts.h"
#include "controller/translate/traffic_host.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What stands for a rule without matches. */
static const struct gateway_match everything = {
    .path = "/", .method = "", .grpc_service = "", .grpc_method = ""};

size_t gateway_entries(const struct object *route, struct gateway_entry *ret)
{
    size_t n = 0;
    for (size_t j = 0; j < route->route.n_rules; j++) {
        const struct gateway_rule *rule = &route->route.rules[j];
        size_t n_matches = rule->n_matches ? rule->n_matches : 1;
        for (size_t k = 0; k < n_matches; k++, n++)
            if (ret)
                ret[n] = (struct gateway_entry){
                    route, rule, rule->n_matches ? &rule->matches[k] : &everything};
    }
    return n;
}

/* What stands for all rules of a table that can't be made. */
static const struct gateway_rule refused = {
    .name = "refused", .flaw = {GATEWAY_FLAW_VALUE, "can't be sent to the proxies"}};

static struct object_group routes_of(const struct view *v, const struct object *service)
{
    char name[VIEW_KEY_MAX];
    return object_index_get(&v->routes_of, view_name(service->ns, service->name, name));
}

/* The matches of all rules of the kind of routes that counts there, in order, on the heap; NULL: no
 * memory. */
static struct gateway_entry *entries_of(const struct view *v, const struct gateway_scope *s,
                                        enum object_kind kind, size_t *ret_n)
{
    struct object_group routes = routes_of(v, s->service);
    struct gateway_entry *entries = NULL;
    for (unsigned round = 0; round < 2; round++) { /* counted, then filled in */
        size_t n = 0;
        for (size_t i = 0; i < routes.n; i++) {
            const struct object *o = routes.items[i];
            if ((!s->streams && o->kind != kind) || !gateway_scope_wants(s, o))
                continue;
            n += gateway_entries(o, entries ? entries + n : NULL);
        }
        *ret_n = n;
        if (round == 0 && !(entries = calloc(n + 1, sizeof *entries)))
            return NULL;
    }
    gateway_order(entries, *ret_n);
    return entries;
}

/* "shop/split/canary", "shop/split/0" */
static struct text route_name(struct gateway_build *b, const struct gateway_entry *e)
{
    char text[OBJECT_KEY_MAX];
    struct text_out out = TEXT_OUT(text);
    text_printf(&out, "%s/%s/", e->route->ns, e->route->name);
    if (e->rule->name[0])
        text_puts(&out, e->rule->name);
    else
        text_printf(&out, "%zu", (size_t)(e->rule - e->route->route.rules));
    return gateway_copy(b, (struct text){out.data, out.len});
}

void gateway_route_build(struct gateway_build *b, const struct gateway_entry *e, struct route *ret)
{
    ret->name = route_name(b, e);
    gateway_match_build(b, e, &ret->match);
    gateway_action_build(b, e, &ret->action);
}

void gateway_route_refuse(struct gateway_build *b, const struct object *of, struct route *ret)
{
    const struct gateway_entry e = {of, &refused, &everything};
    ret->name = TEXT("refused");
    gateway_match_build(b, &e, &ret->match);
    gateway_action_build(b, &e, &ret->action);
}

struct text gateway_table_name(struct gateway_build *b, const char *ns)
{
    char host[VIEW_KEY_MAX], text[GATEWAY_CLUSTER_MAX + 66];
    struct text_out out = TEXT_OUT(text);
    const struct gateway_scope *s = b->scope;
    text_printf(&out, "%s|%u||%s", s->streams ? "tcp" : "outbound", s->port->port,
                traffic_named_host(b->view, s->service->ns, s->service->name, host).data);
    if (ns)
        text_printf(&out, "@%s", ns);
    return gateway_copy(b, (struct text){out.data, out.len});
}

/* A route for each server of a TLSRoute, and for all other connections that of a TCPRoute; of several
 * the oldest. */
static void fill_streams(struct gateway_build *b, struct route_table *t,
                         const struct gateway_entry *entries, size_t n)
{
    size_t n_streams = 0;
    for (size_t i = 0; i < n; i++)
        n_streams += 1 + entries[i].route->route.hostnames.n;
    struct stream_route *streams = calloc(n_streams + 1, sizeof *streams);
    b->failed |= !streams;
    n_streams = 0;
    for (size_t i = 0; i < n && !b->failed; i++) {
        const struct values *servers = &entries[i].route->route.hostnames;
        struct stream_route s = {.server = TEXT("*"),
                                 .route = {.name = route_name(b, &entries[i]),
                                           .match.path = {.kind = PATH_PREFIX, .value = TEXT("/")}}};
        gateway_action_build(b, &entries[i], &s.route.action);
        if (entries[i].route->kind == OBJECT_TCP_ROUTE)
            streams[n_streams++] = s;
        for (size_t j = 0; j < servers->n; j++) {
            s.server = text_of(servers->items[j]);
            streams[n_streams++] = s;
        }
    }
    if (!b->failed)
        stream_hosts(b, streams, n_streams, t);
    free(streams);
}

static void fill(struct gateway_build *b, struct route_table *t,
                 const struct gateway_entry *entries, size_t n)
{
    const struct gateway_scope *s = b->scope;
    t->name = gateway_table_name(b, strcmp(s->ns, s->service->ns) != 0 ? s->ns : NULL);
    if (s->streams) {
        fill_streams(b, t, entries, n);
        return;
    }
    struct virtual_host *h = gateway_take(b, 1, sizeof *h);
    struct text *domains = gateway_take(b, 1, sizeof *domains);
    struct route *routes = gateway_take(b, n, sizeof *routes);
    if (b->failed)
        return;
    t->hosts = h;
    t->n_hosts = 1;
    *domains = TEXT("*");
    *h = (struct virtual_host){
        .name = t->name, .domains = domains, .n_domains = 1, .routes = routes};
    for (size_t i = 0; !b->failed && i < n; i++)
        gateway_route_build(b, &entries[i], &routes[h->n_routes++]);
}

void gateway_table_field(const struct gateway_scope *s, char out[static GATEWAY_FIELD_MAX])
{
    bool own = strcmp(s->ns, s->service->ns) == 0;
    snprintf(out, GATEWAY_FIELD_MAX, "spec.ports[%u]%s%s%s", s->port->port,
             s->streams ? "/tcp" : "", own ? "" : "@", own ? "" : s->ns);
}

static void complain(const struct gateway_scope *s, const char *why, struct problems *problems)
{
    char key[OBJECT_KEY_MAX], field[GATEWAY_FIELD_MAX];
    object_key(OBJECT_SERVICE, s->service->ns, s->service->name, key);
    gateway_table_field(s, field);
    problems_add(problems, PROBLEM_ERROR, s->service->file, s->service->line, key, field,
                 "its routes for port %u can't be sent to the proxies: %s", s->port->port, why);
}

/* -EINVAL: why says what is too much. */
static int make(const struct view *v, const struct gateway_scope *s,
                const struct gateway_entry *entries, size_t n, struct gateway_tables *all,
                char why[static WHY_MAX])
{
    struct route_table *t = gateway_tables_new(all);
    if (!t)
        return -ENOMEM;
    struct gateway_build b = {
        .view = v, .scope = s, .arena = &t->arena, .refusing = n == 1 && entries[0].rule == &refused};
    fill(&b, t, entries, n);
    return gateway_tables_add(all, &b, t, why);
}

int gateway_table(const struct view *v, const struct gateway_scope *s, struct gateway_tables *all,
                  struct problems *problems)
{
    char why[WHY_MAX] = "";
    size_t n;
    enum object_kind kind = gateway_scope_kind(v, s);
    if (kind == OBJECT_KIND_COUNT)
        return 0;
    struct gateway_entry *entries = entries_of(v, s, kind, &n);
    int err = entries ? make(v, s, entries, n, all, why) : -ENOMEM;
    if (err == -EINVAL && n > 0) { /* closed, not as if there were no routes */
        complain(s, why, problems);
        entries[0].rule = &refused;
        entries[0].match = &everything;
        err = make(v, s, entries, 1, all, why);
    }
    free(entries);
    return err;
}

/* ---- All of a Service ----------------------------------------------------------------------- */

/* Of a table that refuses all: there is always room for that. */
enum { REFUSED_BYTES_MAX = 16 * 1024 };

struct route_table *gateway_tables_new(const struct gateway_tables *all)
{
    size_t room = all->bytes < GATEWAY_TABLES_BYTES_MAX ? GATEWAY_TABLES_BYTES_MAX - all->bytes : 0;
    if (room > GATEWAY_TABLE_BYTES_MAX)
        room = GATEWAY_TABLE_BYTES_MAX;
    return route_table_new(room > REFUSED_BYTES_MAX ? room : REFUSED_BYTES_MAX);
}

static int put(struct gateway_tables *all, const struct gateway_told *told)
{
    if (all->n == all->size) {
        size_t size = all->size ? 2 * all->size : 8;
        struct gateway_told *items = realloc(all->items, size * sizeof *items);
        if (!items)
            return -ENOMEM;
        all->items = items;
        all->size = size;
    }
    all->items[all->n++] = *told;
    all->bytes += told->table->arena.taken;
    return 0;
}

uint64_t gateway_tables_max(const struct translate_settings *s)
{
    return s->tables_bytes_max ? s->tables_bytes_max : MESH_TABLES_BYTES_MAX;
}

/* What can be told of it, and whether there is room for that. */
static int encode(struct gateway_tables *all, const struct gateway_build *b,
                  struct gateway_told *told, char why[static WHY_MAX])
{
    uint64_t max = gateway_tables_max(b->view->settings);
    int err = xds_routes_encode(told->table, &told->body);
    if (err == -E2BIG)
        return why_say(-EINVAL, why, "they take more than %d MiB when they are sent",
                       XDS_ROUTES_BYTES_MAX >> 20);
    if (err < 0 || b->refusing)
        return err;
    size_t len = told->body.len;
    if (all->elsewhere + all->body_bytes + len > max) {
        if (all->short_of == 0 || len < all->short_of)
            all->short_of = len;
        return why_say(-EINVAL, why,
                       "with the tables of all Services they take more than %llu KiB",
                       (unsigned long long)(max >> 10));
    }
    return 0;
}

int gateway_tables_add(struct gateway_tables *all, struct gateway_build *b,
                       struct route_table *taken, char why[static WHY_MAX])
{
    int err = b->failed ? -ENOMEM : route_table_finish(taken, why);
    if (b->failed && !taken->arena.no_memory) { /* the table is full */
        bool is_one = taken->arena.max == GATEWAY_TABLE_BYTES_MAX;
        snprintf(why, WHY_MAX, "%s more than %d MiB",
                 is_one ? "they take" : "all of the Service's take",
                 (is_one ? GATEWAY_TABLE_BYTES_MAX : GATEWAY_TABLES_BYTES_MAX) >> 20);
        err = -EINVAL;
    }
    struct gateway_told told = {.table = taken};
    if (err == 0)
        err = encode(all, b, &told, why);
    if (err == 0)
        err = put(all, &told);
    if (err < 0) {
        route_table_unref(taken);
        xds_bytes_done(&told.body);
    } else if (!b->refusing)
        all->body_bytes += told.body.len;
    return err;
}

void gateway_tables_done(struct gateway_tables *t)
{
    for (size_t i = 0; i < t->n; i++) {
        route_table_unref(t->items[i].table);
        xds_bytes_done(&t->items[i].body);
    }
    free(t->items);
    *t = (struct gateway_tables){0};
}

/* Routes by their namespaces; the Service's own is first: it is the last one that there is no room for. */
static int namespace_order(const void *a, const void *b, void *of)
{
    const char *x = (*(const struct object *const *)a)->ns;
    const char *y = (*(const struct object *const *)b)->ns;
    const struct object *service = of;
    bool x_own = strcmp(x, service->ns) == 0, y_own = strcmp(y, service->ns) == 0;
    return x_own != y_own ? (x_own ? -1 : 1) : strcmp(x, y);
}

static int add_all(const struct view *v, const struct object *service, const struct object **routes,
                   size_t n, struct gateway_tables *all, struct problems *problems)
{
    int err = 0;
    qsort_r(routes, n, sizeof(const struct object *), namespace_order, (void *)service);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(routes[i - 1]->ns, routes[i]->ns) == 0)
            continue;
        for (size_t j = 0; j < 2 * service->service.n_ports && err == 0; j++) {
            const struct gateway_scope s = {service, &service->service.ports[j / 2], routes[i]->ns,
                                            j % 2 == 1};
            err = gateway_table(v, &s, all, problems);
        }
    }
    return err;
}

static int name_order(const void *a, const void *b)
{
    const struct route_table *x = ((const struct gateway_told *)a)->table;
    const struct route_table *y = ((const struct gateway_told *)b)->table;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.data, y->name.data, len);
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

int gateway_tables(const struct view *v, const struct object *service, struct gateway_tables *all,
                   struct problems *problems)
{
    struct object_group routes = routes_of(v, service);
    size_t n_before = all->n;
    if (routes.n == 0 || service->service.external_name)
        return 0;
    const struct object **sorted = calloc(routes.n, sizeof(const struct object *));
    if (!sorted)
        return -ENOMEM;
    memcpy(sorted, routes.items, routes.n * sizeof(const struct object *));
    int err = add_all(v, service, sorted, routes.n, all, problems);
    free(sorted);
    if (err == 0 && all->n > n_before)
        qsort(all->items + n_before, all->n - n_before, sizeof *all->items, name_order);
    return err;
}
