/*
 * How long the turns of a worker's loop take, in processor time: the longest that whoever needs a
 * moment of this worker waits for what is done for others. A histogram of one turn in sixteen, so
 * that it costs nothing. Processor time and not the clock's: the wait for something to do is in a
 * turn, too. Owned by a worker; its thread.
 */
#ifndef NODEPROXY_BOUNDS_TURN_WATCH_H
#define NODEPROXY_BOUNDS_TURN_WATCH_H
#include "shared/service/metrics.h"

enum { TURN_WATCH_EVERY = 16 };
struct turn_watch {
    struct metrics *metrics;
    uint64_t turns, began_us;
};
void turn_watch_init(struct turn_watch *t, struct metrics *metrics);
/* At the same place of each turn. now_us: clock_thread_us() or a test's. */
void turn_watch_look(struct turn_watch *t, uint64_t (*now_us)(void));
#endif
