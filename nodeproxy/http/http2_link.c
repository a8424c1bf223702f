/* HTTP/2 over any stream: feeds the machine what comes, and sends what it makes once a turn. */
#include "nodeproxy/http/http2_heads.h"
#include "nodeproxy/http/http_link.h"

#include <errno.h>
#include <stdlib.h>

enum {
    RETRY_MS = 10,
    NOTICE_MS = 1000,  /* of a drain, until its second step comes anyhow */
    LINGER_MS = 2000,  /* after our end, for the peer's */
    FINISH_MS = 10000, /* for the last bytes to leave */
    STREAMS_MAX = 100,
    /* What a paused stream's peer may have sent is held in memory: less than a tunnel's. */
    STREAM_WINDOW = STREAM_QUEUE_HIGH,
    CONNECTION_WINDOW = 16 * STREAM_WINDOW,
};

struct http2_link {
    struct http_link link;
    struct http2 *http2;
    struct timer retry, notice, idle, finish;
    bool in_ended, finished; /* the carrier's two ends */
    bool finishing;          /* nothing more will be said: waiting for the last bytes to leave */
    bool draining, goaway_sent;
};

static struct http2_link *of_link(const struct http_link *l)
{
    return container_of(l, struct http2_link, link);
}
static struct http2_link *of_http2(const struct http2 *h)
{
    return http2_user(h);
}
static struct http_stream *of_h2(struct http2_stream *s)
{
    return container_of(s, struct http_stream, h2);
}
static bool is_live(const struct http2_link *l)
{
    return !l->link.over;
}

static void ask_flush(struct http2_link *l)
{
    ring_task_ask(l->link.ring, &l->link.turn);
}
static void end(struct http2_link *l, int error, const char *why)
{
    http_link_end(&l->link, error, why);
}

/* Also runs the events of streams that are due, so it is called even if there is no room. */
static int output(struct http2_link *l)
{
    struct buf bytes = {0};
    size_t waiting = stream_queued(l->link.carrier);
    if (l->finishing)
        return 0;
    int r = http2_output(l->http2, &bytes,
                         waiting < STREAM_QUEUE_HIGH ? STREAM_QUEUE_HIGH - waiting : 0);
    if (bytes.len > 0)
        stream_send(l->link.carrier, &bytes);
    buf_done(&bytes);
    return r;
}

static void tear_down(struct http2_link *l)
{
    struct timer_wheel *timers = ring_timers(l->link.ring);
    timer_stop(timers, &l->retry);
    timer_stop(timers, &l->notice);
    timer_stop(timers, &l->idle);
    timer_stop(timers, &l->finish);
    stream_pause(l->link.carrier);
    int error = l->link.error;
    if (!l->finishing &&
        (error == 0 || error == -EPROTO)) { /* the last words: why, or that it is over */
        http2_goaway(l->http2, error == 0 ? HTTP2_NO_ERROR : HTTP2_PROTOCOL_ERROR);
        (void)output(l);
    }
    l->http2 = http2_free(l->http2);
    http_link_leave(&l->link);
    free(l);
}

static void look_idle(struct http2_link *l)
{
    if (http2_stream_count(l->http2) > 0)
        timer_stop(ring_timers(l->link.ring), &l->idle);
    else if (!timer_running(&l->idle))
        timer_start(ring_timers(l->link.ring), &l->idle, l->link.idle_ms);
}

/* Nothing more will be said; the end of our direction leaves after what is queued. */
static void finish(struct http2_link *l)
{
    if (l->finishing)
        return;
    l->finishing = true;
    timer_start(ring_timers(l->link.ring), &l->finish, FINISH_MS);
    stream_finish(l->link.carrier);
}

