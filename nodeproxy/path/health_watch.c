/* The checks of a cluster's endpoints; see the header. */
#include "nodeproxy/path/health_watch.h"

#include "nodeproxy/path/health_probe.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdlib.h>

struct watched_host {
    struct balance_host *host;
    uint64_t round; /* of the watch, when it was there last */
    size_t n_probes;
    struct health_probe *probes[CLUSTER_HEALTH_CHECKS_MAX]; /* in the order of the checks; NULL: a bound was reached */
};
struct health_watch {
    struct list link; /* in the pod's */
    struct local_pod *pod;
    struct upstream_cluster *cluster;
    const struct cluster *values; /* which its probes have */
    struct map hosts;             /* address -> struct watched_host */
    uint64_t round;
    size_t n_left_out; /* probes, in this round: a bound was reached */
};

static void probe_gone(struct local_pod *pod)
{
    pod->env->health_probes--;
    pod->n_probes--;
    local_pod_look(pod);
}

/* ---- what is known ------------------------------------------------------- */

static bool any_failed(const struct watched_host *h)
{
    for (size_t i = 0; i < h->n_probes; i++)
        if (h->probes[i] && health_probe_failed(h->probes[i]))
            return true;
    return false;
}

static void tell(const struct health_watch *w, const struct watched_host *h)
{
    char at[ADDR_TEXT_MAX];
    const char *cluster = w->cluster->use->name;
    if (h->host->failed_check)
        log_info("health", "%s: %s fails its checks (workload %s)", cluster,
                 addr_print(&h->host->addr, at), w->pod->name);
    else
        log_info("health", "%s: %s is well again (workload %s)", cluster,
                 addr_print(&h->host->addr, at), w->pod->name);
}

static void changed(struct health_probe *p, void *user)
{
    struct health_watch *w = user;
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&w->hosts, &i));) {
        const struct watched_host *h = e->value;
        bool its = false;
        for (size_t k = 0; k < h->n_probes; k++)
            its |= h->probes[k] == p;
        if (!its || h->host->failed_check == any_failed(h))
            continue;
        h->host->failed_check = !h->host->failed_check;
        if (!h->host->failed_check)
            h->host->since_ms = ring_now_ms(w->pod->env->ring); /* slow start counts from here */
        balancer_changed(w->cluster->balancer);
        if (h->host->failed_check && w->values->close_on_failure)
            upstream_pool_break(&w->pod->upstreams, w->cluster, &h->host->addr);
        tell(w, h);
    }
}

static void look(void *user)
{
    struct health_watch *w = user;
    upstream_cluster_look(w->cluster); /* which may end the watch */
}

/* ---- who is watched ------------------------------------------------------ */

static void end_probes(struct watched_host *h)
{
    for (size_t i = 0; i < h->n_probes; i++)
        h->probes[i] = health_probe_end(h->probes[i]);
    h->n_probes = 0;
}

static void unwatch(void *value)
{
    struct watched_host *h = value;
    end_probes(h);
    balance_host_unref(h->host);
    free(h);
}

static struct health_probe *new_probe(struct health_watch *w, const struct watched_host *h, size_t i)
{
    const struct health_probe_options o = {.pod = w->pod,
                                           .cluster = w->cluster,
                                           .check = &w->cluster->cluster->health_checks[i],
                                           .host = h->host,
                                           .failed = h->host->failed_check,
                                           .changed = changed,
                                           .look = look,
                                           .gone = probe_gone,
                                           .user = w};
    struct health_probe *p = health_probe_new(&o);
    if (p) {
        w->pod->env->health_probes++;
        w->pod->n_probes++;
    }
    return p;
}

/* Those that there are not. False: no memory. */
static bool begin_probes(struct health_watch *w, struct watched_host *h)
{
    const struct cluster *c = w->cluster->cluster;
    bool ok = true;
    size_t n = 0;
    h->n_probes = c->n_health_checks;
    for (size_t i = 0; i < h->n_probes; i++) {
        if (!h->probes[i] &&
            health_has_share(w->pod->n_probes, w->pod->env->health_probes, HEALTH_PROBES_MAX)) {
            h->probes[i] = new_probe(w, h, i);
            ok &= h->probes[i] != NULL;
        } else if (!h->probes[i]) {
            w->n_left_out++;
        }
        n += h->probes[i] != NULL;
    }
    if (n == 0 && h->host->failed_check) { /* nobody would ever find out that it is well again */
        h->host->failed_check = false;
        balancer_changed(w->cluster->balancer);
    }
    return ok;
}

