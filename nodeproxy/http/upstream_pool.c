/* Links by endpoint, and who waits for one; see the header. */
#include "nodeproxy/http/upstream_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    IDLE_MS = 60 * 1000,
    CONNECTIONS_MAX = 1024,
    WAITING_MAX = 1024,
    IDLE_MAX = 256,
    STREAMS_EXPECTED = 100, /* of a link of HTTP/2 that is being opened */
    FRESH_MS = 1000,        /* so long after an answer no server closes */
    KEY_MAX = 48 + UPSTREAM_NAME_MAX + UPSTREAM_IDENTITY_MAX,
};

struct upstream_group { /* one endpoint; lives while links or somebody who waits refer to it */
    struct upstream_pool *pool;
    struct upstream_endpoint to;
    struct list ready, busy, waiting; /* ready: some may have become busy since, see take() */
    size_t refs, n_links, n_opening, n_waiting;
    size_t key_len;
    char key[]; /* identity and service_host lie in it */
};

/* ---- groups -------------------------------------------------------------- */

struct key {
    size_t len;
    char data[KEY_MAX];
};

static void key_put(struct key *k, const void *data, size_t len)
{
    if (len > 0)
        memcpy(k->data + k->len, data, len);
    k->len += len;
}

/* False: a name is too long. */
static bool key_make(struct key *k, const struct upstream_endpoint *to)
{
    const uint8_t head[] = {to->to.ip.len,
                            (uint8_t)to->version,
                            (uint8_t)to->way,
                            (uint8_t)(to->to.port >> 8),
                            (uint8_t)to->to.port,
                            (uint8_t)(to->identity.len >> 8),
                            (uint8_t)to->identity.len};
    if (to->identity.len > UPSTREAM_IDENTITY_MAX || to->service_host.len > UPSTREAM_NAME_MAX)
        return false;
    k->len = 0;
    key_put(k, head, sizeof head);
    key_put(k, to->to.ip.bytes, sizeof to->to.ip.bytes);
    key_put(k, &to->cluster, sizeof to->cluster); /* the group keeps them */
    key_put(k, &to->tls, sizeof to->tls);
    key_put(k, to->identity.data, to->identity.len);
    key_put(k, to->service_host.data, to->service_host.len);
    return true;
}

static struct upstream_group *group_new(struct upstream_pool *p, const struct upstream_endpoint *to,
                                        const struct key *k)
{
    struct upstream_group *g = calloc(1, sizeof *g + k->len);
    if (!g)
        return NULL;
    g->pool = p;
    g->to = *to;
    g->key_len = k->len;
    memcpy(g->key, k->data, k->len);
    const char *names = g->key + k->len - to->identity.len - to->service_host.len;
    g->to.identity.data = names;
    g->to.service_host.data = names + to->identity.len;
    if (to->cluster)
        upstream_cluster_ref(to->cluster);
    if (to->tls)
        tls_config_ref(to->tls);
    list_init(&g->ready);
    list_init(&g->busy);
    list_init(&g->waiting);
    return g;
}

static void group_free(struct upstream_group *g)
{
    upstream_cluster_unref(g->to.cluster);
    tls_config_unref(g->to.tls);
    free(g);
}

/* With a reference for the caller. -ENOBUFS, -ENOMEM. */
static int group_get(struct upstream_pool *p, const struct upstream_endpoint *to,
                     struct upstream_group **ret)
{
    struct key k;
    if (!key_make(&k, to))
        return -ENOBUFS;
    struct upstream_group *g = map_get(&p->groups, (struct text){k.data, k.len});
    if (!g) {
        g = group_new(p, to, &k);
        if (!g)
            return -ENOMEM;
        int r = map_put(&p->groups, (struct text){k.data, k.len}, g, NULL);
        if (r < 0) {
            group_free(g);
            return r == -ENOSPC ? -ENOBUFS : r;
        }
    }
    g->refs++;
    *ret = g;
    return 0;
}

static void group_unref(struct upstream_group *g)
{
    assert(g->refs > 0);
    if (--g->refs > 0)
        return;
    map_remove(&g->pool->groups, (struct text){g->key, g->key_len});
    group_free(g);
}

const struct upstream_endpoint *upstream_link_endpoint(const struct upstream_link *l)
{
    return &l->group->to;
}