static void flush_run(struct ring_task *task)
{
    struct http2_link *l = container_of(task, struct http2_link, link.turn);
    if (l->link.over) {
        tear_down(l);
        return;
    }
    int r = output(l);
    if (l->link.over) {
        ask_flush(l);
        return;
    }
    if (r == -ENOBUFS) { /* the pool is empty just now, and nothing is lost */
        timer_start(ring_timers(l->link.ring), &l->retry, RETRY_MS);
    } else if (r < 0) {
        end(l, r, http2_why(l->http2));
        return;
    }
    look_idle(l);
    if (http2_over(l->http2) && !http2_wants_output(l->http2))
        finish(l);
}

static void retry_due(struct timer *t)
{
    ask_flush(container_of(t, struct http2_link, retry));
}
static void finish_late(struct timer *t)
{
    end(container_of(t, struct http2_link, finish), 0, NULL);
}

/* ---- draining ---- */

static void drain_last(struct http2_link *l)
{
    if (!l->draining || l->goaway_sent || l->link.over)
        return;
    l->goaway_sent = true;
    timer_stop(ring_timers(l->link.ring), &l->notice);
    http2_goaway(l->http2, HTTP2_NO_ERROR);
    ask_flush(l);
}

static void notice_over(struct timer *t)
{
    drain_last(container_of(t, struct http2_link, notice));
}

/* A server says it in two steps (RFC 9113, 6.8): what the client sent before it heard is still served. */
static void link_drain(struct http_link *link)
{
    struct http2_link *l = of_link(link);
    if (l->link.over || l->draining)
        return;
    l->draining = true;
    if (!l->link.server) {
        drain_last(l);
        return;
    }
    http2_shutdown_notice(l->http2);
    http2_ping(l->http2);
    timer_start(ring_timers(link->ring), &l->notice, NOTICE_MS);
    ask_flush(l);
}

static void idle_long(struct timer *t)
{
    link_drain(&container_of(t, struct http2_link, idle)->link);
}

/* ---- streams ---- */

static void stream_opened(struct http2_stream *h2)
{
    struct http_stream *s = of_h2(h2);
    s->events->opened(s);
}

static void stream_informed(struct http2_stream *h2, const struct http2_head *head)
{
    struct http_stream *s = of_h2(h2);
    if (http2_head_read(head, &s->head) < 0)
        return;
    s->events->informed(s);
    http_head_done(&s->head);
}

/* What can't be read ends the stream; a reset of our own is told to nobody here, so it is told. */
static void break_off(struct http_stream *s, int error)
{
    error = error == -ENOMEM ? error : -EPROTO;
    http2_stream_reset(&s->h2, HTTP2_INTERNAL_ERROR);
    if (s->body->events)
        s->body->events->failed(s->body, error);
    if (!s->link)
        return; /* detached by that */
    http2_stream_detach(&s->h2);
    s->link = NULL;
    s->events->closed(s, error);
}

static void received_trailers(struct http_stream *s, const struct http2_head *head)
{
    struct http_head trailers;
    http_head_init(&trailers);
    int r = http2_trailers_read(head, &trailers);
    if (r < 0)
        break_off(s, r);
    else
        s->events->trailers(s, &trailers);
    http_head_done(&trailers);
}

static void stream_head(struct http2_stream *h2, const struct http2_head *head)
{
    struct http_stream *s = of_h2(h2);
    if (s->link->server || s->answered) {
        received_trailers(s, head);
        return;
    }
    s->answered = true;
    s->no_body = head->end_stream;
    int r = http2_head_read(head, &s->head);
    if (r < 0)
        break_off(s, r);
    else
        s->events->head(s);
}

static int error_of(const struct http2_stream *h2, uint32_t code)
{
    if (h2->error != 0)
        return h2->error;
    return code == HTTP2_NO_ERROR ? 0 : code == HTTP2_REFUSED_STREAM ? -ECONNREFUSED : -ECONNRESET;
}

static void stream_closed(struct http2_stream *h2, uint32_t code)
{
    struct http_stream *s = of_h2(h2);
    int error = error_of(h2, code);
    s->link = NULL;
    s->events->closed(s, error);
}

static const struct http2_stream_events stream_events = {.head = stream_head,
                                                         .closed = stream_closed,
                                                         .opened = stream_opened,
                                                         .informed = stream_informed};

