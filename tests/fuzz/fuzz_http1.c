/*
 * Bytes of a client: fed at once and byte by byte they must mean the same requests and the same
 * refusal.
 * covers: shared/http1/http1.c
 */
#include "shared/http1/http1.h"
#include <assert.h>
#include <stdlib.h>

/* Takes what one reading makes of the input: all requests with their bodies, and how it ended. */
static void read_all(const uint8_t *data, size_t size, size_t piece, struct text_heap *ret)
{
    struct chunk_pool pool;
    struct http1 *h;
    int r = 0;
    chunk_pool_init(&pool, 1000, 8);
    if (http1_new(&h, &(struct http1_options){.head_max = 500, .body_max = 300}) < 0)
        abort();
    while (size > 0 && r == 0) {
        struct buf b = {0};
        size_t n = piece && piece < size ? piece : size;
        if (buf_append(&b, &pool, data, n) < 0)
            abort();
        data += n;
        size -= n;
        r = http1_input(h, &b);
        assert(b.len == 0);
        while (r == 1) {
            const struct http1_request *q = http1_request(h);
            assert(q->path.len && q->path.data[0] == '/' && q->body.len <= 300);
            text_heap_printf(ret, "%d|", q->keep_alive);
            text_heap_put(ret, q->method);
            text_heap_puts(ret, "|");
            text_heap_put(ret, q->path);
            text_heap_puts(ret, "|");
            text_heap_put(ret, q->query);
            text_heap_puts(ret, "|");
            text_heap_put(ret, q->host);
            text_heap_puts(ret, "|");
            text_heap_put(ret, q->body);
            text_heap_puts(ret, "\n");
            r = http1_next(h);
        }
    }
    assert(r == 0 || (r <= -400 && r >= -505));
    text_heap_printf(ret, "%d", r);
    http1_free(h);
    chunk_pool_done(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text_heap whole, bytes;
    text_heap_init(&whole, 1 << 24);
    text_heap_init(&bytes, 1 << 24);
    if (size > 10000)
        return 0;
    read_all(data, size, 0, &whole);
    read_all(data, size, 1, &bytes);
    if (!whole.failed && !bytes.failed)
        assert(
            text_equal((struct text){whole.data, whole.len}, (struct text){bytes.data, bytes.len}));
    text_heap_done(&whole);
    text_heap_done(&bytes);
    return 0;
}
