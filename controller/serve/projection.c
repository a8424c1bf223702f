#include "controller/serve/projection.h"
#include "controller/translate/gateway_table.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_KEY_MAX = XDS_NAME_MAX + 16 };
enum { PIECE_ERRORS_MAX = 100000 }; /* a Service's tables are a word about many others, each once */
enum { TOUCHED_MIN = 1000, TOUCHED_SHARE = 2 }; /* over half of all is translated as a whole */

#define COMMON_KEY "common" /* no object_key() */

struct piece_name {
    enum xds_type type;
    char *name;
};
struct piece { /* what was made of one object */
    struct piece_name *names;
    size_t n;
    size_t tables_bytes, short_of; /* as struct resources says it */
    struct problems problems;
};

static struct piece *piece_free(struct piece *piece)
{
    for (size_t i = 0; piece && i < piece->n; i++)
        free(piece->names[i].name);
    if (piece) {
        free(piece->names);
        problems_done(&piece->problems);
    }
    free(piece);
    return NULL;
}

static void pieces_free(void *value)
{
    (void)piece_free(value);
}

/* Of resources from `begin` on, and problems that it takes; NULL: no memory. */
static struct piece *piece_new(const struct resources *made, size_t begin,
                               struct problems *taken_problems)
{
    struct piece *piece = calloc(1, sizeof *piece);
    struct resource *const *resources = made->items + begin;
    size_t n = made->n - begin;
    if (!piece) {
        problems_done(taken_problems);
        return NULL;
    }
    piece->problems = *taken_problems;
    piece->short_of = made->short_of;
    problems_init(taken_problems);
    piece->names = calloc(n + 1, sizeof *piece->names);
    if (!piece->names)
        return piece_free(piece);
    for (size_t i = 0; i < n; i++) {
        piece->names[i] =
            (struct piece_name){resources[i]->type, text_dup(text_of(resources[i]->name))};
        if (!piece->names[i].name)
            return piece_free(piece);
        piece->n++;
    }
    return piece;
}

static bool piece_has(const struct piece *piece, const struct piece_name *name)
{
    for (size_t i = 0; i < piece->n; i++)
        if (piece->names[i].type == name->type && strcmp(piece->names[i].name, name->name) == 0)
            return true;
    return false;
}

/* ---- The pieces ----------------------------------------------------------------------------- */

static void count_problems(struct projection *p, const struct piece *old, const struct piece *now)
{
    bool had = old && (old->problems.n || old->problems.dropped);
    bool has = now && (now->problems.n || now->problems.dropped);
    p->problems_changed |= had || has;
    p->n_complaining += (size_t)has - (size_t)had;
}

/* Puts the piece in its old one's place; takes it. One of nothing is not kept. */
static int pieces_put(struct projection *p, const char *key, struct piece *taken_piece)
{
    struct piece *now = taken_piece, *old = map_get(&p->pieces, text_of(key));
    bool empty = now->n == 0 && now->problems.n == 0 && now->problems.dropped == 0;
    int err = empty ? 0 : map_put(&p->pieces, text_of(key), now, NULL);
    if (err < 0) {
        piece_free(now);
        return err;
    }
    if (empty)
        (void)map_remove(&p->pieces, text_of(key));
    count_problems(p, old, now);
    p->tables_bytes += now->tables_bytes - (old ? old->tables_bytes : 0);
    p->n_short += (size_t)(now->short_of > 0) - (size_t)(old && old->short_of > 0);
    piece_free(old);
    if (empty)
        piece_free(now);
    return 0;
}

static void pieces_clear(struct projection *p)
{
    map_done(&p->pieces, pieces_free);
    map_init(&p->pieces, 0);
    p->n_complaining = p->n_short = p->tables_bytes = 0;
    p->problems_changed = true;
}

static int take_problems(struct projection *p, const char *key)
{
    const struct piece *piece = map_get(&p->pieces, text_of(key));
    p->problems.dropped += piece ? piece->problems.dropped : 0;
    return piece ? problem_index_add(&p->told, &piece->problems) : 0;
}

/* In the order of the translation. */
static int take_all_problems(struct projection *p)
{
    int err = 0;
    for (unsigned i = 0; p->n_complaining > 0 && i < TRANSLATED_KINDS; i++) {
        struct view_range range = view_all(&p->view, translated_kinds[i]);
        for (size_t j = 0; j < range.n && err == 0; j++) {
            char key[OBJECT_KEY_MAX];
            object_key(range.items[j]->kind, range.items[j]->ns, range.items[j]->name, key);
            err = take_problems(p, key);
        }
    }
    return err == 0 ? take_problems(p, COMMON_KEY) : err;
}

