/*
 * The interface to what needs privileges: each function enters the namespace, does what the files
 * beside this one know, and goes back. That nftables can do what is needed is tried out once at
 * open, in a namespace made for it; the rules as the kernel prints them there are what
 * privileged_check() compares with.
 */
#include "nodeproxy/capture/privileged.h"

#include "nodeproxy/warden/netns.h"
#include "nodeproxy/warden/node_rules.h"
#include "nodeproxy/warden/redirect.h"
#include "nodeproxy/warden/reply_routes.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

struct privileged {
    int own_fd; /* the node's namespace */
    struct netns_id own;
    bool ipv6, bridge;
    char *rules; /* a pod's, as the kernel prints them */
};

static int fail(char why[static PRIVILEGED_WHY_MAX], int error, const char *what)
{
    snprintf(why, PRIVILEGED_WHY_MAX, "cannot %s: %s%s", what, strerror(-error),
             error == -EPERM ? " (not root, or CAP_SYS_ADMIN or CAP_NET_ADMIN is missing)" : "");
    return error;
}

/* In a namespace of its own, which is gone afterwards. */
static int try_rules(struct privileged *p, char why[static PRIVILEGED_WHY_MAX])
{
    int r = netns_enter_new();
    if (r < 0)
        return fail(why, r, "make a network namespace");
    char words[PRIVILEGED_WHY_MAX] = "";
    r = redirect_put(p->ipv6, words);
    if (r == 0)
        r = redirect_read(p->ipv6, &p->rules, words);
    netns_leave(p->own_fd);
    if (r < 0)
        snprintf(why, PRIVILEGED_WHY_MAX,
                 "%.160s (does the kernel have nf_tables with nat, redirect and conntrack?)",
                 words);
    return r;
}

int privileged_open(struct privileged **ret, char why[static PRIVILEGED_WHY_MAX])
{
    struct privileged *p = calloc(1, sizeof *p);
    if (!p)
        return fail(why, -ENOMEM, "open");
    p->own_fd = -1;
    p->ipv6 = netns_has_ipv6();
    p->bridge = true;
    int r = netns_self(&p->own_fd);
    if (r == 0)
        r = netns_id(p->own_fd, &p->own);
    if (r < 0)
        fail(why, r, "open the node's own network namespace");
    else
        r = try_rules(p, why);
    if (r < 0) {
        privileged_free(p);
        return r;
    }
    if (!p->ipv6)
        log_info("capture", "this kernel has no IPv6: pods are captured for IPv4 alone");
    *ret = p;
    return 0;
}

struct privileged *privileged_free(struct privileged *p)
{
    if (!p)
        return NULL;
    if (p->own_fd >= 0)
        close(p->own_fd);
    free(p->rules);
    free(p);
    return NULL;
}

static int enter(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    struct netns_id id;
    int r = netns_id(netns_fd, &id);
    if (r == 0 && netns_same(&id, &p->own)) {
        snprintf(why, PRIVILEGED_WHY_MAX, "this is the node's own network namespace, not a pod's");
        return -EINVAL;
    }
    if (r == 0)
        r = netns_enter(netns_fd);
    return r < 0 ? fail(why, r, "enter the pod's network namespace") : 0;
}

