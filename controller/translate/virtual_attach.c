#include "controller/translate/virtual_attach.h"
#include <errno.h>
#include <stdlib.h>

/* ---- Candidates ----------------------------------------------------------------------------- */

struct collecting {
    const struct view *view;
    struct object_group *group;
};

static bool is_there(const struct object_group *g, const struct object *o)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->items[i] == o)
            return true;
    return false;
}

static int collect(void *user, struct text host)
{
    struct collecting *c = user;
    struct object_group *to = c->group;
    struct object_group found = object_index_get(&c->view->virtual_of, host);
    if (found.n == 0)
        return 0;
    const struct object **items =
        realloc(to->items, (to->n + found.n) * sizeof(const struct object *));
    if (!items)
        return -ENOMEM;
    to->items = items;
    for (size_t i = 0; i < found.n; i++)
        if (!is_there(to, found.items[i]))
            to->items[to->n++] = found.items[i];
    return 0;
}

int virtual_candidates(const struct view *v, const struct object *service, struct object_group *ret)
{
    char host[VIEW_KEY_MAX];
    struct object_group all = {0};
    struct collecting c = {v, &all};
    int err = traffic_counts(v, service)
                  ? traffic_each_host(traffic_service_host(v, service, host), collect, &c)
                  : 0;
    if (err < 0)
        free(all.items);
    else
        *ret = all;
    return err;
}

/* ---- The one -------------------------------------------------------------------------------- */

/* How precise its most precise host is: the full name is more than any wildcard. */
static size_t precision(const struct view *v, const struct object *o, struct text full)
{
    char host[VIEW_KEY_MAX];
    size_t best = 0;
    for (size_t i = 0; i < o->virtual_service.hosts.n; i++) {
        struct text t = traffic_full_host(v, o->ns, o->virtual_service.hosts.items[i], host);
        if (!traffic_host_matches(t, full))
            continue;
        size_t is = t.data[0] == '*' ? t.len : VIEW_KEY_MAX;
        best = is > best ? is : best;
    }
    return best;
}

enum sight { NOT_SEEN, SEEN_BY_ALL, SEEN_BY_NAME, SEEN_AT_HOME };

static enum sight sight(const struct object *o, const char *ns)
{
    const struct values *to = &o->virtual_service.exported;
    enum sight seen = to->n == 0 ? SEEN_BY_ALL : NOT_SEEN;
    for (size_t i = 0; ns && i < to->n; i++)
        if (strcmp(to->items[i], ns) == 0)
            seen = strcmp(o->ns, ns) == 0 ? SEEN_AT_HOME : SEEN_BY_NAME;
    return seen;
}

static bool counts(const struct object *o)
{
    const struct virtual_service *s = &o->virtual_service;
    return s->flaw.kind == GATEWAY_NO_FLAW && !s->elsewhere && s->n_rules > 0;
}

const struct object *virtual_chosen(const struct view *v, const struct object *service,
                                    const struct object_group *candidates, const char *ns)
{
    char host[VIEW_KEY_MAX];
    struct text full = traffic_service_host(v, service, host);
    const struct object *best = NULL;
    size_t best_precision = 0;
    enum sight best_sight = NOT_SEEN;
    for (size_t i = 0; i < candidates->n; i++) {
        const struct object *o = candidates->items[i];
        size_t is = precision(v, o, full);
        enum sight seen = sight(o, ns);
        if (!counts(o) || seen == NOT_SEEN || is < best_precision ||
            (is == best_precision && seen < best_sight) ||
            (is == best_precision && seen == best_sight && best && !traffic_is_older(o, best)))
            continue;
        best = o;
        best_precision = is;
        best_sight = seen;
    }
    return best;
}

bool virtual_loses(const struct view *v, const struct object *service,
                   const struct kube_service_port *port)
{
    const struct gateway_scope s = {service, port, service->ns};
    return gateway_scope_kind(v, &s) != OBJECT_KIND_COUNT;
}

bool virtual_match_means(const struct virtual_match *m, uint16_t port)
{
    return !m || (!m->elsewhere && (!m->port || m->port == port));
}

bool virtual_means(const struct object *o, uint16_t port)
{
    const struct virtual_service *s = &o->virtual_service;
    for (size_t i = 0; i < s->n_rules; i++) {
        if (s->rules[i].n_matches == 0)
            return true;
        for (size_t j = 0; j < s->rules[i].n_matches; j++)
            if (virtual_match_means(&s->rules[i].matches[j], port))
                return true;
    }
    return false;
}
