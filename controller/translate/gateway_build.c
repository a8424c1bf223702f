#include "controller/translate/gateway_build.h"

void *gateway_take(struct gateway_build *b, size_t n, size_t size)
{
    void *items = b->failed ? NULL : arena_zero(b->arena, n, size);
    b->failed |= !items;
    return items;
}

struct text gateway_copy(struct gateway_build *b, struct text t)
{
    struct text kept = b->failed ? (struct text){NULL, 0} : arena_text(b->arena, t);
    b->failed |= !kept.data;
    return kept.data ? kept : TEXT("");
}
