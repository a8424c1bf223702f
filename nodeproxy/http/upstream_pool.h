/*
 * The connections by which one local workload's requests go on: links by endpoint (address, version of HTTP, way there), kept
 * between requests. Never shared with another workload: what a connection carries is its workload's identity.
 *
 * HTTP/1.1: a connection a request at a time, the one that was used last first. HTTP/2: the first one that has a stream left.
 * What finds none waits for one that is being opened or becomes free, in the order of coming. How a connection is made is
 * `ops`' business (path/upstream_carrier.h).
 *
 * Owned by a local_pod; one worker. Bounded: connections of an endpoint (and of its cluster, over all workers), those of the
 * pool that idle, requests that wait (and of the cluster's).
 */
#ifndef NODEPROXY_HTTP_UPSTREAM_POOL_H
#define NODEPROXY_HTTP_UPSTREAM_POOL_H
#include "nodeproxy/http/http_link.h"
#include "nodeproxy/http/upstream_cluster.h"
#include "shared/base/addr.h"
#include "shared/base/map.h"
#include "shared/mesh/ending.h"

enum { UPSTREAM_GROUPS_MAX = 8192, UPSTREAM_NAME_MAX = 320, UPSTREAM_IDENTITY_MAX = 600 };

struct upstream_pool;
struct upstream_group;
struct upstream_link;
/* The last two: to a workload of the mesh, on another node or (without TLS) on this one. */
enum upstream_way { UPSTREAM_DIRECT, UPSTREAM_TUNNEL, UPSTREAM_LOCAL };
struct upstream_endpoint { /* all of it is the key */
    struct addr to;
    enum http_version version;
    enum upstream_way way;
    struct text identity;     /* who must be there; "": DIRECT */
    struct text service_host; /* by which name it is called; "": by none, or DIRECT */
    struct upstream_cluster *cluster; /* whose connections they are; NULL: nobody's */
    struct tls_config *tls; /* DIRECT, and then by TLS of this configuration; NULL: in the clear */
};
struct upstream_pool_ops {
    /* A connection there. 0: upstream_opened() or upstream_failed() follows, not before it returns; upstream_close()d
     * before, neither does. -ENOMEM, -ENOBUFS. */
    int (*open)(struct upstream_link *l);
    void (*start)(struct upstream_link *l); /* the stream's events are set */
    /* Ends it; upstream_gone() follows, not before it returns. */
    void (*close)(struct upstream_link *l, bool clean);
    enum ending (*broken)(const struct upstream_link *l); /* may it not live any longer? */
    bool (*leaving)(const struct upstream_link *l); /* its time is near: no new requests by it */
};
struct upstream_pool_options {
    struct ring *ring;
    uint64_t idle_ms;       /* 0: 60 s */
    size_t connections_max; /* of an endpoint; 0: 1,024 */
    size_t waiting_max;     /* of the pool; 0: 1,024 */
    size_t idle_max;        /* of the pool; 0: 256 */
};
struct upstream_pool {
    struct upstream_pool_options options;
    const struct upstream_pool_ops *ops;
    struct map groups; /* key -> struct upstream_group */
    size_t n_links, n_waiting;
    struct list idle; /* links without a request, the one that has been so for longest first */
    size_t n_idle;
    bool closing;
    void (*drained)(struct upstream_pool *p); /* may be NULL */
    uint64_t opened, reused;                  /* links; requests by one that had one before */
};
struct upstream_link { /* one connection; `ops` sees it */
    struct list link;  /* in its group: ready or busy */
    struct list idle;  /* in the pool's */
    struct upstream_group *group;
    struct upstream_pool *pool;
    struct http_link *http; /* NULL: not yet, or no longer */
    void *carrier;          /* of `ops` */
    uint64_t used_ms;       /* when it became idle last */
    bool opening, closing, used;
    bool worn;           /* it has had as many requests as its cluster lets it have */
    uint32_t n_requests;
};
const struct upstream_endpoint *upstream_link_endpoint(const struct upstream_link *l);
void upstream_opened(struct upstream_link *l, struct stream *carrier);
void upstream_failed(struct upstream_link *l, enum ending why, const char *static_words); /* more than it says; NULL */
void upstream_gone(struct upstream_link *l); /* its memory goes */

struct upstream_wait { /* who wants a link; embedded */
    struct list link;
    struct upstream_group *group; /* NULL: does not wait */
    /* NULL: there is none, and why. It is to be used for a request in this call. */
    void (*ready)(struct upstream_wait *w, struct http_link *link, enum ending why);
    const char *words; /* if there is none, more than `why` says, a static sentence; NULL: nothing */
    bool reused; /* the link had a request before */
    bool fresh;  /* wanted: one that nobody used, or (HTTP/1.1) that has not idled for long, so that the server
                  * has hardly closed it meanwhile */
    struct upstream_stake *stake; /* says whether it may wait; NULL: it may */
};
void upstream_wait_init(struct upstream_wait *w,
                        void (*ready)(struct upstream_wait *w, struct http_link *link,
                                      enum ending why));
/* A link, for a request in this call: 0. -EAGAIN: `ready` follows. -ENOBUFS (a bound), -EDQUOT (its cluster's: no more may
 * wait), -ENOMEM. */
int upstream_take(struct upstream_pool *p, const struct upstream_endpoint *to,
                  struct upstream_wait *w, struct http_link **ret);
void upstream_forget(struct upstream_wait *w); /* fine if it does not wait */

void upstream_pool_init(struct upstream_pool *p, const struct upstream_pool_options *o,
                        const struct upstream_pool_ops *ops,
                        void (*drained)(struct upstream_pool *p));
void upstream_pool_look(struct upstream_pool *p);  /* ends what is `broken`, and what is `leaving` after its requests */
/* Ends the connections to this endpoint of the cluster, with their requests. */
void upstream_pool_break(struct upstream_pool *p, const struct upstream_cluster *c, const struct addr *to);
/* Nobody waits any more, every exchange has ended. Then `drained`, possibly before it returns. */
void upstream_pool_close(struct upstream_pool *p);
#endif
