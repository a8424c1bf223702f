/*
 * Paths in their one form: what comes out stays what it is, has no dots to climb with and is not
 * longer than what went in; and the query with it.
 * covers: shared/http/http_path.c
 */
#include "shared/http/http_grammar.h"
#include "shared/http/http_path.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void check_form(struct text path, enum http_path_mode mode)
{
    struct text rest, query, segment;
    char before = 0;
    http_path_split(path, &path, &query);
    assert(http_is_path(path) && path.data[0] == '/');
    for (size_t i = 0; i < path.len; i++) {
        assert(path.data[i] != '\\');
        assert(mode == HTTP_PATH_BASE || path.data[i] != '/' || before != '/');
        before = path.data[i];
    }
    rest = path;
    for (bool more = true; more;) {
        more = text_split(rest, '/', &segment, &rest);
        if (!more)
            segment = rest;
        assert(!text_equal(segment, TEXT(".")) && !text_equal(segment, TEXT("..")));
        assert(!text_equal_nocase(segment, TEXT("%2e%2e")));
    }
}

static void check_query(struct text query)
{
    struct text name, value;
    char *out = malloc(query.len + 1);
    if (!out)
        abort();
    while (http_query_next(&query, &name, &value)) {
        assert(http_query_decode(name, out) <= name.len);
        assert(http_query_decode(value, out) <= value.len);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text path = {(const char *)data, size}, query;
    struct http_head h;
    if (size > 10000 || !http_is_path(path))
        return 0;
    http_path_split(path, &path, &query);
    check_query(query);
    path = (struct text){(const char *)data, size};
    if (path.data[0] != '/')
        return 0;
    http_head_init(&h);
    for (int mode = HTTP_PATH_BASE; mode <= HTTP_PATH_STRICT; mode++) {
        h.path = path;
        int r = http_path_normalize(&h, (enum http_path_mode)mode);
        assert(r == 0 || r == -EINVAL);
        assert(h.path.len <= path.len);
        if (r == 0) {
            struct text once = h.path;
            check_form(once, (enum http_path_mode)mode);
            assert(http_path_normalize(&h, (enum http_path_mode)mode) == 0);
            assert(text_equal(h.path, once));
        }
        http_head_done(&h);
    }
    return 0;
}
