#include "shared/json/json_out.h"
#include "shared/json/json_tree.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/json/parsed.h"
#include "tests/unit/shared/json/random_json.h"

static void assert_print(const struct json *j, bool pretty, const char *expected)
{
    struct text_heap h;
    text_heap_init(&h, 1 << 20);
    json_print(j, pretty, &h);
    assert_string_equal(h.data, expected);
    text_heap_done(&h);
}

static void takes_what_is_json(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"null", "null"},
        {" true ", "true"},
        {"\t\r\nfalse", "false"},
        {"0", "0"},
        {"-0", "0"},
        {"-12", "-12"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9007199254740993", "9007199254740993"}, /* no double holds it */
        {"18446744073709551616", "1.8446744073709552e+19"},
        {"1.5", "1.5"},
        {"0.1", "0.1"},
        {"1E2", "100"},
        {"1e-7", "1e-07"},
        {"\"\"", "\"\""},
        {"\"a\\u0041\\n\\/\\\"\\\\\\b\\f\\r\\t\"", "\"aA\\n/\\\"\\\\\\b\\f\\r\\t\""},
        {"\"\\ud83d\\ude00\\u20ac\"", "\"\xf0\x9f\x98\x80\xe2\x82\xac\""},
        {"\"\x7f\"", "\"\\u007f\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[ 1 , [ ] , { } ]", "[1,[],{}]"},
        {"{\"a\":{\"b\":[true,null]},\"\":1}", "{\"a\":{\"b\":[true,null]},\"\":1}"},
        {"{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct json *j = parsed(cases[i].in);
        assert_print(j, false, cases[i].out);
        json_free(j);
    }
}

static void refuses_what_is_not(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        unsigned line;
        const char *why;
    } cases[] = {
        {"", 1, "the text ends where a value is expected"},
        {"  \n ", 2, "the text ends where a value is expected"},
        {"nul", 1, "a value is expected"},
        {"True", 1, "a value is expected"},
        {"'a'", 1, "a value is expected"},
        {"1 2", 1, "something follows after the value"},
        {"{}\n}", 2, "something follows after the value"},
        {"[1,]", 1, "a value is expected"},
        {"[1\n2]", 2, "a comma or ] is expected"},
        {"[", 1, "the text ends where a value is expected"},
        {"[1", 1, "a comma or ] is expected"},
        {"{\"a\":1\n,\n}", 3, "a name in quotes is expected"},
        {"{\"a\" 1}", 1, "a colon is expected after a name"},
        {"{a:1}", 1, "a name in quotes is expected"},
        {"{\"a\":1 \"b\":2}", 1, "a comma or } is expected"},
        {"{\"a\":\n1,\n\"b\":2,\n\"a\":3}", 4, "a: the name occurs twice"},
        {"{\"x\":[0,{\"b\":2,\n\"b\":3}]}", 2, "x[1].b: the name occurs twice"},
        {"01", 1, "a number has a form that JSON does not know"},
        {"-", 1, "a number has a form that JSON does not know"},
        {"1.", 1, "a number has a form that JSON does not know"},
        {".5", 1, "a value is expected"},
        {"+1", 1, "a value is expected"},
        {"1e", 1, "a number has a form that JSON does not know"},
        {"1e+", 1, "a number has a form that JSON does not know"},
        {"0x10", 1, "something follows after the value"},
        {"[\n1e999]", 2, "[0]: the number is out of range"},
        {"NaN", 1, "a value is expected"},
        {"\"a", 1, "a string does not end"},
        {"\"a\nb\"", 1, "a string holds a control character that is not escaped"},
        {"\"\\x\"", 1, "a string has an escape that JSON does not know"},
        {"\"\\u12g4\"", 1, "a string has an escape that JSON does not know"},
        {"\"\\u12", 1, "a string has an escape that JSON does not know"},
        {"\"\\", 1, "a string has an escape that JSON does not know"},
        {"\"a\\u0000b\"", 1, "a string holds a NUL"},
        {"{\"a\\u0000b\":1}", 1, "a string holds a NUL"},
        {"\"\\ud83d\"", 1, "a string has half a surrogate pair"},
        {"\"\\ude00\"", 1, "a string has half a surrogate pair"},
        {"\"\\ud83d\\u0041\"", 1, "a string has half a surrogate pair"},
        {"\"\xff\"", 1, "a string is not UTF-8"},
        {"\"\xc3\"", 1, "a string is not UTF-8"},
        {"/* no */ 1", 1, "a value is expected"},
        {"\xef\xbb\xbf{}", 1, "a value is expected"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct json_error e;
        struct json *j = (struct json *)&e;
        print_message("  %s\n", cases[i].in);
        assert_int_equal(json_parse(text_of(cases[i].in), NULL, &j, &e), -EINVAL);
        assert_ptr_equal(j, &e); /* untouched */
        assert_string_equal(e.text, cases[i].why);
        assert_int_equal(e.line, cases[i].line);
    }
    struct json_error e;
    struct json *j;
    assert_int_equal(json_parse((struct text){"1\0", 2}, NULL, &j, &e), -EINVAL);
    assert_int_equal(json_parse((struct text){"\"\0\"", 3}, NULL, &j, &e), -EINVAL);
}

