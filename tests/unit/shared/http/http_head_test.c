#include "shared/http/http_grammar.h"
#include "shared/http/http_head.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static struct http_head h;

static int begin(void **state)
{
    (void)state;
    http_head_init(&h);
    return 0;
}

static int end(void **state)
{
    (void)state;
    http_head_done(&h);
    return 0;
}

/* All fields as "name=value|". */
static void holds(const struct http_head *head, const char *expected)
{
    static char said[1000];
    struct text_out o = TEXT_OUT(said);
    for (size_t i = 0; i < head->n; i++) {
        text_put(&o, head->fields[i].name);
        text_putc(&o, '=');
        text_put(&o, head->fields[i].value);
        text_putc(&o, '|');
    }
    assert_string_equal(said, expected);
}

static int add(const char *name, const char *value)
{
    return http_head_add(&h, text_of(name), text_of(value));
}

/* ---- Fields */

static void fields_are_kept_in_order(void **state)
{
    (void)state;
    size_t at = 0;
    assert_int_equal(add("Accept", "*/*"), 0);
    assert_int_equal(add("X-A", "1"), 0);
    assert_int_equal(add("x-a", ""), 0);
    assert_int_equal(add("b", "x"), 0);
    assert_int_equal(add("X-a", "2"), 0);
    holds(&h, "accept=*/*|x-a=1|x-a=|b=x|x-a=2|");
    is_text(http_head_get(&h, TEXT("x-a")), "1");
    assert_null(http_head_get(&h, TEXT("x")).data);
    is_text(http_head_next(&h, TEXT("x-a"), &at)->value, "1");
    is_text(http_head_next(&h, TEXT("x-a"), &at)->value, "");
    is_text(http_head_next(&h, TEXT("x-a"), &at)->value, "2");
    assert_null(http_head_next(&h, TEXT("x-a"), &at));

    struct text joined;
    assert_int_equal(http_head_joined(&h, TEXT("x-a"), &joined), 0);
    is_text(joined, "1, , 2");
    assert_int_equal(http_head_joined(&h, TEXT("b"), &joined), 0);
    is_text(joined, "x");
    assert_int_equal(http_head_joined(&h, TEXT("c"), &joined), -ENOENT);
    assert_int_equal(add("cookie", "a=1"), 0);
    assert_int_equal(add("cookie", "b=2"), 0);
    assert_int_equal(http_head_joined(&h, TEXT("cookie"), &joined), 0);
    is_text(joined, "a=1; b=2");
}

static void fields_change(void **state)
{
    (void)state;
    add("a", "1");
    add("b", "2");
    add("a", "3");
    add("c", "4");
    add("a", "5");
    assert_int_equal(http_head_append(&h, TEXT("A"), TEXT("6")), 0);
    holds(&h, "a=1|b=2|a=3|c=4|a=5, 6|");
    assert_int_equal(http_head_append(&h, TEXT("d"), TEXT("7")), 0);
    holds(&h, "a=1|b=2|a=3|c=4|a=5, 6|d=7|");
    assert_int_equal(http_head_set(&h, TEXT("a"), TEXT("8")), 0);
    holds(&h, "a=8|b=2|c=4|d=7|");
    assert_int_equal(http_head_set(&h, TEXT("E"), TEXT("9")), 0);
    holds(&h, "a=8|b=2|c=4|d=7|e=9|");
    assert_int_equal(http_head_set(&h, TEXT("b"), http_head_get(&h, TEXT("e"))), 0);
    assert_int_equal(http_head_remove(&h, TEXT("c")), 1);
    assert_int_equal(http_head_remove(&h, TEXT("c")), 0);
    holds(&h, "a=8|b=9|d=7|e=9|");
    http_head_remove_at(&h, 0);
    http_head_remove_at(&h, 2);
    holds(&h, "b=9|d=7|");
}

