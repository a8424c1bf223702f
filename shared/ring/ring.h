/*
 * The only door to io_uring: one ring per thread, made and used by that thread alone. Operations
 * are embedded in their owners, belong to a scope, and complete by a callback from ring_run(),
 * never from inside a submit. tests/support/fake_ring.c implements this header too, with a seed
 * instead of a kernel.
 *
 * Memory that an operation points at is freed in its scope's `drained`, nowhere else. Bounds:
 * entries of the submission queue (a full one is handed over at once), chunks of the pool.
 */
#ifndef SHARED_RING_RING_H
#define SHARED_RING_RING_H
#include "shared/base/buf.h"
#include "shared/base/rng.h"
#include "shared/base/timer_wheel.h"
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct ring;
struct ring_op;
struct ring_share;
typedef void ring_op_done(struct ring_op *op, int result); /* >= 0, or -errno */

struct ring_scope {
    struct ring *ring;
    unsigned in_flight;
    bool closing;
    /* Once, from the loop; may free the scope; may be NULL. */
    void (*drained)(struct ring_scope *scope);
    struct list ops;                 /* those in flight */
    struct ring_share *share;        /* of its receives; NULL: none. Set before the first */
    struct ring_scope *next_drained; /* in the ring's queue once closed and empty */
};
struct ring_op {
    ring_op_done *done;
    struct ring_scope *scope;
    struct list link;    /* in scope->ops while in flight */
    struct list waiting; /* in flight, but not in the kernel: starved, pausing, or stopped */
    struct chunk *chunk; /* of a receive, valid in done: take it (set to NULL) or it is freed */
    int fd;
    uint8_t kind;
    bool in_flight; /* from the submit until the last done */
    bool armed;     /* the kernel has it */
    bool stopping;
    bool one_shot; /* a receive that the ring repeats, not the kernel */
    bool single;   /* the same, while its share is used up */
    bool yielding; /* being taken out of the kernel: its share is used up */
    uint16_t got;  /* bytes of the last receive */
};
/* Runs once at the end of the loop's turn, after all completions, before the next submit: this is
 * where tunnels flush. Asking twice is asking once. Cancelled by ring_task_cancel(). */
struct ring_task {
    struct list link;
    void (*run)(struct ring_task *task);
};

/* Where the kernel receives in a chunk: so that an HTTP/2 frame header fits before the bytes, and both
 * together are the plain bytes of exactly one full TLS record (RFC 9113, 4.1; RFC 8446, 5.1). Then
 * nothing is copied between receive and seal. */
enum { RING_RECEIVE_START = 16, RING_RECEIVE_BYTES = 16384 - 9 };

struct ring_options {
    unsigned entries;  /* submission queue; 0: 1024 */
    unsigned buffers;  /* provided receive buffers (chunks), power of two; 0: 128 */
    size_t chunks_max; /* of the ring's pool; 0: 16384. Its last eighth is not received into */
};
/* -EPERM, -ENOSYS: *ret_why (may be NULL) gets a static sentence that names the likely cause. */
int ring_open(struct ring **ret, const struct ring_options *options, const char **ret_why);
struct ring *ring_free(struct ring *ring); /* asserts that no operation is in flight */
/* Turns until ring_stop() was called; that turn is finished first, what it submitted goes to the
 * kernel. Does not wait for scopes to drain: run again until the last `drained` stops it. */
int ring_run(struct ring *ring);
void ring_stop(struct ring *ring);
struct chunk_pool *ring_chunks(struct ring *ring);
struct timer_wheel *ring_timers(struct ring *ring);
struct rng *ring_rng(struct ring *ring);
uint64_t ring_now_ms(const struct ring *ring); /* of this turn */
/* Around the wait in the kernel, in each turn, for read-side bookkeeping (RCU: offline, online).
 * May be NULL. */
void ring_set_idle_hooks(struct ring *ring, void (*before)(void *arg), void (*after)(void *arg),
                         void *arg);
struct ring_stats {
    uint64_t turns, submitted, completed, starved, overflowed;
    size_t chunks_live, timers;
};
void ring_stats(const struct ring *ring, struct ring_stats *ret);

