/* Route tables in the directory: put, replaced and removed under readers that keep theirs. */
#include "shared/mesh/directory.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/routes.h"

#include <errno.h>

static struct directory *d;

static int set_up(void **state)
{
    (void)state;
    directory_thread_register();
    return directory_new(&d);
}

static int tear_down(void **state)
{
    (void)state;
    d = directory_free(d);
    directory_thread_unregister();
    return 0;
}

/* What was replaced goes now. */
static void let_go(void)
{
    directory_thread_offline();
    directory_thread_online();
}

/* Its one route answers this status. */
static struct route_table *table(const char *name, uint16_t status)
{
    char why[WHY_MAX];
    struct route_table *t = new_table(1);
    struct virtual_host *h = SET_HOST(t, 0, "all", 1, "*");
    t->name = arena_text(&t->arena, text_of(name));
    h->routes[0].action.respond.status = status;
    h->routes[0].match.path = (struct path_match){.kind = PATH_PREFIX, .value = TEXT("/")};
    assert_int_equal(route_table_finish(t, why), 0);
    return t;
}

/* What a request is answered by this table; 0: none matches. */
static unsigned answer_of(const struct route_table *t)
{
    struct http_head head;
    struct route_choice choice;
    const struct route_request request = {.head = &head};
    set_head(&head, "GET", "cart", "/x");
    int r = route_table_choose(t, &request, &choice);
    http_head_done(&head);
    return r < 0 ? 0 : choice.route->action.respond.status;
}

/* What the directory has by this name; 0: nothing. */
static unsigned answer_for(const char *name)
{
    struct route_table *t = directory_routes(d, text_of(name));
    unsigned status = t ? answer_of(t) : 0;
    assert_null(route_table_unref(t));
    return status;
}

static size_t count(void)
{
    struct directory_counts counts;
    directory_counts(d, &counts);
    return counts.routes;
}

static bool visit(const struct route_table *t, void *arg)
{
    assert_true(t->finished);
    return ++*(unsigned *)arg < 2;
}

static void test_names(void **state)
{
    unsigned visited = 0;
    (void)state;
    assert_int_equal(answer_for("outbound|80||cart"), 0);
    assert_int_equal(directory_put_routes(d, table("outbound|80||cart", 201)), 0);
    assert_int_equal(directory_put_routes(d, table("outbound|80||cart@bank", 202)), 0);
    assert_int_equal(directory_put_routes(d, table("outbound|81||cart", 203)), 0);
    assert_int_equal(answer_for("outbound|80||cart"), 201);
    assert_int_equal(answer_for("outbound|80||cart@bank"), 202);
    assert_int_equal(answer_for("outbound|80||car"), 0);
    assert_int_equal(count(), 3);
    directory_each_routes(d, visit, &visited);
    assert_int_equal(visited, 2); /* and stopped */
    assert_int_equal(directory_put_routes(d, table("outbound|80||cart", 204)), 0);
    assert_int_equal(answer_for("outbound|80||cart"), 204);
    assert_int_equal(count(), 3);
    assert_true(directory_remove_routes(d, TEXT("outbound|80||cart")));
    assert_false(directory_remove_routes(d, TEXT("outbound|80||cart")));
    assert_int_equal(answer_for("outbound|80||cart"), 0);
    assert_int_equal(answer_for("outbound|80||cart@bank"), 202);
    assert_int_equal(count(), 2);
    assert_int_equal(directory_put_routes(d, table("", 200)), -EINVAL);
    assert_int_equal(count(), 2);
}

/* An exchange waits; meanwhile its table is replaced, or taken away, or the directory ends. */
static void test_references(void **state)
{
    (void)state;
    assert_int_equal(directory_put_routes(d, table("a", 201)), 0);
    struct route_table *first = directory_routes(d, TEXT("a"));
    assert_int_equal(directory_put_routes(d, table("a", 202)), 0);
    struct route_table *second = directory_routes(d, TEXT("a"));
    assert_true(directory_remove_routes(d, TEXT("a")));
    assert_int_equal(directory_put_routes(d, table("b", 203)), 0);
    struct route_table *third = route_table_ref(directory_routes(d, TEXT("b")));
    let_go();
    d = directory_free(d);
    assert_int_equal(answer_of(first), 201);
    assert_int_equal(answer_of(second), 202);
    route_table_unref(first);
    route_table_unref(second);
    route_table_unref(third);
    assert_int_equal(answer_of(third), 203);
    assert_int_equal(atomic_load(&third->refs), 1);
    route_table_unref(third);
    assert_null(route_table_ref(NULL));
}

/* Living connections are not decided by routes, so that nothing is decided again for them. */
static void test_versions_stay(void **state)
{
    (void)state;
    uint64_t version = directory_version(d), policies = directory_policy_version(d);
    assert_int_equal(directory_put_routes(d, table("a", 201)), 0);
    assert_true(directory_remove_routes(d, TEXT("a")));
    assert_int_equal(directory_version(d), version);
    assert_int_equal(directory_policy_version(d), policies);
}

/* Without memory the old one stays. */
static void test_no_memory(void **state)
{
    bool failed = true;
    long points = 0;
    (void)state;
    assert_int_equal(directory_put_routes(d, table("old", 201)), 0);
    for (; failed; points++) {
        struct route_table *again = table("old", 202), *new = table("new", 203);
        alloc_fail_at(points);
        int r = directory_put_routes(d, again);
        bool here = alloc_failed();
        assert_int_equal(r, here ? -ENOMEM : 0);
        assert_int_equal(answer_for("old"), here ? 201 : 202);
        alloc_fail_at(points);
        r = directory_put_routes(d, new);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        assert_int_equal(answer_for("new"), failed ? 0 : 203);
        assert_int_equal(directory_put_routes(d, table("old", 201)), 0);
        let_go();
    }
    assert_int_equal(points, 3); /* what frees the table later, and the place of a new one */
    assert_int_equal(count(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_references, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_versions_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
