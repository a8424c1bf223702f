/* A client's first words, where they say whom it asks for; see the header. */
#include "nodeproxy/path/hello_wait.h"

static void over(struct hello_wait *w, enum ending ending)
{
    struct conn *client = w->client;
    w->client = NULL;
    timer_stop(ring_timers(w->ring), &w->late);
    client->stream.events = &stream_nobody;
    if (ending == ENDING_NONE)
        conn_stop(client, &w->first);
    w->heard(w->user, ending);
}

static void received(struct stream *s, struct buf *bytes)
{
    struct hello_wait *w = s->user;
    uint8_t seen[CLIENT_HELLO_BYTES_MAX];
    buf_move(&w->first, bytes);
    if (w->first.len < w->want)
        return;
    size_t n = buf_peek(&w->first, seen, sizeof seen);
    if (client_hello_read(seen, n, w->server, &w->want) != CLIENT_HELLO_MORE)
        over(w, ENDING_NONE);
}

/* It has said all that it will. */
static void ended(struct stream *s)
{
    over(s->user, ENDING_NONE);
}
static void failed(struct stream *s, int error)
{
    (void)error;
    over(s->user, ENDING_RESET_BY_CLIENT);
}
static void nothing(struct stream *s)
{
    (void)s;
}
static const struct stream_events events = {.received = received,
                                            .ended = ended,
                                            .writable = nothing,
                                            .finished = nothing,
                                            .failed = failed};

static void late(struct timer *t)
{
    over(container_of(t, struct hello_wait, late), ENDING_NONE);
}

void hello_wait_start(struct hello_wait *w, struct ring *ring, struct conn *client, uint64_t wait_ms,
                      void (*heard)(void *user, enum ending ending), void *user)
{
    *w = (struct hello_wait){.ring = ring, .client = client, .heard = heard, .user = user};
    timer_init(&w->late, late);
    timer_start(ring_timers(ring), &w->late, wait_ms);
    client->stream.events = &events;
    client->stream.user = w;
    conn_start(client);
}

void hello_wait_stop(struct hello_wait *w)
{
    if (w->client) {
        timer_stop(ring_timers(w->ring), &w->late);
        w->client->stream.events = &stream_nobody;
        w->client = NULL;
    }
    buf_done(&w->first);
}