/* NULL: no memory, then it is not checked. */
static struct watched_host *watch(struct health_watch *w, struct balance_host *host, struct text key)
{
    struct watched_host *h = calloc(1, sizeof *h);
    if (!h || map_put(&w->hosts, key, h, NULL) < 0) {
        free(h);
        host->failed_check = false;
        return NULL;
    }
    h->host = host;
    host->refs++;
    return h;
}

static bool see_host(struct health_watch *w, struct balance_host *host, bool anew)
{
    char bytes[ADDR_KEY_BYTES];
    struct text key = addr_key(&host->addr, bytes);
    struct watched_host *h = map_get(&w->hosts, key);
    if (h && h->host != host) {
        unwatch(map_remove(&w->hosts, key));
        h = NULL;
    }
    if (h && anew)
        end_probes(h);
    if (!h)
        h = watch(w, host, key);
    if (!h)
        return false;
    h->round = w->round;
    return begin_probes(w, h);
}

/* Who was not seen in this round is an endpoint no longer. */
static void forget_others(struct health_watch *w)
{
    const struct map_entry *e;
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; !found && (e = map_next(&w->hosts, &i));) {
            struct watched_host *h = e->value;
            found = h->round != w->round;
            if (found)
                unwatch(map_remove(&w->hosts, (struct text){e->key, e->key_len}));
        }
    }
}

/* ---- the cluster's events ------------------------------------------------ */

static void watch_end(struct health_watch *w)
{
    w->cluster->watch = NULL;
    list_remove(&w->link);
    map_done(&w->hosts, unwatch);
    free(w);
}

static void cluster_left(struct upstream_cluster *c)
{
    if (c->watch)
        watch_end(c->watch);
}

static struct health_watch *watch_new(struct upstream_cluster *c)
{
    struct local_pod *pod = container_of(c->owner, struct local_pod, clusters);
    struct health_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->pod = pod;
    w->cluster = c;
    map_init(&w->hosts, 0);
    list_push_back(&pod->watches, &w->link);
    c->watch = w;
    return w;
}

/* Nobody checks them (any more): all are well. */
static void forgive(struct upstream_cluster *c)
{
    struct balance_host *const *hosts;
    size_t n = balancer_hosts(c->balancer, &hosts), n_failed = 0;
    for (size_t i = 0; i < n; i++) {
        n_failed += hosts[i]->failed_check;
        hosts[i]->failed_check = false;
    }
    if (n_failed > 0)
        balancer_changed(c->balancer);
}

static bool cluster_renewed(struct upstream_cluster *c)
{
    struct balance_host *const *hosts;
    struct health_watch *w = c->watch;
    if (c->cluster->n_health_checks == 0) {
        if (w)
            watch_end(w);
        forgive(c);
        return true;
    }
    if (!w && !(w = watch_new(c))) {
        forgive(c);
        return false;
    }
    bool ok = true, anew = w->values != c->cluster;
    size_t n = balancer_hosts(c->balancer, &hosts);
    w->values = c->cluster;
    w->round++;
    w->n_left_out = 0;
    for (size_t i = 0; i < n; i++)
        ok &= see_host(w, hosts[i], anew);
    forget_others(w);
    if (w->n_left_out > 0)
        log_warn("health", "%s: %zu checks of its endpoints are left out: there are too many (workload %s)", c->use->name,
                 w->n_left_out, w->pod->name);
    return ok;
}
const struct upstream_watcher health_watcher = {.renewed = cluster_renewed, .left = cluster_left};

void health_watches_close(struct local_pod *p)
{
    while (!list_empty(&p->watches))
        watch_end(container_of(p->watches.next, struct health_watch, link));
}
