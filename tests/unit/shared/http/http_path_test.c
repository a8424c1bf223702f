#include "shared/http/http_grammar.h"
#include "shared/http/http_path.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

/* What Istio's documentation and Envoy make of each, where they say so. NULL: refused. */
static const struct {
    const char *path, *base, *merged, *decoded, *strict;
} paths[] = {
    {"/", "/", "/", "/", "/"},
    {"/a/b", "/a/b", "/a/b", "/a/b", "/a/b"},
    {"*", "*", "*", "*", "*"},
    {"/a/../b", "/b", "/b", "/b", "/b"},
    {"/a/./b", "/a/b", "/a/b", "/a/b", "/a/b"},
    {"/a/b/..", "/a/", "/a/", "/a/", "/a/"},
    {"/a/b/.", "/a/b/", "/a/b/", "/a/b/", "/a/b/"},
    {"/..", "/", "/", "/", "/"},
    {"/../../a", "/a", "/a", "/a", "/a"},
    {"/.", "/", "/", "/", "/"},
    {"/.a/..b/c.", "/.a/..b/c.", "/.a/..b/c.", "/.a/..b/c.", "/.a/..b/c."},
    {"/...", "/...", "/...", "/...", "/..."},
    {"/a/%2e%2E/b", "/b", "/b", "/b", "/b"},
    {"/a/.%2e/b", "/b", "/b", "/b", "/b"},
    {"/a/%2e/b", "/a/b", "/a/b", "/a/b", "/a/b"},
    {"/%41%7a%2D%5f", "/Az-_", "/Az-_", "/Az-_", "/Az-_"},
    {"/%20%c3%A9%3f%23", "/%20%c3%A9%3f%23", "/%20%c3%A9%3f%23", "/%20%c3%A9%3f%23",
     "/%20%c3%A9%3f%23"},
    {"/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a", "/%252e%252e/a"},
    {"/\\a", "//a", "/a", "/a", NULL},
    {"\\a", "\\a", "\\a", "\\a", "\\a"}, /* no path: nothing to do with it */
    {"/a\\..\\b", "/b", "/b", "/b", NULL},
    {"/a//b", "/a//b", "/a/b", "/a/b", "/a/b"},
    {"//a///b//", "//a///b//", "/a/b/", "/a/b/", "/a/b/"},
    {"/a//../b", "/a/b", "/a/b", "/a/b", "/a/b"},
    {"/a%2fb", "/a%2fb", "/a%2fb", "/a/b", NULL},
    {"/a%2F/b", "/a%2F/b", "/a%2F/b", "/a/b", NULL},
    {"/a%5Cb", "/a%5Cb", "/a%5Cb", "/a/b", NULL},
    {"/a/..%2f..%5c/b", "/a/..%2f..%5c/b", "/a/..%2f..%5c/b", "/b", NULL},
    {"/a%2f..%2fb", "/a%2f..%2fb", "/a%2f..%2fb", "/b", NULL},
    {"/a/..;/b", "/a/..;/b", "/a/..;/b", "/a/..;/b", NULL},
    {"/a/.;x/b", "/a/.;x/b", "/a/.;x/b", "/a/.;x/b", NULL},
    {"/a/%2e%2e;x", "/a/..;x", "/a/..;x", "/a/..;x", NULL},
    {"/a/x..;y", "/a/x..;y", "/a/x..;y", "/a/x..;y", "/a/x..;y"},
    {"/%", NULL, NULL, NULL, NULL},
    {"/%4", NULL, NULL, NULL, NULL},
    {"/%4x", NULL, NULL, NULL, NULL},
    {"/%%41", NULL, NULL, NULL, NULL},
    {"/%00", NULL, NULL, NULL, NULL},
    {"/a%0d%0aX", NULL, NULL, NULL, NULL},
    {"/%7f", NULL, NULL, NULL, NULL},
    {"/a/../b?c/../d//%zz\\", "/b?c/../d//%zz\\", "/b?c/../d//%zz\\", "/b?c/../d//%zz\\",
     "/b?c/../d//%zz\\"},
    {"/a/..?", "/?", "/?", "/?", "/?"},
    {"/?a//b/..", "/?a//b/..", "/?a//b/..", "/?a//b/..", "/?a//b/.."},
};

