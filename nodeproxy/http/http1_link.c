/* HTTP/1.1 over any stream: one exchange at a time; what follows waits. */
#include "nodeproxy/http/http_link.h"
#include "shared/http1/http1_codec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    LINGER_MS = 2000, /* our last bytes have left: so long the peer may take to stop */
    FINISH_MS = 10000,
    RETRY_MS = 10,
    NOTICE_MS = 1000, /* of a drain: a request may be on its way */
    LOOK_MS = 10, /* timers come first in a turn: a request may lie there since the machine stood still */
    DISCARD_MAX = 64 * 1024, /* of a request that was answered before it was whole */
    DISCARD_MS = 5000,       /* and so long it may take */
};

struct http1_link {
    struct http_link link;
    struct http1_codec *codec;
    struct timer timer; /* for a head, for its rest, for the next request, for the end */
    struct timer retry; /* for the pool */
    struct buf in; /* received, and not read: bounded by HTTP_LINK_WAITING and a received piece */
    struct http_stream *current; /* NULL: none */
    size_t discarded;
    bool opened;    /* the current request's head is there */
    bool between;   /* the last exchange has ended, its codec has not been told */
    bool discards;  /* what is left of a request that nobody reads */
    bool expects;   /* the request waits for a 100: its body may never come */
    bool last;      /* no exchange after this one, or after the next one where that was not said */
    bool idled;     /* the wait for a request is over: the link ends after one more look */
    bool finishing; /* nothing more will be said */
    bool full;      /* the carrier is paused: too much waits */
    bool in_ended;  /* the carrier's */
    bool out_ended; /* finishing: all has left */
    bool starved;   /* of chunks: it is tried again */
    bool busy;      /* client: `slot` is due when it is free again */
};

static struct http1_link *of_link(const struct http_link *l)
{
    return container_of(l, struct http1_link, link);
}
static struct http_stream *of_body(const struct stream *s)
{
    return container_of(container_of(s, struct http1_part, stream), struct http_stream, h1);
}
static struct timer_wheel *timers(const struct http1_link *l)
{
    return ring_timers(l->link.ring);
}
static void ask(struct http1_link *l)
{
    ring_task_ask(l->link.ring, &l->link.turn);
}
static void end(struct http1_link *l, int error, const char *why)
{
    http_link_end(&l->link, error, why);
}

/* ---- the end ------------------------------------------------------------- */

static void link_late(struct timer *t);

static void timer_for(struct http1_link *l, uint64_t ms)
{
    timer_start(timers(l), &l->timer, ms);
}

/* Graceful: what is queued leaves, then the end of our direction; the peer's rest is not looked at (RFC 9112, 9.6). */
static void finish(struct http1_link *l)
{
    if (l->finishing || l->link.over)
        return;
    l->finishing = true;
    buf_done(&l->in);
    stream_finish(l->link.carrier);
    if (l->full) {
        l->full = false;
        stream_resume(l->link.carrier);
    }
    timer_for(l, FINISH_MS);
}

static void leave(struct http_stream *s, int error)
{
    s->link = NULL;
    s->events->closed(s, error);
}

static void tear_down(struct http1_link *l)
{
    struct http_stream *s = l->current;
    int error = l->link.error ? l->link.error : -ECONNABORTED;
    timer_stop(timers(l), &l->timer);
    timer_stop(timers(l), &l->retry);
    l->current = NULL;
    stream_pause(l->link.carrier);
    if (s && s->body && s->body->events && !s->h1.dropped && l->opened) {
        l->current = s; /* it may be detached by that */
        s->body->events->failed(s->body, error);
        s = l->current;
        l->current = NULL;
    }
    if (s)
        leave(s, error);
    l->codec = http1_codec_free(l->codec);
    buf_done(&l->in);
    http_link_leave(&l->link);
    free(l);
}

/* ---- out ----------------------------------------------------------------- */

static void give(struct http1_link *l, struct buf *out)
{
    if (out->len > 0)
        stream_send(l->link.carrier, out);
    if (l->current && stream_queued(l->link.carrier) > STREAM_QUEUE_HIGH)
        l->current->h1.was_high = true;
}

