#include "shared/http1/http1.h"
#include "shared/base/list.h"
#include "shared/http1/http1_codec.h"
#include "shared/http1/http1_status.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    HEAD_MAX = 16384,
    BODY_MAX = 65536,
    BODY_FIRST = 4096,
};
enum state { STATE_OPEN, STATE_COMPLETE, STATE_CLOSED, STATE_REFUSED };

struct http1 {
    struct http1_codec *codec;
    struct http1_options options;
    struct http1_request request;
    struct http_head head; /* the request's texts point into it */
    struct buf left;       /* not read yet */
    enum state state;
    int status; /* to refuse with */
    char *body;
    size_t body_len, body_size;
    bool wants_continue;
};

static int refuse(struct http1 *h, int status)
{
    h->status = status;
    h->state = STATE_REFUSED;
    return -1;
}

/* ---- The head -------------------------------------------------------------------------------- */

/* Decodes to `out`. What is left after decoding can't be split, joined or climbed with. */
static bool decode_path(struct text path, char *out, struct text *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (c == '%') {
            int byte = text_percent_byte((struct text){path.data + i, path.len - i});
            if (byte < 0 || byte == '/')
                return false;
            c = (char)byte;
            i += 2;
        }
        if ((unsigned char)c < 0x20 || c == 0x7f || c == '\\')
            return false;
        out[n++] = c;
    }
    *ret = (struct text){out, n};
    struct text rest = *ret, segment;
    for (bool more = true; more;) {
        more = text_split(rest, '/', &segment, &rest);
        if (!more)
            segment = rest;
        if (text_equal(segment, TEXT(".")) || text_equal(segment, TEXT("..")))
            return false;
    }
    return true;
}

static int read_path(struct http1 *h)
{
    struct text path = h->head.path;
    char *out;
    if (path.data[0] != '/')
        return refuse(h, 400);
    text_split(path, '?', &path, &h->request.query);
    int r = http_head_alloc(&h->head, path.len, &out);
    if (r < 0)
        return refuse(h, r == -ENOMEM ? 503 : 414);
    return decode_path(path, out, &h->request.path) ? 0 : refuse(h, 400);
}

/* -1: refused. RFC 9110 section 9.1: a method that we do not know is 501, one that is not for us
 * 405. */
static int check_method(struct http1 *h)
{
    static const struct text ours[] = {
        {"GET", 3},    {"HEAD", 4},  {"POST", 4},    {"PUT", 3},
        {"DELETE", 6}, {"PATCH", 5}, {"OPTIONS", 7},
    };
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (text_equal(h->head.method, ours[i]))
            return 0;
    return refuse(h, text_equal(h->head.method, TEXT("TRACE")) ? 405 : 501);
}

static int take_head(struct http1 *h)
{
    struct http1_request *r = &h->request;
    if (check_method(h) < 0 || read_path(h) < 0)
        return -1;
    r->method = h->head.method;
    r->host = h->head.authority;
    r->authorization = http_head_get(&h->head, TEXT("authorization"));
    r->accept = http_head_get(&h->head, TEXT("accept"));
    r->content_type = http_head_get(&h->head, TEXT("content-type"));
    /* The codec leaves it where somebody waits. */
    h->wants_continue = http_head_get(&h->head, TEXT("expect")).len > 0;
    return 0;
}

/* ---- The body -------------------------------------------------------------------------------- */

static int take_body(struct http1 *h, struct buf *bytes)
{
    size_t len = h->body_len + bytes->len;
    h->wants_continue = false;
    if (len > h->options.body_max)
        return refuse(h, 413);
    if (len > h->body_size) {
        size_t size = h->body_size * 2 > BODY_FIRST ? h->body_size * 2 : BODY_FIRST;
        if (size < len)
            size = len;
        char *body = realloc(h->body, size);
        if (!body)
            return refuse(h, 503);
        h->body = body;
        h->body_size = size;
    }
    h->body_len += buf_peek(bytes, h->body + h->body_len, bytes->len);
    buf_done(bytes);
    return 0;
}

/* ---- The machine ----------------------------------------------------------------------------- */

static void begin(struct http1 *h)
{
    h->request = (struct http1_request){0};
    h->state = STATE_OPEN;
    h->wants_continue = false;
    http_head_done(&h->head);
    free(h->body);
    h->body = NULL;
    h->body_len = h->body_size = 0;
}

