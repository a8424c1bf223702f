#include "nodeproxy/bounds/turn_watch.h"

#include "shared/base/list.h"

static const char *const labels[] = {"le"};
static const struct metric_family turn_seconds = {
    "weir_turn_duration_seconds", "Processor time of turns of the workers' loops, one in sixteen.",
    METRIC_SHORT_SECONDS, labels, ARRAY_SIZE(labels)};

void turn_watch_init(struct turn_watch *t, struct metrics *metrics)
{
    *t = (struct turn_watch){.metrics = metrics};
}

void turn_watch_look(struct turn_watch *t, uint64_t (*now_us)(void))
{
    uint64_t phase = t->turns++ % TURN_WATCH_EVERY;
    if (phase == 0) {
        t->began_us = now_us();
    } else if (phase == 1) {
        struct text le[ARRAY_SIZE(labels)];
        metrics_observe(t->metrics, &turn_seconds, le, now_us() - t->began_us);
    }
}
