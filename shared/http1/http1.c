#include "shared/http1/http1.h"
#include "shared/base/list.h"
#include <assert.h>
#include <errno.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEAD_MAX = 16384,
    BODY_MAX = 65536,
    FIELDS_MAX = 100,
    CHUNK_EXTENSIONS_MAX = 256,
    BODY_FIRST = 4096,
};
enum state { STATE_HEAD, STATE_BODY, STATE_COMPLETE, STATE_CLOSED, STATE_REFUSED };

struct http1 {
    llhttp_t parser;
    struct http1_options options;
    struct http1_request request;
    struct buf left; /* not parsed yet */
    enum state state;
    int status; /* to refuse with, 0 while all is well */

    char *head; /* options.head_max bytes; the request's texts point into it */
    size_t head_len, line_start, n_lines;
    bool after_cr, blank_line_cr, blank_line_seen;

    char *body;
    size_t body_len, body_size, extensions_len;

    struct text url, field, value;
    struct text content_length, transfer_encoding, expect;
    unsigned n_fields, n_hosts, n_lengths, n_encodings;
    bool wants_continue;
};

static int refuse(struct http1 *h, int status)
{
    if (!h->status)
        h->status = status;
    h->state = STATE_REFUSED;
    return -1;
}

/* ---- Characters (RFC 9110 section 5.6.2, RFC 3986) ------------------------------------------- */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (!is_alnum(t.data[i]) && (!t.data[i] || !strchr("!#$%&'*+-.^_`|~", t.data[i])))
            return false;
    return t.len > 0;
}

