#include "shared/base/arena.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

/* What was taken is aligned, one's own, and stays where it is. */
static void pieces_do_not_touch(void **state)
{
    (void)state;
    enum { PIECES = 2000 };
    static uint8_t *pieces[PIECES];
    static size_t sizes[PIECES];
    struct arena a;
    struct rng rng;
    test_seed(&rng);
    arena_init(&a, 64 * 1024 * 1024);
    for (size_t i = 0; i < PIECES; i++) {
        sizes[i] = rng_below(&rng, i % 100 == 0 ? 20000 : 100);
        pieces[i] = arena_take(&a, sizes[i]);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % sizeof(uint64_t), 0);
        memset(pieces[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(pieces[i][k], i % 251);
    assert_false(a.full || a.no_memory);
    arena_done(&a);
    assert_int_equal(a.taken, 0);
    assert_non_null(arena_take(&a, 1)); /* usable again */
    arena_done(&a);
}

static void there_is_a_maximum(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 100);
    assert_non_null(arena_take(&a, 96));
    assert_null(arena_take(&a, 5));
    assert_true(a.full);
    a.full = false;
    assert_non_null(arena_take(&a, 4)); /* what is too much takes nothing */
    assert_null(arena_take(&a, 1));
    assert_null(arena_take(&a, SIZE_MAX));
    assert_true(a.full && !a.no_memory);
    arena_done(&a);
    assert_int_equal(a.max, 100);
}

static void sizes_do_not_overflow(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, SIZE_MAX); /* none is wanted */
    assert_null(arena_zero(&a, SIZE_MAX / 2 + 1, 2));
    assert_true(a.full);
    a.full = false;
    assert_null(arena_text(&a, (struct text){"", SIZE_MAX}).data);
    assert_true(a.full);
    a.full = false;
    for (size_t less = 0; less < 40; less++) {
        assert_null(arena_take(&a, SIZE_MAX - less));
        assert_true(a.full && !a.no_memory);
        a.full = false;
    }
    assert_int_equal(a.taken, 0);
    arena_done(&a);
}

static void elements_are_zero_and_texts_end(void **state)
{
    (void)state;
    struct arena a;
    char bytes[] = {'a', 'b', 'c'};
    arena_init(&a, 1 << 20);
    assert_non_null(arena_take(&a, 1));
    memset(a.at, 0xff, a.left);
    for (size_t n = 0; n < 100; n += 9) {
        const uint32_t *zero = arena_zero(&a, n, sizeof *zero);
        for (size_t i = 0; i < (n ? n : 1); i++)
            assert_int_equal(zero[i], 0);
    }
    struct text copy = arena_text(&a, (struct text){bytes, sizeof bytes});
    bytes[0] = 'x';
    is_text(copy, "abc");
    assert_int_equal(copy.data[3], '\0');
    copy = arena_text(&a, (struct text){NULL, 0});
    assert_string_equal(copy.data, "");
    arena_done(&a);
}

static void no_memory_is_told(void **state)
{
    (void)state;
    struct arena *a;
    alloc_fail_at(0);
    assert_null(arena_new(1000));
    assert_true(alloc_failed());
    a = arena_new(1000);
    alloc_fail_at(0);
    assert_null(arena_take(a, 10));
    assert_true(alloc_failed());
    assert_true(a->no_memory && !a->full);
    assert_non_null(arena_take(a, 10));
    assert_null(arena_free(a));
    assert_null(arena_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_touch),   cmocka_unit_test(there_is_a_maximum),
        cmocka_unit_test(sizes_do_not_overflow), cmocka_unit_test(elements_are_zero_and_texts_end),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
