/* exchange.c - one request and its answer, read top to bottom. */
#include "nodeproxy/http/exchange.h"

#include "nodeproxy/http/own_answer.h"
#include "shared/http/http_hop.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    LINGER_MS = 5000, /* the answer is whole and the request is not: so long it may go on */
    N_MAX = 1000,
    TAIL_MS = 30000, /* for the last bytes of an answer to leave */
};

struct exchange {
    struct list link, waiting;
    struct exchange_host *host;
    unsigned stage;
    enum ending ending;
    unsigned status;
    int grpc_status;
    bool opened, waits, chooses, shut, over;
    bool answered, own; /* the client has a status; of ours */
    bool chosen;
    enum http_version client_version, server_version;
    uint64_t began_ms;
    struct http_link *server; /* between `choose` and `send` */
    struct buf early; /* of the request, before it goes on; bounded by the stream's window */
    bool early_end;
    struct http_head *early_trailers; /* NULL: none */
    uint64_t own_bytes;
    struct relay relay;
    struct timer deadline;
    struct ring_task free_task;
    struct http_stream down, up;
};

static enum step normalise(struct exchange *x);
static enum step filter(struct exchange *x);
static enum step choose(struct exchange *x);
static enum step send_on(struct exchange *x);
static enum step answer(struct exchange *x);
static enum step relay(struct exchange *x);

/* ---- The story ----------------------------------------------------------- */
static const struct stage {
    const char *name;
    enum step (*begin)(struct exchange *x);
} story[] = {
    {"normalise", normalise}, /* is it clear what is asked?             */
    {"filter", filter},       /* may it be asked?                       */
    {"choose", choose},       /* of whom?                               */
    {"send", send_on},        /* the request; its body follows as it comes */
    {"answer", answer},       /* the head of the answer is there        */
    {"relay", relay},         /* both bodies, until both are whole      */
};

static void shut(struct exchange *x);

static void go_on(struct exchange *x, enum step step)
{
    x->waits = false;
    while (step == STEP_NEXT) {
        assert(x->stage < ARRAY_SIZE(story));
        step = story[x->stage++].begin(x);
    }
    if (step == STEP_END)
        shut(x);
    else
        x->waits = true;
}

static enum step end(struct exchange *x, enum ending ending)
{
    if (x->ending == ENDING_NONE)
        x->ending = ending;
    return STEP_END;
}

static struct timer_wheel *timers(const struct exchange *x)
{
    return ring_timers(x->host->ring);
}

/* ---- normalise ----------------------------------------------------------- */

static enum step normalise(struct exchange *x)
{
    struct http_head *request = &x->down.head;
    if (text_equal(request->method, TEXT("CONNECT")) || request->authority.len == 0 ||
        request->path.len == 0)
        return end(x, ENDING_BAD_REQUEST);
    int r = http_hop_strip(request);
    if (r == 0)
        r = http_path_normalize(request, x->host->paths);
    if (r < 0)
        return end(x, r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_BAD_REQUEST);
    http_hop_strip_edge(request, x->host->strips);
    return STEP_NEXT;
}

/* ---- filter, choose ------------------------------------------------------ */

static enum step filter(struct exchange *x)
{
    if (!x->host->ops->filter)
        return STEP_NEXT;
    enum ending ending = x->host->ops->filter(x->host, &x->down.head);
    return ending == ENDING_NONE ? STEP_NEXT : end(x, ending);
}

static enum step choose(struct exchange *x)
{
    enum ending why = ENDING_NO_ENDPOINT;
    x->chooses = true;
    enum step step = x->host->ops->choose(x->host, x, &x->server, &why);
    if (step == STEP_WAIT)
        return step;
    x->chooses = false;
    return step == STEP_END ? end(x, why) : step;
}

void exchange_chosen(struct exchange *x, struct http_link *link, enum ending why)
{
    assert(x->chooses && x->waits);
    x->chooses = false;
    x->server = link;
    go_on(x, link ? STEP_NEXT : end(x, why));
}

/* ---- send ---------------------------------------------------------------- */

static void relay_over(struct relay *r, enum ending ending);
static void answer_is_whole(struct relay *r);
static const struct http_stream_events up_events;

static void answer_late(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, deadline);
    go_on(x, end(x, ENDING_ANSWER_TIMEOUT));
}

static void give_early(struct exchange *x)
{
    struct http_head *trailers = x->early_trailers;
    relay_give(&x->relay, &x->early, false);
    if (trailers && !x->shut)
        (void)http_stream_trailers(&x->up, trailers);
    if (x->early_end && !x->shut)
        relay_give(&x->relay, &x->early, true);
}

