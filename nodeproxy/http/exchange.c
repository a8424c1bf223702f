/* exchange.c - one request and its answer, read top to bottom. */
#include "nodeproxy/http/exchange_state.h"
#include "nodeproxy/http/own_answer.h"
#include "shared/http/http_hop.h"

#include <assert.h>
#include <errno.h>

enum {
    LINGER_MS = 5000, /* the answer is whole and the request is not: so long it may go on */
    N_MAX = 1000, /* HTTP_FRONT_STREAMS_MAX */
};

static enum step normalise(struct exchange *x);
static enum step filter(struct exchange *x);
static enum step find_route(struct exchange *x);
static enum step settle(struct exchange *x);
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
    {"route", find_route},    /* which rule takes it? (a fault may hold it up) */
    {"settle", settle},       /* answered at once, or changed as the rule says */
    {"choose", choose},       /* of whom?                               */
    {"send", send_on},        /* the request; its body follows as it comes */
    {"answer", answer},       /* the head of the answer is there        */
    {"relay", relay},         /* both bodies, until both are whole      */
};

enum { STAGE_FILTER = 1, STAGE_CHOOSE = 4 };

void exchange_go_on(struct exchange *x, enum step step)
{
    x->waits = false;
    while (step == STEP_NEXT) {
        assert(x->stage < ARRAY_SIZE(story));
        step = story[x->stage++].begin(x);
    }
    if (step == STEP_END)
        exchange_shut(x);
    else
        x->waits = true;
}

enum step exchange_stop(struct exchange *x, enum ending ending)
{
    if (x->ending == ENDING_NONE)
        x->ending = ending;
    return STEP_END;
}

void exchange_wait_for(struct exchange *x, uint64_t ms, void (*late)(struct timer *t))
{
    x->deadline.fired = late;
    timer_start(exchange_timers(x), &x->deadline, ms);
}

static void waited(struct timer *t)
{
    exchange_go_on(container_of(t, struct exchange, deadline), STEP_NEXT);
}

/* ---- normalise ----------------------------------------------------------- */

static int tell_forwarded(const struct exchange_host *host, struct http_head *request)
{
    int r = 0;
    if (host->forwarded_for.len > 0)
        r = http_head_add(request, TEXT("x-forwarded-for"), host->forwarded_for);
    if (r == 0 && host->forwarded_proto.len > 0)
        r = http_head_add(request, TEXT("x-forwarded-proto"), host->forwarded_proto);
    return r;
}

/* Two Gateways whose routes lead to each other would ask each other for ever. The field is one of those that no client's
 * own word counts in (HTTP_HOP_IDENTITY), so that it comes from one of our own or not at all. */
static const struct text hops_field = {"x-weir-hops", 11};

static int read_hops(const struct exchange_host *host, const struct http_head *request,
                     uint64_t *ret)
{
    struct text said = host->hops_believed ? http_head_get(request, hops_field) : TEXT("");
    *ret = 0;
    return said.len == 0 ? 0 : text_to_u64(said, host->hops_max - 1, ret);
}

static int tell_hops(const struct exchange_host *host, struct http_head *request, uint64_t hops)
{
    char digits[24];
    struct text_out o = TEXT_OUT(digits);
    if (host->hops_max == 0)
        return 0;
    text_printf(&o, "%llu", (unsigned long long)hops + 1);
    return http_head_set(request, hops_field, (struct text){o.data, o.len});
}

static enum step normalise(struct exchange *x)
{
    uint64_t hops = 0;
    struct http_head *request = &x->down.head;
    x->grpc = own_answer_is_grpc(request);
    if (text_equal(request->method, TEXT("CONNECT")) || request->authority.len == 0 ||
        request->path.len == 0)
        return exchange_stop(x, ENDING_BAD_REQUEST);
    int r = http_hop_strip(request);
    if (r == 0)
        r = http_path_normalize(request, x->host->paths);
    if (r < 0)
        return exchange_stop(x, r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_BAD_REQUEST);
    if (x->host->hops_max > 0 && read_hops(x->host, request, &hops) < 0)
        return exchange_stop(x, ENDING_LOOP);
    http_hop_strip_edge(request, x->host->strips);
    r = tell_forwarded(x->host, request);
    if (r == 0)
        r = tell_hops(x->host, request, hops);
    if (r < 0)
        return exchange_stop(x, r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_BAD_REQUEST);
    x->path = request->path;
    x->authority = request->authority;
    request_trace_begin(x->host->tracer, &x->trace, request, ring_rng(x->host->ring));
    return STEP_NEXT;
}

