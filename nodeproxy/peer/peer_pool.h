/*
 * The tunnels of one local workload on one worker: links by (destination address, expected identity), each with several CONNECT
 * streams. Since a pool belongs to one pod and speaks with that pod's credential and sockets, a tunnel can never carry
 * another workload's connection. Bounded: links per destination, streams per link, waiting CONNECTs.
 *
 * A CONNECT that got no answer may be sent once more on another link: no byte of the application has left before the 200.
 */
#ifndef NODEPROXY_PEER_PEER_POOL_H
#define NODEPROXY_PEER_PEER_POOL_H
#include "nodeproxy/bounds/bounds.h"
#include "nodeproxy/peer/hbone.h"
#include "nodeproxy/peer/peer_link.h"
#include "shared/base/map.h"

enum { PEER_GROUPS_MAX = 4096, PEER_WAITING_MAX = 4096 };

struct peer_pool;
struct peer_pool_options {
    struct ring *ring;
    struct socket_pool *sockets;
    uint64_t connect_ms;    /* 0: 10000 */
    uint64_t idle_ms;       /* a link without streams ends after it; 0: 300000 */
    uint64_t ping_ms, ping_timeout_ms;
    uint32_t streams_max;   /* per link; 0: 100 */
    uint32_t links_max;     /* per destination; 0: 256 */
    bool keep_expired;      /* a tunnel may outlive its peer's certificate */
    struct trust *const *trust; /* what is revoked, wherever that is at the moment; NULL: nothing */
    struct pod_bounds *bounds; /* tunnels and handshakes count there; NULL: none */
    struct pod_turn *turn;  /* of the pod, for its links' handshakes and what they receive; NULL: none */
    void (*broke)(struct peer_pool *p); /* a link's proof, or a destination's: see tunnel_broken(). May be NULL */
    void (*leaving)(struct peer_pool *p); /* a link's peer is going: see tunnel_is_leaving(). May be NULL */
};
struct peer_pool_stats {
    uint64_t links_opened, links_failed, streams_opened, streams_failed;
};
struct peer_pool {
    struct peer_pool_options options;
    struct credential *credential; /* current; NULL: no tunnel can be made */
    struct map groups;             /* key -> struct peer_group */
    struct timer sweep;
    size_t n_links, n_waiting;
    bool closing;
    void (*drained)(struct peer_pool *p);
    struct ring_task drained_task;
    struct peer_pool_stats stats;
};
struct peer_group;

/* One CONNECT stream, embedded in its owner. After `opened` with ENDING_NONE, t->stream.stream is a byte stream whose events the
 * owner has set inside `opened`. */
struct tunnel {
    struct http2_stream stream;
    struct list link;              /* in its group's waiting list */
    struct peer_group *group;      /* referenced; NULL before and after */
    struct hbone_request *request; /* owned until the answer came */
    unsigned tries, refusals, status; /* status: the answer's, 0 none */
    bool answered, requested;
    void (*opened)(struct tunnel *t, enum ending ending, const char *why); /* why: "" or a sentence, for this call only */
};
void peer_pool_init(struct peer_pool *p, const struct peer_pool_options *o, void (*drained)(struct peer_pool *p));
void peer_pool_set_credential(struct peer_pool *p, struct credential *c); /* borrowed for the call, referenced; older links drain */
/* Events come later, also errors. -ENOBUFS (bounds), -ENOMEM, -ENOKEY (no credential): request is freed, nothing follows. */
int tunnel_open(struct peer_pool *p, struct tunnel *t, const struct addr *to, const struct spiffe_id *expected, struct hbone_request *taken_request,
                void (*opened)(struct tunnel *t, enum ending ending, const char *why));
/* In any state: no event follows, and memory is the owner's again. What is still open is cancelled. */
void tunnel_close(struct tunnel *t);
/* The same after the local side broke: the peer sees CONNECT_ERROR. A mere CANCEL is the end of the stream to some (ztunnel),
 * which would make half a message look like a whole one. */
void tunnel_reset(struct tunnel *t);
/* Why a stream must end that lives, or NONE: its destination is another workload now, or its link's proof broke. */
enum ending tunnel_broken(const struct tunnel *t);
/* Its connection takes no new streams, and ends with those that it has. */
bool tunnel_is_leaving(const struct tunnel *t);
/* After the directory changed: is it still who was expected that is there? What is not takes no new streams, and `broke` follows.
 * Returns how many destinations were asked about. */
size_t peer_pool_recheck(struct peer_pool *p, bool (*holds)(const struct addr *to, const struct spiffe_id *expected, void *arg), void *arg);
/* Other roots are trusted now. */
void peer_pool_look(struct peer_pool *p, const struct proof_roots *roots);
void peer_pool_look_revoked(struct peer_pool *p); /* other things are revoked now */
void peer_pool_each_link(const struct peer_pool *p, void (*visit)(const struct peer_link *l, void *arg), void *arg);
/* Every tunnel has been closed by its owner before. Links end, then drained, from the loop. */
void peer_pool_close(struct peer_pool *p);
#endif
