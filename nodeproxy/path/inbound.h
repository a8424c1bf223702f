/*
 * One stream that arrives for a local workload: from a tunnel (HBONE), as plaintext, or from a workload of the same node. Access policy is enforced
 * here, at the destination, where it can't be bypassed. The story: identify -> authorise -> route -> connect -> relay, and account.
 * Owned by its local_pod; one worker; freed from the loop after everything in it has drained.
 */
#ifndef NODEPROXY_PATH_INBOUND_H
#define NODEPROXY_PATH_INBOUND_H
#include "nodeproxy/path/account.h"
#include "nodeproxy/path/local_pod.h"

enum inbound_kind { INBOUND_HBONE, INBOUND_PLAIN, INBOUND_LOCAL };
struct inbound;
struct inbound_local_events {
    /* It may, and the application is there: the client is to be started now. Never before inbound_open_local() has returned, by which alone
     * the owner learns of the inbound: a stage that needs nothing from outside waits for the loop. */
    void (*begun)(void *owner);
    /* Once, and not after inbound_abandon(): nothing is said to the client any more, and it is the owner's to end. */
    void (*ended)(void *owner, enum ending ending);
    /* The last: the client is not looked at any more. relay: what passed in all, for this call. */
    void (*released)(void *owner, const struct relay *relay);
};
struct inbound_local { /* who calls, when it is a workload of this node */
    struct credential *credential; /* of the caller; referenced */
    struct stream *client;         /* not started; lent until `released` */
    struct addr source, destination;
    struct text service_host;      /* "": not called through a service */
    bool takes_turn;               /* nobody has waited for its turn yet */
    const struct inbound_local_events *events;
    void *owner;
};
struct http2_stream *inbound_accept_stream(struct local_pod *pod, struct hbone_server *server, const struct http2_head *head, unsigned *ret_status);
void inbound_accept_plain(struct local_pod *pod, int taken_fd);
/* -ENOMEM, -ENOBUFS (a limit): nothing follows. Otherwise `ended`, possibly before the call returns, and `released`. */
int inbound_open_local(struct local_pod *pod, const struct inbound_local *local, struct inbound **ret);
void inbound_abandon(struct inbound *in, enum ending ending); /* the caller ends: only `released` follows */
const struct relay *inbound_relay(const struct inbound *in);
void inbound_drain(struct inbound *in); /* of a Gateway's clients: their requests go on, and no new ones come */
void inbound_close(struct inbound *in, enum ending ending);
/* Something changed that it was decided by (living.h): ends, with the ending that says so, what may no longer live. True: it ended, or requests in it. */
bool inbound_look_again(struct inbound *in);
struct connection_view { /* for dumps */
    uint64_t id, opened_ms, bytes_received, bytes_sent;
    const char *direction, *protocol, *stage;
    struct addr source, destination, target;
    struct text peer;
};
void inbound_view(const struct inbound *in, struct connection_view *ret);
struct inbound *inbound_of_link(struct list *link);
#endif
