#include "controller/translate/ingress_table.h"
#include "controller/translate/ingress_attach.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Which route has which host --------------------------------------------------------------- */

struct place {
    const char *host;           /* "": any */
    const struct object *route; /* NULL: the host is a listener's, whatever routes there are */
};
struct places {
    struct place *items;
    size_t n, size;
    int error;
};

static void put(struct places *p, const char *host, const struct object *route)
{
    if (p->n == p->size && p->error == 0) {
        size_t size = p->size ? 2 * p->size : 16;
        struct place *items = realloc(p->items, size * sizeof *items);
        if (!items) {
            p->error = -ENOMEM;
            return;
        }
        p->items = items;
        p->size = size;
    }
    if (p->error == 0)
        p->items[p->n++] = (struct place){host, route};
}

struct served { /* a port of a Gateway */
    const struct view *view;
    const struct object *gateway;
    uint16_t port;
    enum gateway_table_kind kind; /* of its listeners there */
};

static bool is_served(const struct served *s, size_t listener)
{
    return s->gateway->ingress.listeners[listener].port == s->port &&
           ingress_listener_serves(s->view, s->gateway, listener);
}

static bool is_of_kind(const struct served *s, size_t listener)
{
    return ingress_listener_table(&s->gateway->ingress.listeners[listener]) == s->kind;
}

/* A listener with a more precise host that a host lies within has it, be there a route or not. */
static bool is_anothers(const struct served *s, size_t listener, const char *host)
{
    const struct ingress *g = &s->gateway->ingress;
    for (size_t i = 0; i < g->n_listeners; i++)
        if (i != listener && ingress_host_within(host, g->listeners[i].hostname) &&
            ingress_host_within(g->listeners[i].hostname, g->listeners[listener].hostname) &&
            is_served(s, i))
            return true;
    return false;
}

static void put_common(const struct served *s, size_t listener, const struct object *route,
                       const char *wanted, struct places *all)
{
    const char *host = ingress_common_host(s->gateway->ingress.listeners[listener].hostname, wanted);
    if (host && !is_anothers(s, listener, host))
        put(all, host, route);
}

static void put_routes(const struct served *s, size_t listener, struct places *all)
{
    char name[VIEW_KEY_MAX];
    const struct object *g = s->gateway;
    struct object_group routes =
        object_index_get(&s->view->ingress_routes, view_name(g->ns, g->name, name));
    for (size_t i = 0; i < routes.n; i++) {
        const struct object *o = routes.items[i];
        if (!ingress_attaches(s->view, g, listener, o))
            continue;
        for (size_t j = 0; j < o->route.hostnames.n; j++)
            if (ingress_is_host(text_of(o->route.hostnames.items[j])))
                put_common(s, listener, o, o->route.hostnames.items[j], all);
        if (o->route.hostnames.n == 0)
            put_common(s, listener, o, "", all);
    }
}

static int place_order(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int by_host = strcmp(x->host, y->host);
    return by_host ? by_host : ((uintptr_t)x->route > (uintptr_t)y->route) -
                                   ((uintptr_t)x->route < (uintptr_t)y->route);
}

/* A host of which connections pass is nothing that a request on another connection may have. */
static bool is_barred(const struct served *s, size_t listener)
{
    return s->kind == GATEWAY_TABLE_REQUESTS && !is_of_kind(s, listener) && is_served(s, listener);
}

/* By host; the caller frees. */
static struct places places_of(const struct served *s)
{
    struct places all = {0};
    size_t n_served = 0;
    for (size_t i = 0; i < s->gateway->ingress.n_listeners; i++) {
        if (!is_served(s, i) || !is_of_kind(s, i))
            continue;
        n_served++;
        put(&all, s->gateway->ingress.listeners[i].hostname, NULL);
        put_routes(s, i, &all);
    }
    for (size_t i = 0; n_served > 0 && i < s->gateway->ingress.n_listeners; i++)
        if (is_barred(s, i))
            put(&all, s->gateway->ingress.listeners[i].hostname, NULL);
    if (all.n > 1)
        qsort(all.items, all.n, sizeof *all.items, place_order);
    return all;
}

/* ---- The table -------------------------------------------------------------------------------- */

static struct text table_name(struct gateway_build *b, const struct served *s)
{
    char text[GATEWAY_TABLE_NAME_MAX];
    return gateway_copy(b, gateway_table_name_of(s->kind, s->port, s->gateway->ns, s->gateway->name, text));
}

static void name_host(struct gateway_build *b, const char *host, struct virtual_host *h)
{
    char text[300];
    struct text_out out = TEXT_OUT(text);
    text_printf(&out, "%s:%u", host[0] ? host : "*", b->port);
    h->name = gateway_copy(b, (struct text){out.data, out.len});
    h->domains = gateway_take(b, 1, sizeof *h->domains);
    if (h->domains)
        h->domains[h->n_domains++] = gateway_copy(b, text_of(host[0] ? host : "*"));
}

