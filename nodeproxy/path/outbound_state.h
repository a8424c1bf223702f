/*
 * What the files of an outbound connection know of each other; nobody else includes this. outbound.c tells the story,
 * outbound_target.c which endpoint serves it.
 */
#ifndef NODEPROXY_PATH_OUTBOUND_STATE_H
#define NODEPROXY_PATH_OUTBOUND_STATE_H
#include "nodeproxy/path/outbound.h"

#include "nodeproxy/path/outbound_detect.h"
#include "nodeproxy/path/outbound_http.h"
#include "nodeproxy/path/stage.h"
#include "nodeproxy/path/tcp_route.h"

enum way { WAY_NONE, WAY_DIRECT, WAY_TUNNEL, WAY_LOCAL, WAY_REQUESTS, WAY_DETECT };

struct direct { /* made apart, so that a tunnelled connection, most are, is not as large as this */
    struct conn conn;
    struct outbound *outbound;
};
struct outbound {
    struct list link;
    struct local_pod *pod;
    unsigned stage;
    uint32_t epoch;                /* the pod's, when it was identified */
    enum ending ending;
    bool closing, waits, server_open, tunnel_open;
    bool started;                  /* the client is read */
    bool lent;                     /* LOCAL: the client, to `inbound` */
    unsigned parts;                /* embedded connections that the kernel may still hold */
    struct conn client;
    struct addr source, destination; /* destination: where the workload wanted to go */
    struct addr target;              /* where it goes: an endpoint, or the destination itself */
    enum way way;
    struct local_pod_waiter pod_waiter;
    struct socket_waiter socket_waiter;
    struct timer deadline;
    struct spiffe_id *expected;    /* TUNNEL: who must be there; until the tunnel is open */
    struct local_pod *local_pod;   /* LOCAL: until the story has moved on */
    char *service_host;            /* "" or NULL: not called through a service */
    char *why;                     /* NULL: the ending says it all */
    union {
        struct direct *direct;     /* DIRECT, once server_open */
        struct tunnel tunnel;      /* TUNNEL */
        struct outbound_detect *detect; /* DETECT; NULL: not open */
        struct outbound_http *http; /* REQUESTS, each by a way of its own; NULL: not open, or drained */
    };
    struct tcp_route *tcp;         /* what somebody wrote for such connections; NULL: nothing */
    struct inbound *inbound;       /* LOCAL; it relays for us; NULL: not yet, or it has ended */
    struct relay relay;
    struct account account;
    struct ring_task free_task;
};
/* An idle tunnelled connection costs at most 2 KiB a hop, nghttp2's stream and its share of the tunnel included: what only some
 * stories need is made apart. */
_Static_assert(sizeof(struct outbound) <= 1152, "an idle connection is to stay cheap");

struct outbound_candidate { /* of one routing decision; pointers are good until the stage ends */
    const struct workload *self, *workload;
    const struct service *service;
    struct spiffe_id id;
};
/* Sets the way and the target, `to` as far as it is known. */
enum step outbound_find_target(struct outbound *c, struct outbound_candidate *to);
/* The Service at the address that was called, if the workload sees it. */
const struct service *outbound_service(const struct outbound *c, const struct workload *self);
bool outbound_is_for_requests(const struct outbound *c, const struct service *s); /* is the port that was called declared HTTP? */

static inline enum step outbound_end(struct outbound *c, enum ending ending)
{
    if (c->ending == ENDING_NONE)
        c->ending = ending;
    return STEP_END;
}
#endif
