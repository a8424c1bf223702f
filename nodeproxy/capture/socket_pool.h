/*
 * Unconnected sockets that were born in one pod's network namespace, a few of each family, for one worker: a connection takes
 * one without entering the namespace. A pool that runs low asks for a batch (`refill`, one setns for all of it) and grows
 * with demand up to SOCKET_POOL_MAX; what nobody takes goes back, tick by tick, so that an idle pod holds none. Owned by its
 * local_pod, which calls socket_pool_tick(); worker thread.
 */
#ifndef NODEPROXY_CAPTURE_SOCKET_POOL_H
#define NODEPROXY_CAPTURE_SOCKET_POOL_H
#include "shared/base/list.h"
#include <stdbool.h>
#include <stddef.h>

enum { SOCKET_POOL_MIN = 4, SOCKET_POOL_MAX = 64, SOCKET_POOL_PIECE = 16, SOCKET_POOL_WAITERS_MAX = 4096 };
/* So long a connection waits for one: on a node that starts hundreds of pods whoever makes them may not run for many seconds, and
 * that is no reason to refuse what its client still waits for. The time to connect begins after it. */
enum { SOCKET_POOL_WAIT_MS = 60000 };

struct socket_pool;
struct socket_waiter { /* embedded in whoever waits; socket_pool_forget() when it no longer does */
    struct list link;
    void (*got)(struct socket_waiter *w, int taken_fd); /* or -errno; from the loop */
};
struct socket_shelf {
    int fds[SOCKET_POOL_MAX];
    unsigned n, target;
    unsigned taken;    /* since the last tick */
    bool asked, late;  /* late: asked before the last tick, and no answer yet */
    struct list waiting;
    size_t n_waiting;
};
struct socket_pool {
    struct socket_shelf v4, v6;
    /* Asks for n sockets of the family; answered by socket_pool_filled() later, never from inside. */
    void (*refill)(struct socket_pool *p, int family, unsigned n);
    unsigned max;      /* kept ready, of each family; SOCKET_POOL_MAX unless it was set lower */
    bool closed;
};
void socket_pool_init(struct socket_pool *p, void (*refill)(struct socket_pool *p, int family, unsigned n));
void socket_pool_set_max(struct socket_pool *p, unsigned max); /* 1 to SOCKET_POOL_MAX; before the first take */
/* A descriptor now, or -EAGAIN: w->got follows; -ENOBUFS: too many wait. */
int socket_pool_take(struct socket_pool *p, int family, struct socket_waiter *w);
void socket_waiter_init(struct socket_waiter *w, void (*got)(struct socket_waiter *w, int taken_fd));
void socket_pool_forget(struct socket_pool *p, struct socket_waiter *w); /* fine if it does not wait */
/* n 0: error says why. Of -ETIMEDOUT (whoever makes them is slow) nobody hears: it is asked again, as long as somebody waits. */
void socket_pool_filled(struct socket_pool *p, int family, const int *taken_fds, size_t n, int error);
/* About every ten seconds. Gives back half of what was not needed; asks again where an answer was lost. False: nothing is
 * held or expected, no tick is needed until the next refill. */
bool socket_pool_tick(struct socket_pool *p);
void socket_pool_done(struct socket_pool *p); /* closes what is there; waiters get -ECANCELED */
#endif
