/*
 * Policies that speak of requests, as they are decided about bytes, about a connection and about a
 * request: against a naive reading, and what must hold between the three.
 */
#include "shared/mesh/policy.h"
#include "tests/unit/shared/mesh/nouns.h"

/* ---- The reference: plain requests, of which there is one reading ----------------------------- */

struct naive_request {
    const char *method, *host, *path, *header; /* of x-a; NULL: none */
};

static bool fits(const struct string_match *m, const char *text)
{
    size_t want = strlen(m->value), have = text ? strlen(text) : 0;
    if (m->kind == MATCH_PRESENCE)
        return text != NULL;
    if (!text || have == 0)
        return false;
    if (m->kind == MATCH_TEMPLATE)
        return path_template_matches(text_of(m->value), text_of(text));
    if (want > have)
        return false;
    if (m->kind == MATCH_EXACT)
        return strcmp(m->value, text) == 0;
    return strncmp(m->value, m->kind == MATCH_PREFIX ? text : text + have - want, want) == 0;
}

static bool field_fits(const struct string_matches *yes, const struct string_matches *no,
                       const char *text)
{
    bool any = yes->n == 0;
    for (size_t i = 0; i < yes->n; i++)
        any |= fits(&yes->items[i], text);
    for (size_t i = 0; i < no->n; i++)
        any &= !fits(&no->items[i], text);
    return any;
}

static bool naive_request_fits(const struct request_match *m, const struct naive_request *q)
{
    bool all = field_fits(&m->methods, &m->not_methods, q->method) &&
               field_fits(&m->hosts, &m->not_hosts, q->host) &&
               field_fits(&m->paths, &m->not_paths, q->path);
    for (size_t i = 0; i < m->n_headers; i++)
        all = all && field_fits(&m->headers[i].values, &m->headers[i].not_values,
                                strcmp(m->headers[i].name, "x-a") == 0 ? q->header : NULL);
    return all;
}

/* The match with what it says of requests replaced by what that is here; told by a policy of layer 4
 * alone, whose own reference is in policy_test. */
static bool naive_match(const struct policy_match *m, const struct access *a, bool deny,
                        const struct naive_request *q)
{
    struct policy_match rest = *m;
    struct policy_clause clause = {&rest, 1};
    struct policy_rule rule = {&clause, 1};
    struct policy alone = {
        .action = deny ? POLICY_DENY : POLICY_ALLOW, .rules = &rule, .n_rules = 1};
    struct access bytes = *a;
    static uint16_t every_port[1];
    bool of_request = m->request && !request_match_empty(m->request);

    if (of_request && !naive_request_fits(m->request, q))
        return false;
    rest.request = NULL;
    bytes.form = ACCESS_BYTES;
    every_port[0] = a->destination_port;
    if (of_request && rest.destination_ports.n == 0)
        rest.destination_ports = (struct port_matches){every_port, 1}; /* it is not empty */
    return policy_matches(&alone, &bytes);
}

static bool naive_policy(const struct policy *p, const struct access *a,
                         const struct naive_request *q)
{
    bool any_rule = false;
    for (size_t r = 0; r < p->n_http_rules; r++) {
        bool all = true;
        for (size_t c = 0; c < p->http_rules[r].n; c++) {
            const struct policy_clause *clause = &p->http_rules[r].clauses[c];
            bool any = clause->n == 0;
            for (size_t m = 0; m < clause->n; m++)
                any |= naive_match(&clause->matches[m], a, p->action != POLICY_ALLOW, q);
            all &= any;
        }
        any_rule |= all;
    }
    return any_rule;
}

static void random_request(struct rng *r, struct naive_request *q, struct http_head *head,
                           struct request_view *view)
{
    static const char *const methods[] = {"GET", "POST", "DELETE", "PUT"};
    static const char *const hosts[] = {"shop.example", "orders", "elsewhere"};
    static const char *const paths[] = {"/", "/a", "/a/b", "/a/b/c", "/x/b/y", "/c"};
    static const char *const headers[] = {NULL, "one", "two", "four"};
    *q = (struct naive_request){methods[rng_below(r, 4)], hosts[rng_below(r, 3)],
                                paths[rng_below(r, 6)], headers[rng_below(r, 4)]};
    http_head_init(head);
    assert_int_equal(http_head_set_method(head, text_of(q->method)), 0);
    assert_int_equal(http_head_set_authority(head, text_of(q->host)), 0);
    assert_int_equal(http_head_set_path(head, text_of(q->path)), 0);
    if (q->header)
        assert_int_equal(http_head_add(head, TEXT("x-a"), text_of(q->header)), 0);
    assert_int_equal(request_view_init(view, head), 0);
}

