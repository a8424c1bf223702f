/*
 * One connection that a local workload opened. The story: identify -> authorise -> route -> tunnel -> relay, and account.
 * Owned by its local_pod; one worker; freed from the loop after everything in it has drained. Bounded by the listener.
 */
#ifndef NODEPROXY_PATH_OUTBOUND_H
#define NODEPROXY_PATH_OUTBOUND_H
#include "nodeproxy/path/inbound.h"

struct outbound;
void outbound_accept(struct local_pod *pod, int taken_fd);
bool outbound_look_again(struct outbound *c); /* as inbound_look_again() */
void outbound_drain(struct outbound *c); /* requests that live go on, and no new ones come */
void outbound_close(struct outbound *c, enum ending ending);
void outbound_view(const struct outbound *c, struct connection_view *ret);
struct outbound *outbound_of_link(struct list *link);
#endif
