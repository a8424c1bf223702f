/*
 * Circuit breakers: how much of a cluster may be in use at once (Envoy's CircuitBreakers), and the
 * counters against which that is held. Counters are atomic: the workers of a node share them. Who
 * took one gives back exactly that.
 */
#ifndef SHARED_MESH_BREAKER_H
#define SHARED_MESH_BREAKER_H
#include <stdatomic.h>
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
    _Atomic uint32_t used[BREAKER_KINDS];
    _Atomic uint64_t refused[BREAKER_KINDS];
};
void breaker_limits_init(struct breaker_limits *l); /* Envoy's defaults */
void breaker_init(struct breaker *b);
/* Takes one, or counts a refusal. Never more than the limit, whoever takes at the same time; the
 * budget is of what there is at the moment. */
bool breaker_take(struct breaker *b, const struct breaker_limits *l, enum breaker_kind kind);
void breaker_take_anyway(struct breaker *b, enum breaker_kind kind);
void breaker_give(struct breaker *b, enum breaker_kind kind);
uint32_t breaker_limit(const struct breaker *b, const struct breaker_limits *l,
                       enum breaker_kind kind);
static inline uint32_t breaker_used(const struct breaker *b, enum breaker_kind kind)
{
    return atomic_load_explicit(&b->used[kind], memory_order_relaxed);
}
static inline uint64_t breaker_refused(const struct breaker *b, enum breaker_kind kind)
{
    return atomic_load_explicit(&b->refused[kind], memory_order_relaxed);
}
#endif
