#include "shared/http/http_grammar.h"
#include "shared/http/http_hop.h"
#include "shared/http1/http1_internal.h"
#include <errno.h>
#include <stdlib.h>

enum { AGAIN = 100 }; /* of a step: something was done, and it is no event */

/* ---- Callbacks of llhttp --------------------------------------------------------------------- */

static struct http1_codec *of(llhttp_t *parser)
{
    return container_of(parser, struct http1_codec, parser);
}

/* A head or trailers are parsed in one call, so that each of these comes in one piece. */
static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http1_codec *c = of(parser);
    c->field = (struct text){at, len};
    c->value = (struct text){at + len, 0}; /* on_value() does not run for an empty one */
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    of(parser)->value = text_trim((struct text){at, len});
    return 0;
}

/* Those that say how to read and for whom it is. True: it does not belong into the head. */
static bool note_field(struct http1_codec *c)
{
    struct http1_framing_fields *f = &c->framing;
    switch (c->field.len) {
    case 4:
        if (!text_equal(c->field, TEXT("host")))
            return false;
        f->host = c->value;
        f->n_hosts++;
        return c->server;
    case 14:
        if (text_equal(c->field, TEXT("content-length"))) {
            f->content_length = c->value;
            f->n_content_lengths++;
        }
        break;
    case 17:
        if (!text_equal(c->field, TEXT("transfer-encoding")))
            return false;
        f->transfer_encoding = c->value;
        f->n_transfer_encodings++;
        return true;
    default:
        break;
    }
    c->hop_fields |= http_hop_is(c->field) || text_equal(c->field, TEXT("te"));
    return false;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http1_codec *c = of(parser);
    struct http_head *to = c->in_trailers ? c->trailers : c->head;
    if (!http_is_token(c->field))
        return http1_refuse(c, 400);
    http1_lower(c->field);
    if (++c->n_fields > c->fields_max)
        return http1_refuse(c, 431);
    if (c->in_trailers ? !http1_is_trailer(c->field) : note_field(c))
        return c->in_trailers ? http1_refuse(c, 400) : 0;
    int r = http_head_add_view(to, c->field, c->value);
    return r < 0 ? http1_refuse(c, r == -ENOMEM ? 503 : 431) : 0;
}

/* ---- A head that is complete ----------------------------------------------------------------- */

/* "007" is 7 to one reader and nothing to the next: it goes on in one form. */
static void trim_zeros(struct http_head *head)
{
    for (size_t i = 0; i < head->n; i++) {
        struct http_field *f = &head->fields[i];
        if (!text_equal(f->name, TEXT("content-length")))
            continue;
        while (f->value.len > 1 && f->value.data[0] == '0')
            f->value = (struct text){f->value.data + 1, f->value.len - 1};
    }
}

/* Both readers must have seen the same. */
static bool agrees(const struct http1_codec *c, enum http1_framing framing, uint64_t length)
{
    bool chunked = (c->parser.flags & F_CHUNKED) != 0;
    return c->parser.http_minor == c->minor && chunked == (framing == HTTP1_CHUNKED) &&
           (framing != HTTP1_LENGTH || c->parser.content_length == length);
}

static int on_head(llhttp_t *parser)
{
    struct http1_codec *c = of(parser);
    enum http1_framing framing = HTTP1_UNTOLD;
    uint64_t length = 0;
    bool bodyless = false;
    int r = c->server ? http1_judge_request(c, &framing, &length)
                      : http1_judge_answer(c, &framing, &length, &bodyless);
    if (r < 0)
        return http1_refuse(c, -r);
    if (!agrees(c, framing, length))
        return http1_refuse(c, 400);
    trim_zeros(c->head);
    parser->upgrade = 0; /* what follows is ours to read */
    c->parsed_head = true;
    return bodyless ? 1 : 0;
}

static int on_chunk(llhttp_t *parser)
{
    struct http1_codec *c = of(parser);
    c->chunk_told = true;
    return parser->content_length == c->chunk_len ? 0 : http1_refuse(c, 400);
}

static int on_complete(llhttp_t *parser)
{
    of(parser)->parsed_all = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head,
    .on_chunk_header = on_chunk,
    .on_message_complete = on_complete,
};