/* ---- filter -------------------------------------------------------------- */

static enum step filter(struct exchange *x)
{
    if (!x->host->ops->filter)
        return STEP_NEXT;
    enum ending ending = x->host->ops->filter(x->host, &x->down.head, &x->notes);
    return ending == ENDING_NONE ? STEP_NEXT : exchange_stop(x, ending);
}

bool exchange_look_again(struct exchange *x, enum ending refused)
{
    struct exchange_notes notes = {.policy = {NULL, 0}};
    if (x->shut || x->stage <= STAGE_FILTER || !x->host->ops->filter)
        return false;
    enum ending ending = x->host->ops->filter(x->host, &x->down.head, &notes);
    if (ending == ENDING_NONE)
        return false;
    x->notes = notes;
    exchange_close(x, ending == ENDING_DENIED ? refused : ending);
    return true;
}

/* ---- route, settle ------------------------------------------------------- */

/* The time of a request begins when it is whole, as Envoy's. What nobody reads because there is no server yet counts as whole. */
static void whole_late(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, whole);
    if (x->tries.sent && !x->relay.client.ended)
        exchange_time_begins(x);
    else {
        exchange_report(x, NULL);
        exchange_go_on(x, exchange_stop(x, ENDING_ANSWER_TIMEOUT));
    }
}

void exchange_time_begins(struct exchange *x)
{
    if (x->route.timeout_ms > 0)
        timer_start(exchange_timers(x), &x->whole, x->route.timeout_ms);
}

static void too_long(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, duration);
    exchange_go_on(x, exchange_stop(x, ENDING_DURATION));
}

static enum step find_route(struct exchange *x)
{
    if (!x->host->ops->route)
        return STEP_NEXT;
    enum ending ending = x->host->ops->route(x->host, &x->down.head, &x->route, &x->why);
    if (ending != ENDING_NONE)
        return exchange_stop(x, ending);
    if (x->route.duration_ms > 0)
        timer_start(exchange_timers(x), &x->duration, x->route.duration_ms);
    if (x->route.delay_ms == 0)
        return STEP_NEXT;
    exchange_wait_for(x, x->route.delay_ms, waited);
    return STEP_WAIT;
}

static enum step answer_by_route(struct exchange *x)
{
    struct http_head *head = &x->up.head;
    struct text body;
    bool no_body;
    int r = request_route_answer(&x->route, &x->down.head, head, &body, &no_body);
    if (r == 0)
        r = exchange_say(x, head, body, no_body);
    if (r < 0)
        return exchange_stop(x, r == -ENOMEM || r == -ENOBUFS ? ENDING_NO_MEMORY : ENDING_NOT_DONE);
    return exchange_stop(x, x->route.abort ? ENDING_FAULT : ENDING_CLOSED);
}

static enum step settle(struct exchange *x)
{
    if (request_route_answers(&x->route))
        return answer_by_route(x);
    int r = request_route_edit(&x->route, &x->down.head);
    if (r < 0)
        return exchange_stop(x, r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_BAD_REQUEST);
    exchange_time_begins(x);
    return STEP_NEXT;
}

/* ---- choose -------------------------------------------------------------- */

static void forget_choice(struct exchange *x)
{
    if (x->chooses)
        x->host->ops->forget(x->host, x);
    x->chooses = false;
}

static void choose_late(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, deadline);
    forget_choice(x);
    exchange_go_on(x, exchange_try_failed(x, TRY_NOT_CONNECTED, ENDING_CONNECT_TIMEOUT));
}

