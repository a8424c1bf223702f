#include "shared/transport/stream_pair.h"

#include <errno.h>

static struct stream_pair_end *end_of(const struct stream *s)
{
    return container_of(s, struct stream_pair_end, stream);
}

static void ask(struct stream_pair_end *e)
{
    ring_task_ask(e->pair->ring, &e->task);
}

/* ---- what its user is told ----------------------------------------------- */

static void give(struct stream_pair_end *e)
{
    struct stream_pair_end *from = e->other;
    struct buf bytes = {0};
    buf_move(&bytes, &e->in);
    e->stream.events->received(&e->stream, &bytes);
    if (from->over || !from->was_high || e->in.len >= STREAM_QUEUE_LOW)
        return;
    from->was_high = false;
    from->stream.events->writable(&from->stream);
}

static void give_end(struct stream_pair_end *e)
{
    e->ended = true;
    e->stream.events->ended(&e->stream);
    if (!e->other->over)
        e->other->stream.events->finished(&e->other->stream);
}

static void tell(struct ring_task *task)
{
    struct stream_pair_end *e = container_of(task, struct stream_pair_end, task);
    if (e->over)
        return;
    if (e->error) {
        e->over = true;
        buf_done(&e->in);
        e->stream.events->failed(&e->stream, e->error);
        return;
    }
    if (!e->paused && e->in.len > 0)
        give(e);
    if (!e->over && !e->error && !e->paused && e->in.len == 0 && e->other->finish_asked &&
        !e->ended)
        give_end(e);
}

/* ---- what its user does -------------------------------------------------- */

static void pair_send(struct stream *s, struct buf *bytes)
{
    struct stream_pair_end *e = end_of(s), *to = e->other;
    if (e->over || e->finish_asked || to->over) {
        buf_done(bytes);
        return;
    }
    buf_move(&to->in, bytes);
    if (to->in.len > STREAM_QUEUE_HIGH)
        e->was_high = true;
    ask(to);
}

static void pair_finish(struct stream *s)
{
    struct stream_pair_end *e = end_of(s);
    e->finish_asked = true;
    ask(e->other);
}

static void pair_pause(struct stream *s)
{
    end_of(s)->paused = true;
}

static void pair_resume(struct stream *s)
{
    struct stream_pair_end *e = end_of(s);
    e->paused = false;
    ask(e);
}

static void pair_reset(struct stream *s, int error)
{
    struct stream_pair_end *e = end_of(s);
    (void)error; /* as it is with sockets: the other side sees a reset */
    if (e->over)
        return;
    e->over = true;
    buf_done(&e->in);
    ring_task_cancel(&e->task);
    if (e->other->error == 0)
        e->other->error = -ECONNRESET;
    ask(e->other);
}

static size_t pair_queued(const struct stream *s)
{
    return end_of(s)->other->in.len;
}

static const struct stream_ops ops = {.send = pair_send,
                                      .finish = pair_finish,
                                      .pause = pair_pause,
                                      .resume = pair_resume,
                                      .reset = pair_reset,
                                      .queued = pair_queued};

void stream_pair_init(struct stream_pair *p, struct ring *ring)
{
    *p = (struct stream_pair){.ring = ring};
    for (size_t i = 0; i < 2; i++) {
        struct stream_pair_end *e = &p->ends[i];
        e->stream = (struct stream){.ops = &ops, .events = &stream_nobody};
        e->pair = p;
        e->other = &p->ends[1 - i];
        e->paused = true;
        ring_task_init(&e->task, tell);
    }
}

void stream_pair_done(struct stream_pair *p)
{
    for (size_t i = 0; i < 2; i++) {
        p->ends[i].over = true;
        ring_task_cancel(&p->ends[i].task);
        buf_done(&p->ends[i].in);
    }
}