static void body_send(struct stream *body, struct buf *bytes)
{
    struct http_stream *s = of_body(body);
    struct buf out = {0};
    if (!s->link || s->link->over) {
        buf_done(bytes);
        return;
    }
    struct http1_link *l = of_link(s->link);
    assert(!s->h1.finish_asked);
    int r = http1_codec_write_body(l->codec, &out, bytes);
    if (r < 0) {
        buf_done(bytes);
        end(l, r == -EPROTO ? r : -ENOBUFS,
            r == -EPROTO ? "a body that is longer than its head said" : "out of buffers");
        return;
    }
    give(l, &out);
}

static int say_end(struct http_stream *s, const struct http_head *trailers)
{
    struct http1_link *l = of_link(s->link);
    struct buf out = {0};
    s->h1.finish_asked = true;
    if (s->raw) { /* of the connection, when it has left */
        stream_finish(l->link.carrier);
        return 0;
    }
    int r = http1_codec_write_end(l->codec, &out, trailers);
    if (r < 0) {
        end(l, r == -EPROTO ? r : -ENOBUFS,
            r == -EPROTO ? "a body that is shorter than its head said" : "out of buffers");
        return r;
    }
    give(l, &out);
    s->h1.finished_due = true;
    ask(l);
    return 0;
}

static void body_finish(struct stream *body)
{
    struct http_stream *s = of_body(body);
    if (s->link && !s->link->over && !s->h1.finish_asked)
        (void)say_end(s, NULL);
}

static void body_pause(struct stream *body)
{
    of_body(body)->h1.paused = true;
}

static void body_resume(struct stream *body)
{
    struct http_stream *s = of_body(body);
    s->h1.paused = false;
    if (s->link)
        ask(of_link(s->link));
}

static void body_reset(struct stream *body, int error)
{
    struct http_stream *s = of_body(body);
    s->h1.dropped = true;
    if (s->link)
        end(of_link(s->link), error ? error : -ECANCELED, "the exchange was given up");
}

static size_t body_queued(const struct stream *body)
{
    const struct http_stream *s = of_body(body);
    return s->link ? stream_queued(s->link->carrier) : 0;
}

static const struct stream_ops body_ops = {.send = body_send,
                                           .finish = body_finish,
                                           .pause = body_pause,
                                           .resume = body_resume,
                                           .reset = body_reset,
                                           .queued = body_queued};

static int say_head(struct http_stream *s, const struct http_head *head, bool no_body)
{
    struct http1_link *l = of_link(s->link);
    struct buf out = {0};
    if (l->link.over)
        return -EPIPE;
    if (l->last || l->in_ended)
        http1_codec_close_after(l->codec);
    int r = http1_codec_write_head(l->codec, &out, head, no_body);
    if (r < 0)
        return r;
    give(l, &out);
    if (no_body) {
        s->h1.finish_asked = s->h1.finished_due = true;
        ask(l);
    }
    return 0;
}

static int link_answer(struct http_stream *s, const struct http_head *head, bool no_body)
{
    int r = say_head(s, head, no_body);
    if (r < 0)
        return r;
    s->answered = true;
    s->raw = head->status == 101;
    ask(of_link(s->link)); /* what a wish for another protocol held back goes on */
    return 0;
}

static int link_inform(struct http_stream *s, const struct http_head *head)
{
    return say_head(s, head, false);
}

static int link_trailers(struct http_stream *s, const struct http_head *trailers)
{
    return s->link->over || s->h1.finish_asked ? -EPIPE : say_end(s, trailers);
}

/* ---- in ------------------------------------------------------------------ */

static void attach(struct http1_link *l, struct http_stream *s)
{
    s->h1 = (struct http1_part){.stream.ops = &body_ops, .paused = l->link.server};
    s->body = &s->h1.stream;
    s->link = &l->link;
    l->current = s;
    l->expects = l->discards = false;
    l->discarded = 0;
}

/* A request that can't be one: answered by us, and nothing after it. */
static void refuse(struct http1_link *l, unsigned status, const char *why)
{
    struct http_head head;
    struct buf out = {0};
    struct http_stream *s = l->current;
    http_head_init(&head);
    head.status = status;
    http1_codec_close_after(l->codec);
    if (http_head_add(&head, TEXT("content-length"), TEXT("0")) == 0 &&
        http1_codec_write_head(l->codec, &out, &head, true) == 0)
        stream_send(l->link.carrier, &out);
    buf_done(&out);
    http_head_done(&head);
    l->current = NULL;
    finish(l);
    if (s) {
        s->refused = status;
        leave(s, -EPROTO);
    } else if (l->link.events->refused)
        l->link.events->refused(&l->link, status, why);
}

