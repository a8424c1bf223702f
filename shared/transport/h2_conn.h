/*
 * HTTP/2 over a conn: feeds received bytes to the http2 machine and sends what it produces, once per turn. Client or
 * server, with TLS or without. Embedded in its owner. The end comes by itself when the session is over or the connection fails:
 * `closed` tells (once), every stream has had its `closed` before; then the owner calls h2_conn_close() and frees in `drained`.
 * Keep-alive: a PING every ping_ms while streams live; no answer within ping_timeout_ms fails the connection.
 */
#ifndef SHARED_TRANSPORT_H2_CONN_H
#define SHARED_TRANSPORT_H2_CONN_H
#include "shared/http2/http2.h"
#include "shared/transport/conn.h"

struct h2_conn;
struct h2_conn_events {
    void (*ready)(struct h2_conn *h);              /* connected and secured: the owner has checked nothing yet: look at conn_peer() now; requests may be made */
    struct http2_stream *(*request)(struct h2_conn *h, const struct http2_head *head, unsigned *ret_status); /* server */
    void (*goaway)(struct h2_conn *h);             /* no new streams; may be NULL */
    void (*slot)(struct h2_conn *h);               /* may be NULL */
    void (*closed)(struct h2_conn *h, int error);  /* 0: regular end; call h2_conn_close() now or later */
    void (*drained)(struct h2_conn *h);
};
struct h2_conn_options {
    struct http2_options http2;
    struct tls_config *tls;     /* NULL: plain (h2c with prior knowledge) */
    uint64_t handshake_ms;      /* deadline for connect + handshake; 0: 10000 */
    uint64_t ping_ms, ping_timeout_ms; /* 0: 10000, 20000 */
};
struct h2_conn {
    struct conn conn;
    const struct h2_conn_events *events;
    struct h2_conn_options options;
    struct http2 *http2;
    struct ring_task flush_task;
    struct timer deadline, ping;
    bool ready, closed_told, closing, ping_waiting;
    int error;
    void *user;
};
/* Server: an accepted fd. Client: a fd and where to connect. Returns 0 (events follow) or -ENOMEM (fd is closed, no event). */
int h2_conn_open_server(struct h2_conn *h, struct ring *ring, int taken_fd, const struct h2_conn_options *o, const struct h2_conn_events *events, void *user);
int h2_conn_open_client(struct h2_conn *h, struct ring *ring, int taken_fd, const struct addr *to, const struct h2_conn_options *o, const struct h2_conn_events *events, void *user);
/* Graceful: GOAWAY notice, then GOAWAY, streams go on until they end; then `closed`. */
void h2_conn_drain(struct h2_conn *h);
void h2_conn_close(struct h2_conn *h); /* at once (a GOAWAY is tried); streams left are closed first; then drained */
#endif
