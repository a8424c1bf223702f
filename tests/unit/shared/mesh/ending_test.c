#include "shared/mesh/ending.h"

#include "tests/unit/shared/base/test.h"

static void every_ending_says_what_it_is(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENDING_COUNT; i++) {
        enum ending e = (enum ending)i;
        assert_true(strlen(ending_text(e)) > 0);
        assert_true(strlen(ending_meaning(e)) > strlen(ending_text(e)) / 2);
        /* A metric label: Istio's words are of capitals and underscores, "-" says nothing. */
        const char *flag = ending_flag(e);
        assert_true(flag[0] &&
                    (strcmp(flag, "-") == 0 ||
                     strspn(flag, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(flag)));
        unsigned status = ending_hbone_status(e);
        assert_true(status == 0 || (status >= 200 && status < 600));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(ending_text(e), ending_text((enum ending)k));
    }
}

/* What other proxies rely on: refused by policy is 401, and only success is 200. */
static void hbone_answers(void **state)
{
    (void)state;
    assert_int_equal(ending_hbone_status(ENDING_DENIED), 401);
    assert_int_equal(ending_hbone_status(ENDING_BAD_AUTHORITY), 400);
    assert_int_equal(ending_hbone_status(ENDING_UNREACHABLE), 503);
    assert_string_equal(ending_flag(ENDING_DENIED), "DENY");
    for (unsigned i = 0; i < ENDING_COUNT; i++)
        assert_true(i == ENDING_CLOSED || ending_hbone_status((enum ending)i) != 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ending_says_what_it_is),
        cmocka_unit_test(hbone_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