/* ---- who waits ----------------------------------------------------------- */

void upstream_wait_init(struct upstream_wait *w,
                        void (*ready)(struct upstream_wait *w, struct http_link *link,
                                      enum ending why))
{
    *w = (struct upstream_wait){.ready = ready};
    list_init(&w->link);
}

static void wait_for(struct upstream_group *g, struct upstream_wait *w)
{
    w->group = g;
    g->refs++;
    list_push_back(&g->waiting, &w->link);
    g->n_waiting++;
    g->pool->n_waiting++;
}

void upstream_forget(struct upstream_wait *w)
{
    struct upstream_group *g = w->group;
    if (!g)
        return;
    w->group = NULL;
    list_remove(&w->link);
    g->n_waiting--;
    g->pool->n_waiting--;
    if (w->stake)
        upstream_stake_waited(w->stake);
    group_unref(g);
}

/* Those that wait now; who comes back because of it is not among them. */
static void fail_waiting(struct upstream_group *g, enum ending why, const char *words)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &g->waiting);
    for (struct list *n; (n = now.next) != &now;) {
        struct upstream_wait *w = container_of(n, struct upstream_wait, link);
        upstream_forget(w);
        w->words = words;
        w->ready(w, NULL, why);
    }
}

/* ---- links --------------------------------------------------------------- */

static void idle_end(struct upstream_link *l)
{
    if (list_empty(&l->idle))
        return;
    list_remove(&l->idle);
    l->pool->n_idle--;
}

/* At the bound the one that has idled for longest goes. One of HTTP/2 that still has streams ends after them. */
static void idle_begin(struct upstream_link *l)
{
    struct upstream_pool *p = l->pool;
    idle_end(l);
    l->used_ms = ring_now_ms(p->options.ring);
    list_push_back(&p->idle, &l->idle);
    if (++p->n_idle > p->options.idle_max) {
        struct upstream_link *oldest = container_of(p->idle.next, struct upstream_link, idle);
        idle_end(oldest);
        http_link_drain(oldest->http);
    }
}

static void link_end(struct upstream_link *l, bool clean)
{
    if (l->closing)
        return;
    l->closing = true;
    idle_end(l);
    list_remove(&l->link);
    if (l->opening) {
        l->opening = false;
        l->group->n_opening--;
    }
    l->pool->ops->close(l, clean);
}

static bool take_place(struct upstream_group *g)
{
    return g->n_links < g->pool->options.connections_max &&
           (!g->to.cluster || upstream_cluster_connect(g->to.cluster, g->n_links == 0));
}
static void give_place(struct upstream_group *g)
{
    if (g->to.cluster)
        upstream_cluster_disconnected(g->to.cluster);
}

/* -EAGAIN: the endpoint, or its cluster, has as many as it may. */
static int link_open(struct upstream_group *g)
{
    struct upstream_pool *p = g->pool;
    if (!take_place(g))
        return -EAGAIN;
    struct upstream_link *l = calloc(1, sizeof *l);
    if (!l) {
        give_place(g);
        return -ENOMEM;
    }
    *l = (struct upstream_link){.group = g, .pool = p, .opening = true};
    list_init(&l->link);
    list_init(&l->idle);
    int r = p->ops->open(l);
    if (r < 0) {
        give_place(g);
        free(l);
        return r;
    }
    g->refs++;
    g->n_links++;
    g->n_opening++;
    p->n_links++;
    p->opened++;
    list_push_back(&g->busy, &l->link);
    return 0;
}

static size_t slots_expected(const struct upstream_group *g)
{
    return g->n_opening * (g->to.version == HTTP_VERSION_2 ? STREAMS_EXPECTED : 1);
}

/* No request will go by it now. */
static void put_away(struct upstream_link *l)
{
    idle_end(l);
    list_remove(&l->link);
    list_push_back(&l->group->busy, &l->link);
}

/* The link that was used last. Those at the front that have become busy since are put away. */
static struct upstream_link *usable_link(struct upstream_group *g, bool fresh)
{
    uint64_t now = ring_now_ms(g->pool->options.ring);
    while (!list_empty(&g->ready)) {
        struct upstream_link *l = container_of(g->ready.next, struct upstream_link, link);
        if (l->worn || g->pool->ops->leaving(l))
            http_link_drain(l->http);
        if (http_link_can_request(l->http)) {
            bool old = g->to.version == HTTP_VERSION_1 && l->used && now - l->used_ms > FRESH_MS;
            return fresh && old ? NULL : l; /* those behind it are older */
        }
        put_away(l);
    }
    return NULL;
}

