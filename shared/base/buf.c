#include "shared/base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer the bytes of a chunk in the free list are poison, as after free(). */
#ifdef __SANITIZE_ADDRESS__
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif
#ifdef POISONING
#include <sanitizer/asan_interface.h>
#define poison(c)   __asan_poison_memory_region((c)->data, sizeof(c)->data)
#define unpoison(c) __asan_unpoison_memory_region((c)->data, sizeof(c)->data)
#else
#define poison(c)   ((void)(c))
#define unpoison(c) ((void)(c))
#endif

enum {
    CHUNK_ALIGN = 64,
    COPY_MAX = 1024, /* up to here copying is cheaper than one more chunk in a queue */
};

void chunk_pool_init(struct chunk_pool *pool, size_t chunks_max, size_t chunks_keep)
{
    *pool = (struct chunk_pool){.n_max = chunks_max, .n_keep = chunks_keep};
}

void chunk_pool_done(struct chunk_pool *pool)
{
    assert(pool->n_live == 0);
    while (pool->free) {
        struct chunk *c = pool->free;
        pool->free = c->next;
        unpoison(c);
        free(c);
    }
    pool->n_free = 0;
}

size_t chunk_pool_trim(struct chunk_pool *pool, size_t keep)
{
    size_t n = pool->n_free > keep ? pool->n_free - keep : 0;
    if (n > pool->n_idle)
        n = pool->n_idle;
    struct chunk **at = &pool->free; /* the warm ones come first, and stay */
    for (size_t i = n; i < pool->n_free; i++)
        at = &(*at)->next;
    for (struct chunk *c = *at, *next; c; c = next) {
        next = c->next;
        unpoison(c);
        free(c);
    }
    *at = NULL;
    pool->n_free -= n;
    pool->n_idle = pool->n_free;
    return n;
}

struct chunk *chunk_new(struct chunk_pool *pool)
{
    struct chunk *c = NULL;

    if (pool->n_live < pool->n_max) {
        c = pool->free;
        if (c) {
            pool->free = c->next;
            pool->n_free--;
            if (pool->n_idle > pool->n_free)
                pool->n_idle = pool->n_free;
            unpoison(c);
        } else {
            size_t size = (sizeof *c + CHUNK_ALIGN - 1) / CHUNK_ALIGN * CHUNK_ALIGN;
            c = aligned_alloc(CHUNK_ALIGN, size);
        }
    }
    if (!c) {
        pool->refused = true;
        return NULL;
    }
    pool->n_live++;
    c->next = NULL;
    c->pool = pool;
    c->start = c->end = 0;
    return c;
}

struct chunk *chunk_free(struct chunk *chunk)
{
    if (!chunk)
        return NULL;
    struct chunk_pool *pool = chunk->pool;
    assert(pool->n_live > 0);
    pool->n_live--;
    if (pool->n_free < pool->n_keep) {
        chunk->next = pool->free;
        pool->free = chunk;
        pool->n_free++;
        poison(chunk);
    } else {
        free(chunk);
    }
    if (pool->refused) {
        pool->refused = false;
        if (pool->freed)
            pool->freed(pool);
    }
    return NULL;
}

void buf_done(struct buf *b)
{
    struct chunk *c = b->head;
    *b = (struct buf){0};
    while (c) {
        struct chunk *next = c->next;
        chunk_free(c);
        c = next;
    }
}

static size_t tail_room(const struct buf *b)
{
    return b->tail ? CHUNK_BYTES - b->tail->end : 0;
}

static void copy_to_tail(struct buf *b, const void *data, size_t len)
{
    memcpy(b->tail->data + b->tail->end, data, len);
    b->tail->end += (uint32_t)len;
    b->len += len;
}

static void link_tail(struct buf *b, struct chunk *c)
{
    c->next = NULL;
    if (b->tail)
        b->tail->next = c;
    else
        b->head = c;
    b->tail = c;
    b->len += chunk_len(c);
}

/* A chunk that was reserved and never filled is in nobody's way, but holds memory. */
static void drop_unused(struct buf *b)
{
    if (b->len == 0 && b->head)
        buf_done(b);
}

static struct chunk *unlink_head(struct buf *b)
{
    struct chunk *c = b->head;
    b->head = c->next;
    if (!b->head)
        b->tail = NULL;
    b->len -= chunk_len(c);
    c->next = NULL;
    return c;
}

static bool should_copy(size_t len, size_t room)
{
    return len <= COPY_MAX && len <= room;
}

void buf_push(struct buf *b, struct chunk *taken_chunk)
{
    struct chunk *c = taken_chunk;
    size_t len = chunk_len(c);

    if (len == 0 || should_copy(len, tail_room(b))) {
        if (len > 0)
            copy_to_tail(b, c->data + c->start, len);
        chunk_free(c);
        return;
    }
    drop_unused(b);
    link_tail(b, c);
}

