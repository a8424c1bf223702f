/* Clusters of one workload's requests; see the header. */
#include "nodeproxy/http/upstream_cluster.h"

#include "shared/mesh/endpoints_rank.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { SWEEP_MS = 60 * 1000, RANK_MS = 1000, TRIED_MAX = 16 };

/* ---- what is near -------------------------------------------------------- */

struct place_of { /* whose requests they are */
    const struct directory *directory;
    const struct workload *self;
    const struct service *service; /* NULL: by locality alone */
};

static int distance(void *arg, const struct endpoint_group *g, const struct endpoint *e)
{
    const struct place_of *p = arg;
    const struct workload *w =
        p->service ? directory_workload(p->directory, e->workload) : NULL;
    if (!p->self)
        return ENDPOINT_LEFT_OUT;
    if (!p->service)
        return endpoint_distance(&p->self->locality, g);
    if (!w)
        return p->service->lb_mode == LB_STRICT ? ENDPOINT_LEFT_OUT : ENDPOINT_RANKS_MAX - 1;
    return directory_distance(p->service, p->self, w);
}

struct text upstream_cluster_host(struct text name)
{
    struct text kind, port, subset, host, rest;
    bool named = text_split(name, '|', &kind, &rest) && text_split(rest, '|', &port, &rest) &&
                 text_split(rest, '|', &subset, &host);
    return named ? host : (struct text){NULL, 0};
}

static size_t labels_of(void *arg, struct text uid, const struct label **ret)
{
    const struct workload *w = uid.len > 0 ? directory_workload(arg, uid) : NULL;
    *ret = w ? w->labels : NULL;
    return w ? w->n_labels : 0;
}

/* Where nobody gave the endpoints priorities: what somebody wrote for this cluster; the Service's preference; or (as Istio does
 * it where outliers are left out, so that there is a reason to go further away) what lies in the same place. That a Service is
 * for its own node alone is no preference, and counts before all: also for a workload that the directory does not know (yet), to
 * which nobody is near. */
static int rank(const struct upstream_clusters *all, const struct cluster *c,
                const struct endpoints *e, struct endpoints **ret, bool *ret_of_mesh)
{
    struct place_of p = {.directory = all->directory,
                         .self = directory_workload(all->directory, text_of(all->uid))};
    const struct endpoint_ranking by = {distance, &p};
    *ret = NULL;
    p.service = directory_service_named(all->directory, upstream_cluster_host(c->name), all->ns);
    bool strict = p.service && p.service->lb_mode == LB_STRICT;
    *ret_of_mesh = strict || !p.self;
    if (!strict && (!p.self || e->n_priorities > 1))
        return 0;
    if (c->locality.said && !strict) {
        const struct locality_client self = {&p.self->locality, p.self->labels, p.self->n_labels,
                                             labels_of, (void *)all->directory};
        *ret_of_mesh = c->locality.n_priorities > 0;
        return locality_lb_apply(&c->locality, c->outlier_detection, &self, e, ret);
    }
    if (p.service && p.service->lb_mode != LB_STRICT && p.service->lb_mode != LB_FAILOVER)
        p.service = NULL;
    *ret_of_mesh = p.service != NULL;
    if (!p.service && (!c->outlier_detection || c->balance.locality_weighted))
        return 0;
    return endpoints_ranked(e, &by, ret);
}

/* ---- one ----------------------------------------------------------------- */

static void tell_ejected(struct upstream_cluster *c)
{
    const struct outlier *o = c->balancer ? balancer_outlier(c->balancer) : NULL;
    uint64_t ejected = o ? o->n_ejected : 0, ejections = o ? o->ejections : c->ejections;
    if (ejections != c->ejections)
        atomic_fetch_add_explicit(&c->use->ejections, ejections - c->ejections,
                                  memory_order_relaxed);
    if (ejected != c->ejected)
        atomic_fetch_add_explicit(&c->use->ejected, ejected - c->ejected, memory_order_relaxed);
    c->ejections = ejections;
    c->ejected = ejected;
}

struct upstream_cluster *upstream_cluster_ref(struct upstream_cluster *c)
{
    c->refs++;
    return c;
}

