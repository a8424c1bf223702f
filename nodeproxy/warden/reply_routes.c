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

/* ---- what there is to put: messages without their head, all parts aligned to four bytes ---- */

struct attribute {
    struct rtattr head;
    uint32_t value;
};
#define ATTRIBUTE(number, what)                                                                    \
    {                                                                                              \
        {RTA_LENGTH(sizeof(uint32_t)), (number)}, (uint32_t)(what)                                 \
    }
struct route {
    struct rtmsg head;
    struct attribute device;
};
#define ROUTE(family)                                                                              \
    (&(const struct route){{.rtm_family = (family),                                                \
                            .rtm_table = ROUTE_TABLE_REPLY,                                        \
                            .rtm_protocol = RTPROT_STATIC,                                         \
                            .rtm_scope = RT_SCOPE_HOST,                                            \
                            .rtm_type = RTN_LOCAL},                                                \
                           ATTRIBUTE(RTA_OIF, LOOPBACK)})
struct rule {
    struct fib_rule_hdr head;
    struct attribute attributes[3];
};
#define RULE(ip_family)                                                                            \
    (&(const struct rule){                                                                         \
        {.family = (ip_family), .table = ROUTE_TABLE_REPLY, .action = FR_ACT_TO_TBL},              \
        {ATTRIBUTE(FRA_PRIORITY, RULE_PRIORITY), ATTRIBUTE(FRA_FWMARK, MARK_REPLY),                \
         ATTRIBUTE(FRA_FWMASK, MARK_MASK)}})

/* The route first: a rule that leads to an empty table would let answers go astray. */
static const struct part {
    uint16_t add, remove;
    int put; /* how it is added to what may be there: the kernel replaces no rules */
    bool ipv6;
    const void *body;
    size_t len;
    const char *name;
} parts[] = {
    {RTM_NEWROUTE, RTM_DELROUTE, REPLACE, false, ROUTE(AF_INET), sizeof(struct route),
     "route for answers (IPv4)"},
    {RTM_NEWRULE, RTM_DELRULE, ADD, false, RULE(AF_INET), sizeof(struct rule),
     "routing rule for answers (IPv4)"},
    {RTM_NEWROUTE, RTM_DELROUTE, REPLACE, true, ROUTE(AF_INET6), sizeof(struct route),
     "route for answers (IPv6)"},
    {RTM_NEWRULE, RTM_DELRULE, ADD, true, RULE(AF_INET6), sizeof(struct rule),
     "routing rule for answers (IPv6)"},
};

/* The kernel has answered when the message is sent, so nothing waits. */
static int ask_kernel(uint16_t type, int flags, const void *body, size_t len)
{
    _Alignas(struct nlmsghdr) char bytes[4096];
    struct nlmsghdr *m = mnl_nlmsg_put_header(bytes);
    m->nlmsg_type = type;
    m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    memcpy(mnl_nlmsg_put_extra_header(m, len), body, len);
    struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!s)
        return -errno;
    ssize_t n = mnl_socket_sendto(s, m, m->nlmsg_len);
    if (n >= 0)
        n = mnl_socket_recvfrom(s, bytes, sizeof bytes);
    int r = n < 0 || mnl_cb_run(bytes, (size_t)n, 0, 0, NULL, NULL) < 0 ? -errno : 0;
    mnl_socket_close(s);
    return r;
}

/* ---- steps ---- */

static int put(const struct part *p)
{
    int r = ask_kernel(p->add, p->put, p->body, p->len);
    return r == -EEXIST ? 0 : r;
}

static int take_out(const struct part *p)
{
    int r = ask_kernel(p->remove, 0, p->body, p->len);
    return r == -ENOENT || r == -ESRCH ? 0 : r;
}

/* Whether it is there tells the kernel who is asked to add it. What could be added was missing, and
 * goes again: to look changes nothing. */
static int look(const struct part *p)
{
    int r = ask_kernel(p->add, ADD, p->body, p->len);
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
        if (r < 0 && !(p->ipv6 && is_off(r)))
            return why_errno(r, why, "cannot %s the %s", verb, p->name);
    }
    return 0;
}

int reply_routes_put(char why[static WHY_MAX])
{
    /* The route needs it, and the runtime may bring it up at the same time as it calls us. */
    const struct ifinfomsg up = {.ifi_index = LOOPBACK, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    int r = ask_kernel(RTM_NEWLINK, 0, &up, sizeof up);
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
