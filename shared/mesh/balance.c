#include "shared/mesh/balance.h"

#include "shared/base/map.h"
#include "shared/mesh/balance_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* POOLS_MAX: beyond, all are made anew as they are asked for. */
enum { POOLS_MAX = 256, CHOICES_MAX = 5 };

struct balancer {
    const struct cluster *cluster;
    const struct endpoints *endpoints;
    struct balance_host **hosts; /* a reference to each */
    struct outlier_host **outlier_hosts;
    size_t n_hosts;
    struct map by_addr; /* made as it is asked for; empty: not yet */
    struct outlier outlier;
    struct balance_pool *pools; /* made as they are asked for */
    size_t n_pools, pools_size;
};

struct balance_host *balance_host_unref(struct balance_host *h)
{
    if (!h)
        return NULL;
    assert(h->refs > 0);
    if (--h->refs == 0)
        free(h);
    return NULL;
}

/* ---- Hosts. */

/* Of two at one address the last. */
static int index_hosts(const struct balancer *b, struct map *ret)
{
    char key[ADDR_KEY_BYTES];
    int e = 0;

    for (size_t i = 0; b && e == 0 && i < b->n_hosts; i++)
        e = map_put(ret, addr_key(&b->hosts[i]->addr, key), b->hosts[i], NULL);
    return e;
}

/* One of the old balancer's, or a new one; a reference to it. What an old one is now part of is set
 * only when nothing can fail any more. */
static struct balance_host *host_for(const struct map *old, const struct addr *addr,
                                     uint64_t now_ms)
{
    char key[ADDR_KEY_BYTES];
    struct balance_host *h = map_get(old, addr_key(addr, key));

    if (!h) {
        h = calloc(1, sizeof *h);
        if (!h)
            return NULL;
        h->addr = *addr;
        h->since_ms = now_ms;
    }
    h->refs++;
    return h;
}

static int collect_hosts(struct balancer *b, const struct map *old, uint64_t now_ms)
{
    const struct endpoints *e = b->endpoints;

    b->hosts = calloc(e->n_endpoints + 1, sizeof *b->hosts);
    b->outlier_hosts = calloc(e->n_endpoints + 1, sizeof *b->outlier_hosts);
    if (!b->hosts || !b->outlier_hosts)
        return -ENOMEM;
    for (size_t g = 0; g < e->n_groups; g++) {
        for (size_t i = 0; i < e->groups[g].n_endpoints; i++) {
            if (e->groups[g].endpoints[i].addr.ip.len == 0)
                continue;
            struct balance_host *h = host_for(old, &e->groups[g].endpoints[i].addr, now_ms);
            if (!h)
                return -ENOMEM;
            b->hosts[b->n_hosts] = h;
            b->outlier_hosts[b->n_hosts++] = &h->outlier;
        }
    }
    return 0;
}

static bool was_well(const struct balance_host *h)
{
    return h->endpoint && balance_share_of(h) == SHARE_HEALTHY;
}

/* The hosts become those of the new endpoints; slow start counts for who is new or well again. */
static void settle_hosts(struct balancer *b, uint64_t now_ms)
{
    const struct endpoints *e = b->endpoints;
    size_t n = 0;

    for (size_t g = 0; g < e->n_groups; g++) {
        for (size_t i = 0; i < e->groups[g].n_endpoints; i++) {
            if (e->groups[g].endpoints[i].addr.ip.len == 0)
                continue;
            struct balance_host *h = b->hosts[n++];
            bool well = was_well(h);
            h->endpoint = &e->groups[g].endpoints[i];
            h->group = &e->groups[g];
            if (!well && was_well(h))
                h->since_ms = now_ms;
            if (!b->cluster->outlier_detection)
                h->outlier.ejected = false;
            b->outlier.n_ejected += h->outlier.ejected;
        }
    }
}

static bool stays(const struct balance_host *h, const struct endpoints *e)
{
    return h->group >= e->groups && h->group < e->groups + e->n_groups;
}

/* Who left is nobody's endpoint any more, for those who still hold it. */
static void forget_hosts(struct balancer *old, const struct endpoints *now)
{
    for (size_t i = 0; i < old->n_hosts; i++) {
        struct balance_host *h = old->hosts[i];
        if (now && stays(h, now))
            continue;
        h->endpoint = NULL;
        h->group = NULL;
        h->outlier.ejected = false;
    }
}

/* ---- The balancer. */

