/* Links by destination, and the CONNECT streams in them; see the header. */
#include "nodeproxy/peer/peer_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { SWEEP_MS = 5000, TRIES_MAX = 2, REFUSALS_MAX = 8 };

struct peer_group { /* one destination; lives while links, tunnels or a running function refer to it */
    struct peer_pool *pool;
    struct addr to;
    struct spiffe_id expected;
    struct list links, waiting;
    struct list sweep; /* in the sweep's list, while it looks */
    size_t refs, n_links, n_opening, n_waiting;
    bool stale;    /* somebody else is there now: no new streams, and those that live end */
    bool cautious; /* the peer refused a stream: a new link carries one until the peer has said how many it takes */
};

static void group_serve(struct peer_group *g);

/* ---- groups -------------------------------------------------------------- */

static struct text group_key(const struct addr *to, const struct spiffe_id *expected, struct text_out *out)
{
    char text[ADDR_TEXT_MAX];
    text_puts(out, addr_print(to, text));
    text_putc(out, ' ');
    text_put(out, spiffe_id_text(expected));
    return (struct text){out->data, out->len};
}

/* With a reference for the caller. -ENOBUFS, -ENOMEM. */
static int group_get(struct peer_pool *p, const struct addr *to, const struct spiffe_id *expected, struct peer_group **ret)
{
    char data[ADDR_TEXT_MAX + SPIFFE_ID_TEXT_MAX + 2];
    struct text_out out = TEXT_OUT(data);
    struct text key = group_key(to, expected, &out);
    struct peer_group *g = map_get(&p->groups, key);
    if (!g) {
        g = calloc(1, sizeof *g);
        if (!g)
            return -ENOMEM;
        *g = (struct peer_group){.pool = p, .to = *to, .expected = *expected};
        list_init(&g->links);
        list_init(&g->waiting);
        list_init(&g->sweep);
        int r = map_put(&p->groups, key, g, NULL);
        if (r < 0) {
            free(g);
            return r == -ENOSPC ? -ENOBUFS : r;
        }
    }
    g->refs++;
    *ret = g;
    return 0;
}

static void group_unref(struct peer_group *g)
{
    assert(g->refs > 0);
    if (--g->refs > 0)
        return;
    char data[ADDR_TEXT_MAX + SPIFFE_ID_TEXT_MAX + 2];
    struct text_out out = TEXT_OUT(data);
    map_remove(&g->pool->groups, group_key(&g->to, &g->expected, &out));
    free(g);
}

static void group_unwait(struct peer_group *g, struct tunnel *t)
{
    list_remove(&t->link);
    g->n_waiting--;
    g->pool->n_waiting--;
}

/* ---- a CONNECT stream ---------------------------------------------------- */

static void tunnel_answer(struct tunnel *t, enum ending ending, const char *why)
{
    assert(!t->answered);
    t->answered = true;
    free(t->request);
    t->request = NULL;
    if (ending == ENDING_NONE)
        t->group->pool->stats.streams_opened++;
    else
        t->group->pool->stats.streams_failed++;
    t->opened(t, ending, why);
}

static void group_wait(struct peer_group *g, struct tunnel *t)
{
    list_push_back(&g->waiting, &t->link);
    g->n_waiting++;
    g->pool->n_waiting++;
}

/* The link broke or refused before it answered: once more on another one, if there was no answer. */
static void tunnel_retry(struct tunnel *t, bool refused)
{
    struct peer_group *g = t->group;
    t->requested = false;
    if (refused) { /* surely nothing was done with it (RFC 9113, 8.7), as a rule because there were too many at once */
        g->cautious = true;
        t->refusals++;
        t->tries--;
    }
    if (t->tries >= TRIES_MAX || t->refusals >= REFUSALS_MAX || g->pool->closing || g->pool->n_waiting >= PEER_WAITING_MAX) {
        tunnel_answer(t, ENDING_TUNNEL_FAILED, "the tunnel ended before it answered");
        return;
    }
    group_wait(g, t);
    group_serve(g);
}

static void tunnel_head(struct http2_stream *s, const struct http2_head *head)
{
    struct tunnel *t = container_of(s, struct tunnel, stream);
    if (t->answered)
        return; /* trailers */
    t->status = hbone_status(head);
    if (t->status == 200)
        tunnel_answer(t, ENDING_NONE, "");
    else
        tunnel_answer(t, t->status == 401 ? ENDING_DENIED : ENDING_TUNNEL_REFUSED, "");
}

static void tunnel_closed(struct http2_stream *s, uint32_t code)
{
    struct tunnel *t = container_of(s, struct tunnel, stream);
    if (!t->answered && t->requested)
        tunnel_retry(t, code == HTTP2_REFUSED_STREAM);
}

static const struct http2_stream_events tunnel_stream_events = {.head = tunnel_head, .closed = tunnel_closed};

