#include "shared/json/json.h"
#include "tests/unit/shared/json/parsed.h"

#include <errno.h>

static const char manifest[] =
    "{ \"kind\": \"HTTPRoute\",\n"
    "  \"metadata\": {\"name\": \"shop\", \"annotations\": {\"weir.mesh/a.b\": \"x\", \"\": 1}},\n"
    "  \"spec\": {\n"
    "    \"rules\": [\n"
    "      {\"port\": 80, \"weight\": 1.5, \"half\": 0.5},\n"
    "      {\"port\": \"http\", \"on\": true, \"timeout\": \"1h30m\", \"bare\": \"10\"},\n"
    "      {\"port\": 70000, \"float\": 3.0, \"none\": null, \"huge\": 1e300, \"path\": "
    "{\"type\": \"Exact\"}}\n"
    "    ],\n"
    "    \"matrix\": [[1, 2], [3, \"\\u001b\\n\"]]\n"
    "  }}";

static struct json *root;

static int parse_manifest(void **state)
{
    (void)state;
    struct json_error e;
    return json_parse(TEXT(manifest), NULL, &root, &e);
}

static int free_manifest(void **state)
{
    (void)state;
    root = json_free(root);
    return 0;
}

static void assert_path(const char *path)
{
    char out[256];
    struct text_out o = TEXT_OUT(out);
    const struct json *j = json_get(root, path);

    assert_non_null(j);
    json_path(j, &o);
    assert_string_equal(out, path);
}

static void finds_by_path(void **state)
{
    (void)state;
    static const char *const present[] = {
        "kind", "metadata.name", "spec.rules", "spec.rules[2].path.type", "spec.matrix[1][0]", ""};
    static const char *const absent[] = {"nothing",
                                         "kind.more",
                                         "spec.rules[3]",
                                         "spec.rules.port",
                                         "spec.rules[x]",
                                         "spec.rules[",
                                         "spec.rules[-1]",
                                         "spec.rules[]",
                                         "metadata[0]",
                                         "metadata.annotations.weir.mesh/a.b",
                                         "spec.rules[99999999999999999999]"};
    for (size_t i = 0; i < ARRAY_SIZE(present); i++)
        assert_path(present[i]);
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        assert_null(json_get(root, absent[i]));
    assert_null(json_get(NULL, "a"));
    assert_ptr_equal(json_get(root, ""), root);

    const struct json *a = json_get(root, "metadata.annotations");
    assert_true(text_equal(json_text(json_member(a, TEXT("weir.mesh/a.b"))), TEXT("x")));
    char out[256];
    struct text_out o = TEXT_OUT(out);
    json_path(json_member(a, TEXT("weir.mesh/a.b")), &o);
    assert_string_equal(out, "metadata.annotations[\"weir.mesh/a.b\"]");
    o = TEXT_OUT(out);
    json_path(json_member(a, TEXT("")), &o);
    assert_string_equal(out, "metadata.annotations[\"\"]");
}

static void walks(void **state)
{
    (void)state;
    static const char *const names[] = {"kind", "metadata", "spec"};
    size_t n = 0;
    json_for_each (i, root) {
        assert_true(n < 3 && text_equal(json_name(i), text_of(names[n])));
        n++;
    }
    assert_int_equal(n, 3);
    assert_int_equal(json_count(root), 3);
    const struct json *rules = json_get(root, "spec.rules");
    n = 0;
    json_for_each (i, rules) {
        assert_ptr_equal(i, json_item(rules, n));
        assert_int_equal(json_name(i).len, 0);
        n++;
    }
    assert_int_equal(n, 3);
    assert_int_equal(json_count(json_get(root, "kind")), 0);
    assert_null(json_first(json_get(root, "kind")));
    assert_null(json_first(NULL));
    assert_int_equal(json_count(NULL), 0);
    assert_int_equal(json_line(NULL), 0);
    assert_int_equal(json_text(NULL).len, 0);
    assert_false(json_is(NULL, JSON_NULL));
}

