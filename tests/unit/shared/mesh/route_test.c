/* What route tables mean, case by case, and what they refuse. route_random_test does the rest. */
#include "tests/unit/shared/mesh/routes.h"

#include "shared/mesh/hash64.h"
#include "shared/mesh/route_hash.h"

#include <errno.h>
#include <time.h>

static void finish(struct route_table *t)
{
    char why[WHY_MAX] = "";
    if (route_table_finish(t, why) < 0)
        fail_msg("%s", why);
}

/* ---- Hosts (Envoy's order: exact, longest ending, longest start, any). */

static void test_hosts_in_envoys_order(void **state)
{
    static const struct {
        const char *authority;
        int host;
    } cases[] = {
        {"www.foo.com", 0},
        {"WWW.Foo.com", 0},
        {"bar.foo.com", 1},
        {"a.bar.foo.com", 1},
        {"x-bar.foo.com", 2},
        {"-bar.foo.com", 1},
        {"foo.com", 4},
        {"foo.net", 3},
        {"foo.", 4},
        {"www.foo.com:80", 3 + 1},
        {"", 4},
        {".foo.com", 4},
    };
    struct route_table *t = new_table(5);
    (void)state;
    SET_HOST(t, 0, "exact", 0, "www.foo.com");
    SET_HOST(t, 1, "ending", 0, "*.foo.com");
    SET_HOST(t, 2, "longer", 0, "*-bar.foo.com");
    SET_HOST(t, 3, "start", 0, "foo.n*", "foo.o*");
    SET_HOST(t, 4, "any", 0, "*");
    finish(t);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct virtual_host *h = route_table_host(t, text_of(cases[i].authority));
        if (h != &t->hosts[cases[i].host])
            fail_msg("%s: %td", cases[i].authority, h - t->hosts);
    }
    t->ignore_port = true;
    assert_ptr_equal(route_table_host(t, TEXT("www.foo.com:8080")), &t->hosts[0]);
    assert_ptr_equal(route_table_host(t, TEXT("[::1]:80")), &t->hosts[4]);
    route_table_unref(t);
}

/* ---- Rewrites and redirects. */

static struct route a_route(enum path_match_kind kind, const char *path)
{
    return (struct route){.match.path = {.kind = kind, .value = text_of(path)}};
}

static void test_rewrites(void **state)
{
    static const struct {
        enum path_match_kind match;
        const char *matched, *path, *becomes, *result;
    } prefixes[] = {
        {PATH_PREFIX, "/prefix", "/prefix/foo?a=b", "/", "//foo?a=b"}, /* as Envoy says it */
        {PATH_PREFIX, "/prefix/", "/prefix/foo", "/", "/foo"},
        {PATH_PREFIX, "/prefix", "/prefixed", "/p", "/ped"},
        {PATH_SEPARATED, "/api", "/api/v1?x", "/new", "/new/v1?x"},
        {PATH_SEPARATED, "/api", "/api", "/new", "/new"},
        {PATH_EXACT, "/a", "/a?q=/a", "/b", "/b?q=/a"},
        {PATH_REGEX, "/.*", "/a/b?c", "/b", "/b?c"},
    };
    char place[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        struct route r = a_route(prefixes[i].match, prefixes[i].matched);
        struct path_rewrite w = {.kind = REWRITE_PREFIX, .value = text_of(prefixes[i].becomes)};
        struct text_out o = TEXT_OUT(place);
        assert_int_equal(route_rewritten_path(&w, &r.match, text_of(prefixes[i].path), &o), 0);
        assert_string_equal(place, prefixes[i].result);
    }
    struct route r = a_route(PATH_PREFIX, "/");
    struct regex *regex;
    char why[WHY_MAX];
    assert_int_equal(regex_new(&regex, TEXT("^/strip(/|$)"), why), 0);
    struct path_rewrite w = {.kind = REWRITE_REGEX, .value = TEXT("/"), .regex = regex};
    struct text_out o = TEXT_OUT(place);
    assert_int_equal(route_rewritten_path(&w, &r.match, TEXT("/strip/three?x=/strip"), &o), 0);
    assert_string_equal(place, "/three?x=/strip"); /* not the query */
    w.value = TEXT("a b");
    o = TEXT_OUT(place);
    assert_int_equal(route_rewritten_path(&w, &r.match, TEXT("/strip"), &o), -EINVAL);
    struct text_out small = {place, 0, 4, false};
    w.value = TEXT("/");
    assert_int_equal(route_rewritten_path(&w, &r.match, TEXT("/abcd"), &small), -ENOBUFS);
    regex_free(regex);
}

