#include "shared/grpc/grpc.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PREFIX_BYTES = 5, PARTIAL_FIRST = 4096 };

static const char *const status_names[] = {
    [GRPC_OK] = "OK",
    [GRPC_CANCELLED] = "CANCELLED",
    [GRPC_UNKNOWN] = "UNKNOWN",
    [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [GRPC_NOT_FOUND] = "NOT_FOUND",
    [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [GRPC_ABORTED] = "ABORTED",
    [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [GRPC_INTERNAL] = "INTERNAL",
    [GRPC_UNAVAILABLE] = "UNAVAILABLE",
    [GRPC_DATA_LOSS] = "DATA_LOSS",
    [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *grpc_status_name(enum grpc_status status)
{
    return (size_t)status < ARRAY_SIZE(status_names) ? status_names[status] : "UNKNOWN";
}

/* ---- Mappings (grpc/doc/http-grpc-status-mapping.md, PROTOCOL-HTTP2.md "Errors") ------------- */

static enum grpc_status status_of_http(struct text http_status)
{
    uint64_t n;
    if (text_to_u64(http_status, 999, &n) < 0)
        return GRPC_UNKNOWN;
    switch (n) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

static enum grpc_status status_of_code(uint32_t code, int error)
{
    if (error == -ECONNABORTED && code != HTTP2_ENHANCE_YOUR_CALM)
        return GRPC_UNAVAILABLE;
    switch (code) {
    case HTTP2_REFUSED_STREAM:
        return GRPC_UNAVAILABLE;
    case HTTP2_CANCEL:
        return GRPC_CANCELLED;
    case HTTP2_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case HTTP2_INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}

static void set_message(struct grpc_call *c, const char *message)
{
    snprintf(c->status_message, sizeof c->status_message, "%s", message ? message : "");
}

/* What is no percent-encoding stays as it is: the specification asks to never lose a message. */
static void decode_message(struct grpc_call *c, struct text t)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len && n < sizeof c->status_message - 1; i++) {
        int byte = text_percent_byte((struct text){t.data + i, t.len - i});
        if (byte > 0) {
            c->status_message[n++] = (char)byte;
            i += 2;
        } else {
            c->status_message[n++] = t.data[i];
        }
    }
    c->status_message[n] = '\0';
}

static struct text encode_message(const char *message, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (const char *p = message; *p && n + 3 <= size; p++) {
        unsigned char byte = (unsigned char)*p;
        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            out[n++] = *p;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[byte >> 4];
        out[n++] = digits[byte & 15];
    }
    return (struct text){out, n};
}

/* ---- The end of a call ----------------------------------------------------------------------- */

static void release(struct grpc_call *c)
{
    free(c->partial);
    c->partial = NULL;
    c->partial_len = c->partial_size = 0;
    c->closed = true;
    if (c->gone)
        *c->gone = true;
    c->gone = NULL;
}

/* Tells the owner; the call's memory may be gone after. */
static void close_call(struct grpc_call *c, enum grpc_status status, const char *message)
{
    http2_stream_detach(&c->stream);
    release(c);
    c->status = status;
    if (message)
        set_message(c, message);
    c->events->closed(c, status, text_of(c->status_message));
}

/* We can't go on with what the peer sends. */
static void fail(struct grpc_call *c, enum grpc_status status, const char *message)
{
    if (c->server)
        grpc_call_finish(c, status, message);
    else
        close_call(c, status, message);
}

static struct grpc_call *of(struct stream *stream)
{
    return container_of(container_of(stream, struct http2_stream, stream), struct grpc_call,
                        stream);
}

static struct grpc_call *of_http2(struct http2_stream *s)
{
    return container_of(s, struct grpc_call, stream);
}

/* ---- Messages in ----------------------------------------------------------------------------- */

/* A message event runs user code: false when the call is over or gone after it. */
static bool deliver(struct grpc_call *c, const uint8_t *data, size_t len)
{
    bool gone = false;
    c->gone = &gone;
    c->prefix_len = 0;
    c->events->message(c, data, len);
    if (gone)
        return false;
    c->gone = NULL;
    return !(c->server && c->half_closed);
}

/* Makes room for n more bytes of the message; never for more than twice what has arrived. */
static bool partial_grow(struct grpc_call *c, size_t n)
{
    size_t want = c->partial_len + n;
    if (want <= c->partial_size)
        return true;
    size_t size = c->partial_size * 2 > PARTIAL_FIRST ? c->partial_size * 2 : PARTIAL_FIRST;
    if (size < want)
        size = want;
    if (size > c->message_len)
        size = c->message_len;
    uint8_t *data = realloc(c->partial, size);
    if (!data)
        return false;
    c->partial = data;
    c->partial_size = size;
    return true;
}

static void partial_drop(struct grpc_call *c)
{
    c->partial_len = 0;
    /* A big buffer is not kept between messages: most calls are idle most of the time. */
    if (c->partial_size > PARTIAL_FIRST) {
        free(c->partial);
        c->partial = NULL;
        c->partial_size = 0;
    }
}

static bool check_prefix(struct grpc_call *c)
{
    c->message_len = (uint32_t)c->prefix[1] << 24 | (uint32_t)c->prefix[2] << 16 |
                     (uint32_t)c->prefix[3] << 8 | c->prefix[4];
    if (c->prefix[0] == 1) {
        fail(c, GRPC_UNIMPLEMENTED, "compressed messages are not supported");
        return false;
    }
    if (c->prefix[0]) {
        fail(c, GRPC_INTERNAL, "the compression flag of a message is neither 0 nor 1");
        return false;
    }
    if (c->message_len > c->message_max) {
        fail(c, GRPC_RESOURCE_EXHAUSTED, "a message is larger than the maximum");
        return false;
    }
    return true;
}

/* False: stop, the call may be gone. */
static bool take(struct grpc_call *c, const uint8_t *data, size_t len)
{
    while (len > 0) {
        if (c->prefix_len < PREFIX_BYTES) {
            c->prefix[c->prefix_len++] = *data++;
            len--;
            if (c->prefix_len < PREFIX_BYTES)
                continue;
            if (!check_prefix(c))
                return false;
            if (c->message_len == 0 && !deliver(c, (const uint8_t *)"", 0))
                return false;
            continue;
        }
        size_t missing = c->message_len - c->partial_len;
        size_t n = len < missing ? len : missing;
        if (c->partial_len == 0 && n == c->message_len) {
            if (!deliver(c, data, n))
                return false;
        } else {
            if (!partial_grow(c, n)) {
                fail(c, GRPC_RESOURCE_EXHAUSTED, "no memory for a message");
                return false;
            }
            memcpy(c->partial + c->partial_len, data, n);
            c->partial_len += n;
            if (c->partial_len == c->message_len) {
                if (!deliver(c, c->partial, c->partial_len))
                    return false;
                partial_drop(c);
            }
        }
        data += n;
        len -= n;
    }
    return true;
}

static void stream_received(struct stream *stream, struct buf *bytes)
{
    struct grpc_call *c = of(stream);
    if (c->server && c->half_closed) {
        buf_done(bytes);
        return;
    }
    for (const struct chunk *chunk = bytes->head; chunk; chunk = chunk->next)
        if (!take(c, chunk->data + chunk->start, chunk_len(chunk)))
            break;
    buf_done(bytes);
}

/* ---- Events of the stream -------------------------------------------------------------------- */

static void stream_ended(struct stream *stream)
{
    struct grpc_call *c = of(stream);
    bool cut = c->prefix_len != 0;
    if (c->server) {
        if (c->half_closed)
            return;
        if (cut)
            fail(c, GRPC_INTERNAL, "the last message is not complete");
        else if (c->events->half_closed)
            c->events->half_closed(c);
        return;
    }
    if (!c->status_seen)
        close_call(c, GRPC_UNKNOWN, "the server ended the call without a status");
    else if (cut && c->status == GRPC_OK)
        close_call(c, GRPC_INTERNAL, "the last message is not complete");
    else
        close_call(c, c->status, NULL);
}

static void stream_writable(struct stream *stream)
{
    struct grpc_call *c = of(stream);
    if (c->events->writable)
        c->events->writable(c);
}

/* The status has left. A client that is still sending is told to stop (RFC 9113 section 8.1). */
static void stream_finished(struct stream *stream)
{
    struct grpc_call *c = of(stream);
    if (c->server)
        http2_stream_reset(&c->stream, HTTP2_NO_ERROR);
}

static void stream_failed(struct stream *stream, int error)
{
    of(stream)->error = error;
}

static const struct stream_events stream_events = {
    .received = stream_received,
    .ended = stream_ended,
    .writable = stream_writable,
    .finished = stream_finished,
    .failed = stream_failed,
};

static bool is_grpc(struct text content_type)
{
    struct text grpc = TEXT("application/grpc");
    if (content_type.len < grpc.len ||
        !text_equal_nocase((struct text){content_type.data, grpc.len}, grpc))
        return false;
    return content_type.len == grpc.len || content_type.data[grpc.len] == '+' ||
           content_type.data[grpc.len] == ';';
}

static void read_status(struct grpc_call *c, const struct http2_head *head)
{
    uint64_t status;
    struct text value = http2_head_get(head, TEXT("grpc-status"));
    if (!value.data)
        return;
    c->status_seen = true;
    bool known = text_to_u64(value, GRPC_UNAUTHENTICATED, &status) == 0;
    c->status = known ? (enum grpc_status)status : GRPC_UNKNOWN;
    decode_message(c, http2_head_get(head, TEXT("grpc-message")));
}

static void client_head(struct grpc_call *c, const struct http2_head *head)
{
    struct text http_status = http2_head_get(head, TEXT(":status"));
    struct text encoding = http2_head_get(head, TEXT("grpc-encoding"));
    c->head_seen = true;
    if (head->end_stream)
        read_status(c, head);
    if (c->status_seen)
        return; /* no messages: `ended` comes now */
    if (!text_equal(http_status, TEXT("200"))) {
        char message[64];
        snprintf(message, sizeof message, "the server answered with HTTP status %.*s",
                 (int)(http_status.len < 3 ? http_status.len : 3), http_status.data);
        close_call(c, status_of_http(http_status), message);
    } else if (!is_grpc(http2_head_get(head, TEXT("content-type")))) {
        close_call(c, GRPC_UNKNOWN, "the server's answer is not gRPC");
    } else if (encoding.data && !text_equal(encoding, TEXT("identity"))) {
        close_call(c, GRPC_UNIMPLEMENTED, "compressed messages are not supported");
    }
}

static void http2_head_event(struct http2_stream *s, const struct http2_head *head)
{
    struct grpc_call *c = of_http2(s);
    if (c->server)
        return; /* trailers of a client mean nothing */
    if (!c->head_seen)
        client_head(c, head);
    else
        read_status(c, head);
}

static void http2_closed(struct http2_stream *s, uint32_t code)
{
    struct grpc_call *c = of_http2(s);
    if (c->server && s->finish_sent)
        close_call(c, GRPC_OK, "");
    else
        close_call(c, status_of_code(code, c->error),
                   c->error == -ECONNABORTED ? "the connection ended" : "the stream was reset");
}

static void server_opened(struct http2_stream *s);

static const struct http2_stream_events http2_events = {
    .head = http2_head_event,
    .closed = http2_closed,
    .opened = server_opened,
};

static void init(struct grpc_call *c, struct chunk_pool *pool, size_t message_max,
                 const struct grpc_call_events *events, void *user)
{
    *c = (struct grpc_call){
        .events = events,
        .user = user,
        .pool = pool,
        .message_max = message_max ? message_max : GRPC_MESSAGE_MAX,
    };
    http2_stream_init(&c->stream, &http2_events);
    c->stream.stream.events = &stream_events;
}

/* ---- Both sides ------------------------------------------------------------------------------ */

static int server_head(struct grpc_call *c)
{
    static const struct http2_header headers[] = {
        {TEXT(":status"), TEXT("200")},
        {TEXT("content-type"), TEXT("application/grpc")},
        {TEXT("grpc-accept-encoding"), TEXT("identity")},
    };
    if (c->head_sent)
        return 0;
    int r = http2_stream_respond(&c->stream, headers, ARRAY_SIZE(headers), false);
    if (r == 0)
        c->head_sent = true;
    return r;
}

int grpc_call_send(struct grpc_call *c, const uint8_t *data, size_t len)
{
    struct buf bytes = {0};
    bool bound = c->stream.http2 && !c->stream.dead;
    if (c->closed || c->half_closed || (!bound && (!c->server || c->stream.dead)))
        return -EPIPE;
    if (len > UINT32_MAX)
        return -EMSGSIZE;
    uint8_t prefix[PREFIX_BYTES] = {0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                    (uint8_t)(len >> 8), (uint8_t)len};
    if (buf_append(&bytes, c->pool, prefix, sizeof prefix) < 0 ||
        buf_append(&bytes, c->pool, data, len) < 0) {
        buf_done(&bytes);
        return -ENOBUFS;
    }
    if (!bound) { /* in the request event still: server_opened() goes on with it */
        buf_move(&c->stream.out, &bytes);
        return 0;
    }
    int r = c->server ? server_head(c) : 0;
    if (r < 0) {
        buf_done(&bytes);
        return r == -ENOMEM ? -ENOBUFS : -EPIPE;
    }
    stream_send(&c->stream.stream, &bytes);
    return 0;
}

size_t grpc_call_queued(const struct grpc_call *c)
{
    return stream_queued(&c->stream.stream);
}

void grpc_call_pause(struct grpc_call *c)
{
    stream_pause(&c->stream.stream);
}

void grpc_call_resume(struct grpc_call *c)
{
    stream_resume(&c->stream.stream);
}

void grpc_call_cancel(struct grpc_call *c)
{
    if (c->closed)
        return;
    http2_stream_detach(&c->stream);
    buf_done(&c->stream.out);
    release(c);
}

/* ---- Client ---------------------------------------------------------------------------------- */

int grpc_call_start(struct grpc_call *c, struct http2 *h, struct chunk_pool *pool,
                    const struct grpc_call_options *o, const struct grpc_call_events *events,
                    void *user)
{
    static const char scheme[] = "Bearer ";
    size_t bearer_len = o->bearer.len ? sizeof scheme - 1 + o->bearer.len : 0;
    char *bearer = NULL;
    if (bearer_len) {
        bearer = malloc(bearer_len);
        if (!bearer)
            return -ENOMEM;
        memcpy(bearer, scheme, sizeof scheme - 1);
        memcpy(bearer + sizeof scheme - 1, o->bearer.data, o->bearer.len);
    }
    const struct http2_header headers[] = {
        {TEXT(":method"), TEXT("POST")},
        {TEXT(":scheme"), o->plaintext ? TEXT("http") : TEXT("https")},
        {TEXT(":path"), o->path},
        {TEXT(":authority"), o->authority},
        {TEXT("te"), TEXT("trailers")},
        {TEXT("content-type"), TEXT("application/grpc")},
        {TEXT("grpc-accept-encoding"), TEXT("identity")},
        {TEXT("user-agent"), TEXT("grpc-weir")},
        {TEXT("authorization"), {bearer, bearer_len}},
    };
    init(c, pool, o->message_max, events, user);
    int r =
        http2_stream_request(h, &c->stream, headers, ARRAY_SIZE(headers) - (bearer ? 0 : 1), false);
    if (bearer)
        explicit_bzero(bearer, bearer_len);
    free(bearer);
    return r;
}

void grpc_call_half_close(struct grpc_call *c)
{
    assert(!c->server);
    if (c->closed || c->half_closed)
        return;
    c->half_closed = true;
    stream_finish(&c->stream.stream);
}

/* ---- Server ---------------------------------------------------------------------------------- */

/* Of two, whom a call is believed to come from would depend on who reads them. */
static bool has_two(const struct http2_head *head, struct text name)
{
    size_t n = 0;
    for (size_t i = 0; i < head->n; i++)
        n += text_equal(head->headers[i].name, name);
    return n > 1;
}

int grpc_request_check(const struct http2_head *head, struct text *ret_path,
                       struct text *ret_bearer, unsigned *ret_http_status)
{
    struct text path = http2_head_get(head, TEXT(":path"));
    struct text authorization = http2_head_get(head, TEXT("authorization"));
    struct text scheme = TEXT("Bearer ");
    if (!text_equal(http2_head_get(head, TEXT(":method")), TEXT("POST"))) {
        *ret_http_status = 405;
        return -EPROTO;
    }
    if (!is_grpc(http2_head_get(head, TEXT("content-type")))) {
        *ret_http_status = 415;
        return -EPROTO;
    }
    if (!text_equal_nocase(http2_head_get(head, TEXT("te")), TEXT("trailers")) || path.len < 2 ||
        path.data[0] != '/' || has_two(head, TEXT("authorization"))) {
        *ret_http_status = 400;
        return -EPROTO;
    }
    *ret_path = path;
    *ret_bearer = (struct text){NULL, 0};
    if (authorization.len > scheme.len &&
        text_equal_nocase((struct text){authorization.data, scheme.len}, scheme))
        *ret_bearer =
            (struct text){authorization.data + scheme.len, authorization.len - scheme.len};
    return 0;
}

void grpc_call_accept(struct grpc_call *c, struct chunk_pool *pool, size_t message_max,
                      const struct grpc_call_events *events, void *user)
{
    init(c, pool, message_max, events, user);
    c->server = true;
}

static void send_status(struct grpc_call *c)
{
    char digits[4], encoded[3 * sizeof c->status_message];
    snprintf(digits, sizeof digits, "%u", (unsigned)c->status);
    struct text message = encode_message(c->status_message, encoded, sizeof encoded);
    const struct http2_header headers[] = {
        {TEXT(":status"), TEXT("200")},
        {TEXT("content-type"), TEXT("application/grpc")},
        {TEXT("grpc-accept-encoding"), TEXT("identity")},
        {TEXT("grpc-status"), text_of(digits)},
        {TEXT("grpc-message"), message},
    };
    size_t n = ARRAY_SIZE(headers) - (message.len ? 0 : 1);
    int r;
    if (c->head_sent)
        r = http2_stream_trailers(&c->stream, headers + 3, n - 3);
    else
        r = http2_stream_respond(&c->stream, headers, n, true);
    if (r == -ENOMEM)
        http2_stream_reset(&c->stream, HTTP2_INTERNAL_ERROR);
}

void grpc_call_finish(struct grpc_call *c, enum grpc_status status, const char *message)
{
    assert(c->server);
    if (c->closed || c->half_closed)
        return;
    c->half_closed = true;
    c->status = status;
    set_message(c, message);
    if (c->stream.http2)
        send_status(c);
}

static void server_opened(struct http2_stream *s)
{
    struct grpc_call *c = of_http2(s);
    if (s->out.len && server_head(c) < 0) {
        http2_stream_reset(s, HTTP2_INTERNAL_ERROR);
        return;
    }
    if (c->half_closed)
        send_status(c);
}