static void collect_problems(struct projection *p)
{
    if (!p->problems_changed)
        return;
    problems_done(&p->problems);
    problem_index_done(&p->told);
    int err = take_all_problems(p);
    if (err == 0) {
        problem_index_share(&p->told, &p->problems);
        err = problems_incomplete(&p->problems) ? -ENOMEM : problem_index_sort(&p->told);
    }
    if (err < 0) /* then once more, the next time */
        problem_index_done(&p->told);
    p->problems_changed = err < 0;
}

const struct problem_index *projection_told(struct projection *p)
{
    if (!p->following)
        return NULL;
    collect_problems(p);
    return p->problems_changed ? NULL : &p->told;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static void unfollow(struct projection *p)
{
    if (p->following)
        view_close(&p->view);
    p->following = false;
    touched_done(&p->touched);
    problem_index_done(&p->told);
    p->problems_changed = true;
}

/* One object (NULL: what they have in common), appended to all. */
static int whole_piece(struct projection *p, const struct object *o, struct resources *all)
{
    char key[OBJECT_KEY_MAX] = COMMON_KEY;
    struct problems problems;
    size_t n = all->n, tables_bytes = all->tables_bytes;
    problems_init(&problems);
    problems.max = PIECE_ERRORS_MAX;
    all->short_of = 0;
    int err = o ? translate_object(&p->view, o, all, &problems)
                : translate_common(&p->view, all, &problems);
    if (err == 0 && problems_incomplete(&problems))
        err = -ENOMEM; /* what was not told now would never be */
    if (err < 0) {
        problems_done(&problems);
        return err;
    }
    struct piece *piece = piece_new(all, n, &problems);
    if (!piece)
        return -ENOMEM;
    piece->tables_bytes = all->tables_bytes - tables_bytes;
    if (o)
        object_key(o->kind, o->ns, o->name, key);
    return pieces_put(p, key, piece);
}

static int whole(struct projection *p, size_t *ret_changed)
{
    struct resources all = {0};
    unfollow(p);
    pieces_clear(p);
    int err = view_open(&p->view, p->store, p->settings);
    if (err < 0)
        return err;
    p->following = true;
    p->wholes++;
    for (unsigned i = 0; i < TRANSLATED_KINDS && err == 0; i++) {
        struct view_range range = view_all(&p->view, translated_kinds[i]);
        for (size_t j = 0; j < range.n && err == 0; j++)
            err = whole_piece(p, range.items[j], &all);
        p->translated += range.n;
    }
    if (err == 0)
        err = whole_piece(p, NULL, &all);
    if (err == 0)
        return catalog_replace(p->catalog, &all, ret_changed);
    resources_done(&all);
    return err;
}

/* ---- What was touched ----------------------------------------------------------------------- */

/* "3 outbound|80||a.example" */
static struct text name_key(enum xds_type type, const char *name, char out[static NAME_KEY_MAX])
{
    int len = snprintf(out, NAME_KEY_MAX, "%d %s", (int)type, name);
    return (struct text){out, (size_t)len};
}

/* What one object is no longer another one may have become in the same run: a host has one Service at a
 * time. */
static bool has_passed_on(const struct projection *p, const struct piece_name *name)
{
    char key[NAME_KEY_MAX];
    return map_get(&p->put, name_key(name->type, name->name, key));
}

static int put(struct projection *p, struct resource *taken, size_t *changed)
{
    char key[NAME_KEY_MAX];
    int err = map_put(&p->put, name_key(taken->type, taken->name, key), p, NULL);
    if (err < 0) {
        resource_free(taken);
        return err;
    }
    err = catalog_put(p->catalog, taken);
    *changed += err == 1;
    return err > 0 ? 0 : err;
}

/* What an object has become, in place of what it had become before. Takes the resources. */
static int replace(struct projection *p, const char *key, struct resources *taken,
                   struct problems *taken_problems, size_t *changed)
{
    const struct piece *old = map_get(&p->pieces, text_of(key));
    struct piece *now = piece_new(taken, 0, taken_problems);
    if (now)
        now->tables_bytes = taken->tables_bytes;
    int err = now ? 0 : -ENOMEM;
    for (size_t i = 0; i < taken->n && err == 0; i++) {
        err = put(p, taken->items[i], changed);
        taken->items[i] = NULL;
    }
    for (size_t i = 0; old && i < old->n && err == 0; i++) {
        if (piece_has(now, &old->names[i]) || has_passed_on(p, &old->names[i]))
            continue;
        err = catalog_remove(p->catalog, old->names[i].type, text_of(old->names[i].name));
        *changed += err == 0;
        err = err == -ENOENT ? 0 : err;
    }
    resources_done(taken);
    if (err < 0) {
        piece_free(now);
        return err;
    }
    return pieces_put(p, key, now);
}

static int again(struct projection *p, const struct touched_object *t, size_t *changed)
{
    char key[OBJECT_KEY_MAX] = COMMON_KEY;
    struct resources made = {0};
    struct problems problems;
    int err = 0;
    problems_init(&problems);
    problems.max = PIECE_ERRORS_MAX;
    if (t)
        object_key(t->kind, t->ns, t->name, key);
    const struct piece *old = map_get(&p->pieces, text_of(key));
    made.tables_elsewhere = p->tables_bytes - (old ? old->tables_bytes : 0);
    if (t) {
        const struct object *o = object_store_get(p->store, t->kind, t->ns, t->name);
        if (o)
            err = translate_object(&p->view, o, &made, &problems);
    } else
        err = translate_common(&p->view, &made, &problems);
    if (err == 0 && problems_incomplete(&problems))
        err = -ENOMEM;
    if (err < 0) {
        resources_done(&made);
        problems_done(&problems);
        return err;
    }
    p->translated++;
    return replace(p, key, &made, &problems, changed);
}

/* Where others have given some back: tables of this kind's objects that there was no room for. */
static int fill_room(struct projection *p, enum object_kind kind, size_t *changed)
{
    uint64_t max = gateway_tables_max(p->settings);
    struct view_range all = view_all(&p->view, kind);
    int err = 0;
    for (size_t i = 0; i < all.n && err == 0; i++) {
        const struct touched_object t = {kind, all.items[i]->ns, all.items[i]->name};
        char key[OBJECT_KEY_MAX];
        object_key(t.kind, t.ns, t.name, key);
        const struct piece *piece = map_get(&p->pieces, text_of(key));
        if (piece && piece->short_of && p->tables_bytes + piece->short_of <= max)
            err = again(p, &t, changed);
    }
    return err;
}

static int touched(struct projection *p, size_t *ret_changed)
{
    const struct touched_object **list = touched_list(&p->touched);
    bool common = false;
    size_t most_bytes = p->tables_bytes; /* in this run: what was refused was refused for that at most */
    int err = list ? 0 : -ENOMEM;
    for (size_t i = 0; i < p->touched.objects.count && err == 0; i++) {
        common |= list[i]->kind == OBJECT_PEER_AUTHENTICATION;
        err = again(p, list[i], ret_changed);
        most_bytes = p->tables_bytes > most_bytes ? p->tables_bytes : most_bytes;
    }
    if (common && err == 0)
        err = again(p, NULL, ret_changed);
    if (err == 0 && p->n_short > 0 && p->tables_bytes < most_bytes)
        err = fill_room(p, OBJECT_SERVICE, ret_changed);
    if (err == 0 && p->n_short > 0 && p->tables_bytes < most_bytes)
        err = fill_room(p, OBJECT_INGRESS, ret_changed);
    free(list);
    touched_done(&p->touched);
    map_done(&p->put, NULL);
    map_init(&p->put, 0);
    return err;
}

/* ---- Life ----------------------------------------------------------------------------------- */

static bool too_many(const struct projection *p)
{
    size_t objects = 0;
    for (unsigned i = 0; i < TRANSLATED_KINDS; i++)
        objects += p->view.lists[translated_kinds[i]].n;
    return p->touched.objects.count > TOUCHED_MIN &&
           p->touched.objects.count > objects / TOUCHED_SHARE;
}

static void store_changed(void *arg, const struct object *old, struct object *now)
{
    struct projection *p = arg;
    if (!p->following)
        return;
    int err = view_change(&p->view, old, now);
    if (err == 0)
        err = touched_change(&p->touched, &p->view, old, now);
    if (err < 0 || too_many(p))
        unfollow(p); /* the next run takes all */
}

void projection_init(struct projection *p, struct object_store *store, struct catalog *catalog,
                     const struct translate_settings *settings)
{
    *p = (struct projection){.store = store, .catalog = catalog, .settings = settings};
    touched_init(&p->touched);
    map_init(&p->pieces, 0);
    map_init(&p->put, 0);
    problems_init(&p->problems);
    store->changed = store_changed;
    store->changed_arg = p;
}

void projection_done(struct projection *p)
{
    p->store->changed = NULL;
    unfollow(p);
    map_done(&p->pieces, pieces_free);
    map_done(&p->put, NULL);
    problems_done(&p->problems);
}

int projection_run(struct projection *p, size_t *ret_changed)
{
    *ret_changed = 0;
    p->translated = 0;
    p->runs++;
    int err = p->following ? touched(p, ret_changed) : whole(p, ret_changed);
    if (err < 0)
        unfollow(p);
    else
        collect_problems(p);
    return err;
}
