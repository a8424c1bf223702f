/* The last stage of every story: bytes both ways. */
#include "nodeproxy/path/relay.h"

#include <errno.h>

static void relay_end(struct relay *r, enum ending ending)
{
    if (r->is_over)
        return;
    r->is_over = true;
    timer_stop(r->timers, &r->idle);
    hold_forget(r->hold, &r->held);
    r->over(r, ending);
}

static void side_received(struct stream *s, struct buf *bytes)
{
    struct relay_side *side = s->user, *other = side->other;
    struct relay *r = side->relay;
    if (r->is_over) {
        buf_done(bytes);
        return;
    }
    side->bytes += bytes->len;
    if (side->count)
        metric_add(side->count, bytes->len);
    r->active_ms = r->timers->now_ms;
    stream_send(other->stream, bytes);
    if (r->is_over)
        return;
    size_t queued = stream_queued(other->stream);
    if (r->hold && hold_update(r->hold, &r->held, other == &r->server, queued))
        side->choked = true;
    if (!side->paused && (side->choked || queued > STREAM_QUEUE_HIGH)) {
        side->paused = true;
        stream_pause(s);
    }
}

static void side_unchoke(struct relay_side *side)
{
    if (!side->choked || stream_queued(side->other->stream) > 0)
        return;
    side->choked = side->paused = false;
    stream_resume(side->stream);
}

void relay_unchoke(struct relay *r)
{
    side_unchoke(&r->client);
    side_unchoke(&r->server);
}

bool relay_is_choked(const struct relay *r) { return r->client.choked || r->server.choked; }

void relay_evict(struct relay *r) { relay_end(r, ENDING_LIMIT); }

static void side_writable(struct stream *s)
{
    struct relay_side *other = ((struct relay_side *)s->user)->other;
    if (other->relay->is_over || !other->paused || other->choked)
        return;
    other->paused = false;
    stream_resume(other->stream);
}

static void relay_look(struct relay *r)
{
    if (r->client.ended && r->client.finished && r->server.ended && r->server.finished)
        relay_end(r, ENDING_CLOSED);
    else if (r->half && r->server.ended && r->client.finished && !r->client.ended)
        r->half(r);
}

static void side_ended(struct stream *s)
{
    struct relay_side *side = s->user;
    if (side->relay->is_over || side->ended)
        return;
    side->ended = true;
    stream_finish(side->other->stream);
    relay_look(side->relay);
}

static void side_finished(struct stream *s)
{
    struct relay_side *side = s->user;
    if (side->relay->is_over)
        return;
    side->finished = true;
    relay_look(side->relay);
}

enum ending relay_ending(int error, bool client)
{
    switch (error) {
    case -ECONNRESET:
    case -EPIPE:
    case -ECANCELED:
    case -ECONNREFUSED: /* a stream: REFUSED_STREAM */
        return client ? ENDING_RESET_BY_CLIENT : ENDING_RESET_BY_SERVER;
    case -ECONNABORTED: /* a stream whose connection broke */
        return ENDING_TUNNEL_FAILED;
    case -EPROTO:
        return ENDING_PROTOCOL;
    case -ENOMEM:
    case -ENOBUFS:
        return ENDING_NO_MEMORY;
    default:
        return ENDING_IO;
    }
}

static void side_failed(struct stream *s, int error)
{
    struct relay_side *side = s->user;
    if (!side->relay->is_over)
        side->relay->server_failed = side == &side->relay->server;
    relay_end(side->relay, relay_ending(error, side == &side->relay->client));
}

static const struct stream_events side_events = {
    .received = side_received, .ended = side_ended, .writable = side_writable, .finished = side_finished, .failed = side_failed};

/* Bytes that come only note the time; the timer looks back when it fires. Bytes that leave count as well: a slow reader of what
 * came long ago is not idle. */
static void relay_idle(struct timer *t)
{
    struct relay *r = container_of(t, struct relay, idle);
    uint64_t quiet = r->timers->now_ms - r->active_ms;
    size_t queued = stream_queued(r->client.stream) + stream_queued(r->server.stream);
    if (quiet >= r->idle_ms && queued == r->queued) {
        relay_end(r, ENDING_IDLE_TIMEOUT);
        return;
    }
    r->queued = queued;
    timer_start(r->timers, &r->idle, quiet < r->idle_ms ? r->idle_ms - quiet : r->idle_ms);
}

void relay_start(struct relay *r, struct stream *client, struct stream *server, struct timer_wheel *timers, uint64_t idle_ms, void (*over)(struct relay *r, enum ending ending))
{
    struct metric_series *client_count = r->client.count, *server_count = r->server.count;
    *r = (struct relay){.timers = timers, .idle_ms = idle_ms, .over = over, .active_ms = timers->now_ms, .hold = r->hold};
    list_init(&r->held.link);
    r->client = (struct relay_side){.relay = r, .stream = client, .other = &r->server, .count = client_count};
    r->server = (struct relay_side){.relay = r, .stream = server, .other = &r->client, .count = server_count};
    client->events = server->events = &side_events;
    client->user = &r->client;
    server->user = &r->server;
    timer_init(&r->idle, relay_idle);
    if (idle_ms > 0)
        timer_start(timers, &r->idle, idle_ms);
}

void relay_give(struct relay *r, struct buf *bytes, bool ended)
{
    if (bytes->len > 0)
        side_received(r->client.stream, bytes);
    if (ended)
        side_ended(r->client.stream);
}

void relay_stop(struct relay *r)
{
    if (!r->timers)
        return;
    r->is_over = true;
    timer_stop(r->timers, &r->idle);
    hold_forget(r->hold, &r->held);
}
