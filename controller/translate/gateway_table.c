#include "controller/translate/gateway_table.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What stands for a rule without matches. */
static const struct gateway_match everything = {
    .path = "/", .method = "", .grpc_service = "", .grpc_method = ""};

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
            if (o->kind != kind || !gateway_scope_wants(s, o))
                continue;
            for (size_t j = 0; j < o->route.n_rules; j++) {
                const struct gateway_rule *rule = &o->route.rules[j];
                size_t n_matches = rule->n_matches ? rule->n_matches : 1;
                for (size_t k = 0; k < n_matches; k++, n++)
                    if (entries)
                        entries[n] = (struct gateway_entry){
                            o, rule, rule->n_matches ? &rule->matches[k] : &everything};
            }
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

static struct text table_name(struct gateway_build *b)
{
    char name[GATEWAY_CLUSTER_MAX], text[GATEWAY_CLUSTER_MAX + 64];
    struct text_out out = TEXT_OUT(text);
    const struct gateway_scope *s = b->scope;
    gateway_cluster_name(b->view, s->service->ns, s->service->name, s->port->port, name);
    text_puts(&out, name);
    if (strcmp(s->ns, s->service->ns) != 0)
        text_printf(&out, "@%s", s->ns);
    return gateway_copy(b, (struct text){out.data, out.len});
}

static void fill(struct gateway_build *b, struct route_table *t,
                 const struct gateway_entry *entries, size_t n)
{
    struct virtual_host *h = gateway_take(b, 1, sizeof *h);
    struct text *domains = gateway_take(b, 1, sizeof *domains);
    struct route *routes = gateway_take(b, n, sizeof *routes);
    t->name = table_name(b);
    if (b->failed)
        return;
    t->hosts = h;
    t->n_hosts = 1;
    *domains = TEXT("*");
    *h = (struct virtual_host){
        .name = t->name, .domains = domains, .n_domains = 1, .routes = routes};
    for (size_t i = 0; !b->failed && i < n; i++) {
        struct route *r = &routes[h->n_routes++];
        r->name = route_name(b, &entries[i]);
        gateway_match_build(b, &entries[i], &r->match);
        gateway_action_build(b, &entries[i], &r->action);
    }
}

static void complain(const struct gateway_scope *s, const char *why, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    object_key(OBJECT_SERVICE, s->service->ns, s->service->name, key);
    problems_add(problems, PROBLEM_ERROR, s->service->file, s->service->line, key, "",
                 "its routes for port %u can't be sent to the proxies: %s", s->port->port, why);
}

/* -EINVAL: why says what is too much. */
static int make(const struct view *v, const struct gateway_scope *s,
                const struct gateway_entry *entries, size_t n, struct route_table **ret,
                char why[static WHY_MAX])
{
    struct route_table *t = route_table_new(GATEWAY_TABLE_BYTES_MAX);
    if (!t)
        return -ENOMEM;
    struct gateway_build b = {.view = v, .scope = s, .arena = &t->arena};
    fill(&b, t, entries, n);
    int err = b.failed ? -ENOMEM : route_table_finish(t, why);
    if (b.failed && !t->arena.no_memory) { /* the table is full */
        snprintf(why, WHY_MAX, "they take more than %d MiB", GATEWAY_TABLE_BYTES_MAX >> 20);
        err = -EINVAL;
    }
    if (err == 0)
        *ret = t;
    else
        route_table_unref(t);
    return err;
}

int gateway_table(const struct view *v, const struct gateway_scope *s, struct route_table **ret,
                  struct problems *problems)
{
    char why[WHY_MAX] = "";
    size_t n;
    enum object_kind kind = gateway_scope_kind(v, s);
    *ret = NULL;
    if (kind == OBJECT_KIND_COUNT)
        return 0;
    struct gateway_entry *entries = entries_of(v, s, kind, &n);
    int err = entries ? make(v, s, entries, n, ret, why) : -ENOMEM;
    if (err == -EINVAL && n > 0) { /* closed, not as if there were no routes */
        complain(s, why, problems);
        entries[0].rule = &refused;
        entries[0].match = &everything;
        err = make(v, s, entries, 1, ret, why);
    }
    free(entries);
    return err;
}

/* ---- All of a Service ----------------------------------------------------------------------- */

void gateway_tables_done(struct gateway_tables *t)
{
    for (size_t i = 0; i < t->n; i++)
        route_table_unref(t->items[i]);
    free(t->items);
    *t = (struct gateway_tables){0};
}

static int add(const struct view *v, const struct object *service, const char *ns,
               struct gateway_tables *all, struct problems *problems)
{
    for (size_t i = 0; i < service->service.n_ports; i++) {
        const struct gateway_scope s = {service, &service->service.ports[i], ns};
        if (all->n == all->size) {
            size_t size = all->size ? 2 * all->size : 8;
            struct route_table **items = realloc(all->items, size * sizeof(struct route_table *));
            if (!items)
                return -ENOMEM;
            all->items = items;
            all->size = size;
        }
        int err = gateway_table(v, &s, &all->items[all->n], problems);
        if (err < 0)
            return err;
        all->n += all->items[all->n] != NULL;
    }
    return 0;
}

/* Is this the first route of its namespace? */
static bool is_first(struct object_group routes, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(routes.items[j]->ns, routes.items[i]->ns) == 0)
            return false;
    return true;
}

static int name_order(const void *a, const void *b)
{
    const struct route_table *x = *(struct route_table *const *)a;
    const struct route_table *y = *(struct route_table *const *)b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.data, y->name.data, len);
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

int gateway_tables(const struct view *v, const struct object *service, struct gateway_tables *ret,
                   struct problems *problems)
{
    struct object_group routes = routes_of(v, service);
    struct gateway_tables all = {0};
    int err = 0;
    for (size_t i = 0; i < routes.n && err == 0 && !service->service.external_name; i++)
        if (is_first(routes, i))
            err = add(v, service, routes.items[i]->ns, &all, problems);
    if (err < 0) {
        gateway_tables_done(&all);
        return err;
    }
    if (all.n > 1)
        qsort(all.items, all.n, sizeof(struct route_table *), name_order);
    *ret = all;
    return 0;
}
