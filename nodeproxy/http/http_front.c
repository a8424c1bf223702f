/* The first bytes of a client; see the header. */
#include "nodeproxy/http/http_front.h"

#include <errno.h>

enum {
    FIRST_MS = 10000,
    PREFACE_SEEN = 3 /* "PRI": no method of HTTP/1.1 that is in use begins so */
};

enum ending http_front_ending(int error)
{
    switch (error) {
    case 0:
        return ENDING_CLOSED;
    case -EPROTO:
        return ENDING_BAD_REQUEST;
    case -ENOMEM:
    case -ENOBUFS:
        return ENDING_NO_MEMORY;
    case -ECANCELED: /* HTTP/1.1: an exchange was given up in the middle of its answer */
        return ENDING_RESET_BY_SERVER;
    case -ECONNABORTED: /* a tunnel's stream whose connection broke */
        return ENDING_TUNNEL_FAILED;
    default:
        return ENDING_RESET_BY_CLIENT;
    }
}

static void fail(struct http_front *f, enum ending ending)
{
    if (f->over)
        return;
    f->over = true;
    timer_stop(ring_timers(f->ring), &f->late);
    f->events->failed(f, ending);
}

static int open_link(struct http_front *f, enum http_version version)
{
    const struct http_link_options o = {.ring = f->ring,
                                        .carrier = f->client,
                                        .server = true,
                                        .behind = f->behind,
                                        .streams_max = HTTP_FRONT_STREAMS_MAX,
                                        .idle_ms = f->idle_ms};
    f->version = version;
    int r = f->events->spoken ? f->events->spoken(f, version) : 0;
    if (r < 0)
        return r;
    return version == HTTP_VERSION_2 ? http2_link_open(&f->link, &o, f->events->link, f->user)
                                     : http1_link_open(&f->link, &o, f->events->link, f->user);
}

static void decide(struct http_front *f)
{
    uint8_t seen[PREFACE_SEEN];
    size_t n = buf_peek(&f->first, seen, PREFACE_SEEN);
    bool preface = memcmp(seen, "PRI", n) == 0;
    if (f->known || f->over || (n < PREFACE_SEEN && preface && !f->first_ended))
        return;
    f->known = true;
    timer_stop(ring_timers(f->ring), &f->late);
    if (n == 0) { /* it has gone without a word */
        fail(f, ENDING_CLOSED);
        return;
    }
    if (open_link(f, preface ? HTTP_VERSION_2 : HTTP_VERSION_1) < 0) {
        fail(f, ENDING_NO_MEMORY);
        return;
    }
    struct buf bytes = {0};
    struct stream *client = f->client;
    buf_move(&bytes, &f->first);
    client->events->received(client, &bytes);
    if (f->first_ended)
        client->events->ended(client);
}

static void nothing(struct stream *s)
{
    (void)s;
}
static void first_received(struct stream *s, struct buf *bytes)
{
    struct http_front *f = s->user;
    if (f->first.len == 0)
        timer_start(ring_timers(f->ring), &f->late, FIRST_MS);
    buf_move(&f->first, bytes);
    decide(f);
}
static void first_ended(struct stream *s)
{
    struct http_front *f = s->user;
    f->first_ended = true;
    decide(f);
}
static void first_failed(struct stream *s, int error)
{
    fail(s->user, http_front_ending(error));
}
static const struct stream_events first_events = {.received = first_received,
                                                  .ended = first_ended,
                                                  .writable = nothing,
                                                  .finished = nothing,
                                                  .failed = first_failed};

static void first_late(struct timer *t)
{
    fail(container_of(t, struct http_front, late), ENDING_IDLE_TIMEOUT);
}

void http_front_init(struct http_front *f, struct ring *ring, struct stream *client,
                     uint64_t idle_ms, const struct http_front_events *events, void *user)
{
    *f = (struct http_front){
        .events = events, .user = user, .ring = ring, .client = client, .idle_ms = idle_ms};
    timer_init(&f->late, first_late);
    client->events = &first_events;
    client->user = f;
    if (idle_ms > 0)
        timer_start(ring_timers(ring), &f->late, idle_ms);
}

void http_front_give(struct http_front *f, struct buf *bytes, bool ended)
{
    if (bytes->len > 0)
        f->client->events->received(f->client, bytes);
    if (ended && !f->over && !f->first_ended)
        f->client->events->ended(f->client);
}

void http_front_close(struct http_front *f)
{
    timer_stop(ring_timers(f->ring), &f->late);
    buf_done(&f->first);
    if (f->client->events == &first_events)
        f->client->events = &stream_nobody;
    f->known = f->over = true;
    if (f->link)
        http_link_close(f->link);
}
