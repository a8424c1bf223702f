#include "shared/json/json.h"
#include "shared/json/json_tree.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum json_kind json_kind(const struct json *j)
{
    return j ? (enum json_kind)j->kind : JSON_NULL;
}

bool json_is(const struct json *j, enum json_kind kind)
{
    return j && j->kind == kind;
}

unsigned json_line(const struct json *j)
{
    return j ? j->line : 0;
}

struct text json_name(const struct json *j)
{
    return j && j->name.data ? j->name : TEXT("");
}

struct text json_text(const struct json *j)
{
    return json_is(j, JSON_STRING) ? j->string : TEXT("");
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    return names[kind];
}

static bool has_members(const struct json *j)
{
    return j && (j->kind == JSON_ARRAY || j->kind == JSON_OBJECT);
}

size_t json_count(const struct json *j)
{
    return has_members(j) ? j->count : 0;
}

const struct json *json_first(const struct json *j)
{
    return has_members(j) ? j->first : NULL;
}

const struct json *json_next(const struct json *j)
{
    return j ? j->next : NULL;
}

const struct json *json_member(const struct json *object, struct text name)
{
    if (!json_is(object, JSON_OBJECT))
        return NULL;
    json_for_each (i, object)
        if (text_equal(i->name, name))
            return i;
    return NULL;
}

const struct json *json_item(const struct json *array, size_t index)
{
    if (!json_is(array, JSON_ARRAY) || index >= array->count)
        return NULL;
    const struct json *i = array->first;
    while (index-- > 0)
        i = i->next;
    return i;
}

const struct json *json_get(const struct json *j, const char *path)
{
    while (j && *path) {
        if (*path == '[') {
            struct text index, rest;
            uint64_t number;
            if (!text_split(text_of(path + 1), ']', &index, &rest) ||
                text_to_u64(index, UINT32_MAX, &number) < 0)
                return NULL;
            j = json_item(j, number);
            path = rest.data;
        } else {
            size_t n = strcspn(path, ".[");
            j = json_member(j, (struct text){path, n});
            path += n;
        }
        if (*path == '.')
            path++;
    }
    return j;
}

static bool same_number(const struct json *a, const struct json *b)
{
    if (a->is_integer && b->is_integer)
        return a->integer == b->integer;
    return !(a->number < b->number) && !(a->number > b->number);
}

/* Most objects that are equal are so in the same order: look at the same place first. */
static bool same_members(const struct json *a, const struct json *b)
{
    const struct json *other = b->first;
    json_for_each (i, a) {
        bool here = other && text_equal(i->name, other->name);
        if (!json_equal(i, here ? other : json_member(b, i->name)))
            return false;
        other = json_next(other);
    }
    return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || json_count(a) != json_count(b))
        return false;
    switch ((enum json_kind)a->kind) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->boolean == b->boolean;
    case JSON_NUMBER:
        return same_number(a, b);
    case JSON_STRING:
        return text_equal(a->string, b->string);
    case JSON_OBJECT:
        return same_members(a, b);
    case JSON_ARRAY:
        for (const struct json *i = a->first, *k = b->first; i; i = i->next, k = k->next)
            if (!json_equal(i, k))
                return false;
        return true;
    }
    return false;
}

/* Text from outside, cut where it gets long, as it may stand in a line of a log. */
static void put_visible(struct text_out *out, struct text t, size_t max)
{
    char piece[TEXT_ESCAPE_MAX];
    size_t n, sum = 0;

    while ((n = text_escape_next(&t, piece)) > 0) {
        sum += n;
        if (sum > max) {
            text_puts(out, "...");
            return;
        }
        text_put(out, (struct text){piece, n});
    }
}

static void put_step(struct text_out *out, const struct json *j, bool first)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/";

    if (!json_is(j->parent, JSON_OBJECT)) {
        text_printf(out, "[%u]", (unsigned)j->index);
    } else if (j->name.len > 0 && strspn(j->name.data, plain) == j->name.len) {
        if (!first)
            text_putc(out, '.');
        put_visible(out, j->name, 64);
    } else {
        text_puts(out, "[\"");
        put_visible(out, j->name, 64);
        text_puts(out, "\"]");
    }
}

void json_path(const struct json *j, struct text_out *out)
{
    const struct json *steps[JSON_DEPTH_MAX + 1];
    size_t n = 0;

    for (; j && j->parent && n < sizeof steps / sizeof steps[0]; j = j->parent)
        steps[n++] = j;
    for (size_t i = n; i > 0; i--)
        put_step(out, steps[i - 1], i == n);
}

