#include "controller/serve/interest.h"
#include <errno.h>
#include <stdlib.h>

static char present; /* the value of sets */

/* ---- Life ----------------------------------------------------------------------------------- */

void interest_init(struct interest *s, enum xds_type type, size_t names_max)
{
    *s = (struct interest){.type = type};
    map_init(&s->names, names_max);
    map_init(&s->given, 0);
    map_init(&s->initial, 0);
    name_queue_init(&s->due);
    name_queue_init(&s->gone);
}

void interest_done(struct interest *s)
{
    name_queue_done(&s->due);
    name_queue_done(&s->gone);
    map_done(&s->names, NULL);
    map_done(&s->given, NULL);
    map_done(&s->initial, free);
    const struct asker *asker = s->asker;
    interest_init(s, s->type, s->names.entries_max);
    s->asker = asker;
}

static void set_clear(struct map *m, void (*free_value)(void *))
{
    size_t entries_max = m->entries_max;
    map_done(m, free_value);
    map_init(m, entries_max);
}

/* ---- Interest ------------------------------------------------------------------------------- */

static bool has(const struct map *m, const char *name)
{
    return map_get(m, text_of(name)) != NULL;
}

static bool asked_by_alias(const struct interest *s, const struct resource *r)
{
    for (size_t i = 0; i < r->n_aliases; i++)
        if (has(&s->names, r->aliases[i]))
            return true;
    return false;
}

/* There is no such name for who may not be told of it. */
static bool is_hidden(const struct interest *s, const struct catalog_entry *e)
{
    return !asker_may_see(s->asker, s->type, text_of(e->name));
}

/* Keys are for whose they are. */
static bool is_for(const struct interest *s, const struct resource *r)
{
    for (size_t i = 0; s->identity && i < r->n_aliases; i++)
        if (strcmp(r->aliases[i], s->identity) == 0)
            return true;
    return false;
}

/* What an entry is to this client; NULL: nothing. */
static const struct resource *heard(const struct interest *s, const struct catalog_entry *e)
{
    const struct resource *r = e && !is_hidden(s, e) ? e->resource : NULL;
    if (s->type == XDS_GATEWAY)
        return r && is_for(s, r) ? r : NULL;
    bool meant =
        !r || !s->wildcard || s->made_up || !r->by_name_only || has(&s->names, e->name);
    return meant ? r : NULL;
}

/* Whoever asked for a service gets its workloads too: they are its endpoints. */
static bool asked_by_service(const struct interest *s, const struct catalog *c,
                             const struct resource *r)
{
    for (size_t i = 0; i < r->n_services; i++) {
        const struct resource *service = catalog_get(c, s->type, text_of(r->services[i]));
        if (has(&s->names, r->services[i]) || (service && asked_by_alias(s, service)))
            return true;
    }
    return false;
}

static bool is_wanted(const struct interest *s, const struct catalog *c, const char *name,
                      const struct resource *r)
{
    return has(&s->names, name) || (r && (asked_by_alias(s, r) || asked_by_service(s, c, r)));
}

static int make_due(struct interest *s, const struct catalog *c, const struct resource *r)
{
    int err = name_queue_push(&s->due, r->name);
    const struct catalog_group *members =
        r->is_service ? catalog_members(c, text_of(r->name)) : NULL;
    for (size_t i = 0; members && i < members->n && err == 0; i++)
        err = name_queue_push(&s->due, members->items[i]->name);
    return err;
}

/* A name that was asked for just now: what it stands for, else itself, to be told that it is
 * absent. */
static int make_asked_due(struct interest *s, const struct catalog *c, const char *name)
{
    const struct resource *r = catalog_get(c, s->type, text_of(name));
    if (r)
        return make_due(s, c, r);
    const struct catalog_group *g = catalog_by_alias(c, s->type, text_of(name));
    if (!g && s->due.set.count + s->gone.set.count >= 2 * s->names.entries_max)
        return -ENOSPC; /* it asks, lets go and asks for others, and acknowledges nothing */
    if (!g)
        return name_queue_push(&s->due, name);
    int err = 0;
    for (size_t i = 0; i < g->n && err == 0; i++)
        err = make_due(s, c, g->items[i]->resource);
    return err;
}

