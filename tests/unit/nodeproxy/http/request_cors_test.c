/* Cross-origin requests: which are answered here, with which words, and what the others' answers say. */
#include "nodeproxy/http/request_cors.h"

#include "tests/unit/shared/mesh/routes.h"

static struct text_match origins[] = {{.value = TEXT("https://a.example")},
                                      {.kind = TEXT_SUFFIX, .value = TEXT(".b.example")}};
static const struct cors policy = {.origins = origins,
                                   .n_origins = 2,
                                   .methods = TEXT("GET,PUT"),
                                   .headers = TEXT("x-one"),
                                   .expose_headers = TEXT("x-two"),
                                   .max_age = TEXT("600"),
                                   .credentials = true};

/* NULL: without this field. */
static enum cors_kind kind_of(const struct cors *p, const char *method, const char *origin,
                              const char *wanted)
{
    struct http_head head;
    struct text seen;
    set_head(&head, method, "shop", "/");
    if (origin)
        assert_int_equal(http_head_add(&head, TEXT("origin"), text_of(origin)), 0);
    if (wanted)
        assert_int_equal(
            http_head_add(&head, TEXT("access-control-request-method"), text_of(wanted)), 0);
    enum cors_kind kind = request_cors_of(p, &head, &seen);
    if (kind != CORS_NONE)
        assert_true(text_equal(seen, text_of(origin)));
    http_head_done(&head);
    return kind;
}

static void which(void **state)
{
    struct cors forwards = policy;
    (void)state;
    forwards.forward_unmatched_preflights = true;
    assert_int_equal(kind_of(&policy, "GET", "https://a.example", NULL), CORS_ALLOWED);
    assert_int_equal(kind_of(&policy, "GET", "http://x.b.example", NULL), CORS_ALLOWED);
    assert_int_equal(kind_of(&policy, "GET", "https://c.example", NULL), CORS_NONE);
    assert_int_equal(kind_of(&policy, "GET", NULL, NULL), CORS_NONE);
    assert_int_equal(kind_of(NULL, "GET", "https://a.example", NULL), CORS_NONE);
    assert_int_equal(kind_of(&policy, "OPTIONS", "https://a.example", "PUT"), CORS_PREFLIGHT);
    assert_int_equal(kind_of(&policy, "OPTIONS", "https://a.example", NULL), CORS_ALLOWED);
    assert_int_equal(kind_of(&policy, "OPTIONS", "https://c.example", "PUT"),
                     CORS_PREFLIGHT_DENIED);
    assert_int_equal(kind_of(&policy, "OPTIONS", NULL, "PUT"), CORS_NONE);
    assert_int_equal(kind_of(&forwards, "OPTIONS", "https://c.example", "PUT"), CORS_NONE);
    assert_int_equal(kind_of(NULL, "OPTIONS", "https://a.example", "PUT"), CORS_NONE);
}

static void assert_field(const struct http_head *h, const char *name, const char *value)
{
    struct text t = http_head_get(h, text_of(name));
    if (!text_equal(t, text_of(value)))
        fail_msg("%s: '%.*s'", name, (int)t.len, t.data ? t.data : "");
}

static void preflights(void **state)
{
    struct http_head h;
    (void)state;
    assert_int_equal(request_cors_preflight(&policy, CORS_PREFLIGHT, TEXT("https://a.example"), &h),
                     0);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.n, 6);
    assert_field(&h, "content-length", "0");
    assert_field(&h, "access-control-allow-origin", "https://a.example");
    assert_field(&h, "access-control-allow-credentials", "true");
    assert_field(&h, "access-control-allow-methods", "GET,PUT");
    assert_field(&h, "access-control-allow-headers", "x-one");
    assert_field(&h, "access-control-max-age", "600");
    http_head_done(&h);
    assert_int_equal(
        request_cors_preflight(&policy, CORS_PREFLIGHT_DENIED, TEXT("https://c.example"), &h), 0);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.n, 1); /* not a word that allows anything */
    http_head_done(&h);
}

/* What the server says of it counts no more: the route decides. */
static void answers(void **state)
{
    struct http_head h;
    struct cors without = policy;
    (void)state;
    without.credentials = false;
    http_head_init(&h);
    h.status = 200;
    assert_int_equal(http_head_add(&h, TEXT("access-control-allow-origin"), TEXT("*")), 0);
    assert_int_equal(request_cors_edit_answer(&policy, TEXT("https://a.example"), &h), 0);
    assert_int_equal(h.n, 3);
    assert_field(&h, "access-control-allow-origin", "https://a.example");
    assert_field(&h, "access-control-allow-credentials", "true");
    assert_field(&h, "access-control-expose-headers", "x-two");
    http_head_done(&h);
    assert_int_equal(request_cors_edit_answer(&without, TEXT("https://a.example"), &h), 0);
    assert_field(&h, "access-control-allow-credentials", "");
    http_head_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which), cmocka_unit_test(preflights), cmocka_unit_test(answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
