/*
 * Memory for one value, for instance a message: taken piece by piece, given back as a whole. It has
 * a maximum, so that a small message cannot unpack to a big one. Owned by one decode or encode, then
 * by what was made.
 */
#ifndef SHARED_BASE_ARENA_H
#define SHARED_BASE_ARENA_H
#include "shared/base/text.h"

struct arena_block;
struct arena {
    struct arena_block *blocks; /* the newest first */
    uint8_t *at;
    size_t left, taken, max;
    bool full, no_memory; /* why arena_take() answered NULL */
};
void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);
struct arena *arena_new(size_t max); /* NULL: no memory */
struct arena *arena_free(struct arena *a);
void *arena_take(struct arena *a,
                 size_t size); /* aligned for pointers and 64 bits; NULL: see above */
void *arena_zero(struct arena *a, size_t n, size_t size); /* n zeroed elements; n 0: one */
/* A copy of the bytes, with a NUL behind them; data NULL: see above. */
struct text arena_text(struct arena *a, struct text t);
#endif
