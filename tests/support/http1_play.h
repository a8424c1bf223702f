/*
 * Plays bytes to a codec of HTTP/1.1 and writes down what it makes of them, as one text: to be
 * compared with another playing of the same bytes in other pieces, or of what was written from them.
 * A play may pass on what it reads: into the codec of the other side of a proxy.
 */
#ifndef TESTS_SUPPORT_HTTP1_PLAY_H
#define TESTS_SUPPORT_HTTP1_PLAY_H
#include "shared/base/list.h"
#include "shared/http1/http1_codec.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct http1_play {
    struct chunk_pool *pool;
    struct http1_codec *codec, *onward; /* onward: writes the same again; NULL: nobody */
    struct http_head head;
    struct buf left, out; /* out: what onward wrote */
    struct text_heap said;
    bool in_body, details; /* details: what may change on the way, too */
    int result;            /* 0, or what the codec refused with */
    size_t n_heads, n_ends;
};

static inline void http1_play_begin(struct http1_play *p, struct chunk_pool *pool,
                                    const struct http1_codec_options *options, bool details)
{
    *p = (struct http1_play){.pool = pool, .details = details};
    if (http1_codec_new(&p->codec, options, pool) < 0)
        abort();
    http_head_init(&p->head);
    text_heap_init(&p->said, 1 << 24);
}

static inline void http1_play_done(struct http1_play *p)
{
    http1_codec_free(p->codec);
    http1_codec_free(p->onward);
    http_head_done(&p->head);
    buf_done(&p->left);
    buf_done(&p->out);
    text_heap_done(&p->said);
}

static inline void http1_play_say_body(struct http1_play *p, const struct buf *body)
{
    if (!p->in_body)
        text_heap_puts(&p->said, "BODY ");
    p->in_body = true;
    for (const struct chunk *c = body->head; c; c = c->next)
        text_heap_put(&p->said, (struct text){(const char *)c->data + c->start, chunk_len(c)});
}

static inline void http1_play_say(struct http1_play *p, const char *what)
{
    if (p->in_body)
        text_heap_puts(&p->said, "\n");
    p->in_body = false;
    text_heap_puts(&p->said, what);
}

/* All of them are one. */
static inline void http1_play_say_cookies(struct http1_play *p, const struct http_head *h)
{
    const struct http_field *f;
    const char *before = "|cookie=";
    for (size_t at = 0; (f = http_head_next(h, TEXT("cookie"), &at));) {
        if (f->value.len == 0)
            continue;
        text_heap_puts(&p->said, before);
        text_heap_put(&p->said, f->value);
        before = "; ";
    }
}

/* Fields, but what one version writes and another doesn't. */
static inline void http1_play_say_fields(struct http1_play *p, const struct http_head *h)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct http_field *f = &h->fields[i];
        if ((!p->details && text_equal(f->name, TEXT("content-length"))) ||
            (h->status == 0 && text_equal(f->name, TEXT("cookie"))))
            continue;
        text_heap_puts(&p->said, "|");
        text_heap_put(&p->said, f->name);
        text_heap_puts(&p->said, "=");
        text_heap_put(&p->said, f->value);
    }
    if (h->status == 0)
        http1_play_say_cookies(p, h);
    text_heap_puts(&p->said, "\n");
}

static inline void http1_play_say_head(struct http1_play *p)
{
    struct http_head *h = &p->head;
    const struct text parts[] = {h->method, h->scheme, h->authority, h->path, h->protocol};
    p->n_heads++;
    http1_play_say(p, "HEAD");
    if (h->status)
        text_heap_printf(&p->said, " %u", h->status);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        text_heap_puts(&p->said, " ");
        text_heap_put(&p->said, parts[i]);
    }
    http1_play_say_fields(p, h);
}

static inline void http1_play_pass_on(struct http1_play *p, int event, struct buf *body)
{
    bool interim = p->head.status > 0 && p->head.status < 200 && p->head.status != 101;
    int r = 0;
    if (event == HTTP1_HEAD)
        r = http1_codec_write_head(p->onward, &p->out, &p->head,
                                   !interim && http1_codec_ends(p->codec));
    else if (event == HTTP1_BODY)
        r = http1_codec_write_body(p->onward, &p->out, body);
    else if (event == HTTP1_END && !http1_codec_trailers(p->codec))
        r = http1_codec_write_end(p->onward, &p->out, NULL);
    else if (event == HTTP1_TRAILERS)
        r = http1_codec_write_end(p->onward, &p->out, http1_codec_trailers(p->codec));
    assert(r == 0);
}

/* Reads all that can be read now; a server goes on to the next request while the last one stays. */
static inline void http1_play_read(struct http1_play *p)
{
    for (;;) {
        struct buf body = {0};
        int event = http1_codec_read(p->codec, &p->left, &p->head, &body);
        assert((event == HTTP1_BODY) == (body.len > 0));
        if (event <= 0) {
            if (event < 0 && p->result == 0)
                p->result = event;
            return;
        }
        if (event == HTTP1_HEAD)
            http1_play_say_head(p);
        else if (event == HTTP1_BODY)
            http1_play_say_body(p, &body);
        if (p->onward)
            http1_play_pass_on(p, event, &body);
        buf_done(&body);
        if (event == HTTP1_TRAILERS) {
            http1_play_say(p, "TRAILERS");
            http1_play_say_fields(p, http1_codec_trailers(p->codec));
        } else if (event == HTTP1_END) {
            p->n_ends++;
            http1_play_say(p, "END");
            if (p->details && http1_codec_keep_alive(p->codec))
                http1_play_say(p, " keep");
            http1_play_say(p, "\n");
            if (p->onward || !http1_codec_next(p->codec))
                return;
        }
    }
}

static inline void http1_play_feed(struct http1_play *p, const void *data, size_t len)
{
    if (buf_append(&p->left, p->pool, data, len) < 0)
        abort();
    http1_play_read(p);
}

/* Whole, or in pieces of this many bytes; 0: whole. */
static inline void http1_play_feed_all(struct http1_play *p, const char *data, size_t len,
                                       size_t piece)
{
    while (len > 0 && p->result == 0) {
        size_t n = piece > 0 && piece < len ? piece : len;
        http1_play_feed(p, data, n);
        data += n;
        len -= n;
    }
}

static inline void http1_play_end(struct http1_play *p)
{
    int event = p->result == 0 ? http1_codec_read_end(p->codec) : 0;
    if (event < 0)
        p->result = event;
    if (event != HTTP1_END)
        return;
    p->n_ends++;
    http1_play_say(p, "END\n");
    if (p->onward)
        http1_play_pass_on(p, event, NULL);
}

/* What onward wrote, on the heap. */
static inline char *http1_play_written(const struct http1_play *p)
{
    char *text = malloc(p->out.len + 1);
    if (!text)
        abort();
    buf_peek(&p->out, text, p->out.len);
    text[p->out.len] = '\0';
    return text;
}
#endif
