/*
 * The memory of one object: everything that is read into it is taken from here and given back at
 * once. Owned by the object; one thread at a time. Bounded by the maximum given at init, at which (as
 * when memory runs out) arena_take() returns NULL.
 */
#ifndef CONTROLLER_MODEL_ARENA_H
#define CONTROLLER_MODEL_ARENA_H
#include "shared/base/text.h"

struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used, size;          /* of the newest block */
    size_t taken, taken_max;    /* bytes, over all blocks */
};
void arena_init(struct arena *a, size_t taken_max);
void arena_done(struct arena *a); /* frees everything that was taken; the arena is empty and usable */
void *arena_take(struct arena *a, size_t len);            /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t n, size_t len); /* n elements of len bytes */
char *arena_text(struct arena *a, struct text t);         /* a NUL-terminated copy */
#endif