/* Of one host's routes, each once. -ENOMEM. */
static int fill_host(struct gateway_build *b, const struct place *places, size_t n,
                     struct virtual_host *h)
{
    struct gateway_entry *entries = NULL;
    size_t n_entries = 0;
    for (unsigned round = 0; round < 2; round++) { /* counted, then filled in */
        n_entries = 0;
        for (size_t i = 0; i < n; i++) {
            const struct object *o = places[i].route;
            if (!o || (i > 0 && places[i - 1].route == o))
                continue;
            n_entries += gateway_entries(o, entries ? entries + n_entries : NULL);
        }
        if (!entries && !(entries = calloc(n_entries + 1, sizeof *entries)))
            return -ENOMEM;
    }
    gateway_order(entries, n_entries);
    h->routes = gateway_take(b, n_entries, sizeof *h->routes);
    for (size_t i = 0; !b->failed && i < n_entries; i++)
        gateway_route_build(b, &entries[i], &h->routes[h->n_routes++]);
    free(entries);
    return 0;
}

static int fill(struct gateway_build *b, struct route_table *t, const struct served *s,
                const struct places *all)
{
    int err = 0;
    t->name = table_name(b, s);
    t->ignore_port = true; /* clients say it where it is not the scheme's */
    t->hosts = gateway_take(b, all->n, sizeof *t->hosts);
    for (size_t i = 0, end; !b->failed && err == 0 && i < all->n; i = end) {
        struct virtual_host *h = &t->hosts[t->n_hosts++];
        for (end = i + 1; end < all->n && strcmp(all->items[end].host, all->items[i].host) == 0;)
            end++;
        name_host(b, all->items[i].host, h);
        err = fill_host(b, all->items + i, end - i, h);
    }
    return err;
}

/* What stands for a table that can't be made. */
static void fill_refused(struct gateway_build *b, struct route_table *t, const struct served *s)
{
    t->name = table_name(b, s);
    t->hosts = gateway_take(b, 1, sizeof *t->hosts);
    struct route *route = gateway_take(b, 1, sizeof *route);
    if (b->failed)
        return;
    t->n_hosts = 1;
    name_host(b, "", t->hosts);
    t->hosts->routes = route;
    t->hosts->n_routes = 1;
    gateway_route_refuse(b, s->gateway, route);
}

static void complain(const struct served *s, const char *why, struct problems *problems)
{
    char key[OBJECT_KEY_MAX], field[64];
    object_key(OBJECT_INGRESS, s->gateway->ns, s->gateway->name, key);
    snprintf(field, sizeof field, "spec.listeners[port %u]", s->port);
    problems_add(problems, PROBLEM_ERROR, s->gateway->file, s->gateway->line, key, field,
                 "its routes for port %u can't be sent to the proxies: %s", s->port, why);
}

/* `all` NULL: all is refused there. -EINVAL and why: it is too much. */
static int make(const struct served *s, const struct places *all, struct gateway_tables *tables,
                char why[static WHY_MAX])
{
    struct route_table *t = gateway_tables_new(tables);
    if (!t)
        return -ENOMEM;
    struct gateway_build b = {
        .view = s->view, .port = s->port, .arena = &t->arena, .refusing = !all};
    int err = 0;
    if (all)
        err = fill(&b, t, s, all);
    else
        fill_refused(&b, t, s);
    if (err < 0) {
        route_table_unref(t);
        return err;
    }
    return gateway_tables_add(tables, &b, t, why);
}

static int add_port(const struct served *s, struct gateway_tables *tables,
                    struct problems *problems)
{
    char why[WHY_MAX] = "";
    struct places all = places_of(s);
    int err = all.error;
    if (err == 0 && all.n > 0)
        err = make(s, &all, tables, why);
    if (err == -EINVAL) { /* closed */
        complain(s, why, problems);
        err = make(s, NULL, tables, why);
    }
    free(all.items);
    return err;
}

int ingress_tables(const struct view *v, const struct object *gateway, struct gateway_tables *all,
                   struct problems *problems)
{
    const struct ingress *g = &gateway->ingress;
    int err = 0;
    for (size_t i = 0; ingress_is_ours(gateway) && i < g->n_listeners && err == 0; i++) {
        const struct served s = {v, gateway, g->listeners[i].port,
                                 ingress_listener_table(&g->listeners[i])};
        size_t j = 0;
        while (g->listeners[j].port != s.port || !is_of_kind(&s, j))
            j++;
        if (j == i)
            err = add_port(&s, all, problems);
    }
    return err;
}
