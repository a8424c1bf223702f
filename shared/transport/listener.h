/*
 * Accepts connections on a listening descriptor, on one worker. Several workers may listen on the
 * same descriptor: the kernel wakes one. Holds at most `connections_max` accepted and not yet
 * released; at the maximum it stops accepting (the backlog then refuses) until listener_release();
 * what the kernel had accepted already is closed at once. Closing is asynchronous: the descriptor is
 * given back only after the kernel let go of it, which also releases a pod's network namespace.
 */
#ifndef SHARED_TRANSPORT_LISTENER_H
#define SHARED_TRANSPORT_LISTENER_H
#include "shared/ring/ring.h"

struct listener {
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op accept_op;
    struct timer retry; /* accept failed for a reason that may pass, or paused */
    uint64_t pause_ms;  /* asked for, and not begun */
    int fd;             /* owned */
    size_t n_open, connections_max;
    bool full, stopping, closing;
    bool disarmed; /* full, and the scope has drained */
    void (*accepted)(struct listener *l, int taken_fd);
    void (*drained)(struct listener *l);
    void *user;
};
/* connections_max > 0. `accepted` may close the listener. `drained` may be NULL. */
void listener_open(struct listener *l, struct ring *ring, int taken_fd, size_t connections_max,
                   void (*accepted)(struct listener *l, int taken_fd),
                   void (*drained)(struct listener *l), void *user);
/* One accepted connection has ended. Also after listener_close(), while l lives. */
void listener_release(struct listener *l);
/* Accepts none for about so long, after those that the kernel has accepted already. */
void listener_pause(struct listener *l, uint64_t ms);
/* Accepts no more, but gives out what the kernel has accepted already; then as listener_close().
 * Whoever shares the socket gets all that comes from now on. */
void listener_stop(struct listener *l);
/* `drained` follows from the loop, whether or not accepted connections live. Twice is once. */
void listener_close(struct listener *l);
#endif
