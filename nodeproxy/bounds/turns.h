/*
 * Fairness within a worker: in each turn of the loop a pod may begin only so much of what costs time, new connections and steps of TLS handshakes; the
 * rest waits for the next turn, where the pods that wait are served one after the other, as many as fit into a turn. So pods that flood make a turn longer
 * by a bounded time, whatever comes for them and however many they are, and their neighbours are served in between. The same for what is received for
 * a pod (`bytes`, ring.h). While no other pod is served shares are larger: nobody waits. One worker.
 */
#ifndef NODEPROXY_BOUNDS_TURNS_H
#define NODEPROXY_BOUNDS_TURNS_H
#include "shared/ring/ring.h"

enum {
    TURN_SHARE = 2,       /* of a pod, in one turn: a connection or a stream costs 1 */
    TURN_SHARE_ALONE = 32,
    TURN_ALL = 4,         /* of all pods that wait */
    TURN_HANDSHAKE = 8,   /* what a step of a handshake costs: one, whatever is left */
    TURN_WAITING_HIGH = 1024, /* accepted connections that wait: then the kernel keeps the others */
};
struct turns { /* of a worker */
    struct ring *ring;
    struct list waiting; /* pods */
    struct ring_task task;
    uint64_t served;     /* the turn that was served last */
};
struct pod_turn { /* in a pod */
    struct turns *turns;
    struct list link, waiting;
    size_t n_waiting;
    uint64_t turn;       /* of `left` */
    uint64_t served;     /* the turn in which those that wait were looked at last */
    unsigned left;
    struct ring_share bytes;
};
struct turn_wait { /* in whatever waits */
    struct list link;
    unsigned cost;
    void (*go)(struct turn_wait *w);
};
void turns_init(struct turns *t, struct ring *ring);
void turns_done(struct turns *t);
void pod_turn_init(struct pod_turn *p, struct turns *t);
void pod_turn_done(struct pod_turn *p); /* nothing waits any more */
/* True: go on now. False: wait. */
bool turn_take(struct pod_turn *p, unsigned cost);
void turn_wait(struct pod_turn *p, struct turn_wait *w); /* `go` follows, in a later turn, unless turn_forget() */
void pod_turn_flush(struct pod_turn *p); /* whatever waits goes now: the pod is closing */
void turn_wait_init(struct turn_wait *w, unsigned cost, void (*go)(struct turn_wait *w));
void turn_forget(struct pod_turn *p, struct turn_wait *w); /* fine if it does not wait */
#endif
