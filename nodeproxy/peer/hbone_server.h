/*
 * The far end of a tunnel: one accepted connection on a local workload's port 15008. Mutual TLS as that workload, then HTTP/2 in which only
 * CONNECT is known. Checks that the peer's identity is of our trust domain before any stream is looked at; each
 * CONNECT is handed to `stream`. Owned by its local_pod; one worker; freed in drained.
 */
#ifndef NODEPROXY_PEER_HBONE_SERVER_H
#define NODEPROXY_PEER_HBONE_SERVER_H
#include "nodeproxy/bounds/turns.h"
#include "shared/credentials/credential.h"
#include "nodeproxy/peer/proof.h"
#include "shared/mesh/ending.h"
#include "shared/transport/h2_conn.h"

struct hbone_server;
struct hbone_server_events {
    /* A CONNECT: return the embedded stream or NULL and *ret_status. */
    struct http2_stream *(*stream)(struct hbone_server *s, const struct http2_head *head, unsigned *ret_status);
    /* A request that `stream` never saw, once the peer is trusted. */
    void (*refused)(struct hbone_server *s, const struct http2_refusal *refusal);
    /* A step of the handshake is due. False: not now, s->turn goes on later. May be NULL. */
    bool (*may_shake)(struct hbone_server *s);
    void (*trusted)(struct hbone_server *s); /* the handshake is over, and the peer may open streams; may be NULL */
    void (*ended)(struct hbone_server *s, enum ending ending); /* once; its streams have ended before */
    void (*broke)(struct hbone_server *s); /* its proof: it takes no more streams, those that live are yours to end */
    void (*drained)(struct hbone_server *s);
};
struct hbone_server_options {
    struct ring *ring;
    struct credential *credential;
    struct text trust_domain;
    uint64_t handshake_ms, ping_ms, ping_timeout_ms;
    uint32_t streams_max;
    struct ring_share *share; /* of the pod; NULL: none */
    bool keep_expired; /* a tunnel may outlive its peer's certificate */
    struct trust *const *trust; /* what is revoked, wherever that is at the moment; NULL: nothing */
};
struct hbone_server {
    struct list link;
    const struct hbone_server_events *events;
    void *user;
    struct credential *credential;
    struct h2_conn h2;
    struct addr source, destination; /* of the TCP connection; destination: the pod's address */
    struct spiffe_id peer;           /* valid once `trusted` */
    char peer_serial[2 * X509_SERIAL_MAX + 1];
    struct proof proof;
    struct turn_wait turn;           /* of whoever said that it may not shake hands now */
    struct text trust_domain;
    bool keep_expired, trusted, over, closing;
    enum ending ending;
    struct ring_task end_task;
    char why[128];
};
/* -ENOMEM: the descriptor is closed, no event. */
int hbone_server_open(struct hbone_server **ret, int taken_fd, const struct addr *source, const struct addr *destination, const struct hbone_server_options *o,
                      const struct hbone_server_events *events, void *user);
bool hbone_server_was_reset(const struct hbone_server *s); /* the peer ended it, streams or not; after it ended */
void hbone_server_drain(struct hbone_server *s);
void hbone_server_close(struct hbone_server *s); /* now; streams that live get `closed` first; `ended` does not follow */
#endif
