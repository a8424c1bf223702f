/* What answers to health checks mean (Envoy's rules), when the next one is asked, and what a gRPC server said. */
#include "nodeproxy/path/health_probe.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct health_check check = {
    .interval_ms = 1000, .unhealthy_threshold = 3, .healthy_threshold = 2};

/* 'g'ood, 'n'o answer, 'b'ad answer; in `out` whether it fails after each: '-' or 'x'. */
static void see(bool failed, const char *answers, const char *wanted)
{
    struct health_state s = {.failed = failed};
    char out[32] = "";
    for (size_t i = 0; answers[i]; i++) {
        health_state_see(&s, &check,
                         answers[i] == 'g'   ? HEALTH_GOOD
                         : answers[i] == 'n' ? HEALTH_NO_ANSWER
                                             : HEALTH_BAD_ANSWER);
        out[i] = s.failed ? 'x' : '-';
    }
    assert_string_equal(out, wanted);
}

static void in_a_row(void **state)
{
    (void)state;
    see(false, "gggg", "----");
    see(false, "nnn", "--x");
    see(false, "nngnnn", "-----x"); /* in a row */
    see(false, "gb", "-x");         /* at once */
    see(false, "nb", "-x");
    see(false, "bgg", "xx-");
    see(false, "bgngg", "xxxx-");
    see(false, "bggnnn", "xx---x");
    see(true, "g", "-"); /* the first of all is believed */
    see(true, "ngg", "xx-");
}

static void in_time(void **state)
{
    struct health_state s = {.failed = false};
    struct health_check c = check;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 1);
    assert_int_equal(health_state_wait_ms(&s, &c, &rng), 1000);
    s.failed = true;
    assert_int_equal(health_state_wait_ms(&s, &c, &rng), 1000);
    c.unhealthy_interval_ms = 7000;
    assert_int_equal(health_state_wait_ms(&s, &c, &rng), 7000);
    s.failed = false;
    c.jitter_percent = 20;
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t ms = health_state_wait_ms(&s, &c, &rng);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_in_range(least, 1000, 1005);
    assert_in_range(most, 1195, 1200);
}

/* Pods that take whatever they may, one after the other. */
static void in_shares(void **state)
{
    enum { MAX = 4096, PODS = 30 };
    size_t all = 0;
    (void)state;
    for (unsigned i = 0; i < PODS; i++) {
        size_t its = 0;
        while (health_has_share(its, all, MAX))
            its++, all++;
        assert_int_equal(its, (MAX - (all - its) + 7) / 8);
        assert_true(its > 0 && all <= MAX);
        if (i == 0)
            assert_int_equal(its, 512);
    }
    assert_false(health_has_share(0, MAX, MAX));
    assert_true(health_has_share(0, MAX - 1, MAX));
    assert_false(health_has_share(1, MAX, MAX));
}

static void of_grpc(void **state)
{
    static const struct {
        const char *frame;
        size_t len;
        bool serving;
    } cases[] = {{"\0\0\0\0\2\10\1", 7, true},   {"\0\0\0\0\2\10\2", 7, false},
                 {"\0\0\0\0\2\10\0", 7, false},  {"\0\0\0\0\0", 5, false},
                 {"\1\0\0\0\2\10\1", 7, false},  {"\0\0\0\0\2\10", 6, false},
                 {"\0\0\0\0\3\10\1\0", 8, false}, {"\0\0\0\0\2\20\1", 7, false},
                 {"", 0, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(health_grpc_serving((struct text){cases[i].frame, cases[i].len}),
                         cases[i].serving);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_a_row), cmocka_unit_test(in_time),
                                       cmocka_unit_test(in_shares), cmocka_unit_test(of_grpc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