static bool is_field_value(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_authority(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (!is_alnum(t.data[i]) && (!t.data[i] || !strchr("-._~!$&'()*+;=:[]%", t.data[i])))
            return false;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ---- The request line ------------------------------------------------------------------------ */

/* Decodes in place. What is left after decoding can't be split, joined or climbed with. */
static bool decode_path(struct text *path)
{
    char *data = (char *)(uintptr_t)path->data; /* our own head buffer */
    size_t n = 0;
    for (size_t i = 0; i < path->len; i++) {
        char c = data[i];
        if (c == '%') {
            int high = path->len - i > 2 ? hex_digit(data[i + 1]) : -1;
            int low = path->len - i > 2 ? hex_digit(data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            if (c == '/')
                return false;
            i += 2;
        }
        if ((unsigned char)c < 0x20 || c == 0x7f || c == '\\')
            return false;
        data[n++] = c;
    }
    path->len = n;
    struct text rest = *path, segment;
    for (bool more = true; more;) {
        more = text_split(rest, '/', &segment, &rest);
        if (!more)
            segment = rest;
        if (text_equal(segment, TEXT(".")) || text_equal(segment, TEXT("..")))
            return false;
    }
    return true;
}

static int read_target(struct http1 *h)
{
    struct text target = h->url, authority = {NULL, 0}, tail;
    for (size_t i = 0; i < target.len; i++)
        if (target.data[i] <= 0x20 || target.data[i] >= 0x7f || target.data[i] == '#')
            return refuse(h, 400);
    if (target.len && target.data[0] != '/') { /* RFC 9112 section 3.2.2 */
        struct text scheme = TEXT("http://");
        if (target.len < scheme.len ||
            !text_equal_nocase((struct text){target.data, scheme.len}, scheme))
            return refuse(h, 400);
        target = (struct text){target.data + scheme.len, target.len - scheme.len};
        if (!text_split(target, '/', &authority, &tail))
            return refuse(h, 400);
        if (!text_equal_nocase(authority, h->request.host))
            return refuse(h, 400);
        target = (struct text){authority.data + authority.len, target.len - authority.len};
    }
    if (!target.len)
        return refuse(h, 400);
    h->request.path = target;
    text_split(target, '?', &h->request.path, &h->request.query);
    if (!decode_path(&h->request.path))
        return refuse(h, 400);
    return 0;
}

/* Before llhttp sees it: exactly "TOKEN SP TARGET SP HTTP/1.x". llhttp takes more, and other
 * versions. */
static int check_request_line(struct http1 *h)
{
    const char *end = memchr(h->head, '\r', h->head_len);
    struct text line = {h->head, (size_t)(end - h->head)}, method, target, version;
    if (!text_split(line, ' ', &method, &line) || !text_split(line, ' ', &target, &version) ||
        !is_token(method) || !target.len)
        return refuse(h, 400);
    h->request.method = method;
    if (text_equal(version, TEXT("HTTP/1.1")) || text_equal(version, TEXT("HTTP/1.0")))
        return 0;
    bool other = version.len == 8 && text_starts_with(version, TEXT("HTTP/")) &&
                 version.data[5] >= '0' && version.data[5] <= '9' && version.data[6] == '.' &&
                 version.data[7] >= '0' && version.data[7] <= '9';
    return refuse(h, other ? 505 : 400);
}

/* -1: refused. RFC 9110 section 9.1: a method that we do not know is 501, one that is not for us
 * 405. */
static int check_method(struct http1 *h)
{
    switch (llhttp_get_method(&h->parser)) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_POST:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_PATCH:
    case HTTP_OPTIONS:
        return 0;
    case HTTP_CONNECT:
    case HTTP_TRACE:
        return refuse(h, 405);
    default:
        return refuse(h, 501);
    }
}

/* ---- Header fields --------------------------------------------------------------------------- */

static int take_field(struct http1 *h, struct text name, struct text value)
{
    struct http1_request *r = &h->request;
    struct {
        struct text name;
        struct text *value;
        unsigned *count;
    } known[] = {
        {TEXT("host"), &r->host, &h->n_hosts},
        {TEXT("content-length"), &h->content_length, &h->n_lengths},
        {TEXT("transfer-encoding"), &h->transfer_encoding, &h->n_encodings},
        {TEXT("authorization"), &r->authorization, NULL},
        {TEXT("accept"), &r->accept, NULL},
        {TEXT("content-type"), &r->content_type, NULL},
        {TEXT("expect"), &h->expect, NULL},
    };
    if (++h->n_fields > FIELDS_MAX)
        return refuse(h, 431);
    if (!is_token(name) || !is_field_value(value))
        return refuse(h, 400);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (!text_equal_nocase(name, known[i].name))
            continue;
        if (known[i].count)
            ++*known[i].count;
        if (!known[i].value->data) /* the first counts, where more than one is allowed at all */
            *known[i].value = value;
    }
    return 0;
}

/* RFC 9112 section 6: how long is the body? More than one answer is none. */
static int check_framing(struct http1 *h)
{
    uint64_t length = 0;
    if (h->n_lengths > 1 || h->n_encodings > 1 || (h->n_lengths && h->n_encodings))
        return refuse(h, 400);
    if (h->n_encodings) {
        if (h->parser.http_minor == 0)
            return refuse(h, 400);
        if (!text_equal_nocase(h->transfer_encoding, TEXT("chunked")))
            return refuse(h, 501);
    }
    if (h->n_lengths) {
        int r = text_to_u64(h->content_length, h->options.body_max, &length);
        if (r < 0)
            return refuse(h, r == -ERANGE ? 413 : 400);
    }
    /* Both readers must agree. */
    bool chunked = (h->parser.flags & F_CHUNKED) != 0;
    if (chunked != (h->n_encodings == 1) || (!chunked && h->parser.content_length != length))
        return refuse(h, 400);
    return 0;
}

static int check_host(struct http1 *h)
{
    if (h->n_hosts > 1 || (h->n_hosts == 0 && h->parser.http_minor > 0) ||
        !is_authority(h->request.host))
        return refuse(h, 400);
    return 0;
}

/* ---- Callbacks of llhttp --------------------------------------------------------------------- */

static struct http1 *of(llhttp_t *parser)
{
    return container_of(parser, struct http1, parser);
}

/* The whole head is parsed in one call, so that each of these comes in one piece. */
static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    of(parser)->url = (struct text){at, len};
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http1 *h = of(parser);
    if (h->state != STATE_HEAD)
        return refuse(h, 400); /* a trailer */
    h->field = (struct text){at, len};
    h->value = (struct text){at + len, 0}; /* on_value() does not run for an empty one */
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    of(parser)->value = text_trim((struct text){at, len});
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http1 *h = of(parser);
    return take_field(h, h->field, h->value);
}