int http1_new(struct http1 **ret, const struct http1_options *options)
{
    struct http1 *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->options = *options;
    if (!h->options.head_max)
        h->options.head_max = HEAD_MAX;
    if (!h->options.body_max)
        h->options.body_max = BODY_MAX;
    http_head_init(&h->head);
    struct http1_codec_options codec = {.server = true, .head_max = h->options.head_max};
    int r = http1_codec_new(&h->codec, &codec, NULL); /* it writes nothing */
    if (r < 0) {
        free(h);
        return r;
    }
    *ret = h;
    return 0;
}

struct http1 *http1_free(struct http1 *h)
{
    if (!h)
        return NULL;
    begin(h);
    buf_done(&h->left);
    http1_codec_free(h->codec);
    free(h);
    return NULL;
}

static void complete(struct http1 *h)
{
    h->request.keep_alive = http1_codec_keep_alive(h->codec);
    h->request.body = (struct text){h->body, h->body_len};
    h->wants_continue = false;
    h->state = STATE_COMPLETE;
}

/* One event; false: there is none before more bytes come. */
static bool read_on(struct http1 *h)
{
    struct buf body = {0};
    int event = http1_codec_read(h->codec, &h->left, &h->head, &body);
    if (event == HTTP1_HEAD)
        (void)take_head(h);
    else if (event == HTTP1_BODY)
        (void)take_body(h, &body);
    else if (event == HTTP1_TRAILERS)
        refuse(h, 400);
    else if (event == HTTP1_END)
        complete(h);
    else if (event < 0)
        refuse(h, event == -ENOBUFS ? 503 : -event);
    /* A body that is too long is refused when it is announced, not when its bytes have come. */
    if (h->state == STATE_OPEN &&
        http1_codec_announced(h->codec) > h->options.body_max - h->body_len)
        refuse(h, 413);
    buf_done(&body);
    return event != HTTP1_MORE;
}

static int run(struct http1 *h)
{
    while (h->state == STATE_OPEN && read_on(h))
        ;
    if (h->state == STATE_REFUSED || h->state == STATE_CLOSED)
        buf_done(&h->left);
    if (h->state == STATE_REFUSED)
        return -h->status;
    return h->state == STATE_COMPLETE;
}

int http1_input(struct http1 *h, struct buf *bytes)
{
    if (h->state != STATE_COMPLETE)
        buf_move(&h->left, bytes);
    return run(h);
}

bool http1_wants_continue(struct http1 *h)
{
    bool wants = h->state == STATE_OPEN && h->wants_continue;
    h->wants_continue = false;
    return wants;
}

const struct http1_request *http1_request(const struct http1 *h)
{
    assert(h->state == STATE_COMPLETE);
    return &h->request;
}

int http1_next(struct http1 *h)
{
    assert(h->state == STATE_COMPLETE);
    bool more = http1_codec_next(h->codec);
    begin(h);
    if (!more)
        h->state = STATE_CLOSED;
    return run(h);
}

/* ---- Answers --------------------------------------------------------------------------------- */

int http1_respond_head(struct buf *out, struct chunk_pool *pool, unsigned status,
                       const char *content_type, size_t body_len, bool keep_alive)
{
    char head[512];
    struct text_out o = TEXT_OUT(head);
    text_printf(&o, "HTTP/1.1 %u %s\r\n", status, http1_reason(status));
    if (status != 204 && status != 304)
        text_printf(&o, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                    content_type ? content_type : "text/plain; charset=utf-8", body_len);
    text_printf(
        &o, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: %s\r\n\r\n",
        keep_alive ? "keep-alive" : "close");
    if (o.overflow)
        return -ENOBUFS;
    return buf_append(out, pool, head, o.len);
}

int http1_respond(struct buf *out, struct chunk_pool *pool, unsigned status,
                  const char *content_type, struct text body, bool keep_alive)
{
    struct buf answer = {0};
    bool no_body = status == 204 || status == 304;
    int r = http1_respond_head(&answer, pool, status, content_type, body.len, keep_alive);
    if (r == 0 && !no_body)
        r = buf_append(&answer, pool, body.data, body.len);
    if (r == 0)
        buf_move(out, &answer);
    buf_done(&answer);
    return r;
}
