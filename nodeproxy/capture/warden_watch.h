/*
 * Notices that there is a new warden as soon as it says so, not only at the
 * next request: until it has been given the pods' listeners, another crash
 * would refuse connections. Control thread.
 */
#ifndef NODEPROXY_CAPTURE_WARDEN_WATCH_H
#define NODEPROXY_CAPTURE_WARDEN_WATCH_H
#include "nodeproxy/capture/privileged.h"
#include "shared/ring/ring.h"

struct warden_watch { /* embedded; p outlives it */
    struct privileged *privileged;
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op op;
    void (*closed)(void *arg);
    void *arg;
};
void warden_watch_open(struct warden_watch *w, struct ring *ring, struct privileged *p);
void warden_watch_close(struct warden_watch *w, void (*closed)(void *arg), void *arg);
#endif
