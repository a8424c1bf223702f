#include "shared/mesh/route_index.h"

#include "shared/http/http_grammar.h"
#include "shared/mesh/place.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* How many candidate lists are followed at once; paths that lie deeper in one another are looked for
 * one by one. */
enum { CURSORS_MAX = 32 };

static struct text backwards(struct text t, char out[static DOMAIN_ENDING_MAX])
{
    size_t n = t.len < DOMAIN_ENDING_MAX ? t.len : DOMAIN_ENDING_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = t.data[t.len - 1 - i];
    return (struct text){out, n};
}

/* ---- Domains. */

struct domain_lists {
    struct prefix_entry *starts, *endings;
    size_t n_starts, n_endings;
};

static int domain_put(struct domain_index *x, struct domain_lists *l, struct arena *a,
                      struct text domain, uint32_t host)
{
    if (text_equal(domain, TEXT("*"))) {
        if (x->any != PREFIX_NONE)
            return -EEXIST;
        x->any = host;
    } else if (domain.data[0] == '*') {
        char reversed[DOMAIN_ENDING_MAX];
        struct text ending = {domain.data + 1, domain.len - 1};
        ending = arena_text(a, backwards(ending, reversed));
        if (!ending.data)
            return -ENOMEM;
        l->endings[l->n_endings++] = (struct prefix_entry){ending, host, 0};
    } else {
        bool prefix = domain.data[domain.len - 1] == '*';
        l->starts[l->n_starts++] =
            (struct prefix_entry){{domain.data, domain.len - prefix},
                                  host,
                                  prefix ? INDEX_HOST_PREFIX : INDEX_HOST_EXACT};
    }
    return 0;
}

static int each_once(const struct prefix_index *x, bool backward, char why[static WHY_MAX])
{
    for (uint32_t i = 0; i < x->n; i++) {
        for (int l = 0; l < PREFIX_LISTS; l++) {
            const struct number_list *list = &x->nodes[i].lists[l];
            if (list->n < 2)
                continue;
            char reversed[DOMAIN_ENDING_MAX];
            struct text t = backward ? backwards(x->nodes[i].text, reversed) : x->nodes[i].text;
            return place_refuse(AT(AT_I(NULL, "virtual_hosts", list->items[1]), "domains"), why,
                                "%s%.*s%s is there twice", backward ? "*" : "", (int)t.len, t.data,
                                !backward && l == INDEX_HOST_PREFIX ? "*" : "");
        }
    }
    return 0;
}

static int fill(struct route_table *t, struct domain_index *x, struct domain_lists *l,
                char why[static WHY_MAX])
{
    int e = 0;

    for (size_t h = 0; e == 0 && h < t->n_hosts; h++) {
        for (size_t d = 0; e == 0 && d < t->hosts[h].n_domains; d++)
            e = domain_put(x, l, &t->arena, t->hosts[h].domains[d], (uint32_t)h);
        if (e == -EEXIST)
            return place_refuse(AT(AT_I(NULL, "virtual_hosts", h), "domains"), why,
                                "* is there twice");
    }
    if (e == 0)
        e = prefix_index_build(&x->starts, &t->arena, l->starts, l->n_starts);
    if (e == 0)
        e = prefix_index_build(&x->endings, &t->arena, l->endings, l->n_endings);
    if (e < 0)
        return place_no_memory(why);
    e = each_once(&x->starts, false, why);
    return e < 0 ? e : each_once(&x->endings, true, why);
}

int domain_index_build(struct route_table *t, char why[static WHY_MAX])
{
    struct domain_index *x = arena_zero(&t->arena, 1, sizeof *x);
    size_t n = 1;

    for (size_t h = 0; h < t->n_hosts; h++)
        n += t->hosts[h].n_domains;
    struct domain_lists l = {.starts = calloc(n, sizeof *l.starts),
                             .endings = calloc(n, sizeof *l.endings)};
    int e = -ENOMEM;
    if (x && l.starts && l.endings) {
        x->any = PREFIX_NONE;
        e = fill(t, x, &l, why);
        t->domains = x;
    } else {
        (void)place_no_memory(why);
    }
    free(l.starts);
    free(l.endings);
    return e;
}

/* Envoy's order: exact, then the longest ending, then the longest start, then "*". A wildcard
 * stands for at least one character. */
