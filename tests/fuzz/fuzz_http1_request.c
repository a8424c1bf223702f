/*
 * Bytes of a client to the streaming codec: whole, byte by byte and in two they must mean the same,
 * and what is passed on of each message that was taken must read as that message again.
 * covers: shared/http1/http1_read.c shared/http1/http1_judge.c shared/http1/http1_check.c
 * covers: shared/http1/http1_write.c shared/http/http_hop.c
 */
#include "tests/support/http1_play.h"

static const struct http1_codec_options server = {
    .server = true, .upgrades = true, .head_max = 2000, .fields_max = 20};

static void check_same(struct chunk_pool *pool, const char *data, size_t size, size_t piece,
                       const struct http1_play *whole)
{
    struct http1_play p;
    http1_play_begin(&p, pool, &server, true);
    http1_play_feed_all(&p, data, size, piece);
    assert(p.result == whole->result);
    assert(text_equal((struct text){p.said.data, p.said.len},
                      (struct text){whole->said.data, whole->said.len}));
    http1_play_done(&p);
}

/* What was written must be taken, and mean what was read. */
static void check_reread(struct chunk_pool *pool, const struct http1_play *first)
{
    /* It may become a little longer on the way: connection fields, the sizes of chunks. */
    static const struct http1_codec_options next = {.server = true, .upgrades = true};
    struct http1_play p;
    char *written = http1_play_written(first);
    http1_play_begin(&p, pool, &next, false);
    http1_play_feed_all(&p, written, first->out.len, 0);
    assert(p.result == 0 && p.n_ends == 1 && p.left.len == 0);
    assert(text_equal((struct text){p.said.data, p.said.len},
                      (struct text){first->said.data, first->said.len}));
    http1_play_done(&p);
    free(written);
}

static void pass_on_all(struct chunk_pool *pool, const char *data, size_t size)
{
    bool more = true;
    for (size_t n = 0; more && size > 0 && n < 20; n++) {
        struct http1_play p;
        http1_play_begin(&p, pool, &server, false);
        if (http1_codec_new(&p.onward, &(struct http1_codec_options){0}, pool) < 0)
            abort();
        http1_play_feed_all(&p, data, size, 0);
        more = p.result == 0 && p.n_ends == 1;
        if (more) {
            check_reread(pool, &p);
            data += size - p.left.len;
            size = p.left.len;
        }
        http1_play_done(&p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct chunk_pool pool;
    struct http1_play whole;
    if (size == 0 || size > 10000)
        return 0;
    chunk_pool_init(&pool, 1000, 8);
    http1_play_begin(&whole, &pool, &server, true);
    http1_play_feed_all(&whole, text, size, 0);
    assert(whole.result == 0 || (whole.result <= -400 && whole.result >= -505));
    check_same(&pool, text, size, 1, &whole);
    check_same(&pool, text, size, size / 2 + 1, &whole);
    http1_play_done(&whole);
    pass_on_all(&pool, text, size);
    chunk_pool_done(&pool);
    return 0;
}