int buf_append(struct buf *b, struct chunk_pool *pool, const void *data, size_t len)
{
    const uint8_t *from = data;
    size_t room = tail_room(b);
    struct buf more = {0};

    if (len == 0)
        return 0;
    /* All chunks first, so that a refusal has changed nothing. */
    size_t n_new = len > room ? (len - room + CHUNK_BYTES - 1) / CHUNK_BYTES : 0;
    for (size_t i = 0; i < n_new; i++) {
        struct chunk *c = chunk_new(pool);
        if (!c) {
            buf_done(&more);
            return -ENOBUFS;
        }
        link_tail(&more, c);
    }
    size_t first = len < room ? len : room;
    if (first > 0)
        copy_to_tail(b, from, first);
    from += first;
    len -= first;
    while (more.head) {
        size_t n = len < CHUNK_BYTES ? len : CHUNK_BYTES;
        link_tail(b, unlink_head(&more));
        copy_to_tail(b, from, n);
        from += n;
        len -= n;
    }
    return 0;
}

uint8_t *buf_reserve(struct buf *b, struct chunk_pool *pool, size_t want)
{
    assert(want <= CHUNK_BYTES);
    if (!b->tail || tail_room(b) < want) {
        struct chunk *c = chunk_new(pool);
        if (!c)
            return NULL;
        link_tail(b, c);
    }
    return b->tail->data + b->tail->end;
}

void buf_commit(struct buf *b, size_t len)
{
    if (len > 0) {
        assert(len <= tail_room(b));
        b->tail->end += (uint32_t)len;
        b->len += len;
    }
    drop_unused(b);
}

void buf_move(struct buf *to, struct buf *from)
{
    drop_unused(to);
    /* Small pieces at the front fill our tail; the rest is linked in one step, however long. */
    while (from->head && should_copy(chunk_len(from->head), tail_room(to)))
        buf_push(to, unlink_head(from));
    if (from->len == 0) {
        buf_done(from);
        return;
    }
    if (to->tail)
        to->tail->next = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    to->len += from->len;
    *from = (struct buf){0};
}

/* Room in the tail of `to` after the chunks of `from` up to, not including, `stop` were pushed. */
static size_t room_after(const struct buf *to, const struct buf *from, const struct chunk *stop)
{
    size_t room = tail_room(to);
    for (const struct chunk *c = from->head; c != stop; c = c->next) {
        size_t len = chunk_len(c);
        if (len > 0)
            room = should_copy(len, room) ? room - len : CHUNK_BYTES - c->end;
    }
    return room;
}

/* Moves the first n bytes of from's head, less than it holds. `spare` is empty. The smaller part of
 * the two is the one that is copied. */
static void split_head(struct buf *to, struct buf *from, size_t n, struct chunk *spare)
{
    struct chunk *c = from->head;
    size_t rest = chunk_len(c) - n;

    if (n <= rest) {
        memcpy(spare->data, c->data + c->start, n);
        spare->end = (uint32_t)n;
        c->start += (uint32_t)n;
        from->len -= n;
        buf_push(to, spare);
        return;
    }
    (void)unlink_head(from);
    memcpy(spare->data, c->data + c->start + n, rest);
    spare->end = (uint32_t)rest;
    c->end -= (uint32_t)rest;
    spare->next = from->head;
    from->head = spare;
    if (!from->tail)
        from->tail = spare;
    from->len += rest;
    buf_push(to, c);
}

int buf_move_some(struct buf *to, struct chunk_pool *pool, struct buf *from, size_t len)
{
    struct chunk *last = from->head, *spare = NULL;
    size_t part = len;

    if (len >= from->len) {
        buf_move(to, from);
        return 0;
    }
    for (; chunk_len(last) <= part; last = last->next)
        part -= chunk_len(last);
    bool fits = part <= room_after(to, from, last);
    if (part > 0 && !fits) {
        spare = chunk_new(pool);
        if (!spare)
            return -ENOBUFS;
    }
    while (from->head != last)
        buf_push(to, unlink_head(from));
    if (part == 0)
        return 0;
    if (fits) {
        copy_to_tail(to, last->data + last->start, part);
        last->start += (uint32_t)part;
        from->len -= part;
    } else {
        split_head(to, from, part, spare);
    }
    return 0;
}

size_t buf_peek(const struct buf *b, void *out, size_t len)
{
    uint8_t *to = out;
    size_t done = 0;

    for (const struct chunk *c = b->head; c && done < len; c = c->next) {
        size_t n = chunk_len(c) < len - done ? chunk_len(c) : len - done;
        if (n > 0)
            memcpy(to + done, c->data + c->start, n);
        done += n;
    }
    return done;
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= b->len);
    while (len > 0) {
        struct chunk *c = b->head;
        if (chunk_len(c) > len) {
            c->start += (uint32_t)len;
            b->len -= len;
            return;
        }
        len -= chunk_len(c);
        chunk_free(unlink_head(b));
    }
    drop_unused(b);
}

size_t buf_iovecs(const struct buf *b, struct iovec *out, size_t n_max, size_t *ret_bytes)
{
    size_t n = 0, bytes = 0;

    for (struct chunk *c = b->head; c && n < n_max; c = c->next) {
        if (chunk_len(c) == 0)
            continue;
        out[n++] = (struct iovec){c->data + c->start, chunk_len(c)};
        bytes += chunk_len(c);
    }
    if (ret_bytes)
        *ret_bytes = bytes;
    return n;
}
