#include "shared/ring/datagram.h"

#include "shared/ring/socket.h"
#include <errno.h>
#include <unistd.h>

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int datagram_open(int family, int *ret_fd)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

static int bind_at(const struct addr *at, bool dual, int *ret_fd)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(at, &sa);
    int fd, r = datagram_open(sa.ss_family, &fd);
    if (r < 0)
        return r;
    if (sa.ss_family == AF_INET6) {
        r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual);
        if (r == 0)
            r = set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    } else {
        r = set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    if (r == 0 && bind(fd, (const struct sockaddr *)&sa, len) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int datagram_bind(const struct addr *at, int *ret_fd)
{
    if (at->ip.len != 0)
        return bind_at(at, false, ret_fd);
    struct addr any = {.ip.len = 16, .port = at->port};
    int r = bind_at(&any, true, ret_fd);
    if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
        return r;
    any.ip.len = 4;
    return bind_at(&any, false, ret_fd);
}

/* IPv4 that came on a socket of both families is told as a mapped address of IPv6. */
static void find_destination(struct msghdr *message, struct ip *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            (void)ip_from_bytes(&info.ipi_addr, sizeof info.ipi_addr, ret);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            (void)ip_from_bytes(&info.ipi6_addr, sizeof info.ipi6_addr, ret);
        }
    }
}

ssize_t datagram_receive(int fd, void *out, size_t size, struct addr *ret_from, struct ip *ret_to)
{
    _Alignas(struct cmsghdr)
        char control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct sockaddr_storage sa = {0};
    struct iovec part = {.iov_base = out, .iov_len = size};
    struct msghdr message = {.msg_name = &sa,
                             .msg_namelen = sizeof sa,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    if (message.msg_flags & MSG_TRUNC)
        return -EMSGSIZE;
    addr_from_sockaddr((const struct sockaddr *)&sa, ret_from);
    if (ret_to) {
        *ret_to = (struct ip){0};
        find_destination(&message, ret_to);
    }
    return got;
}

static int family_of(int fd)
{
    int family = AF_UNSPEC;
    socklen_t len = sizeof family;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ? AF_UNSPEC : family;
}

/* As the socket's family writes it: IPv4 on a socket of both families is mapped. */
static void map_ip(const struct ip *ip, struct in6_addr *ret)
{
    *ret = (struct in6_addr){0};
    if (ip->len == 4)
        ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
    memcpy(ret->s6_addr + sizeof *ret - ip->len, ip->bytes, ip->len);
}

static socklen_t address_for(int family, const struct addr *a, struct sockaddr_storage *ret)
{
    if (family != AF_INET6 || a->ip.len == 16)
        return addr_to_sockaddr(a, ret);
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    map_ip(&a->ip, &mapped.sin6_addr);
    memcpy(ret, &mapped, sizeof mapped);
    return sizeof mapped;
}

static void put_source(struct msghdr *message, int family, const struct ip *from)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (family == AF_INET6) {
        struct in6_pktinfo info = {0};
        map_ip(from, &info.ipi6_addr);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    } else {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, from->bytes, sizeof info.ipi_spec_dst);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    }
    message->msg_controllen = c->cmsg_len;
}

int datagram_bind_transparent(uint16_t port, uint32_t mark, int *ret_fd)
{
    const struct addr at = {.port = port};
    int fd, r = datagram_bind(&at, &fd);
    if (r < 0)
        return r;
    r = socket_make_transparent(fd, family_of(fd), mark);
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

int datagram_send(int fd, const void *bytes, size_t len, const struct addr *to,
                  const struct ip *from)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
    struct sockaddr_storage sa;
    int family = to || from ? family_of(fd) : AF_UNSPEC;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (to) {
        message.msg_name = &sa;
        message.msg_namelen = address_for(family, to, &sa);
    }
    if (from) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        put_source(&message, family, from);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int datagram_connect(int fd, const struct addr *to)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = to ? address_for(family_of(fd), to, &sa) : sizeof sa;
    return connect(fd, (const struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}
