/*
 * What is done to sockets synchronously. Behind one header because the fake ring implements it
 * as well. Every descriptor is CLOEXEC and non-blocking is not needed (io_uring). Errors are
 * -errno.
 */
#ifndef SHARED_RING_SOCKET_H
#define SHARED_RING_SOCKET_H
#include "shared/base/addr.h"

/* ip none or [::]: dual stack. Both kinds of listening block for up to half a second while the
 * address is in use: a process that was killed lets go of it a little after its end. */
int socket_listen(const struct addr *at, int backlog, bool reuse_port, int *ret_fd);
/* Removes a socket file first that nobody listens on. -EADDRINUSE: somebody does; -EEXIST: no
 * socket. */
int socket_listen_unix(const char *path, unsigned mode, int *ret_fd);
/* A connection that waits in the backlog just now. -EAGAIN: none. For the last look at a socket that
 * others go on accepting from: the kernel wakes one process for a connection, which may be the one
 * that has just stopped. May block for a few milliseconds if another one is quicker. */
int socket_accept_now(int listener, int *ret_fd);
int socket_open(int family, int *ret_fd); /* TCP, NODELAY (or AF_UNIX) */
/* With a mark and IP(V6)_TRANSPARENT, for what goes out with others' addresses. Takes CAP_NET_ADMIN.
 * type: SOCK_STREAM (TCP, NODELAY) or SOCK_DGRAM. */
int socket_make_transparent(int fd, int family, uint32_t mark);
int socket_open_transparent(int family, int type, uint32_t mark, int *ret_fd);
int socket_local(int fd, struct addr *ret);
int socket_peer(int fd, struct addr *ret);
int socket_original_dst(
    int fd, struct addr *ret); /* SO_ORIGINAL_DST or its IPv6 twin; -ENOENT: not redirected */
/* To anybody's address, its port when it connects: one that is free towards the destination, of the
 * namespace's ip_local_port_range. */
int socket_bind_transparent(int fd, const struct ip *source);
/* Of one that is bound so: the ports first..last alone, as far as they are in that range.
 * -ENOPROTOOPT: not before Linux 6.3. */
int socket_limit_ports(int fd, uint16_t first, uint16_t last);
/* Of one that is bound so, and may have tried to connect (-EADDRNOTAVAIL): this very port, also if
 * what used it towards the destination is in TIME_WAIT. -EADDRINUSE: somebody listens on it. */
int socket_bind_port(int fd, const struct addr *source);
int socket_set_mark(int fd, uint32_t mark);
void socket_set_keepalive(int fd, unsigned idle_s); /* 3 probes, idle_s / 3 apart; 0: off */
void socket_set_nodelay(int fd);
int socket_shutdown_send(int fd);
void socket_set_reset_on_close(int fd); /* SO_LINGER 0: close sends RST */
void socket_close(int fd);              /* -1 is fine */
#endif
