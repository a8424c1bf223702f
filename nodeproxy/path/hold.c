/* The chunks that a pod's readers leave unread; see the header. */
#include "nodeproxy/path/hold.h"

#include "nodeproxy/path/relay.h"

enum { LOOK_MS = 5, SHARE_MIN = 32, WALK_MIN = 64, TELL_MIN = 16 };

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

/* Makes the count exact; who reads lets those go on that have nothing left. Returns who holds most. */
static struct relay *walk(struct hold *h, bool go_on)
{
    struct relay *most = NULL;
    uint32_t most_chunks = 0;
    list_for_each(n, &h->relays)
    {
        struct relay *r = relay_of(n);
        set(h, &r->held, 0, chunks_of(stream_queued(r->client.stream)));
        set(h, &r->held, 1, chunks_of(stream_queued(r->server.stream)));
        uint32_t chunks = r->held.chunks[0] + r->held.chunks[1];
        if (chunks > most_chunks) {
            most = r;
            most_chunks = chunks;
        }
        if (go_on)
            relay_unchoke(r);
        if (chunks == 0 && !relay_is_choked(r))
            list_remove(&r->held.link);
    }
    return most;
}

static void look(struct timer *t)
{
    struct hold *h = container_of(t, struct hold, look);
    struct relay *most = walk(h, true);
    while (most && h->chunks > share(h)) {
        bound_hit(h->bounds, BOUND_BUFFERED, ring_now_ms(h->ring));
        relay_evict(most);
        most = walk(h, false);
    }
    h->walk_at = 0;
    tell(h, 1);
    if (!list_empty(&h->relays) && !timer_running(t))
        timer_start(ring_timers(h->ring), t, LOOK_MS);
}

void hold_measure(struct hold *h)
{
    (void)walk(h, false);
    tell(h, 1);
}

bool hold_update(struct hold *h, struct hold_link *l, unsigned i, size_t queued)
{
    set(h, l, i, chunks_of(queued));
    if (list_empty(&l->link) && l->chunks[0] + l->chunks[1] > 0)
        list_push_back(&h->relays, &l->link);
    size_t half = share(h) / 2;
    if (h->chunks > half && h->chunks >= h->walk_at) {
        (void)walk(h, false);
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
