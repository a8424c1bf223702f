#include "nodeproxy/warden/wire.h"

#include <errno.h>
#include <sys/socket.h>

_Static_assert(sizeof(struct wire_request_head) + WIRE_ADDRESSES_MAX * sizeof(struct ip) <=
                   WIRE_BYTES_MAX,
               "the longest list fits into a packet");
_Static_assert(sizeof(struct ip) == 17, "addresses lie without gaps, anywhere in a packet");

/* What a request of each kind has. What it does not have is zero. */
static const struct shape {
    size_t n_fds, or_n_fds;
    enum { NOTHING, PATH, SOCKETS, ADDRESSES } has;
} shapes[WIRE_KINDS] = {
    [WIRE_HELLO] = {0, 0, NOTHING},
    [WIRE_NETNS_OPEN] = {0, 0, PATH},
    [WIRE_ENROL] = {1, 1, NOTHING},
    [WIRE_ENROL_RUNNING] = {1, 1, NOTHING},
    [WIRE_QUIET] = {1, 1, NOTHING},
    [WIRE_KEEP] = {1 + POD_LISTENERS, 1 + POD_LISTENERS, NOTHING},
    [WIRE_CHECK] = {1, 1, NOTHING},
    [WIRE_RELEASE] = {1, 1, NOTHING},
    [WIRE_FORGET] = {0, 1, NOTHING},
    [WIRE_SOCKETS] = {1, 1, SOCKETS},
    [WIRE_NODE_RULES] = {0, 0, ADDRESSES},
};

static bool is_path(const char *body, size_t len)
{
    return len > 1 && len <= WIRE_PATH_MAX && body[0] == '/' &&
           memchr(body, '\0', len) == body + len - 1;
}

static bool are_sockets(const struct wire_request_head *h)
{
    return (h->family == AF_INET || h->family == AF_INET6) &&
           (h->type == SOCK_STREAM || h->type == SOCK_DGRAM) && h->count > 0 &&
           h->count <= PACKET_FDS_MAX;
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

static bool is_request(const struct wire_request_head *h, const char *body, size_t body_len,
                       size_t n_fds)
{
    if (h->magic != WIRE_REQUEST || h->id == 0 || h->kind < WIRE_HELLO ||
        h->kind >= WIRE_KINDS)
        return false;
    const struct shape *s = &shapes[h->kind];
    if (n_fds != s->n_fds && n_fds != s->or_n_fds)
        return false;
    if (s->has == SOCKETS ? !are_sockets(h) : h->family != 0 || h->type != 0 || h->count != 0)
        return false;
    if (h->more > (s->has == ADDRESSES))
        return false;
    if (s->has == ADDRESSES)
        return are_addresses((const struct ip *)body, body_len);
    return s->has == PATH ? is_path(body, body_len) : body_len == 0;
}

uint64_t wire_request_id(const void *bytes, size_t len)
{
    struct wire_request_head head;
    if (len < sizeof head)
        return 0;
    memcpy(&head, bytes, sizeof head);
    return head.magic == WIRE_REQUEST ? head.id : 0;
}

int wire_decode_request(const void *bytes, size_t len, size_t n_fds, struct wire_request *ret)
{
    struct wire_request_head head;
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
                                 .type = (int)head.type,
                                 .count = head.count,
                                 .more = head.more};
    if (shapes[head.kind].has == PATH) {
        ret->path = body;
    } else if (body_len > 0) {
        ret->addresses = (const struct ip *)body;
        ret->n_addresses = body_len / sizeof *ret->addresses;
    }
    return 0;
}

size_t wire_encode_answer(const struct wire_answer *a, void *out)
{
    struct wire_answer_head head = {
        .magic = WIRE_ANSWER, .result = a->result, .id = a->id, .generation = a->generation};
    size_t why_len = a->result < 0 ? strnlen(a->why, sizeof a->why - 1) : 0;
    memcpy(out, &head, sizeof head);
    memcpy((char *)out + sizeof head, a->why, why_len);
    return sizeof head + why_len;
}