static void reads_typed(void **state)
{
    (void)state;
    static const char *const types[] = {"PathPrefix", "Exact", NULL};
    struct json_error e = {0};
    struct text t = TEXT("");
    bool b = false;
    int64_t i = 0;
    double d = 0;
    uint64_t ms = 0;
    unsigned choice = 9;
    const struct json *node = NULL;

    assert_int_equal(json_read_text(root, "kind", &t, &e), 0);
    assert_true(text_equal(t, TEXT("HTTPRoute")));
    assert_int_equal(t.data[t.len], '\0');
    assert_int_equal(json_read_bool(root, "spec.rules[1].on", &b, &e), 0);
    assert_true(b);
    assert_int_equal(json_read_i64(root, "spec.rules[0].port", 1, 65535, &i, &e), 0);
    assert_int_equal(i, 80);
    assert_int_equal(json_read_i64(root, "spec.rules[2].float", 1, 65535, &i, &e), 0);
    assert_int_equal(i, 3);
    assert_int_equal(json_read_number(root, "spec.rules[0].weight", &d, &e), 0);
    assert_true(d > 1.49 && d < 1.51);
    assert_int_equal(json_read_number(root, "spec.rules[0].port", &d, &e), 0);
    assert_true(d > 79.9 && d < 80.1);
    assert_int_equal(json_read_duration_ms(root, "spec.rules[1].timeout", &ms, &e), 0);
    assert_int_equal(ms, 5400000);
    assert_int_equal(json_read_choice(root, "spec.rules[2].path.type", types, &choice, &e), 0);
    assert_int_equal(choice, 1);
    assert_int_equal(json_read_node(root, "spec.rules", JSON_ARRAY, &node, &e), 0);
    assert_ptr_equal(node, json_get(root, "spec.rules"));
    assert_int_equal(json_read_text(json_get(root, "kind"), "", &t, &e), 0); /* the node itself */
    assert_false(json_failed(&e));
}

static void optional_ones_may_be_absent(void **state)
{
    (void)state;
    static const char *const types[] = {"a", NULL};
    struct json_error e = {0};
    struct text t = TEXT("default");
    bool b = true;
    int64_t i = 7;
    double d = 7;
    uint64_t ms = 7;
    unsigned choice = 7;
    const struct json *node = root;
    const char *const paths[] = {"absent", "absent.below", "spec.rules[2].none"};

    for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
        const char *p = paths[k];
        assert_int_equal(json_opt_text(root, p, &t, &e), 0);
        assert_int_equal(json_opt_bool(root, p, &b, &e), 0);
        assert_int_equal(json_opt_i64(root, p, 0, 1, &i, &e), 0);
        assert_int_equal(json_opt_number(root, p, &d, &e), 0);
        assert_int_equal(json_opt_duration_ms(root, p, &ms, &e), 0);
        assert_int_equal(json_opt_choice(root, p, types, &choice, &e), 0);
        assert_int_equal(json_opt_node(root, p, JSON_OBJECT, &node, &e), 0);
    }
    assert_int_equal(json_opt_text(NULL, "a", &t, &e), 0);
    assert_true(text_equal(t, TEXT("default")) && b && i == 7 && d > 6.9 && ms == 7 &&
                choice == 7 && node == root);
    assert_false(json_failed(&e));
    assert_int_equal(json_opt_text(root, "metadata.name", &t, &e), 0);
    assert_true(text_equal(t, TEXT("shop")));
}

struct wrong {
    const char *path;
    unsigned line;
    const char *text;
};

static void assert_error(struct json_error *e, int r, const struct wrong *w)
{
    assert_int_equal(r, strstr(w->text, "is missing") ? -ENOENT : -EINVAL);
    assert_string_equal(e->text, w->text);
    assert_int_equal(e->line, w->line);
    *e = (struct json_error){0};
}

