/*
 * A tap: somebody at the node's admin endpoint reads the requests of its workloads as they end. One
 * struct for the control thread and all workers: the filter is constant, the counters are atomic, and
 * whoever holds it has a reference. A worker has the taps in its path_env and nothing is done for a
 * request while it has none. It writes lines into a batch, which goes to the control thread by mail when
 * the turn of its loop ends; it never waits. Bounded: TAPS_MAX at a time on a node, and of each
 * TAP_BATCHES_MAX batches that the reader has not taken yet; requests beyond are counted as lost.
 */
#ifndef NODEPROXY_PATH_TAP_H
#define NODEPROXY_PATH_TAP_H
#include "nodeproxy/path/tap_filter.h"
#include "shared/base/list.h"
#include "shared/ring/mailbox.h"

enum { TAPS_MAX = 4, TAP_BATCHES_MAX = 16, TAP_BATCH_FULL = 16 * 1024, TAP_BATCH_MAX = 64 * 1024 };

struct tap;
struct tap_batch { /* of one worker: whole lines, NDJSON. Made there, ended by the control thread */
    struct mail mail;
    struct list link;
    struct tap *tap; /* a reference */
    struct text_heap lines;
    uint64_t n;
};
struct tap_batch *tap_batch_free(struct tap_batch *b); /* NULL */
struct tap {
    struct tap_filter filter;
    struct mailbox *control;
    void (*arrived)(void *owner,
                    struct tap_batch *taken); /* on the control thread, while it has an owner */
    void *owner; /* control thread alone; NULL: nobody reads any more */
    _Atomic unsigned refs, batches;
    _Atomic uint64_t left; /* lines that are still wanted */
    _Atomic uint64_t lost; /* requests that it wanted and has no line of */
    _Atomic bool over;     /* workers let it go when they look at it next */
};
/* One reference. NULL: no memory. The mailbox is the control thread's. */
struct tap *tap_new(const struct tap_filter *f, struct mailbox *control,
                    void (*arrived)(void *owner, struct tap_batch *taken), void *owner);
struct tap *tap_ref(struct tap *t);
struct tap *tap_unref(struct tap *t); /* NULL; takes NULL */
bool tap_is_done(
    const struct tap *t); /* all that it wanted was written, and every batch is freed */

struct taps { /* of a worker: embedded in its path_env; all zero is none */
    struct tap *at[TAPS_MAX];
    struct tap_batch *filling[TAPS_MAX]; /* NULL: none */
    unsigned n;
    struct ring *ring;
    struct ring_task post; /* at the end of the turn in which something was written */
};
void taps_init(struct taps *t, struct ring *ring);
void taps_add(struct taps *t, struct tap *taken);
void taps_done(struct taps *t);
/* Room for one line of the i-th tap, or NULL: it has no room, which counts, or wants no more. */
struct tap_batch *taps_room(struct taps *t, unsigned i);
/* A line was written into what taps_room() gave, or (lines.failed) there was no memory for it. */
void taps_wrote(struct taps *t, unsigned i);
void taps_let_go_over(struct taps *t); /* of those that nobody reads any more */
#endif