/* All of it, and no more than that: a second opinion on where things end. */
static int parse(struct http1_codec *c, const char *data, size_t len)
{
    llhttp_errno_t error = llhttp_execute(&c->parser, data, len);
    if (error == HPE_OK ||
        (error == HPE_PAUSED && c->parsed_all && llhttp_get_error_pos(&c->parser) == data + len))
        return 0;
    /* The method is a token, that was checked: it is one that llhttp does not know. */
    return http1_refuse(c, error == HPE_INVALID_METHOD ? 501 : 400);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void begin_lines(struct http1_codec *c, struct http_head *head)
{
    c->head = head;
    c->raw = NULL;
    c->raw_len = c->line_len = c->n_lines = c->first_line_len = 0;
    c->n_fields = 0;
    c->after_cr = false;
}

/* Bytes of one line, which ends in CR LF and nothing else, has no control characters and does not
 * continue the one before it. 1: it ended; 2: it was empty. */
static int scan_line(struct http1_codec *c, const char *data, size_t len, size_t *ret_n)
{
    size_t n = 0;
    if (!c->after_cr) {
        if (c->line_len == 0 && (data[0] == ' ' || data[0] == '\t'))
            return -400;
        n = http_value_span(data, len);
        c->line_len += (uint32_t)n;
        if (n < len && data[n] != '\r')
            return -400;
        if (n < len) {
            c->after_cr = true;
            n++;
        }
    }
    *ret_n = n;
    if (n == len)
        return 0;
    if (data[n] != '\n')
        return -400;
    ++*ret_n;
    c->after_cr = false;
    c->n_lines++;
    bool empty = c->line_len == 0;
    if (c->n_lines == 1)
        c->first_line_len = c->line_len;
    c->line_len = 0;
    return empty ? 2 : 1;
}

static int store(struct http1_codec *c, struct http_head *to, const char *data, size_t len)
{
    int r = c->raw ? http_head_enlarge(to, &c->raw, c->raw_len, c->raw_len, c->raw_len + len)
                   : http_head_alloc(to, len, &c->raw);
    if (r < 0)
        return http1_refuse(c, r == -ENOMEM ? 503 : 431);
    memcpy(c->raw + c->raw_len, data, len);
    c->raw_len += (uint32_t)len;
    return 0;
}

static int check_first_line(struct http1_codec *c)
{
    struct text line = {c->raw, c->first_line_len};
    struct http1_request_line request = {.minor = 0};
    struct http1_status_line answer = {.minor = 0};
    int r = c->server ? http1_check_request_line(line, &request)
                      : http1_check_status_line(line, &answer);
    c->minor = c->server ? request.minor : answer.minor;
    return r < 0 ? http1_refuse(c, -r) : 0;
}

/* Takes lines until an empty one; that: 1. */
static int take_lines(struct http1_codec *c, struct http_head *to, struct buf *bytes,
                      size_t bytes_max)
{
    bool is_head = to == c->head;
    while (bytes->len > 0) {
        const char *data = (const char *)bytes->head->data + bytes->head->start;
        size_t len = chunk_len(bytes->head), used = 0, n = 0;
        int r = 0;
        while (used < len && r < 2) {
            bool first = is_head && c->n_lines == 0;
            size_t room = (first ? bytes_max / 2 : bytes_max) - c->raw_len - used;
            if (room == 0)
                return http1_refuse(c, first ? 414 : 431);
            r = scan_line(c, data + used, len - used < room ? len - used : room, &n);
            if (r < 0 || (r == 2 && c->n_lines == 1))
                return http1_refuse(c, 400);
            used += n;
            if (first && r == 1)
                break;
        }
        bool first_done = is_head && r == 1 && c->n_lines == 1;
        if (store(c, to, data, used) < 0 || (first_done && check_first_line(c) < 0))
            return -c->status;
        buf_consume(bytes, used);
        if (r == 2)
            return 1;
    }
    return 0;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static char first_byte(const struct buf *bytes)
{
    return (char)bytes->head->data[bytes->head->start];
}

/* RFC 9112 section 2.2: one empty line before a request is nothing. */
static int begin(struct http1_codec *c, struct buf *bytes, struct http_head *head)
{
    if (bytes->len == 0)
        return HTTP1_MORE;
    if (!c->server && c->writing == WRITE_BEGIN)
        return http1_refuse(c, 502); /* nobody asked */
    char b = first_byte(bytes);
    if (c->after_cr || (b == '\r' && c->server && !c->blank_before)) {
        if (c->after_cr && b != '\n')
            return http1_refuse(c, 400);
        c->blank_before = c->after_cr;
        c->after_cr = !c->after_cr;
        buf_consume(bytes, 1);
        return AGAIN;
    }
    http_head_done(head);
    begin_lines(c, head);
    c->framing = (struct http1_framing_fields){.n_hosts = 0};
    c->in_trailers = c->hop_fields = c->parsed_head = c->parsed_all = false;
    c->wants_close = c->wants_keep_alive = c->keep_alive = false;
    c->reading = READ_HEAD;
    return AGAIN;
}

static int read_head(struct http1_codec *c, struct buf *bytes)
{
    int r = take_lines(c, c->head, bytes, c->head_max);
    if (r <= 0)
        return r; /* HTTP1_MORE */
    llhttp_init(&c->parser, c->server ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    r = parse(c, c->raw, c->raw_len);
    if (r < 0)
        return r;
    bool body = c->reading == READ_LENGTH || c->reading == READ_CHUNK_LINE ||
                c->reading == READ_UNTIL_CLOSE;
    if (!c->parsed_head || c->parsed_all == body)
        return http1_refuse(c, 400); /* llhttp and we see different ends */
    c->line_len = 0;
    c->chunk_len = c->chunk_digits = 0;
    c->in_extension = c->chunk_told = false;
    return HTTP1_HEAD;
}

static int move(struct http1_codec *c, struct buf *bytes, struct buf *body, uint64_t *ret_n)
{
    if (bytes->len == 0)
        return HTTP1_MORE;
    size_t n = c->left < bytes->len ? (size_t)c->left : bytes->len;
    int r = buf_move_some(body, bytes->head->pool, bytes, n);
    if (r < 0)
        return r;
    c->left -= n;
    *ret_n = n;
    return AGAIN;
}

static int read_length(struct http1_codec *c, struct buf *bytes, struct buf *body)
{
    uint64_t n;
    int r = move(c, bytes, body, &n);
    if (r == AGAIN && c->left == 0)
        c->reading = READ_END_DUE;
    return r;
}

/* Returns false where a line of a chunk is none (RFC 9112 section 7.1). */
static bool take_chunk_byte(struct http1_codec *c, char b)
{
    int digit = c->in_extension ? -1 : text_hex_digit(b);
    if (++c->line_len > CHUNK_LINE_MAX)
        return false;
    if (b == '\r') {
        c->after_cr = true;
        return c->chunk_digits > 0;
    }
    if (digit >= 0) {
        c->chunk_len = c->chunk_len * 16 + (unsigned)digit;
        return ++c->chunk_digits <= CHUNK_DIGITS_MAX && c->chunk_len <= INT64_MAX;
    }
    if (b == ';' && c->chunk_digits > 0)
        c->in_extension = true;
    return c->in_extension && http_value_span(&b, 1) == 1 && ++c->extensions_len <= EXTENSIONS_MAX;
}

static int read_chunk_line(struct http1_codec *c, struct buf *bytes)
{
    if (bytes->len == 0)
        return HTTP1_MORE;
    const char *data = (const char *)bytes->head->data + bytes->head->start;
    size_t len = chunk_len(bytes->head), n = 0;
    bool ended = false;
    while (n < len && !ended) {
        char b = data[n++];
        ended = c->after_cr && b == '\n';
        if (!ended && (c->after_cr || !take_chunk_byte(c, b)))
            return http1_refuse(c, 400);
    }
    if (parse(c, data, n) < 0)
        return -c->status;
    buf_consume(bytes, n);
    if (!ended)
        return AGAIN;
    if (!c->chunk_told)
        return http1_refuse(c, 400);
    c->left = c->chunk_len;
    c->reading = c->left > 0 ? READ_CHUNK : READ_LAST;
    c->after_cr = c->in_extension = c->chunk_told = false;
    c->line_len = 0;
    c->chunk_len = c->chunk_digits = 0;
    return AGAIN;
}

/* llhttp only counts these bytes, so it is shown as many others: the true ones are elsewhere by
 * then. */
static int count_chunk(struct http1_codec *c, uint64_t n)
{
    static const char others[4096];
    while (n > 0) {
        size_t some = n < sizeof others ? (size_t)n : sizeof others;
        if (parse(c, others, some) < 0)
            return -c->status;
        n -= some;
    }
    return AGAIN;
}

static int read_chunk(struct http1_codec *c, struct buf *bytes, struct buf *body)
{
    uint64_t n;
    int r = move(c, bytes, body, &n);
    if (r != AGAIN)
        return r;
    if (c->left == 0)
        c->reading = READ_CHUNK_END;
    return count_chunk(c, n);
}

/* Takes one byte of CR LF; 1: that was it. */
static int take_line_end(struct http1_codec *c, struct buf *bytes)
{
    char b = first_byte(bytes);
    if (b != (c->after_cr ? '\n' : '\r'))
        return http1_refuse(c, 400);
    c->after_cr = !c->after_cr;
    buf_consume(bytes, 1);
    int r = parse(c, &b, 1);
    return r < 0 ? r : !c->after_cr;
}

static int read_chunk_end(struct http1_codec *c, struct buf *bytes)
{
    if (bytes->len == 0)
        return HTTP1_MORE;
    int r = take_line_end(c, bytes);
    if (r > 0)
        c->reading = READ_CHUNK_LINE;
    return r < 0 ? r : AGAIN;
}

static int begin_trailers(struct http1_codec *c)
{
    c->trailers = malloc(sizeof *c->trailers);
    if (!c->trailers)
        return http1_refuse(c, 503);
    http_head_init(c->trailers);
    begin_lines(c, NULL);
    c->in_trailers = true;
    c->reading = READ_TRAILERS;
    return AGAIN;
}

static int read_last(struct http1_codec *c, struct buf *bytes)
{
    if (bytes->len == 0)
        return HTTP1_MORE;
    if (!c->after_cr && first_byte(bytes) != '\r')
        return begin_trailers(c);
    int r = take_line_end(c, bytes);
    if (r > 0) {
        if (!c->parsed_all)
            return http1_refuse(c, 400);
        c->reading = READ_END_DUE;
    }
    return r < 0 ? r : AGAIN;
}

static int read_trailers(struct http1_codec *c, struct buf *bytes)
{
    size_t bytes_max = c->head_max < TRAILERS_MAX ? c->head_max : TRAILERS_MAX;
    int r = take_lines(c, c->trailers, bytes, bytes_max);
    if (r <= 0)
        return r;
    r = parse(c, c->raw, c->raw_len);
    if (r < 0)
        return r;
    if (!c->parsed_all)
        return http1_refuse(c, 400);
    c->reading = READ_TRAILERS_DUE;
    return AGAIN;
}

static int read_all(struct buf *bytes, struct buf *body)
{
    if (bytes->len == 0)
        return HTTP1_MORE;
    buf_move(body, bytes);
    return AGAIN;
}

static int step(struct http1_codec *c, struct buf *bytes, struct http_head *head, struct buf *body)
{
    switch (c->reading) {
    case READ_BEGIN:
        return begin(c, bytes, head);
    case READ_HEAD:
        return read_head(c, bytes);
    case READ_LENGTH:
        return read_length(c, bytes, body);
    case READ_CHUNK_LINE:
        return read_chunk_line(c, bytes);
    case READ_CHUNK:
        return read_chunk(c, bytes, body);
    case READ_CHUNK_END:
        return read_chunk_end(c, bytes);
    case READ_LAST:
        return read_last(c, bytes);
    case READ_TRAILERS:
        return read_trailers(c, bytes);
    case READ_UNTIL_CLOSE:
    case READ_RAW:
        return read_all(bytes, body);
    case READ_TRAILERS_DUE:
        c->reading = READ_END_DUE;
        return HTTP1_TRAILERS;
    case READ_END_DUE:
        c->reading = READ_COMPLETE;
        return HTTP1_END;
    case READ_REFUSED:
        return -c->status;
    case READ_HELD:
    case READ_COMPLETE:
        break;
    }
    return HTTP1_MORE;
}

int http1_codec_read(struct http1_codec *c, struct buf *bytes, struct http_head *head,
                     struct buf *body)
{
    size_t before = body->len;
    for (;;) {
        bool moved = body->len > before;
        /* The body is told before what follows it. */
        if (moved && (c->reading == READ_TRAILERS_DUE || c->reading == READ_END_DUE))
            return HTTP1_BODY;
        int r = step(c, bytes, head, body);
        if (r == AGAIN)
            continue;
        moved = body->len > before;
        return moved && r <= 0 ? HTTP1_BODY : r;
    }
}

int http1_codec_read_end(struct http1_codec *c)
{
    switch (c->reading) {
    case READ_UNTIL_CLOSE:
    case READ_RAW:
        c->reading = READ_COMPLETE;
        return HTTP1_END;
    case READ_BEGIN:
    case READ_HELD:
    case READ_TRAILERS_DUE:
    case READ_END_DUE:
    case READ_COMPLETE:
        return HTTP1_MORE;
    default:
        return http1_refuse(c, 400);
    }
}
