/*
 * What of a cluster one workload has in use, over all workers: the counters of its circuit breakers, and how many of its
 * endpoints are left out. Found by the pod's record and the cluster's name under the pod's lock, by a worker that begins or
 * ends to use it; the counters are atomic. Reference counted; bounded by the clusters that a pod may use.
 */
#ifndef NODEPROXY_BOUNDS_CLUSTER_USE_H
#define NODEPROXY_BOUNDS_CLUSTER_USE_H
#include "nodeproxy/bounds/bounds.h"
#include "shared/base/list.h"
#include "shared/base/text.h"
#include "shared/mesh/breaker.h"
#include <pthread.h>

enum { BREAKER_DEFAULT, BREAKER_HIGH, BREAKER_PRIORITIES };
struct cluster_use {
    struct breaker breakers[BREAKER_PRIORITIES];
    _Atomic uint64_t ejections;              /* since it is used */
    _Atomic uint64_t ejected;                /* now, by each worker that left it out */
    struct cluster_uses *all;                /* NULL: nobody else finds it */
    struct list link;                        /* under the lock, as refs */
    unsigned refs;
    char name[];
};
struct cluster_uses { /* of a pod */
    pthread_mutex_t lock;
    struct list all;
};
void cluster_uses_init(struct cluster_uses *all);
void cluster_uses_done(struct cluster_uses *all); /* every one has been given back */
/* all NULL: one that is not shared. NULL: no memory. */
struct cluster_use *cluster_use_get(struct cluster_uses *all, struct text name);
struct cluster_use *cluster_use_unref(struct cluster_use *u); /* NULL is fine; returns NULL */
void cluster_uses_each(struct cluster_uses *all, void (*visit)(const struct cluster_use *u, void *arg), void *arg);
#endif
