#include "shared/ring/ring_state.h"

void ring_task_init(struct ring_task *task, void (*run)(struct ring_task *task))
{
    task->run = run;
    list_init(&task->link);
}

void ring_task_ask(struct ring *ring, struct ring_task *task)
{
    if (list_empty(&task->link))
        list_push_back(&ring->tasks, &task->link);
}

/* How many more tasks of this turn are the share's. */
static unsigned left_of(struct ring_share *s)
{
    uint64_t turn = s->ring->stats.turns;
    if (s->asked_turn != turn) {
        s->asked_turn = turn;
        s->asked = 0;
    }
    return s->asked < RING_SHARE_TASKS ? RING_SHARE_TASKS - s->asked : 0;
}

void ring_task_ask_shared(struct ring *ring, struct ring_task *task, struct ring_share *share)
{
    if (!list_empty(&task->link))
        return;
    if (!share || (list_empty(&share->put_off) && !ring_share_has_rival(share))) {
        ring_task_ask(ring, task);
        return;
    }
    if (list_empty(&share->put_off) && left_of(share) > 0) {
        share->asked++;
        ring_task_ask(ring, task);
        return;
    }
    list_push_back(&share->put_off, &task->link);
    if (list_empty(&share->late))
        list_push_back(&ring->late, &share->late);
}

void ring_task_cancel(struct ring_task *task)
{
    list_remove(&task->link);
}

/* What was put off becomes due: of each share what its turn has room for, as long as there is room
 * for all of them; who had none is the first one of the next turn. */
static void take_late(struct ring *ring)
{
    const struct list *last = ring->late.prev;
    for (unsigned room = LATE_MAX; room > 0 && !list_empty(&ring->late);) {
        struct list *link = list_pop_front(&ring->late), *n;
        struct ring_share *s = container_of(link, struct ring_share, late);
        bool alone = !ring_share_has_rival(s);
        while ((alone || (room > 0 && left_of(s) > 0)) && (n = list_pop_front(&s->put_off))) {
            list_push_back(&ring->tasks, n);
            s->asked++;
            room -= room > 0;
        }
        if (!list_empty(&s->put_off))
            list_push_back(&ring->late, &s->late);
        if (link == last)
            return;
    }
}

/* In rounds: a task that is asked for by a task runs in the next round of the same turn, so that
 * what it flushes goes out with this turn's submit. After the last round it must wait: input
 * comes first. */
static void run_rounds(struct ring *ring)
{
    for (int round = 0; round < TASK_ROUNDS_MAX && !list_empty(&ring->tasks); round++) {
        struct list last; /* of this round: a marker, since tasks may leave the list meanwhile */
        list_push_back(&ring->tasks, &last);
        for (struct list *n; (n = list_pop_front(&ring->tasks)) != &last;) {
            struct ring_task *task = container_of(n, struct ring_task, link);
            task->run(task); /* may free it */
        }
    }
}

/* Whoever has put nothing off goes first. */
void ring_tasks_run(struct ring *ring)
{
    run_rounds(ring);
    if (list_empty(&ring->late))
        return;
    take_late(ring);
    run_rounds(ring);
}
