#include "shared/json/json_out.h"
#include "shared/json/json_tree.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { IN_OBJECT = 1, HAS_SOMETHING = 2 };

void json_out_init(struct json_out *o, struct text_heap *out, bool pretty)
{
    *o = (struct json_out){.out = out, .pretty = pretty};
}

static void put_quoted(struct text_heap *out, struct text value)
{
    char pieces[128];
    struct text_out some = TEXT_OUT(pieces);
    char piece[TEXT_ESCAPE_MAX];
    size_t n;

    text_heap_puts(out, "\"");
    while ((n = text_escape_next(&value, piece)) > 0) {
        text_put(&some, (struct text){piece, n});
        if (some.len + TEXT_ESCAPE_MAX >= some.size) {
            text_heap_put(out, (struct text){some.data, some.len});
            some.len = 0;
        }
    }
    text_heap_put(out, (struct text){some.data, some.len});
    text_heap_puts(out, "\"");
}

static void new_line(struct json_out *o)
{
    if (!o->pretty)
        return;
    text_heap_puts(o->out, "\n");
    for (unsigned i = 0; i < o->depth; i++)
        text_heap_puts(o->out, "  ");
}

/* What is before a value: comma, line, name. */
static void begin_value(struct json_out *o, struct text name, bool named)
{
    uint8_t *level = &o->levels[o->depth];

    if (o->depth == 0) {
        assert(!named && !(*level & HAS_SOMETHING));
        *level |= HAS_SOMETHING;
        return;
    }
    assert(named == ((*level & IN_OBJECT) != 0));
    if (*level & HAS_SOMETHING)
        text_heap_puts(o->out, ",");
    *level |= HAS_SOMETHING;
    new_line(o);
    if (named) {
        put_quoted(o->out, name);
        text_heap_puts(o->out, o->pretty ? ": " : ":");
    }
}

static void open_level(struct json_out *o, bool object)
{
    assert(o->depth < JSON_DEPTH_MAX);
    text_heap_puts(o->out, object ? "{" : "[");
    o->levels[++o->depth] = object ? IN_OBJECT : 0;
}

void json_out_object(struct json_out *o, const char *name)
{
    begin_value(o, text_of(name), name);
    open_level(o, true);
}

void json_out_array(struct json_out *o, const char *name)
{
    begin_value(o, text_of(name), name);
    open_level(o, false);
}

void json_out_end(struct json_out *o)
{
    assert(o->depth > 0);
    uint8_t level = o->levels[o->depth--];
    if (level & HAS_SOMETHING)
        new_line(o);
    text_heap_puts(o->out, level & IN_OBJECT ? "}" : "]");
}

void json_out_text(struct json_out *o, const char *name, struct text value)
{
    begin_value(o, text_of(name), name);
    put_quoted(o->out, value);
}

void json_out_string(struct json_out *o, const char *name, const char *value)
{
    if (value)
        json_out_text(o, name, text_of(value));
    else
        json_out_null(o, name);
}

void json_out_u64(struct json_out *o, const char *name, uint64_t value)
{
    begin_value(o, text_of(name), name);
    text_heap_printf(o->out, "%llu", (unsigned long long)value);
}

void json_out_i64(struct json_out *o, const char *name, int64_t value)
{
    begin_value(o, text_of(name), name);
    text_heap_printf(o->out, "%lld", (long long)value);
}

/* The shortest text that reads back as the same number. */
static void put_number(struct text_heap *out, double value)
{
    char digits[32];

    if (!isfinite(value)) {
        text_heap_puts(out, "null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*g", precision, value);
        double back = strtod(digits, NULL);
        if (memcmp(&back, &value, sizeof back) == 0)
            break;
    }
    text_heap_puts(out, digits);
}

void json_out_number(struct json_out *o, const char *name, double value)
{
    begin_value(o, text_of(name), name);
    put_number(o->out, value);
}

void json_out_bool(struct json_out *o, const char *name, bool value)
{
    begin_value(o, text_of(name), name);
    text_heap_puts(o->out, value ? "true" : "false");
}

void json_out_null(struct json_out *o, const char *name)
{
    begin_value(o, text_of(name), name);
    text_heap_puts(o->out, "null");
}

/* Recursion is bounded: no tree is deeper than JSON_DEPTH_MAX. */
static void put_tree(struct json_out *o, struct text name, bool named, const struct json *tree)
{
    begin_value(o, name, named);
    switch (tree ? (enum json_kind)tree->kind : JSON_NULL) {
    case JSON_NULL:
        text_heap_puts(o->out, "null");
        break;
    case JSON_BOOL:
        text_heap_puts(o->out, tree->boolean ? "true" : "false");
        break;
    case JSON_NUMBER:
        if (tree->is_integer)
            text_heap_printf(o->out, "%lld", (long long)tree->integer);
        else
            put_number(o->out, tree->number);
        break;
    case JSON_STRING:
        put_quoted(o->out, tree->string);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        open_level(o, tree->kind == JSON_OBJECT);
        for (const struct json *i = tree->first; i; i = i->next)
            put_tree(o, i->name, tree->kind == JSON_OBJECT, i);
        json_out_end(o);
        break;
    }
}

void json_out_tree(struct json_out *o, const char *name, const struct json *tree)
{
    put_tree(o, text_of(name), name, tree);
}

void json_print(const struct json *tree, bool pretty, struct text_heap *out)
{
    struct json_out o;

    json_out_init(&o, out, pretty);
    json_out_tree(&o, NULL, tree);
}
