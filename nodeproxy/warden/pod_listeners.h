/*
 * A pod's listening sockets: made in the namespace that the calling thread is in, and looked at
 * when they come from outside.
 */
#ifndef NODEPROXY_WARDEN_POD_LISTENERS_H
#define NODEPROXY_WARDEN_POD_LISTENERS_H
#include "nodeproxy/capture/netns_id.h"
#include "nodeproxy/capture/privileged.h"

/* All of them or none; -EADDRINUSE: why says which port. */
int pod_listeners_open(struct pod_listeners *ret, char why[static WHY_MAX]);
void pod_listeners_close(struct pod_listeners *l);
/* Do they listen (UDP: are they bound), on our ports, and were they born in this namespace? */
bool pod_listeners_are_of(const struct netns_id *netns, const struct pod_listeners *l);
#endif
