#include "nodeproxy/http/mirror.h"

#include <errno.h>
#include <stdlib.h>

enum { MIRRORS_MAX = 256, MIRROR_MS = 10000 };

struct mirror {
    struct list link;
    struct mirrors *all;
    struct upstream_wait wait;
    struct upstream_stake stake;
    struct http_head request;
    struct buf body;
    struct timer late;
    struct ring_task free_task;
    bool over;
    struct http_stream stream; /* large, and cleared when it is used */
};

static void mirror_free(struct ring_task *task)
{
    struct mirror *m = container_of(task, struct mirror, free_task);
    struct mirrors *all = m->all;
    list_remove(&m->link);
    http_stream_done(&m->stream);
    http_head_done(&m->request);
    buf_done(&m->body);
    free(m);
    if (--all->n == 0 && all->closing && all->drained)
        all->drained(all);
}

static void mirror_over(struct mirror *m)
{
    if (m->over)
        return;
    m->over = true;
    timer_stop(ring_timers(m->all->ring), &m->late);
    upstream_forget(&m->wait);
    upstream_stake_end(&m->stake);
    http_stream_detach(&m->stream);
    ring_task_ask(m->all->ring, &m->free_task);
}

static void mirror_late(struct timer *t)
{
    mirror_over(container_of(t, struct mirror, late));
}

/* ---- the answer, which nobody wants --------------------------------------- */

static void head_came(struct http_stream *s)
{
    (void)s;
}
static void trailers_came(struct http_stream *s, struct http_head *trailers)
{
    (void)s, (void)trailers;
}
static void closed(struct http_stream *s, int error)
{
    (void)error;
    mirror_over(s->user);
}
static const struct http_stream_events events = {
    .head = head_came, .informed = head_came, .trailers = trailers_came, .closed = closed};

/* ---- the copy ------------------------------------------------------------- */

static void say(struct mirror *m, struct http_link *link)
{
    if (http_link_request(link, &m->stream, &m->request, m->body.len == 0) < 0) {
        mirror_over(m);
        return;
    }
    m->all->sent++;
    m->stream.body->events = &stream_nobody;
    m->stream.body->user = m;
    if (m->body.len == 0)
        return;
    stream_send(m->stream.body, &m->body);
    stream_finish(m->stream.body);
}

static void ready(struct upstream_wait *w, struct http_link *link, enum ending why)
{
    struct mirror *m = container_of(w, struct mirror, wait);
    (void)why;
    if (link)
        say(m, link);
    else
        mirror_over(m);
}

static int copy(struct mirror *m, const struct http_head *request, struct text authority,
                const struct buf *body)
{
    int r = http_head_copy(&m->request, request);
    if (r == 0)
        r = http_head_set_authority(&m->request, authority);
    for (const struct chunk *c = body->head; r == 0 && c; c = c->next)
        r = buf_append(&m->body, ring_chunks(m->all->ring), c->data + c->start, chunk_len(c));
    return r;
}

void mirrors_send(struct mirrors *all, struct upstream_pool *pool,
                  const struct upstream_endpoint *to, struct upstream_stake *taken_stake,
                  const struct http_head *request, struct text authority, const struct buf *body)
{
    struct http_link *link;
    struct mirror *m = all->closing || all->n >= MIRRORS_MAX ? NULL : malloc(sizeof *m);
    if (!m) {
        all->left_out++;
        upstream_stake_end(taken_stake);
        return;
    }
    memset(m, 0, offsetof(struct mirror, stream));
    m->all = all;
    http_head_init(&m->request);
    http_stream_init(&m->stream, &events, m);
    upstream_wait_init(&m->wait, ready);
    m->stake = *taken_stake;
    *taken_stake = (struct upstream_stake){.cluster = NULL};
    m->wait.stake = &m->stake;
    timer_init(&m->late, mirror_late);
    ring_task_init(&m->free_task, mirror_free);
    list_push_back(&all->all, &m->link);
    all->n++;
    timer_start(ring_timers(all->ring), &m->late, MIRROR_MS);
    int r = copy(m, request, authority, body);
    if (r == 0)
        r = upstream_take(pool, to, &m->wait, &link);
    if (r == 0)
        say(m, link);
    else if (r != -EAGAIN) /* then it waits */
        mirror_over(m);
}

void mirrors_init(struct mirrors *m, struct ring *ring, void (*drained)(struct mirrors *m))
{
    *m = (struct mirrors){.ring = ring, .drained = drained};
    list_init(&m->all);
}

void mirrors_close(struct mirrors *m)
{
    m->closing = true;
    list_for_each (n, &m->all)
        mirror_over(container_of(n, struct mirror, link));
    if (m->n == 0 && m->drained)
        m->drained(m);
}
