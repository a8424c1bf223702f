#include "nodeproxy/warden/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST = 0x57445251, ANSWER = 0x57444157 };

struct request_head { /* then the path with its NUL, or the addresses */
    uint32_t magic, kind;
    uint64_t id;
    uint32_t family, count, pieces, zero;
};
struct answer_head { /* then why, without a NUL */
    uint32_t magic;
    int32_t result;
    uint64_t id, generation;
};
_Static_assert(sizeof(struct request_head) + WIRE_ADDRESSES_MAX * sizeof(struct ip) <=
                   WIRE_BYTES_MAX,
               "the longest list fits into a message");
_Static_assert(sizeof(struct ip) == 17, "addresses lie without gaps, anywhere in a message");

/* ---- requests ---- */

size_t wire_encode_request(const struct wire_request *q, void *out)
{
    struct request_head head = {.magic = REQUEST,
                                .kind = q->kind,
                                .id = q->id,
                                .family = (uint32_t)q->family,
                                .count = q->count,
                                .pieces = q->pieces};
    const void *body = q->addresses;
    size_t body_len = q->n_addresses * sizeof *q->addresses;
    if (q->n_addresses > WIRE_ADDRESSES_MAX)
        return 0;
    if (q->path) {
        body = q->path;
        body_len = strlen(q->path) + 1;
        if (body_len > WIRE_PATH_MAX)
            return 0;
    }
    memcpy(out, &head, sizeof head);
    if (body_len > 0)
        memcpy((char *)out + sizeof head, body, body_len);
    return sizeof head + body_len;
}

static bool is_path(const char *body, size_t len)
{
    return len > 1 && len <= WIRE_PATH_MAX && body[0] == '/' &&
           memchr(body, '\0', len) == body + len - 1;
}

static bool are_addresses(const struct ip *ips, size_t body_len)
{
    if (body_len % sizeof *ips != 0 || body_len / sizeof *ips > WIRE_ADDRESSES_MAX)
        return false;
    for (size_t i = 0; i < body_len / sizeof *ips; i++) {
        struct ip clean;
        if (ip_from_bytes(ips[i].bytes, ips[i].len, &clean) < 0 || !ip_equal(&clean, &ips[i]))
            return false;
    }
    return true;
}

/* Fields that a kind does not have are zero. */
static bool is_request(const struct request_head *h, const char *body, size_t body_len,
                       size_t n_fds)
{
    if (h->magic != REQUEST || h->id == 0 || h->zero != 0)
        return false;
    if (h->kind != WIRE_SOCKETS && (h->family != 0 || h->count != 0))
        return false;
    if (h->kind != WIRE_NODE_RULES && h->pieces != 0)
        return false;
    if (h->kind != WIRE_NODE_RULES && h->kind != WIRE_NETNS_OPEN && body_len != 0)
        return false;
    switch (h->kind) {
    case WIRE_HELLO:
        return n_fds == 0;
    case WIRE_NETNS_OPEN:
        return n_fds == 0 && is_path(body, body_len);
    case WIRE_ENROL:
        return n_fds == 1 || n_fds == 4;
    case WIRE_KEEP:
        return n_fds == 4;
    case WIRE_CHECK:
    case WIRE_RELEASE:
        return n_fds == 1;
    case WIRE_FORGET:
        return n_fds <= 1;
    case WIRE_SOCKETS:
        return n_fds == 1 && (h->family == AF_INET || h->family == AF_INET6) && h->count > 0 &&
               h->count <= WIRE_FDS_MAX;
    case WIRE_NODE_RULES:
        return n_fds == 0 && h->pieces <= (WIRE_FIRST | WIRE_LAST) &&
               are_addresses((const struct ip *)body, body_len);
    default:
        return false;
    }
}

int wire_decode_request(const void *bytes, size_t len, size_t n_fds, struct wire_request *ret)
{
    struct request_head head;
    if (len < sizeof head || len > WIRE_BYTES_MAX)
        return -EBADMSG;
    memcpy(&head, bytes, sizeof head);
    const char *body = (const char *)bytes + sizeof head;
    size_t body_len = len - sizeof head;
    if (!is_request(&head, body, body_len, n_fds))
        return -EBADMSG;
    *ret = (struct wire_request){.id = head.id,
                                 .kind = (enum wire_kind)head.kind,
                                 .family = (int)head.family,
                                 .count = head.count,
                                 .pieces = head.pieces};
    if (head.kind == WIRE_NETNS_OPEN) {
        ret->path = body;
    } else if (body_len > 0) {
        ret->addresses = (const struct ip *)body;
        ret->n_addresses = body_len / sizeof *ret->addresses;
    }
    return 0;
}

/* ---- answers ---- */

size_t wire_encode_answer(const struct wire_answer *a, void *out)
{
    struct answer_head head = {
        .magic = ANSWER, .result = a->result, .id = a->id, .generation = a->generation};
    size_t why_len = a->result < 0 ? strnlen(a->why, sizeof a->why - 1) : 0;
    memcpy(out, &head, sizeof head);
    memcpy((char *)out + sizeof head, a->why, why_len);
    return sizeof head + why_len;
}

int wire_decode_answer(const void *bytes, size_t len, struct wire_answer *ret)
{
    struct answer_head head;
    if (len < sizeof head || len - sizeof head >= sizeof ret->why)
        return -EBADMSG;
    memcpy(&head, bytes, sizeof head);
    size_t why_len = len - sizeof head;
    const char *why = (const char *)bytes + sizeof head;
    if (head.magic != ANSWER || head.result > 0 || head.result < -4095 || head.generation == 0 ||
        (why_len > 0 && (head.result == 0 || memchr(why, '\0', why_len))))
        return -EBADMSG;
    *ret =
        (struct wire_answer){.id = head.id, .generation = head.generation, .result = head.result};
    memcpy(ret->why, why, why_len);
    return 0;
}

/* ---- the channel ---- */

int wire_send(int channel, const struct wire_message *m, bool wait)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof m->fds)];
    struct iovec part = {.iov_base = (void *)(uintptr_t)m->bytes, .iov_len = m->len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (m->n_fds > 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(m->n_fds * sizeof *m->fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(m->n_fds * sizeof *m->fds);
        memcpy(CMSG_DATA(c), m->fds, m->n_fds * sizeof *m->fds);
    }
    ssize_t sent;
    do
        sent = sendmsg(channel, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *message, struct wire_message *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (ret->n_fds < WIRE_FDS_MAX)
                ret->fds[ret->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

int wire_receive(int channel, struct wire_message *ret, bool wait)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof ret->fds)];
    struct iovec part = {.iov_base = ret->bytes, .iov_len = sizeof ret->bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    ret->len = (size_t)got;
    ret->n_fds = 0;
    take_fds(&message, ret);
    if (got == 0 && ret->n_fds == 0)
        return -EPIPE;
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        wire_close_fds(ret);
        return -EMSGSIZE;
    }
    return 0;
}

void wire_close_fds(struct wire_message *m)
{
    while (m->n_fds > 0)
        close(m->fds[--m->n_fds]);
}
