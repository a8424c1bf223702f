/*
 * One TCP (or Unix) connection on the ring, with or without a tls_channel, as a `struct stream`.
 * Embedded in its owner together with its own scope: conn_close() gives everything back and then
 * calls `drained`, where the owner frees.
 *
 * Owned by one worker. Bounded: queue (STREAM_QUEUE_HIGH and one event's worth), received bytes in
 * flight (the owner takes them at once). One send in flight; what is queued meanwhile goes with the
 * next (that batches records). What was queued in one turn is sent once, at the end of the turn.
 *
 * Inside any event the owner may call anything, conn_close() and stream_reset() included; only
 * `drained` frees.
 */
#ifndef SHARED_TRANSPORT_CONN_H
#define SHARED_TRANSPORT_CONN_H
#include "shared/base/addr.h"
#include "shared/base/stream.h"
#include "shared/ring/ring.h"
#include "shared/tls/tls_channel.h"

struct conn;
struct conn_events {
    /* After conn_connect(): 0, or -errno, and then nothing but conn_close() is left. */
    void (*connected)(struct conn *c, int result);
    /* No local port was free for it, and nothing was sent. True: the owner did something about it,
     * and called conn_connect() again. May be NULL. */
    bool (*without_port)(struct conn *c);
    /* The handshake is over: 0, then the owner looks at conn_peer() and may close; or -errno, see
     * conn_why(), instead of the stream's `failed`. */
    void (*secured)(struct conn *c, int result);
    /* TLS: a step of the handshake is due, which costs time. False: not now, conn_shake() follows.
     * May be NULL. */
    bool (*may_shake)(struct conn *c);
    void (*drained)(struct conn *c); /* the end; the fd is closed, memory may go */
};
struct conn {
    struct stream stream; /* the owner sets its events before conn_start() or conn_secure() */
    const struct conn_events *events;
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op recv_op, send_op; /* send_op connects first */
    struct ring_task flush_task;
    struct tls_channel *tls; /* NULL: plain */
    struct buf in;           /* received and not delivered: while paused */
    struct buf out;          /* bytes for the socket */
    struct buf out_plain;    /* waiting for the handshake or the flush to be sealed */
    const char *why; /* a static sentence; NULL: nothing known */
    int fd;
    bool connecting, sending, receiving;
    bool shake_waits, shaking; /* for conn_shake(); in it */
    bool started, paused, established;
    bool dead, closing;
    bool finish_asked, notify_sent, finish_sent; /* notify: TLS's close_notify */
    bool was_high;                               /* `writable` is due */
    bool input_waiting;                          /* the flush task looks at `in` first */
    bool socket_ended;                           /* the socket has no more bytes for us */
    bool input_ended; /* nor has the stream: `ended` comes after what is in `in` */
    bool peer_ended;  /* `ended` was told */
    bool truncated;   /* TLS: the peer's bytes ended without close_notify */
    /* Set by owners whose protocol has its own end (HTTP/2): a truncated TLS stream is `ended`. For
     * others it fails with -ECONNRESET. */
    bool eof_is_end;
    uint64_t bytes_in, bytes_out; /* plain bytes: given to the owner, taken from the owner */
};
/* Takes the fd (connected, or to be connected). Reads nothing before conn_start() or conn_secure(). */
void conn_init(struct conn *c, struct ring *ring, int taken_fd, const struct conn_events *events);
void conn_share(struct conn *c, struct ring_share *share);  /* for what it receives; outlives it */
void conn_connect(struct conn *c, const struct addr *to);   /* `connected` follows */
int conn_secure(struct conn *c, struct tls_config *config); /* `secured` follows; -ENOMEM */
void conn_start(struct conn *c);                            /* from now on stream events come */
/* As if nothing had been read of it: what it gave is put back, and comes again, with its end, after
 * another conn_start(). Plain ones only; from an event of it, or a timer. */
void conn_stop(struct conn *c, struct buf *taken_unread);
void conn_shake(struct conn *c); /* after may_shake() had said no; fine at any time */
/* Hands what is queued to the ring now and not at the end of the turn: for last words before
 * conn_close(). No event. */
void conn_flush(struct conn *c);
const struct tls_peer *conn_peer(const struct conn *c); /* NULL: plain, or not yet secured */
const char *conn_why(const struct conn *c);             /* of the last error; never NULL */
/* Asynchronous, `drained` follows; unsent bytes are dropped. Twice is once. */
void conn_close(struct conn *c);
#endif
