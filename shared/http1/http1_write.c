#include "shared/http/http_hop.h"
#include "shared/http1/http1_internal.h"
#include "shared/http1/http1_status.h"
#include <errno.h>
#include <stdio.h>

/* ---- Where bytes go -------------------------------------------------------------------------- */

/* First it counts, then it writes: in one piece if there is a chunk that can hold it. */
struct sink {
    char *at;        /* NULL: count, or append to `pieces` */
    struct buf *out; /* NULL: count */
    struct chunk_pool *pool;
    size_t len;
    bool failed;
};

static void put(struct sink *s, struct text t)
{
    if (t.len == 0)
        return;
    s->len += t.len;
    if (s->at) {
        memcpy(s->at, t.data, t.len);
        s->at += t.len;
    } else if (s->out) {
        s->failed |= buf_append(s->out, s->pool, t.data, t.len) < 0;
    }
}

static void put_field(struct sink *s, struct text name, struct text value)
{
    put(s, name);
    put(s, TEXT(": "));
    put(s, value);
    put(s, TEXT("\r\n"));
}

/* What is written: a head (or trailers) and what the codec adds to it. */
struct message {
    const struct http_head *head;
    struct text before;   /* "0\r\n" before trailers */
    struct text framing;  /* a field, or nothing */
    struct text close;    /* a field, or nothing */
    char status_line[96]; /* of an answer */
    bool request, protocol, keeps_length;
};

/* HTTP/2 may split it (RFC 9113 section 8.2.3); in HTTP/1.1 there is one. */
static void put_cookies(struct sink *s, const struct http_head *head)
{
    const struct http_field *f;
    bool first = true;
    put(s, TEXT("cookie: "));
    for (size_t at = 0; (f = http_head_next(head, TEXT("cookie"), &at));) {
        if (f->value.len == 0)
            continue;
        if (!first)
            put(s, TEXT("; "));
        put(s, f->value);
        first = false;
    }
    put(s, TEXT("\r\n"));
}

static void put_fields(struct sink *s, const struct message *m)
{
    bool cookies = false;
    for (size_t i = 0; i < m->head->n; i++) {
        const struct http_field *f = &m->head->fields[i];
        if (http_hop_is(f->name) || text_equal(f->name, TEXT("host")) ||
            (m->before.len > 0 && !http1_is_trailer(f->name)) ||
            (!m->keeps_length && text_equal(f->name, TEXT("content-length"))))
            continue;
        if (text_equal(f->name, TEXT("te"))) {
            if (text_equal(f->value, TEXT("trailers")))
                put(s, TEXT("te: trailers\r\nconnection: te\r\n"));
        } else if (m->request && text_equal(f->name, TEXT("cookie"))) {
            if (!cookies)
                put_cookies(s, m->head);
            cookies = true;
        } else {
            put_field(s, f->name, f->value);
        }
    }
}

static void put_message(struct sink *s, const struct message *m)
{
    put(s, m->before);
    if (m->request) {
        put(s, m->head->method);
        put(s, TEXT(" "));
        put(s, m->head->path);
        put(s, TEXT(" HTTP/1.1\r\n"));
        put_field(s, TEXT("host"), m->head->authority);
    } else {
        put(s, text_of(m->status_line));
    }
    if (m->head)
        put_fields(s, m);
    put(s, m->framing);
    if (m->protocol)
        put_field(s, TEXT("upgrade"), m->head->protocol);
    put(s, m->close);
    put(s, TEXT("\r\n"));
}

static int write_message(struct http1_codec *c, struct buf *out, const struct message *m)
{
    struct sink counted = {.out = NULL};
    put_message(&counted, m);
    if (counted.len <= CHUNK_BYTES) {
        uint8_t *room = buf_reserve(out, c->pool, counted.len);
        if (!room)
            return -ENOBUFS;
        struct sink s = {.at = (char *)room};
        put_message(&s, m);
        buf_commit(out, s.len);
        return 0;
    }
    struct buf pieces = {0};
    struct sink s = {.out = &pieces, .pool = c->pool};
    put_message(&s, m);
    if (!s.failed)
        buf_move(out, &pieces);
    buf_done(&pieces);
    return s.failed ? -ENOBUFS : 0;
}