/* "PATH.more: "; nothing for the root. */
static void begin_error(struct json_error *e, struct text_out *o, const struct json *at,
                        const char *more)
{
    *o = TEXT_OUT(e->text);
    e->line = json_line(at);
    /* A long path leaves room for what is wrong. */
    o->size = JSON_ERROR_MAX * 3 / 4;
    json_path(at, o);
    if (*more) {
        if (o->len > 0 && *more != '[')
            text_putc(o, '.');
        text_puts(o, more);
    }
    o->size = JSON_ERROR_MAX;
    if (o->len > 0)
        text_puts(o, ": ");
}

int json_fail(struct json_error *e, const struct json *node, const char *format, ...)
{
    char message[JSON_ERROR_MAX];
    struct text_out o;
    va_list args;

    if (json_failed(e))
        return -EINVAL;
    va_start(args, format);
    if (vsnprintf(message, sizeof message, format, args) < 0)
        message[0] = '\0';
    va_end(args);
    begin_error(e, &o, node, "");
    put_visible(&o, text_of(message), sizeof message);
    return -EINVAL;
}

/* What is there, for an error: the value of a scalar, the kind of others. */
static void put_found(struct text_out *o, const struct json *j)
{
    switch (json_kind(j)) {
    case JSON_BOOL:
        text_puts(o, j->boolean ? "true" : "false");
        break;
    case JSON_NUMBER:
        if (j->is_integer)
            text_printf(o, "%lld", (long long)j->integer);
        else
            text_printf(o, "%g", j->number);
        break;
    case JSON_STRING:
        text_putc(o, '"');
        put_visible(o, j->string, 48);
        text_putc(o, '"');
        break;
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        text_puts(o, json_kind_name(json_kind(j)));
        break;
    }
}

static int wrong(struct json_error *e, const struct json *j, const char *right)
{
    struct text_out o;

    if (json_failed(e))
        return -EINVAL;
    begin_error(e, &o, j, "");
    put_found(&o, j);
    text_puts(&o, " is not ");
    text_puts(&o, right);
    return -EINVAL;
}

enum need { OPTIONAL, REQUIRED };

/* 1 and *ret: it is there; 0: absent and optional. */
static int find(const struct json *j, const char *path, enum need need, const struct json **ret,
                struct json_error *e)
{
    struct text_out o;

    *ret = json_get(j, path);
    if (*ret && (*ret)->kind != JSON_NULL)
        return 1;
    if (need == OPTIONAL)
        return 0;
    if (!json_failed(e)) {
        begin_error(e, &o, j, path);
        text_puts(&o, "is missing");
    }
    return -ENOENT;
}

static int get_node(const struct json *j, const char *path, enum need need, enum json_kind kind,
                    const struct json **ret, struct json_error *e)
{
    const struct json *found;
    int r = find(j, path, need, &found, e);

    if (r <= 0)
        return r;
    if (found->kind != kind)
        return wrong(e, found, json_kind_name(kind));
    *ret = found;
    return 1;
}

static int get_text(const struct json *j, const char *path, enum need need, struct text *ret,
                    struct json_error *e)
{
    const struct json *found;
    int r = get_node(j, path, need, JSON_STRING, &found, e);

    if (r > 0)
        *ret = found->string;
    return r < 0 ? r : 0;
}

static int get_bool(const struct json *j, const char *path, enum need need, bool *ret,
                    struct json_error *e)
{
    const struct json *found;
    int r = get_node(j, path, need, JSON_BOOL, &found, e);

    if (r > 0)
        *ret = found->boolean;
    return r < 0 ? r : 0;
}

static int get_number(const struct json *j, const char *path, enum need need, double *ret,
                      struct json_error *e)
{
    const struct json *found;
    int r = get_node(j, path, need, JSON_NUMBER, &found, e);

    if (r > 0)
        *ret = found->number;
    return r < 0 ? r : 0;
}

static bool as_integer(const struct json *j, int64_t *ret)
{
    const double exact = 9007199254740992.0; /* 2^53: up to here doubles are exact */

    if (j->kind != JSON_NUMBER)
        return false;
    if (!j->is_integer && (fabs(j->number) > exact || fabs(j->number - trunc(j->number)) > 0))
        return false;
    *ret = j->is_integer ? j->integer : (int64_t)j->number;
    return true;
}