static enum step choose(struct exchange *x)
{
    enum ending why = ENDING_NO_ENDPOINT;
    x->chooses = true;
    x->why = NULL; /* of a try before */
    x->upstream.fresh = exchange_wants_fresh(x);
    enum step step = x->host->ops->choose(x->host, x, &x->server, &why);
    if (step == STEP_WAIT) {
        if (x->host->choose_ms > 0)
            exchange_wait_for(x, x->host->choose_ms, choose_late);
        return step;
    }
    x->chooses = false;
    x->tries.lost = step == STEP_END && why == ENDING_RESET_BY_SERVER;
    return step == STEP_END ? exchange_stop(x, why) : step;
}

/* It is we who can't: another endpoint would not help. */
static bool is_ours(enum ending why)
{
    return why == ENDING_LIMIT || why == ENDING_NO_MEMORY || why == ENDING_NO_IDENTITY ||
           why == ENDING_WORKLOAD_GONE || why == ENDING_OVERFLOW;
}

void exchange_explain(struct exchange *x, const char *static_why)
{
    x->why = static_why;
}

void exchange_chosen(struct exchange *x, struct http_link *link, enum ending why)
{
    assert(x->chooses && x->waits);
    x->chooses = false;
    timer_stop(exchange_timers(x), &x->deadline);
    x->server = link;
    if (link) {
        exchange_go_on(x, STEP_NEXT);
        return;
    }
    enum step step = is_ours(why) ? exchange_stop(x, why)
                                  : exchange_try_failed(x, TRY_NOT_CONNECTED, why);
    x->tries.lost = why == ENDING_RESET_BY_SERVER;
    exchange_go_on(x, step);
}

enum step exchange_choose_again(struct exchange *x, uint64_t after_ms)
{
    x->stage = STAGE_CHOOSE;
    exchange_try_over(x);
    exchange_wait_for(x, after_ms, waited);
    return STEP_WAIT;
}

/* ---- send ---------------------------------------------------------------- */

static void relay_over(struct relay *r, enum ending ending);
static void answer_is_whole(struct relay *r);
static const struct http_stream_events up_events;

static void answer_late(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, deadline);
    exchange_go_on(x, exchange_try_failed(x, TRY_TIMED_OUT, ENDING_ANSWER_TIMEOUT));
}

static void give_early(struct exchange *x)
{
    struct http_head *trailers = x->early_trailers;
    relay_give(&x->relay, &x->early, false);
    if (trailers && !x->shut)
        (void)http_stream_trailers(&x->up, trailers);
    if (x->early_end && !x->shut) {
        relay_give(&x->relay, &x->early, true);
        exchange_try_time_begins(x);
    }
}

/* As Envoy's: when the request is whole. */
void exchange_try_time_begins(struct exchange *x)
{
    if (x->route.try_ms > 0 && x->tries.sent && !x->answered)
        exchange_wait_for(x, x->route.try_ms, answer_late);
}

/* Without a byte; a try may have less time than all of it. */
static uint64_t idle_ms(const struct exchange *x)
{
    uint64_t all = x->route.idle_ms ? x->route.idle_ms : x->host->idle_ms, one = x->route.try_idle_ms;
    /* A route that gives an answer more time means that it may be silent for so long. */
    if (all > 0 && x->route.idle_ms == 0 && x->route.timeout_ms > all)
        all = x->route.timeout_ms;
    return one > 0 && (all == 0 || one < all) ? one : all;
}

static enum step send_on(struct exchange *x)
{
    http_stream_done(&x->up); /* of the try before */
    http_stream_init(&x->up, &up_events, x);
    int r = http_link_request(x->server, &x->up, &x->down.head, x->down.no_body);
    if (r == -EAGAIN) /* it can't any more: nothing was said */
        return exchange_try_failed(x, TRY_REFUSED_STREAM, ENDING_LIMIT);
    if (r < 0)
        return exchange_stop(x,
                             r == -ENOMEM || r == -ENOBUFS ? ENDING_NO_MEMORY : ENDING_BAD_REQUEST);
    x->chosen = true;
    x->server_version = x->server->version;
    x->relay.hold = x->host->hold;
    relay_start(&x->relay, x->down.body, x->up.body, exchange_timers(x),
                idle_ms(x), relay_over);
    x->relay.half = answer_is_whole;
    x->sent_ms = ring_now_ms(x->host->ring);
    exchange_try_begins(x);
    if (x->route.try_ms == 0 && x->host->answer_ms > 0)
        exchange_wait_for(x, x->host->answer_ms, answer_late);
    if (x->down.no_body)
        exchange_try_time_begins(x);
    stream_resume(x->down.body);
    give_early(x);
    return x->ending == ENDING_NONE ? STEP_WAIT : STEP_END;
}

