#include "nodeproxy/path/protocol_detect.h"

#include "nodeproxy/path/relay.h"
#include "shared/http/http_guess.h"
#include <errno.h>
#include <stdlib.h>

enum {
    DETECT_MS = 1000, /* for the rest of a request line: nothing else begins like one */
    SERVER_SEEN = 9   /* a frame's head */
};

struct side {
    struct protocol_detect *detect;
    struct stream *stream; /* NULL: not there */
    struct buf said;
    bool ended, paused;
};
struct protocol_detect {
    const struct protocol_detect_events *events;
    void *user;
    struct ring *ring;
    struct side client, server;
    struct timer late;
    bool told; /* no event any more */
};

static void tell(struct protocol_detect *d, bool http)
{
    if (d->told)
        return;
    d->told = true;
    timer_stop(ring_timers(d->ring), &d->late);
    d->events->decided(d->user, http); /* d may have gone */
}

static void fail(struct protocol_detect *d, enum ending ending)
{
    timer_stop(ring_timers(d->ring), &d->late);
    d->told = true;
    d->events->failed(d->user, ending);
}

static void look(struct protocol_detect *d)
{
    char seen[HTTP_GUESS_MAX];
    size_t n = buf_peek(&d->client.said, seen, sizeof seen);
    enum http_guess guess = http_guess(seen, n);
    if (guess != HTTP_GUESS_MORE)
        tell(d, guess == HTTP_GUESS_YES);
    else if (d->client.ended)
        tell(d, false);
}

static void late(struct timer *t)
{
    struct protocol_detect *d = container_of(t, struct protocol_detect, late);
    if (d->client.said.len > 0 || d->server.said.len > 0)
        tell(d, false);
    else
        fail(d, ENDING_IDLE_TIMEOUT);
}

/* Nobody can take it yet. */
static void keep(struct side *s, struct buf *bytes)
{
    struct protocol_detect *d = s->detect;
    if (!d->told && d->client.said.len == 0 && d->server.said.len == 0)
        timer_start(ring_timers(d->ring), &d->late, DETECT_MS);
    buf_move(&s->said, bytes);
}

static void pause(struct side *s)
{
    if (!s->paused)
        stream_pause(s->stream);
    s->paused = true;
}

static void client_received(struct stream *s, struct buf *bytes)
{
    struct side *client = s->user;
    struct protocol_detect *d = client->detect;
    keep(client, bytes);
    if (d->told)
        pause(client);
    else
        look(d);
}

static void server_received(struct stream *s, struct buf *bytes)
{
    struct side *server = s->user;
    char seen[SERVER_SEEN];
    keep(server, bytes);
    size_t n = buf_peek(&server->said, seen, sizeof seen);
    enum http_guess guess = http_guess_server(seen, n);
    if (guess == HTTP_GUESS_NO)
        tell(server->detect, false);
    else if (guess == HTTP_GUESS_YES) /* what it says to it, its client says in any case */
        pause(server);
}

static void client_ended(struct stream *s)
{
    struct side *client = s->user;
    client->ended = true;
    if (!client->detect->told)
        look(client->detect);
}

static void server_ended(struct stream *s)
{
    struct side *server = s->user;
    server->ended = true;
    tell(server->detect, false);
}

static void side_failed(struct stream *s, int error)
{
    struct side *side = s->user;
    struct protocol_detect *d = side->detect;
    fail(d, relay_ending(error, side == &d->client));
}

static void nothing(struct stream *s)
{
    (void)s;
}
static const struct stream_events client_events = {.received = client_received,
                                                   .ended = client_ended,
                                                   .writable = nothing,
                                                   .finished = nothing,
                                                   .failed = side_failed};
static const struct stream_events server_events = {.received = server_received,
                                                   .ended = server_ended,
                                                   .writable = nothing,
                                                   .finished = nothing,
                                                   .failed = side_failed};

int protocol_detect_new(struct protocol_detect **ret, struct ring *ring, struct stream *client, uint64_t idle_ms,
                        const struct protocol_detect_events *events, void *user)
{
    struct protocol_detect *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->events = events;
    d->user = user;
    d->ring = ring;
    d->client = (struct side){.detect = d, .stream = client};
    d->server = (struct side){.detect = d};
    client->events = &client_events;
    client->user = &d->client;
    timer_init(&d->late, late);
    if (idle_ms > 0)
        timer_start(ring_timers(ring), &d->late, idle_ms);
    *ret = d;
    return 0;
}

void protocol_detect_set_server(struct protocol_detect *d, struct stream *server)
{
    d->server.stream = server;
    server->events = &server_events;
    server->user = &d->server;
}

void protocol_detect_give(struct protocol_detect *d, struct buf *bytes, bool ended)
{
    struct stream *client = d->client.stream;
    if (bytes->len > 0)
        client->events->received(client, bytes);
    if (ended) /* whose events may be others' by now */
        client->events->ended(client);
}

void protocol_detect_forget_server(struct protocol_detect *d)
{
    struct side *s = &d->server;
    if (s->stream && s->stream->events == &server_events)
        s->stream->events = &stream_nobody;
    s->stream = NULL;
    buf_done(&s->said);
}

static void hand(struct side *s)
{
    if (!s->stream)
        return;
    if (s->paused)
        stream_resume(s->stream);
    if (s->said.len > 0)
        s->stream->events->received(s->stream, &s->said);
    if (s->ended)
        s->stream->events->ended(s->stream);
}

void protocol_detect_hand_over(struct protocol_detect *taken_d)
{
    struct side client = taken_d->client, server = taken_d->server;
    timer_stop(ring_timers(taken_d->ring), &taken_d->late);
    free(taken_d); /* what they are told may be the end of its owner */
    hand(&client);
    hand(&server);
}

struct protocol_detect *protocol_detect_free(struct protocol_detect *d)
{
    if (!d)
        return NULL;
    timer_stop(ring_timers(d->ring), &d->late);
    protocol_detect_forget_server(d);
    if (d->client.stream->events == &client_events)
        d->client.stream->events = &stream_nobody;
    buf_done(&d->client.said);
    free(d);
    return NULL;
}