int interest_refresh(struct interest *s, const struct catalog *c)
{
    if (!s->started || s->wildcard)
        return 0;
    size_t index = catalog_after(c, s->type, s->puts_at);
    const struct catalog_entry *e;
    while ((e = catalog_next(c, s->type, &index))) {
        bool wanted = has(&s->given, e->name) || is_wanted(s, c, e->name, e->resource);
        if (wanted && name_queue_push(&s->due, e->name) < 0)
            return -ENOMEM;
        s->puts_at = e->sequence;
    }
    s->puts_at = c->sequence;
    return 0;
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void start_wildcard(struct interest *s, const struct catalog *c)
{
    s->wildcard = true;
    s->puts_at = 0;
    s->removals_at = c->sequence;
    s->must_answer = true;
    set_clear(&s->given, NULL);
}

static void stop_wildcard(struct interest *s, const struct catalog *c)
{
    s->wildcard = false;
    s->puts_at = c->sequence;
}

/* What the client still has from earlier. What is gone becomes due, to be told as removed; on
 * demand the rest too: of that, only what has another version will be sent. */
static int take_initial(struct interest *s, const struct catalog *c,
                        const struct delta_request *request)
{
    for (size_t i = 0; i < request->n_initial; i++) {
        const struct xds_version *v = &request->initial[i];
        char *version = text_dup(text_of(v->version));
        void *old = NULL;
        if (!version)
            return -ENOMEM;
        if (map_put(&s->initial, text_of(v->name), version, &old) < 0) {
            free(version);
            return -ENOMEM;
        }
        free(old);
        bool gone = !heard(s, map_get(&c->entries[s->type], text_of(v->name)));
        if ((gone || !s->wildcard) && name_queue_push(&s->due, v->name) < 0)
            return -ENOMEM;
        if (!s->wildcard && map_put(&s->given, text_of(v->name), &present, NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Names that nothing asks for any more are forgotten: the client dropped them by itself. */
static int forget_unwanted(struct interest *s, const struct catalog *c)
{
    size_t n = 0;
    const char **names = calloc(s->given.count + 1, sizeof(char *));
    if (!names)
        return -ENOMEM;
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(&s->given, &i));)
        if (!is_wanted(s, c, m->key, catalog_get(c, s->type, text_of(m->key))))
            names[n++] = m->key;
    for (size_t i = 0; i < n; i++)
        map_remove(&s->given, text_of(names[i]));
    free(names);
    return 0;
}

int interest_request(struct interest *s, const struct catalog *c,
                     const struct delta_request *request)
{
    bool first = !s->started;
    s->started = true;
    if (first) {
        s->must_answer = true;
        stop_wildcard(s, c);
        if (request->n_subscribe == 0)
            start_wildcard(s, c);
    }
    for (size_t i = 0; i < request->n_subscribe; i++)
        if (strcmp(request->subscribe[i], "*") == 0 && !s->wildcard)
            start_wildcard(s, c);
    bool removed = false;
    for (size_t i = 0; i < request->n_unsubscribe; i++) {
        if (strcmp(request->unsubscribe[i], "*") == 0 && s->wildcard)
            stop_wildcard(s, c);
        removed = map_remove(&s->names, text_of(request->unsubscribe[i])) || removed;
    }
    int err = removed && !s->wildcard ? forget_unwanted(s, c) : 0;
    if (err == 0 && first)
        err = take_initial(s, c, request);
    for (size_t i = 0; i < request->n_subscribe && err == 0; i++) {
        const char *name = request->subscribe[i];
        if (strcmp(name, "*") == 0)
            continue;
        if (strlen(name) > XDS_NAME_MAX)
            return -EINVAL;
        s->must_answer = true;
        err = map_put(&s->names, text_of(name), &present, NULL);
        if (err == 0)
            err = make_asked_due(s, c, name);
    }
    return err;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static bool answer_full(const struct interest_answer *a)
{
    return a->bytes >= ANSWER_BYTES_MAX || a->n_resources + a->n_removed >= ANSWER_RESOURCES_MAX;
}

static void answer_put(struct interest_answer *a, const struct resource *r)
{
    enum { OVERHEAD = 80 };
    a->resources[a->n_resources++] = (struct delta_resource){
        .name = r->name,
        .version = (char *)r->version,
        .aliases = r->aliases,
        .n_aliases = r->n_aliases,
        .type_url = (char *)xds_type_url(r->type),
        .body = r->body,
        .body_len = r->body_len,
    };
    a->bytes += r->body_len + strlen(r->name) + OVERHEAD;
    for (size_t i = 0; i < r->n_aliases; i++)
        a->bytes += strlen(r->aliases[i]) + 2;
}

static void answer_remove(struct interest_answer *a, char *name)
{
    a->removed[a->n_removed++] = name;
    a->bytes += strlen(name) + 2;
}

static bool client_has(const struct interest *s, const struct resource *r)
{
    const char *version = map_get(&s->initial, text_of(r->name));
    return version && strcmp(version, r->version) == 0;
}

static void answer_wildcard(const struct interest *s, const struct catalog *c, bool removals,
                            struct interest_answer *a)
{
    const struct catalog_entry *e;
    size_t index = catalog_after(c, s->type, s->puts_at);
    while (!answer_full(a) && (e = catalog_next(c, s->type, &index))) {
        const struct resource *r = heard(s, e);
        if (r && !client_has(s, r))
            answer_put(a, r);
        a->puts_at = e->sequence;
    }
    if (!removals)
        return;
    index = catalog_after(c, s->type, s->removals_at);
    while (!answer_full(a) && (e = catalog_next(c, s->type, &index))) {
        if (!heard(s, e) && !is_hidden(s, e) && (e->for_all || s->made_up))
            answer_remove(a, e->name);
        a->removals_at = e->sequence;
    }
}

/* A wildcard client hears of it by the log anyway, and a response must not hold a name twice. */
static bool in_log(const struct interest *s, const struct catalog_entry *e)
{
    return s->wildcard && e && !is_hidden(s, e) &&
           e->sequence > (heard(s, e) ? s->puts_at : s->removals_at);
}

/* What is gone waits for a time when removals are told. */
static int answer_due(struct interest *s, const struct catalog *c, bool removals,
                      struct interest_answer *a)
{
    const struct name_queue *q = &s->due;
    for (size_t i = q->begin; i < q->n && !answer_full(a); i++, a->due++) {
        const struct catalog_entry *e = map_get(&c->entries[s->type], text_of(q->items[i]));
        if (in_log(s, e))
            continue;
        if (!heard(s, e)) {
            if (name_queue_push(&s->gone, q->items[i]) < 0)
                return -ENOMEM;
            continue;
        }
        if (!s->wildcard && map_put(&s->given, text_of(e->name), &present, NULL) < 0)
            return -ENOMEM;
        if (!client_has(s, e->resource))
            answer_put(a, e->resource);
    }
    q = &s->gone;
    for (size_t i = q->begin; removals && i < q->n && !answer_full(a); i++, a->gone++) {
        const struct catalog_entry *e = map_get(&c->entries[s->type], text_of(q->items[i]));
        if (!in_log(s, e) && !heard(s, e)) /* else it came back */
            answer_remove(a, q->items[i]);
    }
    return 0;
}

int interest_answer(struct interest *s, const struct catalog *c, bool removals,
                    struct interest_answer *ret)
{
    struct interest_answer a = {
        .puts_at = s->puts_at, .removals_at = s->removals_at, .removals = removals};
    *ret = (struct interest_answer){0};
    if (!s->started)
        return 0;
    bool news =
        s->must_answer || !name_queue_empty(&s->due) ||
        (removals && !name_queue_empty(&s->gone)) ||
        (s->wildcard && (s->puts_at < c->sequence || (removals && s->removals_at < c->sequence)));
    if (!news)
        return 0;
    a.resources = calloc(ANSWER_RESOURCES_MAX, sizeof *a.resources);
    a.removed = calloc(ANSWER_RESOURCES_MAX, sizeof(char *));
    if (!a.resources || !a.removed) {
        interest_answer_done(&a);
        return -ENOMEM;
    }
    if (answer_due(s, c, removals, &a) < 0) {
        interest_answer_done(&a);
        return -ENOMEM;
    }
    if (s->wildcard)
        answer_wildcard(s, c, removals, &a);
    /* An answer that consists of removals comes when these are told. */
    bool later = !removals && !name_queue_empty(&s->gone);
    if (a.n_resources == 0 && a.n_removed == 0 && (!s->must_answer || later)) {
        bool must_answer = s->must_answer;
        interest_told(s, c, &a);
        s->must_answer = must_answer;
        interest_answer_done(&a);
        return 0;
    }
    *ret = a;
    return 1;
}

void interest_told(struct interest *s, const struct catalog *c, const struct interest_answer *a)
{
    for (size_t i = 0; !s->wildcard && i < a->n_removed; i++)
        map_remove(&s->given, text_of(a->removed[i]));
    for (size_t i = 0; s->initial.count > 0 && i < a->n_resources;
         i++) /* it has another version now */
        free(map_remove(&s->initial, text_of(a->resources[i].name)));
    name_queue_pop(&s->due, a->due);
    name_queue_pop(&s->gone, a->gone);
    s->must_answer = false;
    if (s->wildcard) {
        size_t index = catalog_after(c, s->type, a->puts_at);
        bool all_put = !catalog_next(c, s->type, &index);
        s->puts_at = all_put ? c->sequence : a->puts_at;
        index = catalog_after(c, s->type, a->removals_at);
        bool all_removed = a->removals && !catalog_next(c, s->type, &index);
        s->removals_at = all_removed ? c->sequence : a->removals_at;
        if (all_put && s->initial.count > 0)
            set_clear(&s->initial, free);
    } else if (s->due.n == 0 && s->gone.n == 0 && s->initial.count > 0)
        set_clear(&s->initial, free);
}

void interest_answer_done(struct interest_answer *a)
{
    free(a->resources);
    free(a->removed);
    *a = (struct interest_answer){0};
}

uint64_t interest_known_to(const struct interest *s, const struct catalog *c)
{
    if (!s->started)
        return c->sequence;
    return s->wildcard ? s->removals_at : s->puts_at;
}
