/*
 * Two streams that are each other's other side: what is sent into one is received from the other, in this process, without
 * a socket. Embedded in its owner; one worker. Neither reads before stream_resume(). Events come at the end of the turn.
 *
 * Bounded as every stream: its user stops giving when stream_queued() is over STREAM_QUEUE_HIGH.
 */
#ifndef SHARED_TRANSPORT_STREAM_PAIR_H
#define SHARED_TRANSPORT_STREAM_PAIR_H
#include "shared/base/stream.h"
#include "shared/ring/ring.h"

struct stream_pair;
struct stream_pair_end {
    struct stream stream;
    struct stream_pair *pair;
    struct stream_pair_end *other;
    struct ring_task task;  /* tells its user */
    struct buf in;          /* for its user */
    bool paused, was_high;  /* was_high: `writable` is due */
    bool finish_asked, ended;
    bool over;              /* no event any more */
    int error;              /* `failed` is due */
};
struct stream_pair {
    struct ring *ring;
    struct stream_pair_end ends[2];
};
void stream_pair_init(struct stream_pair *p, struct ring *ring);
/* Both go without a word; not within one of their events, as memory that an event belongs to. */
void stream_pair_done(struct stream_pair *p);
#endif
