/*
 * Without memory nobody knows what a request is: no later rule gets it, which could be a broader one, and no
 * fault is left out.
 */
#include "nodeproxy/http/request_route.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/routes.h"

enum { LONG = 800 }; /* two of them are joined on the heap */

static void set_long_head(struct http_head *head, const char *last)
{
    char value[LONG];
    memset(value, 'x', sizeof value);
    set_head(head, "GET", "shop", "/");
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(
            http_head_add(head, TEXT("x-a"), (struct text){value, sizeof value}), 0);
    assert_int_equal(http_head_add(head, TEXT("x-a"), text_of(last)), 0);
}

/* What fits the header is refused; all else is answered 200. */
static struct route_table *guarded(struct header_match *guard)
{
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "a", 2, "*");
    char why[WHY_MAX] = "";
    for (size_t i = 0; i < 2; i++)
        h->routes[i].match.path = (struct path_match){PATH_PREFIX, false, TEXT("/"), NULL};
    h->routes[0].match.headers = guard;
    h->routes[0].match.n_headers = 1;
    h->routes[0].action.respond.status = 403;
    if (route_table_finish(t, why) < 0)
        fail_msg("%s", why);
    return t;
}

/* Of one request: its answer, 0 if it has none, and why. */
static unsigned asked(struct route_table *t, const char *last, bool without_memory,
                      enum ending *ret_ending)
{
    struct http_head head;
    struct request_route r;
    struct rng rng;
    const char *why;
    rng_seed(&rng, 1);
    set_long_head(&head, last);
    const struct route_request request = {.head = &head};
    alloc_fail_at(without_memory ? 0 : 1000);
    *ret_ending = request_route_decide(&r, route_table_ref(t), &request, &rng, &why);
    assert_int_equal(alloc_failed(), without_memory);
    unsigned status = 0;
    if (*ret_ending == ENDING_NONE)
        status = r.choice.route->action.respond.status;
    request_route_done(&r);
    http_head_done(&head);
    return status;
}

static void a_guard_holds(void **state)
{
    struct header_match guard = {.name = {"x-a", 3},
                                 .kind = HEADER_TEXT,
                                 .text = {.kind = TEXT_SUFFIX, .value = {"secret", 6}}};
    enum ending ending;
    (void)state;
    for (unsigned invert = 0; invert < 2; invert++) {
        guard.invert = invert;
        struct route_table *t = guarded(&guard);
        assert_int_equal(asked(t, invert ? "public" : "secret", false, &ending), 403);
        assert_int_equal(asked(t, invert ? "secret" : "public", false, &ending), 200);
        assert_int_equal(asked(t, "secret", true, &ending), 0);
        assert_int_equal(ending, ENDING_NO_MEMORY);
        assert_int_equal(asked(t, "public", true, &ending), 0);
        assert_int_equal(ending, ENDING_NO_MEMORY);
        route_table_unref(t);
    }
}

static void a_fault_is_not_left_out(void **state)
{
    struct header_match meant = {.name = {"x-a", 3},
                                 .kind = HEADER_TEXT,
                                 .text = {.kind = TEXT_SUFFIX, .value = {"secret", 6}}};
    struct header_match none = {.name = {"x-none", 6}, .kind = HEADER_PRESENT};
    const struct fault fault = {
        .headers = &meant, .n_headers = 1, .abort_status = 418, .abort = {100, 100}};
    struct route_table *t = guarded(&none);
    enum ending ending;
    (void)state;
    t->hosts[0].fault = &fault;
    assert_int_equal(asked(t, "public", false, &ending), 200);
    assert_int_equal(asked(t, "secret", true, &ending), 0);
    assert_int_equal(ending, ENDING_NO_MEMORY);
    route_table_unref(t);
}

/* An expression asks for memory when it is first matched: C++'s, which a sanitizer has its own of. */
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
static void an_expression_that_is_not_known_to_match(void **state)
{
    struct header_match guard = {.name = {"x-a", 3},
                                 .kind = HEADER_TEXT,
                                 .text = {.kind = TEXT_REGEX, .value = {".*secret", 8}}};
    struct http_head head;
    const struct route_request request = {.head = &head};
    struct route_choice choice;
    (void)state;
    struct route_table *t = guarded(&guard);
    set_head(&head, "GET", "shop", "/");
    assert_int_equal(http_head_add(&head, TEXT("x-a"), TEXT("a secret")), 0);
    alloc_fail_at(0);
    int e = route_table_choose(t, &request, &choice);
    assert_true(alloc_failed());
    assert_int_equal(e, -ENOMEM);
    assert_int_equal(route_table_choose(t, &request, &choice), 0);
    assert_int_equal(choice.route->action.respond.status, 403);
    http_head_done(&head);
    route_table_unref(t);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guard_holds),
        cmocka_unit_test(a_fault_is_not_left_out),
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
        cmocka_unit_test(an_expression_that_is_not_known_to_match),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