static void attach(struct http2_link *l, struct http_stream *s)
{
    http2_stream_init(&s->h2, &stream_events);
    s->link = &l->link;
    s->body = &s->h2.stream;
}

static struct http2_stream *link_asked(struct http2 *http2, const struct http2_head *head,
                                       unsigned *ret_status)
{
    struct http2_link *l = of_http2(http2);
    *ret_status = 0;
    if (!is_live(l) || l->goaway_sent)
        return NULL;
    struct http_stream *s = l->link.events->request(&l->link, ret_status);
    if (!s) {
        if (l->link.events->refused)
            l->link.events->refused(&l->link, *ret_status, "no room for a request");
        return NULL;
    }
    int r = http2_head_read(head, &s->head);
    if (r < 0) {
        s->refused = *ret_status = r == -E2BIG ? 431 : r == -EPROTO ? 400 : 503;
        s->events->closed(s, r);
        return NULL;
    }
    attach(l, s);
    s->no_body = head->end_stream;
    s->h2.paused = true;
    timer_stop(ring_timers(l->link.ring), &l->idle);
    return &s->h2;
}

static int link_request(struct http_link *link, struct http_stream *s, const struct http_head *head,
                        bool end_stream)
{
    struct http2_link *l = of_link(link);
    struct http2_header headers[HTTP2_HEADERS_MAX];
    size_t n;
    if (!is_live(l) || l->draining)
        return -EAGAIN;
    int r = http2_request_write(head, headers, &n);
    if (r < 0)
        return r;
    attach(l, s);
    r = http2_stream_request(l->http2, &s->h2, headers, n, end_stream);
    if (r < 0)
        s->link = NULL;
    else
        timer_stop(ring_timers(link->ring), &l->idle);
    return r;
}

static bool link_can_request(const struct http_link *link)
{
    const struct http2_link *l = of_link(link);
    return is_live(l) && !l->draining && http2_can_open(l->http2);
}

static int respond(struct http_stream *s, const struct http_head *head, bool end_stream)
{
    struct http2_header headers[HTTP2_HEADERS_MAX];
    char digits[4];
    size_t n;
    int r = http2_answer_write(head, digits, headers, &n);
    return r < 0 ? r : http2_stream_respond(&s->h2, headers, n, end_stream);
}

static int link_answer(struct http_stream *s, const struct http_head *head, bool end_stream)
{
    int r = respond(s, head, end_stream);
    if (r == 0)
        s->answered = true;
    return r;
}

static int link_inform(struct http_stream *s, const struct http_head *head)
{
    return respond(s, head, false);
}

static int link_trailers(struct http_stream *s, const struct http_head *trailers)
{
    struct http2_header headers[HTTP2_HEADERS_MAX];
    size_t n;
    int r = http2_trailers_write(trailers, headers, &n);
    return r < 0 ? r : http2_stream_trailers(&s->h2, headers, n);
}

/* Half an answer is no CANCEL, which some take for its end. */
static void link_detach(struct http_stream *s)
{
    struct http2_link *l = of_link(s->link);
    if (l->link.server && s->answered && !s->h2.finish_sent && !s->h2.answer_ends)
        http2_stream_reset(&s->h2, HTTP2_INTERNAL_ERROR);
    http2_stream_detach(&s->h2);
    ask_flush(l);
}

static void link_refuse(struct http_stream *s)
{
    struct http2_link *l = of_link(s->link);
    http2_stream_reset(&s->h2, HTTP2_REFUSED_STREAM);
    http2_stream_detach(&s->h2);
    ask_flush(l);
}

/* ---- events of the machine ---- */

static void link_refused(struct http2 *http2, const struct http2_refusal *refusal)
{
    struct http2_link *l = of_http2(http2);
    if (is_live(l) && l->link.events->refused)
        l->link.events->refused(&l->link, refusal->status, refusal->why);
}

static void link_want_flush(struct http2 *http2)
{
    ask_flush(of_http2(http2));
}