static void test_locations(void **state)
{
    static const struct {
        const char *authority, *path;
        struct route_redirect d;
        const char *location;
    } cases[] = {
        {"a.org", "/x?y", {.host = TEXT("b.org")}, "http://b.org/x?y"},
        {"a.org:8080", "/x", {.host = TEXT("b.org")}, "http://b.org/x"},
        {"a.org", "/x", {.https = true}, "https://a.org/x"},
        {"a.org:80", "/x", {.https = true}, "https://a.org/x"}, /* the port was the scheme's */
        {"a.org:8080", "/x", {.https = true}, "https://a.org:8080/x"},
        {"a.org:8080", "/x", {.port = 8443}, "http://a.org:8443/x"},
        {"a.org:8080", "/x", {.port = 80}, "http://a.org/x"},
        {"a.org", "/x", {.scheme = TEXT("https"), .port = 443}, "https://a.org/x"},
        {"a.org", "/x", {.scheme = TEXT("https"), .port = 80}, "https://a.org:80/x"},
        {"[::1]:80", "/x", {.port = 81}, "http://[::1]:81/x"},
        {"[::1]", "/x", {.port = 81}, "http://[::1]:81/x"},
        {"a.org", "/x?y", {.strip_query = true}, "http://a.org/x"},
        {"a.org", "/x?y", {.path = {REWRITE_WHOLE, TEXT("/z"), {0}, NULL}}, "http://a.org/z?y"},
        {"a.org",
         "/x?y",
         {.path = {REWRITE_WHOLE, TEXT("/z?w"), {0}, NULL}, .strip_query = true},
         "http://a.org/z?w"},
        {"a.org",
         "/api/x",
         {.path = {REWRITE_PREFIX, TEXT("/new"), {0}, NULL}},
         "http://a.org/new/x"},
    };
    char place[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct route r = a_route(PATH_SEPARATED, "/api");
        struct http_head head;
        struct text_out o = TEXT_OUT(place);
        r.action = (struct route_action){.kind = ROUTE_REDIRECT, .redirect = cases[i].d};
        set_head(&head, "GET", cases[i].authority, cases[i].path);
        assert_int_equal(route_location(&r, &head, &o), 0);
        assert_string_equal(place, cases[i].location);
        http_head_done(&head);
    }
}

/* ---- Weights, edits. */

static void test_weights(void **state)
{
    struct route_backend backends[] = {{.weight = 70}, {.weight = 0}, {.weight = 30}};
    struct route_forward f = {.backends = backends, .n_backends = 3, .total_weight = 100};
    size_t counts[3] = {0}, n = 100000;
    struct rng r;
    (void)state;
    rng_seed(&r, 9);
    for (size_t i = 0; i < n; i++)
        counts[route_forward_backend(&f, rng_u64(&r)) - backends]++;
    assert_in_range(counts[0], 69275, 70725); /* 5 deviations of 145 */
    assert_int_equal(counts[1], 0);
    /* Independent of fractions that the same number decides: of those that fall into the lower half
     * there, 70 % are the first's here, too. */
    size_t lower = 0, both = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t random = rng_u64(&r);
        if (!fraction_hits((struct fraction){50, 100}, random))
            continue;
        lower++;
        both += route_forward_backend(&f, random) == &backends[0];
    }
    assert_true(both * 100 > lower * 69 && both * 100 < lower * 71);
    f.total_weight = 0;
    assert_null(route_forward_backend(&f, 1));
}