static void has_limits(void **state)
{
    (void)state;
    const struct json_limits limits = {.bytes_max = 20, .nodes_max = 5, .depth_max = 3};
    static const struct {
        const char *in;
        int result;
    } cases[] = {
        {"[[[]]]", 0},
        {"[[[[]]]]", -E2BIG},
        {"[1,2,3,4]", 0},
        {"[1,2,3,4,5]", -E2BIG},
        {"[[],[],[],[]]", 0},
        {"\"123456789012345678\"", 0},
        {"\"1234567890123456789\"", -E2BIG},
    };
    struct json_error e;
    struct json *j;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("  %s\n", cases[i].in);
        assert_int_equal(json_parse(text_of(cases[i].in), &limits, &j, &e), cases[i].result);
        assert_int_equal(json_failed(&e), cases[i].result < 0);
        if (cases[i].result == 0)
            json_free(j);
    }
    /* Never deeper than the stack allows, whatever is asked for. */
    static char deep[2 * 100000];
    const struct json_limits deepest = {SIZE_MAX, SIZE_MAX, UINT32_MAX};
    memset(deep, '[', sizeof deep / 2);
    memset(deep + sizeof deep / 2, ']', sizeof deep / 2);
    assert_int_equal(json_parse((struct text){deep, sizeof deep}, &deepest, &j, &e), -E2BIG);
    struct text fits = {deep + sizeof deep / 2 - JSON_DEPTH_MAX, 2 * JSON_DEPTH_MAX};
    assert_int_equal(json_parse(fits, &deepest, &j, &e), 0);
    json_free(j);
    char digits[100];
    memset(digits, '1', sizeof digits);
    assert_int_equal(json_parse((struct text){digits, 64}, NULL, &j, &e), -E2BIG);
    assert_int_equal(json_parse((struct text){digits, 63}, NULL, &j, &e), 0);
    json_free(j);
}

static void finds_duplicates_among_many(void **state)
{
    (void)state;
    struct text_heap h;
    struct json_error e;
    struct json *j;

    for (int twice = 0; twice < 2; twice++) {
        text_heap_init(&h, 1 << 20);
        text_heap_puts(&h, "{");
        for (int i = 0; i < 5000; i++)
            text_heap_printf(&h, "\"name%d\":%d,\n", i, i);
        text_heap_printf(&h, "\"%s\":0}", twice ? "name17" : "other");
        assert_int_equal(json_parse((struct text){h.data, h.len}, NULL, &j, &e),
                         twice ? -EINVAL : 0);
        if (twice) {
            assert_string_equal(e.text, "name17: the name occurs twice");
            assert_int_equal(e.line, 5001);
        } else {
            json_free(j);
        }
        text_heap_done(&h);
    }
}

static void knows_lines(void **state)
{
    (void)state;
    struct json *j = parsed("{\n\"a\": 1,\n \"b\":\n  [ {},\n\n {\"c\":\n\"\\n\"} ],\r\n\"d\":2}");

    assert_int_equal(json_line(j), 1);
    assert_int_equal(json_line(json_get(j, "a")), 2);
    assert_int_equal(json_line(json_get(j, "b")), 4); /* of the value */
    assert_int_equal(json_line(json_get(j, "b[1]")), 6);
    assert_int_equal(json_line(json_get(j, "b[1].c")), 7);
    assert_int_equal(json_line(json_get(j, "d")), 8);
    json_free(j);
}

