#include "shared/ring/ring_state.h"

void ring_scope_init(struct ring_scope *scope, struct ring *ring,
                     void (*drained)(struct ring_scope *))
{
    *scope = (struct ring_scope){.ring = ring, .drained = drained};
    list_init(&scope->ops);
}

void ring_scope_close(struct ring_scope *scope)
{
    if (scope->closing)
        return;
    scope->closing = true;
    if (scope->in_flight == 0) {
        ring_drained_put(scope->ring, scope);
        return;
    }
    list_for_each (n, &scope->ops) {
        struct ring_op *op = container_of(n, struct ring_op, link);
        if (op->armed)
            ring_op_cancel(scope->ring, op);
        else
            ring_op_give_back(op); /* the last one puts the scope into the queue */
    }
}

/* First closed, first drained. */
void ring_drained_put(struct ring *ring, struct ring_scope *scope)
{
    if (!scope->drained)
        return;
    scope->next_drained = NULL;
    *ring->drained_end = scope;
    ring->drained_end = &scope->next_drained;
}

void ring_drained_run(struct ring *ring)
{
    for (struct ring_scope *scope; (scope = ring->drained_first);) {
        ring->drained_first = scope->next_drained;
        if (!ring->drained_first)
            ring->drained_end = &ring->drained_first;
        scope->drained(
            scope); /* may free the scope and all its operations, and close other scopes */
    }
}
