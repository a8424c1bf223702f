/*
 * Memory for one message: taken piece by piece, given back as a whole. It has a maximum, so that a
 * small message cannot unpack to a big one. Owned by one decode or encode, then by the decoded
 * message.
 */
#ifndef SHARED_XDS_ARENA_H
#define SHARED_XDS_ARENA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena_block;
struct arena {
    struct arena_block *blocks; /* the newest first */
    uint8_t *at;
    size_t left, taken, max;
    bool full, no_memory; /* why arena_take() answered NULL */
};
void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);
void *arena_take(struct arena *a,
                 size_t size); /* aligned for pointers and 64 bits; NULL: see above */
void *arena_zero(struct arena *a, size_t n, size_t size); /* n zeroed elements; n 0: one */
#endif
