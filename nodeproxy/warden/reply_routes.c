#include "nodeproxy/warden/reply_routes.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { RULE_PRIORITY = 32764, ANSWER_MAX = 4096, WAIT_S = 5 };
enum { REPLACE = NLM_F_CREATE | NLM_F_REPLACE, ADD = NLM_F_CREATE | NLM_F_EXCL };

/* The two messages as they lie in memory: all of their parts are aligned to four bytes. */
struct attribute {
    struct rtattr head;
    uint32_t value;
};
#define ATTRIBUTE(number, what) {{RTA_LENGTH(sizeof(uint32_t)), (number)}, (uint32_t)(what)}
struct rule_message {
    struct nlmsghdr head;
    struct fib_rule_hdr rule;
    struct attribute attributes[3];
};
struct route_message {
    struct nlmsghdr head;
    struct rtmsg route;
    struct attribute device;
};

static int answer_of(int fd)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
    const struct nlmsghdr *m = (const void *)answer;
    ssize_t got;
    do
        got = recv(fd, answer, sizeof answer, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    if ((size_t)got < NLMSG_LENGTH(sizeof(int)) || m->nlmsg_type != NLMSG_ERROR)
        return -EBADMSG;
    return *(const int *)NLMSG_DATA(m); /* 0, or -errno */
}

static int ask_kernel(const struct nlmsghdr *m)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    struct timeval wait = {.tv_sec = WAIT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int r = 0;
    if (sendto(fd, m, m->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        r = -errno;
    if (r == 0)
        r = answer_of(fd);
    close(fd);
    return r;
}

static int change_rule(uint16_t type, int flags, int family)
{
    struct rule_message m = {
        .head = {.nlmsg_len = sizeof m,
                 .nlmsg_type = type,
                 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)},
        .rule = {.family = (uint8_t)family, .table = ROUTE_TABLE_REPLY, .action = FR_ACT_TO_TBL},
        .attributes = {ATTRIBUTE(FRA_PRIORITY, RULE_PRIORITY), ATTRIBUTE(FRA_FWMARK, MARK_REPLY),
                       ATTRIBUTE(FRA_FWMASK, MARK_MASK)}};
    return ask_kernel(&m.head);
}

static int change_route(uint16_t type, int flags, int family)
{
    struct route_message m = {.head = {.nlmsg_len = sizeof m,
                                       .nlmsg_type = type,
                                       .nlmsg_flags =
                                           (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)},
                              .route = {.rtm_family = (uint8_t)family,
                                        .rtm_table = ROUTE_TABLE_REPLY,
                                        .rtm_protocol = RTPROT_STATIC,
                                        .rtm_scope = RT_SCOPE_HOST,
                                        .rtm_type = RTN_LOCAL},
                              .device = ATTRIBUTE(RTA_OIF, if_nametoindex("lo"))};
    return ask_kernel(&m.head);
}

/* There is nothing to remove: it was not there, or IPv6 went away and took it along. */
static bool is_gone(int error)
{
    return error == -ENOENT || error == -ESRCH || error == -ENODEV || error == -EACCES ||
           error == -EAFNOSUPPORT || error == -EOPNOTSUPP;
}

static int fail(char why[static PRIVILEGED_WHY_MAX], int family, int error, const char *what)
{
    snprintf(why, PRIVILEGED_WHY_MAX, "cannot %s (%s): %s", what,
             family == AF_INET ? "IPv4" : "IPv6", strerror(-error));
    return error;
}

int reply_routes_put(int family, char why[static PRIVILEGED_WHY_MAX])
{
    /* The route first: a rule that leads to an empty table would let answers go astray. */
    int r = change_route(RTM_NEWROUTE, REPLACE, family);
    if (r < 0)
        return fail(why, family, r, "set the route for answers");
    r = change_rule(RTM_NEWRULE, ADD, family);
    if (r < 0 && r != -EEXIST)
        return fail(why, family, r, "add the routing rule for answers");
    return 0;
}

int reply_routes_remove(int family, char why[static PRIVILEGED_WHY_MAX])
{
    int r = change_rule(RTM_DELRULE, 0, family);
    if (r < 0 && !is_gone(r))
        return fail(why, family, r, "remove the routing rule for answers");
    r = change_route(RTM_DELROUTE, 0, family);
    if (r < 0 && !is_gone(r))
        return fail(why, family, r, "remove the route for answers");
    return 0;
}

/* Whether it is there tells the kernel who is asked to add it. What could be added was missing, and
 * goes again: to look changes nothing. */
static int look(int (*change)(uint16_t type, int flags, int family), uint16_t add, uint16_t remove,
                int family)
{
    int r = change(add, ADD, family);
    if (r == -EEXIST)
        return 0;
    if (r == 0)
        (void)change(remove, 0, family);
    return r == 0 ? -ENOENT : r;
}

int reply_routes_check(int family, char why[static PRIVILEGED_WHY_MAX])
{
    int r = look(change_rule, RTM_NEWRULE, RTM_DELRULE, family);
    if (r < 0)
        return fail(why, family, r, "find the routing rule for answers");
    r = look(change_route, RTM_NEWROUTE, RTM_DELROUTE, family);
    return r < 0 ? fail(why, family, r, "find the route for answers") : 0;
}