static void what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "a b", "a:", ":path", "a\r", "\xc3\xa9", "a\"", "(a)"};
    static const char *const values[] = {" a", "a ", "\ta", "a\t", "a\nb", "a\rb", "a\x7f", "\x01"};
    add("a", "1");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(add(names[i], "x"), -EINVAL);
        assert_int_equal(http_head_set(&h, text_of(names[i]), TEXT("x")), -EINVAL);
        assert_int_equal(http_head_append(&h, text_of(names[i]), TEXT("x")), -EINVAL);
        assert_int_equal(http_head_set_method(&h, text_of(names[i])), -EINVAL);
        assert_int_equal(http_head_set_protocol(&h, text_of(names[i])), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        assert_int_equal(add("b", values[i]), -EINVAL);
        assert_int_equal(http_head_set(&h, TEXT("a"), text_of(values[i])), -EINVAL);
        assert_int_equal(http_head_append(&h, TEXT("a"), text_of(values[i])), -EINVAL);
        assert_int_equal(http_head_set_path(&h, text_of(values[i])), -EINVAL);
        assert_int_equal(http_head_set_authority(&h, text_of(values[i])), -EINVAL);
    }
    assert_int_equal(http_head_add(&h, TEXT("a\0b"), TEXT("x")), -EINVAL);
    assert_int_equal(http_head_add(&h, TEXT("b"), TEXT("x\0y")), -EINVAL);
    holds(&h, "a=1|");
    assert_int_equal(add("b", "a\tb \xff\x80"), 0);
}

/* ---- What a request asks */

static void a_request_is_set(void **state)
{
    (void)state;
    assert_null(h.method.data);
    assert_int_equal(http_head_set_method(&h, TEXT("GET")), 0);
    assert_int_equal(http_head_set_scheme(&h, TEXT("https")), 0);
    assert_int_equal(http_head_set_authority(&h, TEXT("a:80")), 0);
    assert_int_equal(http_head_set_path(&h, TEXT("/a?b")), 0);
    assert_int_equal(http_head_set_protocol(&h, TEXT("websocket")), 0);
    assert_int_equal(http_head_set_scheme(&h, TEXT("ftp")), -EINVAL);
    assert_int_equal(http_head_set_path(&h, TEXT("a")), -EINVAL);
    is_text(h.method, "GET");
    is_text(h.scheme, "https");
    is_text(h.authority, "a:80");
    is_text(h.path, "/a?b");
    is_text(h.protocol, "websocket");
}

static void grammar(void **state)
{
    (void)state;
    static const char *const hosts[] = {"a",  "a.b.", "A_b-c.d", "1.2.3.4",     "1.2.3.4:80",
                                        "a:", "a:0",  "[::1]",   "[::1]:65535", "a!~"};
    static const char *const no_hosts[] = {
        "",    ":80", "a,b",  "a@b",     "a/b",    "a?b",     "a b",       "a:65536", "a:8x",
        "a:b", "::1", "[::1", "[a]",     "[::1]x", "[::1]:x", "[1.2.3.4]", "a%20",    "a\x80",
        "[]",  "a#b", "a\\b", "[::1%1]", "a:1:2",  "a:-1",    "a<b"};
    static const char *const paths[] = {"/",      "*",    "//",
                                        "/a?b?c", "/%41", "/a:b@c!$&'()*+,;=~\"<>\\^`{|}"};
    static const char *const no_paths[] = {"",      "a",     "**", "/ ",   "/\t",
                                           "/\x7f", "/\x80", "/#", "/a\n", "?"};
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
        if (!http_is_authority(text_of(hosts[i])))
            fail_msg("%s is an authority", hosts[i]);
    for (size_t i = 0; i < ARRAY_SIZE(no_hosts); i++)
        if (http_is_authority(text_of(no_hosts[i])))
            fail_msg("%s is no authority", no_hosts[i]);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (!http_is_path(text_of(paths[i])))
            fail_msg("%s is a path", paths[i]);
    for (size_t i = 0; i < ARRAY_SIZE(no_paths); i++)
        if (http_is_path(text_of(no_paths[i])))
            fail_msg("%s is no path", no_paths[i]);
    for (int c = 0; c < 256; c++) { /* against the text of RFC 9110 */
        struct text t = {&(char){(char)c}, 1};
        bool token = c && (strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                                  c) != NULL);
        assert_int_equal(http_is_token(t), token);
        assert_int_equal(http_is_field_value(t), c > 0x20 && c != 0x7f);
    }
}

