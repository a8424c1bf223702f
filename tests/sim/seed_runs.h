/*
 * Runs of a simulation that is no mesh, one a seed. The seed is printed when a run fails, and WEIR_SEED=n runs that one alone.
 * Chance is the run's own.
 */
#ifndef TESTS_SIM_SEED_RUNS_H
#define TESTS_SIM_SEED_RUNS_H
/* cmocka.h wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fake_ring.h"
#include <stdlib.h>

static struct rng *chance;
static uint64_t running;

static inline bool one_in(unsigned n)
{
    return n > 0 && rng_below(chance, n) == 0;
}

/* repeatable: the same trace each time. With TLS it is not, its keys are new. */
static inline void run_seeds(uint64_t (*run)(uint64_t seed), unsigned seeds, bool repeatable)
{
    const char *one = getenv("WEIR_SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1, last = one ? first : seeds;
    for (running = first; running <= last; running++) {
        uint64_t trace = run(running);
        if (repeatable && running % 20 == 0 && run(running) != trace)
            fail_msg("two runs of one seed differ");
    }
    running = 0;
}

static inline int tell_seed(void **state)
{
    (void)state;
    if (running)
        print_error("WEIR_SEED=%llu\n", (unsigned long long)running);
    running = 0;
    return 0;
}
#endif
