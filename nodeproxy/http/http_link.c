/* What both kinds of link have in common, and the ways into them. */
#include "nodeproxy/http/http_link.h"

#include <errno.h>

enum { HEAD_MS = 10000, IDLE_MS = 3600 * 1000 };

void http_link_begin(struct http_link *l, const struct http_link_ops *ops,
                     const struct http_link_options *o, const struct http_link_events *events,
                     void *user)
{
    *l = (struct http_link){.ops = ops,
                            .events = events,
                            .user = user,
                            .version = ops->version,
                            .ring = o->ring,
                            .carrier = o->carrier,
                            .head_ms = o->head_ms ? o->head_ms : HEAD_MS,
                            .idle_ms = o->idle_ms ? o->idle_ms : IDLE_MS,
                            .server = o->server};
    ring_task_init(&l->turn, ops->turn);
    o->carrier->events = ops->carrier;
    o->carrier->user = l;
}

void http_link_end(struct http_link *l, int error, const char *why)
{
    if (l->over)
        return;
    l->over = true;
    l->error = error;
    l->why = why;
    ring_task_ask(l->ring, &l->turn);
}

void http_link_leave(struct http_link *l)
{
    ring_task_cancel(&l->turn); /* a stream's `closed` may have asked */
    l->carrier->events = &stream_nobody;
    l->carrier->user = NULL;
    l->events->closed(l, l->error, l->why ? l->why : "");
}

int http_link_request(struct http_link *l, struct http_stream *s, const struct http_head *head,
                      bool end)
{
    return l->ops->request(l, s, head, end);
}
bool http_link_can_request(const struct http_link *l)
{
    return l->ops->can_request(l);
}
void http_link_drain(struct http_link *l)
{
    l->ops->drain(l);
}
void http_link_drain_unserved(struct http_link *l)
{
    l->unserved = true;
    l->ops->drain(l);
}
void http_link_close(struct http_link *l)
{
    http_link_end(l, 0, NULL);
}

void http_stream_init(struct http_stream *s, const struct http_stream_events *events, void *user)
{
    memset(s, 0, offsetof(struct http_stream, head)); /* the arena in the head need not be zero */
    s->events = events;
    s->user = user;
    http_head_init(&s->head);
}

void http_stream_done(struct http_stream *s)
{
    http_head_done(&s->head);
}

int http_stream_answer(struct http_stream *s, const struct http_head *head, bool end)
{
    return s->link ? s->link->ops->answer(s, head, end) : -EPIPE;
}

int http_stream_inform(struct http_stream *s, const struct http_head *head)
{
    return s->link ? s->link->ops->inform(s, head) : -EPIPE;
}

int http_stream_trailers(struct http_stream *s, const struct http_head *trailers)
{
    return s->link ? s->link->ops->trailers(s, trailers) : -EPIPE;
}

/* RFC 9113, 8.7; a connection that ended may well have been read before. */
bool http_stream_is_untouched(const struct http_stream *s)
{
    return s->link && s->link->version == HTTP_VERSION_2 &&
           (!s->h2.sent || s->h2.code == HTTP2_REFUSED_STREAM);
}

bool http_stream_was_heard(const struct http_stream *s)
{
    if (!s->link)
        return true;
    return s->link->version == HTTP_VERSION_2 ? s->h2.head_seen : s->h1.heard;
}

void http_stream_refuse(struct http_stream *s)
{
    if (!s->link)
        return;
    s->link->ops->refuse(s);
    s->link = NULL;
}

void http_stream_detach(struct http_stream *s)
{
    if (!s->link)
        return;
    s->link->ops->detach(s);
    s->link = NULL;
}
