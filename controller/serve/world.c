#include "controller/serve/world.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static char present; /* the value of sets */

void world_init(struct world *w, enum xds_type type, size_t names_max)
{
    *w = (struct world){.type = type};
    map_init(&w->names, names_max);
    name_queue_init(&w->due);
}

void world_done(struct world *w)
{
    name_queue_done(&w->due);
    map_done(&w->names, NULL);
    const struct asker *asker = w->asker;
    world_init(w, w->type, w->names.entries_max);
    w->asker = asker;
}

bool world_is_whole(enum xds_type type)
{
    return type == XDS_LISTENER || type == XDS_CLUSTER;
}

static bool is_wanted(const struct world *w, struct text name)
{
    return w->wildcard || map_get(&w->names, name);
}

/* What a name is to this client; NULL: it never was anything. */
static const struct catalog_entry *entry_of(const struct world *w, const struct catalog *c,
                                            struct text name)
{
    char own[XDS_NAME_MAX + ASKER_NAMESPACE_MAX + 2];
    const struct catalog_entry *e = NULL;
    if (w->type == XDS_LISTENER && w->asker && w->asker->ns[0]) {
        snprintf(own, sizeof own, "%.*s@%s", (int)name.len, name.data, w->asker->ns);
        e = map_get(&c->entries[w->type], text_of(own));
    }
    return e && e->resource ? e : map_get(&c->entries[w->type], name);
}

/* ---- Requests ------------------------------------------------------------------------------- */

/* Names that are in no request any more: the client dropped what it had, and is told again if it
 * asks again. */
static int drop_names(struct world *w, const struct map *asked)
{
    size_t n = 0;
    const struct map_entry *m;
    const char **gone = calloc(w->names.count + 1, sizeof(char *));
    if (!gone)
        return -ENOMEM;
    for (size_t i = 0; (m = map_next(&w->names, &i));)
        if (!map_get(asked, (struct text){m->key, m->key_len}))
            gone[n++] = m->key;
    for (size_t i = 0; i < n; i++)
        map_remove(&w->names, text_of(gone[i]));
    free(gone);
    return 0;
}

static int add_name(struct world *w, const struct catalog *c, const char *name)
{
    if (strlen(name) > XDS_NAME_MAX)
        return -EINVAL;
    if (map_get(&w->names, text_of(name)))
        return 0;
    int err = map_put(&w->names, text_of(name), &present, NULL);
    if (err < 0)
        return err;
    if (world_is_whole(w->type)) {
        w->must_answer = true;
        return 0;
    }
    /* What is not there is not answered: it may come, and the client knows how long to wait. */
    return catalog_get(c, w->type, text_of(name)) ? name_queue_push(&w->due, name) : 0;
}

static void set_wildcard(struct world *w, bool wildcard)
{
    if (wildcard && !w->wildcard)
        w->must_answer = true;
    w->wildcard = wildcard;
}