const struct virtual_host *route_table_host(const struct route_table *t, struct text authority)
{
    const struct domain_index *x = t->domains;
    char reversed[DOMAIN_ENDING_MAX];
    uint32_t at, host = x->any;
    struct text port;

    assert(t->finished);
    if (t->ignore_port)
        http_authority_split(authority, &authority, &port);
    uint32_t start = prefix_index_find(&x->starts, authority);
    if (start != PREFIX_NONE && x->starts.nodes[start].text.len == authority.len) {
        const struct prefix_node *node = &x->starts.nodes[start];
        if (node->lists[INDEX_HOST_EXACT].n > 0)
            return &t->hosts[node->lists[INDEX_HOST_EXACT].items[0]];
        start = node->parent;
    }
    at = prefix_index_find(&x->endings, backwards(authority, reversed));
    while (at != PREFIX_NONE && x->endings.nodes[at].text.len == authority.len)
        at = x->endings.nodes[at].parent;
    if (at != PREFIX_NONE)
        return &t->hosts[x->endings.nodes[at].lists[0].items[0]];
    while (start != PREFIX_NONE && x->starts.nodes[start].lists[INDEX_HOST_PREFIX].n == 0)
        start = x->starts.nodes[start].parent;
    if (start != PREFIX_NONE)
        host = x->starts.nodes[start].lists[INDEX_HOST_PREFIX].items[0];
    return host == PREFIX_NONE ? NULL : &t->hosts[host];
}

/* ---- Routes. */

int route_index_build(struct arena *a, struct virtual_host *h)
{
    struct route_index *x = arena_zero(a, 1, sizeof *x);
    uint32_t *others = arena_zero(a, h->n_routes, sizeof *others);
    struct prefix_entry *entries = calloc(h->n_routes + 1, sizeof *entries);
    size_t n = 0;
    int e = -ENOMEM;

    if (x && others && entries) {
        x->others.items = others;
        for (size_t i = 0; i < h->n_routes; i++) {
            const struct path_match *p = &h->routes[i].match.path;
            if (p->kind == PATH_REGEX)
                others[x->others.n++] = (uint32_t)i;
            else
                entries[n++] = (struct prefix_entry){p->value, (uint32_t)i,
                                                     p->kind == PATH_EXACT ? INDEX_PATH_EXACT
                                                                           : INDEX_PATH_PREFIX};
        }
        e = prefix_index_build(&x->paths, a, entries, n);
        h->index = x;
    }
    free(entries);
    return e;
}

struct cursors {
    struct number_list lists[CURSORS_MAX]; /* none is empty */
    size_t n;
};

static bool add(struct cursors *c, const struct number_list *list)
{
    if (list->n == 0)
        return true;
    if (c->n == CURSORS_MAX)
        return false;
    c->lists[c->n++] = *list;
    return true;
}

/* false: too many. */
static bool candidates(const struct route_index *x, struct text path, struct cursors *c)
{
    uint32_t at = prefix_index_find(&x->paths, path);

    for (; at != PREFIX_NONE; at = x->paths.nodes[at].parent) {
        const struct prefix_node *node = &x->paths.nodes[at];
        if (node->text.len == path.len && !add(c, &node->lists[INDEX_PATH_EXACT]))
            return false;
        if (!add(c, &node->lists[INDEX_PATH_PREFIX]))
            return false;
    }
    return add(c, &x->others);
}

/* The lowest number of all lists, which goes. There is one. */
static uint32_t take_first(struct cursors *c)
{
    size_t first = 0;

    for (size_t i = 1; i < c->n; i++) {
        if (c->lists[i].items[0] < c->lists[first].items[0])
            first = i;
    }
    uint32_t number = c->lists[first].items[0];
    c->lists[first].items++;
    if (--c->lists[first].n == 0)
        c->lists[first] = c->lists[--c->n];
    return number;
}

static int take(const struct route *r, const struct route_request *request, struct route_path path,
                const struct route **ret)
{
    int fits = route_fits(&r->match, request, path);
    if (fits > 0)
        *ret = r;
    return fits;
}

int virtual_host_route(const struct virtual_host *h, const struct route_request *request,
                       const struct route **ret)
{
    struct route_path path = route_path_of(request->head);
    struct cursors c = {.n = 0};
    int fits = 0;

    if (!candidates(h->index, path.path, &c)) {
        for (size_t i = 0; i < h->n_routes && fits == 0; i++)
            fits = take(&h->routes[i], request, path, ret);
    } else {
        while (c.n > 0 && fits == 0)
            fits = take(&h->routes[take_first(&c)], request, path, ret);
    }
    return fits == 0 ? -ENOENT : fits < 0 ? fits : 0;
}