/* It has had as many as its cluster wants it to have. */
static void count_request(struct upstream_link *l)
{
    const struct upstream_cluster *c = l->group->to.cluster;
    l->n_requests++;
    l->worn = c && c->cluster->requests_per_connection_max > 0 &&
              l->n_requests >= c->cluster->requests_per_connection_max;
}

static struct http_link *link_give(struct upstream_link *l, struct upstream_wait *w)
{
    idle_end(l);
    count_request(l);
    w->reused = l->used;
    l->pool->reused += l->used;
    l->used = true;
    return l->http;
}

/* The first one that is ready was looked at, and is not fresh enough for who waits; no other one comes: it makes room. */
static void make_room(struct upstream_group *g)
{
    if (list_empty(&g->ready))
        return;
    struct upstream_link *l = container_of(g->ready.next, struct upstream_link, link);
    put_away(l);
    http_link_drain(l->http);
}

/* Opens as many as those that wait need, as far as that goes. */
static int open_more(struct upstream_group *g)
{
    int r = 0;
    while (r == 0 && g->n_waiting > slots_expected(g) && !g->pool->closing)
        r = link_open(g);
    if (g->n_waiting > 0 && g->n_opening == 0)
        make_room(g);
    return r == -EAGAIN ? 0 : r;
}

static void serve(struct upstream_group *g)
{
    g->refs++;
    while (!list_empty(&g->waiting)) {
        struct upstream_wait *w = container_of(g->waiting.next, struct upstream_wait, link);
        struct upstream_link *l = usable_link(g, w->fresh);
        if (!l)
            break;
        upstream_forget(w);
        w->ready(w, link_give(l, w), ENDING_NONE);
    }
    int r = open_more(g);
    if (r < 0 && g->n_links == 0) /* and nothing that they could wait for */
        fail_waiting(g, r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_LIMIT, NULL);
    group_unref(g);
}

static void link_free(struct upstream_link *l)
{
    struct upstream_group *g = l->group;
    struct upstream_pool *p = l->pool;
    list_remove(&l->link);
    free(l);
    give_place(g);
    g->n_links--;
    p->n_links--;
    serve(g); /* who waits for its place */
    group_unref(g);
    if (p->n_links == 0 && p->closing) {
        map_done(&p->groups, NULL);
        if (p->drained)
            p->drained(p);
    }
}

static void link_slot(struct http_link *http)
{
    struct upstream_link *l = http->user;
    if (l->worn)
        http_link_drain(http);
    if (l->closing || !http_link_can_request(http))
        return;
    list_remove(&l->link);
    list_push_front(&l->group->ready, &l->link);
    idle_begin(l);
    serve(l->group);
}

static void link_closed(struct http_link *http, int error, const char *why)
{
    struct upstream_link *l = http->user;
    struct upstream_group *g = l->group;
    (void)why;
    g->refs++;
    l->http = NULL;
    link_end(l, error == 0);
    serve(g); /* those that waited for it */
    group_unref(g);
}

static const struct http_link_events link_events = {.slot = link_slot, .closed = link_closed};

void upstream_failed(struct upstream_link *l, enum ending why, const char *static_words)
{
    struct upstream_group *g = l->group;
    g->refs++;
    link_end(l, false);
    if (g->n_opening == 0)
        fail_waiting(g, why, static_words);
    group_unref(g);
}

void upstream_opened(struct upstream_link *l, struct stream *carrier)
{
    struct upstream_group *g = l->group;
    const struct cluster *c = g->to.cluster ? g->to.cluster->cluster : NULL;
    const struct http_link_options o = {
        .ring = l->pool->options.ring,
        .carrier = carrier,
        .behind = true, /* answers: of the destination's node proxy */
        .idle_ms = c && c->idle_timeout_ms > 0 ? c->idle_timeout_ms : l->pool->options.idle_ms,
        .streams_max = c ? c->concurrent_streams_max : 0};
    int r = g->to.version == HTTP_VERSION_2 ? http2_link_open(&l->http, &o, &link_events, l)
                                            : http1_link_open(&l->http, &o, &link_events, l);
    if (r < 0) {
        upstream_failed(l, ENDING_NO_MEMORY, NULL);
        return;
    }
    l->opening = false;
    g->n_opening--;
    list_remove(&l->link);
    list_push_front(&g->ready, &l->link);
    l->pool->ops->start(l);
    idle_begin(l);
    serve(g);
}

