/*
 * The first bytes of a client at a port that nobody declared: whatever they are, what is answered to the first of them is
 * either "more", or what is answered to all; no byte beyond the bound matters, and what our reader of HTTP/1.1 takes as a
 * request with a path is one.
 * covers: shared/http/http_guess.c
 */
#include "shared/http/http_guess.h"
#include "shared/http1/http1_codec.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct chunk_pool pool;

/* As the codec sees it. */
static bool is_request(const char *first, size_t len)
{
    struct http1_codec *c;
    struct http_head head;
    struct buf bytes = {0}, body = {0};
    http_head_init(&head);
    if (http1_codec_new(&c, &(struct http1_codec_options){.server = true}, &pool) < 0 ||
        buf_append(&bytes, &pool, first, len) < 0)
        abort();
    bool is = http1_codec_read(c, &bytes, &head, &body) == HTTP1_HEAD &&
              (head.path.data[0] == '/' || head.path.data[0] == '*');
    http1_codec_free(c);
    http_head_done(&head);
    buf_done(&bytes);
    buf_done(&body);
    return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!pool.n_max)
        chunk_pool_init(&pool, 64, 8);
    if (size > 2 * HTTP_GUESS_MAX)
        return 0;
    char *copy = malloc(size + 1); /* exactly as large as what may be looked at */
    if (!copy)
        abort();
    memcpy(copy, data, size);
    enum http_guess all = http_guess(copy, size);
    for (size_t n = 0; n < size; n += 1 + n / 16) {
        enum http_guess g = http_guess(copy, n);
        assert(g == HTTP_GUESS_MORE || g == all);
    }
    assert(size < HTTP_GUESS_MAX || all != HTTP_GUESS_MORE);
    /* A proxy's target and an empty line before, which the codec takes, are left to others. */
    bool ours = size > 0 && data[0] >= 'A' && data[0] <= 'Z';
    const char *blank = memchr(copy, ' ', size);
    ours = ours && blank && blank + 1 < copy + size && (blank[1] == '/' || blank[1] == '*');
    for (const char *at = copy; ours && at < blank; at++)
        ours = *at >= 'A' && *at <= 'Z';
    if (ours && blank - copy <= 20 && is_request(copy, size))
        assert(all == HTTP_GUESS_YES);
    free(copy);
    return 0;
}
