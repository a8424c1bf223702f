#include "shared/mesh/rcu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 64, BUCKETS_MAX = 1024 * 1024 };

static char grace; /* an address only: what readers tell and what frees learn */

void rcu_readers_quiescent(void)
{
    rcu_told(&grace);
}

void rcu_grace_passed(void)
{
    rcu_learned(&grace);
}

#ifdef RCU_TSAN
/* The table's own memory, which it takes and frees in threads of its own. */
const char *__tsan_default_suppressions(void);
__attribute__((weak)) const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:liburcu-cds.so\ncalled_from_lib:liburcu-qsbr.so\n";
}
#endif

struct cds_lfht *rcu_table_new(void)
{
    return cds_lfht_new_flavor(BUCKETS_MIN, BUCKETS_MIN, BUCKETS_MAX,
                               CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, &urcu_qsbr_flavor, NULL);
}

static void retired_run(struct rcu_head *head)
{
    struct retired *r = caa_container_of(head, struct retired, head);

    rcu_grace_passed();
    r->release(r->what);
    free(r);
}

void retired_later(struct retired *taken, void *what, void (*release)(void *what))
{
    taken->what = what;
    taken->release = release;
    rcu_told(&grace);
    urcu_qsbr_call_rcu(&taken->head, retired_run);
}

void rcu_free_later(struct rcu_head *head, void (*release)(struct rcu_head *head))
{
    rcu_told(&grace);
    urcu_qsbr_call_rcu(head, release);
}

static void block_release(struct rcu_head *head)
{
    rcu_grace_passed();
    free(caa_container_of(head, struct rcu_block, head));
}

static struct rcu_block *block_of(const struct rcu_array *a)
{
    return atomic_load_explicit(&a->block, memory_order_relaxed);
}

static size_t count_of(const struct rcu_block *b)
{
    return b ? atomic_load_explicit(&b->n, memory_order_relaxed) : 0;
}

static uint32_t top_of(const struct rcu_block *b)
{
    return b ? atomic_load_explicit(&b->top, memory_order_relaxed) : 0;
}

/* With the contents of `from` (may be NULL) and room for `capacity`. NULL: no memory. */
static struct rcu_block *block_copy(const struct rcu_block *from, size_t capacity)
{
    struct rcu_block *b = malloc(sizeof *b + capacity * sizeof *b->items);
    if (!b)
        return NULL;
    size_t n = count_of(from);
    assert(n <= capacity);
    *b = (struct rcu_block){.capacity = capacity};
    if (n)
        memcpy(b->items, from->items, n * sizeof *b->items);
    atomic_store_explicit(&b->n, n, memory_order_relaxed);
    atomic_store_explicit(&b->top, top_of(from), memory_order_relaxed);
    return b;
}

static void publish(struct rcu_array *a, struct rcu_block *b)
{
    struct rcu_block *old = block_of(a);

    atomic_store_explicit(&a->block, b, memory_order_release);
    if (old)
        rcu_free_later(&old->head, block_release);
}

struct rcu_view rcu_array_view(const struct rcu_array *a)
{
    const struct rcu_block *b = atomic_load_explicit(&a->block, memory_order_acquire);
    if (!b)
        return (struct rcu_view){0};
    size_t n = atomic_load_explicit(&b->n, memory_order_acquire);
    return (struct rcu_view){b->items, n, top_of(b)};
}

int rcu_array_prepare_add(const struct rcu_array *a, struct rcu_block **ret)
{
    const struct rcu_block *b = block_of(a);
    size_t n = count_of(b);

    *ret = NULL;
    if (b && !b->frozen && n < b->capacity)
        return 0;
    *ret = block_copy(b, n < 4 ? 4 : n + n / 2);
    return *ret ? 0 : -ENOMEM;
}

int rcu_array_prepare_replace(const struct rcu_array *a, struct rcu_block **ret)
{
    const struct rcu_block *b = block_of(a);

    *ret = block_copy(b, b->capacity);
    return *ret ? 0 : -ENOMEM;
}

static void raise_top(struct rcu_block *b, uint32_t weight)
{
    if (weight > top_of(b))
        atomic_store_explicit(&b->top, weight, memory_order_relaxed);
}

static size_t place_of(const struct rcu_block *b, const void *item)
{
    size_t n = count_of(b), i = 0;

    while (i < n && b->items[i] != item)
        i++;
    assert(i < n);
    return i;
}

void rcu_array_add(struct rcu_array *a, struct rcu_block *taken, const void *item, uint32_t weight)
{
    struct rcu_block *b = taken ? taken : block_of(a);
    size_t n = count_of(b);

    assert(n < b->capacity);
    raise_top(b, weight);
    b->items[n] = item;
    atomic_store_explicit(&b->n, n + 1, memory_order_release);
    if (taken)
        publish(a, taken);
}

void rcu_array_replace(struct rcu_array *a, struct rcu_block *taken, const void *old,
                       const void *item, uint32_t weight)
{
    assert(taken);
    raise_top(taken, weight);
    taken->items[place_of(taken, old)] = item;
    publish(a, taken);
}

void rcu_array_remove(struct rcu_array *a, const void *item)
{
    struct rcu_block *b = block_of(a);
    size_t n = count_of(b), at = place_of(b, item);

    if (n == 1) {
        publish(a, NULL);
        return;
    }
    struct rcu_block *copy = block_copy(b, n);
    if (copy) {
        copy->items[at] = copy->items[n - 1];
        atomic_store_explicit(&copy->n, n - 1, memory_order_relaxed);
        publish(a, copy);
        return;
    }
    b->frozen = true;
    __atomic_store_n(&b->items[at], b->items[n - 1], __ATOMIC_RELEASE);
    atomic_store_explicit(&b->n, n - 1, memory_order_release);
}

void rcu_block_drop(struct rcu_block *prepared)
{
    free(prepared);
}

void rcu_array_done(struct rcu_array *a)
{
    if (block_of(a))
        publish(a, NULL);
}
