#include "nodeproxy/trace/exporter.h"

#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <stdlib.h>

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 15000, CALL_MS = 10000, FLUSH_MS = 1000, LAST_MS = 1000 };

struct exported_span {
    struct mail mail;
    struct list link;
    struct exporter *exporter;
    size_t resource_len, span_len;
    char bytes[];
};

static void go_on(struct exporter *e);
static void close_now(struct exporter *e);

/* ---- spans ------------------------------------------------------------------------------------- */

static struct exported_span *span_of(struct list *link)
{
    return container_of(link, struct exported_span, link);
}

static size_t bytes_of(const struct exported_span *s)
{
    return sizeof *s + s->resource_len + s->span_len;
}

static void span_free(struct exported_span *s)
{
    atomic_fetch_sub_explicit(&s->exporter->queued_bytes, bytes_of(s), memory_order_relaxed);
    free(s);
}

static void drop_all(struct exporter *e, struct list *spans)
{
    for (struct list *n; (n = list_pop_front(spans));) {
        exporter_drop(e);
        span_free(span_of(n));
    }
}

void exporter_drop(struct exporter *e)
{
    atomic_fetch_add_explicit(&e->dropped, 1, memory_order_relaxed);
}

static void delivered(struct mail *mail)
{
    struct exported_span *s = container_of(mail, struct exported_span, mail);
    struct exporter *e = s->exporter;
    if (e->closing) {
        exporter_drop(e);
        span_free(s);
        return;
    }
    list_push_back(&e->waiting, &s->link);
    e->n_waiting++;
    go_on(e);
}

void exporter_give(struct exporter *e, struct text resource, struct text span)
{
    size_t size = sizeof(struct exported_span) + resource.len + span.len;
    uint64_t before = atomic_fetch_add_explicit(&e->queued_bytes, size, memory_order_relaxed);
    struct exported_span *s = before + size <= TRACE_QUEUED_MAX ? malloc(size) : NULL;
    if (!s) {
        atomic_fetch_sub_explicit(&e->queued_bytes, size, memory_order_relaxed);
        exporter_drop(e);
        return;
    }
    *s = (struct exported_span){.mail = {.deliver = delivered},
                                .exporter = e,
                                .resource_len = resource.len,
                                .span_len = span.len};
    memcpy(s->bytes, resource.data, resource.len);
    memcpy(s->bytes + resource.len, span.data, span.len);
    mailbox_post(e->options.mailbox, &s->mail);
}

/* ---- the connection ---------------------------------------------------------------------------- */

static struct exporter *of_h2(struct h2_conn *h)
{
    return container_of(h, struct exporter, h2);
}

static void wait_again(struct exporter *e)
{
    uint64_t wait = rng_jitter(ring_rng(e->options.ring), e->backoff_ms, 30);
    timer_start(ring_timers(e->options.ring), &e->again, wait);
    e->backoff_ms = e->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : e->backoff_ms * 2;
}

static void again(struct timer *t)
{
    go_on(container_of(t, struct exporter, again));
}

/* One warning for each time that it stops working. */
static void say_failed(struct exporter *e, const char *why)
{
    if (!e->failing)
        log_warn("trace", "spans can't be given to the collector: %s", why);
    e->failing = true;
}

static void ready(struct h2_conn *h)
{
    struct exporter *e = of_h2(h);
    const struct tls_peer *peer = conn_peer(&h->conn);
    const char *identity = e->options.identity;
    if (identity && (!peer || !peer->present || strcmp(peer->uri, identity) != 0)) {
        say_failed(e, "it has not proved the identity that --trace-collector-identity says");
        h2_conn_close(h);
        return;
    }
    e->ready = true;
    go_on(e);
}

/* The end, as soon as nothing is left to be said, or too late for it. */
static void close_now(struct exporter *e)
{
    struct timer_wheel *timers = ring_timers(e->options.ring);
    e->closing = true;
    timer_stop(timers, &e->flush);
    timer_stop(timers, &e->late);
    timer_stop(timers, &e->again);
    timer_stop(timers, &e->last);
    ring_task_cancel(&e->hang_up_task);
    if (e->calling)
        grpc_call_cancel(&e->call);
    e->calling = false;
    drop_all(e, &e->waiting);
    drop_all(e, &e->batch);
    e->tls = tls_config_unref(e->tls);
    if (e->open)
        h2_conn_close(&e->h2);
    else
        e->drained(e->drained_arg);
}

static void closed(struct h2_conn *h, int error)
{
    struct exporter *e = of_h2(h);
    e->ready = false;
    if (error != 0 && !e->closing)
        say_failed(e, h2_conn_why(h)[0] ? h2_conn_why(h) : strerror(-error));
    h2_conn_close(h);
}

