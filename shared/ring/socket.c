#include "shared/ring/socket.h"

#include "shared/ring/datagram.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* From linux/netfilter_ipv4.h and ip6_tables.h, which do not get along with netinet/in.h. */
enum { ORIGINAL_DST_V4 = 80, ORIGINAL_DST_V6 = 80 };
enum { LOCAL_PORT_RANGE = 51 }; /* IP_LOCAL_PORT_RANGE of linux/in.h, which does not either */
enum { IN_USE_TRIES = 50, IN_USE_PAUSE_MS = 10 };

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int close_with(int fd, int error)
{
    close(fd);
    return error;
}

int socket_open(int family, int *ret_fd)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family != AF_UNIX)
        socket_set_nodelay(fd);
    *ret_fd = fd;
    return 0;
}

/* ---- listening -------------------------------------------------------------- */
static int listen_at(const struct addr *at, bool dual, int backlog, bool reuse_port, int *ret_fd)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(at, &sa);
    int fd, r = socket_open(sa.ss_family, &fd);
    if (r < 0)
        return r;
    r = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && reuse_port)
        r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && sa.ss_family == AF_INET6)
        r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual && !ip_is_any(&at->ip)); /* "[::]" means everybody */
    if (r == 0 && (bind(fd, (const struct sockaddr *)&sa, len) < 0 || listen(fd, backlog) < 0))
        r = -errno;
    if (r < 0)
        return close_with(fd, r);
    *ret_fd = fd;
    return 0;
}

static int listen_once(const struct addr *at, int backlog, bool reuse_port, int *ret_fd)
{
    if (at->ip.len != 0)
        return listen_at(at, false, backlog, reuse_port, ret_fd);
    struct addr any = {.ip.len = 16, .port = at->port};
    int r = listen_at(&any, true, backlog, reuse_port, ret_fd);
    if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
        return r;
    any.ip.len = 4; /* a host without IPv6 */
    return listen_at(&any, false, backlog, reuse_port, ret_fd);
}

/* A process that was killed with an accept in its ring keeps the socket for some milliseconds after
 * its parent has been told that it is gone: the kernel takes a ring apart later, in a work queue.
 * Whoever is started in its place must not fail for that. */
static bool still_in_use(int r, int *tries)
{
    static const struct timespec pause = {.tv_nsec = IN_USE_PAUSE_MS * 1000000};
    if (r != -EADDRINUSE || (*tries)++ == IN_USE_TRIES)
        return false;
    (void)nanosleep(&pause, NULL);
    return true;
}

int socket_listen(const struct addr *at, int backlog, bool reuse_port, int *ret_fd)
{
    int r, tries = 0;
    do
        r = listen_once(at, backlog, reuse_port, ret_fd);
    while (still_in_use(r, &tries));
    return r;
}

/* A socket file that nobody listens on is left over from a process that died. */
static int remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    bool stale = connect(fd, (const struct sockaddr *)sa, sizeof *sa) < 0 && errno == ECONNREFUSED;
    close(fd);
    if (!stale)
        return -EADDRINUSE;
    return unlink(sa->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

int socket_listen_unix(const char *path, unsigned mode, int *ret_fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof sa.sun_path)
        return -ENAMETOOLONG;
    memcpy(sa.sun_path, path, len + 1);
    int fd, r, tries = 0;
    do
        r = remove_stale(&sa);
    while (still_in_use(r, &tries));
    if (r == 0)
        r = socket_open(AF_UNIX, &fd);
    if (r < 0)
        return r;
    /* The file is made with the mode of the socket, less the umask: so at no moment may more people
     * connect than in the end. */
    if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        return close_with(fd, -errno);
    if (chmod(path, mode) < 0 || listen(fd, 128) < 0) {
        r = -errno;
        (void)unlink(path);
        return close_with(fd, r);
    }
    *ret_fd = fd;
    return 0;
}

int socket_accept_now(int listener, int *ret_fd)
{
    /* Not O_NONBLOCK: that would be everybody's who shares the socket. */
    static const struct timeval shortest = {.tv_usec = 1000}, unlimited = {0};
    struct pollfd look = {.fd = listener, .events = POLLIN};
    if (poll(&look, 1, 0) <= 0)
        return -EAGAIN;
    (void)setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &shortest, sizeof shortest);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), r = fd < 0 ? -errno : 0;
    (void)setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &unlimited, sizeof unlimited);
    if (r < 0)
        return r;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &unlimited, sizeof unlimited); /* it inherits */
    *ret_fd = fd;
    return 0;
}

