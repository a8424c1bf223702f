/*
 * What the files of an exchange know of each other; nobody else includes this. exchange.c tells the story,
 * exchange_again.c the tries, exchange_end.c our own answers and the end.
 */
#ifndef NODEPROXY_HTTP_EXCHANGE_STATE_H
#define NODEPROXY_HTTP_EXCHANGE_STATE_H
#include "nodeproxy/http/exchange.h"
#include "nodeproxy/http/grpc_count.h"

#include <stdlib.h>

enum {
    KEPT_MAX = 64 * 1024, /* of a request's body, to be said again */
    KEPT_PART = 16,       /* of the ring's chunks, for all requests of a pod */
    TRIED_MAX = 8,        /* endpoints that are remembered, to be avoided */
    RESENT_MAX = 3,       /* of one that surely nobody has read */
};

struct exchange_tries {
    unsigned n;                 /* how often it was sent */
    unsigned n_again, n_resent; /* by the policy of its route; because nobody had read it */
    struct addr tried[TRIED_MAX];
    unsigned n_tried;
    bool sent;       /* the request of this try; the relay runs */
    bool untouched;  /* the last one: surely nobody has read it */
    bool spent;      /* its route would have had another one, but for their number */
    bool lost;       /* the last one, without anybody's fault: a kept connection had ended */
    bool keeps;      /* what came of the body is in `kept` */
    bool reported;   /* how this try went: for outlier detection */
    bool renamed;    /* the request's host has become an endpoint's */
    struct upstream_cluster *retrying; /* whose breaker counts this try as a retry; NULL: none */
    struct buf kept; /* at most KEPT_MAX */
    struct stream_events down, up; /* the relay's, with ours before them */
    const struct stream_events *relay_down, *relay_up;
};

struct exchange {
    struct list link, waiting;
    struct upstream_wait upstream;
    struct upstream_stake stake; /* of this try */
    struct exchange_host *host;
    unsigned stage;
    enum ending ending;
    unsigned status;
    int grpc_status;
    struct exchange_notes notes;
    bool opened, waits, chooses, shut, over;
    bool answered, own; /* the client has a status; of ours */
    bool chosen;
    enum http_version client_version, server_version;
    uint64_t began_ms;
    struct text path, authority; /* as they were asked for; in the request's arena */
    const char *why;             /* static; NULL: the ending says it all */
    struct http_link *server;    /* between `choose` and `send` */
    struct buf early; /* of the request, before it goes on; bounded by the stream's window */
    bool early_end;
    struct http_head *early_trailers; /* NULL: none */
    uint64_t own_bytes;
    uint64_t sent_ms, head_ms; /* the last try; the answer's head. 0: not yet */
    bool grpc;
    struct grpc_count asked, told; /* if it is */
    struct request_trace trace;
    struct request_route route;
    struct exchange_tries tries;
    struct relay relay;
    struct timer deadline; /* of what is waited for just now */
    struct timer whole;    /* of the request, by its route */
    struct timer duration; /* of all of it, by its route */
    struct ring_task free_task;
    struct http_stream down, up;
};

static inline struct timer_wheel *exchange_timers(const struct exchange *x)
{
    return ring_timers(x->host->ring);
}

static inline bool exchange_is_copied(const struct exchange *x)
{
    return x->route.forward && x->route.forward->n_mirrors > 0 && !x->down.upgrade;
}

/* exchange.c */
void exchange_go_on(struct exchange *x, enum step step);
enum step exchange_stop(struct exchange *x, enum ending ending); /* for `return` in a stage */
enum step exchange_choose_again(struct exchange *x, uint64_t after_ms);
void exchange_wait_for(struct exchange *x, uint64_t ms, void (*late)(struct timer *t));
void exchange_time_begins(struct exchange *x); /* of all of it, by its route */
void exchange_try_time_begins(struct exchange *x); /* likewise of this try: the request is whole */
extern const struct stream_events exchange_early_events;

/* exchange_again.c */
void exchange_report(struct exchange *x, const struct http_head *answer); /* NULL: there is none */
void exchange_try_over(struct exchange *x); /* what it held of a cluster is given back */
void exchange_try_begins(struct exchange *x);      /* the relay has begun, nothing was given yet */
void exchange_keep_trailers(struct exchange *x, const struct http_head *trailers);
void exchange_keep_no_more(struct exchange *x);
void exchange_try_answered(struct exchange *x); /* and the client has been told */
/* The try came to nothing, by this; there is no answer. On to another one, or to the end. */
enum step exchange_try_failed(struct exchange *x, enum try_ending how, enum ending ending);
/* An answer that its policy does not take: *ret goes on to another try. */
bool exchange_wants_other(struct exchange *x, const struct http_head *answer, enum step *ret);
bool exchange_wants_fresh(const struct exchange *x); /* it could not be sent again */

/* exchange_end.c */
int exchange_say(struct exchange *x, struct http_head *head, struct text body, bool no_body);
void exchange_see_grpc_status(struct exchange *x, const struct http_head *head);
void exchange_shut(struct exchange *x);
void exchange_over(struct exchange *x);
void exchange_free(struct ring_task *task);
struct exchange *exchange_take(struct exchange_pool *pool); /* not cleared; NULL: no memory */
#endif