/* ---- answer -------------------------------------------------------------- */

static enum step answer(struct exchange *x)
{
    struct http_head *head = &x->up.head;
    enum step other;
    timer_stop(exchange_timers(x), &x->deadline);
    x->head_ms = ring_now_ms(x->host->ring);
    if (http_hop_strip(head) < 0)
        return exchange_stop(x, ENDING_BAD_ANSWER);
    exchange_report(x, head);
    if (exchange_wants_other(x, head, &other))
        return other;
    if (head->status ==
        204) /* RFC 9110, 8.6: it must not be there; a client of HTTP/2 may refuse it */
        http_head_remove(head, TEXT("content-length"));
    if (head->status == 101 && !x->down.upgrade)
        return exchange_stop(x, ENDING_BAD_ANSWER);
    if (x->up.last && x->client_version == HTTP_VERSION_1 &&
        !x->host->chooses_again) /* the client is told what we were */
        http_link_drain(x->down.link);
    int r = request_route_edit_answer(&x->route, exchange_last_tried(x), head);
    if (r == 0)
        r = http_stream_answer(&x->down, head, x->up.no_body);
    if (r < 0)
        return exchange_stop(x, r == -EPIPE   ? ENDING_RESET_BY_CLIENT
                                : r == -E2BIG ? ENDING_BAD_ANSWER
                                              : ENDING_NO_MEMORY);
    x->answered = true;
    x->status = head->status;
    exchange_try_answered(x);
    exchange_see_grpc_status(x, head); /* "Trailers-Only" */
    return STEP_NEXT;
}

static void up_head(struct http_stream *s)
{
    struct exchange *x = s->user;
    if (!x->shut)
        exchange_go_on(x, STEP_NEXT);
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
    exchange_see_grpc_status(x, trailers);
    int r = http_stream_trailers(&x->down, trailers);
    if (r < 0 && r != -EPIPE)
        exchange_go_on(x, exchange_stop(x, ENDING_NO_MEMORY));
}

static void down_trailers(struct http_stream *s, struct http_head *trailers)
{
    struct exchange *x = s->user;
    int r = 0;
    if (x->shut)
        return;
    http_hop_strip_edge(trailers, x->host->strips); /* some take them for fields of the head */
    if (x->tries.sent) {
        if (x->tries.keeps)
            exchange_keep_trailers(x, trailers);
        r = http_stream_trailers(&x->up, trailers);
    } else if (!x->early_trailers && (x->early_trailers = malloc(sizeof *trailers))) {
        http_head_init(x->early_trailers);
        r = http_head_copy(x->early_trailers, trailers);
    } else {
        r = -ENOMEM;
    }
    if (r < 0 && r != -EPIPE)
        exchange_go_on(x, exchange_stop(x, ENDING_NO_MEMORY));
}

/* A server may say all it has to say before it has heard everything (RFC 9110, 7.5), and stop listening. */
static void linger_over(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, deadline);
    exchange_go_on(x, exchange_stop(x, ENDING_CLOSED));
}

