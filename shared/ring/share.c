/*
 * Shares of what is received in a turn. The kernel fills as many chunks as it finds, connection by
 * connection, so one that floods would fill whole turns. Receives of a share that is used up are
 * taken out of the kernel, wait in a row, and come back as single ones: then it is we who say how
 * many chunks a turn brings, and what is not received waits in the socket, whose window closes.
 */
#include "shared/ring/ring_state.h"
#include <assert.h>

enum {
    RUSH_BYTES = 2 * RING_SHARE_BYTES, /* in a turn: a rush begins */
    CALM_MS = 100,                     /* so long no share was used up: it is over */
    TRY_BYTES = RING_SHARE_BYTES / 4,  /* at least, in a receive that comes back */
    ALL_BYTES = 4 * RING_SHARE_BYTES,  /* in a turn, of all that wait */
    RIVAL_MS = 100,                    /* so long ago somebody else was served */
};

void ring_share_init(struct ring_share *s, struct ring *ring)
{
    *s = (struct ring_share){.ring = ring};
    list_init(&s->link);
    list_init(&s->waiting);
    list_init(&s->late);
    list_init(&s->put_off);
}

void ring_share_done(struct ring_share *s)
{
    assert(list_empty(&s->waiting) && list_empty(&s->put_off));
    list_remove(&s->link);
    list_remove(&s->late);
}

/* Of the two that were served last the times are known: one of them is somebody else's. */
void ring_share_use(struct ring_share *s)
{
    struct ring *ring = s->ring;
    if (ring->served != s) {
        ring->rival_ms = ring->served_ms;
        ring->served = s;
    }
    ring->served_ms = ring->timers.now_ms;
}

bool ring_share_has_rival(const struct ring_share *s)
{
    const struct ring *ring = s->ring;
    uint64_t then = ring->served == s ? ring->rival_ms : ring->served_ms;
    return then > 0 && ring->timers.now_ms - then <= RIVAL_MS;
}

bool ring_share_pay(struct ring_share *s, size_t bytes)
{
    uint64_t now = s->ring->timers.now_ms;
    ring_share_use(s);
    if (s->turn != s->ring->stats.turns) {
        s->turn = s->ring->stats.turns;
        s->used = 0;
        s->over = s->over && now - s->used_up_ms <= CALM_MS;
    }
    s->used += bytes;
    s->over = s->over || s->used >= RUSH_BYTES;
    if (s->used >= RING_SHARE_BYTES)
        s->used_up_ms = now;
    return ring_share_is_over(s);
}

bool ring_share_is_over(const struct ring_share *s)
{
    return s->over && ring_share_has_rival(s);
}

void ring_share_wait(struct ring_share *s, struct ring_op *op)
{
    list_push_back(&s->waiting, &op->waiting);
    if (list_empty(&s->link))
        list_push_back(&s->ring->shares, &s->link);
}

/* What each brought last time is what it is expected to bring now. The sum, but of who is alone. */
static size_t go_on(struct ring_share *s)
{
    bool rival = ring_share_has_rival(s);
    size_t expected = 0;
    for (struct list *n; expected < RING_SHARE_BYTES && (n = list_pop_front(&s->waiting));) {
        struct ring_op *op = container_of(n, struct ring_op, waiting);
        op->single = rival;
        if (rival)
            expected += op->got > TRY_BYTES ? op->got : TRY_BYTES;
        ring_op_arm(s->ring, op);
    }
    return expected;
}

/* Each share once, as long as there is room; the others are the first ones of the next turn. */
void ring_shares_run(struct ring *ring)
{
    const struct list *last = ring->shares.prev;
    size_t expected = 0;
    while (expected < ALL_BYTES && !list_empty(&ring->shares)) {
        struct list *n = list_pop_front(&ring->shares);
        struct ring_share *s = container_of(n, struct ring_share, link);
        expected += go_on(s);
        if (!list_empty(&s->waiting))
            list_push_back(&ring->shares, &s->link);
        if (n == last)
            return;
    }
}
