/*
 * One request, several tries: what is kept of it to be said again, and when it may be. Without being asked only what surely
 * nobody has read is sent again, and what may be read twice (RFC 9110, 9.2.2) where a connection was closed before it said a
 * word; everything else by the policy of its route.
 */
#include "nodeproxy/http/exchange_state.h"

#include <assert.h>

static bool is_idempotent(struct text method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (text_equal(method, text_of(methods[i])))
            return true;
    return false;
}

/* ---- what is kept -------------------------------------------------------- */

static size_t chunks_of(size_t bytes)
{
    return (bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
}

/* The bytes themselves are the caller's to free or to move. */
static void give_back(struct exchange *x)
{
    x->tries.keeps = false;
    x->host->pool->chunks_kept -= chunks_of(x->tries.kept.len);
}

void exchange_keep_no_more(struct exchange *x)
{
    give_back(x);
    buf_done(&x->tries.kept);
}

static bool may_keep(const struct exchange *x, size_t len)
{
    size_t most = ring_chunks(x->host->ring)->n_max / KEPT_PART;
    return len <= KEPT_MAX &&
           x->host->pool->chunks_kept + chunks_of(len) - chunks_of(x->tries.kept.len) <= most;
}

static int append(struct exchange *x, const struct buf *bytes)
{
    struct buf *kept = &x->tries.kept;
    size_t before = chunks_of(kept->len);
    int r = 0;
    for (const struct chunk *c = bytes->head; r == 0 && c; c = c->next)
        r = buf_append(kept, ring_chunks(x->host->ring), c->data + c->start, chunk_len(c));
    x->host->pool->chunks_kept += chunks_of(kept->len) - before;
    return r;
}

static void keep(struct exchange *x, const struct buf *bytes)
{
    if (!x->tries.keeps)
        return;
    if (!may_keep(x, x->tries.kept.len + bytes->len) || append(x, bytes) < 0)
        exchange_keep_no_more(x);
}

static void kept_received(struct stream *s, struct buf *bytes)
{
    struct relay_side *side = s->user;
    struct exchange *x = container_of(side, struct exchange, relay.client);
    if (x->grpc)
        grpc_count_see(&x->asked, bytes);
    keep(x, bytes);
    x->tries.relay_down->received(s, bytes);
}

static void request_ended(struct stream *s)
{
    struct relay_side *side = s->user;
    struct exchange *x = container_of(side, struct exchange, relay.client);
    if (timer_running(&x->whole))
        exchange_time_begins(x);
    exchange_try_time_begins(x);
    x->tries.relay_down->ended(s);
}

/* Ours is before the relay's. */
static void listen_in(struct exchange *x)
{
    struct stream *body = x->down.body;
    x->tries.relay_down = body->events;
    x->tries.down = *body->events;
    x->tries.down.received = kept_received;
    x->tries.down.ended = request_ended;
    body->events = &x->tries.down;
}

static void answer_received(struct stream *s, struct buf *bytes)
{
    struct relay_side *side = s->user;
    struct exchange *x = container_of(side, struct exchange, relay.server);
    grpc_count_see(&x->told, bytes);
    x->tries.relay_up->received(s, bytes);
}

/* From the first byte on: a request that is tried again says all of its messages again. What came before there was a server
 * goes to the relay by itself. */
static void count_messages(struct exchange *x)
{
    struct stream *body = x->up.body;
    x->asked = x->told = (struct grpc_count){.messages = 0};
    grpc_count_see(&x->asked, &x->early);
    x->tries.relay_up = body->events;
    x->tries.up = *body->events;
    x->tries.up.received = answer_received;
    body->events = &x->tries.up;
}

/* What is said by a new connection is hardly refused. */
static bool is_wanted_again(const struct exchange *x)
{
    return x->route.choice.retry || exchange_is_copied(x) ||
           (x->upstream.reused &&
            (x->server_version == HTTP_VERSION_2 || is_idempotent(x->down.head.method)));
}

void exchange_try_begins(struct exchange *x)
{
    struct exchange_tries *t = &x->tries;
    t->n++;
    t->sent = true;
    t->reported = false;
    t->keeps = x->host->chooses_again && !x->down.no_body && is_wanted_again(x);
    keep(x, &x->early);
    if (t->keeps || x->route.timeout_ms > 0 || x->route.try_ms > 0 || x->grpc)
        listen_in(x);
    if (x->grpc)
        count_messages(x);
}

/* It is not said again: a stream may go on for hours. */
void exchange_try_answered(struct exchange *x)
{
    if (!exchange_is_copied(x))
        exchange_keep_no_more(x);
}

void exchange_keep_trailers(struct exchange *x, const struct http_head *trailers)
{
    if (!x->early_trailers && (x->early_trailers = malloc(sizeof *trailers)))
        http_head_init(x->early_trailers);
    if (!x->early_trailers || http_head_copy(x->early_trailers, trailers) < 0)
        exchange_keep_no_more(x);
}

/* Back to where nothing has been said. */
static void rewind_request(struct exchange *x)
{
    struct stream *body = x->down.body;
    if (!x->tries.sent)
        return;
    x->tries.sent = false;
    x->early_end = x->relay.client.ended;
    relay_stop(&x->relay);
    http_stream_detach(&x->up);
    give_back(x);
    buf_move(&x->early, &x->tries.kept);
    body->events = &exchange_early_events;
    body->user = x;
    stream_pause(body);
}

/* ---- what its cluster learns ---------------------------------------------- */

/* What a gRPC server says in a head stands for a status, as in Envoy. */
static enum outlier_result result_of(const struct http_head *answer)
{
    uint64_t grpc;
    if (!answer)
        return OUTLIER_LOCAL_FAILURE;
    if (answer->status == 200 &&
        text_to_u64(http_head_get(answer, TEXT("grpc-status")), 1000, &grpc) == 0)
        switch (grpc) {
        case 14: /* UNAVAILABLE */
        case 4:  /* DEADLINE_EXCEEDED */
            return OUTLIER_GATEWAY_ERROR;
        case 2:  /* UNKNOWN */
        case 13: /* INTERNAL */
        case 15: /* DATA_LOSS */
            return OUTLIER_5XX;
        default:
            return OUTLIER_SUCCESS;
        }
    if (answer->status >= 502 && answer->status <= 504)
        return OUTLIER_GATEWAY_ERROR;
    return answer->status >= 500 ? OUTLIER_5XX : OUTLIER_SUCCESS;
}

void exchange_report(struct exchange *x, const struct http_head *answer)
{
    if (x->tries.reported)
        return;
    x->tries.reported = true;
    upstream_stake_report(&x->stake, result_of(answer));
}

static void retry_is_over(struct exchange *x)
{
    if (x->tries.retrying)
        upstream_cluster_retried(x->tries.retrying, x->route.forward->high_priority);
    x->tries.retrying = upstream_cluster_unref(x->tries.retrying);
}

/* Counted from now until it has ended, or leads to the next one. */
static bool take_retry(struct exchange *x)
{
    struct upstream_cluster *c = x->stake.cluster;
    retry_is_over(x);
    if (!c)
        return true;
    if (!upstream_cluster_retry(c, x->route.forward->high_priority))
        return false;
    x->tries.retrying = upstream_cluster_ref(c);
    return true;
}

void exchange_try_over(struct exchange *x)
{
    upstream_stake_end(&x->stake);
    if (x->over)
        retry_is_over(x);
}

/* ---- may it be? ---------------------------------------------------------- */

bool exchange_wants_fresh(const struct exchange *x)
{
    return x->tries.n_resent > 0 || !is_idempotent(x->down.head.method);
}

static bool is_all_there(const struct exchange *x)
{
    return x->host->chooses_again && x->down.link && !x->answered &&
           (!x->tries.sent || x->down.no_body || x->tries.keeps);
}

/* Its connection had served another request before, and was closed as this one came: nobody is to blame. */
static bool lost_the_race(const struct exchange *x)
{
    return x->tries.sent && x->upstream.reused && x->server_version == HTTP_VERSION_1 &&
           !http_stream_was_heard(&x->up);
}

static bool is_lost(const struct exchange *x, enum try_ending how)
{
    return how == TRY_REFUSED_STREAM || (how == TRY_RESET && lost_the_race(x));
}

static bool may_resend(const struct exchange *x)
{
    return x->tries.lost && x->tries.n_resent < RESENT_MAX && is_all_there(x) &&
           (x->tries.untouched || is_idempotent(x->down.head.method));
}

static bool may_retry(struct exchange *x, const struct try_result *result)
{
    const struct retry_policy *p = x->route.choice.retry;
    if (!p || !is_all_there(x) || !retry_policy_wants_request(p, &x->down.head) ||
        !retry_policy_wants(p, result))
        return false;
    x->tries.spent = p->retries_max > 0 && x->tries.n_again >= p->retries_max;
    return x->tries.n_again < p->retries_max && take_retry(x);
}

/* ---- again --------------------------------------------------------------- */

static enum step retry(struct exchange *x)
{
    uint64_t ms =
        retry_policy_backoff_ms(x->route.choice.retry, ++x->tries.n_again, ring_rng(x->host->ring));
    rewind_request(x);
    return exchange_choose_again(x, ms);
}

enum step exchange_try_failed(struct exchange *x, enum try_ending how, enum ending ending)
{
    const struct try_result result = {.ending = how, .grpc_status = -1};
    x->tries.untouched = how == TRY_REFUSED_STREAM;
    x->tries.lost = is_lost(x, how);
    if (may_resend(x)) {
        x->tries.n_resent++;
        rewind_request(x);
        return exchange_choose_again(x, 0);
    }
    exchange_report(x, NULL);
    return may_retry(x, &result) ? retry(x) : exchange_stop(x, ending);
}

bool exchange_wants_other(struct exchange *x, const struct http_head *answer, enum step *ret)
{
    uint64_t grpc;
    struct try_result result = {.ending = TRY_ANSWERED,
                                .status = (uint16_t)answer->status,
                                .grpc_status = -1,
                                .head = answer};
    if (text_to_u64(http_head_get(answer, TEXT("grpc-status")), 1000, &grpc) == 0)
        result.grpc_status = (int)grpc;
    if (answer->status == 101 || !may_retry(x, &result))
        return false;
    *ret = retry(x);
    return true;
}

/* ---- where it was tried -------------------------------------------------- */

void exchange_note_tried(struct exchange *x, const struct addr *at)
{
    struct exchange_tries *t = &x->tries;
    t->tried[t->n_tried++ % TRIED_MAX] = *at;
}

const struct addr *exchange_last_tried(const struct exchange *x)
{
    const struct exchange_tries *t = &x->tries;
    return t->n_tried > 0 ? &t->tried[(t->n_tried - 1) % TRIED_MAX] : NULL;
}

bool exchange_has_tried_any(const struct exchange *x)
{
    return x->tries.n_tried > 0;
}

bool exchange_has_tried(const struct exchange *x, const struct addr *at)
{
    const struct exchange_tries *t = &x->tries;
    for (unsigned i = 0; i < t->n_tried && i < TRIED_MAX; i++)
        if (addr_equal(&t->tried[i], at))
            return true;
    return false;
}
