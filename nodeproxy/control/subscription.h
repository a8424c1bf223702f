/*
 * What the controller says goes into the directory: the node proxy's side of the xDS feed. Control thread.
 */
#ifndef NODEPROXY_CONTROL_SUBSCRIPTION_H
#define NODEPROXY_CONTROL_SUBSCRIPTION_H
#include "shared/mesh/directory.h"
#include "shared/service/xds_feed.h"

struct subscription {
    struct xds_feed feed;
    struct directory *directory;
    struct text node; /* whose workloads keep their labels: nobody asks for those of others; "": all do */
    void (*workload)(const struct workload *w, void *arg); /* comes into the directory; may be NULL */
    void (*changed)(void *arg); /* the directory has new things */
    void (*synced)(void *arg);  /* every type has been received once; called once */
    void *arg;
};
/* changed, synced, arg, node and directory are set by the caller before. */
void subscription_init(struct subscription *s, const struct xds_feed_options *o);
#endif