static void random_connection(struct rng *r, struct spiffe_id *id, struct access *a)
{
    memset(id, 0, sizeof *id);
    *a = (struct access){.destination_port = (uint16_t)(8080 + rng_below(r, 3))};
    a->source = test_ip(r, (unsigned)rng_below(r, 8));
    a->destination = test_ip(r, (unsigned)rng_below(r, 8));
    if (one_in(r, 3))
        return;
    char ns[8], account[8];
    snprintf(ns, sizeof ns, "ns%u", (unsigned)rng_below(r, 3));
    snprintf(account, sizeof account, "sa%u", (unsigned)rng_below(r, 2));
    assert_int_equal(spiffe_id_make(TEXT("cluster.local"), text_of(ns), text_of(account), id), 0);
    a->identity = id;
}

static bool allows(struct policy *const *policies, size_t n, struct access *a,
                   enum access_form form, struct verdict *ret)
{
    a->form = form;
    policies_decide((const struct policy *const *)policies, n, a, ret);
    return ret->allowed;
}

static void the_three_forms(void **state)
{
    enum { SETS = 40000, REQUESTS = 4, POLICIES = 4 };
    unsigned long refused_at_once = 0, refused_later = 0, allowed = 0, matched = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned set = 0; set < SETS; set++) {
        struct policy *policies[POLICIES];
        struct spiffe_id id;
        struct access a;
        struct verdict v;
        bool by_request = false;
        size_t n = rng_below(&rng, POLICIES + 1);
        for (size_t i = 0; i < n; i++) {
            policies[i] = random_policy(&rng, (unsigned)i);
            by_request |= policies[i]->n_http_rules > 0;
        }
        random_connection(&rng, &id, &a);
        bool connects = allows(policies, n, &a, ACCESS_CONNECTION, &v);
        assert_int_equal(v.by_request, by_request);
        (void)allows(policies, n, &a, ACCESS_BYTES, &v);
        assert_false(v.by_request);
        refused_at_once += !connects;
        for (unsigned k = 0; k < REQUESTS; k++) {
            struct naive_request naive;
            struct http_head head;
            struct request_view view;
            random_request(&rng, &naive, &head, &view);
            a.request = &view;
            a.form = ACCESS_REQUEST;
            for (size_t i = 0; i < n; i++) {
                if (policies[i]->n_http_rules == 0)
                    continue;
                bool matches = policy_matches(policies[i], &a);
                matched += matches;
                assert_int_equal(matches, naive_policy(policies[i], &a, &naive));
            }
            bool yes = allows(policies, n, &a, ACCESS_REQUEST, &v);
            /* What no connection may, no request may; without word of requests all are alike. */
            assert_true(connects || !yes);
            if (!by_request)
                assert_int_equal(yes, connects);
            refused_later += connects && !yes;
            allowed += yes;
            request_view_done(&view);
            http_head_done(&head);
        }
        for (size_t i = 0; i < n; i++)
            (void)policy_free(policies[i]);
    }
    print_message("%lu connections refused, %lu requests later, %lu allowed, %lu matches\n",
                  refused_at_once, refused_later, allowed, matched);
    assert_true(refused_at_once > 2000 && refused_later > 1000 && allowed > 20000 &&
                matched > 2000);
}

/* ---- Sentences, one by one --------------------------------------------------------------------- */

static struct policy *about_requests(enum policy_action action, const char *method)
{
    struct policy *p = policy_new();
    assert_non_null(p);
    put_text(&p->key, heap_text("ns/p"));
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
    m->request->methods.items = calloc(1, sizeof *m->request->methods.items);
    assert_non_null(m->request->methods.items);
    m->request->methods.n = 1;
    m->request->methods.items[0].value = heap_text("%s", method);
    return p;
}

