/*
 * One endpoint of a cluster, asked again and again whether it is well (an active health check, Envoy's HealthCheck): over
 * HTTP, by a connection and its bytes, or by grpc.health.v1.Health/Check. It goes the way that requests of this workload go
 * (carrier.h), with the workload's identity, so the destination's policy decides about it as about any of its requests.
 *
 * Owned by a health_watch; one worker. Bounded: one question at a time, each for the check's timeout; questions of the worker
 * at a time, and of them a pod's share, beyond which one is put off; a pod's pace; an answer's first bytes.
 */
#ifndef NODEPROXY_PATH_HEALTH_PROBE_H
#define NODEPROXY_PATH_HEALTH_PROBE_H
#include "nodeproxy/path/local_pod.h"

enum {
    HEALTH_ASKED_MAX = 256,   /* of a worker, at a time */
    HEALTH_WAIT_MIN_MS = 100, /* between two questions, whatever the check says */
    HEALTH_PACE_MS = 5        /* likewise, for each probe that its pod has: 200 questions a second of a pod and worker */
};

struct health_probe;
struct health_probe_options {
    struct local_pod *pod;
    struct upstream_cluster *cluster;
    const struct health_check *check; /* of the cluster */
    struct balance_host *host;
    bool failed; /* as it is known until the first answer */
    void (*changed)(struct health_probe *p, void *user);
    void (*look)(void *user); /* before each question; it may be ended there */
    void (*gone)(struct local_pod *pod); /* its memory has gone, after health_probe_end() */
    void *user;
};
/* The first question follows soon. NULL: no memory. */
struct health_probe *health_probe_new(const struct health_probe_options *o);
/* Ends it; nothing is told any more but `gone`, from the loop. Returns NULL; NULL is fine. */
struct health_probe *health_probe_end(struct health_probe *p);
bool health_probe_failed(const struct health_probe *p);
/* The rules of health_probe_new()'s check, by themselves; embedded. */
struct health_state {
    uint32_t n_good, n_bad; /* in a row */
    bool failed, judged;
};
enum health_verdict {
    HEALTH_GOOD,
    HEALTH_NO_ANSWER, /* not connected, broken off, too late: counted */
    HEALTH_BAD_ANSWER /* it answers, and says no: that is enough */
};
void health_state_see(struct health_state *s, const struct health_check *check, enum health_verdict v);
/* Until the next question. */
uint64_t health_state_wait_ms(const struct health_state *s, const struct health_check *check, struct rng *rng);
/* May a pod that has `its` of `all` take one more? An eighth of what the others leave is its share: however many take theirs,
 * something is left for the next one. */
bool health_has_share(size_t its, size_t all, size_t max);
/* What HealthCheckResponse says, in its gRPC frame; false: nothing that can be read, or not SERVING. */
bool health_grpc_serving(struct text frame);
#endif