static void forget_tls(struct upstream_cluster *c)
{
    for (size_t i = 0; i < UPSTREAM_SPEECHES; i++)
        c->tls[i] = tls_config_unref(c->tls[i]);
}

struct upstream_cluster *upstream_cluster_unref(struct upstream_cluster *c)
{
    if (!c)
        return NULL;
    assert(c->refs > 0);
    if (--c->refs > 0)
        return NULL;
    c->balancer = balancer_free(c->balancer);
    if (c->use)
        tell_ejected(c);
    c->use = cluster_use_unref(c->use);
    forget_tls(c);
    c->cluster = cluster_unref(c->cluster);
    c->ranked = endpoints_unref(c->ranked);
    c->endpoints = endpoints_unref(c->endpoints);
    free(c);
    return NULL;
}

/* Takes both. What was seen of endpoints that stay goes over. -ENOMEM: all is as it was. */
static int renew(struct upstream_cluster *c, struct cluster *taken_cluster,
                 struct endpoints *taken_endpoints)
{
    const struct upstream_clusters *all = c->owner;
    uint64_t now = ring_now_ms(all->ring), mesh_version = directory_version(all->directory);
    struct endpoints *ranked;
    bool of_mesh;
    int r = rank(all, taken_cluster, taken_endpoints, &ranked, &of_mesh);
    if (r == 0)
        r = balancer_new(&c->balancer, taken_cluster, ranked ? ranked : taken_endpoints,
                         c->balancer, now);
    if (r < 0) {
        endpoints_unref(ranked);
        cluster_unref(taken_cluster);
        endpoints_unref(taken_endpoints);
        return r;
    }
    c->mesh_version = of_mesh ? mesh_version : 0;
    c->ranked_ms = now;
    if (taken_cluster != c->cluster)
        forget_tls(c);
    cluster_unref(c->cluster);
    endpoints_unref(c->ranked);
    endpoints_unref(c->endpoints);
    c->cluster = taken_cluster;
    c->ranked = ranked;
    c->endpoints = taken_endpoints;
    tell_ejected(c);
    c->unwatched = all->watcher != NULL;
    return 0;
}

static struct endpoints *endpoints_for(const struct upstream_clusters *all,
                                       const struct cluster *c)
{
    if (c->kind == CLUSTER_STATIC)
        return endpoints_ref(c->inline_endpoints);
    if (c->kind != CLUSTER_EDS)
        return NULL;
    return directory_endpoints_of(all->directory, c->eds_name.len ? c->eds_name : c->name);
}

/* Where the rank is one of the mesh's, what its workloads have become may change it: that is looked at once in a while. */
static bool is_ranked(const struct upstream_cluster *c)
{
    return c->mesh_version == 0 || ring_now_ms(c->owner->ring) - c->ranked_ms < RANK_MS ||
           c->mesh_version == directory_version(c->owner->directory);
}

/* 1: the directory has none. */
static int refresh(struct upstream_cluster *c, struct text name)
{
    const struct upstream_clusters *all = c->owner;
    uint64_t version = directory_cluster_version(all->directory);
    if (c->version == version && is_ranked(c) && !c->unwatched)
        return 0;
    struct cluster *cluster = directory_cluster(all->directory, name);
    struct endpoints *endpoints = cluster ? endpoints_for(all, cluster) : NULL;
    bool same = cluster == c->cluster && endpoints == c->endpoints && is_ranked(c);
    int r = endpoints ? 0 : 1;
    if (r == 0 && !same)
        r = renew(c, cluster, endpoints);
    else {
        cluster_unref(cluster);
        endpoints_unref(endpoints);
    }
    if (r == 0)
        c->version = version;
    if (c->unwatched)
        c->unwatched = !all->watcher->renewed(c);
    return r == -ENOMEM && c->balancer ? 0 : r; /* what there was is good until there is memory */
}

/* ---- all ----------------------------------------------------------------- */

static void let_go(void *value)
{
    struct upstream_cluster *c = value;
    if (c->owner->watcher)
        c->owner->watcher->left(c);
    c->owner = NULL;
    upstream_cluster_unref(c);
}

