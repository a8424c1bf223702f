/*
 * What a policy says of a path and a host, of requests that may be read in two ways. Input: a path, a
 * line feed, a host, a line feed, what the policy says of either.
 * covers: shared/mesh/request_match.c shared/mesh/string_match.c
 */
#include "shared/http/http_grammar.h"
#include "shared/http/http_path.h"
#include "shared/mesh/request_match.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lenient(const struct request_view *v)
{
    struct text rest = v->path_lenient, segment;
    assert(rest.len > 0 && rest.len <= v->path.len && rest.data[0] == '/');
    for (size_t i = 0; v->memory && i < rest.len; i++) {
        struct text here = {rest.data + i, rest.len - i < 3 ? rest.len - i : 3};
        assert(here.data[0] != '\\' && here.data[0] != ';');
        assert(!text_equal_nocase(here, TEXT("%2f")) && !text_equal_nocase(here, TEXT("%5c")));
        assert(i == 0 || rest.data[i] != '/' || rest.data[i - 1] != '/');
    }
    assert(v->path_meant.len > 0 && v->path_meant.len <= v->path_lenient.len);
    for (bool more = true; more && !v->path_unclear;) {
        more = text_split(rest, '/', &segment, &rest);
        if (!more)
            segment = rest;
        assert(!text_equal(segment, TEXT(".")) && !text_equal(segment, TEXT("..")));
    }
}

/* What is granted by a condition is refused by it, too. */
static void check_match(const struct request_view *v, struct string_match *one, bool of_host)
{
    struct string_matches list = {one, 1};
    struct request_match m = {.n_headers = 0};
    if (of_host)
        m.hosts = list;
    else
        m.paths = list;
    for (one->kind = MATCH_EXACT; one->kind <= MATCH_TEMPLATE; one->kind++) {
        if (one->kind == MATCH_TEMPLATE && (of_host || path_template_check(text_of(one->value))))
            continue;
        bool granted = request_match_holds(&m, v, true),
             refused = request_match_holds(&m, v, false);
        assert(refused || !granted);
        if (one->kind == MATCH_PRESENCE && v->host.len > 0)
            assert(granted || v->path_unclear);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text all = {(const char *)data, size}, path, host;
    struct request_view v;
    struct http_head h;
    if (size > 4000 || !text_split(all, '\n', &path, &all) || !text_split(all, '\n', &host, &all))
        return 0;
    if (!http_is_path(path) || path.data[0] != '/' || !http_is_authority(host))
        return 0;
    http_head_init(&h);
    h.path = path;
    h.authority = host;
    h.method = TEXT("GET");
    char *value = text_dup(all);
    if (value && http_path_normalize(&h, HTTP_PATH_BASE) == 0 && request_view_init(&v, &h) == 0) {
        struct string_match one = {MATCH_EXACT, value};
        assert(v.host_alone.len <= host.len);
        check_lenient(&v);
        check_match(&v, &one, false);
        check_match(&v, &one, true);
        request_view_done(&v);
    }
    free(value);
    http_head_done(&h);
    return 0;
}
