#include "shared/mesh/route_match.h"

#include "shared/http/http_path.h"
#include "shared/mesh/route_index.h"

#include <errno.h>
#include <stdlib.h>

/* Fields of one name are joined on the stack up to this length. */
enum { JOINED_MAX = 1024 };

struct route_path route_path_of(const struct http_head *head)
{
    struct route_path ret;

    http_path_split(head->path, &ret.path, &ret.query);
    return ret;
}

/* 1 is yes, 0 no, and -ENOMEM that nobody knows. */

static int path_fits(const struct path_match *m, struct text path)
{
    struct text v = m->value;
    struct text head = {path.data, path.len < v.len ? path.len : v.len};

    if (m->kind == PATH_REGEX)
        return regex_matches(m->regex, path);
    if (!(m->ignore_case ? text_equal_nocase(head, v) : text_equal(head, v)))
        return false;
    switch (m->kind) {
    case PATH_EXACT:
        return path.len == v.len;
    case PATH_SEPARATED:
        return path.len == v.len || path.data[v.len] == '/';
    case PATH_PREFIX:
    case PATH_REGEX:
        break;
    }
    return true;
}

/* ---- Header fields. */

/* The whole decimal number, with a sign; false: none, or too great. */
static bool number_of(struct text t, int64_t *ret)
{
    bool negative = t.len > 0 && t.data[0] == '-';
    uint64_t value, most = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;

    if (negative || (t.len > 0 && t.data[0] == '+'))
        t = (struct text){t.data + 1, t.len - 1};
    if (text_to_u64(t, most, &value) < 0)
        return false;
    *ret = negative ? (int64_t)-value : (int64_t)value;
    return true;
}

static int value_fits(const struct header_match *m, struct text value)
{
    int64_t number;

    switch (m->kind) {
    case HEADER_TEXT:
        return text_matches(&m->text, value);
    case HEADER_RANGE:
        return number_of(text_trim(value), &number) && number >= m->range_start &&
               number < m->range_end;
    case HEADER_PRESENT:
        return true;
    case HEADER_ABSENT:
        break;
    }
    return false;
}

static int inverted(int fits, bool invert)
{
    return fits < 0 ? fits : (fits > 0) != invert;
}

static int joined_fits(const struct header_match *m, const struct http_head *head,
                        const struct http_field *first, size_t at, size_t len)
{
    char place[JOINED_MAX], *whole = len <= sizeof place ? place : malloc(len);
    size_t used = 0;

    if (!whole)
        return -ENOMEM;
    for (const struct http_field *f = first; f; f = http_head_next(head, m->name, &at)) {
        if (used > 0 || f != first)
            whole[used++] = ',';
        if (f->value.len > 0)
            memcpy(whole + used, f->value.data, f->value.len);
        used += f->value.len;
    }
    int fits = inverted(value_fits(m, (struct text){whole, used}), m->invert);
    if (whole != place)
        free(whole);
    return fits;
}

/* {NULL, 0}: there is none. */
static struct text pseudo(const struct http_head *head, struct text name)
{
    if (text_equal(name, TEXT(":path")))
        return head->path;
    if (text_equal(name, TEXT(":method")))
        return head->method;
    if (text_equal(name, TEXT(":authority")) || text_equal(name, TEXT("host")))
        return head->authority;
    if (text_equal(name, TEXT(":scheme")))
        return head->scheme;
    return (struct text){0};
}

int header_fits(const struct header_match *m, const struct http_head *head)
{
    size_t at = 0;
    struct text value;

    if (m->name.data[0] == ':' || text_equal(m->name, TEXT("host"))) {
        value = pseudo(head, m->name);
    } else {
        const struct http_field *first = http_head_next(head, m->name, &at);
        size_t second_at = at, len = 0;
        const struct http_field *f = first ? http_head_next(head, m->name, &second_at) : NULL;
        if (f) {
            len = first->value.len;
            for (; f; f = http_head_next(head, m->name, &second_at))
                len += 1 + f->value.len;
            return joined_fits(m, head, first, at, len);
        }
        value = first ? first->value : (struct text){0};
        if (first && !value.data)
            value = TEXT("");
    }
    if (!value.data && !m->missing_is_empty)
        return m->kind == (m->invert ? HEADER_PRESENT : HEADER_ABSENT);
    return inverted(value_fits(m, value), m->invert);
}

/* ---- The rest. */

bool query_get(struct text query, struct text name, struct text *ret)
{
    struct text key, value;

    while (http_query_next(&query, &key, &value)) {
        if (text_equal(key, name)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static int query_fits(const struct query_match *m, struct text query)
{
    struct text value;
    bool there = query_get(query, m->name, &value);

    switch (m->kind) {
    case QUERY_PRESENT:
        return there;
    case QUERY_ABSENT:
        return !there;
    case QUERY_TEXT:
        break;
    }
    return there ? text_matches(&m->text, value) : 0;
}

static bool is_grpc(const struct http_head *head)
{
    struct text type = http_head_get(head, TEXT("content-type"));
    struct text grpc = TEXT("application/grpc");

    return text_starts_with(type, grpc) && (type.len == grpc.len || type.data[grpc.len] == '+');
}

int route_fits(const struct route_match *m, const struct route_request *request,
               struct route_path path)
{
    int fits = path_fits(&m->path, path.path);
    if (fits <= 0)
        return fits;
    if (m->some && !fraction_hits(m->fraction, request->random))
        return false;
    if (m->grpc && !is_grpc(request->head))
        return false;
    for (size_t i = 0; i < m->n_headers && fits > 0; i++)
        fits = header_fits(&m->headers[i], request->head);
    for (size_t i = 0; i < m->n_queries && fits > 0; i++)
        fits = query_fits(&m->queries[i], path.query);
    if (fits <= 0)
        return fits;
    if (m->source.ns.len > 0 && !text_equal(m->source.ns, request->source_ns))
        return false;
    return labels_include(request->source_labels, request->n_source_labels, m->source.labels,
                          m->source.n_labels);
}
