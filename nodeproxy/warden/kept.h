/*
 * Duplicates of the listening sockets of enrolled pods, by namespace: while they are here, a data
 * process that dies refuses no connection, they wait in the backlog for the next one. They also
 * hold the namespace, so those that a new data process does not ask for in time are let go. Owned
 * by the warden; at most `max` pods.
 */
#ifndef NODEPROXY_WARDEN_KEPT_H
#define NODEPROXY_WARDEN_KEPT_H
#include "nodeproxy/capture/netns_id.h"
#include "nodeproxy/capture/privileged.h"

enum { KEPT_MAX = 4096 };

struct kept_pod {
    struct netns_id netns;
    struct pod_listeners listeners;
    bool orphan; /* of a data process that is no more */
};
struct kept { /* begins as zeros, but for max */
    struct kept_pod pods[KEPT_MAX];
    size_t n, max;
    uint64_t let_go_at_ms; /* of the orphans; 0: there are none */
};
/* Lends what is kept of the namespace, no longer as an orphan; false: nothing is. */
bool kept_claim(struct kept *k, const struct netns_id *netns, struct pod_listeners *ret_lent);
/* In place of what was kept of this namespace. -ENOBUFS; the listeners are the caller's then. */
int kept_put(struct kept *k, const struct netns_id *netns, const struct pod_listeners *taken,
             char why[static WHY_MAX]);
void kept_forget(struct kept *k, const struct netns_id *netns); /* NULL: all */
/* A new data process begins: what it has not claimed until then goes. */
void kept_orphan(struct kept *k, uint64_t let_go_at_ms);
void kept_tick(struct kept *k, uint64_t now_ms);
#endif
