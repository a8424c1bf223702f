#include "shared/mesh/breaker.h"

#include <assert.h>

void breaker_limits_init(struct breaker_limits *l)
{
    *l = (struct breaker_limits){.budget_percent = 20, .budget_min = BREAKER_BUDGET_MIN};
    for (int i = 0; i < BREAKER_KINDS; i++)
        l->max[i] = i == BREAKER_RETRIES ? BREAKER_RETRIES_MAX : BREAKER_MAX;
}

void breaker_init(struct breaker *b, const struct breaker_limits *l)
{
    *b = (struct breaker){.limits = *l};
}

uint32_t breaker_limit(const struct breaker *b, enum breaker_kind kind)
{
    const struct breaker_limits *l = &b->limits;

    if (kind != BREAKER_RETRIES || !l->budget)
        return l->max[kind];
    double share = l->budget_percent / 100 *
                   ((double)b->used[BREAKER_REQUESTS] + (double)b->used[BREAKER_PENDING]);
    if (share <= l->budget_min)
        return l->budget_min;
    return share < UINT32_MAX ? (uint32_t)share : UINT32_MAX;
}

bool breaker_take(struct breaker *b, enum breaker_kind kind)
{
    if (b->used[kind] >= breaker_limit(b, kind)) {
        b->refused[kind]++;
        return false;
    }
    b->used[kind]++;
    return true;
}

void breaker_give(struct breaker *b, enum breaker_kind kind)
{
    assert(b->used[kind] > 0);
    b->used[kind]--;
}
