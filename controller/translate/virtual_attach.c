#include "controller/translate/virtual_attach.h"
#include "shared/mesh/workload.h"
#include <errno.h>
#include <stdlib.h>

/* ---- Who speaks of it ----------------------------------------------------------------------- */

static bool counts(const struct object *o, bool streams)
{
    const struct virtual_service *s = &o->virtual_service;
    return s->flaw.kind == GATEWAY_NO_FLAW && !s->elsewhere && virtual_rules(o, streams).n > 0;
}

struct collecting {
    const struct view *view;
    struct virtual_speakers *all;
    bool streams;
    size_t level;
    const struct object *found;
};

/* Hosts come with the most precise one first. */
static int collect(void *user, struct text host)
{
    struct collecting *c = user;
    struct virtual_speakers *to = c->all;
    struct object_group found = object_index_get(&c->view->virtual_of, host);
    c->level++;
    if (found.n == 0)
        return 0;
    struct virtual_speaker *items = realloc(to->items, (to->n + found.n) * sizeof *items);
    if (!items)
        return -ENOMEM;
    to->items = items;
    for (size_t i = 0; i < found.n; i++)
        items[to->n++] = (struct virtual_speaker){
            .object = found.items[i], .level = c->level, .counts = counts(found.items[i], c->streams)};
    return 0;
}

static int by_object(const void *a, const void *b)
{
    const struct virtual_speaker *x = a, *y = b;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

static int by_precision(const void *a, const void *b)
{
    const struct virtual_speaker *x = a, *y = b;
    int order = (x->level > y->level) - (x->level < y->level);
    return order ? order : object_index_order(x->object, y->object);
}

/* One speaks by its most precise host alone. */
static void each_once(struct virtual_speakers *all)
{
    size_t n = 0;
    qsort(all->items, all->n, sizeof *all->items, by_object);
    for (size_t i = 0; i < all->n; i++)
        if (i == 0 || all->items[i].object != all->items[i - 1].object)
            all->items[n++] = all->items[i];
    all->n = n;
    qsort(all->items, all->n, sizeof *all->items, by_precision);
}

static bool is_for_all(const struct virtual_speaker *s)
{
    return s->counts && s->object->virtual_service.exported.n == 0;
}

int virtual_speakers(const struct view *v, const struct object *service, bool streams,
                     struct virtual_speakers *ret)
{
    char host[VIEW_KEY_MAX];
    struct virtual_speakers all = {0};
    struct collecting c = {.view = v, .all = &all, .streams = streams};
    int err = traffic_counts(v, service)
                  ? traffic_each_host(traffic_service_host(v, service, host), collect, &c)
                  : 0;
    if (err < 0) {
        free(all.items);
        return err;
    }
    if (all.n > 0)
        each_once(&all);
    for (size_t i = 0; i < all.n && !all.everybodys; i++)
        if (is_for_all(&all.items[i]))
            all.everybodys = &all.items[i];
    *ret = all;
    return 0;
}

void virtual_speakers_done(struct virtual_speakers *s)
{
    free(s->items);
    *s = (struct virtual_speakers){0};
}

/* ---- For whom ------------------------------------------------------------------------------- */

static int by_audience(const void *a, const void *b)
{
    const struct virtual_audience *x = a, *y = b;
    int order = strcmp(x->ns, y->ns);
    if (order)
        return order;
    if (x->speaker->level != y->speaker->level)
        return x->speaker->level < y->speaker->level ? -1 : 1;
    bool x_home = strcmp(x->speaker->object->ns, x->ns) == 0;
    bool y_home = strcmp(y->speaker->object->ns, y->ns) == 0;
    if (x_home != y_home)
        return x_home ? -1 : 1;
    return (x->speaker > y->speaker) - (x->speaker < y->speaker);
}

int virtual_audiences(const struct virtual_speakers *s, struct virtual_audience **ret,
                      size_t *ret_n)
{
    size_t n = 0, n_ns = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->items[i].counts ? s->items[i].object->virtual_service.exported.n : 0;
    *ret = NULL;
    *ret_n = 0;
    if (n == 0)
        return 0;
    struct virtual_audience *all = calloc(n, sizeof *all);
    if (!all)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct values *to = &s->items[i].object->virtual_service.exported;
        for (size_t j = 0; s->items[i].counts && j < to->n; j++)
            all[n++] = (struct virtual_audience){to->items[j], &s->items[i]};
    }
    qsort(all, n, sizeof *all, by_audience);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(all[i].ns, all[n_ns - 1].ns) != 0)
            all[n_ns++] = all[i];
    for (size_t i = 0; i < n_ns; i++) /* what is for all by a more precise host comes before it */
        if (s->everybodys && s->everybodys->level < all[i].speaker->level)
            all[i].speaker = s->everybodys;
    *ret = all;
    *ret_n = n_ns;
    return 0;
}

static int first_for_all(void *user, struct text host)
{
    struct collecting *c = user;
    struct object_group found = object_index_get(&c->view->virtual_of, host);
    for (size_t i = 0; i < found.n; i++) {
        const struct virtual_speaker s = {.object = found.items[i], .counts = counts(found.items[i], false)};
        if (is_for_all(&s)) {
            c->found = s.object;
            return 1;
        }
    }
    return 0;
}

const struct object *virtual_for_all(const struct view *v, const struct object *service)
{
    char host[VIEW_KEY_MAX];
    struct collecting c = {.view = v};
    if (traffic_counts(v, service))
        (void)traffic_each_host(traffic_service_host(v, service, host), first_for_all, &c);
    return c.found;
}

/* ---- Ports ---------------------------------------------------------------------------------- */

bool virtual_loses(const struct view *v, const struct object *service,
                   const struct kube_service_port *port, bool streams)
{
    const struct gateway_scope s = {service, port, service->ns, streams};
    if (streams && app_protocol_is_http(port->app_protocol))
        return true;
    return gateway_scope_kind(v, &s) != OBJECT_KIND_COUNT;
}

bool virtual_match_means(const struct virtual_match *m, uint16_t port)
{
    return !m || (!m->elsewhere && (!m->port || m->port == port));
}

enum virtual_called virtual_called(const struct virtual_match *m, const struct object *service)
{
    const struct kube_service *s = &service->service;
    size_t n = 0;
    if (!m || m->subnets.n == 0)
        return VIRTUAL_CALLED_ALWAYS;
    for (size_t i = 0; i < s->n_addresses; i++) {
        size_t j = 0;
        while (j < m->subnets.n && !prefix_contains(&m->subnets.items[j], &s->addresses[i]))
            j++;
        n += j < m->subnets.n;
    }
    return n == 0               ? VIRTUAL_CALLED_NEVER
           : n < s->n_addresses ? VIRTUAL_CALLED_BY_SOME
                                : VIRTUAL_CALLED_ALWAYS;
}

bool virtual_means(const struct object *o, bool streams, uint16_t port)
{
    const struct virtual_rules rules = virtual_rules(o, streams);
    for (size_t i = 0; i < rules.n; i++) {
        if (rules.items[i].n_matches == 0)
            return true;
        for (size_t j = 0; j < rules.items[i].n_matches; j++)
            if (virtual_match_means(&rules.items[i].matches[j], port))
                return true;
    }
    return false;
}
