/* Places of sidecars: nobody has all of them. */
#include "controller/serve/sidecar_places.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <stdio.h>

static size_t take_all(struct sidecar_places *p, const char *ns)
{
    size_t n = 0;
    while (sidecar_places_take(p, text_of(ns)))
        n++;
    return n;
}

static void each_has_what_is_left_to_others(void **state)
{
    struct sidecar_places p;
    (void)state;
    sidecar_places_init(&p, 5000);
    assert_int_equal(take_all(&p, "greedy"), 2500);
    assert_int_equal(take_all(&p, "late"), 1250);
    assert_true(sidecar_places_take(&p, TEXT("shop")));
    assert_int_equal(p.n, 3751);
    for (size_t i = 0; i < 2500; i++)
        sidecar_places_give(&p, TEXT("greedy"));
    assert_null(map_get(&p.of, TEXT("greedy")));
    assert_int_equal(p.n, 1251);
    assert_true(sidecar_places_take(&p, TEXT("late")));
    sidecar_places_done(&p);
}

static void there_is_an_end(void **state)
{
    struct sidecar_places p;
    char ns[32];
    size_t n = 0;
    (void)state;
    sidecar_places_init(&p, 16);
    do
        snprintf(ns, sizeof ns, "n%zu", n);
    while (sidecar_places_take(&p, text_of(ns)) && ++n < 100);
    assert_int_equal(n, 16);
    sidecar_places_done(&p);
}

static void without_memory(void **state)
{
    struct sidecar_places p;
    (void)state;
    sidecar_places_init(&p, 16);
    for (long i = 0, failed = 1; failed; i++) {
        alloc_fail_at(i);
        bool taken = sidecar_places_take(&p, TEXT("shop"));
        failed = alloc_failed();
        assert_int_equal(taken, !failed);
        assert_int_equal(p.n, taken);
        assert_int_equal(map_get(&p.of, TEXT("shop")) != NULL, taken);
    }
    sidecar_places_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_what_is_left_to_others),
        cmocka_unit_test(there_is_an_end),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