static void drained(struct h2_conn *h)
{
    struct exporter *e = of_h2(h);
    e->open = e->ready = false;
    if (e->closing)
        e->drained(e->drained_arg);
    else if (e->ending)
        close_now(e);
    else
        wait_again(e);
}

static const struct h2_conn_events h2_events = {
    .ready = ready, .closed = closed, .drained = drained};

static void connect_now(struct exporter *e)
{
    const struct h2_conn_options o = {.tls = e->options.identity ? e->tls : NULL};
    int fd, r = socket_open(ip_family(&e->options.collector.ip), &fd);
    if (r == 0)
        r = h2_conn_open_client(&e->h2, e->options.ring, fd, &e->options.collector, &o, &h2_events,
                                e);
    if (r == 0) {
        e->open = true;
        e->stale = false;
        return;
    }
    say_failed(e, strerror(-r));
    if (e->ending)
        ring_task_ask(e->options.ring, &e->hang_up_task);
    else
        wait_again(e);
}

/* ---- a batch ----------------------------------------------------------------------------------- */

static void batch_over(struct exporter *e, uint64_t n_rejected)
{
    uint64_t n = e->n_batch, rejected = n_rejected < n ? n_rejected : n;
    atomic_fetch_add_explicit(&e->exported, n - rejected, memory_order_relaxed);
    atomic_fetch_add_explicit(&e->dropped, rejected, memory_order_relaxed);
    for (struct list *node; (node = list_pop_front(&e->batch));)
        span_free(span_of(node));
    e->n_batch = e->tries = 0;
    e->backoff_ms = BACKOFF_MIN_MS;
    e->failing = false;
}

/* https://opentelemetry.io/docs/specs/otlp/#failures */
static bool may_try_again(enum grpc_status status)
{
    return status == GRPC_CANCELLED || status == GRPC_DEADLINE_EXCEEDED ||
           status == GRPC_ABORTED || status == GRPC_OUT_OF_RANGE || status == GRPC_UNAVAILABLE ||
           status == GRPC_DATA_LOSS;
}

static void hang_up(struct ring_task *task)
{
    struct exporter *e = container_of(task, struct exporter, hang_up_task);
    e->ready = false;
    if (e->ending)
        close_now(e);
    else if (e->open)
        h2_conn_close(&e->h2);
}

static void batch_failed(struct exporter *e, enum grpc_status status, const char *why)
{
    say_failed(e, why);
    e->ready = false;
    if (e->ending || !may_try_again(status) || ++e->tries >= TRACE_TRIES) {
        drop_all(e, &e->batch);
        e->n_batch = e->tries = 0;
    }
    /* Anew, after a wait: drained() begins it, or this does. */
    if (e->open || e->ending)
        ring_task_ask(e->options.ring, &e->hang_up_task);
    else
        wait_again(e);
}

static void answered(struct grpc_call *c, const uint8_t *data, size_t len)
{
    struct exporter *e = c->user;
    uint64_t rejected = 0;
    if (e->n_batch > 0 && otlp_response(data, len, &rejected) == 0)
        batch_over(e, rejected);
}

static void call_closed(struct grpc_call *c, enum grpc_status status, struct text message)
{
    struct exporter *e = c->user;
    char why[160];
    struct text_out o = TEXT_OUT(why);
    e->calling = false;
    timer_stop(ring_timers(e->options.ring), &e->late);
    if (e->closing)
        return;
    text_printf(&o, "%s: ", grpc_status_name(status));
    text_put(&o, message);
    if (status == GRPC_OK)
        batch_over(e, 0); /* an answer may be empty, and then it is no message */
    else if (e->n_batch > 0)
        batch_failed(e, status, why);
    go_on(e);
}

static const struct grpc_call_events call_events = {.message = answered, .closed = call_closed};

static void call_late(struct timer *t)
{
    struct exporter *e = container_of(t, struct exporter, late);
    e->calling = false;
    grpc_call_cancel(&e->call);
    batch_failed(e, GRPC_DEADLINE_EXCEEDED, "it took too long to answer");
}

static void fill_batch(struct exporter *e)
{
    size_t bytes = 0;
    while (e->n_batch < TRACE_BATCH_SPANS && !list_empty(&e->waiting)) {
        struct exported_span *s = span_of(e->waiting.next);
        bytes += bytes_of(s);
        if (bytes > TRACE_BATCH_BYTES && e->n_batch > 0)
            return;
        list_remove(&s->link);
        e->n_waiting--;
        list_push_back(&e->batch, &s->link);
        e->n_batch++;
    }
}

