/*
 * Requests as they come off the wire, HTTP/1.1 and HTTP/2, against policies of a directory: each way
 * to write a request so that it gets past one, and what is told of a decision.
 */
#include "nodeproxy/http/http2_heads.h"
#include "nodeproxy/path/request_policy.h"
#include "shared/http1/http1_codec.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"

static struct directory *directory;
static struct chunk_pool pool;

static int begin(void **state)
{
    (void)state;
    directory_thread_register();
    if (directory_new(&directory) < 0)
        return -1;
    chunk_pool_init(&pool, 64, 64);
    struct workload *w = workload_new();
    assert_non_null(w);
    put_text(&w->uid, heap_text("uid"));
    put_text(&w->ns, heap_text("shop"));
    assert_int_equal(directory_put_workload(directory, w), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    chunk_pool_done(&pool);
    directory = directory_free(directory);
    directory_thread_unregister();
    return 0;
}

static void put_match(struct string_matches *m, enum string_match_kind kind, const char *value)
{
    if (!value)
        return;
    m->items = calloc(1, sizeof *m->items);
    assert_non_null(m->items);
    m->n = 1;
    m->items[0] = (struct string_match){kind, heap_text("%s", value)};
}

/* One of the namespace; paths with a '*' at the end begin so. */
static void put_policy(const char *name, enum policy_action action, const char *method,
                       const char *path, const char *host)
{
    struct policy *p = policy_new();
    assert_non_null(p);
    put_text(&p->name, heap_text("%s", name));
    put_text(&p->ns, heap_text("shop"));
    put_text(&p->key, heap_text("shop/%s", name));
    p->scope = POLICY_NAMESPACE;
    p->action = action;
    p->n_http_rules = 1;
    p->http_rules = calloc(1, sizeof *p->http_rules);
    assert_non_null(p->http_rules);
    p->http_rules[0].n = 1;
    p->http_rules[0].clauses = calloc(1, sizeof *p->http_rules[0].clauses);
    assert_non_null(p->http_rules[0].clauses);
    p->http_rules[0].clauses[0].n = 1;
    struct policy_match *m = p->http_rules[0].clauses[0].matches = calloc(1, sizeof *m);
    assert_non_null(m);
    m->request = calloc(1, sizeof *m->request);
    assert_non_null(m->request);
    size_t len = path ? strlen(path) : 0;
    bool prefix = len > 0 && path[len - 1] == '*';
    put_match(&m->request->methods, MATCH_EXACT, method);
    put_match(&m->request->paths, prefix ? MATCH_PREFIX : MATCH_EXACT, path);
    if (prefix)
        m->request->paths.items[0].value[len - 1] = '\0';
    put_match(&m->request->hosts, MATCH_EXACT, host);
    assert_int_equal(directory_put_policy(directory, p), 0);
}

static void remove_policy(const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "shop/%s", name);
    assert_true(directory_remove_policy(directory, text_of(key)));
}

/* What an exchange does before it asks. False: it is refused there. */
static bool normalised(struct http_head *head)
{
    return head->authority.len > 0 && head->path.len > 0 &&
           http_path_normalize(head, HTTP_PATH_BASE) == 0;
}

static enum ending asked(struct http_head *head, struct exchange_notes *notes)
{
    struct request_policy p = {.settled = 0};
    const struct access access = {.destination_port = 8080, .form = ACCESS_CONNECTION};
    *notes = (struct exchange_notes){.policy = {NULL, 0}};
    if (!normalised(head))
        return ENDING_BAD_REQUEST;
    return request_policy_ask(&p, directory, TEXT("uid"), &access, head, notes);
}

