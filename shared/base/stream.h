/*
 * One bidirectional byte stream, whatever carries it: a TCP connection (with or without TLS) or an
 * HTTP/2 stream. It is embedded in its carrier; its user (a relay, gRPC, an HTTP endpoint) sets
 * `events`.
 *
 * Rules for both sides
 * - All calls and events happen on the owning worker's thread. Operations never call an event
 *   before they return: events come from the loop (or, for HTTP/2, while input is fed).
 * - `send` takes all bytes at once. The user stops giving when stream_queued() is over
 *   STREAM_QUEUE_HIGH and goes on at `writable`: so a stream holds at most HIGH plus what one event
 *   can bring.
 * - After `pause` at most a bounded rest arrives; `resume` asks for more. HTTP/2 returns its window
 *   only for bytes delivered while not paused, so back-pressure reaches the sender.
 * - `ended` (peer's half-close) and `finished` (our half-close and everything before it left) may
 *   come in any order. After `failed`, or after `reset` was called, no event comes any more.
 */
#ifndef SHARED_BASE_STREAM_H
#define SHARED_BASE_STREAM_H
#include "shared/base/buf.h"

enum { STREAM_QUEUE_HIGH = 256 * 1024, STREAM_QUEUE_LOW = 64 * 1024 };

struct stream;
struct stream_ops {
    void (*send)(struct stream *s, struct buf *bytes); /* moves everything out of bytes */
    void (*finish)(struct stream *s);                  /* half-close, after what is queued */
    void (*pause)(struct stream *s);
    void (*resume)(struct stream *s);
    void (*reset)(struct stream *s, int error); /* both ways, now; RST or RST_STREAM */
    size_t (*queued)(const struct stream *s);   /* bytes taken and not yet handed on */
};
struct stream_events {
    void (*received)(struct stream *s, struct buf *bytes); /* the user moves all bytes out */
    void (*ended)(struct stream *s);
    void (*writable)(struct stream *s); /* the queue fell below LOW after it had been above HIGH */
    void (*finished)(struct stream *s);
    void (*failed)(struct stream *s, int error); /* -errno */
};
extern const struct stream_events stream_nobody; /* nobody looks: what comes is dropped */
struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *user; /* of whoever set events */
};
static inline void stream_send(struct stream *s, struct buf *bytes)
{
    s->ops->send(s, bytes);
}
static inline void stream_finish(struct stream *s)
{
    s->ops->finish(s);
}
static inline void stream_pause(struct stream *s)
{
    s->ops->pause(s);
}
static inline void stream_resume(struct stream *s)
{
    s->ops->resume(s);
}
static inline void stream_reset(struct stream *s, int error)
{
    s->ops->reset(s, error);
}
static inline size_t stream_queued(const struct stream *s)
{
    return s->ops->queued(s);
}
#endif
