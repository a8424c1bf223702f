/* Buckets of callers: a burst, then so many a second; one caller is not another; a full table forgets
 * whom it need not remember, and never who has used something up. */
#include "ca/rate.h"
#include "tests/unit/shared/tls/tls_fixture.h"

static int taken(struct rate *r, const char *who, uint64_t now_ms)
{
    int n = 0;
    while (n < 2 * RATE_BURST && rate_take(r, text_of(who), now_ms))
        n++;
    return n;
}

static void a_burst_and_then_a_rate(void **state)
{
    struct rate r;
    (void)state;
    rate_init(&r);
    assert_int_equal(taken(&r, "a", 5000), RATE_BURST);
    assert_int_equal(taken(&r, "b", 5000), RATE_BURST);
    assert_int_equal(taken(&r, "a", 5000), 0);
    assert_int_equal(taken(&r, "a", 5009), 0);
    assert_int_equal(taken(&r, "a", 5010), 1);
    assert_int_equal(taken(&r, "a", 6010), RATE_PER_SECOND);
    assert_int_equal(taken(&r, "a", 10000000), RATE_BURST);
    rate_done(&r);
}

static void a_full_table(void **state)
{
    struct rate r;
    char who[32];
    (void)state;
    rate_init(&r);
    assert_int_equal(taken(&r, "busy", 5000), RATE_BURST);
    for (int i = 1; i < RATE_CALLERS_MAX; i++) {
        snprintf(who, sizeof who, "%d", i);
        assert_true(rate_take(&r, text_of(who), 5000));
    }
    assert_int_equal(r.buckets.count, RATE_CALLERS_MAX);
    assert_false(rate_take(&r, TEXT("new"), 5001)); /* all have used something in this second */
    assert_true(rate_take(&r, TEXT("new"), 6001));  /* all but one are full again, and go */
    assert_int_equal(r.buckets.count, 2);
    assert_int_equal(taken(&r, "busy", 6001), RATE_PER_SECOND * 1001 / 1000);
    rate_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_a_rate),
        cmocka_unit_test(a_full_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
