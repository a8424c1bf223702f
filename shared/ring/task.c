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

void ring_task_cancel(struct ring_task *task)
{
    list_remove(&task->link);
}

/* In rounds: a task that is asked for by a task runs in the next round of the same turn, so that
 * what it flushes goes out with this turn's submit. After the last round it must wait: input
 * comes first. */
void ring_tasks_run(struct ring *ring)
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
