#include "shared/http/http_path.h"
#include <errno.h>

/* RFC 3986 section 2.3: encoded or not is the same. */
static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("-._~", c));
}

/* Nothing that any mode but NONE would look at twice: most paths. */
static bool is_plain(struct text path)
{
    char before = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (c == '%' || c == '\\' || (before == '/' && (c == '/' || c == '.')))
            return false;
        before = c;
    }
    return true;
}

/* Copies with what is encoded needlessly decoded, '\' as '/'. */
static int decode(struct text path, enum http_path_mode mode, char *out, size_t *ret_len)
{
    const char *at = path.data, *end = path.data + path.len;
    char *to = out;
    while (at < end) {
        int c = *at;
        if (c == '%') {
            c = text_percent_byte((struct text){at, (size_t)(end - at)});
            if (c < 0x20 || c == 0x7f)
                return -EINVAL;
            bool slash = c == '/' || c == '\\';
            if (slash && mode == HTTP_PATH_STRICT)
                return -EINVAL;
            if (!is_unreserved((char)c) && !(slash && mode == HTTP_PATH_DECODE_AND_MERGE_SLASHES)) {
                memcpy(to, at, 3);
                to += 3;
                at += 3;
                continue;
            }
            at += 2;
        } else if (c == '\\' && mode == HTTP_PATH_STRICT) {
            return -EINVAL;
        }
        *to++ = c == '\\' ? '/' : (char)c;
        at++;
    }
    *ret_len = (size_t)(to - out);
    return 0;
}

/* RFC 3986 section 5.2.4, in place: a path that begins with '/'. Above the root is the root. */
static size_t remove_dots(char *path, size_t len)
{
    size_t to = 0, at = 0;
    while (at < len) {
        size_t end = at + 1; /* path[at] is the '/' before a segment */
        while (end < len && path[end] != '/')
            end++;
        size_t n = end - at - 1;
        const char *segment = &path[at + 1];
        if (n == 1 && segment[0] == '.') {
            if (end == len)
                path[to++] = '/';
        } else if (n == 2 && segment[0] == '.' && segment[1] == '.') {
            while (to > 0 && path[--to] != '/')
                ;
            if (end == len)
                path[to++] = '/';
        } else {
            memmove(&path[to], &path[at], end - at);
            to += end - at;
        }
        at = end;
    }
    if (to == 0)
        path[to++] = '/';
    return to;
}

static size_t merge_slashes(char *path, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++)
        if (path[i] != '/' || to == 0 || path[to - 1] != '/')
            path[to++] = path[i];
    return to;
}

/* "..;x": there are servers that take what follows ';' away first, and then climb. */
static bool has_dots_with_parameter(const char *path, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++) {
        size_t k = i + 1;
        if (path[i] != '/' || path[k] != '.')
            continue;
        k += path[k + 1] == '.' ? 2 : 1;
        if (k < len && path[k] == ';')
            return true;
    }
    return false;
}

int http_path_normalize(struct http_head *h, enum http_path_mode mode)
{
    struct text path, query;
    size_t len = 0;
    char *to;
    http_path_split(h->path, &path, &query);
    if (mode == HTTP_PATH_NONE || path.len == 0 || path.data[0] != '/' || is_plain(path))
        return 0;
    int r = http_head_alloc(h, h->path.len, &to);
    if (r == 0)
        r = decode(path, mode, to, &len);
    if (r < 0)
        return r;
    if (mode == HTTP_PATH_STRICT && has_dots_with_parameter(to, len))
        return -EINVAL;
    len = remove_dots(to, len);
    if (mode != HTTP_PATH_BASE)
        len = merge_slashes(to, len);
    if (query.data) {
        to[len++] = '?';
        memcpy(to + len, query.data, query.len);
        len += query.len;
    }
    h->path = (struct text){to, len};
    return 0;
}

void http_path_split(struct text path, struct text *ret_path, struct text *ret_query)
{
    *ret_path = path;
    *ret_query = (struct text){NULL, 0};
    text_split(path, '?', ret_path, ret_query);
}

bool http_query_next(struct text *query, struct text *ret_name, struct text *ret_value)
{
    while (query->len > 0) {
        struct text pair = *query, rest = {NULL, 0};
        text_split(*query, '&', &pair, &rest);
        *query = rest;
        if (pair.len == 0)
            continue;
        *ret_name = pair;
        *ret_value = (struct text){pair.data + pair.len, 0};
        text_split(pair, '=', ret_name, ret_value);
        return true;
    }
    return false;
}

size_t http_query_decode(struct text t, char *out)
{
    size_t n = 0;
    while (t.len > 0) {
        int c = text_percent_byte(t);
        size_t used = c >= 0 ? 3 : 1;
        if (c < 0)
            c = t.data[0] == '+' ? ' ' : t.data[0];
        out[n++] = (char)c;
        t = (struct text){t.data + used, t.len - used};
    }
    return n;
}
