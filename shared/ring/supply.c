/*
 * Empty chunks for the kernel to receive into. A completion names the buffer it filled, that
 * chunk goes to the receiver, and before the next wait a fresh one takes its place: the kernel
 * takes buffers only while we wait, so that is at once, and a chunk freed in this turn goes back
 * while it is still in the cache.
 *
 * The last eighth of the pool is not for receiving: what was received must still be encrypted
 * and sent, or the pool would fill up with bytes that nobody can forward.
 */
#include "shared/ring/ring_state.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The kernel's writes are invisible to AddressSanitizer; our own reads of a lent buffer are not. */
#if defined(__SANITIZE_ADDRESS__)
#define SUPPLY_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUPPLY_POISONS 1
#endif
#endif
#ifdef SUPPLY_POISONS
#include <sanitizer/asan_interface.h>
static void lend(struct chunk *c)
{
    ASAN_POISON_MEMORY_REGION(c->data, sizeof c->data);
}
static void take_back(struct chunk *c)
{
    ASAN_UNPOISON_MEMORY_REGION(c->data, sizeof c->data);
}
#else
static void lend(struct chunk *c)
{
    (void)c;
}
static void take_back(struct chunk *c)
{
    (void)c;
}
#endif

static void chunk_came_back(struct chunk_pool *pool)
{
    struct ring *ring = pool->freed_owner;
    ring->supply.refused = false;
}

static struct chunk *fresh_chunk(struct ring *ring)
{
    struct chunk_pool *pool = &ring->pool;
    if (pool->n_live < pool->n_max - pool->n_max / 8)
        return chunk_new(pool);
    pool->refused = true; /* so that it tells us when one comes back */
    return NULL;
}

static void fill(struct ring *ring)
{
    struct supply *s = &ring->supply;
    int added = 0;
    while (s->n_missing > 0) {
        struct chunk *c = fresh_chunk(ring);
        if (!c) {
            s->refused = true;
            break;
        }
        uint16_t id = s->missing[--s->n_missing];
        s->chunks[id] = c;
        lend(c);
        io_uring_buf_ring_add(s->shelf, c->data + RING_RECEIVE_START, RING_RECEIVE_BYTES, id,
                              io_uring_buf_ring_mask(s->n), added++);
    }
    if (added > 0)
        io_uring_buf_ring_advance(s->shelf, added);
}

int supply_open(struct ring *ring, unsigned buffers)
{
    struct supply *s = &ring->supply;
    int r = -EINVAL;
    if (buffers > 32768 || (buffers & (buffers - 1)) != 0)
        return r;
    s->chunks = calloc(buffers, sizeof *s->chunks);
    s->missing = calloc(buffers, sizeof *s->missing);
    r = -ENOMEM;
    if (s->chunks && s->missing)
        s->shelf = io_uring_setup_buf_ring(&ring->uring, buffers, 0, 0, &r);
    if (!s->shelf) {
        free(s->chunks);
        free(s->missing);
        return r;
    }
    s->n = s->n_missing = buffers;
    for (unsigned i = 0; i < buffers; i++)
        s->missing[i] = (uint16_t)(buffers - 1 - i);
    ring->pool.freed = chunk_came_back;
    ring->pool.freed_owner = ring;
    fill(ring);
    return 0;
}

void supply_close(struct ring *ring)
{
    struct supply *s = &ring->supply;
    (void)io_uring_free_buf_ring(&ring->uring, s->shelf, s->n, 0);
    for (unsigned i = 0; i < s->n; i++) {
        if (!s->chunks[i])
            continue;
        take_back(s->chunks[i]);
        chunk_free(s->chunks[i]);
    }
    free(s->chunks);
    free(s->missing);
}

struct chunk *supply_take(struct ring *ring, unsigned id, int result)
{
    struct supply *s = &ring->supply;
    assert(id < s->n && s->chunks[id] && result <= RING_RECEIVE_BYTES);
    struct chunk *c = s->chunks[id];
    s->chunks[id] = NULL;
    s->missing[s->n_missing++] = (uint16_t)id;
    take_back(c);
    c->start = RING_RECEIVE_START;
    c->end = RING_RECEIVE_START + (result > 0 ? (uint32_t)result : 0);
    return c;
}

/* Before each wait. Receives that found the shelf empty are armed again in batches: never only
 * as many as there are chunks, since some of them may have nothing to read and would keep the
 * others waiting. */
void supply_refill(struct ring *ring)
{
    struct supply *s = &ring->supply;
    if (s->n_missing > 0 && !s->refused)
        fill(ring);
    if (list_empty(&ring->starved))
        return;
    if (!supply_has_any(s)) {
        /* If nobody holds a chunk nobody will bring one back: the heap is empty. Look again
         * later. */
        if (ring->pool.n_live == 0 && !timer_running(&ring->pause))
            timer_start(&ring->timers, &ring->pause, PAUSE_MS);
        return;
    }
    unsigned batch = s->n - s->n_missing;
    if (batch < STARVED_BATCH_MIN)
        batch = STARVED_BATCH_MIN;
    for (struct list *n; batch > 0 && (n = list_pop_front(&ring->starved)); batch--)
        ring_op_arm(ring, container_of(n, struct ring_op, waiting));
}
