#include "nodeproxy/http/grpc_count.h"

enum { PREFIX = 5 }; /* a flag, then the length, the highest byte first */

static void see(struct grpc_count *c, const uint8_t *data, size_t len)
{
    while (len > 0) {
        if (c->n_prefix < PREFIX) {
            c->prefix = c->n_prefix == 0 ? 0 : c->prefix << 8 | *data;
            data++;
            len--;
            if (++c->n_prefix < PREFIX)
                continue;
            c->messages++;
            c->left = c->prefix;
        }
        size_t n = len < c->left ? len : c->left;
        c->left -= (uint32_t)n;
        data += n;
        len -= n;
        if (c->left == 0)
            c->n_prefix = 0;
    }
}

void grpc_count_see(struct grpc_count *c, const struct buf *bytes)
{
    for (const struct chunk *k = bytes->head; k; k = k->next)
        see(c, k->data + k->start, chunk_len(k));
}