static void forget(struct upstream_clusters *all, struct text name)
{
    struct upstream_cluster *c = map_remove(&all->all, name);
    if (c)
        let_go(c);
}

/* What nobody asked for lately. */
static void sweep(struct upstream_clusters *all, uint64_t now)
{
    const struct map_entry *e;
    const char *names[64];
    size_t n = 0, i = 0;
    all->swept_ms = now;
    while (n < ARRAY_SIZE(names) && (e = map_next(&all->all, &i))) {
        const struct upstream_cluster *c = e->value;
        if (now - c->used_ms >= UPSTREAM_CLUSTER_IDLE_MS)
            names[n++] = e->key;
    }
    while (n-- > 0)
        forget(all, text_of(names[n]));
}

/* Most Services have none: that is found out for each of their requests, before anything is made. */
static int begin(struct upstream_clusters *all, struct text name, struct upstream_cluster **ret)
{
    struct cluster *known = directory_cluster(all->directory, name);
    if (!known)
        return 1;
    cluster_unref(known);
    struct upstream_cluster *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->refs = 1;
    c->owner = all;
    c->version = UINT64_MAX;
    c->use = cluster_use_get(all->uses, name);
    int r = c->use ? refresh(c, name) : -ENOMEM;
    if (r == 0)
        r = map_put(&all->all, name, c, NULL);
    if (r == 0) {
        *ret = c;
        return 0;
    }
    let_go(c);
    return r == -ENOSPC ? -ENOBUFS : r;
}

int upstream_clusters_get(struct upstream_clusters *all, struct text name,
                          struct upstream_cluster **ret)
{
    uint64_t now = ring_now_ms(all->ring);
    if (now - all->swept_ms >= SWEEP_MS)
        sweep(all, now);
    struct upstream_cluster *c = map_get(&all->all, name);
    int r = c ? refresh(c, name) : begin(all, name, &c);
    *ret = NULL;
    if (r == 1) { /* gone, or not there yet */
        forget(all, name);
        return 0;
    }
    if (r < 0)
        return r;
    c->used_ms = now;
    *ret = c;
    return 0;
}

void upstream_clusters_init(struct upstream_clusters *all, struct ring *ring,
                            const struct directory *directory, const char *uid,
                            struct text ns, struct cluster_uses *uses)
{
    *all = (struct upstream_clusters){.ring = ring,
                                      .directory = directory,
                                      .uid = uid,
                                      .ns = ns,
                                      .uses = uses,
                                      .swept_ms = ring_now_ms(ring)};
    map_init(&all->all, UPSTREAM_CLUSTERS_MAX);
}

void upstream_cluster_look(struct upstream_cluster *c)
{
    struct upstream_clusters *all = c->owner;
    struct text name = text_of(c->use->name);
    bool idles = ring_now_ms(all->ring) - c->used_ms >= UPSTREAM_CLUSTER_IDLE_MS;
    if (idles || refresh(c, name) == 1)
        forget(all, name);
}

void upstream_clusters_done(struct upstream_clusters *all)
{
    map_done(&all->all, let_go);
}

/* ---- a request's --------------------------------------------------------- */

static struct breaker *breaker_of(const struct upstream_cluster *c, bool high)
{
    return &c->use->breakers[high ? BREAKER_HIGH : BREAKER_DEFAULT];
}
static const struct breaker_limits *limits_of(const struct upstream_cluster *c, bool high)
{
    return &c->cluster->breaker[high ? BREAKER_HIGH : BREAKER_DEFAULT];
}

/* Those of the hosts that were tried. */
static size_t find_tried(const struct upstream_cluster *c, const struct stake_wish *w,
                         struct balance_host *ret[static TRIED_MAX])
{
    struct balance_host *const *hosts;
    size_t n = w->tried ? balancer_hosts(c->balancer, &hosts) : 0, n_tried = 0;
    for (size_t i = 0; i < n && n_tried < TRIED_MAX; i++)
        if (w->tried(w->arg, &hosts[i]->addr))
            ret[n_tried++] = hosts[i];
    return n_tried;
}

