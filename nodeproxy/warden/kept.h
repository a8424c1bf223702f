/*
 * Duplicates of the listening sockets of enrolled pods, by namespace: while
 * they are here, a data process that dies refuses no connection, they wait in
 * the backlog for the next one. They also hold the namespace, so those that a
 * new data process does not ask for in time are let go. Owned by the warden; at
 * most kept_max pods, given at init.
 */
#ifndef NODEPROXY_WARDEN_KEPT_H
#define NODEPROXY_WARDEN_KEPT_H
#include "nodeproxy/warden/netns.h"

struct kept_pod {
    struct netns_id netns;
    struct pod_listeners listeners;
    bool orphan; /* of a data process that is no more */
};
struct kept {
    struct kept_pod *pods;
    size_t n, max;
    uint64_t let_go_at_ms; /* of the orphans; 0: there are none */
};
int kept_init(struct kept *k, size_t kept_max); /* -ENOMEM */
/* NULL: nothing is kept of it. What is given here belongs to k. */
const struct pod_listeners *kept_claim(struct kept *k, const struct netns_id *netns);
/* In place of what was kept of this namespace. -ENOBUFS; the listeners are the
 * caller's then. */
int kept_put(struct kept *k, const struct netns_id *netns, const struct pod_listeners *taken);
void kept_forget(struct kept *k, const struct netns_id *netns); /* NULL: all */
/* A new data process begins: what it has not claimed until then goes. */
void kept_orphan(struct kept *k, uint64_t let_go_at_ms);
void kept_tick(struct kept *k, uint64_t now_ms);
#endif