static int tunnel_start(struct peer_link *l, struct tunnel *t)
{
    struct http2_header headers[8];
    size_t n = hbone_request_headers(t->request, headers, ARRAY_SIZE(headers));
    http2_stream_init(&t->stream, &tunnel_stream_events);
    t->stream.stream.events = &stream_nobody; /* until the answer: a peer that sends bytes without a 200 is wrong; `closed` decides */
    int r = http2_stream_request(l->h2.http2, &t->stream, headers, n, false);
    if (r < 0)
        return r;
    t->requested = true;
    t->tries++;
    return 0;
}

/* ---- links --------------------------------------------------------------- */

static struct peer_group *group_of(struct peer_link *l) { return l->user; }

static void link_opened(struct peer_link *l)
{
    struct peer_group *g = group_of(l);
    g->n_opening--;
    bound_give(g->pool->options.bounds, BOUND_OPENING);
    if (g->stale)
        peer_link_drain(l);
    group_serve(g);
}

static void link_slot(struct peer_link *l)
{
    struct peer_pool *p = group_of(l)->pool;
    if (l->state == PEER_LINK_DRAINING && !p->closing && p->options.leaving)
        p->options.leaving(p);
    group_serve(group_of(l));
}

static bool group_has_hope(const struct peer_group *g) /* a link that is open, or may yet be */
{
    for (const struct list *n = g->links.next; n != &g->links; n = n->next)
        if (container_of(n, struct peer_link, link)->state <= PEER_LINK_OPEN)
            return true;
    return false;
}

static void link_ended(struct peer_link *l, enum ending ending)
{
    struct peer_group *g = group_of(l);
    list_remove(&l->link);
    if (!l->opened_told) {
        g->n_opening--;
        g->pool->stats.links_failed++;
        /* Who waits hears why, unless another link may take it. Each is answered once: none comes back to this list from inside. */
        for (size_t left = g->n_waiting; left > 0 && !list_empty(&g->waiting) && !group_has_hope(g); left--) {
            struct tunnel *t = container_of(g->waiting.next, struct tunnel, link);
            group_unwait(g, t);
            tunnel_answer(t, ending, l->why);
        }
    }
    peer_link_close(l);
}

static void link_drained(struct peer_link *l)
{
    struct peer_group *g = group_of(l);
    struct peer_pool *p = g->pool;
    list_remove(&l->link);
    g->n_links--;
    p->n_links--;
    bound_give(p->options.bounds, BOUND_TUNNELS);
    if (!l->opened_told)
        bound_give(p->options.bounds, BOUND_OPENING);
    if (!p->closing)
        group_serve(g);
    group_unref(g);
    if (p->closing && p->n_links == 0)
        ring_task_ask(p->options.ring, &p->drained_task);
}

static void link_broke(struct peer_link *l)
{
    struct peer_pool *p = group_of(l)->pool;
    if (!p->closing && p->options.broke)
        p->options.broke(p);
}

static const struct peer_link_events pool_link_events = {
    .opened = link_opened, .slot = link_slot, .ended = link_ended, .broke = link_broke, .drained = link_drained};

/* All of it or nothing. */
static bool take_link(struct pod_bounds *b, uint64_t now)
{
    if (!bound_tick(b, BOUND_HANDSHAKES_OUT, now) || !bound_take(b, BOUND_TUNNELS, now))
        return false;
    if (bound_take(b, BOUND_OPENING, now))
        return true;
    bound_give(b, BOUND_TUNNELS);
    return false;
}

static int group_open_link(struct peer_group *g)
{
    struct peer_pool *p = g->pool;
    struct peer_link *l;
    const struct peer_link_options o = {
        .ring = p->options.ring,
        .sockets = p->options.sockets,
        .credential = p->credential,
        .to = g->to,
        .expected = g->expected,
        .connect_ms = p->options.connect_ms,
        .streams_max = p->options.streams_max,
        .ping_ms = p->options.ping_ms,
        .ping_timeout_ms = p->options.ping_timeout_ms,
        .keep_expired = p->options.keep_expired,
        .trust = p->options.trust,
        .turn = p->options.turn,
    };
    if (!p->credential)
        return -ENOKEY;
    uint64_t now = ring_now_ms(p->options.ring);
    if (g->n_links >= p->options.links_max || !take_link(p->options.bounds, now))
        return -ENOBUFS;
    int r = peer_link_open(&l, &o, &pool_link_events, g);
    if (r < 0) {
        bound_give(p->options.bounds, BOUND_TUNNELS);
        bound_give(p->options.bounds, BOUND_OPENING);
        return r;
    }
    list_push_back(&g->links, &l->link);
    g->refs++;
    g->n_links++;
    g->n_opening++;
    p->n_links++;
    p->stats.links_opened++;
    if (!timer_running(&p->sweep))
        timer_start(ring_timers(p->options.ring), &p->sweep, SWEEP_MS);
    return 0;
}

