/*
 * What the files of an inbound stream know of each other; nobody else includes this. inbound.c tells the story,
 * inbound_begin.c how one comes to be: by a tunnel, as plaintext, from a workload of the same node.
 */
#ifndef NODEPROXY_PATH_INBOUND_STATE_H
#define NODEPROXY_PATH_INBOUND_STATE_H
#include "nodeproxy/path/inbound.h"

#include "nodeproxy/path/client_port.h"
#include "nodeproxy/path/inbound_requests.h"
#include "nodeproxy/path/inbound_tls.h"
#include "nodeproxy/path/protocol_detect.h"
#include "nodeproxy/path/stage.h"
#include <stdlib.h>

struct inbound {
    struct list link;
    struct local_pod *pod;
    enum inbound_kind kind;
    unsigned stage;
    uint32_t epoch;                 /* the pod's, when it was decided */
    enum ending ending;
    bool closing, waits, early_end; /* early_end: HBONE: it ended before our answer */
    bool abandoned;                 /* LOCAL */
    unsigned parts;                 /* embedded connections that the kernel may still hold */
    struct local_pod_waiter pod_waiter;
    struct socket_waiter socket_waiter;
    struct timer deadline;
    union {
        struct http2_stream tunnel; /* HBONE */
        struct inbound_local local; /* LOCAL */
    };
    struct hbone_server *server;    /* HBONE: valid while the stream is */
    struct stream *downstream;
    const struct spiffe_id *peer;   /* NULL: not authenticated; valid while not closing */
    struct spiffe_id *peer_copy;    /* HBONE: once the stream has closed, and with it perhaps the server */
    struct buf early;               /* HBONE: what came before our answer; bounded by the stream's window */
    struct addr source, destination, target; /* destination: as the caller named it */
    char *service_key;              /* namespace/hostname when called by name; NULL: by address */
    struct text forwarded_host;     /* during the story's beginning only */
    union {
        struct {                    /* before upstream_open */
            struct turn_wait turn;
            struct ring_task go_on; /* ONWARD: nobody is to be connected to, and yet not on its opener's stack */
            struct gateway_stream *onward; /* of inbound_onward() */
        };
        struct conn upstream;
    };
    struct client_port client_port; /* as_client */
    bool upstream_open, answered, as_client;
    uint8_t expected;               /* enum requests_expected: as what it was decided; POSSIBLE only until it is known; likewise
                                     * REQUESTS_ONWARD of TLS, which may become BYTES_ONWARD */
    struct relay relay;
    struct inbound_requests *requests; /* instead of the relay, which then only counts; NULL: bytes */
    struct protocol_detect *detect; /* instead of both, while they are POSSIBLE; NULL: not yet */
    struct account account;
    char *policies;                 /* that had a say, for the log: verdict_names() */
    struct ring_task free_task;
};
_Static_assert(sizeof(struct inbound) <= 1160, "as in outbound.c: an idle connection is to stay cheap");
struct plain { /* a PLAIN one: larger than those in tunnels, and most are in tunnels */
    struct inbound in;
    struct conn conn;
    bool secured;            /* ONWARD: what the client says is TLS, which ends here, or passes: */
    struct inbound_tls *tls; /* NULL: not begun */
};
static inline struct plain *plain_of(struct inbound *in) { return container_of(in, struct plain, in); }
static inline struct conn *plain_conn(struct inbound *in) { return &plain_of(in)->conn; }
/* Which has the other side of the relay, where no application has: BYTES_ONWARD. NULL: not yet, or it is none of these. */
static inline struct gateway_stream *inbound_onward(const struct inbound *in) { return in->expected == BYTES_ONWARD ? in->onward : NULL; }


/* NULL: *ret_why says it. */
struct inbound *inbound_new(struct local_pod *pod, enum inbound_kind kind, enum ending *ret_why);
void inbound_continue(struct inbound *in, enum step step);
void inbound_part_drained(struct inbound *in);
#endif
