/* The end of an exchange: what the client is told by us, what is left of it, and its memory. */
#include "nodeproxy/http/exchange_state.h"
#include "nodeproxy/http/own_answer.h"

#include <assert.h>

enum { TAIL_MS = 30000 /* for the last bytes of an answer to leave */ };

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

void exchange_free(struct ring_task *task)
{
    struct exchange *x = container_of(task, struct exchange, free_task);
    struct exchange_host *host = x->host;
    list_remove(&x->link);
    http_stream_done(&x->down);
    http_stream_done(&x->up);
    buf_done(&x->early);
    exchange_keep_no_more(x);
    request_route_done(&x->route);
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
        .authority = x->authority.len ? x->authority : x->down.head.authority,
        .path = x->path.len ? x->path : x->down.head.path,
        .status = x->status,
        .grpc_status = x->grpc_status,
        .grpc = x->grpc,
        .own = x->own,
        .client = x->client_version,
        .server = x->server_version,
        .chosen = x->chosen,
        .to = exchange_last_tried(x) ? *exchange_last_tried(x) : (struct addr){.port = 0},
        .tries = x->tries.n,
        .why = x->why ? x->why : "",
        .bytes_received = x->relay.client.bytes,
        .bytes_sent = x->relay.server.bytes + x->own_bytes,
        .duration_ms = ring_now_ms(x->host->ring) - x->began_ms,
        .ending = x->ending,
        .notes = x->notes,
        .request = &x->down.head,
        .trace = &x->trace,
        .route = x->route.choice.route ? x->route.choice.route->name : TEXT(""),
        .cluster = x->route.forward && x->route.choice.backend
                       ? request_route_cluster(&x->route, &x->down.head)
                       : TEXT(""),
        .retries_spent = x->tries.spent,
        .delayed = x->route.delay_ms > 0,
        .server_ms = x->head_ms > 0 ? (int64_t)(x->head_ms - x->sent_ms) : -1,
        .messages_received = x->asked.messages,
        .messages_sent = x->told.messages,
    };
    x->host->ops->over(x->host, &record);
}

void exchange_over(struct exchange *x)
{
    if (x->over)
        return;
    x->over = true;
    timer_stop(exchange_timers(x), &x->deadline);
    exchange_try_over(x);
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
    exchange_over(s->user);
}
static void tail_failed(struct stream *s, int error)
{
    (void)error;
    exchange_over(s->user);
}
static const struct stream_events tail_events = {.received = tail_received,
                                                 .ended = tail_nothing,
                                                 .writable = tail_nothing,
                                                 .finished = tail_finished,
                                                 .failed = tail_failed};

static void tail_late(struct timer *t)
{
    exchange_over(container_of(t, struct exchange, deadline));
}

static void tail(struct exchange *x)
{
    x->down.body->events = &tail_events;
    x->down.body->user = x;
    exchange_wait_for(x, TAIL_MS, tail_late);
}

void exchange_see_grpc_status(struct exchange *x, const struct http_head *head)
{
    uint64_t value;
    if (text_to_u64(http_head_get(head, TEXT("grpc-status")), 1000, &value) == 0)
        x->grpc_status = (int)value;
}

/* ---- answers of our own -------------------------------------------------- */

int exchange_say(struct exchange *x, struct http_head *head, struct text body, bool no_body)
{
    struct buf bytes = {0};
    int r = 0;
    if (!no_body)
        r = buf_append(&bytes, ring_chunks(x->host->ring), body.data, body.len);
    if (r == 0)
        r = http_stream_answer(&x->down, head, no_body);
    if (r < 0) {
        buf_done(&bytes);
        return r;
    }
    x->answered = x->own = true;
    x->status = head->status;
    exchange_see_grpc_status(x, head);
    x->own_bytes = bytes.len;
    if (!no_body) {
        stream_send(x->down.body, &bytes);
        stream_finish(x->down.body);
    }
    return 0;
}

/* False: nothing can be said. */
static bool tell(struct exchange *x)
{
    struct own_answer a;
    bool no_body = false;
    if (!x->down.link)
        return false;
    own_answer_of(x->ending, &x->down.head, &a);
    if (x->ending == ENDING_NO_BACKEND && x->route.forward)
        a.status = x->route.forward->no_cluster_status;
    http_stream_done(&x->up); /* its head's memory is free now */
    return own_answer_head(&a, &x->down.head, &x->up.head, &no_body) == 0 &&
           exchange_say(x, &x->up.head, a.body, no_body || a.body.len == 0) == 0;
}

static bool client_is_gone(const struct exchange *x)
{
    return x->ending == ENDING_RESET_BY_CLIENT || !x->down.link;
}

static void look_at_mirrors(struct exchange *x)
{
    bool whole = x->down.no_body || (x->relay.client.ended && x->tries.keeps);
    if (exchange_is_copied(x) && x->tries.sent && whole && x->host->ops->mirror)
        x->host->ops->mirror(x->host, x, &x->tries.kept);
}

void exchange_shut(struct exchange *x)
{
    if (x->shut)
        return;
    x->shut = true;
    assert(x->ending != ENDING_NONE);
    timer_stop(exchange_timers(x), &x->deadline);
    timer_stop(exchange_timers(x), &x->whole);
    timer_stop(exchange_timers(x), &x->duration);
    if (x->chooses)
        x->host->ops->forget(x->host, x);
    x->chooses = false;
    list_remove(&x->waiting);
    look_at_mirrors(x);
    relay_stop(&x->relay);
    bool whole = x->ending == ENDING_CLOSED && x->answered;
    bool said = x->own && x->down.link;
    if (x->host->passes_on && x->tries.lost && !x->answered)
        http_stream_refuse(&x->down);
    bool told = !whole && !x->answered && !client_is_gone(x) && tell(x);
    http_stream_detach(&x->up);
    if (told || said || (whole && x->down.link && !x->relay.client.finished))
        tail(x);
    else
        exchange_over(x);
}

struct exchange *exchange_take(struct exchange_pool *pool)
{
    struct list *node = list_pop_front(&pool->free);
    if (!node)
        return malloc(sizeof(struct exchange));
    pool->n_free--;
    return container_of(node, struct exchange, link);
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
