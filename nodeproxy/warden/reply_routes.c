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

enum { RULE_PRIORITY = 32764, ANSWER_MAX = 32768, WAIT_S = 5 };

/* One request: a header, a fixed part of its kind, attributes. Large enough for ours. */
struct request {
    union {
        struct nlmsghdr header;
        char bytes[512];
    };
};

static void *request_init(struct request *q, uint16_t type, uint16_t flags, size_t fixed_len)
{
    *q = (struct request){.header = {.nlmsg_len = NLMSG_LENGTH((uint32_t)fixed_len),
                                     .nlmsg_type = type,
                                     .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)}};
    return NLMSG_DATA(&q->header);
}

static void request_put_u32(struct request *q, unsigned short type, uint32_t value)
{
    struct rtattr *a = (void *)(q->bytes + NLMSG_ALIGN(q->header.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(sizeof value);
    memcpy(RTA_DATA(a), &value, sizeof value);
    q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + RTA_SPACE(sizeof value);
}

static void rule_request(struct request *q, uint16_t type, uint16_t flags, int family)
{
    struct fib_rule_hdr *rule = request_init(q, type, flags, sizeof *rule);
    rule->family = (uint8_t)family;
    rule->table = ROUTE_TABLE_REPLY;
    rule->action = FR_ACT_TO_TBL;
    request_put_u32(q, FRA_PRIORITY, RULE_PRIORITY);
    request_put_u32(q, FRA_FWMARK, MARK_REPLY);
    request_put_u32(q, FRA_FWMASK, MARK_MASK);
}

static void route_request(struct request *q, uint16_t type, uint16_t flags, int family)
{
    struct rtmsg *route = request_init(q, type, flags, sizeof *route);
    route->rtm_family = (uint8_t)family;
    route->rtm_table = ROUTE_TABLE_REPLY;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = RT_SCOPE_HOST;
    route->rtm_type = RTN_LOCAL;
    request_put_u32(q, RTA_OIF, if_nametoindex("lo"));
}

/* ---- talking to the kernel ---- */

static int kernel_open(int *ret_fd)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    struct timeval wait = {.tv_sec = WAIT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    *ret_fd = fd;
    return 0;
}

/* Sends q and looks at each message of the answer until it is over. matches NULL: the answer is an
 * error number. */
static int kernel_ask(struct request *q, bool (*matches)(const struct nlmsghdr *m), bool *ret_found)
{
    int fd = -1, r = kernel_open(&fd);
    if (r < 0)
        return r;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(fd, q, q->header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        r = -errno;
    for (bool over = r < 0; !over;) {
        _Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
        ssize_t got = recv(fd, answer, sizeof answer, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            r = -errno;
            break;
        }
        size_t left = (size_t)got;
        for (struct nlmsghdr *m = (void *)answer; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE) {
                if (m->nlmsg_len >= NLMSG_LENGTH(sizeof(int)))
                    r = *(const int *)NLMSG_DATA(m); /* both begin with 0 or -errno */
                over = true;
                break;
            }
            if (matches && matches(m))
                *ret_found = true;
        }
    }
    close(fd);
    return r;
}

static int kernel_change(struct request *q)
{
    return kernel_ask(q, NULL, NULL);
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
    struct request q;
    /* The route first: a rule that leads to an empty table would let answers go astray. */
    route_request(&q, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, family);
    int r = kernel_change(&q);
    if (r < 0)
        return fail(why, family, r, "set the route for answers");
    rule_request(&q, RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, family);
    r = kernel_change(&q);
    if (r < 0 && r != -EEXIST)
        return fail(why, family, r, "add the routing rule for answers");
    return 0;
}

int reply_routes_remove(int family, char why[static PRIVILEGED_WHY_MAX])
{
    struct request q;
    rule_request(&q, RTM_DELRULE, NLM_F_ACK, family);
    int r = kernel_change(&q);
    if (r < 0 && !is_gone(r))
        return fail(why, family, r, "remove the routing rule for answers");
    route_request(&q, RTM_DELROUTE, NLM_F_ACK, family);
    r = kernel_change(&q);
    if (r < 0 && !is_gone(r))
        return fail(why, family, r, "remove the route for answers");
    return 0;
}

/* ---- looking ---- */

static bool attribute(const struct nlmsghdr *m, size_t fixed_len, unsigned short type,
                      uint32_t *ret)
{
    if (m->nlmsg_len < NLMSG_LENGTH(fixed_len))
        return false;
    size_t left = m->nlmsg_len - NLMSG_LENGTH(fixed_len);
    const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(m) + NLMSG_ALIGN(fixed_len));
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == type && RTA_PAYLOAD(a) == sizeof *ret) {
            memcpy(ret, RTA_DATA(a), sizeof *ret);
            return true;
        }
    return false;
}

static bool is_our_rule(const struct nlmsghdr *m)
{
    uint32_t priority, mark, mask, table;
    const size_t fixed = sizeof(struct fib_rule_hdr);
    return m->nlmsg_type == RTM_NEWRULE && attribute(m, fixed, FRA_PRIORITY, &priority) &&
           attribute(m, fixed, FRA_FWMARK, &mark) && attribute(m, fixed, FRA_FWMASK, &mask) &&
           attribute(m, fixed, FRA_TABLE, &table) && priority == RULE_PRIORITY &&
           mark == MARK_REPLY && mask == MARK_MASK && table == ROUTE_TABLE_REPLY;
}

static bool is_our_route(const struct nlmsghdr *m)
{
    uint32_t table, device;
    const struct rtmsg *route = NLMSG_DATA(m);
    return m->nlmsg_type == RTM_NEWROUTE && attribute(m, sizeof *route, RTA_TABLE, &table) &&
           attribute(m, sizeof *route, RTA_OIF, &device) && table == ROUTE_TABLE_REPLY &&
           device == if_nametoindex("lo") && route->rtm_type == RTN_LOCAL &&
           route->rtm_dst_len == 0;
}

int reply_routes_check(int family, char why[static PRIVILEGED_WHY_MAX])
{
    struct request q;
    bool found = false;
    struct fib_rule_hdr *rule = request_init(&q, RTM_GETRULE, NLM_F_DUMP, sizeof *rule);
    rule->family = (uint8_t)family;
    int r = kernel_ask(&q, is_our_rule, &found);
    if (r == 0 && !found)
        r = -ENOENT;
    if (r < 0)
        return fail(why, family, r, "find the routing rule for answers");
    found = false;
    struct rtmsg *route = request_init(&q, RTM_GETROUTE, NLM_F_DUMP, sizeof *route);
    route->rtm_family = (uint8_t)family;
    r = kernel_ask(&q, is_our_route, &found);
    if (r == 0 && !found)
        r = -ENOENT;
    if (r < 0)
        return fail(why, family, r, "find the route for answers");
    return 0;
}
