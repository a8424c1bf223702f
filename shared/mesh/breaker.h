/*
 * Circuit breakers: how much of a cluster may be in use at once (Envoy's CircuitBreakers), with the
 * counters against which that is held. One thread; the owner takes one in per cluster, pod and
 * priority, and gives back exactly what it took.
 */
#ifndef SHARED_MESH_BREAKER_H
#define SHARED_MESH_BREAKER_H
#include <stdbool.h>
#include <stdint.h>

enum breaker_kind {
    BREAKER_CONNECTIONS,
    BREAKER_PENDING, /* requests that wait for a connection */
    BREAKER_REQUESTS,
    BREAKER_RETRIES,
    BREAKER_KINDS
};
enum { BREAKER_MAX = 1024, BREAKER_RETRIES_MAX = 3, BREAKER_BUDGET_MIN = 3 };
struct breaker_limits {
    uint32_t max[BREAKER_KINDS]; /* 1,024 each; retries: 3 */
    bool budget;                 /* instead of max[BREAKER_RETRIES]: */
    double budget_percent;       /* 20: of the requests and pending ones there are, */
    uint32_t budget_min;         /* 3: but always so many */
};
struct breaker {
    struct breaker_limits limits;
    uint32_t used[BREAKER_KINDS];
    uint64_t refused[BREAKER_KINDS];
};
void breaker_limits_init(struct breaker_limits *l); /* Envoy's defaults */
void breaker_init(struct breaker *b, const struct breaker_limits *l);
/* Takes one, or counts a refusal. New limits hold from the next taking on. */
bool breaker_take(struct breaker *b, enum breaker_kind kind);
void breaker_give(struct breaker *b, enum breaker_kind kind);
uint32_t breaker_limit(const struct breaker *b, enum breaker_kind kind);
#endif
