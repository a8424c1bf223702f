#include "shared/http2/http2_head_arena.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

static struct http2_header headers[HTTP2_HEADERS_MAX];

static void test_fields(void **state)
{
    (void)state;
    struct http2_head_arena a;
    char big[5000];
    memset(big, 'b', sizeof big);
    http2_head_arena_init(&a, 65536, HTTP2_FIELDS_MAX);
    assert_int_equal(http2_head_arena_view(&a, headers), 0);
    assert_int_equal(http2_head_arena_add(&a, TEXT("a"), TEXT("")), 0);
    assert_int_equal(http2_head_arena_add(&a, TEXT("name"), TEXT("value")), 0);
    assert_int_equal(http2_head_arena_add(&a, TEXT("big"), (struct text){big, sizeof big}),
                     0); /* it moves */
    assert_int_equal(http2_head_arena_view(&a, headers), 3);
    assert_true(text_equal(headers[0].name, TEXT("a")));
    assert_int_equal(headers[0].value.len, 0);
    assert_true(text_equal(headers[1].name, TEXT("name")));
    assert_true(text_equal(headers[1].value, TEXT("value")));
    assert_true(text_equal(headers[2].value, (struct text){big, sizeof big}));
    http2_head_arena_reset(&a);
    assert_int_equal(http2_head_arena_view(&a, headers), 0);
    http2_head_arena_done(&a);
}

static void test_bounds(void **state)
{
    (void)state;
    struct http2_head_arena a;
    http2_head_arena_init(&a, 100, HTTP2_FIELDS_MAX);
    assert_int_equal(http2_head_arena_add(&a, TEXT("ab"), TEXT("cd")), 0); /* 36 */
    char value[64] = {0};
    assert_int_equal(http2_head_arena_add(&a, TEXT("a"), (struct text){value, 32}),
                     -E2BIG); /* 65 */
    assert_int_equal(http2_head_arena_add(&a, TEXT("a"), (struct text){value, 31}), 0);
    assert_int_equal(http2_head_arena_add(&a, TEXT(""), TEXT("")), -E2BIG);
    assert_int_equal(http2_head_arena_view(&a, headers), 2);
    http2_head_arena_done(&a);

    http2_head_arena_init(&a, 65536, HTTP2_FIELDS_MAX);
    for (int i = 0; i < HTTP2_PSEUDO_MAX; i++)
        assert_int_equal(http2_head_arena_add(&a, TEXT(":x"), TEXT("y")), 0);
    assert_int_equal(http2_head_arena_add(&a, TEXT(":x"), TEXT("y")), -E2BIG);
    for (int i = 0; i < HTTP2_FIELDS_MAX; i++)
        assert_int_equal(http2_head_arena_add(&a, TEXT("x"), TEXT("y")), 0);
    assert_int_equal(http2_head_arena_add(&a, TEXT("x"), TEXT("y")), -E2BIG);
    assert_int_equal(http2_head_arena_view(&a, headers), HTTP2_FIELDS_MAX + HTTP2_PSEUDO_MAX);
    http2_head_arena_reset(&a);
    assert_int_equal(http2_head_arena_add(&a, TEXT(":x"), TEXT("y")), 0);
    http2_head_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
