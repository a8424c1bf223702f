/*
 * Deadlines of one thread: start, restart and stop cost O(1), whatever their number. Resolution is
 * one millisecond near and coarser far away; a timer never fires early. Timers are embedded in
 * their owners; a stopped or fired timer may be freed. Callbacks run from timer_wheel_expire()
 * only.
 */
#ifndef SHARED_BASE_TIMER_WHEEL_H
#define SHARED_BASE_TIMER_WHEEL_H
#include "shared/base/list.h"
#include <stdint.h>

struct timer;
typedef void timer_fired(struct timer *t);
struct timer {
    struct list link; /* in a slot while it runs */
    uint64_t at_ms;
    timer_fired *fired;
};
enum { TIMER_LEVELS = 5, TIMER_SLOTS = 64 };
struct timer_wheel {
    uint64_t now_ms;
    size_t count;
    uint64_t used[TIMER_LEVELS]; /* a bit for each slot that holds a timer */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};
void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms);
void timer_init(struct timer *t, timer_fired *fired);
void timer_start(struct timer_wheel *w, struct timer *t,
                 uint64_t delay_ms);                     /* restarts if it runs */
void timer_stop(struct timer_wheel *w, struct timer *t); /* fine if it does not */
static inline bool timer_running(const struct timer *t)
{
    return !list_empty(&t->link);
}
/* Fires what is due, earliest first. A callback may start, stop and free timers; it does not call
 * this. */
void timer_wheel_expire(struct timer_wheel *w, uint64_t now_ms);
/* Milliseconds from the last expire's time until something must be looked at, at the latest;
 * UINT64_MAX: nothing runs. Far timers are looked at up to four times before they fire. */
uint64_t timer_wheel_next_ms(const struct timer_wheel *w);
#endif