/* ---- addresses -------------------------------------------------------------- */
int socket_local(int fd, struct addr *ret)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return -errno;
    addr_from_sockaddr((struct sockaddr *)&sa, ret);
    return 0;
}

int socket_peer(int fd, struct addr *ret)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
        return -errno;
    addr_from_sockaddr((struct sockaddr *)&sa, ret);
    return 0;
}

int socket_original_dst(int fd, struct addr *ret)
{
    struct addr local, original;
    int r = socket_local(fd, &local);
    if (r < 0)
        return r;
    /* By the address, not by the socket: IPv4 on a dual stack socket is in IPv4's tables. */
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    if (local.ip.len == 4)
        r = getsockopt(fd, IPPROTO_IP, ORIGINAL_DST_V4, &sa, &len);
    else if (local.ip.len == 16)
        r = getsockopt(fd, IPPROTO_IPV6, ORIGINAL_DST_V6, &sa, &len);
    else
        return -ENOENT;
    if (r < 0) /* no such option: no connection tracking, so nothing was redirected */
        return errno == ENOPROTOOPT || errno == EOPNOTSUPP ? -ENOENT : -errno;
    addr_from_sockaddr((struct sockaddr *)&sa, &original);
    if (addr_equal(&original, &local))
        return -ENOENT;
    *ret = original;
    return 0;
}

/* Setting it takes CAP_NET_ADMIN; a socket that was made by who has that, has it already. */
static int set_transparent(int fd, int level, int option)
{
    int on = 0;
    socklen_t len = sizeof on;
    if (getsockopt(fd, level, option, &on, &len) == 0 && on)
        return 0;
    return set(fd, level, option, 1);
}

int socket_make_transparent(int fd, int family, uint32_t mark)
{
    int r = socket_set_mark(fd, mark);
    if (r < 0)
        return r;
    return family == AF_INET ? set(fd, IPPROTO_IP, IP_TRANSPARENT, 1)
                             : set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
}

int socket_open_transparent(int family, int type, uint32_t mark, int *ret_fd)
{
    int fd, r = type == SOCK_DGRAM ? datagram_open(family, &fd) : socket_open(family, &fd);
    if (r < 0)
        return r;
    r = socket_make_transparent(fd, family, mark);
    if (r < 0)
        return close_with(fd, r);
    *ret_fd = fd;
    return 0;
}

int socket_bind_transparent(int fd, const struct ip *source)
{
    struct addr at = {.ip = *source};
    struct sockaddr_storage sa;
    int r;
    if (source->len == 4)
        r = set_transparent(fd, IPPROTO_IP, IP_TRANSPARENT);
    else if (source->len == 16)
        r = set_transparent(fd, IPPROTO_IPV6, IPV6_TRANSPARENT);
    else
        return -EINVAL;
    if (r < 0)
        return r;
    /* The port is chosen at connect, when the destination is known: so the range of ports counts
     * per destination and not once for all of them. */
    (void)set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    /* For socket_bind_port(), which all sockets of the port have to allow, those in TIME_WAIT, too. */
    (void)set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    socklen_t len = addr_to_sockaddr(&at, &sa);
    return bind(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

int socket_limit_ports(int fd, uint16_t first, uint16_t last)
{
    uint32_t range = (uint32_t)last << 16 | first;
    return setsockopt(fd, IPPROTO_IP, LOCAL_PORT_RANGE, &range, sizeof range) < 0 ? -errno : 0;
}

int socket_bind_port(int fd, const struct addr *source)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(source, &sa);
    return bind(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

/* ---- options ---------------------------------------------------------------- */
int socket_set_mark(int fd, uint32_t mark)
{
    return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ? -errno : 0;
}

void socket_set_keepalive(int fd, unsigned idle_s)
{
    int idle = idle_s > 0 && idle_s < 32767 ? (int)idle_s : 32767;
    (void)set(fd, SOL_SOCKET, SO_KEEPALIVE, idle_s > 0);
    (void)set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
    (void)set(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle < 3 ? 1 : idle / 3);
    (void)set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

void socket_set_nodelay(int fd)
{
    (void)set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int socket_shutdown_send(int fd)
{
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

void socket_set_reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void socket_close(int fd)
{
    if (fd >= 0)
        close(fd); /* EINTR on Linux: it is closed all the same */
}
