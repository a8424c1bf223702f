#include "shared/base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 8, BLOCK_MIN = 4096, BLOCK_MAX = 1024 * 1024 };

struct arena_block {
    struct arena_block *next;
    uint64_t data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_done(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    *a = (struct arena){.max = a->max};
}

struct arena *arena_new(size_t max)
{
    struct arena *a = malloc(sizeof *a);
    if (a)
        arena_init(a, max);
    return a;
}

struct arena *arena_free(struct arena *a)
{
    if (a)
        arena_done(a);
    free(a);
    return NULL;
}

/* A block that at least `size` bytes fit in; it grows with what was already needed. */
static bool more(struct arena *a, size_t size)
{
    size_t want = a->taken < BLOCK_MIN ? BLOCK_MIN : a->taken < BLOCK_MAX ? a->taken : BLOCK_MAX;
    if (want < size)
        want = size;
    struct arena_block *b = malloc(sizeof *b + want);
    if (!b)
        return false;
    b->next = a->blocks;
    a->blocks = b;
    a->at = (uint8_t *)b->data;
    a->left = want;
    return true;
}

void *arena_take(struct arena *a, size_t size)
{
    /* Half of all there could be: none that is let through overflows when something is added. */
    if (size > SIZE_MAX / 2 || size > a->max || a->taken > a->max - size) {
        a->full = true;
        return NULL;
    }
    size = size ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    if (size > a->left && !more(a, size)) {
        a->no_memory = true;
        return NULL;
    }
    void *taken = a->at;
    a->at += size;
    a->left -= size;
    a->taken += size;
    return taken;
}

void *arena_zero(struct arena *a, size_t n, size_t size)
{
    if (n == 0)
        n = 1;
    if (size && n > SIZE_MAX / size) {
        a->full = true;
        return NULL;
    }
    void *taken = arena_take(a, n * size);
    return taken ? memset(taken, 0, n * size) : NULL;
}

struct text arena_text(struct arena *a, struct text t)
{
    char *copy = arena_take(a, t.len < SIZE_MAX ? t.len + 1 : SIZE_MAX);
    if (!copy || t.len == SIZE_MAX) /* no arena is as large; a compiler does not see that */
        return (struct text){0};
    if (t.len > 0)
        memcpy(copy, t.data, t.len);
    copy[t.len] = '\0';
    return (struct text){copy, t.len};
}