static void errors_say_where_and_why(void **state)
{
    (void)state;
    static const char *const types[] = {"PathPrefix", "RegularExpression", NULL};
    struct json_error e = {0};
    struct text t;
    bool b;
    int64_t i;
    double d;
    uint64_t ms;
    unsigned choice;
    const struct json *node, *rule = json_get(root, "spec.rules[1]");

    static const struct wrong texts[] = {
        {"spec.rules[0].port", 5, "spec.rules[0].port: 80 is not a string"},
        {"spec.rules[0].half", 5, "spec.rules[0].half: 0.5 is not a string"},
        {"spec.rules", 4, "spec.rules: an array is not a string"},
        {"spec.nothing.at.all", 1, "spec.nothing.at.all: is missing"},
        {"spec.rules[2].none", 1, "spec.rules[2].none: is missing"},
    };
    for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
        assert_error(&e, json_read_text(root, texts[k].path, &t, &e), &texts[k]);
    /* From a node further down the path is still the whole one. */
    assert_error(&e, json_read_text(rule, "name", &t, &e),
                 &(struct wrong){"", 6, "spec.rules[1].name: is missing"});
    assert_error(&e, json_read_text(json_get(root, "spec.matrix"), "[0][5]", &t, &e),
                 &(struct wrong){"", 9, "spec.matrix[0][5]: is missing"});
    assert_error(&e, json_read_text(NULL, "a.b", &t, &e),
                 &(struct wrong){"", 0, "a.b: is missing"});
    assert_error(&e, json_opt_bool(root, "kind", &b, &e),
                 &(struct wrong){"", 1, "kind: \"HTTPRoute\" is not true or false"});
    static const struct wrong integers[] = {
        {"spec.rules[1].port", 6, "spec.rules[1].port: \"http\" is not a whole number"},
        {"spec.rules[0].weight", 5, "spec.rules[0].weight: 1.5 is not a whole number"},
        {"spec.rules[2].huge", 7, "spec.rules[2].huge: 1e+300 is not a whole number"},
        {"spec.rules[2].port", 7, "spec.rules[2].port: 70000 is not in 1 to 65535"},
        {"spec.rules[1].on", 6, "spec.rules[1].on: true is not a whole number"},
    };
    for (size_t k = 0; k < ARRAY_SIZE(integers); k++)
        assert_error(&e, json_opt_i64(root, integers[k].path, 1, 65535, &i, &e), &integers[k]);
    assert_error(&e, json_opt_number(root, "kind", &d, &e),
                 &(struct wrong){"", 1, "kind: \"HTTPRoute\" is not a number"});
    assert_error(
        &e, json_opt_duration_ms(root, "spec.rules[1].bare", &ms, &e),
        &(struct wrong){"", 6, "spec.rules[1].bare: \"10\" is not a duration (500ms, 10s, 1h30m)"});
    assert_error(
        &e, json_opt_duration_ms(root, "spec.rules[0].port", &ms, &e),
        &(struct wrong){"", 5, "spec.rules[0].port: 80 is not a duration (500ms, 10s, 1h30m)"});
    assert_error(&e, json_opt_choice(root, "spec.rules[2].path.type", types, &choice, &e),
                 &(struct wrong){"", 7,
                                 "spec.rules[2].path.type: \"Exact\" is not one of PathPrefix, "
                                 "RegularExpression"});
    assert_error(&e, json_opt_node(root, "kind", JSON_OBJECT, &node, &e),
                 &(struct wrong){"", 1, "kind: \"HTTPRoute\" is not an object"});
    /* What came from outside is made visible. */
    assert_error(&e, json_opt_bool(root, "spec.matrix[1][1]", &b, &e),
                 &(struct wrong){"", 9, "spec.matrix[1][1]: \"\\u001b\\n\" is not true or false"});
    assert_error(&e, json_fail(&e, rule, "backend %s does not exist", "shop"),
                 &(struct wrong){"", 6, "spec.rules[1]: backend shop does not exist"});
    assert_error(&e, json_fail(&e, root, "odd"), &(struct wrong){"", 1, "odd"});
}

