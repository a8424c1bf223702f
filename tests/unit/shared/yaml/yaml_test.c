#include "shared/json/json_out.h"
#include "shared/yaml/yaml.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/json/random_json.h"

static struct yaml_documents docs;

static void read_all(const char *s)
{
    yaml_documents_done(&docs);
    assert_int_equal(yaml_parse(text_of(s), NULL, &docs), 0);
}

static int forget(void **state)
{
    (void)state;
    yaml_documents_done(&docs);
    return 0;
}

/* The only document, as compact JSON. */
static void assert_yaml(const char *yaml, const char *json)
{
    struct text_heap h;

    read_all(yaml);
    if (docs.n != 1 || docs.n_failed > 0)
        fail_msg("%s: %zu documents; line %u: %s", yaml, docs.n,
                 docs.n ? docs.items[0].error.line : 0, docs.n ? docs.items[0].error.text : "");
    text_heap_init(&h, 1 << 20);
    json_print(docs.items[0].root, false, &h);
    assert_string_equal(h.data, json);
    text_heap_done(&h);
}

static void assert_bad(const char *yaml, unsigned line, const char *why)
{
    read_all(yaml);
    print_message("  %s\n", yaml);
    assert_int_equal(docs.n, 1);
    assert_int_equal(docs.n_failed, 1);
    assert_null(docs.items[0].root);
    if (!strstr(docs.items[0].error.text, why))
        fail_msg("\"%s\" does not say \"%s\"", docs.items[0].error.text, why);
    assert_int_equal(docs.items[0].error.line, line);
}

static void resolves_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* NULL: empty, so no document */
    } cases[] = {
        {"null", NULL},
        {"~", NULL},
        {"[~, null, Null, NULL, , nULL]", ""},
        {"[~, null, Null, NULL, nULL, 'null', \"~\"]",
         "[null,null,null,null,\"nULL\",\"null\",\"~\"]"},
        {"[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]"},
        {"[yes, No, on, OFF, y, n, tRUE, 'true']",
         "[\"yes\",\"No\",\"on\",\"OFF\",\"y\",\"n\",\"tRUE\",\"true\"]"},
        {"[0, 12, -12, +12, 007, 0o17, 0xfF, '12']", "[0,12,-12,12,7,15,255,\"12\"]"},
        {"[0o18, 0xg, -0x1, 0b1, 1_000, 12:30:45, 1e, '', 0x, 0o, +, -.]",
         "[\"0o18\",\"0xg\",\"-0x1\",\"0b1\",\"1_000\",\"12:30:45\",\"1e\",\"\",\"0x\",\"0o\",\"+"
         "\",\"-.\"]"},
        {"[1.5, -1.5, .5, 1., 1e2, 1.5E-1, +.5e+1]", "[1.5,-1.5,0.5,1,100,0.15,5]"},
        {"[., .e1, 1.2.3, 1.5s, 10.0.0.1, 2026-11-22, 1-2]",
         "[\".\",\".e1\",\"1.2.3\",\"1.5s\",\"10.0.0.1\",\"2026-11-22\",\"1-2\"]"},
        {"[9223372036854775807, -9223372036854775808, 9223372036854775808, 0x7fffffffffffffff]",
         "[9223372036854775807,-9223372036854775808,9.223372036854776e+18,9223372036854775807]"},
        {"[!!str 12, !!str true, !!str , !!int '12', !!float 1, !!bool 'true', !!null '']",
         "[\"12\",\"true\",\"\",12,1,true,null]"},
        {"!!map {a: !!seq [1]}", "{\"a\":[1]}"},
        {"a: |\n  12\n  b\n", "{\"a\":\"12\\nb\\n\"}"},
        {"a: >-\n  true\n", "{\"a\":\"true\"}"},
        {"a: plain text # comment\nb: 'it''s'\nc: \"\\x41\\u00e4\\t\"",
         "{\"a\":\"plain text\",\"b\":\"it's\",\"c\":\"A\xc3\xa4\\t\"}"},
        {"a:\nb: 1", "{\"a\":null,\"b\":1}"},
        {"1: a\ntrue: b\n'': c\n", "{\"1\":\"a\",\"true\":\"b\",\"\":\"c\"}"},
        {"text", "\"text\""},
        {"- - 1\n  - 2\n- a: 1\n  b: 2\n", "[[1,2],{\"a\":1,\"b\":2}]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("  %s\n", cases[i].in);
        if (!cases[i].out) {
            read_all(cases[i].in);
            assert_int_equal(docs.n, 0);
        } else if (!*cases[i].out) {
            read_all(cases[i].in);
            assert_int_equal(docs.n_failed, 1);
        } else {
            assert_yaml(cases[i].in, cases[i].out);
        }
    }
}