static int on_head(llhttp_t *parser)
{
    struct http1 *h = of(parser);
    parser->upgrade = 0; /* we speak nothing else: the request is answered as if it had not asked */
    if (check_method(h) || check_framing(h) || check_host(h) || read_target(h))
        return -1;
    if (h->expect.data) {
        if (!text_equal_nocase(h->expect, TEXT("100-continue")))
            return refuse(h, 417);
        h->wants_continue =
            parser->http_minor > 0 && (h->n_encodings || parser->content_length > 0);
    }
    h->state = STATE_BODY;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http1 *h = of(parser);
    h->wants_continue = false;
    if (len > h->options.body_max - h->body_len)
        return refuse(h, 413);
    if (h->body_len + len > h->body_size) {
        size_t size = h->body_size * 2 > BODY_FIRST ? h->body_size * 2 : BODY_FIRST;
        if (size < h->body_len + len)
            size = h->body_len + len;
        char *body = realloc(h->body, size);
        if (!body)
            return refuse(h, 503);
        h->body = body;
        h->body_size = size;
    }
    memcpy(h->body + h->body_len, at, len);
    h->body_len += len;
    return 0;
}

static int on_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    struct http1 *h = of(parser);
    h->extensions_len += len;
    return h->extensions_len > CHUNK_EXTENSIONS_MAX ? refuse(h, 400) : 0;
}

/* The size of a chunk is refused when it is announced, not when its bytes have come. */
static int on_chunk(llhttp_t *parser)
{
    struct http1 *h = of(parser);
    return parser->content_length > h->options.body_max - h->body_len ? refuse(h, 413) : 0;
}

static int on_complete(llhttp_t *parser)
{
    struct http1 *h = of(parser);
    h->request.keep_alive = llhttp_should_keep_alive(parser) != 0;
    h->request.body = (struct text){h->body, h->body_len};
    h->wants_continue = false;
    h->state = STATE_COMPLETE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_chunk_header = on_chunk,
    .on_message_complete = on_complete,
};

/* ---- The machine ----------------------------------------------------------------------------- */

static void begin(struct http1 *h)
{
    llhttp_init(&h->parser, HTTP_REQUEST, &settings);
    h->request = (struct http1_request){0};
    h->state = STATE_HEAD;
    h->head_len = h->line_start = h->n_lines = 0;
    h->after_cr = h->blank_line_cr = h->blank_line_seen = h->wants_continue = false;
    free(h->body);
    h->body = NULL;
    h->body_len = h->body_size = h->extensions_len = 0;
    h->url = h->field = h->value = (struct text){NULL, 0};
    h->content_length = h->transfer_encoding = h->expect = (struct text){NULL, 0};
    h->n_fields = h->n_hosts = h->n_lengths = h->n_encodings = 0;
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
    h->head = malloc(h->options.head_max);
    if (!h->head) {
        free(h);
        return -ENOMEM;
    }
    begin(h);
    *ret = h;
    return 0;
}

struct http1 *http1_free(struct http1 *h)
{
    if (!h)
        return NULL;
    buf_done(&h->left);
    free(h->body);
    free(h->head);
    free(h);
    return NULL;
}

