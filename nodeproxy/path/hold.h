/*
 * What one pod's readers leave unread, in chunks of the worker's pool, and the share of the pool that it may take. The share is as much as is
 * left to all others (or the setting --pod-buffers-max, if that is less): one pod alone gets half of the pool, two a third each, and there is
 * always some left for who needs little. From half of its share on the pod's relays read on only when what they read before has
 * gone; beyond the share the one that holds most ends with LIMIT. Owned by a local_pod; one worker.
 *
 * The count is what each relay's queues were when it last received: it is made exact by a walk over those that hold something, when
 * it matters.
 */
#ifndef NODEPROXY_PATH_HOLD_H
#define NODEPROXY_PATH_HOLD_H
#include "nodeproxy/bounds/bounds.h"
#include "shared/ring/ring.h"

struct relay;
struct hold {
    struct ring *ring;          /* NULL: not in use */
    struct pod_bounds *bounds;
    size_t max;                 /* of the share; 0: what is left to others alone decides */
    size_t chunks, walk_at;
    int64_t told;               /* of the chunks, what is in the bounds */
    struct list relays;         /* that hold something or are choked */
    struct timer look;
};
struct hold_link { /* in a relay */
    struct list link;
    uint32_t chunks[2];         /* queued for the client, for the server */
};
void hold_init(struct hold *h, struct ring *ring, struct pod_bounds *bounds, size_t max);
/* Side i of the relay has so many bytes queued now; true: no more for it until it is empty. */
bool hold_update(struct hold *h, struct hold_link *l, unsigned i, size_t queued);
void hold_measure(struct hold *h); /* makes the count exact, and tells the bounds */
void hold_forget(struct hold *h, struct hold_link *l);
void hold_done(struct hold *h);
#endif
