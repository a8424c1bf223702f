#include "nodeproxy/warden/reply_routes.h"

#include "nodeproxy/capture/privileged.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

enum { LOOPBACK = 1 /* always: the kernel's LOOPBACK_IFINDEX */, RULE_PRIORITY = 32764 };
enum { ADD = NLM_F_CREATE | NLM_F_EXCL, REPLACE = NLM_F_CREATE | NLM_F_REPLACE };

/* The same bytes begin a route's message and a rule's (struct fib_rule_hdr). */
#define ROUTE(family)                                                                              \
    {                                                                                              \
        (family), 0, 0, 0, ROUTE_TABLE_REPLY, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL, 0           \
    }
#define RULE(family)                                                                               \
    {                                                                                              \
        (family), 0, 0, 0, ROUTE_TABLE_REPLY, 0, 0, FR_ACT_TO_TBL, 0                               \
    }

/* The route first: a rule that leads to an empty table would let answers go astray. */
static const struct part {
    uint16_t add, remove;
    int put; /* how it is added to what may be there: the kernel replaces no rules */
    struct rtmsg head;
    const char *name;
} parts[] = {
    {RTM_NEWROUTE, RTM_DELROUTE, REPLACE, ROUTE(AF_INET), "route for answers (IPv4)"},
    {RTM_NEWRULE, RTM_DELRULE, ADD, RULE(AF_INET), "routing rule for answers (IPv4)"},
    {RTM_NEWROUTE, RTM_DELROUTE, REPLACE, ROUTE(AF_INET6), "route for answers (IPv6)"},
    {RTM_NEWRULE, RTM_DELRULE, ADD, RULE(AF_INET6), "routing rule for answers (IPv6)"},
};

/* ---- messages ---- */

struct message {
    _Alignas(struct nlmsghdr) char bytes[4096];
};

static struct nlmsghdr *begin(struct message *m, uint16_t type, int flags, const void *head,
                              size_t len)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(m->bytes);
    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    memcpy(mnl_nlmsg_put_extra_header(h, len), head, len);
    return h;
}

/* The kernel has answered when the message is sent, so nothing waits. */
static int ask_kernel(struct message *m, size_t len)
{
    struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!s)
        return -errno;
    ssize_t n = mnl_socket_sendto(s, m->bytes, len);
    if (n >= 0)
        n = mnl_socket_recvfrom(s, m->bytes, sizeof m->bytes);
    int r = n < 0 || mnl_cb_run(m->bytes, (size_t)n, 0, 0, NULL, NULL) < 0 ? -errno : 0;
    mnl_socket_close(s);
    return r;
}

static int change(const struct part *p, uint16_t type, int flags)
{
    struct message m;
    struct nlmsghdr *h = begin(&m, type, flags, &p->head, sizeof p->head);
    if (p->add == RTM_NEWROUTE) {
        mnl_attr_put_u32(h, RTA_OIF, LOOPBACK);
    } else {
        mnl_attr_put_u32(h, FRA_PRIORITY, RULE_PRIORITY);
        mnl_attr_put_u32(h, FRA_FWMARK, MARK_REPLY);
        mnl_attr_put_u32(h, FRA_FWMASK, MARK_MASK);
    }
    return ask_kernel(&m, h->nlmsg_len);
}

/* ---- steps ---- */

static int put(const struct part *p)
{
    int r = change(p, p->add, p->put);
    return r == -EEXIST ? 0 : r;
}

static int take_out(const struct part *p)
{
    int r = change(p, p->remove, 0);
    return r == -ENOENT || r == -ESRCH ? 0 : r;
}

/* Whether it is there tells the kernel who is asked to add it. What could be added was missing, and
 * goes again: to look changes nothing. */
static int look(const struct part *p)
{
    int r = change(p, p->add, ADD);
    if (r == 0)
        (void)take_out(p);
    return r == 0 ? -ENOENT : r == -EEXIST ? 0 : r;
}

/* For IPv6: the kernel does not have it, or the namespace has it switched off. */
static bool is_off(int r)
{
    return r == -EACCES || r == -ENODEV || r == -EAFNOSUPPORT || r == -EOPNOTSUPP;
}

static int each(int (*step)(const struct part *p), const char *verb, char why[static WHY_MAX])
{
    for (const struct part *p = parts; p < parts + sizeof parts / sizeof *parts; p++) {
        int r = step(p);
        if (r < 0 && !(p->head.rtm_family == AF_INET6 && is_off(r)))
            return why_errno(r, why, "cannot %s the %s", verb, p->name);
    }
    return 0;
}

int reply_routes_put(char why[static WHY_MAX])
{
    /* The route needs it, and the runtime may bring it up at the same time as it calls us. */
    const struct ifinfomsg up = {.ifi_index = LOOPBACK, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct message m;
    int r = ask_kernel(&m, begin(&m, RTM_NEWLINK, 0, &up, sizeof up)->nlmsg_len);
    return r < 0 ? why_errno(r, why, "cannot bring up the pod's loopback") : each(put, "add", why);
}

int reply_routes_remove(char why[static WHY_MAX])
{
    return each(take_out, "remove", why);
}

int reply_routes_check(char why[static WHY_MAX])
{
    return each(look, "find", why);
}