static enum ending ask_http1(const char *first_line, const char *host)
{
    static const struct http1_codec_options options = {.server = true};
    struct exchange_notes notes;
    struct http1_codec *codec;
    struct http_head head;
    struct buf bytes = {0}, body = {0};
    char text[1024];
    enum ending ending = ENDING_BAD_REQUEST;
    int len = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: %s\r\n\r\n", first_line, host);
    http_head_init(&head);
    assert_int_equal(http1_codec_new(&codec, &options, &pool), 0);
    assert_int_equal(buf_append(&bytes, &pool, text, (size_t)len), 0);
    if (http1_codec_read(codec, &bytes, &head, &body) == HTTP1_HEAD)
        ending = asked(&head, &notes);
    buf_done(&bytes);
    buf_done(&body);
    http_head_done(&head);
    http1_codec_free(codec);
    return ending;
}

static enum ending ask_http2(const char *method, const char *authority, const char *host,
                             const char *path)
{
    struct http2_header headers[] = {{TEXT(":method"), text_of(method)},
                                     {TEXT(":scheme"), TEXT("http")},
                                     {TEXT(":path"), text_of(path)},
                                     {TEXT(":authority"), text_of(authority)},
                                     {TEXT("host"), text_of(host)}};
    struct http2_head from = {.headers = headers, .n = host ? 5 : 4};
    struct exchange_notes notes;
    struct http_head head;
    enum ending ending = ENDING_BAD_REQUEST;
    http_head_init(&head);
    if (http2_head_read(&from, &head) == 0)
        ending = asked(&head, &notes);
    http_head_done(&head);
    return ending;
}

enum { YES, NO, BAD }; /* 200, 403, 400 */

static int answer(enum ending ending)
{
    assert_true(ending == ENDING_NONE || ending == ENDING_DENIED || ending == ENDING_BAD_REQUEST);
    return ending == ENDING_NONE ? YES : ending == ENDING_DENIED ? NO : BAD;
}

/* By a DENY of GET /admin at shop.example, and by an ALLOW of GET /public/... there and nothing else. */
static void ways_past_a_policy(void **state)
{
    static const struct {
        const char *first_line, *host;
        int denied, allowed; /* the answer by each */
    } cases[] = {
        {"GET /admin", "shop.example", NO, NO},
        {"GET /other", "shop.example", YES, NO},
        {"GET /public/a", "shop.example", YES, YES},
        {"GET //admin", "shop.example", NO, NO},
        {"GET ///admin", "shop.example", NO, NO},
        {"GET /./admin", "shop.example", NO, NO},
        {"GET /%61dmin", "shop.example", NO, NO},
        {"GET /a%64min?", "shop.example", NO, NO},
        {"GET /x/../admin", "shop.example", NO, NO},
        {"GET /x/%2e%2e/admin", "shop.example", NO, NO},
        {"GET /x/%2E%2e/admin?a=/public/", "shop.example", NO, NO},
        {"GET /x/..%2fadmin", "shop.example", NO, NO},
        {"GET /x%2f..%2fadmin", "shop.example", NO, NO},
        {"GET \\admin", "shop.example", BAD, BAD},
        {"GET /\\admin", "shop.example", NO, NO},
        {"GET %2fadmin", "shop.example", BAD, BAD},
        {"GET /%2fadmin", "shop.example", NO, NO},
        {"GET /%5cadmin", "shop.example", NO, NO},
        {"GET /admin;", "shop.example", NO, NO},
        {"GET /admin;jsessionid=1", "shop.example", NO, NO},
        {"GET /;/admin", "shop.example", NO, NO},
        {"GET /admin%00", "shop.example", BAD, BAD},
        {"GET /admin%", "shop.example", BAD, BAD},
        {"GET /admin#", "shop.example", BAD, BAD},
        {"GET /public/../admin", "shop.example", NO, NO},
        {"GET /public/..;/admin", "shop.example", NO, NO},
        {"GET /public/..%2fadmin", "shop.example", NO, NO},
        {"GET /public/%2e%2e%2fadmin", "shop.example", NO, NO},
        {"GET /public/..%5cadmin", "shop.example", NO, NO},
        {"GET /public/x;/../../admin", "shop.example", NO, NO},
        {"get /admin", "shop.example", BAD, BAD},
        {"GET /admin", "SHOP.example", NO, NO},
        {"GET /admin", "shop.example:80", NO, NO},
        {"GET /admin", "shop.example.", NO, NO},
        {"GET /admin", "shop.example.:8080", NO, NO},
        {"GET /public/a", "shop.example:80", YES, NO},
        {"GET /public/a", "other.example", YES, NO},
        {"GET http://shop.example/admin", "shop.example", NO, NO},
        {"GET http://SHOP.EXAMPLE/admin", "shop.example", NO, NO},
        {"GET http://shop.example/x/%2e%2e/admin", "shop.example", NO, NO},
        {"GET http://other.example/admin", "shop.example", BAD, BAD},
        {"GET http://shop.example/public/a", "other.example", BAD, BAD},
        {"GET http://shop.example@other.example/public/a", "other.example", BAD, BAD},
        {"GET http://shop.example", "shop.example", YES, NO},
        {"HEAD /admin", "shop.example", YES, NO},
    };
    (void)state;
    for (int allow = 0; allow < 2; allow++) {
        if (allow)
            put_policy("p", POLICY_ALLOW, "GET", "/public/*", "shop.example");
        else
            put_policy("p", POLICY_DENY, "GET", "/admin", "shop.example");
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            int expected = allow ? cases[i].allowed : cases[i].denied;
            int got = answer(ask_http1(cases[i].first_line, cases[i].host));
            if (got != expected)
                fail_msg("%s: %s of %s: %d, not %d", allow ? "ALLOW" : "DENY", cases[i].first_line,
                         cases[i].host, got, expected);
        }
        remove_policy("p");
    }
}