static struct peer_link *group_usable_link(struct peer_group *g)
{
    list_for_each(n, &g->links)
    {
        struct peer_link *l = container_of(n, struct peer_link, link);
        bool careful = l->settled || peer_link_streams(l) == 0;
        if (l->options.credential == g->pool->credential && peer_link_usable(l) && (careful || !g->cautious))
            return l;
    }
    return NULL;
}

/* Starts what waits, as far as links have room; opens a link where that is not enough. */
static void group_serve(struct peer_group *g)
{
    struct peer_link *l;
    if (g->stale)
        return; /* who waits is told to end */
    g->refs++;
    while (!list_empty(&g->waiting) && (l = group_usable_link(g))) {
        struct tunnel *t = container_of(g->waiting.next, struct tunnel, link);
        int r = tunnel_start(l, t);
        if (r == -EAGAIN) { /* it said that it has room and has none (no stream numbers left): it gets no more */
            peer_link_drain(l);
            continue;
        }
        group_unwait(g, t);
        if (r < 0)
            tunnel_answer(t, r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_TUNNEL_FAILED, "the CONNECT could not be sent");
    }
    if (g->n_waiting > g->n_opening * g->pool->options.streams_max && !g->pool->closing)
        (void)group_open_link(g); /* without one, what waits is served by the next free slot or ends with its owner's deadline */
    group_unref(g);
}

/* ---- the pool ------------------------------------------------------------ */

static void pool_sweep(struct timer *timer)
{
    struct peer_pool *p = container_of(timer, struct peer_pool, sweep);
    uint64_t now = ring_now_ms(p->options.ring);
    size_t i = 0, left = 0;
    struct list waiting; /* serving may change the map: afterwards */
    list_init(&waiting);
    for (const struct map_entry *e; (e = map_next(&p->groups, &i));) {
        struct peer_group *g = e->value;
        if (!list_empty(&g->waiting)) {
            g->refs++;
            list_push_back(&waiting, &g->sweep);
        }
        list_for_each(n, &g->links)
        {
            struct peer_link *l = container_of(n, struct peer_link, link);
            bool old = l->options.credential != p->credential;
            bool idle = l->state == PEER_LINK_OPEN && peer_link_streams(l) == 0 && now - l->idle_since_ms >= p->options.idle_ms;
            if (l->state == PEER_LINK_OPEN && (old || idle))
                peer_link_drain(l);
            left++;
        }
    }
    if (left > 0)
        timer_start(ring_timers(p->options.ring), &p->sweep, SWEEP_MS);
    for (struct list *n; (n = list_pop_front(&waiting));) {
        struct peer_group *g = container_of(n, struct peer_group, sweep);
        group_serve(g);
        group_unref(g);
    }
}

static void pool_tell_drained(struct ring_task *task)
{
    struct peer_pool *p = container_of(task, struct peer_pool, drained_task);
    map_done(&p->groups, NULL);
    p->credential = credential_unref(p->credential);
    p->drained(p);
}

void peer_pool_init(struct peer_pool *p, const struct peer_pool_options *o, void (*drained)(struct peer_pool *p))
{
    *p = (struct peer_pool){.options = *o, .drained = drained};
    if (p->options.connect_ms == 0)
        p->options.connect_ms = 10000;
    if (p->options.idle_ms == 0)
        p->options.idle_ms = 300000;
    if (p->options.streams_max == 0)
        p->options.streams_max = 100;
    if (p->options.links_max == 0)
        p->options.links_max = 256;
    map_init(&p->groups, PEER_GROUPS_MAX);
    timer_init(&p->sweep, pool_sweep);
    ring_task_init(&p->drained_task, pool_tell_drained);
}

void peer_pool_set_credential(struct peer_pool *p, struct credential *c)
{
    struct credential *old = p->credential;
    p->credential = c ? credential_ref(c) : NULL;
    credential_unref(old);
    if (timer_running(&p->sweep))
        timer_start(ring_timers(p->options.ring), &p->sweep, 0); /* links of the old one drain now; what waits gets new ones */
}

