/* In which parts a route's requests go to its backends: so many of them that chance has little to say. By itself, for it takes long. */
#include "tests/sim/fleet_routes.h"
#include "tests/sim/sim_stories.h"

enum { SPLIT = 100000, BATCH = 10000 };

/* Within half a percent. */
static void split(uint64_t seed)
{
    begin(seed, APP_HTTP2);
    struct route_table *t = table(1);
    forward(t, 0, 70, 30);
    put(t);
    for (unsigned i = 0; i < SPLIT / BATCH; i++) {
        fleet.n_asked = 0;
        fleet_ask(BATCH);
    }
    assert_int_equal(n_client_whole, SPLIT);
    assert_in_range(served_by(0, 2), SPLIT * 695 / 1000, SPLIT * 705 / 1000); /* 3.5 sigma */
    assert_int_equal(served_by(0, 4), SPLIT);
    fleet_end();
}

#define STORIES(X) X(split, 1)
STORIES(STORY)

int main(void)
{
    const struct CMUnitTest tests[] = {STORIES(TEST)};
    seed_watch(&story_seed);
    return seed_tell(cmocka_run_group_tests(tests, NULL, NULL));
}
