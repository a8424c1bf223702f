/*
 * What the warden does inside one pod's network namespace: listening sockets,
 * routing, rules, and sockets to connect with. Each function enters the
 * namespace and comes back. That nftables can do what is needed is tried out
 * once at open, in a namespace made for it; the rules as the kernel prints them
 * there are what pod_net_check() compares with. Every descriptor that comes
 * from outside is looked at first. Owned by the warden.
 */
#ifndef NODEPROXY_WARDEN_POD_NET_H
#define NODEPROXY_WARDEN_POD_NET_H
#include "nodeproxy/warden/netns.h"

struct pod_net {
    int own_fd; /* the node's namespace */
    struct netns_id own;
    bool ipv6;
    char *rules; /* a pod's, as the kernel prints them */
};
int pod_net_open(struct pod_net *n, char why[static PRIVILEGED_WHY_MAX]);
void pod_net_done(struct pod_net *n);
/* -EINVAL: it is no network namespace, or the node's own. */
int pod_net_at(struct pod_net *n, const char *path, int *ret_fd,
               char why[static PRIVILEGED_WHY_MAX]);
int pod_net_id(struct pod_net *n, int netns_fd, struct netns_id *ret,
               char why[static PRIVILEGED_WHY_MAX]);
/* Three listening sockets on our ports, born in this namespace. */
bool pod_net_owns(const struct netns_id *netns, const struct pod_listeners *l);
/* POD_LISTENERS_NONE: makes them. */
int pod_net_enrol(struct pod_net *n, int netns_fd, struct pod_listeners *io_listeners,
                  char why[static PRIVILEGED_WHY_MAX]);
int pod_net_check(struct pod_net *n, int netns_fd, char why[static PRIVILEGED_WHY_MAX]);
int pod_net_release(struct pod_net *n, int netns_fd, char why[static PRIVILEGED_WHY_MAX]);
int pod_net_sockets(struct pod_net *n, int netns_fd, int family, int *ret_fds, size_t count,
                    char why[static PRIVILEGED_WHY_MAX]);
void pod_listeners_close(struct pod_listeners *l);
#endif
