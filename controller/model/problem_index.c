#include "controller/model/problem_index.h"
#include "shared/base/map.h"
#include <errno.h>
#include <stdlib.h>

void problem_index_done(struct problem_index *x)
{
    free(x->items);
    *x = (struct problem_index){0};
}

int problem_index_add(struct problem_index *x, const struct problems *list)
{
    if (x->n + list->n > x->size) {
        size_t size = 2 * x->size > x->n + list->n ? 2 * x->size : x->n + list->n + 16;
        const struct problem **items = realloc(x->items, size * sizeof(const struct problem *));
        if (!items)
            return -ENOMEM;
        x->items = items;
        x->size = size;
    }
    for (size_t i = 0; i < list->n; i++)
        x->items[x->n++] = &list->items[i];
    return 0;
}

/* ---- Shares --------------------------------------------------------------------------------- */

/* "shop" of "VirtualService shop/cart"; "" of what is in none. */
static struct text namespace_of(const struct problem *p)
{
    struct text kind, rest, ns, name;
    bool named = text_split(text_of(p->object), ' ', &kind, &rest) &&
                 text_split(rest, '/', &ns, &name);
    return named ? ns : TEXT("");
}

struct share {
    size_t has, gets;
};

static void share_free(void *value)
{
    free(value);
}

static struct share *share_of(struct map *shares, const struct problem *p)
{
    struct text ns = namespace_of(p);
    struct share *s = map_get(shares, ns);
    if (s)
        return s;
    s = calloc(1, sizeof *s);
    if (s && map_put(shares, ns, s, NULL) == 0)
        return s;
    free(s);
    return NULL;
}

/* The most that each may have so that all have at most `room` together. */
static size_t level_of(const struct map *shares, size_t room)
{
    size_t low = 0, high = room;
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2, sum = 0;
        const struct map_entry *e;
        for (size_t i = 0; (e = map_next(shares, &i));) {
            const struct share *s = e->value;
            sum += s->has < middle ? s->has : middle;
        }
        if (sum <= room)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void copy(struct problems *to, const struct problem *p)
{
    problems_add(to, p->severity, p->file, p->line, p->object, p->field, "%s", p->message);
}

/* Errors first, and then warnings as far as there is room for them. */
static void deal(const struct problem_index *x, struct map *shares, enum problem_severity severity,
                 size_t room)
{
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(shares, &i));)
        ((struct share *)e->value)->has = 0;
    for (size_t i = 0; i < x->n; i++)
        if (x->items[i]->severity == severity)
            share_of(shares, x->items[i])->has++;
    size_t level = level_of(shares, room), left = room;
    for (size_t i = 0; (e = map_next(shares, &i));) {
        struct share *s = e->value;
        s->gets = s->has < level ? s->has : level;
        left -= s->gets;
    }
    /* What is not enough for one more of each: there may be more namespaces than room. */
    for (size_t i = 0; i < x->n && left > 0; i++) {
        struct share *s = share_of(shares, x->items[i]);
        if (x->items[i]->severity == severity && s->gets == level && s->has > level) {
            s->gets++;
            left--;
        }
    }
}

static size_t count(const struct problem_index *x, enum problem_severity severity)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        n += x->items[i]->severity == severity;
    return n;
}

static void share(const struct problem_index *x, struct map *shares, struct problems *ret)
{
    size_t errors_max = ret->max, warnings_max = ret->max - ret->max / 4;
    size_t errors = count(x, PROBLEM_ERROR);
    size_t left = errors < errors_max ? errors_max - errors : 0;
    const size_t rooms[] = {[PROBLEM_ERROR] = errors_max,
                            [PROBLEM_WARNING] = left < warnings_max ? left : warnings_max};
    bool *chosen = calloc(x->n, sizeof *chosen);
    if (!chosen) {
        ret->no_memory = true;
        return;
    }
    for (unsigned severity = 0; severity < 2; severity++) {
        deal(x, shares, (enum problem_severity)severity, rooms[severity]);
        for (size_t i = 0; i < x->n; i++) {
            struct share *s = share_of(shares, x->items[i]);
            if (x->items[i]->severity != (enum problem_severity)severity || s->gets == 0)
                continue;
            chosen[i] = true;
            s->gets--;
        }
    }
    size_t max = ret->max;
    ret->max = SIZE_MAX; /* chosen is chosen */
    for (size_t i = 0; i < x->n; i++) {
        if (chosen[i])
            copy(ret, x->items[i]);
        else
            ret->dropped++;
    }
    ret->max = max;
    free(chosen);
}

void problem_index_share(const struct problem_index *x, struct problems *ret)
{
    struct map shares;
    bool no_memory = false;
    if (x->n <= ret->max - ret->max / 4) {
        for (size_t i = 0; i < x->n; i++)
            copy(ret, x->items[i]);
        return;
    }
    map_init(&shares, 0);
    for (size_t i = 0; i < x->n && !no_memory; i++)
        no_memory = !share_of(&shares, x->items[i]);
    if (no_memory)
        ret->no_memory = true;
    else
        share(x, &shares, ret);
    map_done(&shares, share_free);
}

/* ---- By object ------------------------------------------------------------------------------ */

struct placed {
    const struct problem *problem;
    size_t at;
};

static int placed_order(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    int order = strcmp(x->problem->object, y->problem->object);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

int problem_index_sort(struct problem_index *x)
{
    struct placed *placed = calloc(x->n + 1, sizeof *placed);
    if (!placed)
        return -ENOMEM;
    for (size_t i = 0; i < x->n; i++)
        placed[i] = (struct placed){x->items[i], i};
    qsort(placed, x->n, sizeof *placed, placed_order);
    for (size_t i = 0; i < x->n; i++)
        x->items[i] = placed[i].problem;
    free(placed);
    return 0;
}

/* The first one that is not before it, or (`after`) that is behind it. */
static size_t place(const struct problem_index *x, const char *object, bool after)
{
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(x->items[middle]->object, object);
        if (order < 0 || (after && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct problem_group problem_index_get(const struct problem_index *x, const char *object)
{
    size_t begin = place(x, object, false), end = place(x, object, true);
    return (struct problem_group){x->items ? x->items + begin : NULL, end - begin};
}