/* In HTTP/2 the authority counts, and is what the application is told; Host only where there is
 * none. */
static void ways_past_a_policy_by_http2(void **state)
{
    static const struct {
        const char *method, *authority, *host, *path;
        int denied, allowed;
    } cases[] = {
        {"GET", "shop.example", NULL, "/admin", NO, NO},
        {"GET", "shop.example", NULL, "/public/a", YES, YES},
        {"GET", "shop.example", "other.example", "/admin", NO, NO},
        {"GET", "other.example", "shop.example", "/public/a", YES, NO},
        {"GET", "", "shop.example", "/public/a", BAD, BAD},
        {"GET", "Shop.Example:80", NULL, "/admin", NO, NO},
        {"GET", "shop.example", NULL, "//admin", NO, NO},
        {"GET", "shop.example", NULL, "/admin;a", NO, NO},
        {"GET", "shop.example", NULL, "/public/..%2fadmin", NO, NO},
        {"GET", "shop.example", NULL, "admin", BAD, BAD},
        {"GET", "shop.example", NULL, "http://shop.example/admin", BAD, BAD},
        {"get", "shop.example", NULL, "/admin", NO, NO}, /* who knows what the server makes of it */
        {"get", "shop.example", NULL, "/public/a", YES, NO},
    };
    (void)state;
    for (int allow = 0; allow < 2; allow++) {
        if (allow)
            put_policy("p", POLICY_ALLOW, "GET", "/public/*", "shop.example");
        else
            put_policy("p", POLICY_DENY, "GET", "/admin", "shop.example");
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            int expected = allow ? cases[i].allowed : cases[i].denied;
            int got = answer(
                ask_http2(cases[i].method, cases[i].authority, cases[i].host, cases[i].path));
            if (got != expected)
                fail_msg("%s: case %zu: %d, not %d", allow ? "ALLOW" : "DENY", i, got, expected);
        }
        remove_policy("p");
    }
}

/* ---- What is told, and when it is asked again ------------------------------------------------- */

struct question {
    struct http_head head;
    struct exchange_notes notes;
};

