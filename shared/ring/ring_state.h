/*
 * What the files of shared/ring know of each other; nobody else includes this, nor <liburing.h>.
 * One struct ring belongs to one thread. Bounded by the queues' sizes, the pool, and the owners'
 * operations, which are embedded in them.
 *
 * An operation in flight is in exactly one place: in the kernel (armed), in one of the lists
 * below or of a share by `waiting`, or on the stack of the function that completes it.
 */
#ifndef SHARED_RING_RING_STATE_H
#define SHARED_RING_RING_STATE_H
#include "shared/ring/ring.h"
#include <liburing.h>

enum { OP_ACCEPT = 1, OP_CONNECT, OP_RECV, OP_SEND, OP_POLL };
enum {
    PAUSE_MS = 100,       /* until an accept is tried again that found no descriptor or no memory */
    TASK_ROUNDS_MAX = 16, /* of tasks asked by tasks, in one turn */
    LATE_MAX = 2 * RING_SHARE_TASKS, /* tasks that were put off, in one turn */
    STARVED_BATCH_MIN = 16,
    STAGE_BYTES = 16384,
    TRIM_MS = 1000,   /* after so long without use free chunks go back, but for */
    TRIM_KEEP = 32,   /* these, with which a little load comes along */
};

/* The provided buffer ring: the kernel's stock of empty chunks, and which chunk each buffer id
 * is. */
struct supply {
    struct io_uring_buf_ring *shelf;
    struct chunk **chunks; /* by buffer id; NULL: missing */
    uint16_t *missing;     /* ids without a chunk, n_missing of them */
    unsigned n, n_missing;
    bool refused; /* the pool gave none; nothing to try until one came back */
};
/* What entries of the submission queue point at (addresses, gather lists) until the kernel takes
 * them: it copies both then (IORING_FEAT_SUBMIT_STABLE; every kernel that has the rings we need). So
 * an operation holds neither while it waits. Empty again after each submit. */
struct stage {
    size_t used;
    _Alignas(16) uint8_t bytes[STAGE_BYTES];
};
struct ring {
    struct io_uring uring;
    struct supply supply;
    struct stage stage;
    struct chunk_pool pool;
    struct timer_wheel timers;
    struct rng rng;
    struct list tasks;
    struct list starved;  /* receives that found no chunk */
    struct list pausing;  /* accepts that found no descriptor */
    struct list returned; /* receives that were stopped while starved */
    struct list shares;   /* those for which receives wait */
    struct list late;     /* shares that have put tasks off */
    const struct ring_share *served;   /* the share that was used last; never looked into */
    uint64_t served_ms, rival_ms;      /* when; and when another one was. 0: never */
    struct timer pause, trim;
    struct ring_scope *drained_first, **drained_end;
    void (*idle_before)(void *arg), (*idle_after)(void *arg);
    void *idle_arg;
    unsigned in_flight;
    bool stop;
    struct ring_stats stats;
};

/* op.c */
struct io_uring_sqe *ring_sqe(struct ring *ring);
void ring_stage_clear(struct ring *ring); /* after a submit */
void ring_op_arm(struct ring *ring, struct ring_op *op); /* accept and receive, first and again */
void ring_op_cancel(struct ring *ring, struct ring_op *op);
void ring_op_complete(struct ring *ring, const struct io_uring_cqe *cqe);
void ring_op_give_back(struct ring_op *op); /* not in flight any more; no done */
void ring_op_finish(struct ring_op *op, int result);
/* scope.c */
void ring_drained_put(struct ring *ring, struct ring_scope *scope);
void ring_drained_run(struct ring *ring);
/* task.c */
void ring_tasks_run(struct ring *ring);
/* share.c */
bool ring_share_pay(struct ring_share *s, size_t bytes); /* true: it is used up, ring_share_wait() */
bool ring_share_is_over(const struct ring_share *s);
void ring_share_wait(struct ring_share *s, struct ring_op *op);
void ring_shares_run(struct ring *ring); /* before each wait */
/* supply.c */
int supply_open(struct ring *ring, unsigned buffers);
void supply_close(struct ring *ring);
struct chunk *supply_take(struct ring *ring, unsigned id, int result);
void supply_refill(struct ring *ring);
static inline bool supply_has_any(const struct supply *s)
{
    return s->n_missing < s->n;
}
/* probe.c */
const char *probe_explain(int error);
int probe_restrict(struct io_uring *uring);
#endif
