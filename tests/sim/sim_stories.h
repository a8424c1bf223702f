/*
 * A test of stories, each run with several seeds: `#define STORIES(X) X(name, seeds) ...` where name() takes the seed, then
 * STORIES(STORY) and main() with STORIES(TEST). WEIR_SEED runs one seed alone.
 */
#ifndef TESTS_SIM_SIM_STORIES_H
#define TESTS_SIM_SIM_STORIES_H
#include "tests/sim/sim_seed.h"
#include <stdlib.h>

static uint64_t story_seed;
static inline void run(void (*story)(uint64_t seed), uint64_t n)
{
    const char *one = getenv("WEIR_SEED");
    uint64_t last = one ? strtoull(one, NULL, 10) : n;
    for (story_seed = one ? last : 1; story_seed <= last; story_seed++)
        story(story_seed);
}

#define STORY(name, n)                                                                             \
    static void name##_story(void **state)                                                         \
    {                                                                                              \
        (void)state, run(name, n);                                                                 \
    }
#define TEST(name, n) cmocka_unit_test(name##_story),
#endif