static void edit(struct header_edits *e, struct header_edit *put, size_t n_put)
{
    *e = (struct header_edits){.put = put, .n_put = n_put};
}

static void test_edits_in_envoys_order(void **state)
{
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "h", 1, "*");
    struct header_edit by_table = {HEADER_SET, TEXT("x-who"), TEXT("table")},
                       by_route[] = {{HEADER_SET, TEXT("x-who"), TEXT("route")},
                                     {HEADER_APPEND, TEXT("x-list"), TEXT("2")},
                                     {HEADER_ADD_IF_ABSENT, TEXT("x-list"), TEXT("3")},
                                     {HEADER_ADD_IF_ABSENT, TEXT("x-new"), TEXT("4")},
                                     {HEADER_SET_IF_PRESENT, TEXT("x-none"), TEXT("5")},
                                     {HEADER_SET_IF_PRESENT, TEXT("x-gone"), TEXT("6")}};
    struct text gone = TEXT("x-gone");
    struct http_head head;
    (void)state;
    edit(&t->edits.request, &by_table, 1);
    edit(&h->routes[0].action.edits.request, by_route, ARRAY_SIZE(by_route));
    h->routes[0].action.edits.request.remove = &gone;
    h->routes[0].action.edits.request.n_remove = 1;
    finish(t);
    struct route_choice c = {.host = h, .route = h->routes};
    for (int specific = 0; specific < 2; specific++) {
        t->most_specific_edits_win = specific;
        set_head(&head, "GET", "a", "/");
        assert_int_equal(http_head_add(&head, TEXT("x-list"), TEXT("1")), 0);
        assert_int_equal(http_head_add(&head, TEXT("x-gone"), TEXT("1")), 0);
        assert_int_equal(route_edit(t, &c, ROUTE_REQUEST, &head), 0);
        struct text joined;
        assert_true(text_equal(http_head_get(&head, TEXT("x-who")),
                               specific ? TEXT("route") : TEXT("table")));
        assert_int_equal(http_head_joined(&head, TEXT("x-list"), &joined), 0);
        assert_true(text_equal(joined, TEXT("1, 2")));
        assert_true(text_equal(http_head_get(&head, TEXT("x-new")), TEXT("4")));
        assert_null(http_head_get(&head, TEXT("x-none")).data);
        assert_null(http_head_get(&head, TEXT("x-gone")).data);
        size_t before = head.n;
        assert_int_equal(route_edit(t, &c, ROUTE_RESPONSE, &head), 0);
        assert_int_equal(head.n, before);
        http_head_done(&head);
    }
    route_table_unref(t);
}