/* The first byte of a request. False: nobody takes it. */
static bool request_begins(struct http1_link *l)
{
    unsigned status = 503;
    struct http_stream *s = l->link.events->request(&l->link, &status);
    if (!s) {
        refuse(l, status ? status : 503, "no room for a request");
        return false;
    }
    attach(l, s);
    l->opened = false;
    timer_for(l, l->link.head_ms);
    return true;
}

static void came_head(struct http1_link *l)
{
    struct http_stream *s = l->current;
    if (l->link.server) {
        timer_stop(timers(l), &l->timer);
        l->opened = true;
        l->expects = http_head_get(&s->head, TEXT("expect")).data != NULL;
        s->no_body = http1_codec_ends(l->codec);
        s->upgrade = s->head.protocol.len > 0;
        s->events->opened(s);
    } else if (s->head.status < 200 && s->head.status != 101) {
        s->events->informed(s);
    } else {
        s->answered = true;
        s->raw = s->head.status == 101;
        s->no_body = http1_codec_ends(l->codec);
        s->last = !http1_codec_keep_alive(l->codec);
        s->events->head(s);
    }
}

static void came_end(struct http1_link *l)
{
    struct http_stream *s = l->current;
    if (l->discards) {
        l->discards = false;
        l->between = true;
        return;
    }
    s->h1.peer_ended = true;
    s->body->events->ended(s->body);
    if (l->current == s && s->h1.finished)
        ask(l); /* for its `closed` */
}

static void came_body(struct http1_link *l, struct buf *body)
{
    if (!l->discards) {
        l->current->body->events->received(l->current->body, body);
    } else if ((l->discarded += body->len) > DISCARD_MAX) {
        l->discards = false;
        finish(l);
    }
    buf_done(body);
}

/* One thing. False: nothing more can be read now. */
static bool read_one(struct http1_link *l)
{
    struct http_stream *s = l->current;
    struct http_head nobodys;
    struct buf body = {0};
    if (s && s->h1.paused && l->opened && !(http1_codec_ends(l->codec) && !s->h1.peer_ended))
        return false;
    if (!s)
        http_head_init(&nobodys);
    int r = http1_codec_read(l->codec, &l->in, s ? &s->head : &nobodys, &body);
    if (!s)
        http_head_done(&nobodys);
    switch (r) {
    case HTTP1_MORE:
        return false;
    case HTTP1_HEAD:
        came_head(l);
        return true;
    case HTTP1_BODY:
        came_body(l, &body);
        return true;
    case HTTP1_TRAILERS:
        if (s)
            s->events->trailers(s, http1_codec_trailers(l->codec));
        return true;
    case HTTP1_END:
        came_end(l);
        return true;
    case -ENOBUFS:
        l->starved = true;
        return false;
    default:
        break;
    }
    if (l->link.server && !l->opened)
        refuse(l, (unsigned)-r, "a request that is malformed or too much");
    else
        end(l, r == -503 ? -ENOMEM : -EPROTO, "a message that is malformed");
    return false;
}

static bool is_idle(const struct http1_link *l)
{
    return !l->current && !l->discards && !l->between;
}

/* On to the next exchange, if there can be one. */
static void next(struct http1_link *l)
{
    l->between = l->opened = l->idled = false;
    bool ok = http1_codec_next(l->codec) && !l->in_ended && (!l->last || (l->link.server && !l->link.unserved));
    if (!ok)
        finish(l);
    else /* an answer that began before the drain said nothing of it: the client may ask again */
        timer_for(l, l->last ? NOTICE_MS : l->link.idle_ms);
}

static void read_on(struct http1_link *l)
{
    while (!l->link.over && !l->finishing) {
        if (l->between) {
            next(l);
        } else if (!is_idle(l)) {
            if (!read_one(l))
                return;
        } else if (l->in.len == 0) {
            return;
        } else if (!l->link.server) {
            finish(l); /* nobody asked: it must not become the next request's answer */
        } else if (!request_begins(l)) {
            return;
        }
    }
}