static void check(const char *path, enum http_path_mode mode, const char *expected)
{
    struct http_head h;
    http_head_init(&h);
    h.path = text_of(path);
    int r = http_path_normalize(&h, mode);
    if (r != (expected ? 0 : -EINVAL) || !text_equal(h.path, text_of(expected ? expected : path)))
        fail_msg("%s in mode %d: %d, %.*s", path, mode, r, (int)h.path.len, h.path.data);
    /* Once is enough. */
    char *once = text_dup(h.path);
    if (r == 0) {
        assert_int_equal(http_path_normalize(&h, mode), 0);
        assert_true(text_equal(h.path, text_of(once)));
    }
    free(once);
    http_head_done(&h);
}

static void each_path_has_its_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        check(paths[i].path, HTTP_PATH_NONE, paths[i].path);
        check(paths[i].path, HTTP_PATH_BASE, paths[i].base);
        check(paths[i].path, HTTP_PATH_MERGE_SLASHES, paths[i].merged);
        check(paths[i].path, HTTP_PATH_DECODE_AND_MERGE_SLASHES, paths[i].decoded);
        check(paths[i].path, HTTP_PATH_STRICT, paths[i].strict);
    }
}

/* RFC 3986 section 5.2.4, step by step as it is written there. */
static void remove_dots(char *in, char *out)
{
    out[0] = '\0';
    while (*in) {
        if (strncmp(in, "/./", 3) == 0) {
            in += 2;
        } else if (strcmp(in, "/.") == 0) {
            in[1] = '\0';
        } else if (strncmp(in, "/../", 4) == 0 || strcmp(in, "/..") == 0) {
            char *last = strrchr(out, '/');
            in += 3;
            if (!*in)
                *--in = '/';
            *(last ? last : out) = '\0';
        } else {
            size_t n = 1 + strcspn(in + 1, "/"), len = strlen(out);
            memcpy(out + len, in, n);
            out[len + n] = '\0';
            in += n;
        }
    }
}

static void dots_as_the_rfc_says(void **state)
{
    (void)state;
    struct rng rng;
    test_seed(&rng);
    for (int round = 0; round < 20000; round++) {
        char path[20] = "/", in[20], out[20];
        struct http_head h;
        size_t len = 1 + rng_below(&rng, 18);
        for (size_t i = 1; i < len; i++)
            path[i] = "/..a"[rng_below(&rng, 4)];
        snprintf(in, sizeof in, "%s", path);
        remove_dots(in, out);
        http_head_init(&h);
        h.path = text_of(path);
        assert_int_equal(http_path_normalize(&h, HTTP_PATH_BASE), 0);
        if (!text_equal(h.path, text_of(out)))
            fail_msg("%s is %s, not %.*s", path, out, (int)h.path.len, h.path.data);
        http_head_done(&h);
    }
}

static void queries(void **state)
{
    (void)state;
    struct text path, query, name, value;
    char out[20];
    http_path_split(TEXT("/a?b=1&&c&=d&e=f=g?"), &path, &query);
    is_text(path, "/a");
    is_text(query, "b=1&&c&=d&e=f=g?");
    assert_true(http_query_next(&query, &name, &value));
    is_text(name, "b");
    is_text(value, "1");
    assert_true(http_query_next(&query, &name, &value));
    is_text(name, "c");
    is_text(value, "");
    assert_true(http_query_next(&query, &name, &value));
    is_text(name, "");
    is_text(value, "d");
    assert_true(http_query_next(&query, &name, &value));
    is_text(name, "e");
    is_text(value, "f=g?");
    assert_false(http_query_next(&query, &name, &value));
    http_path_split(TEXT("/a"), &path, &query);
    assert_null(query.data);
    http_path_split(TEXT("/a?"), &path, &query);
    assert_non_null(query.data);
    size_t n = http_query_decode(TEXT("a+b%20%41%zz%4"), out);
    is_text((struct text){out, n}, "a b A%zz%4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_has_its_form),
        cmocka_unit_test(dots_as_the_rfc_says),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
