/*
 * Bytes of a server to the streaming codec of a client, which had asked what the first byte says.
 * Whole and byte by byte they must mean the same, and what is passed on must read as that answer
 * again.
 * covers: shared/http1/http1_read.c shared/http1/http1_judge.c shared/http1/http1_check.c
 * covers: shared/http1/http1_write.c
 */
#include "tests/support/http1_play.h"

static const char *const asked[] = {"GET", "HEAD", "WISH"};
static const struct http1_codec_options client = {.head_max = 2000, .fields_max = 20};
static const struct http1_codec_options roomy = {.server = false};

static void ask(struct http1_play *p, const char *what)
{
    struct http_head h;
    http_head_init(&h);
    h.method = text_of(strcmp(what, "WISH") ? what : "GET");
    h.path = TEXT("/");
    h.authority = TEXT("a");
    if (strcmp(what, "WISH") == 0)
        h.protocol = TEXT("websocket");
    if (http1_codec_write_head(p->codec, &p->out, &h, true) < 0)
        abort();
    buf_done(&p->out);
}

/* The server of our own client, which has read such a request. */
static void be_asked(struct http1_play *p, const char *what)
{
    static const struct http1_codec_options options = {.server = true, .upgrades = true};
    struct buf bytes = {0}, body = {0};
    struct http_head h;
    char text[200];
    int n = snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n",
                     strcmp(what, "WISH") ? what : "GET",
                     strcmp(what, "WISH") ? "" : "Connection: upgrade\r\nUpgrade: websocket\r\n");
    http_head_init(&h);
    if (http1_codec_new(&p->onward, &options, p->pool) < 0 ||
        buf_append(&bytes, p->pool, text, (size_t)n) < 0 ||
        http1_codec_read(p->onward, &bytes, &h, &body) != HTTP1_HEAD)
        abort();
    http1_codec_read(p->onward, &bytes, &h, &body);
    http_head_done(&h);
}

static void play(struct http1_play *p, struct chunk_pool *pool,
                 const struct http1_codec_options *options, const char *what, const char *data,
                 size_t size, size_t piece, bool details)
{
    http1_play_begin(p, pool, options, details);
    ask(p, what);
    if (!details)
        be_asked(p, what);
    http1_play_feed_all(p, data, size, piece);
    http1_play_end(p);
}

static void check_said(const struct http1_play *a, const struct http1_play *b)
{
    assert(text_equal((struct text){a->said.data, a->said.len},
                      (struct text){b->said.data, b->said.len}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunk_pool pool;
    struct http1_play whole, bytes, passed, again;
    if (size < 2 || size > 10000)
        return 0;
    const char *what = asked[data[0] % ARRAY_SIZE(asked)], *text = (const char *)data + 1;
    chunk_pool_init(&pool, 1000, 8);
    play(&whole, &pool, &client, what, text, size - 1, 0, true);
    assert(whole.result == 0 || whole.result == -502);
    play(&bytes, &pool, &client, what, text, size - 1, 1, true);
    assert(bytes.result == whole.result);
    check_said(&whole, &bytes);
    play(&passed, &pool, &client, what, text, size - 1, 0, false);
    if (passed.result == 0 && passed.n_ends == 1) {
        char *written = http1_play_written(&passed);
        play(&again, &pool, &roomy, what, written, passed.out.len, 0, false);
        assert(again.result == 0 && again.n_ends == 1);
        check_said(&passed, &again);
        http1_play_done(&again);
        free(written);
    }
    http1_play_done(&passed);
    http1_play_done(&bytes);
    http1_play_done(&whole);
    chunk_pool_done(&pool);
    return 0;
}