static enum ending ask_of(struct request_policy *p, struct question *q, const char *path)
{
    const struct access access = {.destination_port = 8080, .form = ACCESS_CONNECTION};
    http_head_init(&q->head);
    q->notes = (struct exchange_notes){.policy = {NULL, 0}};
    assert_int_equal(http_head_set_method(&q->head, TEXT("GET")), 0);
    assert_int_equal(http_head_set_authority(&q->head, TEXT("a")), 0);
    assert_int_equal(http_head_set_path(&q->head, text_of(path)), 0);
    return request_policy_ask(p, directory, TEXT("uid"), &access, &q->head, &q->notes);
}

static void the_policies_of_now(void **state)
{
    struct request_policy p = {.settled = 0};
    struct question q;

    (void)state;
    assert_int_equal(ask_of(&p, &q, "/a"), ENDING_NONE);
    http_head_done(&q.head);
    put_policy("deny", POLICY_DENY, NULL, "/a", NULL);
    assert_int_equal(ask_of(&p, &q, "/a"), ENDING_DENIED);
    assert_true(text_equal(q.notes.policy, TEXT("shop/deny")));
    assert_int_equal(q.notes.audit.len + q.notes.dry_run.len, 0);
    http_head_done(&q.head);
    assert_int_equal(ask_of(&p, &q, "/b"), ENDING_NONE);
    http_head_done(&q.head);
    assert_int_equal(p.settled, 0);
    put_policy("audit", POLICY_AUDIT, "GET", NULL, NULL);
    assert_int_equal(ask_of(&p, &q, "/b"), ENDING_NONE);
    assert_true(text_equal(q.notes.audit, TEXT("shop/audit")));
    http_head_done(&q.head);
    remove_policy("audit");
    remove_policy("deny");
    assert_int_equal(ask_of(&p, &q, "/a"), ENDING_NONE);
    http_head_done(&q.head);
    assert_true(p.settled > 0); /* and is not asked again */
    alloc_fail_at(0);
    assert_int_equal(ask_of(&p, &q, "/a;b"), ENDING_NONE);
    assert_false(alloc_failed());
    http_head_done(&q.head);
    put_policy("allow", POLICY_ALLOW, NULL, "/c", NULL);
    assert_int_equal(ask_of(&p, &q, "/a"), ENDING_DENIED);
    assert_true(text_equal(q.notes.policy, TEXT("shop/allow")));
    http_head_done(&q.head);
    assert_true(directory_remove_workload(directory, TEXT("uid")));
    assert_int_equal(ask_of(&p, &q, "/c"), ENDING_DENIED);
    http_head_done(&q.head);
}

/* Also of one that does not speak of requests each of them is told. */
static void an_audit_is_told_of_each(void **state)
{
    struct request_policy p = {.settled = 0};
    struct policy *audit = policy_new();
    struct question q;

    (void)state;
    assert_non_null(audit);
    put_text(&audit->name, heap_text("audit"));
    put_text(&audit->ns, heap_text("shop"));
    put_text(&audit->key, heap_text("shop/audit"));
    audit->scope = POLICY_NAMESPACE;
    audit->action = POLICY_AUDIT;
    audit->rules = calloc(1, sizeof *audit->rules);
    assert_non_null(audit->rules);
    audit->n_rules = 1;
    assert_int_equal(directory_put_policy(directory, audit), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask_of(&p, &q, "/a"), ENDING_NONE);
        assert_true(text_equal(q.notes.audit, TEXT("shop/audit")));
        http_head_done(&q.head);
    }
}

static void without_memory(void **state)
{
    struct request_policy p = {.settled = 0};
    struct question q;

    (void)state;
    put_policy("allow", POLICY_ALLOW, NULL, "/c*", NULL);
    alloc_fail_at(0);
    assert_int_equal(ask_of(&p, &q, "/c;d"), ENDING_NO_MEMORY);
    assert_true(alloc_failed());
    http_head_done(&q.head);
    assert_int_equal(ask_of(&p, &q, "/c;d"), ENDING_NONE);
    http_head_done(&q.head);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(ways_past_a_policy),
        TEST(ways_past_a_policy_by_http2),
        TEST(the_policies_of_now),
        TEST(an_audit_is_told_of_each),
        TEST(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