static int by_resource(const void *left, const void *right)
{
    const struct otlp_piece *a = left, *b = right;
    size_t len = a->resource.len < b->resource.len ? a->resource.len : b->resource.len;
    int c = memcmp(a->resource.data, b->resource.data, len);
    return c ? c : (a->resource.len > b->resource.len) - (a->resource.len < b->resource.len);
}

static int say_batch(struct exporter *e)
{
    struct otlp_piece pieces[TRACE_BATCH_SPANS];
    size_t n = 0;
    list_for_each (node, &e->batch) {
        const struct exported_span *s = span_of(node);
        pieces[n++] = (struct otlp_piece){{s->bytes, s->resource_len},
                                          {s->bytes + s->resource_len, s->span_len}};
    }
    qsort(pieces, n, sizeof *pieces, by_resource);
    size_t size = otlp_request_size(pieces, n);
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return -1;
    otlp_request(pieces, n, bytes);
    int r = grpc_call_send(&e->call, bytes, size);
    free(bytes);
    return r;
}

static void send_batch(struct exporter *e)
{
    char authority[ADDR_TEXT_MAX];
    const struct grpc_call_options o = {
        .path = TEXT("/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        .authority = text_of(addr_print(&e->options.collector, authority)),
        .plaintext = !e->options.identity,
        .message_max = TRACE_ANSWER_MAX,
    };
    if (e->n_batch == 0) {
        fill_batch(e);
        e->due = false;
        timer_stop(ring_timers(e->options.ring), &e->flush);
    }
    if (grpc_call_start(&e->call, e->h2.http2, ring_chunks(e->options.ring), &o, &call_events,
                        e) < 0) {
        batch_failed(e, GRPC_UNAVAILABLE, "no call can be made");
        return;
    }
    e->calling = true;
    if (say_batch(e) < 0) {
        e->calling = false;
        grpc_call_cancel(&e->call);
        batch_failed(e, GRPC_UNAVAILABLE, "out of memory");
        return;
    }
    grpc_call_half_close(&e->call);
    timer_start(ring_timers(e->options.ring), &e->late, CALL_MS);
}

/* ---- what is next ------------------------------------------------------------------------------ */

static void flush_due(struct timer *t)
{
    struct exporter *e = container_of(t, struct exporter, flush);
    e->due = true;
    go_on(e);
}

static void last_over(struct timer *t)
{
    struct exporter *e = container_of(t, struct exporter, last);
    if (!list_empty(&e->waiting) || e->n_batch > 0)
        say_failed(e, "it takes too long to take the last ones");
    close_now(e);
}

static void go_on(struct exporter *e)
{
    bool due = e->n_batch > 0 || e->n_waiting >= TRACE_BATCH_SPANS ||
               ((e->due || e->ending) && e->n_waiting > 0);
    if (e->closing || e->calling || timer_running(&e->again))
        return;
    if ((e->ending && !due) || (e->stale && e->ready)) {
        e->stale = e->ready = false;
        ring_task_ask(e->options.ring, &e->hang_up_task);
        return;
    }
    if (!due && e->n_waiting > 0 && !timer_running(&e->flush))
        timer_start(ring_timers(e->options.ring), &e->flush,
                    e->options.flush_ms ? e->options.flush_ms : FLUSH_MS);
    if (!due)
        return;
    if (e->ready)
        send_batch(e);
    else if (!e->open && (e->tls || !e->options.identity))
        connect_now(e);
    else if (!e->open && e->ending) /* without a certificate there is nobody to be */
        ring_task_ask(e->options.ring, &e->hang_up_task);
}

/* ---- beginning and end ------------------------------------------------------------------------- */

void exporter_init(struct exporter *e, const struct exporter_options *o)
{
    *e = (struct exporter){.options = *o, .backoff_ms = BACKOFF_MIN_MS};
    list_init(&e->waiting);
    list_init(&e->batch);
    timer_init(&e->flush, flush_due);
    timer_init(&e->late, call_late);
    timer_init(&e->again, again);
    timer_init(&e->last, last_over);
    ring_task_init(&e->hang_up_task, hang_up);
}

void exporter_set_tls(struct exporter *e, struct tls_config *client)
{
    if (!client || e->closing)
        return;
    tls_config_ref(client);
    tls_config_unref(e->tls);
    e->tls = client;
    e->stale = e->open && e->options.identity;
    go_on(e);
}

void exporter_close(struct exporter *e, void (*taken_drained)(void *arg), void *arg)
{
    struct timer_wheel *timers = ring_timers(e->options.ring);
    e->ending = true;
    e->drained = taken_drained;
    e->drained_arg = arg;
    timer_stop(timers, &e->flush);
    timer_stop(timers, &e->again);
    if (e->n_waiting == 0 && e->n_batch == 0) {
        close_now(e);
        return;
    }
    timer_start(timers, &e->last, LAST_MS);
    go_on(e);
}