/* The carrier has ended, and all that came before has been read. */
static void read_end(struct http1_link *l)
{
    if (!l->in_ended || l->in.len > 0 || l->link.over || l->finishing || l->between)
        return;
    if (is_idle(l)) {
        finish(l);
        return;
    }
    struct http_stream *s = l->current;
    if (s && s->h1.peer_ended)
        return;
    int r = http1_codec_read_end(l->codec);
    if (r == HTTP1_END)
        came_end(l);
    else if (r < 0 || !l->link.server || !l->opened)
        end(l, -ECONNRESET, "the connection was closed in the middle of a message");
}

static void look_full(struct http1_link *l)
{
    if (!l->full && l->in.len > HTTP_LINK_WAITING) {
        l->full = true;
        stream_pause(l->link.carrier);
    } else if (l->full && l->in.len <= HTTP_LINK_WAITING / 2) {
        l->full = false;
        stream_resume(l->link.carrier);
    }
}

/* What is due of the exchange, once both its messages are whole. */
static void look_done(struct http1_link *l)
{
    struct http_stream *s = l->current;
    if (s && s->h1.finished_due) {
        s->h1.finished_due = false;
        s->h1.finished = true;
        s->body->events->finished(s->body);
        s = l->current;
    }
    if (s && l->opened && s->h1.finished && s->h1.peer_ended && !s->raw) {
        l->current = NULL;
        l->between = true;
        leave(s, 0);
    }
}

static void run(struct ring_task *task)
{
    struct http1_link *l = container_of(task, struct http1_link, link.turn);
    if (!l->link.over)
        look_done(l);
    read_on(l);
    read_end(l);
    if (!l->link.over)
        look_done(l);
    if (l->between && !l->link.over)
        ask(l);
    if (l->link.over) {
        tear_down(l);
        return;
    }
    look_full(l);
    if (l->starved) {
        l->starved = false;
        timer_start(timers(l), &l->retry, RETRY_MS);
    }
    if (l->busy && http_link_can_request(&l->link)) {
        l->busy = false;
        if (l->link.events->slot)
            l->link.events->slot(&l->link);
    }
}

static void link_late(struct timer *t)
{
    struct http1_link *l = container_of(t, struct http1_link, timer);
    if (l->finishing)
        end(l, 0, NULL);
    else if (is_idle(l) && !l->idled) {
        l->idled = true;
        timer_for(l, LOOK_MS);
    } else if (is_idle(l) || l->discards)
        finish(l);
    else if (l->link.server && l->current && !l->opened)
        refuse(l, 408, "a request whose head took too long");
    ask(l);
}

static void retry_due(struct timer *t)
{
    ask(container_of(t, struct http1_link, retry));
}

/* ---- the link ------------------------------------------------------------ */

static bool link_can_request(const struct http_link *link)
{
    const struct http1_link *l = of_link(link);
    return !l->link.server && is_idle(l) && !l->link.over && !l->finishing && !l->last &&
           !l->in_ended;
}

static int link_request(struct http_link *link, struct http_stream *s, const struct http_head *head,
                        bool no_body)
{
    struct http1_link *l = of_link(link);
    if (!link_can_request(link))
        return -EAGAIN;
    attach(l, s);
    l->opened = true;
    s->upgrade = head->protocol.len > 0;
    int r = say_head(s, head, no_body);
    if (r < 0) {
        l->current = NULL;
        s->link = NULL;
        return r;
    }
    l->busy = true;
    timer_stop(timers(l), &l->timer);
    return 0;
}

static void link_drain(struct http_link *link)
{
    struct http1_link *l = of_link(link);
    bool again = l->last;
    l->last = true;
    if (again || !is_idle(l) || l->in.len > 0)
        return;
    /* What a client sends while it is told of the end would be lost to it: it is answered, and told
     * so with the answer. Where requests are ours, we know that there is none. */
    if (l->link.server && !l->finishing)
        timer_for(l, NOTICE_MS);
    else
        finish(l);
}