enum stake_result upstream_stake_take(struct upstream_stake *s, struct upstream_cluster *c,
                                      const struct stake_wish *w)
{
    struct balance_host *tried[TRIED_MAX];
    uint64_t now = ring_now_ms(c->owner->ring);
    struct rng *rng = ring_rng(c->owner->ring);
    assert(!s->cluster);
    if (!w->connection &&
        !breaker_take(breaker_of(c, w->high), limits_of(c, w->high), BREAKER_REQUESTS))
        return STAKE_OVERFLOW;
    if (now >= balancer_next_ms(c->balancer)) {
        balancer_tick(c->balancer, now, rng);
        tell_ejected(c);
    }
    const struct balance_request q = {.hash = w->hash,
                                      .has_hash = w->has_hash,
                                      .subset = w->subset,
                                      .n_subset = w->n_subset,
                                      .tried = tried,
                                      .n_tried = find_tried(c, w, tried),
                                      .prefer = w->prefer,
                                      .choices_max = w->choices_max,
                                      .now_ms = now,
                                      .rng = rng};
    int r = balancer_choose(c->balancer, &q, &s->host);
    if (r < 0) {
        if (!w->connection)
            breaker_give(breaker_of(c, w->high), BREAKER_REQUESTS);
        return r == -ENOMEM ? STAKE_NO_MEMORY : STAKE_NOBODY;
    }
    s->cluster = upstream_cluster_ref(c);
    s->high = w->high;
    s->connection = w->connection;
    balance_host_begin(s->host);
    return STAKE_TAKEN;
}

uint32_t *upstream_load(struct upstream_clusters *all, const struct addr *at)
{
    char key[ADDR_KEY_BYTES];
    struct text t = addr_key(at, key);
    return &all->loads[hash_bytes(all->all.seed, t.data, t.len) % UPSTREAM_LOADS];
}

void upstream_stake_load(struct upstream_stake *s, uint32_t *load)
{
    s->load = load;
    ++*load;
}

bool upstream_stake_wait(struct upstream_stake *s)
{
    if (!s->cluster)
        return true;
    s->waits = breaker_take(breaker_of(s->cluster, s->high), limits_of(s->cluster, s->high),
                            BREAKER_PENDING);
    return s->waits;
}

void upstream_stake_waited(struct upstream_stake *s)
{
    if (s->waits)
        breaker_give(breaker_of(s->cluster, s->high), BREAKER_PENDING);
    s->waits = false;
}

void upstream_stake_report(struct upstream_stake *s, enum outlier_result result)
{
    struct upstream_cluster *c = s->cluster;
    if (!c || !c->owner || !s->host)
        return;
    balancer_report(c->balancer, s->host, result, ring_now_ms(c->owner->ring),
                    ring_rng(c->owner->ring));
    tell_ejected(c);
}

void upstream_stake_end(struct upstream_stake *s)
{
    struct upstream_cluster *c = s->cluster;
    if (s->load)
        --*s->load;
    s->load = NULL;
    if (!c)
        return;
    upstream_stake_waited(s);
    if (!s->connection)
        breaker_give(breaker_of(c, s->high), BREAKER_REQUESTS);
    balance_host_end(s->host);
    s->host = balance_host_unref(s->host);
    s->cluster = upstream_cluster_unref(c);
}

bool upstream_cluster_retry(struct upstream_cluster *c, bool high)
{
    return breaker_take(breaker_of(c, high), limits_of(c, high), BREAKER_RETRIES);
}
void upstream_cluster_retried(struct upstream_cluster *c, bool high)
{
    breaker_give(breaker_of(c, high), BREAKER_RETRIES);
}

/* Connections are those of all priorities: they are shared. */
bool upstream_cluster_connect(struct upstream_cluster *c, bool first)
{
    struct breaker *b = breaker_of(c, false);
    if (breaker_take(b, limits_of(c, false), BREAKER_CONNECTIONS))
        return true;
    if (first)
        breaker_take_anyway(b, BREAKER_CONNECTIONS);
    return first;
}
void upstream_cluster_disconnected(struct upstream_cluster *c)
{
    breaker_give(breaker_of(c, false), BREAKER_CONNECTIONS);
}