static void prints_and_reads_back(void **state)
{
    (void)state;
    struct rng rng;
    size_t different = 0;

    test_seed(&rng);
    for (int i = 0; i < 1500; i++) {
        struct json *tree = random_tree(&rng), *other = random_tree(&rng);
        different += !json_equal(tree, other);
        json_free(other);
        for (int pretty = 0; pretty < 2; pretty++) {
            struct text_heap h;
            struct json_error e;
            struct json *back = NULL;
            text_heap_init(&h, 1 << 24);
            json_print(tree, pretty, &h);
            assert_false(h.failed);
            if (json_parse((struct text){h.data, h.len}, NULL, &back, &e) < 0)
                fail_msg("line %u: %s\n%s", e.line, e.text, h.data);
            assert_true(json_equal(tree, back));
            json_free(back);
            text_heap_done(&h);
        }
        json_free(tree);
    }
    assert_true(different > 1400);
}

/* Damaged text is refused or is JSON: then it prints and reads back. */
static void takes_no_harm_from_damage(void **state)
{
    (void)state;
    struct rng rng;
    size_t n_good = 0, n_bad = 0;

    test_seed(&rng);
    for (int i = 0; i < 300; i++) {
        struct json *tree = random_tree(&rng), *j, *back;
        struct text_heap h, again;
        struct json_error e;
        text_heap_init(&h, 1 << 24);
        json_print(tree, true, &h);
        for (int k = 0; k < 40; k++) {
            char *copy = text_dup((struct text){h.data, h.len});
            assert_non_null(copy);
            size_t len = rng_below(&rng, 4) ? h.len : rng_below(&rng, h.len);
            for (size_t n = rng_below(&rng, 3); n > 0 && len > 0; n--)
                copy[rng_below(&rng, len)] = "{}[]\",:\\u0 -e.\n\x80"[rng_below(&rng, 17)];
            if (json_parse((struct text){copy, len}, NULL, &j, &e) < 0) {
                assert_true(json_failed(&e));
                n_bad++;
            } else {
                text_heap_init(&again, 1 << 24);
                json_print(j, false, &again);
                assert_int_equal(json_parse((struct text){again.data, again.len}, NULL, &back, &e),
                                 0);
                assert_true(json_equal(j, back));
                json_free(back);
                json_free(j);
                text_heap_done(&again);
                n_good++;
            }
            free(copy);
        }
        text_heap_done(&h);
        json_free(tree);
    }
    assert_true(n_good > 500 && n_bad > 500);
}

static void survives_no_memory(void **state)
{
    (void)state;
    struct text_heap text;

    text_heap_init(&text, 1 << 20);
    text_heap_puts(&text, "{\"many\":{");
    for (int i = 0; i < 40; i++)
        text_heap_printf(&text, "\"name %d\":\"value that needs some room %d\",", i, i);
    text_heap_puts(&text, "\"last\":[1,2.5,true,null]}}");
    for (long n = 0;; n++) {
        struct json_error e;
        struct json *j = NULL, *copy = NULL;
        alloc_fail_at(n);
        int r = json_parse((struct text){text.data, text.len}, NULL, &j, &e);
        if (r == 0)
            copy = json_copy(j);
        bool failed = alloc_failed();
        assert_int_equal(r, r == 0 ? 0 : -ENOMEM);
        assert_int_equal(json_failed(&e), r < 0);
        assert_int_equal(failed, !copy);
        if (copy)
            assert_true(json_equal(j, copy));
        json_free(j);
        json_free(copy);
        if (!failed) {
            assert_true(n > 100);
            break;
        }
    }
    text_heap_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_json),
        cmocka_unit_test(refuses_what_is_not),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(finds_duplicates_among_many),
        cmocka_unit_test(knows_lines),
        cmocka_unit_test(prints_and_reads_back),
        cmocka_unit_test(takes_no_harm_from_damage),
        cmocka_unit_test(survives_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
