/*
 * One TCP (or Unix) connection on the ring, with or without a tls_channel, as a `struct stream`. Embedded in its owner
 * together with its own scope: conn_close() gives everything back and then calls `drained`, where the owner frees.
 *
 * Owned by one worker. Bounded: queue (STREAM_QUEUE_HIGH and one event's worth), received bytes in flight (the owner takes
 * them at once). One send in flight; what is queued meanwhile goes with the next (that batches records). Everything that
 * was queued in one turn is sent once, at the end of the turn.
 */
#ifndef SHARED_TRANSPORT_CONN_H
#define SHARED_TRANSPORT_CONN_H
#include "shared/base/addr.h"
#include "shared/base/stream.h"
#include "shared/ring/ring.h"
#include "shared/tls/tls_channel.h"

struct conn;
struct conn_events {
    void (*connected)(struct conn *c, int result); /* after conn_connect; 0 or -errno */
    /* The handshake is over: 0, then the owner looks at conn_peer() and may close; or -errno, see conn_why(). */
    void (*secured)(struct conn *c, int result);
    void (*drained)(struct conn *c);               /* the end; the fd is closed, memory may go */
};
struct conn {
    struct stream stream;
    const struct conn_events *events;
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op recv_op, connect_op;
    struct ring_send send;
    struct ring_task flush_task;
    struct tls_channel *tls;  /* NULL: plain */
    struct buf out;           /* bytes for the socket */
    struct buf out_plain;     /* waiting for the handshake or the flush to be sealed */
    struct sockaddr_storage to;
    int fd;
    bool connecting, receiving, paused, peer_ended, finish_asked, finish_sent, was_high, dead, sending, established, closing;
    uint64_t bytes_in, bytes_out; /* plain bytes */
};
/* Takes the fd (connected, or to be connected). No byte is read before conn_start() or conn_secure(). */
void conn_init(struct conn *c, struct ring *ring, int taken_fd, const struct conn_events *events);
void conn_connect(struct conn *c, const struct addr *to);      /* `connected` follows */
int conn_secure(struct conn *c, struct tls_config *config);    /* `secured` follows; -ENOMEM */
void conn_start(struct conn *c);                               /* from now on stream events come */
const struct tls_peer *conn_peer(const struct conn *c);        /* NULL: plain */
const char *conn_why(const struct conn *c);
void conn_close(struct conn *c); /* once; asynchronous, `drained` follows; unsent bytes are dropped */
#endif