static void authorities_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *authority, *host, *port;
    } cases[] = {
        {"a", "a", ""},
        {"a:80", "a", "80"},
        {"a:", "a", ""},
        {"a1", "a1", ""},
        {"10.0.0.1", "10.0.0.1", ""},
        {"10.0.0.1:1", "10.0.0.1", "1"},
        {"[::1]", "[::1]", ""},
        {"[::1]:8080", "[::1]", "8080"},
        {"", "", ""},
        {"80", "80", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct text host, port;
        http_authority_split(text_of(cases[i].authority), &host, &port);
        is_text(host, cases[i].host);
        is_text(port, cases[i].port);
    }
}

/* Each byte at each place of texts of all lengths. */
static void spans(void **state)
{
    (void)state;
    char text[40];
    for (size_t len = 0; len < sizeof text; len++) {
        for (size_t at = 0; at <= len; at++) {
            for (int c = 0; c < 256; c++) {
                bool fine = c == '\t' || (c >= 0x20 && c != 0x7f);
                memset(text, at % 2 ? 'x' : '\x80', len);
                if (at < len)
                    text[at] = (char)c;
                assert_int_equal(http_value_span(text, len), fine ? len : at);
            }
        }
    }
}

static void lists(void **state)
{
    (void)state;
    struct text list = TEXT(" ,a ,, B\t,c"), element;
    assert_true(http_list_next(&list, &element));
    is_text(element, "a");
    assert_true(http_list_next(&list, &element));
    is_text(element, "B");
    assert_true(http_list_next(&list, &element));
    is_text(element, "c");
    assert_false(http_list_next(&list, &element));
    assert_true(http_list_has(TEXT("keep-alive, Upgrade"), TEXT("upgrade")));
    assert_false(http_list_has(TEXT("keep-alive, Upgrades"), TEXT("upgrade")));
    assert_false(http_list_has(TEXT(""), TEXT("")));
}

/* ---- Memory and bounds */

static void views_stay_while_the_head_grows(void **state)
{
    (void)state;
    static char value[3000];
    struct text first;
    memset(value, 'v', sizeof value - 1);
    add("first", "1");
    first = http_head_get(&h, TEXT("first"));
    for (int i = 0; i < 20; i++)
        assert_int_equal(add("more", value), 0);
    assert_ptr_equal(http_head_get(&h, TEXT("first")).data, first.data);
    is_text(first, "1");
    http_head_done(&h);
    assert_int_equal(h.n, 0);
    assert_null(h.blocks);
}

static void bounds(void **state)
{
    (void)state;
    static char value[HTTP_HEAD_BYTES_MAX + 1];
    int n = 0;
    while (add("a", "b") == 0)
        n++;
    assert_int_equal(n, HTTP_FIELDS_MAX);
    assert_int_equal(add("a", "b"), -E2BIG);
    assert_int_equal(http_head_set(&h, TEXT("a"), TEXT("c")), 0);
    holds(&h, "a=c|");
    http_head_done(&h);

    memset(value, 'v', sizeof value - 1);
    assert_int_equal(add("a", "1"), 0);
    assert_int_equal(add("a", value), -E2BIG);
    assert_int_equal(http_head_set(&h, TEXT("a"), text_of(value)), -E2BIG);
    assert_int_equal(http_head_append(&h, TEXT("a"), text_of(value)), -E2BIG);
    holds(&h, "a=1|");
    for (n = 0; http_head_set(&h, TEXT("a"), (struct text){value, 1000}) == 0; n++)
        ;
    assert_int_equal(n, HTTP_HEAD_BYTES_MAX / 1000);
}

