/*
 * HTTP/2 over a conn: feeds received bytes to the http2 machine and sends what it produces, once per
 * turn. Client or server, with TLS or without. Embedded in its owner. The end comes by itself when
 * the session is over or the connection fails: `closed` tells (once), every stream has had its
 * `closed` before; then the owner calls h2_conn_close() and frees in `drained`.
 * Keep-alive: a PING after ping_ms of silence while streams live; still silence after
 * ping_timeout_ms fails the connection.
 *
 * Order: ready, then requests and stream events, then each stream's `closed`, then `closed`, then
 * drained. Events come from the loop; the owner may call anything inside any of them. Streams end at
 * the end of the turn in which the connection did, never under a running stream event. If the owner
 * calls h2_conn_close() before `closed`, then `closed` does not come.
 * Bounded: the conn's queue (output is made only while it is below STREAM_QUEUE_HIGH), and http2.
 */
#ifndef SHARED_TRANSPORT_H2_CONN_H
#define SHARED_TRANSPORT_H2_CONN_H
#include "shared/http2/http2.h"
#include "shared/transport/conn.h"

struct h2_conn;
struct h2_conn_events {
    /* Connected and secured. Who the peer is was not looked at: do it now, by conn_peer(). Requests
     * may be made. */
    void (*ready)(struct h2_conn *h);
    /* Server; as in http2.h. */
    struct http2_stream *(*request)(struct h2_conn *h, const struct http2_head *head,
                                    unsigned *ret_status);
    bool (*may_shake)(struct h2_conn *h); /* as in conn.h, h2_conn_shake() follows; may be NULL */
    void (*goaway)(struct h2_conn *h); /* no new streams; may be NULL */
    void (*slot)(struct h2_conn *h);   /* may be NULL */
    /* 0: regular end. Call h2_conn_close() now or later. http2 is NULL from here on. */
    void (*closed)(struct h2_conn *h, int error);
    void (*drained)(struct h2_conn *h);
    /* Server; as in http2.h. */
    void (*refused)(struct h2_conn *h, const struct http2_refusal *refusal);
};
struct h2_conn_options {
    struct http2_options http2; /* `server` is set by h2_conn */
    struct tls_config *tls;     /* NULL: plain (h2c with prior knowledge). Borrowed for the call */
    struct ring_share *share;   /* for what it receives; NULL: none */
    uint64_t handshake_ms; /* for connect and handshake, and for the last bytes to leave; 0: 10000 */
    uint64_t ping_ms, ping_timeout_ms; /* 0: 10000, 20000 */
    bool ping_idle;                    /* also while no stream lives */
};
struct h2_conn {
    struct conn conn;
    const struct h2_conn_events *events;
    struct h2_conn_options options;
    struct http2 *http2;
    struct ring_task flush_task;
    struct timer deadline, ping, retry, notice;
    bool ready, closed_told, closing;
    bool starting;  /* a plain server that has not said ready yet */
    bool over;      /* the session has ended, `error` says how; the flush task tells */
    bool finishing; /* nothing more will be said: waiting for the last bytes to leave */
    bool draining, goaway_sent;
    unsigned pings;         /* not answered yet */
    uint64_t bytes_in_then; /* conn.bytes_in when the ping timer was started */
    int error;
    char why[128]; /* of the error; "": ask conn */
    void *user;
};
/* Server: an accepted fd. 0: events follow. -ENOMEM, -EINVAL (options): fd is closed, no event. */
int h2_conn_open_server(struct h2_conn *h, struct ring *ring, int taken_fd,
                        const struct h2_conn_options *o, const struct h2_conn_events *events,
                        void *user);
/* Client: a fd and where to connect; the same. */
int h2_conn_open_client(struct h2_conn *h, struct ring *ring, int taken_fd, const struct addr *to,
                        const struct h2_conn_options *o, const struct h2_conn_events *events,
                        void *user);
/* Graceful (RFC 9113, 6.8), streams go on until they end; then `closed`. A server says it in two
 * steps: first a notice, so that the peer opens no more streams; after a round trip (a PING), or a
 * second if the peer keeps it waiting, the last stream that counts. One in the middle of its
 * handshake finishes that first: the peer may have something to say. A client that is not ready ends
 * at once: it has no stream. */
void h2_conn_drain(struct h2_conn *h);
void h2_conn_shake(struct h2_conn *h);
/* At once (a GOAWAY is tried); streams left are closed first; then drained. Twice is once. */
void h2_conn_close(struct h2_conn *h);
const char *h2_conn_why(const struct h2_conn *h); /* of the error; never NULL; until drained */
#endif