void ring_scope_init(struct ring_scope *scope, struct ring *ring,
                     void (*drained)(struct ring_scope *));
/* Cancels every operation in flight and swallows their completions (chunks are freed, accepted
 * descriptors closed); then drained, from the loop. Closing twice is closing once. */
void ring_scope_close(struct ring_scope *scope);
/* What several scopes may receive together in a turn while others are served, too. What
 * is more waits in the sockets for the next turns, and those that wait go on one after the other,
 * as many as fit into a turn.
 * Whoever is alone (no other share was used within a tenth of a second) has the whole turn. Owned by
 * whoever the scopes belong to; their operations end before it does. */
struct ring_share {
    struct ring *ring;
    struct list link;    /* in the ring's while some wait */
    struct list waiting; /* operations, by `waiting` */
    struct list late;    /* in the ring's while tasks are put off */
    struct list put_off; /* tasks, by `link` */
    uint64_t asked_turn; /* in which `asked` was counted: tasks that run in it */
    unsigned asked;
    uint64_t turn;       /* in which `used` was counted, in bytes */
    size_t used;
    uint64_t used_up_ms; /* when it was used up last */
    bool over;           /* a rush has begun, and goes on */
};
enum { RING_SHARE_BYTES = RING_RECEIVE_BYTES, RING_SHARE_TASKS = 8 };
void ring_share_init(struct ring_share *s, struct ring *ring);
void ring_share_done(struct ring_share *s);
void ring_share_use(struct ring_share *s); /* something else was done for its owner */
bool ring_share_has_rival(const struct ring_share *s);

void ring_op_init(struct ring_op *op, struct ring_scope *scope);
void ring_task_init(struct ring_task *task, void (*run)(struct ring_task *task));
void ring_task_ask(struct ring *ring, struct ring_task *task);
/* The same for a task that is one of many: while others are served, too, a share has so many of
 * them in a turn. The rest is put off: it runs in the next turns, after what others asked for. */
void ring_task_ask_shared(struct ring *ring, struct ring_task *task, struct ring_share *share);
void ring_task_cancel(struct ring_task *task);

/* Multishot: done runs for each new descriptor (result = fd), until a negative result says that the
 * descriptor does not listen. What passes by itself (no descriptors or memory left, a network that
 * is down) is waited out in pauses: done is not called. */
void ring_accept(struct ring *ring, struct ring_op *op, int fd, ring_op_done *done);
/* Ends a ring_accept: what the kernel has accepted already still comes, then done with -ECANCELED.
 * Fine if it is not in flight. */
void ring_accept_stop(struct ring *ring, struct ring_op *op);
/* `to` is copied. */
void ring_connect(struct ring *ring, struct ring_op *op, int fd, const struct sockaddr *to,
                  socklen_t to_len, ring_op_done *done);
/* Multishot into the pool's chunks: done runs with result > 0 and op->chunk, again and again, until
 * result 0 (end of stream) or < 0. When no chunk is free the ring re-arms it once one is. */
void ring_recv(struct ring *ring, struct ring_op *op, int fd, ring_op_done *done);
/* Ends a ring_recv: what arrived before may still come, then done with -ECANCELED (or 0, or an
 * error). Fine if it is not in flight. */
void ring_recv_stop(struct ring *ring, struct ring_op *op);
/* One gathered send of iov[0 .. n_iov) (MSG_NOSIGNAL); short results happen. At most one per
 * socket at a time, or bytes may pass each other. iov is copied; the bytes must live until done. */
enum { RING_IOV_MAX = 32 };
void ring_send(struct ring *ring, struct ring_op *op, int fd, const struct iovec *iov,
               unsigned n_iov, ring_op_done *done);
/* One-shot readiness (result: poll(2) revents), for descriptors that are no sockets: inotify,
 * eventfd. */
void ring_poll(struct ring *ring, struct ring_op *op, int fd, short events, ring_op_done *done);
const char *ring_library(void); /* for --version: "liburing 2.9" */
#endif
