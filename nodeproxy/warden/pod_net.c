#include "nodeproxy/warden/pod_net.h"

#include "nodeproxy/warden/redirect.h"
#include "nodeproxy/warden/reply_routes.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static int fail(char why[static PRIVILEGED_WHY_MAX], int error, const char *what)
{
    snprintf(why, PRIVILEGED_WHY_MAX, "cannot %s: %s%s", what, strerror(-error),
             error == -EPERM ? " (not root, or CAP_SYS_ADMIN or CAP_NET_ADMIN is missing)" : "");
    return error;
}

/* In a namespace of its own, which is gone afterwards. */
static int try_rules(struct pod_net *n, char why[static PRIVILEGED_WHY_MAX])
{
    int r = netns_enter_new();
    if (r < 0)
        return fail(why, r, "make a network namespace");
    char words[PRIVILEGED_WHY_MAX] = "";
    r = redirect_put(n->ipv6, words);
    if (r == 0)
        r = redirect_read(n->ipv6, &n->rules, words);
    netns_leave(n->own_fd);
    if (r < 0)
        snprintf(why, PRIVILEGED_WHY_MAX,
                 "%.160s (does the kernel have nf_tables with nat, redirect and "
                 "conntrack?)",
                 words);
    return r;
}

int pod_net_open(struct pod_net *n, char why[static PRIVILEGED_WHY_MAX])
{
    *n = (struct pod_net){.own_fd = -1, .ipv6 = netns_has_ipv6()};
    int r = netns_self(&n->own_fd);
    if (r == 0)
        r = netns_id(n->own_fd, &n->own);
    if (r < 0)
        fail(why, r, "open the node's own network namespace");
    else
        r = try_rules(n, why);
    if (r < 0)
        pod_net_done(n);
    return r;
}

void pod_net_done(struct pod_net *n)
{
    if (n->own_fd >= 0)
        close(n->own_fd);
    free(n->rules);
    *n = (struct pod_net){.own_fd = -1};
}

int pod_net_id(struct pod_net *n, int netns_fd, struct netns_id *ret,
               char why[static PRIVILEGED_WHY_MAX])
{
    struct netns_id id;
    if (!netns_is(netns_fd) || netns_id(netns_fd, &id) < 0) {
        snprintf(why, PRIVILEGED_WHY_MAX, "this is not a network namespace");
        return -EINVAL;
    }
    if (netns_same(&id, &n->own)) {
        snprintf(why, PRIVILEGED_WHY_MAX, "this is the node's own network namespace, not a pod's");
        return -EINVAL;
    }
    *ret = id;
    return 0;
}