int privileged_netns_open(struct privileged *p, const char *path, int *ret_netns_fd,
                          char why[static PRIVILEGED_WHY_MAX])
{
    int fd = -1;
    struct netns_id id;
    int r = netns_open(path, &fd, why);
    if (r < 0)
        return r;
    r = netns_id(fd, &id);
    if (r < 0) {
        fail(why, r, "look at the network namespace");
    } else if (netns_same(&id, &p->own)) {
        snprintf(why, PRIVILEGED_WHY_MAX, "%.160s is the node's own network namespace, not a pod's",
                 path);
        r = -EINVAL;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_netns_fd = fd;
    return 0;
}

/* ---- a pod's namespace ---- */

static void close_listeners(struct pod_listeners *l)
{
    socket_close(l->outbound);
    socket_close(l->inbound);
    socket_close(l->hbone);
}

static int open_listener(uint16_t port, int *ret_fd, char why[static PRIVILEGED_WHY_MAX])
{
    struct addr at = {.port = port};
    int r = socket_listen(&at, BACKLOG, false, ret_fd);
    if (r < 0)
        snprintf(why, PRIVILEGED_WHY_MAX, "cannot listen on port %u in the pod: %s", port,
                 r == -EADDRINUSE ? "the application, or another node proxy, has it"
                                  : strerror(-r));
    return r;
}

static int open_listeners(struct pod_listeners *ret, char why[static PRIVILEGED_WHY_MAX])
{
    struct pod_listeners l = POD_LISTENERS_NONE;
    int r = open_listener(PORT_OUTBOUND, &l.outbound, why);
    if (r == 0)
        r = open_listener(PORT_INBOUND, &l.inbound, why);
    if (r == 0)
        r = open_listener(PORT_HBONE, &l.hbone, why);
    if (r < 0)
        close_listeners(&l);
    else
        *ret = l;
    return r;
}

static bool listens_on(int fd, uint16_t port)
{
    struct addr at;
    int listening = 0;
    socklen_t len = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening &&
           socket_local(fd, &at) == 0 && at.port == port;
}

static bool are_listeners(const struct pod_listeners *l)
{
    return listens_on(l->outbound, PORT_OUTBOUND) && listens_on(l->inbound, PORT_INBOUND) &&
           listens_on(l->hbone, PORT_HBONE);
}

static int put_routes(char why[static PRIVILEGED_WHY_MAX])
{
    int r = reply_routes_put(AF_INET, why);
    if (r < 0 || !netns_has_ipv6())
        return r;
    if (netns_ipv6_on())
        return reply_routes_put(AF_INET6, why);
    log_info("capture", "IPv6 is switched off in this pod's namespace: it is captured for IPv4");
    return 0;
}

int privileged_enrol(struct privileged *p, int netns_fd, struct pod_listeners *io_listeners,
                     char why[static PRIVILEGED_WHY_MAX])
{
    struct pod_listeners listeners = *io_listeners;
    bool given = listeners.outbound >= 0 || listeners.inbound >= 0 || listeners.hbone >= 0;
    if (given && !are_listeners(&listeners)) {
        snprintf(why, PRIVILEGED_WHY_MAX, "these are not a pod's three listening sockets");
        return -EINVAL;
    }
    int r = enter(p, netns_fd, why);
    if (r < 0)
        return r;
    /* The runtime may bring the loopback up at the same time as it calls us, and the route needs
     * it. */
    r = netns_loopback_up();
    if (r < 0)
        fail(why, r, "bring up the pod's loopback");
    else if (!given)
        r = open_listeners(&listeners, why);
    if (r == 0) {
        r = put_routes(why);
        if (r == 0)
            r = redirect_put(p->ipv6, why);
        if (r < 0 && !given)
            close_listeners(&listeners);
    }
    netns_leave(p->own_fd);
    if (r == 0)
        *io_listeners = listeners;
    return r;
}

static int check_rules(struct privileged *p, char why[static PRIVILEGED_WHY_MAX])
{
    char *rules = NULL;
    int r = redirect_read(p->ipv6, &rules, why);
    if (r == -ENOENT)
        snprintf(why, PRIVILEGED_WHY_MAX, "the pod's nftables rules (table weir) are missing");
    if (r == 0 && strcmp(rules, p->rules) != 0) {
        snprintf(why, PRIVILEGED_WHY_MAX, "the pod's nftables rules (table weir) were changed");
        r = -EBADMSG;
    }
    free(rules);
    return r;
}

int privileged_check(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    int r = enter(p, netns_fd, why);
    if (r < 0)
        return r;
    r = check_rules(p, why);
    if (r == 0)
        r = reply_routes_check(AF_INET, why);
    if (r == 0 && netns_ipv6_on())
        r = reply_routes_check(AF_INET6, why);
    netns_leave(p->own_fd);
    return r;
}

int privileged_release(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    int r = enter(p, netns_fd, why);
    if (r < 0)
        return r;
    r = redirect_remove(p->ipv6, why);
    if (r == 0)
        r = reply_routes_remove(AF_INET, why);
    if (r == 0 && p->ipv6)
        r = reply_routes_remove(AF_INET6, why);
    netns_leave(p->own_fd);
    return r;
}

void privileged_forget(struct privileged *p, int netns_fd)
{
    (void)p; /* nothing is kept beside the process that uses it */
    (void)netns_fd;
}

/* ---- sockets ---- */

static int open_socket(int family, int *ret_fd)
{
    int fd, on = 1, r = socket_open(family, &fd);
    if (r < 0)
        return r;
    r = socket_set_mark(fd, MARK_PROXY);
    if (r == 0 &&
        setsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
                   family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof on) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int privileged_sockets(struct privileged *p, int netns_fd, int family, int *ret_fds, size_t n)
{
    char why[PRIVILEGED_WHY_MAX];
    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    int r = enter(p, netns_fd, why);
    if (r < 0)
        return r;
    size_t made = 0;
    while (r == 0 && made < n) {
        r = open_socket(family, &ret_fds[made]);
        if (r == 0)
            made++;
    }
    netns_leave(p->own_fd);
    while (r < 0 && made > 0)
        close(ret_fds[--made]);
    return r;
}

int privileged_node_rules(struct privileged *p, const struct ip *pods, size_t n_pods,
                          char why[static PRIVILEGED_WHY_MAX])
{
    return node_rules_put(p->ipv6, &p->bridge, pods, n_pods, why);
}
