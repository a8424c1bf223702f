#include "shared/base/timer_wheel.h"

#include <assert.h>

/*
 * A timer lies at the lowest level whose block holds both it and now: level L has 64 slots of 64^L
 * milliseconds, and its block is 64 slots long. So all timers of a level come before those of any
 * higher level, and a slot of a higher level is spread over the lower ones when its time begins.
 * The top level goes round: what is further away than a whole turn stays there and is looked at
 * again.
 */
enum { SLOT_BITS = 6, SPAN_BITS = SLOT_BITS * TIMER_LEVELS };
_Static_assert(1 << SLOT_BITS == TIMER_SLOTS, "a slot's number has SLOT_BITS bits");
_Static_assert(TIMER_SLOTS == 64, "one word says which slots are used");

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
    *w = (struct timer_wheel){.now_ms = now_ms};
    for (size_t level = 0; level < TIMER_LEVELS; level++)
        for (size_t slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
}

void timer_init(struct timer *t, timer_fired *fired)
{
    *t = (struct timer){.fired = fired};
    list_init(&t->link);
}

static unsigned slot_number(uint64_t ms, unsigned level)
{
    return ms >> (SLOT_BITS * level) & (TIMER_SLOTS - 1);
}

/* Puts a timer that is in no list and not before now into its slot. */
static void insert(struct timer_wheel *w, struct timer *t)
{
    uint64_t differs = (t->at_ms ^ w->now_ms) | 1;
    unsigned level = (63 - (unsigned)__builtin_clzll(differs)) / SLOT_BITS;

    if (level >= TIMER_LEVELS)
        level = TIMER_LEVELS - 1;
    unsigned slot = slot_number(t->at_ms, level);
    list_push_back(&w->slots[level][slot], &t->link);
    w->used[level] |= (uint64_t)1 << slot;
}

/* Clears the mark of the slot that the timer is about to leave, if it is alone there. A timer that
 * is being fired is in a list of timer_wheel_expire() and has no slot. */
static void unmark(struct timer_wheel *w, const struct timer *t)
{
    uintptr_t head = (uintptr_t)t->link.next, first = (uintptr_t)&w->slots[0][0];

    if (t->link.next != t->link.prev || head < first || head >= first + sizeof w->slots)
        return;
    size_t index = (head - first) / sizeof(struct list);
    w->used[index / TIMER_SLOTS] &= ~((uint64_t)1 << index % TIMER_SLOTS);
}

void timer_start(struct timer_wheel *w, struct timer *t, uint64_t delay_ms)
{
    timer_stop(w, t);
    if (__builtin_add_overflow(w->now_ms, delay_ms, &t->at_ms))
        t->at_ms = UINT64_MAX;
    insert(w, t);
    w->count++;
}

void timer_stop(struct timer_wheel *w, struct timer *t)
{
    if (!timer_running(t))
        return;
    unmark(w, t);
    list_remove(&t->link);
    w->count--;
}

/* The slot whose time begins first; false: nothing runs. */
static bool first_slot(const struct timer_wheel *w, unsigned *ret_level, unsigned *ret_slot,
                       uint64_t *ret_begins_ms)
{
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        uint64_t used = w->used[level];
        if (used == 0)
            continue;
        unsigned shift = SLOT_BITS * level, slot;
        uint64_t block = w->now_ms >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        if (level < TIMER_LEVELS - 1) {
            slot = (unsigned)__builtin_ctzll(used);
        } else {
            /* After the current slot, and around: the current one itself is a whole turn away. */
            unsigned next = (slot_number(w->now_ms, level) + 1) % TIMER_SLOTS;
            uint64_t turned = next > 0 ? used >> next | used << (TIMER_SLOTS - next) : used;
            slot = ((unsigned)__builtin_ctzll(turned) + next) % TIMER_SLOTS;
            if (slot < next || next == 0)
                block += (uint64_t)1 << SPAN_BITS;
        }
        *ret_level = level;
        *ret_slot = slot;
        *ret_begins_ms = block + ((uint64_t)slot << shift);
        return true;
    }
    return false;
}

static void take_slot(struct timer_wheel *w, unsigned level, unsigned slot, struct list *expired)
{
    struct list taken, *n;

    list_init(&taken);
    list_splice(&taken, &w->slots[level][slot]);
    w->used[level] &= ~((uint64_t)1 << slot);
    if (level == 0) {
        list_splice(expired, &taken);
        return;
    }
    while ((n = list_pop_front(&taken)))
        insert(w, container_of(n, struct timer, link));
}

void timer_wheel_expire(struct timer_wheel *w, uint64_t now_ms)
{
    struct list expired, *n;
    uint64_t begins_ms;
    unsigned level, slot;

    if (now_ms < w->now_ms)
        now_ms = w->now_ms;
    list_init(&expired);
    while (first_slot(w, &level, &slot, &begins_ms) && begins_ms <= now_ms) {
        w->now_ms = begins_ms;
        take_slot(w, level, slot, &expired);
    }
    /* The callbacks see the time as it is: a delay that they start is counted from now, not from
     * the deadline that passed, and waits for the next call. */
    w->now_ms = now_ms;
    while ((n = list_pop_front(&expired))) {
        struct timer *t = container_of(n, struct timer, link);
        w->count--;
        t->fired(t);
    }
}

uint64_t timer_wheel_next_ms(const struct timer_wheel *w)
{
    uint64_t begins_ms;
    unsigned level, slot;

    return first_slot(w, &level, &slot, &begins_ms) ? begins_ms - w->now_ms : UINT64_MAX;
}