static void answer_is_whole(struct relay *r)
{
    struct exchange *x = container_of(r, struct exchange, relay);
    if (!x->up.raw) /* after 101 a half is none of HTTP's business */
        exchange_wait_for(x, LINGER_MS, linger_over);
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

static enum step server_failed(struct exchange *x, enum ending ending)
{
    bool untouched = http_stream_is_untouched(&x->up);
    return exchange_try_failed(x, untouched ? TRY_REFUSED_STREAM : TRY_RESET, ending);
}

static void relay_over(struct relay *r, enum ending ending)
{
    struct exchange *x = container_of(r, struct exchange, relay);
    bool server = r->server_failed;
    ending = ending_of(x, r, ending);
    if (ending == ENDING_CLOSED && !x->answered) /* an end without an answer */
        ending = ENDING_BAD_ANSWER;
    if (!x->waits)
        (void)exchange_stop(x, ending); /* in the middle of a stage, which looks */
    else if (server && !x->answered)
        exchange_go_on(x, server_failed(x, ending));
    else if (ending == ENDING_IDLE_TIMEOUT && x->route.try_idle_ms > 0 && !x->answered)
        exchange_go_on(x, exchange_try_failed(x, TRY_TIMED_OUT, ENDING_ANSWER_TIMEOUT));
    else
        exchange_go_on(x, exchange_stop(x, ending));
}

static void up_closed(struct http_stream *s, int error)
{
    (void)s, (void)error; /* the relay has heard of it */
}

static const struct http_stream_events up_events = {
    .head = up_head, .informed = up_informed, .trailers = up_trailers, .closed = up_closed};

/* ---- the beginning, and an end from outside ------------------------------- */

void exchange_close(struct exchange *x, enum ending ending)
{
    if (!x->shut)
        exchange_go_on(x, exchange_stop(x, ending));
}

static void early_received(struct stream *s, struct buf *bytes)
{
    struct exchange *x = s->user;
    buf_move(&x->early, bytes);
}
static void early_ended(struct stream *s)
{
    struct exchange *x = s->user;
    x->early_end = true;
    if (timer_running(&x->whole))
        exchange_time_begins(x);
}
static void early_nothing(struct stream *s)
{
    (void)s;
}
static void early_failed(struct stream *s, int error)
{
    struct exchange *x = s->user;
    (void)error;
    exchange_close(x, ENDING_RESET_BY_CLIENT);
}
const struct stream_events exchange_early_events = {.received = early_received,
                                                    .ended = early_ended,
                                                    .writable = early_nothing,
                                                    .finished = early_nothing,
                                                    .failed = early_failed};

static void down_opened(struct http_stream *s)
{
    struct exchange *x = s->user;
    x->opened = true;
    x->client_version = s->link->version;
    s->body->events = &exchange_early_events;
    s->body->user = x;
    exchange_go_on(x, STEP_NEXT);
}

static void down_closed(struct http_stream *s, int error)
{
    struct exchange *x = s->user;
    if (!x->answered)
        x->status = s->refused;
    if (x->shut)
        exchange_over(x);
    else if (error != 0) /* else the server has not taken all yet, and the relay goes on */
        exchange_close(x, x->opened || error == -ECONNRESET ? ENDING_RESET_BY_CLIENT
                          : error == -ENOMEM                ? ENDING_NO_MEMORY
                                                            : ENDING_BAD_REQUEST);
}

static const struct http_stream_events down_events = {
    .opened = down_opened, .trailers = down_trailers, .closed = down_closed};

static void upstream_ready(struct upstream_wait *w, struct http_link *link, enum ending why)
{
    struct exchange *x = container_of(w, struct exchange, upstream);
    x->why = link ? NULL : w->words;
    exchange_chosen(x, link, why);
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
    upstream_wait_init(&x->upstream, upstream_ready);
    x->upstream.stake = &x->stake;
    timer_init(&x->deadline, answer_late);
    timer_init(&x->whole, whole_late);
    timer_init(&x->duration, too_long);
    ring_task_init(&x->free_task, exchange_free);
    http_stream_init(&x->down, &down_events, x);
    http_stream_init(&x->up, &up_events, x);
    list_push_back(&host->exchanges, &x->link);
    host->n++;
    return &x->down;
}

const struct http_head *exchange_request(const struct exchange *x)
{
    return &x->down.head;
}
const struct request_route *exchange_route(const struct exchange *x)
{
    return &x->route;
}
struct upstream_wait *exchange_upstream(struct exchange *x)
{
    return &x->upstream;
}
struct upstream_stake *exchange_stake(struct exchange *x)
{
    return &x->stake;
}

int exchange_call_host(struct exchange *x, struct text host)
{
    struct http_head *request = &x->down.head;
    bool first = !x->tries.renamed && x->route.forward && x->route.forward->host.append_forwarded;
    int r = first ? http_head_append(request, TEXT("x-forwarded-host"), request->authority) : 0;
    x->tries.renamed = true;
    return r < 0 ? r : http_head_set_authority(request, host);
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
