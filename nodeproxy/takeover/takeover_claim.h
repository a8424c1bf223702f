/*
 * The new node proxy's side of a take-over: connected to the running one from its start, it asks
 * for the pods once its owner says so, takes them one by one and confirms. Until `over` the other
 * one owns the node. Control thread; owned by the node.
 */
#ifndef NODEPROXY_TAKEOVER_TAKEOVER_CLAIM_H
#define NODEPROXY_TAKEOVER_TAKEOVER_CLAIM_H
#include "nodeproxy/takeover/takeover_message.h"
#include "shared/ring/ring.h"

struct takeover_claim;
struct takeover_claim_events {
    /* One of the other one's listening sockets; take it (fds[0] = -1) or leave it. */
    int (*socket)(struct takeover_claim *c, struct takeover_message *m,
                  char why[static TAKEOVER_WORDS_MAX]);
    /* A pod, with the descriptors outbound, inbound, hbone and namespace, or without any; they may
     * be taken. < 0: nothing is taken over at all. */
    int (*pod)(struct takeover_claim *c, struct takeover_message *m,
               char why[static TAKEOVER_WORDS_MAX]);
    /* That was all: 0, if from now on we could do without the other one. */
    int (*all)(struct takeover_claim *c, char why[static TAKEOVER_WORDS_MAX]);
    void (*hurry)(struct takeover_claim *c); /* the other one is about to end: ask now */
    /* taken_lock >= 0: the node is ours. -1: it is not, and why says why: the other one goes on, or
     * (*gone) has ended by itself, or may have let go. Close it now or later. */
    void (*over)(struct takeover_claim *c, int taken_lock, bool gone, const char *why);
    void (*drained)(struct takeover_claim *c);
};
struct takeover_claim {
    struct ring *ring;
    const struct takeover_claim_events *events;
    struct ring_scope scope;
    struct ring_op op;
    struct timer deadline;
    int fd;
    bool greeted, ask_when_greeted, asked, taken, over;
    uint64_t pods; /* received so far */
    uint64_t silent_ms;
    void *user;
};
/* fd from takeover_socket_connect(), taken. */
int takeover_claim_open(struct takeover_claim *c, struct ring *ring, int taken_fd,
                        const struct takeover_claim_events *events, void *user);
void takeover_claim_ask(struct takeover_claim *c); /* twice is once */
void takeover_claim_close(struct takeover_claim *c);
#endif