static void in_each_form(void **state)
{
    struct http_head head;
    struct request_view view;
    struct rng rng;
    struct naive_request naive;
    struct access a = {.destination_port = 80, .request = &view};

    (void)state;
    test_seed(&rng);
    random_request(&rng, &naive, &head, &view);
    view.method = TEXT("GET");
    static const struct {
        enum policy_action action;
        const char *method;
        bool bytes, connection,
            request; /* does it match? bytes: by `rules`, of which there are none */
    } cases[] = {
        {POLICY_ALLOW, "GET", false, true, true},  {POLICY_ALLOW, "PUT", false, true, false},
        {POLICY_DENY, "GET", false, false, true},  {POLICY_DENY, "PUT", false, false, false},
        {POLICY_AUDIT, "GET", false, false, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct policy *p = about_requests(cases[i].action, cases[i].method);
        a.form = ACCESS_BYTES;
        assert_int_equal(policy_matches(p, &a), cases[i].bytes);
        a.form = ACCESS_CONNECTION;
        assert_int_equal(policy_matches(p, &a), cases[i].connection);
        a.form = ACCESS_REQUEST;
        assert_int_equal(policy_matches(p, &a), cases[i].request);
        /* As rules for bytes: what isn't seen refuses, and does not grant. */
        p->rules = p->http_rules;
        p->n_rules = 1;
        p->http_rules = NULL;
        p->n_http_rules = 0;
        a.form = ACCESS_BYTES;
        assert_int_equal(policy_matches(p, &a), cases[i].action != POLICY_ALLOW);
        (void)policy_free(p);
    }
    request_view_done(&view);
    http_head_done(&head);
}

static void audit_is_told_and_never_decides(void **state)
{
    struct policy *audit = policy_new(), *deny = policy_new();
    struct access a = {.destination_port = 80};
    struct verdict v;

    (void)state;
    assert_non_null(audit);
    assert_non_null(deny);
    put_text(&audit->key, heap_text("ns/audit"));
    put_text(&deny->key, heap_text("ns/deny"));
    audit->action = POLICY_AUDIT;
    deny->action = POLICY_DENY;
    const struct policy *list[] = {audit, deny};
    policies_decide(list, 2, &a, &v); /* without rules: never */
    assert_true(v.allowed);
    assert_string_equal(v.audit, "");
    audit->rules = calloc(1, sizeof *audit->rules);
    assert_non_null(audit->rules);
    audit->n_rules = 1;
    policies_decide(list, 2, &a, &v);
    assert_true(v.allowed);
    assert_string_equal(v.policy, "");
    assert_string_equal(v.dry_run, "");
    assert_string_equal(v.audit, "ns/audit");
    deny->rules = calloc(1, sizeof *deny->rules);
    assert_non_null(deny->rules);
    deny->n_rules = 1;
    policies_decide(list, 2, &a, &v);
    assert_false(v.allowed);
    assert_string_equal(v.policy, "ns/deny");
    assert_string_equal(v.audit, "ns/audit");
    (void)policy_free(audit);
    (void)policy_free(deny);
}

/* ---- Equality ---------------------------------------------------------------------------------- */

static void equal_sees_every_difference(void **state)
{
    struct rng rng, again;
    unsigned changes = 0;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 2000; i++) {
        again = rng;
        struct request_match *a = random_request_match(&rng), *b = random_request_match(&again);
        assert_true(request_match_equal(a, b));
        assert_false(request_match_equal(a, NULL));
        struct string_matches *const lists[] = {
            &b->methods,
            &b->not_methods,
            &b->hosts,
            &b->not_hosts,
            &b->paths,
            &b->not_paths,
            b->n_headers > 0 ? &b->headers[0].values : &b->paths,
            b->n_headers > 0 ? &b->headers[0].not_values : &b->paths,
        };
        for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
            if (lists[l]->n == 0)
                continue;
            lists[l]->items[0].kind ^= 1;
            assert_false(request_match_equal(a, b));
            lists[l]->items[0].kind ^= 1;
            lists[l]->n--;
            assert_false(request_match_equal(a, b));
            lists[l]->n++;
            changes++;
        }
        if (b->n_headers > 0) {
            b->headers[0].name[0]++;
            assert_false(request_match_equal(a, b));
            b->headers[0].name[0]--;
            b->n_headers--;
            assert_false(request_match_equal(a, b));
            b->n_headers++;
        }
        assert_true(request_match_equal(a, b));
        (void)request_match_free(a);
        (void)request_match_free(b);
    }
    assert_true(changes > 1000);
    for (unsigned i = 0; i < 500; i++) {
        again = rng;
        struct policy *a = random_policy(&rng, 1), *b = random_policy(&again, 1);
        if (b->n_http_rules > 0) {
            b->n_http_rules--;
            assert_false(policy_equal(a, b));
            b->n_http_rules++;
        }
        (void)policy_free(a);
        (void)policy_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms),
        cmocka_unit_test(in_each_form),
        cmocka_unit_test(audit_is_told_and_never_decides),
        cmocka_unit_test(equal_sees_every_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
