/*
 * What the warden does to a pod's network: rules and routes. That nftables can do what is needed is
 * tried out once at open, in a namespace made for it; the rules as the kernel prints them there are
 * what pod_net_check() compares with. Owned by the warden.
 */
#ifndef NODEPROXY_WARDEN_POD_NET_H
#define NODEPROXY_WARDEN_POD_NET_H
#include "nodeproxy/capture/netns_id.h"
#include "shared/base/why.h"

struct pod_net {
    int own_fd; /* the node's namespace */
    struct netns_id own;
    bool ipv6, dns;
    const char *const *machine; /* quiet, in force: the node's own namespace is the only pod; [1] NULL: no machine */
    char *rules; /* a pod's, as the kernel prints them */
};
int pod_net_open(struct pod_net *n, bool dns, const char *const machine[2],
                 char why[static WHY_MAX]);
void pod_net_done(struct pod_net *n);
/* -EINVAL: it is no network namespace, or the node's own (of a machine: any other). */
int pod_net_id(struct pod_net *n, int netns_fd, struct netns_id *ret, char why[static WHY_MAX]);
/* In the pod's namespace: */
/* running: if there are no rules yet, the connections that it has are spared. */
int pod_net_put(struct pod_net *n, bool running, char why[static WHY_MAX]);
int pod_net_quiet(struct pod_net *n, char why[static WHY_MAX]); /* nothing new is redirected */
int pod_net_check(struct pod_net *n, char why[static WHY_MAX]); /* -ENOENT, -EBADMSG */
int pod_net_remove(struct pod_net *n, char why[static WHY_MAX]);
#endif
