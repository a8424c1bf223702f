/*
 * The running node proxy's side of a take-over: listens on RUN_DIR/takeover.sock for a successor
 * and gives it, when it asks, what it owns, item by item. Until the successor has confirmed nothing
 * changes here: if it leaves, is silent for too long or says something wrong, `failed` is told and
 * everything goes on. Control thread; owned by the node. Bounded: one successor at a time.
 */
#ifndef NODEPROXY_TAKEOVER_TAKEOVER_OFFER_H
#define NODEPROXY_TAKEOVER_TAKEOVER_OFFER_H
#include "nodeproxy/takeover/takeover_message.h"
#include "shared/ring/ring.h"

struct takeover_offer;
struct takeover_offer_events {
    /* A successor asks: from now on nothing of what is given may change. -EAGAIN: not just now,
     * asked again in a moment. Others: refused, why says why. */
    int (*begin)(struct takeover_offer *o, char why[static TAKEOVER_WORDS_MAX]);
    /* The i-th thing to be given, as a message of kind SOCKET, POD or (the last) ALL. Descriptors
     * are borrowed, the description until the next call. */
    int (*item)(struct takeover_offer *o, size_t i, struct takeover_message *ret);
    /* The successor has left or was refused after begin. */
    void (*failed)(struct takeover_offer *o, const char *why);
    /* The successor serves it all: the node is its own. *ret_lock: given away, then closed. The
     * offer is over; takeover_offer_close() now or later. */
    int (*given)(struct takeover_offer *o); /* returns the lock's descriptor, which is taken */
    void (*drained)(struct takeover_offer *o);
};
struct takeover_offer {
    struct ring *ring;
    const struct takeover_offer_events *events;
    struct ring_scope scope, session_scope;
    struct ring_op accept_op, op;
    struct timer deadline, again, pause;
    int listener, fd; /* fd: the successor; -1: none */
    bool asked, begun, over, closing, session_open;
    size_t next;
    uint64_t silent_ms; /* how long a successor may say nothing between ask and taken */
    void *user;
};
int takeover_offer_open(struct takeover_offer *o, struct ring *ring, const char *path,
                        const struct takeover_offer_events *events, void *user);
/* Tells a successor that waits that this one is about to end, so that it asks at once. False: there
 * is none. */
bool takeover_offer_hurry(struct takeover_offer *o);
void takeover_offer_close(struct takeover_offer *o); /* the file stays; then drained */
#endif