static void link_goaway(struct http2 *http2, uint32_t error_code)
{
    struct http2_link *l = of_http2(http2);
    (void)error_code; /* either way: no new streams here */
    l->draining = true;
    l->goaway_sent =
        l->goaway_sent || !l->link.server; /* a client that is told so has nothing to answer */
    ask_flush(l);
}

static void link_slot(struct http2 *http2)
{
    struct http2_link *l = of_http2(http2);
    ask_flush(l); /* it may have been the last stream */
    if (is_live(l) && l->link.events->slot)
        l->link.events->slot(&l->link);
}

static void link_ping_acked(struct http2 *http2)
{
    drain_last(of_http2(http2));
}

static const struct http2_events machine_events = {
    .request = link_asked,
    .refused = link_refused,
    .want_flush = link_want_flush,
    .goaway = link_goaway,
    .slot = link_slot,
    .ping_acked = link_ping_acked,
};

/* ---- events of the carrier ---- */

static void carrier_received(struct stream *c, struct buf *bytes)
{
    struct http2_link *l = of_link(c->user);
    if (!is_live(l) || l->finished) {
        buf_done(bytes);
        return;
    }
    int r = http2_input(l->http2, bytes);
    if (r < 0)
        end(l, r, http2_why(l->http2));
    else if (http2_over(l->http2))
        ask_flush(l);
}

static void carrier_ended(struct stream *c)
{
    struct http2_link *l = of_link(c->user);
    l->in_ended = true;
    if (l->link.over)
        return;
    if (l->finished)
        end(l, 0, NULL);
    else if (!l->finishing && http2_stream_count(l->http2) > 0)
        end(l, -ECONNRESET, "the connection was closed while streams were open");
    else
        finish(l);
}

static void carrier_writable(struct stream *c)
{
    ask_flush(of_link(c->user));
}
/* The peer's end may take a moment: to let go before it would look like a reset. */
static void carrier_finished(struct stream *c)
{
    struct http2_link *l = of_link(c->user);
    l->finished = true;
    if (l->in_ended)
        end(l, 0, NULL);
    else
        timer_start(ring_timers(l->link.ring), &l->finish, LINGER_MS);
}

static void carrier_failed(struct stream *c, int error)
{
    struct http2_link *l = of_link(c->user);
    end(l, l->finishing ? 0 : error, "the connection broke");
}

static const struct stream_events carrier_events = {
    .received = carrier_received,
    .ended = carrier_ended,
    .writable = carrier_writable,
    .finished = carrier_finished,
    .failed = carrier_failed,
};

static const struct http_link_ops link_ops = {
    .version = HTTP_VERSION_2,
    .carrier = &carrier_events,
    .turn = flush_run,
    .request = link_request,
    .can_request = link_can_request,
    .drain = link_drain,
    .answer = link_answer,
    .inform = link_inform,
    .trailers = link_trailers,
    .detach = link_detach,
    .refuse = link_refuse,
};

int http2_link_open(struct http_link **ret, const struct http_link_options *o,
                    const struct http_link_events *events, void *user)
{
    const struct http2_options options = {
        .server = o->server,
        .streams_max = o->streams_max ? o->streams_max : STREAMS_MAX,
        .stream_window = STREAM_WINDOW,
        .connection_window = CONNECTION_WINDOW,
        .header_bytes_max = o->behind ? HTTP_BEHIND_BYTES : 0,
        .fields_max = o->behind ? HTTP_BEHIND_FIELDS : 0,
    };
    struct http2_link *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    int r = http2_new(&l->http2, &options, &machine_events, l, ring_chunks(o->ring));
    if (r < 0) {
        free(l);
        return r;
    }
    http_link_begin(&l->link, &link_ops, o, events, user);
    timer_init(&l->retry, retry_due);
    timer_init(&l->notice, notice_over);
    timer_init(&l->idle, idle_long);
    timer_init(&l->finish, finish_late);
    ask_flush(l); /* SETTINGS */
    *ret = &l->link;
    return 0;
}
