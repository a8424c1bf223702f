/*
 * The memory of one object: everything that is read into it is taken from here and given back at
 * once. Owned by the object; one thread at a time. Bounded by the maximum given at init, at which
 * (as when memory runs out) object_arena_take() returns NULL.
 */
#ifndef CONTROLLER_MODEL_OBJECT_ARENA_H
#define CONTROLLER_MODEL_OBJECT_ARENA_H
#include "shared/base/text.h"

struct object_arena_block;
struct object_arena {
    struct object_arena_block *blocks; /* newest first */
    size_t used, size;                 /* of the newest block */
    size_t taken, taken_max;           /* bytes, over all blocks */
};
void object_arena_init(struct object_arena *a, size_t taken_max);
void object_arena_done(
    struct object_arena *a); /* frees everything that was taken; the arena is empty and usable */
void *object_arena_take(struct object_arena *a, size_t len); /* zeroed, aligned for any type */
void *object_arena_array(struct object_arena *a, size_t n,
                         size_t len);                           /* n elements of len bytes */
char *object_arena_text(struct object_arena *a, struct text t); /* a NUL-terminated copy */
#endif
