#include "shared/mesh/breaker.h"

#include <assert.h>

void breaker_limits_init(struct breaker_limits *l)
{
    *l = (struct breaker_limits){.budget_percent = 20, .budget_min = BREAKER_BUDGET_MIN};
    for (int i = 0; i < BREAKER_KINDS; i++)
        l->max[i] = i == BREAKER_RETRIES ? BREAKER_RETRIES_MAX : BREAKER_MAX;
}

void breaker_init(struct breaker *b)
{
    for (int i = 0; i < BREAKER_KINDS; i++) {
        atomic_init(&b->used[i], 0);
        atomic_init(&b->refused[i], 0);
    }
}

uint32_t breaker_limit(const struct breaker *b, const struct breaker_limits *l,
                       enum breaker_kind kind)
{
    if (kind != BREAKER_RETRIES || !l->budget)
        return l->max[kind];
    double share = l->budget_percent / 100 * ((double)breaker_used(b, BREAKER_REQUESTS) +
                                              (double)breaker_used(b, BREAKER_PENDING));
    if (share <= l->budget_min)
        return l->budget_min;
    return share < UINT32_MAX ? (uint32_t)share : UINT32_MAX;
}

bool breaker_take(struct breaker *b, const struct breaker_limits *l, enum breaker_kind kind)
{
    uint32_t most = breaker_limit(b, l, kind), used = breaker_used(b, kind);

    do {
        if (used >= most) {
            atomic_fetch_add_explicit(&b->refused[kind], 1, memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&b->used[kind], &used, used + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

void breaker_take_anyway(struct breaker *b, enum breaker_kind kind)
{
    atomic_fetch_add_explicit(&b->used[kind], 1, memory_order_acquire);
}

void breaker_give(struct breaker *b, enum breaker_kind kind)
{
    uint32_t before = atomic_fetch_sub_explicit(&b->used[kind], 1, memory_order_release);
    assert(before > 0);
    (void)before;
}
