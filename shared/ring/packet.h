/*
 * Packets of a SOCK_SEQPACKET pair or connection, with descriptors beside them (SCM_RIGHTS): how
 * processes of one program give each other sockets and namespaces. Either a whole packet comes or
 * nothing of it. Bounds: the room at `bytes`, and PACKET_FDS_MAX descriptors.
 */
#ifndef SHARED_RING_PACKET_H
#define SHARED_RING_PACKET_H
#include <stdbool.h>
#include <stddef.h>

enum { PACKET_FDS_MAX = 253 /* the kernel's */ };

struct packet {
    unsigned char *bytes; /* the caller's */
    size_t size, len;     /* of the room; of what is in it */
    int fds[PACKET_FDS_MAX];
    size_t n_fds;
};
/* wait false: -EAGAIN instead of waiting. The descriptors stay the sender's. */
int packet_send(int socket, const struct packet *p, bool wait);
/* Descriptors are CLOEXEC and the receiver's. -EMSGSIZE: too many bytes, all of it dropped. -EMFILE:
 * this process had no numbers left for the descriptors, which are dropped; the bytes are there.
 * -EPIPE: the other side is gone. */
int packet_receive(int socket, struct packet *p, bool wait);
void packet_close_fds(struct packet *p);
#endif