static enum step send_on(struct exchange *x)
{
    http_stream_init(&x->up, &up_events, x);
    int r = http_link_request(x->server, &x->up, &x->down.head, x->down.no_body);
    if (r < 0)
        return end(x, r == -ENOMEM || r == -ENOBUFS ? ENDING_NO_MEMORY
                      : r == -EAGAIN                ? ENDING_LIMIT
                                                    : ENDING_BAD_REQUEST);
    x->chosen = true;
    x->server_version = x->server->version;
    x->relay.hold = x->host->hold;
    relay_start(&x->relay, x->down.body, x->up.body, timers(x), x->host->idle_ms, relay_over);
    x->relay.half = answer_is_whole;
    if (x->host->answer_ms > 0)
        timer_start(timers(x), &x->deadline, x->host->answer_ms);
    stream_resume(x->down.body);
    give_early(x);
    return x->ending == ENDING_NONE ? STEP_WAIT : STEP_END;
}

/* ---- answer -------------------------------------------------------------- */

static void see_grpc_status(struct exchange *x, const struct http_head *head)
{
    uint64_t value;
    if (text_to_u64(http_head_get(head, TEXT("grpc-status")), 1000, &value) == 0)
        x->grpc_status = (int)value;
}

static enum step answer(struct exchange *x)
{
    struct http_head *head = &x->up.head;
    timer_stop(timers(x), &x->deadline);
    if (http_hop_strip(head) < 0)
        return end(x, ENDING_BAD_ANSWER);
    if (head->status ==
        204) /* RFC 9110, 8.6: it must not be there; a client of HTTP/2 may refuse it */
        http_head_remove(head, TEXT("content-length"));
    if (head->status == 101 && !x->down.upgrade)
        return end(x, ENDING_BAD_ANSWER);
    if (x->up.last && x->client_version == HTTP_VERSION_1) /* the client is told what we were */
        http_link_drain(x->down.link);
    int r = http_stream_answer(&x->down, head, x->up.no_body);
    if (r < 0)
        return end(x, r == -EPIPE   ? ENDING_RESET_BY_CLIENT
                      : r == -E2BIG ? ENDING_BAD_ANSWER
                                    : ENDING_NO_MEMORY);
    x->answered = true;
    x->status = head->status;
    see_grpc_status(x, head); /* "Trailers-Only" */
    return STEP_NEXT;
}

static void up_head(struct http_stream *s)
{
    struct exchange *x = s->user;
    if (!x->shut)
        go_on(x, STEP_NEXT);
}

static void up_informed(struct http_stream *s)
{
    struct exchange *x = s->user;
    if (!x->shut)
        (void)http_stream_inform(&x->down,
                                 &s->head); /* the answer itself will tell if the client is gone */
}

/* ---- relay --------------------------------------------------------------- */

static enum step relay(struct exchange *x)
{
    (void)x; /* it runs since the request was sent */
    return STEP_WAIT;
}

static void up_trailers(struct http_stream *s, struct http_head *trailers)
{
    struct exchange *x = s->user;
    if (x->shut)
        return;
    see_grpc_status(x, trailers);
    int r = http_stream_trailers(&x->down, trailers);
    if (r < 0 && r != -EPIPE)
        go_on(x, end(x, ENDING_NO_MEMORY));
}

static void down_trailers(struct http_stream *s, struct http_head *trailers)
{
    struct exchange *x = s->user;
    int r = 0;
    if (x->shut)
        return;
    http_hop_strip_edge(trailers, x->host->strips); /* some take them for fields of the head */
    if (x->chosen) {
        r = http_stream_trailers(&x->up, trailers);
    } else if ((x->early_trailers = malloc(sizeof *trailers))) {
        http_head_init(x->early_trailers);
        r = http_head_copy(x->early_trailers, trailers);
    } else {
        r = -ENOMEM;
    }
    if (r < 0 && r != -EPIPE)
        go_on(x, end(x, ENDING_NO_MEMORY));
}

/* A server may say all it has to say before it has heard everything (RFC 9110, 7.5), and stop listening. */
static void linger_over(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, deadline);
    go_on(x, end(x, ENDING_CLOSED));
}

static void answer_is_whole(struct relay *r)
{
    struct exchange *x = container_of(r, struct exchange, relay);
    if (x->up.raw) /* after 101 a half is none of HTTP's business */
        return;
    x->deadline.fired = linger_over;
    timer_start(timers(x), &x->deadline, LINGER_MS);
}

static enum ending ending_of(const struct exchange *x, const struct relay *r, enum ending ending)
{
    if (!r->server_failed && x->answered && r->server.ended && r->client.finished)
        return ENDING_CLOSED; /* it has all it asked for, and does not say the rest */
    if (!r->server_failed)
        return ending == ENDING_TUNNEL_FAILED || ending == ENDING_IO ? ENDING_RESET_BY_CLIENT
                                                                     : ending;
    if (r->server.ended && x->answered) /* what it said was whole: only listening it stopped */
        return ENDING_CLOSED;
    return ending == ENDING_PROTOCOL    ? ENDING_BAD_ANSWER
           : ending == ENDING_NO_MEMORY ? ending
                                        : ENDING_RESET_BY_SERVER;
}

