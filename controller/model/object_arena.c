#include "controller/model/object_arena.h"
#include <stdalign.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 1024 };

struct object_arena_block {
    struct object_arena_block *older;
    alignas(max_align_t) unsigned char data[];
};

void object_arena_init(struct object_arena *a, size_t taken_max)
{
    *a = (struct object_arena){.taken_max = taken_max};
}

void object_arena_done(struct object_arena *a)
{
    struct object_arena_block *older;
    for (struct object_arena_block *b = a->blocks; b; b = older) {
        older = b->older;
        free(b);
    }
    object_arena_init(a, a->taken_max);
}

void *object_arena_take(struct object_arena *a, size_t len)
{
    if (len > a->taken_max - a->taken)
        return NULL;
    size_t rounded = (len + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (!a->blocks || rounded > a->size - a->used) {
        size_t size = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        struct object_arena_block *b = calloc(1, sizeof *b + size);
        if (!b)
            return NULL;
        b->older = a->blocks;
        a->blocks = b;
        a->used = 0;
        a->size = size;
    }
    void *p = a->blocks->data + a->used;
    a->used += rounded;
    a->taken += len;
    return p;
}

void *object_arena_array(struct object_arena *a, size_t n, size_t len)
{
    if (len && n > a->taken_max / len)
        return NULL;
    return object_arena_take(a, n * len);
}

char *object_arena_text(struct object_arena *a, struct text t)
{
    char *copy = t.len < a->taken_max ? object_arena_take(a, t.len + 1) : NULL;
    if (copy && t.len)
        memcpy(copy, t.data, t.len);
    return copy;
}
