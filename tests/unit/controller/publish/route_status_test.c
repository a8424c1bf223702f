/* What is said in a route's status for each of its parents, and that other controllers' entries stay. */
#include "controller/publish/object_status.h"
#include "tests/unit/controller/publish/mesh_fixture.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/json/parsed.h"
#include <errno.h>

#define ROUTE "HTTPRoute shop/r"
static const char mesh[] =
    "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: "
    "[{name: w, "
    "port: 80}]}}\n---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: "
    "shop}, "
    "spec: {parentRefs: [{group: '', kind: Service, name: cart, port: 80}, {name: edge}, {group: "
    "'', "
    "kind: Service, name: no, namespace: bank, sectionName: w}], rules: [{backendRefs: [{name: "
    "cart, "
    "port: 80}]}, {matches: [{path: {value: /x}}], hedging: {}}]}}";

static int set_up(void **state)
{
    (void)state;
    return mesh_up(mesh);
}

static int judge(const char *name, int64_t generation, const struct problems *problems,
                 struct object_status *ret)
{
    const struct object_judged who = {OBJECT_HTTP_ROUTE, "shop", name, generation, NULL};
    struct problem_index told = {0};
    *ret = (struct object_status){0};
    int err = problems ? problem_index_add(&told, problems) : 0;
    if (err == 0)
        err = problem_index_sort(&told);
    if (err == 0)
        err = object_status_judge(&who, &told, &view, ret);
    problem_index_done(&told);
    return err;
}

/* The patch for an object with this status. */
static char *patched(const struct object_status *s, const char *status)
{
    char object[8192];
    struct text_heap body;
    snprintf(object, sizeof object,
             "{\"metadata\":{\"resourceVersion\":\"7\",\"generation\":3},\"status\":%s}", status);
    struct json *tree = parsed(object);
    assert_int_equal(object_status_patch(s, tree, 1767225600000, &body), 0);
    json_free(tree);
    return body.data;
}

#define THEIRS                                                                                     \
    "{\"parentRef\":{\"name\":\"edge\"},\"controllerName\":\"other.io/"                            \
    "c\",\"conditions\":[{\"x\":1}]}"
#define SINCE ",\"observedGeneration\":3,\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}"
#define NAME  "\"controllerName\":\"weir.mesh/controller\",\"conditions\":["
#define ACCEPTED                                                                                   \
    "{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"Accepted\",\"message\":\"told to "    \
    "the "                                                                                         \
    "node proxies\""
#define RESOLVED                                                                                   \
    "{\"type\":\"ResolvedRefs\",\"status\":\"True\",\"reason\":\"ResolvedRefs\",\"message\":"      \
    "\"all "                                                                                       \
    "backends are there\"" SINCE
#define FIRST                                                                                      \
    "{\"parentRef\":{\"group\":\"\",\"kind\":\"Service\",\"name\":\"cart\",\"port\":80}," NAME     \
        ACCEPTED SINCE "," RESOLVED                                                                \
    ",{\"type\":\"PartiallyInvalid\",\"status\":\"True\",\"reason\":\"UnsupportedValue\","         \
    "\"message\":\"Dropped Rule, what it takes is refused: spec.rules[1].hedging: is "  \
    "not "                                                                                         \
    "supported\"" SINCE "]}"
#define SECOND                                                                                     \
    "{\"parentRef\":{\"group\":\"\",\"kind\":\"Service\",\"namespace\":\"bank\",\"name\":\"no\","  \
    "\"sectionName\":\"w\"}," NAME                                                                 \
    "{\"type\":\"Accepted\",\"status\":\"False\",\"reason\":\"NoMatchingParent\",\"message\":"     \
    "\"spec.parentRefs[2]: there is no such Service\"" SINCE "," RESOLVED "]}"

static void each_service_gets_an_entry(void **state)
{
    struct object_status s;
    (void)state;
    assert_int_equal(judge("r", 3, NULL, &s), 0);
    char *body = patched(&s, "null");
    assert_string_equal(body,
                        "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"parents\":[" FIRST
                        "," SECOND "]}}");
    free(body);
    body = patched(&s, "{\"parents\":[" SECOND "," THEIRS "]}");
    assert_string_equal(body,
                        "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"parents\":[" THEIRS
                        "," FIRST "," SECOND "]}}");
    free(body);
    object_status_done(&s);
}

