#include "shared/base/clock.h"
#include "shared/ring/ring_state.h"
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

enum { ENTRIES_DEFAULT = 1024, BUFFERS_DEFAULT = 128, CHUNKS_DEFAULT = 16384, CHUNKS_KEEP = 1024 };

/* ---- what a pause ends in ------------------------------------------------- */
static void pause_ended(struct timer *t)
{
    struct ring *ring = container_of(t, struct ring, pause);
    ring->supply.refused = false;
    for (struct list *n; (n = list_pop_front(&ring->pausing));)
        ring_op_arm(ring, container_of(n, struct ring_op, waiting));
}

/* ---- mappings that ThreadSanitizer does not see -------------------------------- */
/* liburing maps and unmaps by itself, so another thread's ring may be where one was. */
#if defined(__SANITIZE_THREAD__)
#define RING_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RING_TSAN 1
#endif
#endif
#ifdef RING_TSAN
#include <sanitizer/tsan_interface.h>
static char mappings;
#define was_mapped()       __tsan_acquire(&mappings)
#define will_be_unmapped() __tsan_release(&mappings)
#else
#define was_mapped()       ((void)0)
#define will_be_unmapped() ((void)0)
#endif

/* ---- memory that a burst has left ------------------------------------------- */
static bool may_trim(const struct ring *ring)
{
    return ring->pool.n_free > TRIM_KEEP;
}

static void trim_due(struct timer *t)
{
    struct ring *ring = container_of(t, struct ring, trim);
    if (chunk_pool_trim(&ring->pool, TRIM_KEEP) > 0)
        (void)malloc_trim(0); /* the heap gives back whole pages by itself only at its end */
}

/* ---- open and free -------------------------------------------------------- */
static int uring_open(struct ring *ring, unsigned entries)
{
    /* SUBMIT_ALL: one bad request must not hold back those behind it. R_DISABLED: until the
     * restrictions are in place. */
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED,
        .cq_entries = 4 * entries,
    };
    return io_uring_queue_init_params(entries, &ring->uring, &params);
}

static int uring_enable(struct ring *ring)
{
    /* Saves a lookup per turn; where it is refused the ring works without. */
    (void)io_uring_register_ring_fd(&ring->uring);
    int r = probe_restrict(&ring->uring);
    return r < 0 ? r : io_uring_enable_rings(&ring->uring);
}

int ring_open(struct ring **ret, const struct ring_options *options, const char **ret_why)
{
    struct ring_options o = options ? *options : (struct ring_options){0};
    struct ring *ring = calloc(1, sizeof *ring);
    int r = ring ? rng_seed_os(&ring->rng) : -ENOMEM;
    if (r < 0)
        goto no_ring;
    r = uring_open(ring, o.entries ? o.entries : ENTRIES_DEFAULT);
    if (r < 0)
        goto no_ring;
    was_mapped();
    size_t chunks_max = o.chunks_max ? o.chunks_max : CHUNKS_DEFAULT;
    chunk_pool_init(&ring->pool, chunks_max, chunks_max < CHUNKS_KEEP ? chunks_max : CHUNKS_KEEP);
    timer_wheel_init(&ring->timers, clock_monotonic_ms());
    timer_init(&ring->pause, pause_ended);
    timer_init(&ring->trim, trim_due);
    list_init(&ring->tasks);
    list_init(&ring->starved);
    list_init(&ring->pausing);
    list_init(&ring->returned);
    list_init(&ring->shares);
    list_init(&ring->late);
    ring->drained_end = &ring->drained_first;
    r = supply_open(ring, o.buffers ? o.buffers : BUFFERS_DEFAULT);
    if (r < 0)
        goto no_supply;
    r = uring_enable(ring);
    if (r < 0)
        goto not_enabled;
    *ret = ring;
    return 0;
not_enabled:
    supply_close(ring);
no_supply:
    chunk_pool_done(&ring->pool);
    io_uring_queue_exit(&ring->uring);
no_ring:
    free(ring);
    if (ret_why)
        *ret_why = probe_explain(r);
    return r;
}

struct ring *ring_free(struct ring *ring)
{
    if (!ring)
        return NULL;
    ring_drained_run(ring);
    assert(ring->in_flight == 0);
    will_be_unmapped();
    supply_close(ring);
    io_uring_queue_exit(&ring->uring);
    chunk_pool_done(&ring->pool);
    free(ring);
    return NULL;
}

