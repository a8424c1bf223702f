/*
 * UDP, without waiting and thus without a ring: a datagram is received or sent at once, or not at
 * all (ring_poll() tells when there is one). For few and small ones. What arrives carries the
 * address that it was sent to, and an answer can be given that one as its source: an address that
 * is not this host's takes a socket with IP_TRANSPARENT. Descriptors are the caller's; any thread.
 */
#ifndef SHARED_RING_DATAGRAM_H
#define SHARED_RING_DATAGRAM_H
#include "shared/base/addr.h"
#include <sys/types.h>

int datagram_open(int family, int *ret_fd);
/* at->ip.len 0: all addresses of both families, or of IPv4 where there is no IPv6. */
int datagram_bind(const struct addr *at, int *ret_fd);
/* All addresses, so that it can answer from them, with a mark. Takes CAP_NET_ADMIN. */
int datagram_bind_transparent(uint16_t port, uint32_t mark, int *ret_fd);
/* The bytes, or -EAGAIN: none is there; -EMSGSIZE: it was longer than size, and is dropped. Other
 * errors are of the network, told once. ret_to (may be NULL): where it was sent to. */
ssize_t datagram_receive(int fd, void *out, size_t size, struct addr *ret_from, struct ip *ret_to);
/* to NULL: whom it is connected to. from NULL: the socket's own address. */
int datagram_send(int fd, const void *bytes, size_t len, const struct addr *to,
                  const struct ip *from);
/* From now on it sends to, and receives from, this one alone, with a port of the kernel's choice. NULL:
 * that is over, and the port is given back. */
int datagram_connect(int fd, const struct addr *to);
#endif
