#include "shared/ring/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr header; /* for its alignment */
    char room[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
};

int packet_send(int socket, const struct packet *p, bool wait)
{
    union control control;
    struct iovec part = {.iov_base = p->bytes, .iov_len = p->len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (p->n_fds > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(p->n_fds * sizeof *p->fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(p->n_fds * sizeof *p->fds);
        memcpy(CMSG_DATA(c), p->fds, p->n_fds * sizeof *p->fds);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *message, struct packet *p)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (p->n_fds < PACKET_FDS_MAX)
                p->fds[p->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

int packet_receive(int socket, struct packet *p, bool wait)
{
    union control control;
    struct iovec part = {.iov_base = p->bytes, .iov_len = p->size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    p->len = (size_t)got;
    p->n_fds = 0;
    take_fds(&message, p);
    if (got == 0 && p->n_fds == 0)
        return -EPIPE;
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        packet_close_fds(p);
        return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : -EMFILE;
    }
    return 0;
}

void packet_close_fds(struct packet *p)
{
    while (p->n_fds > 0)
        close(p->fds[--p->n_fds]);
}
