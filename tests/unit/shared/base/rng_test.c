#include "shared/base/rng.h"
#include "tests/unit/shared/base/test.h"

/* The first numbers of the authors' xoshiro256** from the state 1, 2, 3, 4. */
static void is_xoshiro(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        11520u, 0u, 1509978240u, 1215971899390074240u, 1216172134540287360u,
    };
    struct rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_int_equal(rng_u64(&r), expected[i]);
}

/* splitmix64 from 1234567, as its author gives it, fills the state. */
static void seeds_with_splitmix(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1234567);
    assert_int_equal(r.s[0], 6457827717110365317u);
    assert_int_equal(r.s[1], 3203168211198807973u);
    assert_int_equal(r.s[2], 9817491932198370423u);
    assert_int_equal(r.s[3], 4593380528125082431u);
}

static void below_is_fair(void **state)
{
    (void)state;
    struct rng r;
    size_t counts[7] = {0};

    test_seed(&r);
    for (int i = 0; i < 70000; i++)
        counts[rng_below(&r, 7)]++;
    for (size_t i = 0; i < 7; i++) /* 10,000 expected; 10 standard deviations are 926 */
        assert_in_range(counts[i], 9074, 10926);
    /* With a bound of 3/4 of the range a biased one would draw the lower half twice as often. */
    size_t low = 0;
    uint64_t bound = UINT64_MAX / 4 * 3;
    for (int i = 0; i < 30000; i++)
        low += rng_below(&r, bound) < bound / 3;
    assert_in_range(low, 9180, 10820);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rng_below(&r, 1), 0);
}

static void jitters(void **state)
{
    (void)state;
    struct rng r;
    uint64_t least = UINT64_MAX, most = 0;

    test_seed(&r);
    for (int i = 0; i < 10000; i++) {
        uint64_t v = rng_jitter(&r, 1000, 10);
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    assert_int_equal(least, 900);
    assert_int_equal(most, 1100);
    assert_int_equal(rng_jitter(&r, 1000, 0), 1000);
    assert_int_equal(rng_jitter(&r, 0, 50), 0);
    assert_int_equal(rng_jitter(&r, 5, 10), 5);
    for (int i = 0; i < 1000; i++) {
        assert_in_range(rng_jitter(&r, 1000, 400), 0, 2000);
        assert_true(rng_jitter(&r, UINT64_MAX, 10) >= UINT64_MAX / 10 * 9);
    }
}

static void system_gives_different_ones(void **state)
{
    (void)state;
    uint8_t a[64] = {0}, b[64] = {0};
    struct rng r, s;

    assert_int_equal(rng_os(a, sizeof a), 0);
    assert_int_equal(rng_os(b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(rng_seed_os(&r), 0);
    assert_int_equal(rng_seed_os(&s), 0);
    assert_int_not_equal(rng_u64(&r), rng_u64(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_xoshiro),
        cmocka_unit_test(seeds_with_splitmix),
        cmocka_unit_test(below_is_fair),
        cmocka_unit_test(jitters),
        cmocka_unit_test(system_gives_different_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