int pod_net_at(struct pod_net *n, const char *path, int *ret_fd,
               char why[static PRIVILEGED_WHY_MAX])
{
    int fd = -1;
    struct netns_id id;
    int r = netns_open(path, &fd, why);
    if (r < 0)
        return r;
    r = pod_net_id(n, fd, &id, why);
    if (r < 0) {
        snprintf(why, PRIVILEGED_WHY_MAX, "%.160s is the node's own network namespace, not a pod's",
                 path);
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int enter(struct pod_net *n, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    struct netns_id id;
    int r = pod_net_id(n, netns_fd, &id, why);
    if (r < 0)
        return r;
    r = netns_enter(netns_fd);
    return r < 0 ? fail(why, r, "enter the pod's network namespace") : 0;
}

/* ---- listeners ---- */

void pod_listeners_close(struct pod_listeners *l)
{
    socket_close(l->outbound);
    socket_close(l->inbound);
    socket_close(l->hbone);
    *l = POD_LISTENERS_NONE;
}

static bool listens(const struct netns_id *netns, int fd, uint16_t port)
{
    struct addr at;
    struct netns_id id;
    int listening = 0;
    socklen_t len = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening ||
        socket_local(fd, &at) < 0 || at.port != port)
        return false;
    int born_in = ioctl(fd, SIOCGSKNS);
    if (born_in < 0)
        return false;
    bool same = netns_id(born_in, &id) == 0 && netns_same(&id, netns);
    close(born_in);
    return same;
}

bool pod_net_owns(const struct netns_id *netns, const struct pod_listeners *l)
{
    return listens(netns, l->outbound, PORT_OUTBOUND) && listens(netns, l->inbound, PORT_INBOUND) &&
           listens(netns, l->hbone, PORT_HBONE);
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
        pod_listeners_close(&l);
    else
        *ret = l;
    return r;
}

/* ---- rules ---- */

static int put_routes(char why[static PRIVILEGED_WHY_MAX])
{
    int r = reply_routes_put(AF_INET, why);
    if (r < 0 || !netns_has_ipv6())
        return r;
    if (netns_ipv6_on())
        return reply_routes_put(AF_INET6, why);
    log_info("warden", "IPv6 is switched off in this pod's namespace: it is captured for IPv4");
    return 0;
}

int pod_net_enrol(struct pod_net *n, int netns_fd, struct pod_listeners *io_listeners,
                  char why[static PRIVILEGED_WHY_MAX])
{
    bool given = io_listeners->outbound >= 0;
    struct pod_listeners listeners = *io_listeners;
    int r = enter(n, netns_fd, why);
    if (r < 0)
        return r;
    /* The runtime may bring the loopback up at the same time as it calls us, and
   * the route needs it. */
    r = netns_loopback_up();
    if (r < 0)
        fail(why, r, "bring up the pod's loopback");
    else if (!given)
        r = open_listeners(&listeners, why);
    if (r == 0) {
        r = put_routes(why);
        if (r == 0)
            r = redirect_put(n->ipv6, why);
        if (r < 0 && !given)
            pod_listeners_close(&listeners);
    }
    netns_leave(n->own_fd);
    if (r == 0)
        *io_listeners = listeners;
    return r;
}

static int check_rules(struct pod_net *n, char why[static PRIVILEGED_WHY_MAX])
{
    char *rules = NULL;
    int r = redirect_read(n->ipv6, &rules, why);
    if (r == -ENOENT)
        snprintf(why, PRIVILEGED_WHY_MAX, "the pod's nftables rules (table weir) are missing");
    if (r == 0 && strcmp(rules, n->rules) != 0) {
        snprintf(why, PRIVILEGED_WHY_MAX, "the pod's nftables rules (table weir) were changed");
        r = -EBADMSG;
    }
    free(rules);
    return r;
}

int pod_net_check(struct pod_net *n, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    int r = enter(n, netns_fd, why);
    if (r < 0)
        return r;
    r = check_rules(n, why);
    if (r == 0)
        r = reply_routes_check(AF_INET, why);
    if (r == 0 && netns_ipv6_on())
        r = reply_routes_check(AF_INET6, why);
    netns_leave(n->own_fd);
    return r;
}

int pod_net_release(struct pod_net *n, int netns_fd, char why[static PRIVILEGED_WHY_MAX])
{
    int r = enter(n, netns_fd, why);
    if (r < 0)
        return r;
    r = redirect_remove(n->ipv6, why);
    if (r == 0)
        r = reply_routes_remove(AF_INET, why);
    if (r == 0 && n->ipv6)
        r = reply_routes_remove(AF_INET6, why);
    netns_leave(n->own_fd);
    return r;
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

int pod_net_sockets(struct pod_net *n, int netns_fd, int family, int *ret_fds, size_t count,
                    char why[static PRIVILEGED_WHY_MAX])
{
    int r = enter(n, netns_fd, why);
    if (r < 0)
        return r;
    size_t made = 0;
    while (r == 0 && made < count) {
        r = open_socket(family, &ret_fds[made]);
        if (r == 0)
            made++;
    }
    netns_leave(n->own_fd);
    if (r < 0)
        fail(why, r, "make a socket in the pod");
    while (r < 0 && made > 0)
        close(ret_fds[--made]);
    return r;
}
