/*
 * Byte queues made of fixed-size chunks from a counted pool. The ring receives into chunks, TLS and
 * HTTP/2 pass them on, and sends gather them: a byte is copied only where a protocol must rewrite
 * it.
 *
 * A pool belongs to one thread and has a maximum; at the maximum chunk_new() returns NULL and its
 * user refuses or waits (pool->freed tells when one came back; it is called in the middle of the
 * other's work and takes a note only, it touches no buf). A chunk has one owner at a time. Bytes in
 * a chunk never move: what a send in flight points at stays where it is until it is consumed.
 * CHUNK_BYTES holds one whole TLS record (16,384 plain bytes and its overhead).
 */
#ifndef SHARED_BASE_BUF_H
#define SHARED_BASE_BUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { CHUNK_BYTES = 16384 + 512 };

struct chunk_pool;
struct chunk {
    struct chunk *next;
    struct chunk_pool *pool;
    uint32_t start, end; /* valid bytes are data[start .. end) */
    uint8_t data[CHUNK_BYTES];
};
struct chunk_pool {
    struct chunk *free;                     /* last in, first out: the warm one comes back first */
    size_t n_free, n_live, n_max, n_keep;   /* n_keep: free ones beyond it go back to the heap */
    size_t n_idle;                          /* free ones that nobody took since the last trim */
    void (*freed)(struct chunk_pool *pool); /* a chunk came back after a refusal; may be NULL */
    void *freed_owner;
    bool refused;
};
void chunk_pool_init(struct chunk_pool *pool, size_t chunks_max, size_t chunks_keep);
void chunk_pool_done(struct chunk_pool *pool);    /* asserts that none is live */
/* Gives those back to the heap that nobody has needed since the last call, but for `keep` of the free
 * ones; how many. After a burst the pool becomes small again, and a steady load keeps its own. */
size_t chunk_pool_trim(struct chunk_pool *pool, size_t keep);
struct chunk *chunk_new(struct chunk_pool *pool); /* empty; NULL: at the maximum or no memory */
struct chunk *chunk_free(struct chunk *chunk);    /* returns NULL */
static inline size_t chunk_len(const struct chunk *c)
{
    return c->end - c->start;
}

struct buf {
    struct chunk *head, *tail;
    size_t len;
};
static inline void buf_init(struct buf *b)
{
    *b = (struct buf){0};
}
void buf_done(struct buf *b); /* gives all chunks back; the buf is empty and usable again */
/* Appends a chunk. Small contents are copied into the tail's room instead and the chunk is
 * freed. */
void buf_push(struct buf *b, struct chunk *taken_chunk);
/* Copies len bytes to the end; all or nothing: -ENOBUFS leaves the buf as it was. */
int buf_append(struct buf *b, struct chunk_pool *pool, const void *data, size_t len);
/* A contiguous room of `want` bytes (<= CHUNK_BYTES) at the end; NULL: no chunk. Then buf_commit(),
 * with 0 if nothing came; in between the buf is left alone. */
uint8_t *buf_reserve(struct buf *b, struct chunk_pool *pool, size_t want);
void buf_commit(struct buf *b, size_t len);
void buf_move(struct buf *to, struct buf *from); /* all of it; from is empty after */
/* The first len bytes, or all if there are fewer. Splits the last chunk by copying its smaller
 * part; -ENOBUFS: nothing moved. */
int buf_move_some(struct buf *to, struct chunk_pool *pool, struct buf *from, size_t len);
size_t buf_peek(const struct buf *b, void *out, size_t len); /* copies, does not consume */
void buf_consume(struct buf *b, size_t len);                 /* drops from the front */
size_t buf_iovecs(const struct buf *b, struct iovec *out, size_t n_max, size_t *ret_bytes);
#endif