static void relay_over(struct relay *r, enum ending ending)
{
    struct exchange *x = container_of(r, struct exchange, relay);
    ending = ending_of(x, r, ending);
    if (ending == ENDING_CLOSED && !x->answered) /* an end without an answer */
        ending = ENDING_BAD_ANSWER;
    if (x->waits)
        go_on(x, end(x, ending));
    else
        (void)end(x, ending); /* in the middle of a stage, which looks */
}

static void up_closed(struct http_stream *s, int error)
{
    (void)s, (void)error; /* the relay has heard of it */
}

static const struct http_stream_events up_events = {
    .head = up_head, .informed = up_informed, .trailers = up_trailers, .closed = up_closed};

/* ---- account, and the end ------------------------------------------------ */

static void exchange_put(struct exchange_pool *pool, struct exchange *x)
{
    if (pool->n_free >= pool->n_keep) {
        free(x);
        return;
    }
    list_push_front(&pool->free, &x->link);
    pool->n_free++;
}

static void exchange_free(struct ring_task *task)
{
    struct exchange *x = container_of(task, struct exchange, free_task);
    struct exchange_host *host = x->host;
    list_remove(&x->link);
    http_stream_done(&x->down);
    http_stream_done(&x->up);
    buf_done(&x->early);
    if (x->early_trailers) {
        http_head_done(x->early_trailers);
        free(x->early_trailers);
    }
    exchange_put(host->pool, x);
    bound_give(host->bounds, host->bound);
    host->n--;
    if (host->ops->gone)
        host->ops->gone(host);
}

static void account(struct exchange *x)
{
    const struct exchange_record record = {
        .method = x->down.head.method,
        .authority = x->down.head.authority,
        .path = x->down.head.path,
        .status = x->status,
        .grpc_status = x->grpc_status,
        .own = x->own,
        .client = x->client_version,
        .server = x->server_version,
        .chosen = x->chosen,
        .bytes_received = x->relay.client.bytes,
        .bytes_sent = x->relay.server.bytes + x->own_bytes,
        .duration_ms = ring_now_ms(x->host->ring) - x->began_ms,
        .ending = x->ending,
    };
    x->host->ops->over(x->host, &record);
}

static void over(struct exchange *x)
{
    if (x->over)
        return;
    x->over = true;
    timer_stop(timers(x), &x->deadline);
    account(x);
    http_stream_detach(&x->down);
    ring_task_ask(x->host->ring, &x->free_task);
}

/* The answer is on its way out, and nothing else counts any more. */
static void tail_received(struct stream *s, struct buf *bytes)
{
    (void)s;
    buf_done(bytes);
}
static void tail_nothing(struct stream *s)
{
    (void)s;
}
static void tail_finished(struct stream *s)
{
    over(s->user);
}
static void tail_failed(struct stream *s, int error)
{
    (void)error;
    over(s->user);
}
static const struct stream_events tail_events = {.received = tail_received,
                                                 .ended = tail_nothing,
                                                 .writable = tail_nothing,
                                                 .finished = tail_finished,
                                                 .failed = tail_failed};

static void tail_late(struct timer *t)
{
    over(container_of(t, struct exchange, deadline));
}

static void tail(struct exchange *x)
{
    x->down.body->events = &tail_events;
    x->down.body->user = x;
    x->deadline.fired = tail_late;
    timer_start(timers(x), &x->deadline, TAIL_MS);
}

/* False: nothing can be said. */
static bool tell(struct exchange *x)
{
    struct own_answer a;
    struct buf body = {0};
    bool no_body = false;
    if (!x->down.link)
        return false;
    own_answer_of(x->ending, &x->down.head, &a);
    http_stream_done(&x->up); /* its head's memory is free now */
    struct http_head *head = &x->up.head;
    int r = own_answer_head(&a, &x->down.head, head, &no_body);
    if (r == 0 && !no_body)
        r = buf_append(&body, ring_chunks(x->host->ring), a.body.data, a.body.len);
    if (r == 0)
        r = http_stream_answer(&x->down, head, no_body);
    if (r < 0) {
        buf_done(&body);
        return false;
    }
    x->answered = x->own = true;
    x->status = head->status;
    see_grpc_status(x, head);
    x->own_bytes = body.len;
    if (!no_body) {
        stream_send(x->down.body, &body);
        stream_finish(x->down.body);
    }
    return true;
}

