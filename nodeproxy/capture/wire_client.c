#include "nodeproxy/capture/wire_client.h"

#include <errno.h>

size_t wire_client_encode(const struct wire_request *q, void *out)
{
    struct wire_request_head head = {.magic = WIRE_REQUEST,
                                     .kind = q->kind,
                                     .id = q->id,
                                     .family = (uint32_t)q->family,
                                     .type = (uint32_t)q->type,
                                     .count = q->count,
                                     .more = q->more};
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

int wire_client_decode(const void *bytes, size_t len, struct wire_answer *ret)
{
    struct wire_answer_head head;
    if (len < sizeof head || len - sizeof head >= sizeof ret->why)
        return -EBADMSG;
    memcpy(&head, bytes, sizeof head);
    size_t why_len = len - sizeof head;
    const char *why = (const char *)bytes + sizeof head;
    if (head.magic != WIRE_ANSWER || head.result > 0 || head.result < -4095 ||
        head.generation == 0 || (why_len > 0 && (head.result == 0 || memchr(why, '\0', why_len))))
        return -EBADMSG;
    *ret =
        (struct wire_answer){.id = head.id, .generation = head.generation, .result = head.result};
    memcpy(ret->why, why, why_len);
    return 0;
}