static void refuses_with_line_and_reason(void **state)
{
    (void)state;
    assert_bad("a: 1\nb: [1, 2\nc: 3\n", 3, "did not find expected");
    assert_bad("a: 1\n b: 2\n", 2, "mapping values are not allowed");
    assert_bad("a:\n\t- 1\n", 2, "cannot start any token");
    assert_bad("a: 'open\n", 1, "unexpected end of stream");
    assert_bad("a: b: c\n", 1, "mapping values are not allowed");
    assert_bad("a: 1\nb: 2\na: 3\n", 3, "a: the name occurs twice");
    assert_bad("x:\n  - p: 1\n    'p': 2\n", 3, "x[0].p: the name occurs twice");
    assert_bad("a: 1\n? [b]\n: c\n", 2, "a name in this mapping is not a text");
    assert_bad("a:\n  b:\n    ? {c: d}\n    : e\n", 3, "a.b: a name in this mapping is not a text");
    assert_bad("a:\n  b: *nobody\n", 2, "a.b: no anchor &nobody comes before this alias");
    assert_bad("a: &x [*x]\n", 1, "no anchor &x");
    assert_bad("a: .inf\n", 1, "a: infinity");
    assert_bad("a: [1, -.INF]\n", 1, "a[1]: infinity");
    assert_bad("a: .nan\n", 1, "not-a-number");
    assert_bad("a: 1e999\n", 1, "out of range");
    assert_bad("a: 0o7777777777777777777777777\n", 1, "out of range");
    assert_bad("a: !!int x\n", 1, "the value does not fit its tag");
    assert_bad("a: !!int 1.5\n", 1, "the value does not fit its tag");
    assert_bad("a:\n  !Ref b\n", 2, "a: the tag is not known");
    assert_bad("a:\n  !thing\n  - b\n", 2, "a: the tag is not known");
    assert_bad("a: !!set {b}\n", 1, "a: the tag is not known");
    assert_bad("a: \"x\\0y\"\n", 1, "a: a string holds a NUL");
    assert_bad("\"x\\0y\": 1\n", 1, "a name holds a NUL");
    assert_bad("a: 1\n\nb: \"\xff\"\n", 3, "invalid leading UTF-8 octet");
    assert_bad("a: 1\nb: \x01\n", 2, "control characters are not allowed");
    assert_bad("%YAML 3.0\n---\na: 1\n", 1, "incompatible YAML document");
    assert_bad("a: @x\n", 1, "cannot start any token");
}

static void nodes_know_their_lines(void **state)
{
    (void)state;
    read_all("# comment\n"
             "kind: A\n"
             "spec:\n"
             "  list:\n"
             "  - x: 1\n"
             "\n"
             "  - x:\n"
             "      2\n"
             "  text: |\n"
             "    a\n"
             "    b\n"
             "  after: c\n"
             "---\n"
             "kind: B\n"
             "--- {kind: C}\n"
             "...\n"
             "# more\n"
             "kind: D\n");
    assert_int_equal(docs.n, 4);
    assert_int_equal(docs.n_failed, 0);
    const struct json *a = docs.items[0].root;
    assert_int_equal(json_line(a), 2);
    assert_int_equal(json_line(json_get(a, "kind")), 2);
    assert_int_equal(json_line(json_get(a, "spec")), 4);
    assert_int_equal(json_line(json_get(a, "spec.list")), 5);
    assert_int_equal(json_line(json_get(a, "spec.list[0].x")), 5);
    assert_int_equal(json_line(json_get(a, "spec.list[1]")), 7);
    assert_int_equal(json_line(json_get(a, "spec.list[1].x")), 8);
    assert_int_equal(json_line(json_get(a, "spec.text")), 9);
    assert_int_equal(json_line(json_get(a, "spec.after")), 12);
    static const unsigned lines[] = {2, 14, 15, 18};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(docs.items[i].line, lines[i]);
        assert_int_equal(json_line(json_get(docs.items[i].root, "kind")), lines[i]);
    }
}

static void assert_kinds(const char *expected)
{
    char got[64];
    struct text_out o = TEXT_OUT(got);

    for (size_t i = 0; i < docs.n; i++) {
        if (docs.items[i].root)
            text_put(&o, json_text(json_get(docs.items[i].root, "k")));
        else
            text_putc(&o, '!');
    }
    assert_string_equal(got, expected);
}