static bool client_is_gone(const struct exchange *x)
{
    return x->ending == ENDING_RESET_BY_CLIENT || !x->down.link;
}

static void shut(struct exchange *x)
{
    if (x->shut)
        return;
    x->shut = true;
    assert(x->ending != ENDING_NONE);
    timer_stop(timers(x), &x->deadline);
    if (x->chooses)
        x->host->ops->forget(x->host, x);
    x->chooses = false;
    list_remove(&x->waiting);
    relay_stop(&x->relay);
    bool whole = x->ending == ENDING_CLOSED && x->answered;
    bool told = !whole && !x->answered && !client_is_gone(x) && tell(x);
    http_stream_detach(&x->up);
    if (told || (whole && x->down.link && !x->relay.client.finished))
        tail(x);
    else
        over(x);
}

void exchange_close(struct exchange *x, enum ending ending)
{
    if (!x->shut)
        go_on(x, end(x, ending));
}

/* ---- the beginning ------------------------------------------------------- */

static void early_received(struct stream *s, struct buf *bytes)
{
    struct exchange *x = s->user;
    buf_move(&x->early, bytes);
}
static void early_ended(struct stream *s)
{
    ((struct exchange *)s->user)->early_end = true;
}
static void early_failed(struct stream *s, int error)
{
    struct exchange *x = s->user;
    (void)error;
    exchange_close(x, ENDING_RESET_BY_CLIENT);
}
static const struct stream_events early_events = {.received = early_received,
                                                  .ended = early_ended,
                                                  .writable = tail_nothing,
                                                  .finished = tail_nothing,
                                                  .failed = early_failed};

static void down_opened(struct http_stream *s)
{
    struct exchange *x = s->user;
    x->opened = true;
    x->client_version = s->link->version;
    s->body->events = &early_events;
    s->body->user = x;
    go_on(x, STEP_NEXT);
}

static void down_closed(struct http_stream *s, int error)
{
    struct exchange *x = s->user;
    if (!x->answered)
        x->status = s->refused;
    if (x->shut)
        over(x);
    else if (error != 0) /* else the server has not taken all yet, and the relay goes on */
        exchange_close(x, x->opened || error == -ECONNRESET ? ENDING_RESET_BY_CLIENT
                          : error == -ENOMEM                ? ENDING_NO_MEMORY
                                                            : ENDING_BAD_REQUEST);
}

static const struct http_stream_events down_events = {
    .opened = down_opened, .trailers = down_trailers, .closed = down_closed};

static struct exchange *exchange_take(struct exchange_pool *pool)
{
    struct list *node = list_pop_front(&pool->free);
    if (!node)
        return malloc(sizeof(struct exchange));
    pool->n_free--;
    return container_of(node, struct exchange, link);
}

struct http_stream *exchange_begin(struct exchange_host *host)
{
    if (host->n >= host->n_max || !bound_take(host->bounds, host->bound, ring_now_ms(host->ring)))
        return NULL;
    struct exchange *x = exchange_take(host->pool);
    if (!x) {
        bound_give(host->bounds, host->bound);
        return NULL;
    }
    memset(x, 0, offsetof(struct exchange, down)); /* the heads' arenas need not be zero */
    x->host = host;
    x->grpc_status = -1;
    x->began_ms = ring_now_ms(host->ring);
    list_init(&x->waiting);
    timer_init(&x->deadline, answer_late);
    ring_task_init(&x->free_task, exchange_free);
    http_stream_init(&x->down, &down_events, x);
    http_stream_init(&x->up, &up_events, x);
    list_push_back(&host->exchanges, &x->link);
    host->n++;
    return &x->down;
}

struct exchange *exchange_of_link(struct list *link)
{
    return container_of(link, struct exchange, link);
}
struct list *exchange_waiting(struct exchange *x)
{
    return &x->waiting;
}
struct exchange *exchange_of_waiting(struct list *node)
{
    return container_of(node, struct exchange, waiting);
}

void exchange_host_init(struct exchange_host *host, const struct exchange_host_ops *ops,
                        struct ring *ring, struct exchange_pool *pool)
{
    *host = (struct exchange_host){.ops = ops,
                                   .ring = ring,
                                   .pool = pool,
                                   .paths = HTTP_PATH_BASE,
                                   .strips = HTTP_HOP_IDENTITY,
                                   .n_max = N_MAX};
    list_init(&host->exchanges);
}

void exchange_pool_init(struct exchange_pool *pool, size_t keep)
{
    *pool = (struct exchange_pool){.n_keep = keep};
    list_init(&pool->free);
}

void exchange_pool_done(struct exchange_pool *pool)
{
    for (struct list *n; (n = list_pop_front(&pool->free));)
        free(container_of(n, struct exchange, link));
    pool->n_free = 0;
}
