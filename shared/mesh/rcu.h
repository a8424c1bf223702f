/*
 * What this folder needs of liburcu (QSBR): deferred frees, and pointer arrays that readers see
 * whole. One writer; readers are registered threads. Nothing is freed before every reader was
 * quiescent once.
 *
 * ThreadSanitizer can't see into liburcu, so its order is told to it here: that a node's contents
 * were written before it was found, and that readers were done before memory is freed.
 */
#ifndef SHARED_MESH_RCU_H
#define SHARED_MESH_RCU_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/rculfhash.h>
#include <urcu/urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif
#ifdef RCU_TSAN
#include <sanitizer/tsan_interface.h>
static inline void rcu_told(const void *what)
{
    __tsan_release((void *)what);
}
static inline void rcu_learned(const void *what)
{
    __tsan_acquire((void *)what);
}
#else
static inline void rcu_told(const void *what)
{
    (void)what;
}
static inline void rcu_learned(const void *what)
{
    (void)what;
}
#endif
void rcu_readers_quiescent(void); /* this thread holds no pointer any more */
void rcu_grace_passed(void);      /* first thing in whatever frees */

/*
 * A hash table that grows and shrinks by itself, beside its readers. Address space for all the
 * buckets it may ever have is taken at once, so that growing can't fail; with more entries than
 * buckets it gets slower.
 */
struct cds_lfht *rcu_table_new(void); /* NULL: no memory */

/* A free that is allocated before it is needed, so that it can't fail when it is. */
struct retired {
    struct rcu_head head;
    void *what;
    void (*release)(void *what);
};
/* release(what) after a grace period, then the record itself goes. */
void retired_later(struct retired *taken, void *what, void (*release)(void *what));
void rcu_free_later(struct rcu_head *head, void (*release)(struct rcu_head *head));

/*
 * An array of pointers that readers see without locks. What a reader got stays as it is until it is
 * quiescent: changes make a copy; an addition that fits is written behind the end that earlier
 * readers know. Only where memory for the copy of a removal is missing is one element of the old
 * array replaced by the last one: a reader may then see that one twice, or sooner than others, but
 * never one that was gone when it looked.
 */
struct rcu_block {
    struct rcu_head head;
    size_t capacity;
    bool frozen;          /* no addition in place any more */
    _Atomic uint32_t top; /* no element's weight is above it */
    _Atomic size_t n;
    const void *items[];
};
struct rcu_array {
    _Atomic(struct rcu_block *) block; /* NULL: empty */
};
struct rcu_view {
    const void *const *items;
    size_t n;
    uint32_t top;
};
struct rcu_view rcu_array_view(const struct rcu_array *a);
/* In two steps, so that a writer can first get all that it needs. -ENOMEM; *ret NULL: nothing is
 * needed. */
int rcu_array_prepare_add(const struct rcu_array *a, struct rcu_block **ret);
int rcu_array_prepare_replace(const struct rcu_array *a, struct rcu_block **ret);
void rcu_array_add(struct rcu_array *a, struct rcu_block *taken, const void *item, uint32_t weight);
void rcu_array_replace(struct rcu_array *a, struct rcu_block *taken, const void *old,
                       const void *item, uint32_t weight);
void rcu_array_remove(struct rcu_array *a, const void *item); /* cannot fail */
void rcu_block_drop(struct rcu_block *prepared);              /* one that was not used */
void rcu_array_done(struct rcu_array *a);                     /* the block goes later */
#endif
