#include "shared/transport/listener.h"

#include "shared/ring/socket.h"
#include <assert.h>

enum { RETRY_MS = 100, REST_MAX = 4096 /* what a backlog holds */ };

static void scope_drained(struct ring_scope *scope);

/* For a connection that came while we stopped, the kernel may have woken us alone: without this it
 * would wait until the next one comes to somebody who shares the socket. */
static void take_the_rest(struct listener *l)
{
    int fd;
    for (unsigned n = 0; n < REST_MAX && !l->closing && socket_accept_now(l->fd, &fd) == 0; n++) {
        l->n_open++;
        l->accepted(l, fd);
    }
}

static void listener_accepted(struct ring_op *op, int result)
{
    struct listener *l = container_of(op, struct listener, accept_op);

    if (result < 0 && l->stopping) {
        take_the_rest(l);
        listener_close(l);
        return;
    }
    if (result < 0) {
        timer_start(ring_timers(l->ring), &l->retry, l->pause_ms > 0 ? l->pause_ms : RETRY_MS);
        l->pause_ms = 0;
        return;
    }
    if (++l->n_open >= l->connections_max && !l->closing && !l->stopping) {
        l->full = true;
        ring_scope_close(&l->scope); /* The only way to end a multishot accept. */
    }
    l->accepted(l, result);
}

static void arm(struct listener *l)
{
    l->full = l->disarmed = false;
    l->pause_ms = 0;
    ring_scope_init(&l->scope, l->ring, scope_drained);
    ring_op_init(&l->accept_op, &l->scope);
    ring_accept(l->ring, &l->accept_op, l->fd, listener_accepted);
}

static void scope_drained(struct ring_scope *scope)
{
    struct listener *l = container_of(scope, struct listener, scope);

    if (!l->closing && !l->stopping) {
        l->disarmed = true;
        if (l->n_open < l->connections_max)
            arm(l);
        return;
    }
    l->closing = true;
    socket_close(l->fd);
    l->fd = -1;
    if (l->drained)
        l->drained(l);
}

static void retry(struct timer *t)
{
    struct listener *l = container_of(t, struct listener, retry);
    if (l->stopping) {
        take_the_rest(l);
        listener_close(l);
        return;
    }
    ring_accept(l->ring, &l->accept_op, l->fd, listener_accepted);
}

void listener_open(struct listener *l, struct ring *ring, int taken_fd, size_t connections_max,
                   void (*accepted)(struct listener *l, int taken_fd),
                   void (*drained)(struct listener *l), void *user)
{
    assert(connections_max > 0);
    *l = (struct listener){.ring = ring,
                           .fd = taken_fd,
                           .connections_max = connections_max,
                           .accepted = accepted,
                           .drained = drained,
                           .user = user};
    timer_init(&l->retry, retry);
    arm(l);
}

void listener_release(struct listener *l)
{
    assert(l->n_open > 0);
    l->n_open--;
    if (l->disarmed && !l->closing && !l->stopping && l->n_open < l->connections_max)
        arm(l);
}

void listener_pause(struct listener *l, uint64_t ms)
{
    if (l->closing || l->stopping || l->full || l->pause_ms > 0 || timer_running(&l->retry))
        return;
    l->pause_ms = ms;
    ring_accept_stop(l->ring, &l->accept_op);
}

void listener_stop(struct listener *l)
{
    if (l->closing || l->stopping)
        return;
    l->stopping = true;
    if (l->full && !l->disarmed) /* about to be disarmed: its end is ours */
        return;
    if (l->disarmed)
        listener_close(l);
    else if (timer_running(&l->retry)) /* paused: a last look, from the loop */
        timer_start(ring_timers(l->ring), &l->retry, 0);
    else
        ring_accept_stop(l->ring, &l->accept_op);
}

void listener_close(struct listener *l)
{
    if (l->closing)
        return;
    l->closing = true;
    timer_stop(ring_timers(l->ring), &l->retry);
    if (l->disarmed) /* Nothing is in flight; the end comes from the loop all the same. */
        ring_scope_init(&l->scope, l->ring, scope_drained);
    ring_scope_close(&l->scope);
}