static void test_which_fields_may_be_edited(void **state)
{
    static const char *const no[] = {
        "host",    "Content-Length", "te",    "Trailer", "connection", "Transfer-Encoding",
        "upgrade", "keep-alive",     ":path", "",        "a b"};
    static const char *const yes[] = {"x-a", "Cookie", "hosts", "tea", "content-type", "via"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
        if (header_may_be_edited(text_of(no[i])))
            fail_msg("%s may be edited", no[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!header_may_be_edited(text_of(yes[i])))
            fail_msg("%s may not be edited", yes[i]);
    }
}

/* ---- What is refused, and where it is. */

static struct header_match bad_name = {.name = {"X-A", 3}, .kind = HEADER_PRESENT},
                           bad_regex = {.name = {"x-a", 3},
                                        .kind = HEADER_TEXT,
                                        .text = {.kind = TEXT_REGEX, .value = {"(", 1}}};
static struct route_backend a_backend = {.cluster = {"c", 1}, .weight = 1},
                            no_backend = {.weight = 1};
static struct header_edit bad_edit = {HEADER_SET, {"host", 4}, {"x", 1}},
                          bad_value = {HEADER_SET, {"x-a", 3}, {"a\nb", 3}};
static struct retry_policy bad_retry = {.retries_max = 101};
static struct fault bad_fault = {.abort_status = 700, .abort = {1, 100}};

static void forward(struct route *r)
{
    r->action = (struct route_action){
        .kind = ROUTE_FORWARD,
        .forward = {.backends = &a_backend, .n_backends = 1, .no_cluster_status = 503}};
}

static void test_refuses_with_the_fields_place(void **state)
{
    static const char *const expected[] = {
        "virtual_hosts[1].name: is empty",
        "virtual_hosts[1].domains: is empty",
        "virtual_hosts[1].domains[0]: is no domain, with or without a * at one end",
        "virtual_hosts[1].domains: www.a.org is there twice",
        "virtual_hosts[1].routes[1].match.headers[0].name: is no field name: X-A",
        "virtual_hosts[1].routes[1].match.headers[0].string_match.safe_regex.regex: missing ): (",
        "virtual_hosts[1].routes[1].match.path_separated_prefix: has less than two characters, "
        "ends "
        "in /, or has a ? or #",
        "virtual_hosts[1].routes[1].match.safe_regex.regex: missing ]: [a",
        "virtual_hosts[1].routes[1].route: has no cluster",
        "virtual_hosts[1].routes[1].route.cluster: there must be a name or cluster_header",
        "virtual_hosts[1].routes[1].route.prefix_rewrite: does not begin with /, or is no path",
        "virtual_hosts[1].routes[1].route.regex_rewrite.substitution: speaks of group 1, and the "
        "expression has 0",
        "virtual_hosts[1].routes[1].route.retry_policy.num_retries: is 101, at most 100 may be",
        "virtual_hosts[1].routes[1].request_headers_to_add[0].header.key: is no field that can be "
        "changed: host",
        "virtual_hosts[1].routes[1].request_headers_to_add[0].header.value: can't stand in a "
        "header",
        "virtual_hosts[1].routes[1].redirect.response_code: is no redirect: 200",
        "virtual_hosts[1].routes[1].direct_response.status: is 99; 200 to 599 would be right",
        "virtual_hosts[1].routes[1].typed_per_filter_config[envoy.filters.http.fault].abort."
        "http_status: is 700; 200 to 599 would be right",
        "virtual_hosts[1].routes[1].match.runtime_fraction.default_value.denominator: is 7; 100, "
        "10,000 or 1,000,000 would be right",
        "virtual_hosts[1].routes: there are 20001, at most 20000 may be",
        "virtual_hosts[1].response_headers_to_remove[0]: is no field that can be changed: "
        "transfer-encoding",
    };
    static struct text encoding = {"transfer-encoding", 17};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        struct route_table *t = new_table(2);
        char why[WHY_MAX] = "";
        SET_HOST(t, 0, "a", 1, "www.a.org");
        struct virtual_host *h = SET_HOST(t, 1, "b", 2, "b.org");
        struct route *r = &h->routes[1];
        struct route_forward *f = &r->action.forward;
        switch (i) {
        case 0:
            h->name = TEXT("");
            break;
        case 1:
            h->n_domains = 0;
            break;
        case 2:
            h->domains[0] = TEXT("a*b");
            break;
        case 3:
            h->domains[0] = TEXT("WWW.a.org");
            break;
        case 4:
            r->match.headers = &bad_name;
            r->match.n_headers = 1;
            break;
        case 5:
            r->match.headers = &bad_regex;
            r->match.n_headers = 1;
            break;
        case 6:
            r->match.path = (struct path_match){PATH_SEPARATED, false, TEXT("/a/"), NULL};
            break;
        case 7:
            r->match.path = (struct path_match){PATH_REGEX, false, TEXT("[a"), NULL};
            break;
        case 8:
            forward(r);
            f->n_backends = 0;
            break;
        case 9:
            forward(r);
            f->backends = &no_backend;
            break;
        case 10:
            forward(r);
            f->path = (struct path_rewrite){REWRITE_PREFIX, TEXT("x"), {0}, NULL};
            break;
        case 11:
            forward(r);
            f->path = (struct path_rewrite){REWRITE_REGEX, TEXT("\\1"), TEXT("a"), NULL};
            break;
        case 12:
            forward(r);
            f->retry = &bad_retry;
            break;
        case 13:
            edit(&r->action.edits.request, &bad_edit, 1);
            break;
        case 14:
            edit(&r->action.edits.request, &bad_value, 1);
            break;
        case 15:
            r->action = (struct route_action){.kind = ROUTE_REDIRECT, .redirect = {.status = 200}};
            break;
        case 16:
            r->action.respond.status = 99;
            break;
        case 17:
            r->action.fault = &bad_fault;
            break;
        case 18:
            r->match.some = true;
            r->match.fraction = (struct fraction){1, 7};
            break;
        case 19:
            h->n_routes = ROUTES_MAX + 1;
            break;
        case 20:
            h->edits.response = (struct header_edits){.remove = &encoding, .n_remove = 1};
            break;
        default:
            fail();
        }
        assert_int_equal(route_table_finish(t, why), -EINVAL);
        assert_string_equal(why, expected[i]);
        assert_false(t->finished);
        route_table_unref(t);
    }
}

