/*
 * One request and its answer, told by a table: normalise -> filter -> route -> settle -> choose -> send -> answer -> relay, and
 * account. Where it fails it may go back to `choose`.
 * Bodies pass by path/relay.c, as they come and go, whatever their size and whatever both sides speak. Who owns the
 * connection that requests come by is the host: it says what may be asked, and by which link it goes on.
 *
 * Owned by its host's pool, one worker: one allocation an exchange, and none when the pool has one left. Bounded:
 * exchanges of a host and of a pod at a time, what a client may send before its request goes on (its stream's window),
 * the time until the answer, the time without a byte. Each ends once, with one of shared/mesh/ending.h.
 */
#ifndef NODEPROXY_HTTP_EXCHANGE_H
#define NODEPROXY_HTTP_EXCHANGE_H
#include "nodeproxy/bounds/bounds.h"
#include "nodeproxy/http/request_route.h"
#include "nodeproxy/http/upstream_pool.h"
#include "nodeproxy/path/relay.h"
#include "nodeproxy/path/stage.h"
#include "nodeproxy/trace/tracer.h"
#include "shared/http/http_path.h"

struct exchange;
struct exchange_notes { /* which access policies had a say; "" none; they live as long as the head */
    struct text policy, dry_run, audit;
};
struct exchange_record { /* what is left of one; texts are valid during the call only */
    struct text method, authority, path;
    unsigned status;                  /* that the client was told; 0: none */
    int grpc_status;                  /* -1: none was seen */
    bool grpc;                        /* it was asked for by gRPC */
    bool own;                         /* the answer was ours */
    enum http_version client, server; /* server: valid if chosen */
    bool chosen;
    struct addr to;  /* that was tried last, where the host tells; port 0: none */
    unsigned tries;  /* how often it was sent */
    const char *why; /* more than the ending says; "" */
    uint64_t bytes_received, bytes_sent; /* of bodies: by the client, to the client */
    uint64_t duration_ms;
    enum ending ending;
    struct exchange_notes notes;
    const struct http_head *request;   /* as it went on; NULL: none was understood */
    const struct request_trace *trace; /* NULL as `request` */
    struct text route, cluster;        /* that its table chose; "": no table */
    bool retries_spent;                /* its route allowed no more of them */
    bool delayed;                      /* by a fault of its route */
    int64_t server_ms;                 /* from the request to the answer's head; -1: none came */
    uint64_t messages_received, messages_sent; /* of gRPC, as the bytes */
};
struct exchange_host;
struct exchange_host_ops {
    /* May this be asked? ENDING_NONE: yes. *ret_notes is empty before. May be NULL. */
    enum ending (*filter)(struct exchange_host *host, struct http_head *request,
                          struct exchange_notes *ret_notes);
    /* Which rule takes it; as request_route_decide(). May be NULL: what was called is meant. */
    enum ending (*route)(struct exchange_host *host, const struct http_head *request,
                         struct request_route *ret, const char **ret_why);
    /* NEXT: *ret is a client's link that can take a request. WAIT: exchange_chosen() follows, unless `forget` comes
     * first. END: *ret_ending says why not. */
    enum step (*choose)(struct exchange_host *host, struct exchange *x, struct http_link **ret,
                        enum ending *ret_ending);
    void (*forget)(struct exchange_host *host, struct exchange *x);
    /* The request was whole and is over: the copies that its route wants. May be NULL. */
    void (*mirror)(struct exchange_host *host, const struct exchange *x, const struct buf *body);
    void (*over)(struct exchange_host *host, const struct exchange_record *record);
    void (*gone)(struct exchange_host *
                     host); /* after `over`: its memory is given back, from the loop; may be NULL */
};
struct exchange_pool { /* of a pod on a worker: what is left of a head may lie in it */
    struct list free;
    size_t n_free, n_keep;
    size_t chunks_kept; /* of bodies that may be said again: no share of a pod counts them, so at most 1/16 of the ring's */
};
struct exchange_host {
    const struct exchange_host_ops *ops;
    struct ring *ring;
    struct exchange_pool *pool;
    struct hold *hold;         /* may be NULL */
    struct pod_bounds *bounds; /* each exchange is one of `bound`; NULL: without */
    enum bound bound;
    uint64_t choose_ms, answer_ms, idle_ms; /* 0: no limit */
    bool chooses_again; /* `choose` may be asked more than once: exchange_again.c */
    bool passes_on; /* that a server has ended a connection it kept: the client is told by the same */
    enum http_path_mode paths;   /* the form in which paths are decided on and go on */
    unsigned strips;             /* enum http_hop_edge: what no client may say */
    struct text forwarded_for, forwarded_proto; /* the next one is told so instead; "": not */
    unsigned hops_max;   /* Gateways that a request comes through, each of which says so to the next; 0: it is none */
    bool hops_believed;  /* what it says of that */
    const struct tracer *tracer; /* NULL: requests get no id and no context */
    size_t n_max;                /* exchanges at a time */
    struct list exchanges;       /* living ones */
    size_t n;                    /* those whose memory is not given back, too */
};
void exchange_pool_init(struct exchange_pool *pool, size_t keep);
void exchange_pool_done(struct exchange_pool *pool);
void exchange_host_init(struct exchange_host *host, const struct exchange_host_ops *ops,
                        struct ring *ring, struct exchange_pool *pool);
/* For the event `request` of a server's link. NULL: a bound is reached, or no memory. */
struct http_stream *exchange_begin(struct exchange_host *host);
void exchange_explain(struct exchange *x, const char *static_why); /* more than its ending will say */
/* After `choose` had to wait: the link, or NULL and why. */
void exchange_chosen(struct exchange *x, struct http_link *link, enum ending why);
void exchange_close(struct exchange *x,
                    enum ending ending); /* answered with it, if there was no answer yet */
/* What it was let through by has changed: `filter` is asked again, and it ends so if that refuses it now. True: it did. */
bool exchange_look_again(struct exchange *x, enum ending refused);
const struct http_head *exchange_request(const struct exchange *x);
const struct request_route *exchange_route(const struct exchange *x);
/* For `choose`, to wait in an upstream_pool: its `ready` is exchange_chosen(). */
struct upstream_wait *exchange_upstream(struct exchange *x);
/* For `choose`: what it takes of a cluster for this try; the exchange reports on it and gives it back. */
struct upstream_stake *exchange_stake(struct exchange *x);
/* For `choose`: the request is for this host, as the endpoint is called. -ENOMEM, -E2BIG, -EINVAL. */
int exchange_call_host(struct exchange *x, struct text host);
void exchange_note_tried(struct exchange *x, const struct addr *at); /* for the next try */
const struct addr *exchange_last_tried(const struct exchange *x); /* NULL: nobody */
bool exchange_has_tried_any(const struct exchange *x);
bool exchange_has_tried(const struct exchange *x, const struct addr *at);
struct exchange *exchange_of_link(struct list *link); /* in host->exchanges */
struct list *exchange_waiting(struct exchange *x);    /* a node for `choose` to wait in a list */
struct exchange *exchange_of_waiting(struct list *node);
#endif