/* What was not said to its end is cut off; what was not heard to its end is read on for a while. */
static void link_detach(struct http_stream *s)
{
    struct http1_link *l = of_link(s->link);
    bool said = s->h1.finish_asked && !s->raw;
    if (l->current != s)
        return;
    l->current = NULL;
    if (l->link.over)
        return;
    if (s->raw && s->h1.finished && s->h1.peer_ended)
        end(l, 0, NULL); /* and so has the connection, both ways */
    else if (s->raw && s->h1.finish_asked && s->h1.peer_ended)
        finish(l);
    else if (!said || (!l->link.server && !s->h1.peer_ended))
        end(l, -ECANCELED, "the exchange was given up");
    else if (s->h1.peer_ended)
        l->between = true;
    else if (l->expects || !l->opened)
        finish(l);
    else {
        l->discards = true;
        timer_for(l, DISCARD_MS);
    }
    ask(l);
}

/* The end of the connection without a word: what a server does that closes what it keeps. */
static void link_refuse(struct http_stream *s)
{
    struct http1_link *l = of_link(s->link);
    if (l->current != s)
        return;
    l->current = NULL;
    finish(l);
}

/* ---- events of the carrier ----------------------------------------------- */

static void carrier_received(struct stream *c, struct buf *bytes)
{
    struct http1_link *l = of_link(c->user);
    if (l->link.over || l->finishing) {
        buf_done(bytes);
        return;
    }
    if (l->current)
        l->current->h1.heard = true;
    buf_move(&l->in, bytes);
    read_on(l);
    look_full(l);
    if (l->link.over || l->between || l->starved)
        ask(l);
}

static void carrier_ended(struct stream *c)
{
    struct http1_link *l = of_link(c->user);
    l->in_ended = true;
    if (l->out_ended)
        end(l, 0, NULL);
    else if (l->finishing && timer_running(&l->timer))
        timer_for(l, LINGER_MS);
    ask(l);
}

static void carrier_writable(struct stream *c)
{
    struct http1_link *l = of_link(c->user);
    struct http_stream *s = l->current;
    if (l->link.over || !s || !s->h1.was_high)
        return;
    s->h1.was_high = false;
    if (!s->h1.finish_asked)
        s->body->events->writable(s->body);
}

static void carrier_finished(struct stream *c)
{
    struct http1_link *l = of_link(c->user);
    struct http_stream *s = l->current;
    if (s && s->raw && !l->link.over) {
        s->h1.finished_due = true;
        ask(l);
    } else if (l->finishing && (l->in_ended || !l->link.server)) {
        end(l, 0, NULL);
    } else if (l->finishing) {
        l->out_ended = true;
        timer_for(l, LINGER_MS);
    }
}

static void carrier_failed(struct stream *c, int error)
{
    struct http1_link *l = of_link(c->user);
    end(l, l->finishing ? 0 : error, "the connection broke");
}

static const struct stream_events carrier_events = {.received = carrier_received,
                                                    .ended = carrier_ended,
                                                    .writable = carrier_writable,
                                                    .finished = carrier_finished,
                                                    .failed = carrier_failed};

static const struct http_link_ops link_ops = {
    .version = HTTP_VERSION_1,
    .carrier = &carrier_events,
    .turn = run,
    .request = link_request,
    .can_request = link_can_request,
    .drain = link_drain,
    .answer = link_answer,
    .inform = link_inform,
    .trailers = link_trailers,
    .detach = link_detach,
    .refuse = link_refuse,
};

int http1_link_open(struct http_link **ret, const struct http_link_options *o,
                    const struct http_link_events *events, void *user)
{
    const struct http1_codec_options options = {
        .server = o->server,
        .upgrades = true,
        .head_max = o->behind ? HTTP_BEHIND_BYTES : 0,
        .fields_max = o->behind ? HTTP_BEHIND_FIELDS + HTTP_BEHIND_FRAMING : 0};
    struct http1_link *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    int r = http1_codec_new(&l->codec, &options, ring_chunks(o->ring));
    if (r < 0) {
        free(l);
        return r;
    }
    http_link_begin(&l->link, &link_ops, o, events, user);
    timer_init(&l->timer, link_late);
    timer_init(&l->retry, retry_due);
    timer_for(l, l->link.idle_ms);
    *ret = &l->link;
    return 0;
}
