/* Refusals that have a line: so many a second and a day, of strangers and of others apart. */
#include "ca/audit_share.h"
#include "tests/unit/shared/base/test.h"

enum { SECOND_MS = 1000, DAY_MS = 86400000 };

static unsigned take(struct audit_share *s, enum audit_share_of whose, uint64_t now_ms, unsigned n)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < n; i++)
        taken += audit_share_take(s, whose, now_ms);
    return taken;
}

static void a_second_has_its_lines(void **state)
{
    struct audit_share s = {0};
    (void)state;
    assert_int_equal(take(&s, AUDIT_STRANGERS, 100, 1000), AUDIT_STRANGERS_SECOND);
    assert_int_equal(take(&s, AUDIT_KNOWN, 100, 1000), AUDIT_KNOWN_SECOND);
    assert_int_equal(take(&s, AUDIT_STRANGERS, SECOND_MS - 1, 1), 0);
    assert_int_equal(take(&s, AUDIT_STRANGERS, SECOND_MS, 1000), AUDIT_STRANGERS_SECOND);
    assert_int_equal(take(&s, AUDIT_KNOWN, SECOND_MS, 1000), AUDIT_KNOWN_SECOND);
}

static void whoever_goes_on_gets_a_day_s_lines(void **state)
{
    struct audit_share s = {0};
    unsigned strangers = 0, known = 0;
    (void)state;
    for (uint64_t now_ms = 0; now_ms < DAY_MS; now_ms += SECOND_MS) {
        strangers += take(&s, AUDIT_STRANGERS, now_ms, 10);
        known += take(&s, AUDIT_KNOWN, now_ms, 1);
    }
    assert_int_equal(strangers, AUDIT_STRANGERS_DAY);
    assert_int_equal(known, AUDIT_KNOWN_DAY);
    assert_int_equal(take(&s, AUDIT_STRANGERS, DAY_MS, 10), AUDIT_STRANGERS_SECOND);
    assert_int_equal(take(&s, AUDIT_KNOWN, DAY_MS, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_has_its_lines),
        cmocka_unit_test(whoever_goes_on_gets_a_day_s_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