static void memory_is_enlarged(void **state)
{
    (void)state;
    char *m;
    assert_int_equal(http_head_alloc(&h, 8, &m), 0);
    assert_ptr_equal(m, h.first);
    memcpy(m, "12345678", 8);
    assert_int_equal(http_head_enlarge(&h, &m, 8, 8, 2000), 0);
    assert_ptr_equal(m, h.first);
    assert_int_equal(http_head_enlarge(&h, &m, 2000, 8, 2100), 0);
    assert_memory_equal(m, "12345678", 8);
    for (size_t size = 2100; size < 60000; size *= 2) {
        assert_int_equal(http_head_enlarge(&h, &m, size, 8, size * 2), 0);
        assert_memory_equal(m, "12345678", 8);
        memset(m + 8, 'x', size * 2 - 8);
        assert_int_equal(h.bytes, size * 2);
    }
    size_t bytes = h.bytes;
    assert_int_equal(http_head_enlarge(&h, &m, bytes, 8, HTTP_HEAD_BYTES_MAX + 1), -E2BIG);
    assert_memory_equal(m, "12345678xxxx", 12);
    assert_int_equal(add("a", "b"), 0);
    assert_memory_equal(m, "12345678xxxx", 12);
}

static void fill(struct http_head *head)
{
    static char value[1000];
    memset(value, 'v', sizeof value - 1);
    head->status = 200;
    assert_int_equal(http_head_set_method(head, TEXT("GET")), 0);
    assert_int_equal(http_head_set_authority(head, TEXT("")), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(http_head_add(head, TEXT("name"), text_of(value)), 0);
}

static void a_copy_is_its_own(void **state)
{
    (void)state;
    struct http_head copy;
    http_head_init(&copy);
    fill(&h);
    assert_int_equal(http_head_copy(&copy, &h), 0);
    struct text value = h.fields[39].value;
    assert_ptr_not_equal(copy.fields[39].value.data, value.data);
    http_head_done(&h);
    assert_int_equal(copy.n, 40);
    assert_int_equal(copy.status, 200);
    is_text(copy.method, "GET");
    assert_true(copy.authority.data && copy.authority.len == 0);
    assert_null(copy.path.data);
    assert_int_equal(copy.fields[39].value.len, 999);
    http_head_done(&copy);
}

static void no_memory(void **state)
{
    (void)state;
    struct http_head copy;
    bool failed = true;
    fill(&h);
    http_head_init(&copy);
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        int r = http_head_copy(&copy, &h);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        assert_int_equal(copy.n, failed ? 0 : 40);
    }
    http_head_done(&copy);
    http_head_done(&h);
    for (int i = 0; i < HTTP_FIELDS_INLINE; i++)
        add("a", "b");
    alloc_fail_at(0);
    assert_int_equal(add("c", "d"), -ENOMEM);
    assert_true(alloc_failed());
    assert_int_equal(h.n, HTTP_FIELDS_INLINE);
    assert_int_equal(add("c", "d"), 0);
    is_text(http_head_get(&h, TEXT("c")), "d");
    is_text(http_head_get(&h, TEXT("a")), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_are_kept_in_order, begin, end),
        cmocka_unit_test_setup_teardown(fields_change, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_request_is_set, begin, end),
        cmocka_unit_test(grammar),
        cmocka_unit_test(authorities_are_split),
        cmocka_unit_test(spans),
        cmocka_unit_test(lists),
        cmocka_unit_test_setup_teardown(views_stay_while_the_head_grows, begin, end),
        cmocka_unit_test_setup_teardown(bounds, begin, end),
        cmocka_unit_test_setup_teardown(memory_is_enlarged, begin, end),
        cmocka_unit_test_setup_teardown(a_copy_is_its_own, begin, end),
        cmocka_unit_test_setup_teardown(no_memory, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