static int get_i64(const struct json *j, const char *path, enum need need, int64_t min, int64_t max,
                   int64_t *ret, struct json_error *e)
{
    char right[96];
    const struct json *found;
    int64_t value;
    int r = find(j, path, need, &found, e);

    if (r <= 0)
        return r;
    if (!as_integer(found, &value))
        return wrong(e, found, "a whole number");
    if (value < min || value > max) {
        (void)snprintf(right, sizeof right, "in %lld to %lld", (long long)min, (long long)max);
        return wrong(e, found, right);
    }
    *ret = value;
    return 0;
}

static int get_duration_ms(const struct json *j, const char *path, enum need need, uint64_t *ret,
                           struct json_error *e)
{
    const struct json *found;
    uint64_t value;
    int r = find(j, path, need, &found, e);

    if (r <= 0)
        return r;
    struct text t = json_text(found);
    bool has_unit = t.len > 0 && (t.data[t.len - 1] < '0' || t.data[t.len - 1] > '9');
    if (!has_unit || text_to_duration_ms(t, &value) < 0)
        return wrong(e, found, "a duration (500ms, 10s, 1h30m)");
    *ret = value;
    return 0;
}

static int get_choice(const struct json *j, const char *path, enum need need,
                      const char *const *choices, unsigned *ret, struct json_error *e)
{
    char right[JSON_ERROR_MAX];
    struct text_out o = TEXT_OUT(right);
    const struct json *found;
    int r = find(j, path, need, &found, e);

    if (r <= 0)
        return r;
    for (unsigned i = 0; choices[i]; i++) {
        if (found->kind == JSON_STRING && text_equal(found->string, text_of(choices[i]))) {
            *ret = i;
            return 0;
        }
        text_puts(&o, i == 0 ? "one of " : ", ");
        text_puts(&o, choices[i]);
    }
    return wrong(e, found, right);
}

int json_read_text(const struct json *j, const char *path, struct text *ret, struct json_error *e)
{
    return get_text(j, path, REQUIRED, ret, e);
}

int json_opt_text(const struct json *j, const char *path, struct text *ret, struct json_error *e)
{
    return get_text(j, path, OPTIONAL, ret, e);
}

int json_read_bool(const struct json *j, const char *path, bool *ret, struct json_error *e)
{
    return get_bool(j, path, REQUIRED, ret, e);
}

int json_opt_bool(const struct json *j, const char *path, bool *ret, struct json_error *e)
{
    return get_bool(j, path, OPTIONAL, ret, e);
}

int json_read_i64(const struct json *j, const char *path, int64_t min, int64_t max, int64_t *ret,
                  struct json_error *e)
{
    return get_i64(j, path, REQUIRED, min, max, ret, e);
}

int json_opt_i64(const struct json *j, const char *path, int64_t min, int64_t max, int64_t *ret,
                 struct json_error *e)
{
    return get_i64(j, path, OPTIONAL, min, max, ret, e);
}

int json_read_number(const struct json *j, const char *path, double *ret, struct json_error *e)
{
    return get_number(j, path, REQUIRED, ret, e);
}

int json_opt_number(const struct json *j, const char *path, double *ret, struct json_error *e)
{
    return get_number(j, path, OPTIONAL, ret, e);
}

int json_read_duration_ms(const struct json *j, const char *path, uint64_t *ret,
                          struct json_error *e)
{
    return get_duration_ms(j, path, REQUIRED, ret, e);
}

int json_opt_duration_ms(const struct json *j, const char *path, uint64_t *ret,
                         struct json_error *e)
{
    return get_duration_ms(j, path, OPTIONAL, ret, e);
}

int json_read_choice(const struct json *j, const char *path, const char *const *choices,
                     unsigned *ret, struct json_error *e)
{
    return get_choice(j, path, REQUIRED, choices, ret, e);
}

int json_opt_choice(const struct json *j, const char *path, const char *const *choices,
                    unsigned *ret, struct json_error *e)
{
    return get_choice(j, path, OPTIONAL, choices, ret, e);
}

int json_read_node(const struct json *j, const char *path, enum json_kind kind,
                   const struct json **ret, struct json_error *e)
{
    int r = get_node(j, path, REQUIRED, kind, ret, e);
    return r < 0 ? r : 0;
}

int json_opt_node(const struct json *j, const char *path, enum json_kind kind,
                  const struct json **ret, struct json_error *e)
{
    int r = get_node(j, path, OPTIONAL, kind, ret, e);
    return r < 0 ? r : 0;
}
