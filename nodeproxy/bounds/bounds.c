/* Counting what workloads take; see the header. */
#include "nodeproxy/bounds/bounds.h"

#include "nodeproxy/bounds/cluster_use.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct counter {
    _Atomic uint64_t now, most, reached;
};
struct bounds {
    struct bounds_max max;
    struct counter node[BOUND_COUNT];
    struct counter pods[BOUND_COUNT]; /* most: of any pod; reached: of all */
    _Atomic uint64_t logged_s;
    pthread_mutex_t lock;
    struct list all;
};
struct pod_bounds {
    struct bounds *node;
    struct list link; /* under the lock, as refs */
    unsigned refs;
    char uid[512], ns[256], name[256];
    struct counter counters[BOUND_COUNT];
    struct cluster_uses clusters;
};
/* A rate is the number of its second and how many there were in it. */
enum { RATE_BITS = 32 };

static bool is_rate(enum bound which)
{
    static const bool rates[BOUND_COUNT] = {
        [BOUND_HANDSHAKES_IN] = true, [BOUND_HANDSHAKES_OUT] = true, [BOUND_LOG_LINES] = true, [BOUND_LOG_FAILURES] = true, [BOUND_DNS_QUERIES] = true,
    };
    return rates[which];
}

const char *bound_label(enum bound which)
{
    static const char *const labels[] = {
#define X(name, label, about) label,
        BOUNDS(X)
#undef X
    };
    return labels[which];
}

static uint64_t get(const _Atomic uint64_t *v) { return atomic_load_explicit(v, memory_order_relaxed); }

