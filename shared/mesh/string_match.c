#include "shared/mesh/string_match.h"

#include <stdlib.h>

void string_matches_done(struct string_matches *m)
{
    for (size_t i = 0; m->items && i < m->n; i++)
        free(m->items[i].value);
    free(m->items);
    *m = (struct string_matches){NULL, 0};
}

bool string_matches_equal(const struct string_matches *a, const struct string_matches *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->items[i].kind != b->items[i].kind ||
            strcmp(a->items[i].value, b->items[i].value) != 0)
            return false;
    }
    return true;
}

static struct text first(struct text t, size_t n)
{
    return (struct text){t.data, n};
}

static struct text from(struct text t, size_t at)
{
    return (struct text){t.data + at, t.len - at};
}

static bool same(struct text a, struct text b, bool nocase)
{
    return nocase ? text_equal_nocase(a, b) : text_equal(a, b);
}

static bool matches(const struct string_match *m, struct text t, bool nocase)
{
    struct text value = text_of(m->value);

    switch (m->kind) {
    case MATCH_EXACT:
        return same(t, value, nocase);
    case MATCH_PREFIX:
        return t.len >= value.len && same(first(t, value.len), value, nocase);
    case MATCH_SUFFIX:
        return t.len >= value.len && same(from(t, t.len - value.len), value, nocase);
    case MATCH_PRESENCE:
        return true;
    case MATCH_TEMPLATE:
        return path_template_matches(value, t);
    }
    return false;
}

static bool any(const struct string_matches *m, struct text t, bool nocase)
{
    for (size_t i = 0; t.len > 0 && i < m->n; i++) {
        if (matches(&m->items[i], t, nocase))
            return true;
    }
    return false;
}

bool string_matches_any(const struct string_matches *m, struct text t)
{
    return any(m, t, false);
}

bool string_matches_any_nocase(const struct string_matches *m, struct text t)
{
    return any(m, t, true);
}

/* ---- Templates ------------------------------------------------------------------------------ */

/* The segment at the front of "/a/b", without its '/', which is taken off with it. */
static struct text take_segment(struct text *path)
{
    size_t end = 1;
    while (end < path->len && path->data[end] != '/')
        end++;
    struct text segment = {path->data + 1, end - 1};
    *path = from(*path, end);
    return segment;
}

const char *path_template_check(struct text t)
{
    bool last = false;

    if (t.len == 0 || t.data[0] != '/')
        return "must begin with '/'";
    while (t.len > 0) {
        struct text segment = take_segment(&t);
        bool one = text_equal(segment, TEXT("{*}")), more = text_equal(segment, TEXT("{**}"));
        if (one || more) {
            if (last)
                return "{**} must be the last operator";
            last = more;
            continue;
        }
        for (size_t i = 0; i < segment.len; i++) {
            if (strchr("*{}", segment.data[i]))
                return "{*} and {**} must be whole segments, and there is no other '*', '{' or '}'";
        }
    }
    return NULL;
}

bool path_template_matches(struct text path_template, struct text path)
{
    while (path_template.len > 0) {
        if (path.len == 0 || path.data[0] != '/')
            return false;
        struct text wanted = take_segment(&path_template);
        if (text_equal(wanted, TEXT("{**}"))) {
            /* Whatever there is behind this '/', as long as the rest, a plain text, is its end. */
            path = from(path, 1);
            return text_ends_with(path, path_template);
        }
        struct text segment = take_segment(&path);
        if (text_equal(wanted, TEXT("{*}")) ? segment.len == 0 : !text_equal(segment, wanted))
            return false;
    }
    return path.len == 0;
}
