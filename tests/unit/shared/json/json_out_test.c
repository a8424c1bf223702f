#include "shared/json/json_out.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

#include <math.h>

static void write_all_kinds(struct text_heap *h, bool pretty)
{
    struct json_out o;

    json_out_init(&o, h, pretty);
    json_out_object(&o, NULL);
    json_out_string(&o, "name", "a \"b\"\n\xff");
    json_out_string(&o, "none", NULL);
    json_out_text(&o, "cut", (struct text){"abcdef", 3});
    json_out_u64(&o, "most", UINT64_MAX);
    json_out_i64(&o, "least", INT64_MIN);
    json_out_number(&o, "third", 1.0 / 3);
    json_out_number(&o, "tenth", 0.1);
    json_out_number(&o, "whole", 3);
    json_out_number(&o, "nan", NAN);
    json_out_number(&o, "infinite", -INFINITY);
    json_out_bool(&o, "yes", true);
    json_out_array(&o, "list");
    json_out_null(&o, NULL);
    json_out_object(&o, NULL);
    json_out_end(&o);
    json_out_array(&o, NULL);
    json_out_bool(&o, NULL, false);
    json_out_end(&o);
    json_out_end(&o);
    json_out_object(&o, "\"quoted\"");
    json_out_end(&o);
    json_out_end(&o);
}

static void writes_compact(void **state)
{
    (void)state;
    struct text_heap h;

    text_heap_init(&h, 10000);
    write_all_kinds(&h, false);
    assert_string_equal(
        h.data,
        "{\"name\":\"a \\\"b\\\"\\n\\ufffd\",\"none\":null,\"cut\":\"abc\","
        "\"most\":18446744073709551615,\"least\":-9223372036854775808,"
        "\"third\":0.3333333333333333,\"tenth\":0.1,\"whole\":3,\"nan\":null,\"infinite\":null,"
        "\"yes\":true,\"list\":[null,{},[false]],\"\\\"quoted\\\"\":{}}");
    text_heap_done(&h);
}

static void writes_pretty(void **state)
{
    (void)state;
    struct text_heap h;

    text_heap_init(&h, 10000);
    write_all_kinds(&h, true);
    assert_string_equal(h.data, "{\n"
                                "  \"name\": \"a \\\"b\\\"\\n\\ufffd\",\n"
                                "  \"none\": null,\n"
                                "  \"cut\": \"abc\",\n"
                                "  \"most\": 18446744073709551615,\n"
                                "  \"least\": -9223372036854775808,\n"
                                "  \"third\": 0.3333333333333333,\n"
                                "  \"tenth\": 0.1,\n"
                                "  \"whole\": 3,\n"
                                "  \"nan\": null,\n"
                                "  \"infinite\": null,\n"
                                "  \"yes\": true,\n"
                                "  \"list\": [\n"
                                "    null,\n"
                                "    {},\n"
                                "    [\n"
                                "      false\n"
                                "    ]\n"
                                "  ],\n"
                                "  \"\\\"quoted\\\"\": {}\n"
                                "}");
    text_heap_done(&h);
}

static void writes_trees(void **state)
{
    (void)state;
    struct text_heap h;
    struct json_out o;
    struct json_error e;
    struct json *tree;

    assert_int_equal(json_parse(TEXT("{\"a\":[1,{\"\":2.5}],\"b\":\"\\u0001\"}"), NULL, &tree, &e),
                     0);
    text_heap_init(&h, 10000);
    json_out_init(&o, &h, false);
    json_out_array(&o, NULL);
    json_out_tree(&o, NULL, tree);
    json_out_tree(&o, NULL, json_get(tree, "a"));
    json_out_tree(&o, NULL, NULL);
    json_out_object(&o, NULL);
    json_out_tree(&o, "b", json_get(tree, "b"));
    json_out_end(&o);
    json_out_end(&o);
    assert_string_equal(h.data, "[{\"a\":[1,{\"\":2.5}],\"b\":\"\\u0001\"},[1,{\"\":2.5}],null,"
                                "{\"b\":\"\\u0001\"}]");
    json_free(tree);
    text_heap_done(&h);
}

static void long_strings_arrive_whole(void **state)
{
    (void)state;
    static char value[5000];
    struct text_heap h;
    struct json_out o;
    struct json_error e;
    struct json *j;

    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)(i % 7 ? 'a' + i % 26 : '"');
    text_heap_init(&h, 20000);
    json_out_init(&o, &h, false);
    json_out_text(&o, NULL, (struct text){value, sizeof value});
    assert_int_equal(json_parse((struct text){h.data, h.len}, NULL, &j, &e), 0);
    assert_int_equal(json_text(j).len, sizeof value);
    assert_memory_equal(json_text(j).data, value, sizeof value);
    json_free(j);
    text_heap_done(&h);
}

static void is_bounded(void **state)
{
    (void)state;
    struct text_heap h;

    text_heap_init(&h, 100);
    write_all_kinds(&h, false);
    assert_true(h.failed);
    assert_true(h.len <= 100);
    text_heap_done(&h);
    for (long n = 0;; n++) {
        text_heap_init(&h, 10000);
        alloc_fail_at(n);
        write_all_kinds(&h, true);
        bool failed = alloc_failed();
        assert_int_equal(h.failed, failed);
        text_heap_done(&h);
        if (!failed) {
            assert_true(n > 0);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_compact), cmocka_unit_test(writes_pretty),
        cmocka_unit_test(writes_trees),   cmocka_unit_test(long_strings_arrive_whole),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
