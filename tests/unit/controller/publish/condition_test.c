/* What is said on a policy, and that nobody else's words are touched. */
#include "controller/publish/condition.h"
#include "tests/unit/shared/json/parsed.h"
#include <errno.h>
#include <stdlib.h>

static struct problems list_of(enum problem_severity severity, const char *object,
                               const char *field, const char *message)
{
    struct problems p;
    problems_init(&p);
    problems_add(&p, severity, "kubernetes", 0, object, field, "%s", message);
    return p;
}

static void judge(const struct problem_index *x, const char *object, int64_t generation,
                  struct condition *ret)
{
    condition_judge(problem_index_get(x, object), generation, ret);
}

static void what_is_judged(void **state)
{
    struct problems warnings =
        list_of(PROBLEM_WARNING, "AuthorizationPolicy shop/a", "spec.rules[0]", "paths ...");
    struct problems errors =
        list_of(PROBLEM_ERROR, "AuthorizationPolicy shop/b", "spec.action", "'NO' is no action");
    struct problem_index all = {0};
    struct condition c;
    (void)state;
    problems_add(&warnings, PROBLEM_WARNING, "", 0, "AuthorizationPolicy shop/a", "", "two");
    assert_int_equal(problem_index_add(&all, &warnings), 0);
    assert_int_equal(problem_index_add(&all, &errors), 0);
    assert_int_equal(problem_index_sort(&all), 0);
    judge(&all, "AuthorizationPolicy shop/a", 3, &c);
    assert_true(c.accepted);
    assert_string_equal(c.reason, "AppliedInPart");
    assert_string_equal(c.message, "spec.rules[0]: paths ...; two");
    assert_int_equal(c.generation, 3);
    judge(&all, "AuthorizationPolicy shop/b", 1, &c);
    assert_false(c.accepted);
    assert_string_equal(c.reason, "Invalid");
    assert_string_equal(c.message, "spec.action: 'NO' is no action");
    judge(&all, "AuthorizationPolicy shop/c", 1, &c);
    assert_true(c.accepted);
    assert_string_equal(c.reason, "Accepted");
    problem_index_done(&all);
    problems_done(&warnings);
    problems_done(&errors);
}

/* Applies the patch as a server does (RFC 7396, as far as it goes here): the list is the new one. */
static char *patched(const char *object, const struct condition *c)
{
    struct json *tree = parsed(object);
    struct text_heap body;
    assert_int_equal(condition_patch(tree, CONDITION_TYPE, c, 1767225600000, &body), 0);
    json_free(tree);
    return body.data;
}

static const struct condition good = {true, "Accepted", "in force", 2};

static void others_entries_stay_as_they_are(void **state)
{
    (void)state;
    char *body = patched("{\"metadata\":{\"resourceVersion\":\"7 &\",\"generation\":2},\"status\":{"
                         "\"conditions\":[{\"type\":\"ZtunnelAccepted\",\"x\":[1,null]},"
                         "{\"type\":\"Other\",\"status\":\"False\"}]}}",
                         &good);
    assert_string_equal(
        body, "{\"metadata\":{\"resourceVersion\":\"7 &\"},\"status\":{\"conditions\":["
              "{\"type\":\"ZtunnelAccepted\",\"x\":[1,null]},{\"type\":\"Other\",\"status\":"
              "\"False\"},{\"type\":\"weir.mesh/Accepted\",\"status\":\"True\",\"reason\":"
              "\"Accepted\",\"message\":\"in force\",\"observedGeneration\":2,"
              "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}}");
    free(body);
}

#define OURS(status, generation, time)                                                             \
    "{\"metadata\":{\"resourceVersion\":\"7\",\"generation\":2},\"status\":{\"conditions\":["      \
    "{\"type\":\"A\"},{\"type\":\"weir.mesh/Accepted\",\"status\":\"" status                       \
    "\",\"reason\":\"Accepted\",\"message\":\"in force\",\"observedGeneration\":" generation       \
    "," time "\"y\":1},{\"type\":\"B\"}]}}"
#define TIME "\"lastTransitionTime\":\"2020-01-01T00:00:00Z\","

static void since_when_stays_while_it_stays(void **state)
{
    static const struct {
        const char *object;
        bool kept;
    } cases[] = {{OURS("True", "1", TIME), true},
                 {OURS("False", "2", TIME), false},
                 {OURS("True", "2", ""), false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *body = patched(cases[i].object, &good);
        assert_true((strstr(body, "2020-01-01") != NULL) == cases[i].kept);
        assert_true((strstr(body, "2026-01-01") != NULL) != cases[i].kept);
        assert_non_null(strstr(body, "[{\"type\":\"A\"},{\"type\":\"weir.mesh/Accepted\""));
        assert_non_null(strstr(body, "},{\"type\":\"B\"}]"));
        free(body);
    }
}

static void what_is_there_is_recognised(void **state)
{
    static const struct {
        const char *object;
        bool same;
    } cases[] = {{OURS("True", "2", TIME), true},
                 {OURS("True", "\"2\"", TIME), true}, /* as Istio's proto writes it */
                 {OURS("True", "1", TIME), false},
                 {OURS("False", "2", TIME), false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *tree = parsed(cases[i].object);
        assert_true((condition_there(tree, CONDITION_TYPE) == condition_number(&good)) == cases[i].same);
        assert_int_equal(condition_generation(tree), 2);
        json_free(tree);
    }
    struct json *none = parsed("{\"metadata\":{\"name\":\"p\"}}");
    assert_true(condition_there(none, CONDITION_TYPE) == 0);
    assert_int_equal(condition_generation(none), 0);
    json_free(none);
}

static void objects_that_are_not_written(void **state)
{
    static const struct {
        const char *object;
        int wanted;
    } cases[] = {
        {"{}", -EINVAL},
        {"{\"metadata\":{\"resourceVersion\":\"\"}}", -EINVAL},
        {"{\"metadata\":{\"resourceVersion\":\"1\"},\"status\":{\"conditions\":{}}}", -EINVAL},
        {"{\"metadata\":{\"resourceVersion\":\"1\"},\"status\":{\"conditions\":null}}", 0},
        {"{\"metadata\":{\"resourceVersion\":\"1\"},\"status\":null}", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *tree = parsed(cases[i].object);
        struct text_heap body = {0};
        assert_int_equal(condition_patch(tree, CONDITION_TYPE, &good, 0, &body), cases[i].wanted);
        text_heap_done(&body);
        json_free(tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_judged),
        cmocka_unit_test(others_entries_stay_as_they_are),
        cmocka_unit_test(since_when_stays_while_it_stays),
        cmocka_unit_test(what_is_there_is_recognised),
        cmocka_unit_test(objects_that_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