/* RFC 9112 section 2.2: one empty line before a request is nothing. */
static bool is_blank_line_before(struct http1 *h, char c)
{
    if (h->head_len || h->blank_line_seen)
        return false;
    if (c == '\r' && !h->blank_line_cr) {
        h->blank_line_cr = true;
        return true;
    }
    if (!h->blank_line_cr)
        return false;
    if (c == '\n')
        h->blank_line_seen = true;
    else
        refuse(h, 400);
    return true;
}

/* Adds one byte of the head; 1: that was the last one. Lines end in CR LF and nothing else, and
 * no line continues the one before it. */
static int take_head_byte(struct http1 *h, char c)
{
    if (is_blank_line_before(h, c))
        return 0;
    bool line_begins = h->head_len == h->line_start;
    if (c == '\0' || (c == '\n') != h->after_cr ||
        (line_begins && (c == ' ' || c == '\t' || (c == '\r' && h->n_lines == 0))))
        return refuse(h, 400);
    if (h->head_len == h->options.head_max ||
        (h->n_lines == 0 && h->head_len >= h->options.head_max / 2))
        return refuse(h, h->n_lines == 0 ? 414 : 431);
    h->head[h->head_len++] = c;
    h->after_cr = c == '\r';
    if (c != '\n')
        return 0;
    bool empty = h->head_len - h->line_start == 2;
    h->line_start = h->head_len;
    if (h->n_lines++ == 0)
        return check_request_line(h);
    return empty;
}

static int status_of(struct http1 *h, llhttp_errno_t error)
{
    if (h->status)
        return h->status;
    return error == HPE_INVALID_METHOD ? 501 : 400; /* the method is a token, that was checked */
}

/* Returns how many bytes were used. */
static size_t parse(struct http1 *h, const char *data, size_t len)
{
    llhttp_errno_t error = llhttp_execute(&h->parser, data, len);
    if (error == HPE_OK)
        return len;
    if (error == HPE_PAUSED && h->state == STATE_COMPLETE)
        return (size_t)(llhttp_get_error_pos(&h->parser) - data);
    refuse(h, status_of(h, error));
    return len;
}

static size_t take_head(struct http1 *h, const char *data, size_t len)
{
    size_t n = 0;
    int r = 0;
    while (n < len && r == 0 && h->state == STATE_HEAD)
        r = take_head_byte(h, data[n++]);
    if (r != 1)
        return n;
    size_t used = parse(h, h->head, h->head_len);
    if (h->state == STATE_HEAD || used != h->head_len)
        refuse(h, 400); /* llhttp and we see different ends of the head */
    return n;
}

static int run(struct http1 *h)
{
    while (h->left.len && (h->state == STATE_HEAD || h->state == STATE_BODY)) {
        struct chunk *c = h->left.head;
        const char *data = (const char *)c->data + c->start;
        size_t len = chunk_len(c);
        buf_consume(&h->left,
                    h->state == STATE_HEAD ? take_head(h, data, len) : parse(h, data, len));
    }
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
    bool wants = h->state == STATE_BODY && h->wants_continue;
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
    bool closed = !h->request.keep_alive;
    begin(h);
    if (closed)
        h->state = STATE_CLOSED;
    return run(h);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return ""; /* RFC 9112 section 4: it may be empty */
}

int http1_respond_head(struct buf *out, struct chunk_pool *pool, unsigned status,
                       const char *content_type, size_t body_len, bool keep_alive)
{
    char head[512];
    struct text_out o = TEXT_OUT(head);
    text_printf(&o, "HTTP/1.1 %u %s\r\n", status, reason(status));
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

#define NUMBER_TEXT(n) #n
#define VERSION_TEXT(major, minor, patch)                                                          \
    NUMBER_TEXT(major) "." NUMBER_TEXT(minor) "." NUMBER_TEXT(patch)

const char *http1_library(void)
{
    return "llhttp " VERSION_TEXT(LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
}