static void test_a_full_arena_is_told(void **state)
{
    (void)state;
    size_t steps = 0;
    for (int e = -ENOMEM; e < 0; steps++) {
        struct route_table *t = new_table(1);
        char why[WHY_MAX] = "";
        SET_HOST(t, 0, "a", 8, "www.a.org", "*.b.org");
        t->arena.max = t->arena.taken + 8 * steps;
        e = route_table_finish(t, why);
        assert_int_equal(e, t->arena.full ? -ENOMEM : 0);
        assert_string_equal(why, t->arena.full ? "no memory" : "");
        route_table_unref(t);
    }
    assert_in_range(steps, 50, 1000);
}

/* ---- Hashes. */

static uint64_t hash_by(const struct hash_policy *policies, size_t n, const struct http_head *head)
{
    struct route_forward f = {.hashes = (struct hash_policy *)(uintptr_t)policies, .n_hashes = n};
    struct ip ip = {4, {10, 0, 0, 1}};
    struct route_hash h = route_hash_of(&f, head, &ip, 0xabc);
    return h.any ? h.hash : 0;
}

static void test_hash_policies(void **state)
{
    static const struct hash_policy header = {.source = HASH_HEADER, .name = {"x-user", 6}},
                                    cookie = {.source = HASH_COOKIE, .name = {"s", 1}},
                                    address = {.source = HASH_SOURCE_IP},
                                    query = {.source = HASH_QUERY, .name = {"q", 1}};
    uint64_t foo = hash64_xx(TEXT("foo"), 0), bar = hash64_xx(TEXT("bar"), 0),
             from = hash64_xx(TEXT("10.0.0.1"), 0);
    struct http_head head;
    (void)state;
    set_head(&head, "GET", "a", "/?x=1&q=bar&q=foo");
    assert_true(hash_by(&header, 1, &head) == 0); /* nothing there */
    assert_true(hash_by(&cookie, 1, &head) == 0);
    assert_true(hash_by(&query, 1, &head) == bar);
    assert_true(hash_by(&address, 1, &head) == from);
    assert_int_equal(http_head_add(&head, TEXT("x-user"), TEXT("foo")), 0);
    assert_true(hash_by(&header, 1, &head) == foo);
    assert_int_equal(http_head_add(&head, TEXT("x-user"), TEXT("bar")), 0);
    assert_true(hash_by(&header, 1, &head) == hash64_xx(TEXT("foo"), bar)); /* sorted, chained */
    assert_int_equal(http_head_add(&head, TEXT("cookie"), TEXT("ss=1; s=\"foo\"; s=2")), 0);
    assert_true(hash_by(&cookie, 1, &head) == foo);

    struct hash_policy both[] = {query, address};
    assert_true(hash_by(both, 2, &head) == ((bar << 1 | bar >> 63) ^ from));
    both[0].terminal = true;
    assert_true(hash_by(both, 2, &head) == bar);
    both[0] = query;
    both[0].name = TEXT("none");
    both[0].terminal = true; /* found nothing: the next one counts */
    assert_true(hash_by(both, 2, &head) == from);

    struct hash_policy make = {.source = HASH_COOKIE, .name = TEXT("new"), .make_cookie = true};
    struct route_forward f = {.hashes = &make, .n_hashes = 1};
    struct ip none = {0};
    struct route_hash h = route_hash_of(&f, &head, &none, 0xabc);
    assert_ptr_equal(h.make_cookie, &make);
    assert_string_equal(h.cookie, "0000000000000abc");
    assert_true(h.any && h.hash == hash64_xx(text_of(h.cookie), 0));
    http_head_done(&head);
}