/* A table that can't be made of its routes refuses what they take: of its parent, and no other's. */
static void a_refused_table_is_told(void **state)
{
    static const struct {
        const char *object, *field;
        enum problem_severity severity;
        bool accepted;
    } cases[] = {{"Service shop/cart", "spec.ports[80]", PROBLEM_ERROR, false},
                 {"Service shop/cart", "spec.ports[80]", PROBLEM_WARNING, true},
                 {"Service shop/cart", "spec.ports[81]", PROBLEM_ERROR, true},
                 {"Service shop/cart", "spec.ports[80]@bank", PROBLEM_ERROR, true},
                 {"Service shop/other", "spec.ports[80]", PROBLEM_ERROR, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct problems problems;
        struct object_status s;
        problems_init(&problems);
        problems_add(&problems, cases[i].severity, "", 0, cases[i].object, cases[i].field,
                     "too much");
        assert_int_equal(judge("r", 3, &problems, &s), 0);
        assert_int_equal(s.route.n, 2);
        assert_int_equal(s.parents[0].accepted.holds, cases[i].accepted);
        assert_int_equal(s.parents[0].partial.holds, cases[i].accepted);
        if (!cases[i].accepted) {
            assert_string_equal(s.parents[0].accepted.reason, "UnsupportedValue");
            assert_string_equal(s.parents[0].accepted.message, "too much");
        }
        assert_string_equal(s.parents[1].accepted.reason, "NoMatchingParent");
        object_status_done(&s);
        problems_done(&problems);
    }
}

/* Of each condition by itself. */
static void since_when_stays_while_it_stays(void **state)
{
    struct object_status s;
    (void)state;
    assert_int_equal(judge("r", 3, NULL, &s), 0);
    char *body = patched(
        &s,
        "{\"parents\":[{\"parentRef\":{\"group\":\"\",\"kind\":\"Service\",\"name\":\"cart\","
        "\"port\":"
        "80}," NAME "{\"type\":\"Accepted\",\"status\":\"True\",\"lastTransitionTime\":\"then\"},"
        "{\"type\":\"ResolvedRefs\",\"status\":\"False\",\"lastTransitionTime\":\"never\"}]},"
        "{\"parentRef\":{\"group\":\"\",\"kind\":\"Service\",\"name\":\"cart\",\"port\":81}," NAME
        "{\"type\":\"PartiallyInvalid\",\"status\":\"True\",\"lastTransitionTime\":\"never\"}]}]}");
    assert_non_null(
        strstr(body, ACCEPTED ",\"observedGeneration\":3,\"lastTransitionTime\":\"then\"}"));
    assert_null(strstr(body, "never"));
    assert_null(strstr(body, "81"));
    free(body);
    object_status_done(&s);
}

static uint64_t there(const char *parents)
{
    char object[8192];
    snprintf(object, sizeof object, "{\"status\":{\"parents\":[%s]}}", parents);
    struct json *tree = parsed(object);
    uint64_t number = object_status_there(OBJECT_HTTP_ROUTE, tree);
    json_free(tree);
    return number;
}

static void what_is_there_is_recognised(void **state)
{
    struct object_status s;
    (void)state;
    assert_int_equal(judge("r", 3, NULL, &s), 0);
    uint64_t number = object_status_number(&s);
    assert_true(number != 0);
    assert_true(there(FIRST "," SECOND) == number);
    assert_true(there(THEIRS "," FIRST "," THEIRS "," SECOND) == number);
    assert_true(there(FIRST) != number);
    assert_true(there(SECOND "," FIRST) != number);
    assert_true(there(FIRST "," SECOND "," SECOND) != number);
    assert_true(there("") == 0);
    assert_true(there(THEIRS) == 0);
    object_status_done(&s);
    assert_int_equal(judge("r", 4, NULL, &s), 0);
    assert_true(object_status_number(&s) != number);
    object_status_done(&s);
}

/* Nothing of ours is to be there: entries of before go. */
static void a_route_of_no_service(void **state)
{
    struct object_status s;
    (void)state;
    fixture_load(&store,
                 "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: g, "
                 "namespace: shop}, spec: {parentRefs: [{name: edge}]}}");
    assert_int_equal(judge("g", 3, NULL, &s), 0);
    assert_true(object_status_number(&s) == 0);
    char *body = patched(&s, "{\"parents\":[" FIRST "," THEIRS "]}");
    assert_string_equal(
        body, "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"parents\":[" THEIRS "]}}");
    free(body);
    object_status_done(&s);
    assert_int_equal(judge("nobody", 3, NULL, &s), 0); /* never readable */
    assert_true(object_status_number(&s) == 0);
    object_status_done(&s);
}

/* What is in force is what was readable before, and the new text is not accepted. */
static void what_cannot_be_read(void **state)
{
    struct object_status s;
    struct problems problems;
    (void)state;
    problems_init(&problems);
    problems_add(&problems, PROBLEM_ERROR, "", 0, ROUTE, "spec.rules", "must be a list");
    assert_int_equal(judge("r", 3, &problems, &s), 0);
    assert_int_equal(s.route.n, 2);
    for (size_t i = 0; i < s.route.n; i++) {
        assert_false(s.parents[i].accepted.holds);
        assert_false(s.parents[i].partial.holds);
        assert_string_equal(s.parents[i].accepted.reason, "UnsupportedValue");
        assert_string_equal(s.parents[i].accepted.message, "spec.rules: must be a list");
    }
    object_status_done(&s);
    problems_done(&problems);
}

static void objects_that_are_not_written(void **state)
{
    static const struct {
        const char *object;
        int wanted;
    } cases[] = {
        {"{}", -EINVAL},
        {"{\"metadata\":{\"resourceVersion\":\"1\"},\"status\":{\"parents\":{}}}", -EINVAL},
        {"{\"metadata\":{\"resourceVersion\":\"1\"},\"status\":{\"parents\":null}}", 0},
    };
    struct object_status s;
    struct text_heap body;
    (void)state;
    assert_int_equal(judge("r", 3, NULL, &s), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *tree = parsed(cases[i].object);
        body = (struct text_heap){0};
        assert_int_equal(object_status_patch(&s, tree, 0, &body), cases[i].wanted);
        text_heap_done(&body);
        json_free(tree);
    }
    /* 30 of others and our two are all that may be there. */
    for (unsigned others = 30; others <= 31; others++) {
        char object[8192];
        struct text_out out = TEXT_OUT(object);
        text_puts(&out,
                  "{\"metadata\":{\"resourceVersion\":\"1\"},\"status\":{\"parents\":[" THEIRS);
        for (unsigned i = 1; i < others; i++)
            text_puts(&out, "," THEIRS);
        text_puts(&out, "]}}");
        struct json *tree = parsed(object);
        body = (struct text_heap){0};
        assert_int_equal(object_status_patch(&s, tree, 0, &body), others == 30 ? 0 : -E2BIG);
        text_heap_done(&body);
        json_free(tree);
    }
    object_status_done(&s);
}

static void no_memory(void **state)
{
    bool failed = true;
    long points = 0;
    (void)state;
    struct json *tree = parsed("{\"metadata\":{\"resourceVersion\":\"1\"}}");
    for (; failed; points++) {
        struct object_status s;
        struct text_heap body = {0};
        alloc_fail_at(points);
        int err = judge("r", 3, NULL, &s);
        if (err == 0)
            err = object_status_patch(&s, tree, 0, &body);
        failed = alloc_failed();
        assert_int_equal(err, failed ? -ENOMEM : 0);
        if (err == 0)
            text_heap_done(&body);
        object_status_done(&s);
    }
    assert_true(points > 2);
    json_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_refused_table_is_told, set_up, mesh_down),
        cmocka_unit_test_setup_teardown(each_service_gets_an_entry, set_up, mesh_down),
        cmocka_unit_test_setup_teardown(since_when_stays_while_it_stays, set_up, mesh_down),
        cmocka_unit_test_setup_teardown(what_is_there_is_recognised, set_up, mesh_down),
        cmocka_unit_test_setup_teardown(a_route_of_no_service, set_up, mesh_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read, set_up, mesh_down),
        cmocka_unit_test_setup_teardown(objects_that_are_not_written, set_up, mesh_down),
        cmocka_unit_test_setup_teardown(no_memory, set_up, mesh_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