int tunnel_open(struct peer_pool *p, struct tunnel *t, const struct addr *to, const struct spiffe_id *expected, struct hbone_request *taken_request,
                void (*opened)(struct tunnel *t, enum ending ending, const char *why))
{
    int r = -ENOBUFS;
    struct peer_group *g = NULL;
    *t = (struct tunnel){.request = taken_request, .opened = opened};
    list_init(&t->link);
    http2_stream_init(&t->stream, &tunnel_stream_events);
    if (p->closing || p->n_waiting >= PEER_WAITING_MAX)
        goto refuse;
    r = -ENOKEY;
    if (!p->credential)
        goto refuse;
    r = group_get(p, to, expected, &g);
    if (r < 0)
        goto refuse;
    struct peer_link *l = group_usable_link(g);
    if (l) {
        r = tunnel_start(l, t);
        if (r < 0 && r != -EAGAIN)
            goto refuse;
        if (r == 0) {
            t->group = g;
            return 0;
        }
    }
    if (g->n_opening * p->options.streams_max <= g->n_waiting) {
        r = group_open_link(g);
        if (r < 0 && g->n_links == 0)
            goto refuse;
    }
    t->group = g;
    group_wait(g, t);
    return 0;
refuse:
    free(taken_request);
    t->request = NULL;
    t->answered = true;
    if (g)
        group_unref(g);
    return r;
}

void tunnel_close(struct tunnel *t)
{
    if (!t->group)
        return;
    struct peer_group *g = t->group;
    t->group = NULL;
    free(t->request);
    t->request = NULL;
    if (!list_empty(&t->link))
        group_unwait(g, t);
    t->answered = true;
    http2_stream_detach(&t->stream);
    group_unref(g);
}

void tunnel_reset(struct tunnel *t)
{
    if (t->group && t->requested)
        http2_stream_reset(&t->stream, HTTP2_CONNECT_ERROR);
    tunnel_close(t);
}

/* ---- what lives ---------------------------------------------------------- */

enum ending tunnel_broken(const struct tunnel *t)
{
    if (!t->group)
        return ENDING_NONE;
    if (t->group->stale)
        return ENDING_IDENTITY_CHANGED;
    if (!t->requested || !t->stream.http2)
        return ENDING_NONE;
    const struct h2_conn *h = http2_user(t->stream.http2);
    return container_of(h, struct peer_link, h2)->proof.broken;
}

bool tunnel_is_leaving(const struct tunnel *t)
{
    if (!t->group || !t->requested || !t->stream.http2)
        return true;
    const struct h2_conn *h = http2_user(t->stream.http2);
    return container_of(h, struct peer_link, h2)->state != PEER_LINK_OPEN;
}

size_t peer_pool_recheck(struct peer_pool *p, bool (*holds)(const struct addr *to, const struct spiffe_id *expected, void *arg), void *arg)
{
    size_t i = 0, n = 0;
    bool broke = false;
    for (const struct map_entry *e; (e = map_next(&p->groups, &i)); n++) {
        struct peer_group *g = e->value;
        bool stale = !holds(&g->to, &g->expected, arg);
        if (stale && !g->stale) {
            broke = true;
            list_for_each(l, &g->links)
                if (container_of(l, struct peer_link, link)->state == PEER_LINK_OPEN)
                    peer_link_drain(container_of(l, struct peer_link, link));
        }
        g->stale = stale;
    }
    if (broke && !p->closing && p->options.broke)
        p->options.broke(p);
    return n;
}

void peer_pool_look(struct peer_pool *p, const struct proof_roots *roots)
{
    size_t i = 0;
    for (const struct map_entry *e; (e = map_next(&p->groups, &i));) {
        const struct peer_group *g = e->value;
        list_for_each(n, &g->links)
            proof_look(&container_of(n, struct peer_link, link)->proof, roots);
    }
}

void peer_pool_look_revoked(struct peer_pool *p)
{
    size_t i = 0;
    for (const struct map_entry *e; (e = map_next(&p->groups, &i));) {
        const struct peer_group *g = e->value;
        list_for_each(n, &g->links)
            proof_look_revoked(&container_of(n, struct peer_link, link)->proof);
    }
}

void peer_pool_each_link(const struct peer_pool *p, void (*visit)(const struct peer_link *l, void *arg), void *arg)
{
    size_t i = 0;
    for (const struct map_entry *e; (e = map_next(&p->groups, &i));) {
        const struct peer_group *g = e->value;
        for (const struct list *n = g->links.next; n != &g->links; n = n->next)
            visit(container_of(n, struct peer_link, link), arg);
    }
}

void peer_pool_close(struct peer_pool *p)
{
    p->closing = true;
    timer_stop(ring_timers(p->options.ring), &p->sweep);
    size_t i = 0, n_open = 0;
    struct list all; /* links leave their groups and the map while they end: collect first */
    list_init(&all);
    for (const struct map_entry *e; (e = map_next(&p->groups, &i));) {
        struct peer_group *g = e->value;
        assert(list_empty(&g->waiting));
        for (struct list *n; (n = list_pop_front(&g->links)); n_open++)
            list_push_back(&all, n);
    }
    for (struct list *n; (n = list_pop_front(&all));)
        peer_link_close(container_of(n, struct peer_link, link));
    if (p->n_links == 0)
        ring_task_ask(p->options.ring, &p->drained_task);
}