/* ---- More lists of candidates than are followed at once. */

static void test_a_hundred_prefixes_in_one_another(void **state)
{
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "a", 100, "*");
    struct http_head head;
    char path[101];
    (void)state;
    memset(path, 'a', 100);
    path[0] = '/';
    path[100] = '\0';
    for (size_t i = 0; i < 100; i++)
        h->routes[i].match.path = (struct path_match){
            PATH_PREFIX, false, arena_text(&t->arena, (struct text){path, i + 1}), NULL};
    finish(t);
    for (size_t len = 1; len <= 100; len++) {
        path[len] = '\0';
        set_head(&head, "GET", "a", path);
        struct route_request request = {.head = &head};
        for (size_t first = 0; first < len; first += 7) {
            /* Those before it do not match. */
            for (size_t i = 0; i < 100; i++)
                h->routes[i].match.grpc = i < first;
            const struct route *found = NULL;
            assert_int_equal(virtual_host_route(h, &request, &found), 0);
            assert_ptr_equal(found, &h->routes[first]);
        }
        path[len] = 'a';
        http_head_done(&head);
    }
    route_table_unref(t);
}

/* ---- Cost. */

static double ns_per_request(size_t n_routes)
{
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "a", n_routes, "a.org");
    struct http_head heads[16];
    char path[64];
    for (size_t i = 0; i < n_routes; i++) {
        snprintf(path, sizeof path, "/service/%zu/items", i);
        h->routes[i].match.path = (struct path_match){i % 2 ? PATH_EXACT : PATH_SEPARATED, false,
                                                      arena_text(&t->arena, text_of(path)), NULL};
    }
    finish(t);
    for (size_t i = 0; i < 16; i++) {
        snprintf(path, sizeof path, "/service/%zu/items", n_routes * i / 16);
        set_head(&heads[i], "GET", "a.org", path);
    }
    struct timespec from, to;
    enum { N = 100000 };
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (size_t i = 0; i < N; i++) {
        struct route_request request = {.head = &heads[i % 16]};
        struct route_choice c;
        assert_int_equal(route_table_choose(t, &request, &c), 0);
        assert_int_equal(c.route - h->routes, n_routes * (i % 16) / 16);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    for (size_t i = 0; i < 16; i++)
        http_head_done(&heads[i]);
    route_table_unref(t);
    return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / N;
}

static void test_ten_thousand_routes_cost_what_few_do(void **state)
{
    (void)state;
    double few = ns_per_request(16), hundred = ns_per_request(100), many = ns_per_request(10000);
    print_message("ns per request: 16 routes %.0f, 100 routes %.0f, 10,000 routes %.0f\n", few,
                  hundred, many);
    assert_true(many < 20 * few); /* one by one it would be some 300 times */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_in_envoys_order),
        cmocka_unit_test(test_rewrites),
        cmocka_unit_test(test_locations),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_edits_in_envoys_order),
        cmocka_unit_test(test_which_fields_may_be_edited),
        cmocka_unit_test(test_refuses_with_the_fields_place),
        cmocka_unit_test(test_a_full_arena_is_told),
        cmocka_unit_test(test_hash_policies),
        cmocka_unit_test(test_a_hundred_prefixes_in_one_another),
        cmocka_unit_test(test_ten_thousand_routes_cost_what_few_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
