/* What policies say of requests: each field, both ways, and requests that are written to be read in
 * two ways. */
#include "shared/http/http_path.h"
#include "shared/mesh/request_match.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"

#include <errno.h>

static void templates(void **state)
{
    static const struct {
        const char *path_template, *path;
        bool matches;
    } cases[] = {
        {"/foo/{*}", "/foo/bar", true},
        {"/foo/{*}", "/foo/bar/baz", false},
        {"/foo/{*}", "/foo/", false},
        {"/foo/{*}", "/foo", false},
        {"/foo/{*}", "/foo/bar/", false},
        {"/foo/{*}", "/fool/bar", false},
        {"/foo/{*}/", "/foo/bar/", true},
        {"/foo/{*}/", "/foo/bar", false},
        {"/{*}", "/a", true},
        {"/{*}", "/", false},
        {"/{*}/b/{*}", "/a/b/c", true},
        {"/{*}/b/{*}", "/a/c/b", false},
        {"/foo/{**}/", "/foo/bar/", true},
        {"/foo/{**}/", "/foo//", true},
        {"/foo/{**}/", "/foo/bar", false},
        {"/foo/{**}/", "/foo/", false},
        {"/foo/{**}/bar", "/foo//bar", true},
        {"/foo/{**}/bar", "/foo/a/b/bar", true},
        {"/foo/{**}/bar", "/foo/bar", false},
        {"/foo/{**}/bar", "/foo/a/bars", false},
        {"/foo/{**}/bar", "/foo/a/bar/c", false},
        {"/foo/{*}/bar/{**}", "/foo/buzz/bar/", true},
        {"/foo/{*}/bar/{**}", "/foo/buzz/bar/baz/x", true},
        {"/foo/{*}/bar/{**}", "/foo/buzz/bar", false},
        {"/foo/{*}/bar/{**}", "/foo/b/u/bar/", false},
        {"/{**}", "/", true},
        {"/{**}", "/a/b", true},
        {"/{**}", "*", false},
        {"/a", "/a", true},
        {"/a", "/a/", false},
        {"/a/", "/a", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_null(path_template_check(text_of(cases[i].path_template)));
        if (path_template_matches(text_of(cases[i].path_template), text_of(cases[i].path)) !=
            cases[i].matches)
            fail_msg("%s, %s", cases[i].path_template, cases[i].path);
    }
    static const char *const bad[] = {"",
                                      "foo/{*}",
                                      "/*/baz/{*}",
                                      "/**/baz/{*}",
                                      "/{**}/foo/{*}",
                                      "/foo/{*}.txt",
                                      "/{**}/{**}/",
                                      "/{*}/{}/bar",
                                      "/{*}/{a}",
                                      "/a}/{*}",
                                      "/{***}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_non_null(path_template_check(text_of(bad[i])));
}

/* ---- One field ------------------------------------------------------------------------------ */

struct asked {
    const char *method, *host, *path; /* the path as it is sent */
    const char *name, *values[2];     /* of a header; NULL: none */
};

static void ask(struct http_head *head, struct request_view *view, const struct asked *q)
{
    http_head_init(head);
    assert_int_equal(http_head_set_method(head, text_of(q->method ? q->method : "GET")), 0);
    assert_int_equal(http_head_set_authority(head, text_of(q->host ? q->host : "a")), 0);
    assert_int_equal(http_head_set_path(head, text_of(q->path ? q->path : "/")), 0);
    for (size_t i = 0; q->name && i < 2 && q->values[i]; i++)
        assert_int_equal(http_head_add(head, text_of(q->name), text_of(q->values[i])), 0);
    assert_int_equal(http_path_normalize(head, HTTP_PATH_BASE), 0);
    assert_int_equal(request_view_init(view, head), 0);
}

static void put_value(struct string_matches *m, enum string_match_kind kind, const char *value)
{
    struct string_match *items = realloc(m->items, (m->n + 1) * sizeof *items);
    assert_non_null(items);
    m->items = items;
    items[m->n++] = (struct string_match){kind, heap_text("%s", value)};
}

/* As a manifest has it. */
static void put_pattern(struct string_matches *m, const char *pattern)
{
    size_t len = strlen(pattern);
    if (strstr(pattern, "{*"))
        put_value(m, MATCH_TEMPLATE, pattern);
    else if (strcmp(pattern, "*") == 0)
        put_value(m, MATCH_PRESENCE, "");
    else if (pattern[0] == '*')
        put_value(m, MATCH_SUFFIX, pattern + 1);
    else if (len > 0 && pattern[len - 1] == '*') {
        put_value(m, MATCH_PREFIX, pattern);
        m->items[m->n - 1].value[len - 1] = '\0';
    } else
        put_value(m, MATCH_EXACT, pattern);
}

enum field { METHOD, HOST, PATH, HEADER };

static struct request_match *match_of(enum field field, bool negative, const char *pattern)
{
    struct request_match *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->headers = calloc(1, sizeof *m->headers);
    assert_non_null(m->headers);
    struct string_matches *const places[][2] = {
        [METHOD] = {&m->methods, &m->not_methods},
        [HOST] = {&m->hosts, &m->not_hosts},
        [PATH] = {&m->paths, &m->not_paths},
        [HEADER] = {&m->headers[0].values, &m->headers[0].not_values},
    };
    if (field == HEADER) {
        m->n_headers = 1;
        m->headers[0].name = heap_text("x-a");
    }
    put_pattern(places[field][negative], pattern);
    return m;
}

/* ALLOW: is it allowed? DENY: is it denied? By the value, and by it as one that must not be. */
static void check(enum field field, const char *pattern, const struct asked *q, bool allowed,
                  bool denied)
{
    for (int negative = 0; negative < 2; negative++) {
        for (int grants = 0; grants < 2; grants++) {
            struct request_match *m = match_of(field, negative, pattern);
            struct http_head head;
            struct request_view view;
            ask(&head, &view, q);
            assert_false(request_match_empty(m));
            /* Not to be in a list that would deny it, or in one that would allow it. */
            bool expected = negative ? (grants ? !denied : !allowed) : grants ? allowed : denied;
            if (request_match_holds(m, &view, grants) != expected)
                fail_msg("%s%s: %s %s %s, %s", negative ? "not " : "", pattern, q->method, q->host,
                         q->path, grants ? "granted" : "refused");
            request_view_done(&view);
            http_head_done(&head);
            (void)request_match_free(m);
        }
    }
}

static void fields(void **state)
{
    static const struct {
        enum field field;
        const char *pattern;
        struct asked asked;
        bool allowed, denied;
    } cases[] = {
        {METHOD, "GET", {.method = "GET"}, true, true},
        {METHOD, "GET", {.method = "POST"}, false, false},
        {METHOD, "GET", {.method = "GETS"}, false, false},
        {METHOD, "get", {.method = "GET"}, false, true}, /* there are servers that ignore case */
        {METHOD, "P*", {.method = "PATCH"}, true, true},
        {METHOD, "*T", {.method = "PUT"}, true, true},
        {METHOD, "*", {.method = "DELETE"}, true, true},
        {HOST, "shop.example", {.host = "shop.example"}, true, true},
        {HOST, "shop.example", {.host = "SHOP.Example"}, true, true},
        {HOST, "Shop.example", {.host = "shop.example"}, true, true},
        {HOST, "shop.example", {.host = "shop.example:8080"}, false, true},
        {HOST, "shop.example", {.host = "shop.example."}, false, true},
        {HOST, "shop.example", {.host = "shop.example.:80"}, false, true},
        {HOST, "shop.example", {.host = "xshop.example"}, false, false},
        {HOST, "shop.example:80", {.host = "shop.example:80"}, true, true},
        {HOST, "shop.example:80", {.host = "shop.example"}, false, false},
        {HOST, "shop.example:80", {.host = "shop.example.:80"}, false, true},
        {HOST, "shop.example:80", {.host = "Shop.Example..:080"}, false, true},
        {HOST, "shop.example:80", {.host = "shop.example.:8080"}, false, false},
        {HOST, "*.example:80", {.host = "shop.example.:80"}, false, true},
        {HOST, "[::1]:80", {.host = "[::1]:080"}, false, true},
        {HOST, "[::1]:80", {.host = "[::1:80]"}, false, false},
        {HOST, "shop.example:*", {.host = "shop.example:80"}, true, true},
        {HOST, "*.example", {.host = "a.EXAMPLE"}, true, true},
        {HOST, "*.example", {.host = "a.example:1"}, false, true},
        {HOST, "shop*", {.host = "SHOP.example"}, true, true},
        {HOST, "*", {.host = "x"}, true, true},
        {HOST, "[::1]", {.host = "[::1]"}, true, true},
        {HOST, "[::1]", {.host = "[::1]:80"}, false, true},
        {PATH, "/a", {.path = "/a"}, true, true},
        {PATH, "/a", {.path = "/a?x=/b"}, true, true}, /* the query does not count */
        {PATH, "/a", {.path = "/b?/a"}, false, false},
        {PATH, "/a", {.path = "/a/"}, false, false},
        {PATH, "/a", {.path = "/A"}, false, false},
        {PATH, "/a*", {.path = "/abc"}, true, true},
        {PATH, "*/c", {.path = "/a/b/c"}, true, true},
        {PATH, "*", {.path = "/"}, true, true},
        {PATH, "/a/{*}", {.path = "/a/b"}, true, true},
        {PATH, "/a/{**}", {.path = "/a/b/c"}, true, true},
        {PATH, "*", {.method = "OPTIONS", .path = "*"}, true, true},
        {HEADER, "one", {.name = "x-a", .values = {"one"}}, true, true},
        {HEADER, "one", {.name = "X-A", .values = {"one"}}, true, true},
        {HEADER, "one", {.name = "x-a", .values = {"One"}}, false, false},
        {HEADER, "one", {.name = "x-b", .values = {"one"}}, false, false},
        {HEADER, "one", {.name = "x-a", .values = {"two", "one"}}, true, true},
        {HEADER, "one", {.name = "x-a", .values = {"two, one ,three"}}, true, true},
        {HEADER, "one", {.name = "x-a", .values = {"two ones"}}, false, false},
        {HEADER, "one, two", {.name = "x-a", .values = {"one, two"}}, true, true},
        {HEADER, "o*", {.name = "x-a", .values = {"two,one"}}, true, true},
        {HEADER, "*", {.name = "x-a", .values = {""}}, true, true},
        {HEADER, "*", {.name = "x-b", .values = {"one"}}, false, false},
        {HEADER, "one", {.name = "x_a", .values = {"one"}}, false, true}, /* one name to some */
        {HEADER, "one", {.name = "X_A", .values = {"two"}}, false, false},
        {HEADER, "one", {.name = "xxa", .values = {"one"}}, false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check(cases[i].field, cases[i].pattern, &cases[i].asked, cases[i].allowed, cases[i].denied);
}

/* A path that two servers read in two ways: it is denied if one of them is, and allowed if both. */
static void two_readings(void **state)
{
    static const struct {
        const char *path, *pattern;
        bool allowed, denied;
    } cases[] = {
        {"/admin", "/admin", true, true},
        {"/%61dmin", "/admin", true, true}, /* normalised before */
        {"/x/../admin", "/admin", true, true},
        {"/x/%2e%2e/admin", "/admin", true, true},
        {"/./admin", "/admin", true, true},
        {"//admin", "/admin", false, true},
        {"//admin", "//admin", false, true},
        {"/admin//", "/admin/", false, true},
        {"/x%2fadmin", "/x/admin", false, true},
        {"/x%2Fadmin", "/x/*", false, true},
        {"/x/%2Fadmin", "/x/*", true, true},
        {"/x%5cadmin", "/x/admin", false, true},
        {"/x\\admin", "/x/admin", true, true}, /* normalised before */
        {"/admin;x=y", "/admin", false, true},
        {"/admin;x=y", "/admin;x=y", false, true},
        {"/admin;x=y/b", "/admin/b", false, true},
        {"/admin;/b", "/admin*", true, true},
        {"/public/..%2fadmin", "/public/*", false, true},
        {"/public/..%2fadmin", "/admin", false, true},
        {"/public/..%2fadmin", "/other", false, true}, /* who knows */
        {"/public/..;/admin", "/public/*", false, true},
        {"/public/.;/admin", "/public/*", false, true},
        {"/public/%2e%2e%2fadmin", "/public/*", false, true},
        {"/public%5c..%5cadmin", "/public*", false, true},
        {"/public/%2f..", "/public/*", false, true},
        {"/public/..;x", "/public/*", false, true},
        {"/public/a..%2fb", "/public/*", true, true}, /* no such segment */
        {"/public/%2520", "/public/*", true, true},
        {"/a%20b", "/a%20b", true, true},
        {"/a%20b", "/a b", false, true},
        {"/v1/a%3Ab", "/v1/a:b", false, true}, /* need not be encoded, and is not normalised */
        {"/v1/a%3Ab", "/v1/a:*", false, true},
        {"/v1/a%3Ab", "*:b", false, true},
        {"/v1/a%3Ab", "/v1/{*}", true, true},
        {"/%40v1/a", "/@v1/{*}", false, true},
        {"/v1;x/a%3Ab", "/v1/a:b", false, true}, /* and as the most lenient reads it */
        {"/v1/a:b", "/v1/a%3ab", false, true},
        {"/v1/a:b", "/v1/a%3bb", false, false},
        {"/caf%c3%a9", "/caf%C3%A9", false, true},
        {"/caf%c3%a9", "/caf\xc3\xa9", false, true},
        {"/public/%2520", "/public/%20", false, false}, /* once, not twice */
        {"/a%3fb", "/a", false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check(PATH, cases[i].pattern, &(struct asked){.path = cases[i].path}, cases[i].allowed,
              cases[i].denied);
}

/* What a request wants to turn into is not among its fields (http_hop.h), and goes on. */
static void upgrade(void **state)
{
    static const struct {
        const char *pattern, *protocol;
        bool holds;
    } cases[] = {
        {"websocket", "websocket", true}, {"WebSocket", "websocket", true},
        {"web*", "websocket", true},      {"*", "websocket", true},
        {"other", "websocket", false},    {"websocket", "", false},
        {"*", "", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int negative = 0; negative < 2; negative++) {
            struct request_match *m = match_of(HEADER, negative, cases[i].pattern);
            struct http_head head;
            struct request_view view;
            put_text(&m->headers[0].name, heap_text("upgrade"));
            ask(&head, &view, &(struct asked){.path = "/"});
            if (cases[i].protocol[0])
                assert_int_equal(http_head_set_protocol(&head, text_of(cases[i].protocol)), 0);
            for (int grants = 0; grants < 2; grants++)
                assert_int_equal(request_match_holds(m, &view, grants), cases[i].holds != negative);
            request_view_done(&view);
            http_head_done(&head);
            (void)request_match_free(m);
        }
    }
}

/* Fields AND, values OR. */
static void together(void **state)
{
    struct request_match *m = match_of(METHOD, false, "GET");
    struct http_head head;
    struct request_view view;

    (void)state;
    put_pattern(&m->methods, "POST");
    put_pattern(&m->paths, "/a");
    put_pattern(&m->not_hosts, "evil");
    static const struct {
        struct asked asked;
        bool holds;
    } cases[] = {
        {{.method = "POST", .path = "/a"}, true},
        {{.method = "GET", .path = "/a"}, true},
        {{.method = "PUT", .path = "/a"}, false},
        {{.method = "GET", .path = "/b"}, false},
        {{.method = "GET", .path = "/a", .host = "evil"}, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int grants = 0; grants < 2; grants++) {
            ask(&head, &view, &cases[i].asked);
            assert_int_equal(request_match_holds(m, &view, grants), cases[i].holds);
            request_view_done(&view);
            http_head_done(&head);
        }
    }
    (void)request_match_free(m);
    struct request_match empty = {.n_headers = 0};
    assert_true(request_match_empty(&empty));
}

static void without_memory(void **state)
{
    struct http_head head;
    struct request_view view;

    (void)state;
    ask(&head, &view, &(struct asked){.path = "/a;b"});
    request_view_done(&view);
    alloc_fail_at(0);
    int r = request_view_init(&view, &head);
    assert_true(alloc_failed());
    assert_int_equal(r, -ENOMEM);
    http_head_done(&head);
    ask(&head, &view, &(struct asked){.path = "/a"});
    alloc_fail_at(0);
    r = request_view_init(&view, &head); /* most paths need none */
    assert_false(alloc_failed());
    assert_int_equal(r, 0);
    request_view_done(&view);
    http_head_done(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates),      cmocka_unit_test(fields),
        cmocka_unit_test(two_readings),   cmocka_unit_test(upgrade),
        cmocka_unit_test(together),       cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
