/* What a request says of its session, and what its answer is to say. */
#include "nodeproxy/http/request_session.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/routes.h"
#include <errno.h>

enum { NOW_S = 1000000 };
static struct route_backend backends[] = {{.cluster = TEXT("outbound|80||a"), .weight = 1},
                                          {.cluster = TEXT("outbound|80||b"), .weight = 1},
                                          {.cluster = TEXT("outbound|80||c"), .weight = 0}};
static const struct route_forward forward = {.backends = backends, .n_backends = 3};
static const struct addr here = {{4, {10, 0, 0, 1}}, 80}, there = {{4, {10, 0, 0, 2}}, 80};

static struct session_policy cookie(void)
{
    return (struct session_policy){.name = TEXT("who"), .path = TEXT("/a")};
}

static struct request_session read_at(const struct session_policy *p, const char *name,
                                      const char *value, uint32_t now_s)
{
    struct http_head head;
    struct request_session s;
    set_head(&head, "GET", "shop", "/");
    if (value)
        assert_int_equal(http_head_add(&head, text_of(name), text_of(value)), 0);
    request_session_read(&s, p, &head, now_s);
    http_head_done(&head);
    return s;
}

/* "": nothing. */
static const char *answered(const struct request_session *s, const struct route_backend *b,
                            const struct addr *served, const char *field)
{
    static char text[2048];
    struct http_head head;
    struct text_out out = TEXT_OUT(text);
    http_head_init(&head);
    assert_int_equal(request_session_answer(s, b, served, &head), 0);
    text_put(&out, http_head_get(&head, text_of(field)));
    http_head_done(&head);
    return text;
}

static void a_cookie_comes_and_goes(void **state)
{
    struct session_policy p = cookie();
    char said[512], first[512];
    (void)state;
    struct request_session s = read_at(&p, "cookie", "x=1; why=2", NOW_S);
    assert_false(s.known);
    assert_null(request_session_backend(&s, &forward));
    assert_null(request_session_endpoint(&s, &backends[0]));
    snprintf(first, sizeof first, "%s", answered(&s, &backends[1], &here, "set-cookie"));
    assert_non_null(strstr(first, "; Path=/a; HttpOnly"));
    assert_null(strstr(first, "Max-Age"));
    snprintf(said, sizeof said, "x=1; %.*s; y=2", (int)strcspn(first, ";"), first);
    s = read_at(&p, "cookie", said, NOW_S + 50);
    assert_ptr_equal(request_session_backend(&s, &forward), &backends[1]);
    assert_true(addr_equal(request_session_endpoint(&s, &backends[1]), &here));
    assert_null(request_session_endpoint(&s, &backends[0])); /* that one's is none of ours */
    assert_string_equal(answered(&s, &backends[1], &here, "set-cookie"), ""); /* it knows */
    assert_string_not_equal(answered(&s, &backends[1], &there, "set-cookie"), "");
    assert_string_not_equal(answered(&s, &backends[0], &here, "set-cookie"), "");
}

static void who_gets_nothing_keeps_nobody(void **state)
{
    struct session_policy p = cookie();
    char token[SESSION_TOKEN_MAX], said[256];
    struct session gone = {NOW_S, NOW_S, session_backend(backends[2].cluster), here};
    (void)state;
    snprintf(said, sizeof said, "who=%s", session_print(&gone, token));
    struct request_session s = read_at(&p, "cookie", said, NOW_S);
    assert_true(s.known);
    assert_null(request_session_backend(&s, &forward)); /* no weight */
    gone.backend++;
    snprintf(said, sizeof said, "who=%s", session_print(&gone, token));
    s = read_at(&p, "cookie", said, NOW_S);
    assert_null(request_session_backend(&s, &forward)); /* of no route of ours */
    assert_false(read_at(&p, "cookie", "who=1", NOW_S).known);
    assert_false(read_at(NULL, "cookie", said, NOW_S).known);
}

static void a_header(void **state)
{
    struct session_policy p = {.header = true, .name = TEXT("x-who")};
    char token[256];
    (void)state;
    struct request_session s = read_at(&p, "x-who", NULL, NOW_S);
    snprintf(token, sizeof token, "%s", answered(&s, &backends[0], &here, "x-who"));
    s = read_at(&p, "x-who", token, NOW_S);
    assert_true(addr_equal(request_session_endpoint(&s, &backends[0]), &here));
    assert_string_equal(answered(&s, &backends[0], &here, "x-who"), "");
    assert_false(read_at(&p, "cookie", token, NOW_S).known);
}

/* Seen again it lives on, from the same beginning: both ends are told. */
static void times(void **state)
{
    struct session_policy p = cookie();
    char said[512];
    struct session told;
    (void)state;
    p.permanent = true;
    p.absolute_ms = 100000;
    p.idle_ms = 10000;
    struct request_session s = read_at(&p, "cookie", NULL, NOW_S);
    for (uint32_t at = NOW_S; at < NOW_S + 100; at += 9) {
        char left[64];
        const char *cookie = answered(&s, &backends[0], &here, "set-cookie");
        snprintf(left, sizeof left, "; Max-Age=%u; Path=/a; HttpOnly", NOW_S + 100 - at);
        assert_non_null(strstr(cookie, left));
        snprintf(said, sizeof said, "%.*s", (int)strcspn(cookie, ";"), cookie);
        assert_int_equal(session_parse(text_of(strchr(said, '=') + 1), &told), 0);
        assert_int_equal(told.begun_s, NOW_S);
        assert_int_equal(told.seen_s, at);
        assert_false(read_at(&p, "cookie", said, at + 10).known); /* it idled */
        s = read_at(&p, "cookie", said, at);
        assert_string_equal(answered(&s, &backends[0], &here, "set-cookie"), ""); /* the same second */
        s = read_at(&p, "cookie", said, at + 9);
        assert_int_equal(s.known, at + 9 < NOW_S + 100);
    }
    assert_false(s.known);
    const char *cookie = answered(&s, &backends[0], &there, "set-cookie"); /* another one begins */
    assert_non_null(strstr(cookie, "; Max-Age=100;"));
}

static void no_memory(void **state)
{
    struct session_policy p = cookie();
    struct request_session s = read_at(&p, "cookie", NULL, NOW_S);
    bool failed = true;
    (void)state;
    for (long n = 0; failed; n++) {
        struct http_head head;
        http_head_init(&head);
        alloc_fail_at(n);
        int r = request_session_answer(&s, &backends[0], &here, &head);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        http_head_done(&head);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_comes_and_goes), cmocka_unit_test(who_gets_nothing_keeps_nobody),
        cmocka_unit_test(a_header), cmocka_unit_test(times), cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
