#include "nodeproxy/capture/warden_watch.h"

#include <poll.h>

static void heard(struct ring_op *op, int result)
{
    struct warden_watch *w = container_of(op, struct warden_watch, op);
    if (result < 0 || (result & POLLNVAL))
        return;
    privileged_look(w->privileged);
    ring_poll(w->ring, &w->op, privileged_channel(w->privileged), POLLIN, heard);
}

static void drained(struct ring_scope *scope)
{
    struct warden_watch *w = container_of(scope, struct warden_watch, scope);
    w->closed(w->arg);
}

void warden_watch_open(struct warden_watch *w, struct ring *ring, struct privileged *p)
{
    *w = (struct warden_watch){.privileged = p, .ring = ring};
    ring_scope_init(&w->scope, ring, drained);
    ring_op_init(&w->op, &w->scope);
    ring_poll(ring, &w->op, privileged_channel(p), POLLIN, heard);
}

void warden_watch_close(struct warden_watch *w, void (*closed)(void *arg), void *arg)
{
    w->closed = closed;
    w->arg = arg;
    ring_scope_close(&w->scope);
}