static void raise_to(_Atomic uint64_t *most, uint64_t value)
{
    uint64_t before = get(most);
    while (before < value && !atomic_compare_exchange_weak_explicit(most, &before, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

static void count_hit(struct pod_bounds *p, enum bound which, bool of_node, uint64_t now_ms)
{
    struct bounds *b = p->node;
    uint64_t second = now_ms / 1000 + 1, before = get(&b->logged_s);
    struct counter *c = of_node ? &b->node[which] : &b->pods[which];
    atomic_fetch_add_explicit(&c->reached, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->counters[which].reached, 1, memory_order_relaxed);
    if (second <= before || !atomic_compare_exchange_strong(&b->logged_s, &before, second))
        return;
    uint64_t max = of_node ? b->max.node[which] : b->max.pod[which];
    char limit[40] = "its share";
    if (max > 0)
        snprintf(limit, sizeof limit, "the limit of %llu", (unsigned long long)max);
    log_warn("limits", "%s of %s/%s%s: %s is reached", bound_label(which), p->ns, p->name, of_node ? " and the whole node" : "", limit);
}

/* One more, if there is room: what it is now, or 0. Nobody who is refused is counted meanwhile. */
static uint64_t more(struct counter *c, uint64_t max)
{
    uint64_t before = get(&c->now);
    do {
        if (max > 0 && before >= max)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&c->now, &before, before + 1, memory_order_acquire, memory_order_relaxed));
    raise_to(&c->most, before + 1);
    return before + 1;
}

bool bound_take(struct pod_bounds *p, enum bound which, uint64_t now_ms)
{
    if (!p)
        return true;
    struct bounds *b = p->node;
    uint64_t now = more(&p->counters[which], b->max.pod[which]);
    if (now == 0) {
        count_hit(p, which, false, now_ms);
        return false;
    }
    if (more(&b->node[which], b->max.node[which]) == 0) {
        atomic_fetch_sub_explicit(&p->counters[which].now, 1, memory_order_relaxed);
        count_hit(p, which, true, now_ms);
        return false;
    }
    raise_to(&b->pods[which].most, now);
    return true;
}

/* The node's first (and seen first: release): or a pod at its maximum would be one more for the node, for a moment. */
void bound_give(struct pod_bounds *p, enum bound which)
{
    if (!p)
        return;
    atomic_fetch_sub_explicit(&p->node->node[which].now, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&p->counters[which].now, 1, memory_order_release);
}

static bool tick(struct counter *c, uint64_t second, uint64_t max)
{
    uint64_t before = get(&c->now), next;
    do {
        uint64_t n = before >> RATE_BITS == second ? (before & UINT32_MAX) + 1 : 1;
        if (max > 0 && n > max)
            return false;
        next = second << RATE_BITS | n;
    } while (!atomic_compare_exchange_weak_explicit(&c->now, &before, next, memory_order_relaxed, memory_order_relaxed));
    raise_to(&c->most, next & UINT32_MAX);
    return true;
}

bool bound_tick(struct pod_bounds *p, enum bound which, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000 & UINT32_MAX;
    if (!p)
        return true;
    if (!tick(&p->counters[which], second, p->node->max.pod[which])) {
        count_hit(p, which, false, now_ms);
        return false;
    }
    raise_to(&p->node->pods[which].most, get(&p->counters[which].most));
    if (tick(&p->node->node[which], second, p->node->max.node[which]))
        return true;
    count_hit(p, which, true, now_ms);
    return false;
}

void bound_add(struct pod_bounds *p, enum bound which, int64_t delta)
{
    if (!p)
        return;
    uint64_t now = atomic_fetch_add_explicit(&p->counters[which].now, (uint64_t)delta, memory_order_relaxed) + (uint64_t)delta;
    uint64_t all = atomic_fetch_add_explicit(&p->node->node[which].now, (uint64_t)delta, memory_order_relaxed) + (uint64_t)delta;
    if (delta <= 0)
        return;
    raise_to(&p->counters[which].most, now);
    raise_to(&p->node->pods[which].most, now);
    raise_to(&p->node->node[which].most, all);
}

void bound_hit(struct pod_bounds *p, enum bound which, uint64_t now_ms)
{
    if (p)
        count_hit(p, which, false, now_ms);
}

uint64_t pod_bounds_max(const struct pod_bounds *p, enum bound which) { return p ? p->node->max.pod[which] : 0; }

/* ---- records ------------------------------------------------------------- */

int bounds_new(struct bounds **ret, const struct bounds_max *max)
{
    struct bounds *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->max = *max;
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->all);
    *ret = b;
    return 0;
}

struct bounds *bounds_free(struct bounds *b)
{
    if (!b)
        return NULL;
    assert(list_empty(&b->all));
    pthread_mutex_destroy(&b->lock);
    free(b);
    return NULL;
}

static struct pod_bounds *find(struct bounds *b, const char *uid)
{
    list_for_each(n, &b->all)
        if (strcmp(container_of(n, struct pod_bounds, link)->uid, uid) == 0)
            return container_of(n, struct pod_bounds, link);
    return NULL;
}

struct pod_bounds *bounds_pod(struct bounds *b, const char *uid, const char *ns, const char *name)
{
    pthread_mutex_lock(&b->lock);
    struct pod_bounds *p = find(b, uid);
    if (!p && (p = calloc(1, sizeof *p))) {
        p->node = b;
        snprintf(p->uid, sizeof p->uid, "%s", uid);
        snprintf(p->ns, sizeof p->ns, "%s", ns);
        snprintf(p->name, sizeof p->name, "%s", name);
        cluster_uses_init(&p->clusters);
        list_push_back(&b->all, &p->link);
    }
    if (p)
        p->refs++;
    pthread_mutex_unlock(&b->lock);
    return p;
}

struct pod_bounds *pod_bounds_unref(struct pod_bounds *p)
{
    if (!p)
        return NULL;
    struct bounds *b = p->node;
    pthread_mutex_lock(&b->lock);
    bool last = --p->refs == 0;
    if (last)
        list_remove(&p->link);
    pthread_mutex_unlock(&b->lock);
    if (last) {
        cluster_uses_done(&p->clusters);
        free(p);
    }
    return NULL;
}

struct cluster_uses *pod_bounds_clusters(struct pod_bounds *p) { return p ? &p->clusters : NULL; }

/* ---- looking ------------------------------------------------------------- */

static void view(const struct counter *c, enum bound which, uint64_t max, struct bound_view *ret)
{
    uint64_t now = get(&c->now);
    *ret = (struct bound_view){.now = is_rate(which) ? now & UINT32_MAX : now, .most = get(&c->most), .reached = get(&c->reached), .max = max};
}

void bounds_view(const struct bounds *b, enum bound which, struct bound_view *ret) { view(&b->node[which], which, b->max.node[which], ret); }
void bounds_view_pods(const struct bounds *b, enum bound which, struct bound_view *ret) { view(&b->pods[which], which, b->max.pod[which], ret); }

void bounds_each(struct bounds *b, void (*visit)(const char *ns, const char *name, const struct bound_view views[static BOUND_COUNT], void *arg), void *arg)
{
    struct bound_view views[BOUND_COUNT];
    pthread_mutex_lock(&b->lock);
    list_for_each(n, &b->all)
    {
        const struct pod_bounds *p = container_of(n, struct pod_bounds, link);
        for (size_t i = 0; i < BOUND_COUNT; i++)
            view(&p->counters[i], (enum bound)i, b->max.pod[i], &views[i]);
        visit(p->ns, p->name, views, arg);
    }
    pthread_mutex_unlock(&b->lock);
}

void bounds_each_cluster(struct bounds *b, void (*visit)(const char *ns, const char *name, struct cluster_uses *clusters, void *arg), void *arg)
{
    pthread_mutex_lock(&b->lock);
    list_for_each(n, &b->all)
    {
        struct pod_bounds *p = container_of(n, struct pod_bounds, link);
        visit(p->ns, p->name, &p->clusters, arg);
    }
    pthread_mutex_unlock(&b->lock);
}
