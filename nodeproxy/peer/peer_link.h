/*
 * One tunnel connection from a local workload to another workload: TCP from the pod's namespace, mutual TLS as the workload's
 * identity, HTTP/2; CONNECT streams live in it. Its own small story: socket -> connect -> handshake -> open; a link whose
 * credential was renewed, that got a GOAWAY or is idle takes no new streams and ends with its last one.
 * Owned by its peer_pool; one worker; freed in drained.
 */
#ifndef NODEPROXY_PEER_PEER_LINK_H
#define NODEPROXY_PEER_PEER_LINK_H
#include "nodeproxy/bounds/turns.h"
#include "nodeproxy/capture/socket_pool.h"
#include "shared/credentials/credential.h"
#include "nodeproxy/peer/proof.h"
#include "shared/mesh/ending.h"
#include "shared/transport/h2_conn.h"

enum peer_link_state { PEER_LINK_SOCKET, PEER_LINK_CONNECTING, PEER_LINK_OPEN, PEER_LINK_DRAINING, PEER_LINK_OVER };

struct peer_link;
struct peer_link_events {
    void (*opened)(struct peer_link *l);                      /* CONNECTs may be sent */
    void (*slot)(struct peer_link *l);                        /* a stream ended */
    void (*ended)(struct peer_link *l, enum ending ending);   /* once; no new streams; those in it have ended */
    void (*broke)(struct peer_link *l);                       /* its proof: no new streams, those that live are to be ended */
    void (*drained)(struct peer_link *l);                     /* memory may go */
};
struct peer_link_options {
    struct ring *ring;
    struct socket_pool *sockets;
    struct credential *credential; /* referenced */
    struct addr to;                /* the workload's address and the HBONE port */
    struct spiffe_id expected;     /* who must be there */
    uint64_t connect_ms;           /* connect and handshake together */
    uint32_t streams_max;
    struct pod_turn *turn;         /* the pod's, for handshakes and what is received; NULL: none */
    uint64_t ping_ms, ping_timeout_ms;
    bool keep_expired;             /* a tunnel may outlive its peer's certificate */
    struct trust *const *trust;    /* what is revoked, wherever that is at the moment; NULL: nothing */
};
struct peer_link {
    struct list link;              /* of its pool */
    const struct peer_link_events *events;
    void *user;
    struct peer_link_options options;
    enum peer_link_state state;
    struct socket_waiter socket_waiter;
    struct timer socket_deadline;
    struct h2_conn h2;
    bool h2_made, opened_told;
    bool settled;                  /* the peer's SETTINGS came: its limit of streams is known */
    enum ending ending;
    struct proof proof;
    struct turn_wait shake;        /* while a step of the handshake waits for the pod's turn */
    struct ring_task end_task;     /* ends are told from the loop, never from inside a call */
    uint64_t idle_since_ms;
    char why[128];
};
int peer_link_open(struct peer_link **ret, const struct peer_link_options *o, const struct peer_link_events *events, void *user);
bool peer_link_usable(const struct peer_link *l); /* one more stream may be opened now */
size_t peer_link_streams(const struct peer_link *l);
void peer_link_drain(struct peer_link *l);  /* no new streams; ends with the last one */
void peer_link_close(struct peer_link *l);  /* now; `ended` does not follow, drained does */
#endif