/* ---- the loop ------------------------------------------------------------- */
static bool has_work(const struct ring *ring)
{
    return ring->stop || !list_empty(&ring->tasks) || !list_empty(&ring->returned) ||
           ring->drained_first || !list_empty(&ring->shares) || !list_empty(&ring->late) || (!list_empty(&ring->starved) && supply_has_any(&ring->supply));
}

/* How long the kernel may wait: false is for ever. The wheel's time is this turn's, which may have
 * taken a while. */
static bool wait_limit(const struct ring *ring, struct __kernel_timespec *ret)
{
    uint64_t next = timer_wheel_next_ms(&ring->timers);
    if (next == UINT64_MAX)
        return false;
    uint64_t spent = clock_monotonic_ms() - ring->timers.now_ms;
    uint64_t left = next > spent ? next - spent : 0;
    *ret = (struct __kernel_timespec){.tv_sec = (long long)(left / 1000),
                                      .tv_nsec = (long long)(left % 1000) * 1000000};
    return true;
}

static int enter(struct ring *ring)
{
    struct __kernel_timespec limit;
    struct io_uring_cqe *cqe;
    int r;
    if (has_work(ring))
        r = io_uring_submit_and_get_events(&ring->uring);
    else
        r = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1,
                                             wait_limit(ring, &limit) ? &limit : NULL, NULL);
    ring_stage_clear(ring);
    /* Time over, a signal, or a full completion queue: all of them mean "go on". */
    return r >= 0 || r == -ETIME || r == -EINTR || r == -EBUSY || r == -EAGAIN ? 0 : r;
}

static void take_completions(struct ring *ring)
{
    if (io_uring_cq_has_overflow(&ring->uring))
        ring->stats.overflowed++;
    /* At most one full queue per turn, so that timers and tasks come around. */
    for (unsigned left = ring->uring.cq.ring_entries; left > 0; left--) {
        struct io_uring_cqe *cqe;
        if (io_uring_peek_cqe(&ring->uring, &cqe) != 0)
            return;
        struct io_uring_cqe copy = *cqe;
        io_uring_cqe_seen(&ring->uring, cqe);
        ring->stats.completed++;
        ring_op_complete(ring, &copy);
    }
}

static void give_back_stopped(struct ring *ring)
{
    for (struct list *n; (n = list_pop_front(&ring->returned));)
        ring_op_finish(container_of(n, struct ring_op, waiting), -ECANCELED);
}

static int turn(struct ring *ring)
{
    supply_refill(ring);
    ring_shares_run(ring);
    if (ring->idle_before)
        ring->idle_before(ring->idle_arg);
    int r = enter(ring);
    if (ring->idle_after)
        ring->idle_after(ring->idle_arg);
    if (r < 0)
        return r;
    ring->stats.turns++;
    /* First of all, since it sets the time of this turn, from which what comes in now counts its
     * deadlines. */
    timer_wheel_expire(&ring->timers, clock_monotonic_ms());
    take_completions(ring);
    give_back_stopped(ring);
    ring_tasks_run(ring);
    ring_drained_run(ring);
    if (may_trim(ring) && !timer_running(&ring->trim))
        timer_start(&ring->timers, &ring->trim, TRIM_MS);
    return 0;
}

int ring_run(struct ring *ring)
{
    int r;
    do
        r = turn(ring);
    while (r == 0 && !ring->stop);
    ring->stop = false;
    (void)io_uring_submit(&ring->uring); /* what cannot go now goes with the next run */
    ring_stage_clear(ring);
    return r;
}
void ring_stop(struct ring *ring)
{
    ring->stop = true;
}

/* ---- what the ring lends --------------------------------------------------- */
struct chunk_pool *ring_chunks(struct ring *ring)
{
    return &ring->pool;
}
struct timer_wheel *ring_timers(struct ring *ring)
{
    return &ring->timers;
}
struct rng *ring_rng(struct ring *ring)
{
    return &ring->rng;
}
uint64_t ring_now_ms(const struct ring *ring)
{
    return ring->timers.now_ms;
}

void ring_set_idle_hooks(struct ring *ring, void (*before)(void *arg), void (*after)(void *arg),
                         void *arg)
{
    ring->idle_before = before;
    ring->idle_after = after;
    ring->idle_arg = arg;
}

void ring_stats(const struct ring *ring, struct ring_stats *ret)
{
    *ret = ring->stats;
    ret->chunks_live = ring->pool.n_live - (ring->supply.n - ring->supply.n_missing);
    ret->timers = ring->timers.count - timer_running(&ring->trim);
}