/* ---- Heads ----------------------------------------------------------------------------------- */

/* The length that the head says; -EINVAL: it says two, or none that is one. */
static int length_of(const struct http_head *head, bool *ret_said, uint64_t *ret_length)
{
    const struct http_field *f;
    struct http1_framing_fields fields = {.n_hosts = 0};
    enum http1_framing framing;
    for (size_t at = 0; (f = http_head_next(head, TEXT("content-length"), &at));) {
        fields.content_length = f->value;
        fields.n_content_lengths++;
    }
    if (http1_check_framing(&fields, 1, &framing, ret_length) < 0)
        return -EINVAL;
    *ret_said = framing == HTTP1_LENGTH;
    return 0;
}

/* The body that follows the head, and the field that says so. */
static enum writing begin_body(const struct http1_codec *c, bool said, uint64_t length, bool end,
                               struct message *m)
{
    m->keeps_length = true;
    if (end || (said && length == 0)) {
        if (!said)
            m->framing = TEXT("content-length: 0\r\n");
        return end ? WRITE_DONE : WRITE_LENGTH;
    }
    if (said)
        return WRITE_LENGTH;
    if (c->server && c->minor == 0)
        return WRITE_UNTIL_CLOSE;
    m->framing = TEXT("transfer-encoding: chunked\r\n");
    return WRITE_CHUNKED;
}

static int write_request(struct http1_codec *c, struct buf *out, const struct http_head *head,
                         bool end)
{
    struct message m = {.head = head, .request = true};
    enum writing next;
    uint64_t length = 0;
    bool said;
    if (c->reading != READ_BEGIN || head->method.len == 0 || head->path.len == 0 ||
        text_equal(head->method, TEXT("CONNECT")) || head->protocol.len >= PROTOCOL_MAX ||
        length_of(head, &said, &length) < 0 || (end && length > 0))
        return -EINVAL;
    m.close = c->close_after ? TEXT("connection: close\r\n") : TEXT("");
    if (head->protocol.len > 0) {
        if (length > 0)
            return -EINVAL;
        m.protocol = true;
        m.close = TEXT("connection: upgrade\r\n");
        next = WRITE_HELD;
    } else {
        next = begin_body(c, said, length, end, &m);
        /* RFC 9110 section 8.6: who has nothing to say is silent, but where a body is usual. */
        if (next == WRITE_DONE && !said && !text_equal(head->method, TEXT("POST")) &&
            !text_equal(head->method, TEXT("PUT")) && !text_equal(head->method, TEXT("PATCH")))
            m.framing = TEXT("");
    }
    int r = write_message(c, out, &m);
    if (r < 0)
        return r;
    c->writing = next;
    c->to_write = length;
    c->asked_head = text_equal(head->method, TEXT("HEAD"));
    memcpy(c->protocol, head->protocol.data ? head->protocol.data : "", head->protocol.len);
    c->protocol[head->protocol.len] = '\0';
    return 0;
}

static void set_status_line(struct message *m)
{
    snprintf(m->status_line, sizeof m->status_line, "HTTP/1.1 %u %s\r\n", m->head->status,
             http1_reason(m->head->status));
}

static int write_interim(struct http1_codec *c, struct buf *out, const struct http_head *head)
{
    struct message m = {.head = head};
    if (c->minor == 0)
        return 0; /* RFC 9110 section 15.2 */
    set_status_line(&m);
    return write_message(c, out, &m);
}

static int write_switch(struct http1_codec *c, struct buf *out, const struct http_head *head)
{
    struct message m = {.head = head, .protocol = true, .close = TEXT("connection: upgrade\r\n")};
    if (c->reading != READ_HELD || !text_equal(head->protocol, text_of(c->protocol)))
        return -EINVAL;
    set_status_line(&m);
    int r = write_message(c, out, &m);
    if (r < 0)
        return r;
    http1_upgraded(c, true);
    c->keep_alive = false;
    c->writing = WRITE_RAW;
    return 0;
}