static void first_error_stays(void **state)
{
    (void)state;
    struct json_error e = {0};
    struct text t = TEXT("untouched");
    bool b;

    assert_int_equal(json_read_text(root, "first", &t, &e), -ENOENT);
    assert_int_equal(json_read_text(root, "second", &t, &e), -ENOENT);
    assert_int_equal(json_opt_bool(root, "kind", &b, &e), -EINVAL);
    assert_int_equal(json_fail(&e, root, "third"), -EINVAL);
    assert_string_equal(e.text, "first: is missing");
    assert_true(text_equal(t, TEXT("untouched")));
}

/* However long names and values are, an error ends within its bounds and says the reason. */
static void long_names_are_cut(void **state)
{
    (void)state;
    static char text[20000];
    struct text_out o = TEXT_OUT(text);
    struct json_error e;
    struct json *j;

    for (int i = 0; i < 60; i++)
        text_printf(&o, "{\"%0200d\":", 1);
    text_printf(&o, "\"%0500d\"", 1);
    for (int i = 0; i < 60; i++)
        text_puts(&o, "}");
    assert_int_equal(json_parse((struct text){text, o.len}, NULL, &j, &e), 0);
    const struct json *deep = j;
    while (json_first(deep))
        deep = json_first(deep);
    bool b;
    assert_int_equal(json_read_bool(deep, "", &b, &e), -EINVAL);
    assert_true(strlen(e.text) < JSON_ERROR_MAX);
    assert_non_null(strstr(e.text, "is not"));
    json_free(j);
}

static void compares(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
        {"{\"a\":1,\"c\":2}", "{\"a\":1,\"b\":2}", false},
        {"{\"a\":null}", "{\"b\":null}", false},
        {"[1,2]", "[2,1]", false},
        {"[1,2]", "[1]", false},
        {"1", "1.0", true},
        {"1", "1.5", false},
        {"1", "\"1\"", false},
        {"9007199254740993", "9007199254740992", false},
        {"true", "false", false},
        {"null", "null", true},
        {"null", "false", false},
        {"\"a\"", "\"b\"", false},
        {"[]", "{}", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct json *a = parsed(cases[i].a), *b = parsed(cases[i].b);
        print_message("  %s %s\n", cases[i].a, cases[i].b);
        assert_int_equal(json_equal(a, b), cases[i].equal);
        assert_int_equal(json_equal(b, a), cases[i].equal);
        assert_true(json_equal(a, a));
        json_free(a);
        json_free(b);
    }
    assert_true(json_equal(NULL, NULL));
    assert_false(json_equal(NULL, root) || json_equal(root, NULL));
}

static void copies_outlive_the_original(void **state)
{
    (void)state;
    struct json *original = parsed(manifest), *copy = json_copy(json_get(original, "spec.rules"));

    assert_non_null(copy);
    assert_true(json_equal(copy, json_get(original, "spec.rules")));
    json_free(original);
    assert_true(json_equal(copy, json_get(root, "spec.rules")));
    assert_int_equal(json_line(json_get(copy, "[2].path")), 7);
    struct json_error e = {0};
    bool b;
    assert_int_equal(json_opt_bool(copy, "[0].port", &b, &e), -EINVAL);
    assert_string_equal(e.text, "[0].port: 80 is not true or false");
    json_free(copy);
    assert_null(json_copy(NULL));
    assert_null(json_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_path),
        cmocka_unit_test(walks),
        cmocka_unit_test(reads_typed),
        cmocka_unit_test(optional_ones_may_be_absent),
        cmocka_unit_test(errors_say_where_and_why),
        cmocka_unit_test(first_error_stays),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(compares),
        cmocka_unit_test(copies_outlive_the_original),
    };
    return cmocka_run_group_tests(tests, parse_manifest, free_manifest);
}
