/*
 * Messages from any thread to the thread of one ring: a lock-free push list and an eventfd that
 * the ring polls. Messages are embedded; ownership passes to the receiver, in order per sender.
 * Unbounded by itself: senders are few and bound what they have outstanding.
 */
#ifndef SHARED_RING_MAILBOX_H
#define SHARED_RING_MAILBOX_H
#include "shared/ring/ring.h"
#include <stdatomic.h>

struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail); /* runs on the receiver's thread; owns mail from then on */
};
struct mailbox {
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op poll_op;
    int event_fd;
    void (*closed)(struct mailbox *m); /* once, from the loop; m may be freed. May be NULL */
    _Atomic(struct mail *) head;       /* newest first */
};
int mailbox_open(struct mailbox *m, struct ring *ring);  /* on the receiver's thread; -errno */
void mailbox_post(struct mailbox *m, struct mail *mail); /* any thread, until mailbox_close() */
/* On the receiver's thread, when no sender posts any more. Delivers what is there; m must live
 * until `closed` (may be NULL) has run. */
void mailbox_close(struct mailbox *m, void (*closed)(struct mailbox *m));
#endif