void upstream_gone(struct upstream_link *l)
{
    assert(l->closing && !l->http);
    link_free(l);
}

/* ---- the pool ------------------------------------------------------------ */

int upstream_take(struct upstream_pool *p, const struct upstream_endpoint *to,
                  struct upstream_wait *w, struct http_link **ret)
{
    struct upstream_group *g;
    assert(!w->group);
    if (p->closing)
        return -ENOBUFS;
    int r = group_get(p, to, &g);
    if (r < 0)
        return r;
    struct upstream_link *l = usable_link(g, w->fresh);
    if (l) {
        *ret = link_give(l, w);
        group_unref(g);
        return 0;
    }
    if (w->stake && !upstream_stake_wait(w->stake)) {
        r = -EDQUOT;
    } else if (p->n_waiting < p->options.waiting_max) {
        wait_for(g, w);
        r = open_more(g);
        if (r == 0 || g->n_links > 0) {
            group_unref(g);
            return -EAGAIN;
        }
        upstream_forget(w);
    } else {
        if (w->stake)
            upstream_stake_waited(w->stake);
        r = -ENOBUFS;
    }
    group_unref(g);
    return r;
}

void upstream_pool_init(struct upstream_pool *p, const struct upstream_pool_options *o,
                        const struct upstream_pool_ops *ops,
                        void (*drained)(struct upstream_pool *p))
{
    *p = (struct upstream_pool){.options = *o, .ops = ops, .drained = drained};
    if (p->options.idle_ms == 0)
        p->options.idle_ms = IDLE_MS;
    if (p->options.connections_max == 0)
        p->options.connections_max = CONNECTIONS_MAX;
    if (p->options.waiting_max == 0)
        p->options.waiting_max = WAITING_MAX;
    if (p->options.idle_max == 0)
        p->options.idle_max = IDLE_MAX;
    map_init(&p->groups, UPSTREAM_GROUPS_MAX);
    list_init(&p->idle);
}

/* What `one` does may take links out of any list, but frees none before it returns. */
static void each_link(struct upstream_pool *p, void (*one)(struct upstream_link *l))
{
    size_t i = 0;
    for (const struct map_entry *e; (e = map_next(&p->groups, &i));) {
        struct upstream_group *g = e->value;
        struct list *lists[] = {&g->ready, &g->busy};
        for (size_t k = 0; k < 2; k++)
            list_for_each (n, lists[k])
                one(container_of(n, struct upstream_link, link));
    }
}

static void look_at_one(struct upstream_link *l)
{
    if (!l->http) /* what is being opened finds out by itself */
        return;
    if (l->pool->ops->broken(l) != ENDING_NONE)
        http_link_close(l->http);
    else if (l->pool->ops->leaving(l))
        http_link_drain(l->http);
}

void upstream_pool_look(struct upstream_pool *p)
{
    each_link(p, look_at_one);
}

void upstream_pool_break(struct upstream_pool *p, const struct upstream_cluster *c,
                         const struct addr *to)
{
    size_t i = 0;
    for (const struct map_entry *e; (e = map_next(&p->groups, &i));) {
        struct upstream_group *g = e->value;
        struct list *lists[] = {&g->ready, &g->busy};
        if (g->to.cluster != c || !addr_equal(&g->to.to, to))
            continue;
        for (size_t k = 0; k < 2; k++)
            list_for_each (n, lists[k]) {
                struct upstream_link *l = container_of(n, struct upstream_link, link);
                if (l->http) /* what is being opened finds out by itself */
                    http_link_close(l->http);
            }
    }
}

static void close_one(struct upstream_link *l)
{
    if (l->http)
        http_link_close(l->http);
    else
        link_end(l, false);
}

void upstream_pool_close(struct upstream_pool *p)
{
    p->closing = true;
    assert(p->n_waiting == 0);
    each_link(p, close_one);
    if (p->n_links > 0)
        return;
    map_done(&p->groups, NULL);
    if (p->drained)
        p->drained(p);
}