static void pools_done(struct balancer *b)
{
    for (size_t i = 0; i < b->n_pools; i++) {
        balance_pool_done(&b->pools[i]);
        free(b->pools[i].labels);
    }
    b->n_pools = 0;
}

static struct balance_pool *pool_add(struct balancer *b)
{
    if (b->n_pools == POOLS_MAX)
        pools_done(b);
    if (b->n_pools == b->pools_size) {
        size_t size = b->pools_size ? 2 * b->pools_size : 1;
        struct balance_pool *more = realloc(b->pools, size * sizeof *more);
        if (!more)
            return NULL;
        b->pools = more;
        b->pools_size = size;
    }
    return &b->pools[b->n_pools++];
}

static void dissolve(struct balancer *b)
{
    pools_done(b);
    free(b->pools);
    for (size_t i = 0; i < b->n_hosts; i++)
        balance_host_unref(b->hosts[i]);
    map_done(&b->by_addr, NULL);
    free(b->hosts);
    free(b->outlier_hosts);
    free(b);
}

int balancer_new(struct balancer **ret, const struct cluster *c, const struct endpoints *e,
                 struct balancer *taken_old, uint64_t now_ms)
{
    struct balancer *b = calloc(1, sizeof *b);
    struct map old;

    assert(c->finished && e->finished);
    if (!b)
        return -ENOMEM;
    b->cluster = c;
    b->endpoints = e;
    outlier_init(&b->outlier, &c->outlier, now_ms);
    map_init(&b->by_addr, 0);
    map_init(&old, 0);
    int error = index_hosts(taken_old, &old);
    if (error == 0)
        error = collect_hosts(b, &old, now_ms);
    map_done(&old, NULL);
    if (error < 0) {
        dissolve(b);
        return -ENOMEM;
    }
    settle_hosts(b, now_ms);
    if (taken_old) {
        b->outlier.next_interval_ms = taken_old->outlier.next_interval_ms;
        b->outlier.ejections = taken_old->outlier.ejections;
        b->outlier.unenforced = taken_old->outlier.unenforced;
        forget_hosts(taken_old, e);
        dissolve(taken_old);
    }
    *ret = b;
    return 0;
}

struct balancer *balancer_free(struct balancer *b)
{
    if (!b)
        return NULL;
    forget_hosts(b, NULL);
    dissolve(b);
    return NULL;
}

void balancer_changed(struct balancer *b)
{
    for (size_t i = 0; i < b->n_pools; i++)
        balance_pool_done(&b->pools[i]);
}

const struct outlier *balancer_outlier(const struct balancer *b)
{
    return &b->outlier;
}

size_t balancer_hosts(const struct balancer *b, struct balance_host *const **ret)
{
    *ret = b->hosts;
    return b->n_hosts;
}

/* ---- Subsets. */

static bool has_key(const struct subset_keys *keys, struct text name)
{
    for (size_t i = 0; i < keys->n_names; i++) {
        if (text_equal(keys->names[i], name))
            return true;
    }
    return false;
}

/* There are subsets for exactly these names. */
static bool has_selector(const struct cluster_subsets *s, const struct label *labels, size_t n)
{
    for (size_t k = 0; k < s->n_keys; k++) {
        bool all = s->keys[k].n_names == n;
        for (size_t i = 0; all && i < n; i++)
            all = has_key(&s->keys[k], labels[i].name);
        if (all)
            return true;
    }
    return false;
}

static bool same_labels(const struct balance_pool *p, const struct label *labels, size_t n)
{
    return p->n_labels == n && labels_include(p->labels, n, labels, n) &&
           labels_include(labels, n, p->labels, n);
}

/* The labels are the route's or the cluster's and may go before the balancer, so they are copied,
 * texts and all, into one block. */
static struct label *copy_labels(const struct label *labels, size_t n)
{
    size_t bytes = n * sizeof *labels;

    for (size_t i = 0; i < n; i++)
        bytes += labels[i].name.len + labels[i].value.len;
    struct label *copy = malloc(bytes + 1);
    if (!copy)
        return NULL;
    char *at = (char *)(copy + n);
    for (size_t i = 0; i < n; i++) {
        memcpy(at, labels[i].name.data, labels[i].name.len);
        copy[i].name = (struct text){at, labels[i].name.len};
        at += labels[i].name.len;
        if (labels[i].value.len > 0)
            memcpy(at, labels[i].value.data, labels[i].value.len);
        copy[i].value = (struct text){at, labels[i].value.len};
        at += labels[i].value.len;
    }
    return copy;
}

