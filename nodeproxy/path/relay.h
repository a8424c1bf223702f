/*
 * Bytes both ways between two streams until both directions have ended: half-close passes through, a failure of one side
 * resets the other, and a side is read only as fast as the other takes. Embedded in a story; holds no bytes itself.
 */
#ifndef NODEPROXY_PATH_RELAY_H
#define NODEPROXY_PATH_RELAY_H
#include "nodeproxy/path/hold.h"
#include "shared/base/stream.h"
#include "shared/base/timer_wheel.h"
#include "shared/mesh/ending.h"
#include "shared/service/metrics.h"

struct relay;
struct relay_side {
    struct relay *relay;
    struct stream *stream;
    struct relay_side *other;
    bool ended, finished, paused;
    bool choked;                 /* paused because the pod holds too much (hold.h) */
    uint64_t bytes;              /* received from this side */
    struct metric_series *count; /* where they are counted as they flow; may be NULL */
};
struct relay {
    struct relay_side client, server;
    void (*over)(struct relay *r, enum ending ending); /* once, from an event; bytes have been flushed if CLOSED */
    struct timer_wheel *timers;
    struct timer idle;
    uint64_t idle_ms, active_ms; /* idle_ms 0: never */
    size_t queued;               /* both ways, when the timer looked last */
    bool is_over;
    bool server_failed;          /* that ended it */
    /* The server has ended and the client has it all, but goes on itself. Set after relay_start(); may be NULL. */
    void (*half)(struct relay *r);
    struct hold *hold;           /* set before relay_start(); may be NULL */
    struct hold_link held;
};
/* Takes over both streams' events. Neither may have been read before. */
void relay_start(struct relay *r, struct stream *client, struct stream *server, struct timer_wheel *timers, uint64_t idle_ms, void (*over)(struct relay *r, enum ending ending));
/* What the client side had sent before the relay began, right after relay_start(); ended: that was all. Takes the bytes; no event. */
void relay_give(struct relay *r, struct buf *bytes, bool ended);
/* For hold.h. */
void relay_unchoke(struct relay *r); /* reads on where nothing is queued any more */
bool relay_is_choked(const struct relay *r);
void relay_evict(struct relay *r);   /* ends it with LIMIT */
enum ending relay_ending(int error, bool client); /* of the client's side, or the server's, that failed so */
void relay_stop(struct relay *r); /* no event is looked at any more; the streams are their owners' to close */
#endif