int world_request(struct world *w, const struct catalog *c, const struct sotw_request *request)
{
    struct map asked;
    bool star = false;
    int err = 0;
    if (!w->started) {
        w->started = true;
        w->puts_at = w->removals_at = c->sequence;
        w->must_answer = world_is_whole(w->type);
    }
    map_init(&asked, w->names.entries_max);
    for (size_t i = 0; i < request->n_names && err == 0; i++) {
        star = star || strcmp(request->names[i], "*") == 0;
        err = map_put(&asked, text_of(request->names[i]), &present, NULL);
    }
    if (err == 0)
        err = drop_names(w, &asked);
    map_done(&asked, NULL);
    w->named = w->named || request->n_names > 0;
    set_wildcard(w, world_is_whole(w->type) && (star || !w->named));
    for (size_t i = 0; i < request->n_names && err == 0; i++)
        if (strcmp(request->names[i], "*") != 0)
            err = add_name(w, c, request->names[i]);
    return err;
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* What changed since, as far as it concerns the client. */
static int refresh(struct world *w, const struct catalog *c)
{
    const struct catalog_entry *e;
    /* Graves went before this client saw them: there were too many. */
    if (world_is_whole(w->type) && c->logs[w->type].forgotten > w->puts_at)
        w->removed = true;
    for (size_t i = catalog_after(c, w->type, w->puts_at); (e = catalog_next(c, w->type, &i));) {
        struct text name = text_of(e->name), ns;
        if (!asker_may_see(w->asker, w->type, name))
            continue;
        bool own = w->type == XDS_LISTENER && asker_own_name(e->name, &name, &ns);
        if (own && !(w->asker && text_equal(ns, text_of(w->asker->ns))))
            continue;
        if (!is_wanted(w, name))
            continue;
        if (own) /* without it there is the one for everybody */
            w->must_answer = true;
        else if (world_is_whole(w->type)) {
            w->removed = w->removed || !e->resource;
            w->must_answer = w->must_answer || e->resource;
        } else if (e->resource && name_queue_push(&w->due, e->name) < 0)
            return -ENOMEM;
    }
    w->puts_at = c->sequence;
    if (!w->removed)
        w->removals_at = c->sequence;
    return 0;
}

static void answer_put(struct world_answer *a, const struct resource *r)
{
    enum { OVERHEAD = 80 };
    a->items[a->n++] = r;
    a->bytes += r->body_len + OVERHEAD;
}

static int resource_order(const void *a, const void *b)
{
    return strcmp((*(const struct resource *const *)a)->name,
                  (*(const struct resource *const *)b)->name);
}

/* In the order of names: what is sent should not depend on chance. */
static int answer_whole(const struct world *w, const struct catalog *c, bool removals,
                        struct world_answer *a)
{
    const struct catalog_entry *e;
    size_t max = w->wildcard ? c->entries[w->type].count : w->names.count;
    if (!(a->items = calloc(max + 1, sizeof *a->items)))
        return -ENOMEM;
    const struct map_entry *m;
    const struct map *walked = w->wildcard ? &c->entries[w->type] : &w->names;
    for (size_t i = 0; (m = map_next(walked, &i));) {
        struct text name, ns;
        bool own = w->type == XDS_LISTENER && asker_own_name(m->key, &name, &ns);
        name = (struct text){m->key, m->key_len};
        e = own ? NULL : entry_of(w, c, name);
        if (!e || !asker_may_see(w->asker, w->type, name))
            continue;
        /* Graves that this client was never told of are nothing to it. */
        bool lives_on = !e->resource && e->buried && !removals && e->sequence > w->removals_at;
        if (e->resource || lives_on)
            answer_put(a, e->resource ? e->resource : e->buried);
        if (a->bytes > WORLD_BYTES_MAX)
            return -EMSGSIZE;
    }
    qsort(a->items, a->n, sizeof *a->items, resource_order);
    return 1;
}

static int answer_parts(const struct world *w, const struct catalog *c, struct world_answer *a)
{
    const struct name_queue *q = &w->due;
    if (!(a->items = calloc(q->n - q->begin + 1, sizeof *a->items)))
        return -ENOMEM;
    for (size_t i = q->begin; i < q->n && a->bytes < ANSWER_BYTES_MAX; i++, a->due++) {
        const struct resource *r = catalog_get(c, w->type, text_of(q->items[i]));
        if (r && is_wanted(w, text_of(q->items[i])))
            answer_put(a, r);
    }
    return a->n > 0;
}

int world_answer(struct world *w, const struct catalog *c, bool removals, struct world_answer *ret)
{
    struct world_answer a = {.removals = removals};
    *ret = a;
    if (!w->started)
        return 0;
    int r = refresh(w, c);
    if (r < 0)
        return r;
    if (world_is_whole(w->type))
        r = w->must_answer || (removals && w->removed) ? answer_whole(w, c, removals, &a) : 0;
    else
        r = name_queue_empty(&w->due) ? 0 : answer_parts(w, c, &a);
    if (r <= 0) { /* what was due may be gone, or not be wanted any more */
        if (r == 0)
            name_queue_pop(&w->due, a.due);
        world_answer_done(&a);
        return r;
    }
    *ret = a;
    return 1;
}

void world_told(struct world *w, const struct catalog *c, const struct world_answer *a)
{
    name_queue_pop(&w->due, a->due);
    w->must_answer = false;
    if (a->removals) {
        w->removals_at = c->sequence;
        w->removed = false;
    }
}

void world_answer_done(struct world_answer *a)
{
    free(a->items);
    *a = (struct world_answer){0};
}

uint64_t world_known_to(const struct world *w, const struct catalog *c)
{
    return w->started && world_is_whole(w->type) ? w->removals_at : c->sequence;
}

bool world_is_synced(const struct world *w, const struct catalog *c)
{
    return w->started && w->puts_at == c->sequence && !w->must_answer && !w->removed &&
           name_queue_empty(&w->due);
}