static void splits_documents(void **state)
{
    (void)state;
    static const struct {
        const char *in, *kinds;
    } cases[] = {
        {"", ""},
        {"\n# only a comment\n", ""},
        {"---\n---\n# nothing\n---\n", ""},
        {"k: a", "a"},
        {"---\nk: a\n---\nk: b\n", "ab"},
        {"k: a\n---\nk: b", "ab"},
        {"--- # comment\nk: a\n---\t\nk: b\n", "ab"},
        {"--- {k: a}\n--- {k: b}\n", "ab"},
        {"---\r\nk: a\r\n---\r\nk: b\r\n", "ab"},
        {"k: a\n...\nk: b\n...\n", "ab"},
        {"k: a\n...\n---\nk: b\n", "ab"},
        {"k: a\n... # end\n\n\n", "a"},
        {"%YAML 1.2\n---\nk: a\n---\nk: b\n", "ab"},
        {"# c\n%YAML 1.1\n# c\n---\nk: a\n...\n%YAML 1.2\n---\nk: b\n", "ab"},
        {"%TAG ! tag:yaml.org,2002:\n---\nk: !str a\n", "a"},
        {"k: |\n  a\n  ---\nx: 1\n---\nk: b\n", "a\n---\nb"}, /* indented: text */
        {"k: a---\n---\nk: b\n", "a---b"},
        {"---a: 1\nk: a\n", "a"}, /* no marker: a blank is missing */
        {"\xef\xbb\xbf---\nk: a\n", "a"},
        {"\xef\xbb\xbfk: a\n", "a"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("  %s\n", cases[i].in);
        read_all(cases[i].in);
        assert_int_equal(docs.n_failed, 0);
        assert_kinds(cases[i].kinds);
    }
}

static void bad_documents_do_not_hide_others(void **state)
{
    (void)state;
    read_all("k: a\n"
             "---\n"
             "k: [open\n"
             "---\n"
             "k: c\n"
             "---\n"
             "k: 'open\n"
             "--- \n"
             "k: e\n"
             "---\n"
             "x: *unknown\n"
             "...\n"
             "k: g\n"
             "---\n"
             "%YAML 1.2\n"
             "---\n"
             "k: i\n");
    assert_kinds("a!c!e!g!i");
    assert_int_equal(docs.n, 9);
    assert_int_equal(docs.n_failed, 4);
    static const unsigned lines[] = {0, 3, 0, 7, 0, 11, 0, 15, 0};
    for (size_t i = 0; i < docs.n; i++) {
        assert_int_equal(json_failed(&docs.items[i].error), !docs.items[i].root);
        assert_int_equal(docs.items[i].error.line, lines[i]);
    }
    assert_int_equal(docs.items[1].line, 2);
}

static void resolves_aliases(void **state)
{
    (void)state;
    assert_yaml("a: &x {b: [1, two]}\nc: *x\nd: [*x, *x]\n",
                "{\"a\":{\"b\":[1,\"two\"]},\"c\":{\"b\":[1,\"two\"]},"
                "\"d\":[{\"b\":[1,\"two\"]},{\"b\":[1,\"two\"]}]}");
    assert_yaml("- &x 1\n- *x\n- &x 2\n- *x\n", "[1,1,2,2]"); /* the last one counts */
    assert_yaml("- &x name\n- *x : 1\n- {*x : 2}\n", "[\"name\",{\"name\":1},{\"name\":2}]");
    assert_yaml("a: &a\n  b: &b 1\n  c: *b\nd: *a\n",
                "{\"a\":{\"b\":1,\"c\":1},\"d\":{\"b\":1,\"c\":1}}");
    read_all("k: &x a\n---\nk: *x\n"); /* anchors end with their document */
    assert_int_equal(docs.n_failed, 1);
    /* An alias has its own line, what is below it that of the original. */
    read_all("a: &x\n  b: 1\nc:\n  *x\n");
    assert_int_equal(json_line(json_get(docs.items[0].root, "c")), 4);
    assert_int_equal(json_line(json_get(docs.items[0].root, "c.b")), 2);
}

static void merges(void **state)
{
    (void)state;
    assert_yaml("base: &b {x: 1, y: {z: 2}}\nuse:\n  <<: *b\n  x: 9\n",
                "{\"base\":{\"x\":1,\"y\":{\"z\":2}},\"use\":{\"x\":9,\"y\":{\"z\":2}}}");
    assert_yaml("- &a {x: 1, y: 1}\n- &b {x: 2, z: 2}\n- {<<: [*a, *b], w: 3}\n",
                "[{\"x\":1,\"y\":1},{\"x\":2,\"z\":2},{\"w\":3,\"x\":1,\"y\":1,\"z\":2}]");
    assert_yaml("'<<': 1\n", "{\"<<\":1}"); /* quoted it is a name like others */
    assert_bad("- &a 1\n- <<: *a\n", 2, "<< takes an alias of a mapping");
    assert_bad("<<: {a: 1}\n", 1, "<< takes an alias of a mapping");
    assert_bad("- &a {x: 1}\n-\n  <<:\n  - *a\n  - 2\n", 5, "<< takes an alias of a mapping");
}

/* A billion laughs: ten aliases of ten aliases of ten ... */
static void put_bomb(struct text_heap *h)
{
    text_heap_puts(h, "a0: &a0 [lol, lol]\n");
    for (int i = 1; i <= 12; i++) {
        text_heap_printf(h, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            text_heap_printf(h, "%s*a%d", k ? ", " : "", i - 1);
        text_heap_puts(h, "]\n");
    }
}

static void bombs_do_not_go_off(void **state)
{
    (void)state;
    struct text_heap h;

    text_heap_init(&h, 1 << 20);
    text_heap_puts(&h, "k: before\n---\n");
    put_bomb(&h);
    text_heap_puts(&h, "---\nk: after\n");
    read_all(h.data);
    assert_kinds("before!after");
    assert_string_equal(docs.items[1].error.text, "aliases stand for too many or too deep values");
    text_heap_done(&h);

    /* Small in number, but deeper with each step. */
    text_heap_init(&h, 1 << 20);
    text_heap_puts(&h, "- &a0 [1]\n");
    for (int i = 1; i <= 70; i++)
        text_heap_printf(&h, "- &a%d [*a%d]\n", i, i - 1);
    read_all(h.data);
    assert_int_equal(docs.n_failed, 1);
    assert_int_equal(docs.items[0].error.line, 64);
    text_heap_done(&h);

    /* Merged over and over. */
    text_heap_init(&h, 1 << 20);
    text_heap_puts(&h, "- &a0 {x0: 1}\n");
    for (int i = 1; i <= 400; i++)
        text_heap_printf(&h, "- &a%d {<<: *a%d, x%d: 1}\n", i, i - 1, i);
    read_all(h.data);
    assert_int_equal(docs.n_failed, 1);
    assert_string_equal(docs.items[0].error.text, "<< merges too many members");
    text_heap_done(&h);
}

static void has_limits(void **state)
{
    (void)state;
    const struct yaml_limits limits = {{.bytes_max = 60, .nodes_max = 8, .depth_max = 2}, 3, 4};
    static const struct {
        const char *in;
        int result;
        size_t n, n_failed;
    } cases[] = {
        {"[[1]]", 0, 1, 0},
        {"[[[1]]]\n---\na\n", 0, 2, 1},
        {"[1, 2, 3, 4, 5, 6, 7]", 0, 1, 0},
        {"[1, 2, 3, 4, 5, 6, 7, 8]", 0, 1, 1},
        {"[1, 2, 3]\n---\n[1, 2, 3]", 0, 2, 0},
        {"[1, 2, 3]\n---\n[1, 2, 3, 4]", 0, 2, 1}, /* together nine */
        {"a\n---\nb\n---\nc", 0, 3, 0},
        {"a\n---\nb\n---\nc\n---\nd", -E2BIG, 0, 0},
        {"[&a 1, *a, *a, *a, *a]", 0, 1, 0},
        {"[&a 1, *a, *a, *a, *a, *a]", 0, 1, 1},
        {"# 34567890123456789012345678901234567890123456789012345678901", -E2BIG, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct yaml_documents d = {0};
        print_message("  %s\n", cases[i].in);
        assert_int_equal(yaml_parse(text_of(cases[i].in), &limits, &d), cases[i].result);
        assert_int_equal(d.n, cases[i].n);
        assert_int_equal(d.n_failed, cases[i].n_failed);
        yaml_documents_done(&d);
    }
    static char deep[100000];
    memset(deep, '[', sizeof deep);
    assert_int_equal(yaml_parse((struct text){deep, sizeof deep}, NULL, &docs), 0);
    assert_int_equal(docs.n_failed, 1);
    assert_string_equal(docs.items[0].error.text, "too many sequences and mappings in one another");
}

static void anchors_are_bounded(void **state)
{
    (void)state;
    struct text_heap h;

    for (int n = 1000; n <= 1001; n++) {
        text_heap_init(&h, 1 << 20);
        for (int i = 0; i < n; i++)
            text_heap_printf(&h, "- &a%d 1\n", i);
        read_all(h.data);
        assert_int_equal(docs.n_failed, n > 1000);
        text_heap_done(&h);
    }
    assert_string_equal(docs.items[0].error.text, "too many anchors");
}

/* JSON is YAML, so both readers must see the same: the one's tests test the other. */
static void reads_json_as_json_does(void **state)
{
    (void)state;
    struct rng rng;

    test_seed(&rng);
    for (int i = 0; i < 1500; i++) {
        struct json *tree = random_tree(&rng);
        for (int pretty = 0; pretty < 2; pretty++) {
            struct text_heap h;
            struct json_error e;
            struct json *by_json = NULL;
            text_heap_init(&h, 1 << 24);
            json_print(tree, pretty, &h);
            assert_int_equal(json_parse((struct text){h.data, h.len}, NULL, &by_json, &e), 0);
            read_all(h.data);
            if (docs.n != 1 || docs.n_failed)
                fail_msg("line %u: %s\n%s", docs.n ? docs.items[0].error.line : 0,
                         docs.n ? docs.items[0].error.text : "no document", h.data);
            if (!json_equal(docs.items[0].root, by_json) || !json_equal(tree, by_json))
                fail_msg("not the same: %s", h.data);
            json_free(by_json);
            text_heap_done(&h);
        }
        json_free(tree);
    }
}

/* Whatever is in one document, those around it arrive, unless it holds a marker itself. */
static void takes_no_harm_from_damage(void **state)
{
    (void)state;
    static const char alphabet[] = "ab1: -[]{}&*!|>'\"#%@`?,\n\n\n  \t~<\\.\x80\xc3";
    struct rng rng;
    size_t n_bad = 0;

    test_seed(&rng);
    for (int i = 0; i < 20000; i++) {
        char text[160];
        struct text_out o = TEXT_OUT(text);
        text_puts(&o, "k: a\n---\n");
        for (size_t n = rng_below(&rng, 60); n > 0; n--)
            text_putc(&o, alphabet[rng_below(&rng, sizeof alphabet - 1)]);
        text_puts(&o, "\n---\nk: b\n");
        if (strstr(text + 9, "\n...") || strstr(text + 9, "\n---") != text + o.len - 10)
            continue;
        read_all(text);
        assert_true(docs.n >= 2);
        assert_true(text_equal(json_text(json_get(docs.items[0].root, "k")), TEXT("a")));
        const struct yaml_document *last = &docs.items[docs.n - 1];
        if (!text_equal(json_text(json_get(last->root, "k")), TEXT("b")))
            fail_msg("%s", text);
        n_bad += docs.n_failed;
    }
    assert_true(n_bad > 1000);
}

static void survives_no_memory(void **state)
{
    (void)state;
    static const char text[] = "a: &x {b: [1, two, 3.5]}\nc: *x\nd: {<<: *x, e: 'long text that "
                               "needs room'}\n---\nk: [open\n---\nk: last\n";
    size_t n_docs = 0;

    for (long n = 0;; n++) {
        struct yaml_documents d = {0};
        alloc_fail_at(n);
        int r = yaml_parse(TEXT(text), NULL, &d);
        bool failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        n_docs = d.n;
        yaml_documents_done(&d);
        if (!failed) {
            assert_true(n > 50);
            break;
        }
    }
    assert_int_equal(n_docs, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(resolves_scalars, forget),
        cmocka_unit_test_teardown(refuses_with_line_and_reason, forget),
        cmocka_unit_test_teardown(nodes_know_their_lines, forget),
        cmocka_unit_test_teardown(splits_documents, forget),
        cmocka_unit_test_teardown(bad_documents_do_not_hide_others, forget),
        cmocka_unit_test_teardown(resolves_aliases, forget),
        cmocka_unit_test_teardown(merges, forget),
        cmocka_unit_test_teardown(bombs_do_not_go_off, forget),
        cmocka_unit_test_teardown(has_limits, forget),
        cmocka_unit_test_teardown(anchors_are_bounded, forget),
        cmocka_unit_test_teardown(reads_json_as_json_does, forget),
        cmocka_unit_test_teardown(takes_no_harm_from_damage, forget),
        cmocka_unit_test_teardown(survives_no_memory, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