/* The pool of these labels, built. */
static int pool_of(struct balancer *b, const struct label *labels, size_t n,
                   struct balance_pool **ret)
{
    struct balance_pool *p = NULL;

    for (size_t i = 0; !p && i < b->n_pools; i++) {
        if (same_labels(&b->pools[i], labels, n))
            p = &b->pools[i];
    }
    if (!p) {
        struct label *copy = copy_labels(labels, n);
        p = copy ? pool_add(b) : NULL;
        if (!p) {
            free(copy);
            return -ENOMEM;
        }
        *p = (struct balance_pool){.labels = copy, .n_labels = n};
    }
    *ret = p;
    if (p->priorities)
        return 0;
    return balance_pool_build(p, b->cluster, b->endpoints, b->hosts, b->n_hosts);
}

static int find_pool(struct balancer *b, const struct balance_request *r, struct balance_pool **ret)
{
    const struct cluster_subsets *s = &b->cluster->subsets;

    if (s->n_keys == 0)
        return pool_of(b, NULL, 0, ret);
    if (r->n_subset > 0 && has_selector(s, r->subset, r->n_subset)) {
        int e = pool_of(b, r->subset, r->n_subset, ret);
        if (e < 0 || (*ret)->n_hosts > 0)
            return e;
    }
    switch (s->fallback) {
    case SUBSET_ANY_ENDPOINT:
        return pool_of(b, NULL, 0, ret);
    case SUBSET_DEFAULT:
        return pool_of(b, s->otherwise, s->n_otherwise, ret);
    case SUBSET_NO_FALLBACK:
        break;
    }
    return -EHOSTUNREACH;
}

/* ---- Choosing. */

static bool was_tried(const struct balance_request *r, const struct balance_host *h)
{
    for (size_t i = 0; i < r->n_tried; i++) {
        if (r->tried[i] == h)
            return true;
    }
    return false;
}

/* Of those that the request could have come to, whosever turn it is; *ret NULL: none. It is asked for each request of a
 * session, however many endpoints there are. */
static int preferred(struct balancer *b, const struct balance_pool *p, const struct balance_request *r,
                     struct balance_host **ret)
{
    char key[ADDR_KEY_BYTES];
    *ret = NULL;
    if (!r->prefer)
        return 0;
    if (b->by_addr.count == 0) {
        int e = index_hosts(b, &b->by_addr);
        if (e < 0) {
            map_done(&b->by_addr, NULL);
            map_init(&b->by_addr, 0);
            return e;
        }
    }
    struct balance_host *h = map_get(&b->by_addr, addr_key(r->prefer, key));
    if (h && balance_share_of(h) != SHARE_ALL && balance_pool_has(p, h))
        *ret = h;
    return 0;
}

int balancer_choose(struct balancer *b, const struct balance_request *r, struct balance_host **ret)
{
    uint32_t choices = r->n_tried == 0 ? 1 : r->choices_max ? r->choices_max : CHOICES_MAX;
    struct balance_host *h = NULL;
    struct balance_pool *p;

    for (size_t i = 0; i < b->endpoints->n_drops; i++) {
        if (fraction_hits(b->endpoints->drops[i].fraction, rng_u64(r->rng)))
            return -EAGAIN;
    }
    int e = find_pool(b, r, &p);
    if (e == 0)
        e = preferred(b, p, r, &h);
    bool found = h;
    for (uint32_t attempt = 0; e == 0 && !found && attempt < choices; attempt++) {
        e = balance_pool_choose(p, b->cluster, b->endpoints, r, attempt, &h);
        if (e == 0 && !was_tried(r, h))
            break;
    }
    if (e < 0)
        return e;
    h->refs++;
    *ret = h;
    return 0;
}

/* ---- Outliers. */

void balancer_report(struct balancer *b, struct balance_host *h, enum outlier_result result,
                     uint64_t now_ms, struct rng *rng)
{
    if (!b->cluster->outlier_detection || !h->endpoint)
        return;
    if (outlier_report(&b->outlier, &h->outlier, b->n_hosts, result, now_ms, rng))
        balancer_changed(b);
}

uint64_t balancer_next_ms(const struct balancer *b)
{
    return b->cluster->outlier_detection ? b->outlier.next_interval_ms : UINT64_MAX;
}

void balancer_tick(struct balancer *b, uint64_t now_ms, struct rng *rng)
{
    if (b->cluster->outlier_detection &&
        outlier_tick(&b->outlier, b->outlier_hosts, b->n_hosts, now_ms, rng))
        balancer_changed(b);
}