static int write_answer(struct http1_codec *c, struct buf *out, const struct http_head *head,
                        bool end)
{
    struct message m = {.head = head};
    enum writing next;
    uint64_t length = 0;
    bool said;
    if (head->status < 100 || head->status > 599)
        return -EINVAL;
    if (head->status == 101)
        return write_switch(c, out, head);
    if (head->status < 200)
        return end ? -EINVAL : write_interim(c, out, head);
    if (length_of(head, &said, &length) < 0)
        return -EINVAL;
    if (c->asked_head || head->status == 204 || head->status == 304) {
        m.keeps_length = head->status != 204;
        next = end ? WRITE_DONE : WRITE_NO_BODY;
    } else if (end && length > 0) {
        return -EINVAL;
    } else {
        next = begin_body(c, said, length, end, &m);
    }
    bool read = c->reading != READ_BEGIN && c->reading != READ_HEAD && c->reading != READ_REFUSED;
    bool close = !read || !c->keep_alive || c->close_after || next == WRITE_UNTIL_CLOSE;
    m.close = close ? TEXT("connection: close\r\n")
                    : (c->minor == 0 ? TEXT("connection: keep-alive\r\n") : TEXT(""));
    set_status_line(&m);
    int r = write_message(c, out, &m);
    if (r < 0)
        return r;
    c->close_after |= close;
    c->writing = next;
    c->to_write = length;
    if (c->reading == READ_HELD)
        http1_upgraded(c, false);
    return 0;
}

int http1_codec_write_head(struct http1_codec *c, struct buf *out, const struct http_head *head,
                           bool end)
{
    if (c->writing != WRITE_BEGIN)
        return -EINVAL;
    return c->server ? write_answer(c, out, head, end) : write_request(c, out, head, end);
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static int write_chunk(struct http1_codec *c, struct buf *out, struct buf *bytes)
{
    char size[24];
    int n = snprintf(size, sizeof size, "%zx\r\n", bytes->len);
    if (bytes->len == 0)
        return 0; /* an empty one would be the last */
    uint8_t *room = buf_reserve(out, c->pool, (size_t)n);
    if (!room)
        return -ENOBUFS;
    if (buf_append(bytes, c->pool, "\r\n", 2) < 0) {
        buf_commit(out, 0);
        return -ENOBUFS;
    }
    memcpy(room, size, (size_t)n);
    buf_commit(out, (size_t)n);
    buf_move(out, bytes);
    return 0;
}

int http1_codec_write_body(struct http1_codec *c, struct buf *out, struct buf *bytes)
{
    switch (c->writing) {
    case WRITE_LENGTH:
        if (bytes->len > c->to_write)
            return -EPROTO;
        c->to_write -= bytes->len;
        buf_move(out, bytes);
        return 0;
    case WRITE_CHUNKED:
        return write_chunk(c, out, bytes);
    case WRITE_UNTIL_CLOSE:
    case WRITE_RAW:
        buf_move(out, bytes);
        return 0;
    case WRITE_NO_BODY:
        buf_done(bytes);
        return 0;
    case WRITE_BEGIN:
    case WRITE_HELD:
    case WRITE_DONE:
        break;
    }
    return bytes->len > 0 ? -EPROTO : 0;
}

int http1_codec_write_end(struct http1_codec *c, struct buf *out, const struct http_head *trailers)
{
    struct message m = {.head = trailers, .before = TEXT("0\r\n")};
    int r = 0;
    if (c->writing == WRITE_BEGIN || c->writing == WRITE_HELD ||
        (c->writing == WRITE_LENGTH && c->to_write > 0))
        return -EPROTO;
    if (c->writing == WRITE_CHUNKED)
        r = write_message(c, out, &m);
    if (r == 0)
        c->writing = WRITE_DONE;
    return r;
}
