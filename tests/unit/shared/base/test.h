/*
 * What the unit tests of shared/base, shared/json and shared/yaml begin with: cmocka with the headers
 * that it wants before it, and a seed that is printed, so that a failure can be repeated with WEIR_SEED.
 */
#ifndef TESTS_UNIT_SHARED_BASE_TEST_H
#define TESTS_UNIT_SHARED_BASE_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/list.h"
#include "shared/base/rng.h"
#include "shared/base/text.h"

static inline void is_text(struct text t, const char *expected)
{
    if (!text_equal(t, text_of(expected)))
        fail_msg("'%.*s' is not '%s'", (int)t.len, t.data, expected);
}

static inline void test_seed(struct rng *r)
{
    const char *given = getenv("WEIR_SEED");
    uint64_t seed = 0;

    if (given)
        seed = strtoull(given, NULL, 0);
    else if (rng_os(&seed, sizeof seed) < 0)
        fail_msg("no seed");
    print_message("seed: WEIR_SEED=%llu\n", (unsigned long long)seed);
    rng_seed(r, seed);
}
#endif
