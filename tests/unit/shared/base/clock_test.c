#include "shared/base/clock.h"
#include "tests/unit/shared/base/test.h"

#include <time.h>

static void prints_rfc3339(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        int with_ms;
        const char *text;
    } cases[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {1795373100123, 1, "2026-11-22T18:45:00.123Z"},
        {1795373100123, 0, "2026-11-22T18:45:00Z"},
        {1709164800000, 0, "2024-02-29T00:00:00Z"},
        {-1, 1, "1969-12-31T23:59:59.999Z"},
        {253402300799999, 1, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, 1, "9999-12-31T23:59:59.999Z"},
    };
    char out[CLOCK_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(clock_print(cases[i].ms, cases[i].with_ms, out), cases[i].text);
    assert_non_null(clock_print(INT64_MIN, 1, out));
}

static void agrees_with_time(void **state)
{
    (void)state;
    time_t before = time(NULL);
    int64_t s = clock_unix_s(), ms = clock_unix_ms();
    time_t after = time(NULL);

    /* time(2) may read a coarser clock, which is up to one tick behind. */
    assert_in_range(s, before, after + 1);
    assert_in_range(ms / 1000, before, after + 1);
}

static void never_goes_back(void **state)
{
    (void)state;
    uint64_t last = clock_monotonic_us();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_monotonic_us();
        assert_true(now >= last);
        last = now;
    }
    uint64_t ms = clock_monotonic_ms();
    assert_in_range(ms, last / 1000, last / 1000 + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_rfc3339),
        cmocka_unit_test(agrees_with_time),
        cmocka_unit_test(never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
