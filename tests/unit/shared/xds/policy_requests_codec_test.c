/* What policies say of requests (http_rules), there and back. */
#include "tests/unit/shared/xds/policy_wire.h"

/* A policy with this match in its http_rules, and nothing for whoever sees bytes. */
static void http_policy_of(struct wire_writer *w, unsigned action, const struct wire_writer *match)
{
    struct wire_writer clause = {0}, rule = {0};

    begin(w, action);
    field_message(&clause, 2, match);
    field_message(&rule, 1, &clause);
    field_message(w, 7000, &rule);
}

static const struct request_match *request_of(const struct policy *p)
{
    assert_int_equal(p->n_rules, 0);
    assert_int_equal(p->n_http_rules, 1);
    assert_int_equal(p->http_rules[0].n, 1);
    assert_int_equal(p->http_rules[0].clauses[0].n, 1);
    assert_non_null(p->http_rules[0].clauses[0].matches[0].request);
    return p->http_rules[0].clauses[0].matches[0].request;
}

static void what_is_said_of_requests(void **state)
{
    struct wire_writer request = {0}, header = {0}, match = {0}, w = {0};

    (void)state;
    string_match(&request, 1, 1, "GET");
    string_match(&request, 2, 1, "POST");
    string_match(&request, 3, 3, ".example");
    string_match(&request, 4, 2, "a.");
    string_match(&request, 5, 7000, "/a/{*}");
    string_match(&request, 6, 1, "/b");
    field_text(&header, 1, "X-A");
    string_match(&header, 2, 1, "yes");
    string_match(&header, 3, 1, "no");
    field_message(&request, 7, &header);
    field_message(&match, 7000, &request);
    http_policy_of(&w, 1, &match);
    struct policy *p = decode(w.data, w.len);
    const struct request_match *m = request_of(p);
    assert_string_equal(m->methods.items[0].value, "GET");
    assert_string_equal(m->not_methods.items[0].value, "POST");
    assert_int_equal(m->hosts.items[0].kind, MATCH_SUFFIX);
    assert_int_equal(m->not_hosts.items[0].kind, MATCH_PREFIX);
    assert_int_equal(m->paths.items[0].kind, MATCH_TEMPLATE);
    assert_string_equal(m->not_paths.items[0].value, "/b");
    assert_string_equal(m->headers[0].name, "x-a");
    assert_string_equal(m->headers[0].values.items[0].value, "yes");
    assert_string_equal(m->headers[0].not_values.items[0].value, "no");
    (void)policy_free(p);
}

/* Wherever it stands: for whoever sees requests it denies more, and allows nothing. */
static void what_is_unknown_of_requests_denies_more(void **state)
{
    struct http_head head;
    struct request_view view;
    struct access a = anybody();

    (void)state;
    http_head_init(&head);
    assert_int_equal(http_head_set_method(&head, TEXT("GET")), 0);
    assert_int_equal(http_head_set_authority(&head, TEXT("a")), 0);
    assert_int_equal(http_head_set_path(&head, TEXT("/")), 0);
    assert_int_equal(request_view_init(&view, &head), 0);
    a.form = ACCESS_REQUEST;
    a.request = &view;
    for (unsigned place = 0; place < 5; place++) {
        for (unsigned action = 0; action < 2; action++) {
            struct wire_writer request = {0}, header = {0}, match = {0}, value = {0}, w = {0};
            if (place < 4)
                string_match(&request, 1, 1, "GET"); /* holds */
            if (place == 1)
                unknown_fields(&request);
            if (place == 2) {
                field_text(&header, 1, "x");
                unknown_fields(&header);
                field_message(&request, 7, &header);
            }
            field_text(&value, 9, "regex");
            if (place == 3)
                field_message(&request, 6, &value); /* one of those that must not be */
            if (place == 4)
                field_message(&request, 5, &value); /* the only one that must */
            field_message(&match, 7000, &request);
            http_policy_of(&w, action, &match);
            struct policy *p = decode(w.data, w.len);
            assert_int_equal(policy_matches(p, &a), action == 1 || place == 0);
            (void)policy_free(p);
        }
    }
    request_view_done(&view);
    http_head_done(&head);
}

static void bad_requests(void **state)
{
    struct wire_writer request = {0}, header = {0}, match = {0}, w = {0}, rule = {0};

    (void)state;
    string_match(&request, 5, 7000, "/{**}/{*}");
    field_message(&match, 7000, &request);
    refused_match(&match, "match.request.paths.template");
    request.len = match.len = 0;
    string_match(&request, 3, 7000, "/a/{*}");
    field_message(&match, 7000, &request);
    refused_match(&match, "match.request.hosts.template: is of paths alone");
    match.len = 0;
    string_match(&match, 1, 7000, "/a/{*}");
    refused_match(&match, "match.namespaces.template: is of paths alone");
    static const char *const names[] = {"", ":path", "a b"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        request.len = header.len = match.len = 0;
        field_text(&header, 1, names[i]);
        field_message(&request, 7, &header);
        field_message(&match, 7000, &request);
        refused_match(&match, "match.request.headers.name");
    }
    begin(&w, 0);
    for (unsigned i = 0; i <= POLICY_RULES_MAX; i++)
        field_message(&w, 7000, &rule);
    refused(&w, "authorization.http_rules");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_of_requests),
        cmocka_unit_test(what_is_unknown_of_requests_denies_more),
        cmocka_unit_test(bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
