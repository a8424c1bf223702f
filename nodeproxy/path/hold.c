/* The chunks that a pod's readers leave unread; see the header. */
#include "nodeproxy/path/hold.h"

#include "nodeproxy/path/relay.h"

enum { LOOK_MS = 5, SHARE_MIN = 32, WALK_MIN = 64, TELL_MIN = 16, MOST_MAX = 16 /* ended in one look */ };

static uint32_t chunks_of(size_t bytes) { return bytes == 0 ? 0 : (uint32_t)(bytes / CHUNK_BYTES + 1); }

/* An eighth of the pool is never received into (shared/ring/supply.c). */
static size_t share(const struct hold *h)
{
    const struct chunk_pool *pool = ring_chunks(h->ring);
    size_t usable = pool->n_max - pool->n_max / 8, left = usable > pool->n_live ? usable - pool->n_live : 0;
    if (h->max > 0 && left > h->max)
        left = h->max;
    return left > SHARE_MIN ? left : SHARE_MIN;
}

static void tell(struct hold *h, int64_t least)
{
    int64_t delta = (int64_t)h->chunks - h->told;
    if (delta < least && -delta < least)
        return;
    bound_add(h->bounds, BOUND_BUFFERED, delta * CHUNK_BYTES);
    h->told += delta;
}

static void set(struct hold *h, struct hold_link *l, unsigned i, uint32_t chunks)
{
    h->chunks += chunks - (size_t)l->chunks[i];
    l->chunks[i] = chunks;
}

static struct relay *relay_of(struct list *link) { return container_of(container_of(link, struct hold_link, link), struct relay, held); }

static uint32_t held_by(const struct relay *r) { return r->held.chunks[0] + r->held.chunks[1]; }

struct most { /* those that hold most, first the one with most of all */
    size_t n;
    struct relay *relays[MOST_MAX];
};

static void most_add(struct most *m, struct relay *r)
{
    size_t at = m->n < MOST_MAX ? m->n++ : MOST_MAX - 1;
    if (at == MOST_MAX - 1 && m->relays[at] && held_by(m->relays[at]) >= held_by(r))
        return;
    for (; at > 0 && held_by(m->relays[at - 1]) < held_by(r); at--)
        m->relays[at] = m->relays[at - 1];
    m->relays[at] = r;
}

/* Makes the count exact; who reads lets those go on that have nothing left. ret_most may be NULL. */
static void walk(struct hold *h, bool go_on, struct most *ret_most)
{
    list_for_each(n, &h->relays)
    {
        struct relay *r = relay_of(n);
        set(h, &r->held, 0, chunks_of(stream_queued(r->client.stream)));
        set(h, &r->held, 1, chunks_of(stream_queued(r->server.stream)));
        if (ret_most && held_by(r) > 0)
            most_add(ret_most, r);
        if (go_on)
            relay_unchoke(r);
        if (held_by(r) == 0 && !relay_is_choked(r))
            list_remove(&r->held.link);
    }
}

/* One walk a look, however many must end: what they held comes back by then, or the next look ends more. */
static void look(struct timer *t)
{
    struct hold *h = container_of(t, struct hold, look);
    struct most most = {0};
    walk(h, true, &most);
    for (size_t i = 0; i < most.n && h->chunks > share(h); i++) {
        if (most.relays[i]->is_over) /* by the end of another one */
            continue;
        bound_hit(h->bounds, BOUND_BUFFERED, ring_now_ms(h->ring));
        relay_evict(most.relays[i]);
    }
    h->walk_at = 0;
    tell(h, 1);
    if (!list_empty(&h->relays) && !timer_running(t))
        timer_start(ring_timers(h->ring), t, LOOK_MS);
}

void hold_measure(struct hold *h)
{
    walk(h, false, NULL);
    tell(h, 1);
}

bool hold_update(struct hold *h, struct hold_link *l, unsigned i, size_t queued)
{
    set(h, l, i, chunks_of(queued));
    if (list_empty(&l->link) && l->chunks[0] + l->chunks[1] > 0)
        list_push_back(&h->relays, &l->link);
    size_t half = share(h) / 2;
    if (h->chunks > half && h->chunks >= h->walk_at) {
        walk(h, false, NULL);
        tell(h, TELL_MIN);
        h->walk_at = h->chunks + (half / 8 > WALK_MIN ? half / 8 : WALK_MIN);
    }
    if (h->chunks <= half)
        return false;
    if (list_empty(&l->link)) /* choked ones are looked at again */
        list_push_back(&h->relays, &l->link);
    if (!timer_running(&h->look))
        timer_start(ring_timers(h->ring), &h->look, LOOK_MS);
    return true;
}

void hold_forget(struct hold *h, struct hold_link *l)
{
    if (!h || !h->ring)
        return;
    set(h, l, 0, 0);
    set(h, l, 1, 0);
    list_remove(&l->link);
}

void hold_init(struct hold *h, struct ring *ring, struct pod_bounds *bounds, size_t max)
{
    *h = (struct hold){.ring = ring, .bounds = bounds, .max = max};
    list_init(&h->relays);
    timer_init(&h->look, look);
}

void hold_done(struct hold *h)
{
    timer_stop(ring_timers(h->ring), &h->look);
    tell(h, 1);
}
