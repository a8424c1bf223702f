/*
 * Clusters as the requests of one workload see them: which endpoint is next, which ones are left out because they fail, how
 * much may be in use. By name; begun by the first request, kept while the directory has it and requests come.
 *
 * Owned by a local_pod; one worker. The balancer (whose turn it is, requests in flight, ejections) is this worker's and this
 * workload's alone: nobody's failures push away the endpoints of others. What may be in use (struct cluster_use) is counted
 * over all workers. Bounded: clusters of a pod and worker; endpoints and tables of each (balance.h).
 */
#ifndef NODEPROXY_HTTP_UPSTREAM_CLUSTER_H
#define NODEPROXY_HTTP_UPSTREAM_CLUSTER_H
#include "nodeproxy/bounds/cluster_use.h"
#include "shared/base/map.h"
#include "shared/mesh/balance.h"
#include "shared/mesh/directory.h"
#include "shared/ring/ring.h"
#include "shared/tls/tls_config.h"

enum {
    UPSTREAM_CLUSTERS_MAX = 1024,
    UPSTREAM_CLUSTER_IDLE_MS = 5 * 60 * 1000,
    UPSTREAM_LOADS = 512
};

/* What is spoken with an endpoint of it; TLS to it says so (ALPN). */
enum upstream_speech { UPSTREAM_SPEAKS_BYTES, UPSTREAM_SPEAKS_HTTP1, UPSTREAM_SPEAKS_HTTP2, UPSTREAM_SPEECHES };

struct upstream_cluster;
struct upstream_watcher { /* who checks the endpoints (path/health_watch.h) */
    /* Its cluster or endpoints are others, and its balancer. False: no memory; once more, later. */
    bool (*renewed)(struct upstream_cluster *c);
    void (*left)(struct upstream_cluster *c);    /* it is known no longer, before its owner is NULL */
};
struct upstream_clusters {
    struct ring *ring;
    const struct directory *directory;
    const char *uid; /* the workload's, for what is near to it; borrowed */
    struct text ns;  /* likewise */
    struct cluster_uses *uses;
    const struct upstream_watcher *watcher; /* NULL: none */
    struct map all; /* name -> struct upstream_cluster */
    uint64_t swept_ms;
    uint32_t loads[UPSTREAM_LOADS]; /* requests in flight, by a hash of the endpoint's address: two may share one */
};
struct upstream_cluster { /* counted: requests and connections of it */
    struct upstream_clusters *owner; /* NULL: it is known no longer */
    size_t refs;
    struct cluster *cluster;
    struct endpoints *endpoints, *ranked; /* ranked: what the balancer sees; NULL: the endpoints */
    struct balancer *balancer;
    struct cluster_use *use;
    struct tls_config *tls[UPSTREAM_SPEECHES]; /* of this cluster's settings (path/upstream_tls.h); NULL: not yet, or none */
    void *watch; /* of the watcher */
    bool unwatched; /* it is to be told once more */
    uint64_t version;        /* the directory's, when they were looked for last */
    uint64_t mesh_version;   /* likewise, where the rank depends on workloads; 0: it does not */
    uint64_t ranked_ms, used_ms;
    uint64_t ejections, ejected; /* as told to `use` */
};
void upstream_clusters_init(struct upstream_clusters *all, struct ring *ring,
                            const struct directory *directory, const char *uid,
                            struct text ns, struct cluster_uses *uses);
void upstream_clusters_done(struct upstream_clusters *all); /* what is still held lives on, unknown */
/* As the directory has it now, good for this call; *ret NULL: it has none of this name, or none with endpoints told
 * yet. -ENOMEM, -ENOBUFS. */
int upstream_clusters_get(struct upstream_clusters *all, struct text name,
                          struct upstream_cluster **ret);
/* Without a request: as the directory has it now; forgotten if that has it no longer, or nobody asked for it lately. */
void upstream_cluster_look(struct upstream_cluster *c);
struct text upstream_cluster_host(struct text name); /* of "outbound|PORT|SUBSET|HOST"; {NULL, 0}: it is called otherwise */
/* Of an endpoint that is of no cluster: how busy it is, with this workload's requests. */
uint32_t *upstream_load(struct upstream_clusters *all, const struct addr *at);
struct upstream_cluster *upstream_cluster_ref(struct upstream_cluster *c);
struct upstream_cluster *upstream_cluster_unref(struct upstream_cluster *c); /* NULL is fine; returns NULL */

/* What a request holds of a cluster during a try; embedded in its exchange. */
struct upstream_stake {
    struct upstream_cluster *cluster; /* NULL: none */
    struct balance_host *host;
    uint32_t *load; /* without a cluster: counted there; NULL: nowhere */
    bool high;  /* priority */
    bool connection; /* it is for one, which no limit of requests is about */
    bool waits; /* counted as pending */
};
enum stake_result { STAKE_TAKEN, STAKE_NOBODY, STAKE_OVERFLOW, STAKE_NO_MEMORY };
struct stake_wish {
    uint64_t hash;
    bool has_hash, high, connection;
    const struct label *subset;
    size_t n_subset;
    uint32_t choices_max;
    const struct addr *prefer; /* who has this address, if it may be used; NULL: nobody */
    bool (*tried)(void *arg, const struct addr *at); /* to be avoided; NULL: none */
    void *arg;
};
/* An endpoint, and the right to ask it. */
enum stake_result upstream_stake_take(struct upstream_stake *s, struct upstream_cluster *c,
                                      const struct stake_wish *w);
void upstream_stake_load(struct upstream_stake *s, uint32_t *load); /* one more there, until the end */
/* May a request wait for a connection? It does until `waited` or the end. */
bool upstream_stake_wait(struct upstream_stake *s);
void upstream_stake_waited(struct upstream_stake *s);
/* How the try went, for outlier detection; once at most. */
void upstream_stake_report(struct upstream_stake *s, enum outlier_result result);
void upstream_stake_end(struct upstream_stake *s); /* fine without one */

/* Retries hold one of their own from the decision on. */
bool upstream_cluster_retry(struct upstream_cluster *c, bool high);
void upstream_cluster_retried(struct upstream_cluster *c, bool high);
/* A connection; `first`: its endpoint has none, and gets one whatever the limit. */
bool upstream_cluster_connect(struct upstream_cluster *c, bool first);
void upstream_cluster_disconnected(struct upstream_cluster *c);
#endif
