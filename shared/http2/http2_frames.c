/* The callbacks that nghttp2 runs, and DATA on its way out. */
#include "shared/http2/http2_internal.h"
#include <errno.h>
#include <stdio.h>

static struct http2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* What a callback returns that has to stop the session. */
static int charge(struct http2 *h, int32_t points)
{
    if (http2_credit_take(&h->credit, points))
        return 0;
    h->flooded = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

bool http2_frames_fill(nghttp2_nv *ret_nva, const struct http2_header *headers, size_t n)
{
    if (n > HTTP2_HEADERS_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        /* nghttp2 only reads what these point at. */
        ret_nva[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)headers[i].name.data,
            .namelen = headers[i].name.len,
            .value = (uint8_t *)(uintptr_t)headers[i].value.data,
            .valuelen = headers[i].value.len,
        };
    }
    return true;
}

/* ---- In -------------------------------------------------------------------------------------- */

static void reset(struct http2 *h, int32_t id, uint32_t code)
{
    http2_owes(h, nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, code));
}

/* Tells who owns the session, if the frame was a request. */
static void tell_refused(struct http2 *h, const nghttp2_frame *frame, unsigned status,
                         uint32_t code, const char *why)
{
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST &&
        h->events->refused)
        h->events->refused(h, &(struct http2_refusal){status, code, why});
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2 *h = user_data;
    (void)session;
    http2_head_arena_reset(&h->arena);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && ++h->n_open > h->options.streams_max) {
        reset(h, frame->hd.stream_id, HTTP2_REFUSED_STREAM);
        tell_refused(h, frame, 0, HTTP2_REFUSED_STREAM, "more streams at once than are allowed");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return charge(h, HTTP2_COST_STREAM);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user_data)
{
    (void)session, (void)flags;
    struct http2 *h = user_data;
    int r = http2_head_arena_add(&h->arena, (struct text){(const char *)name, name_len},
                                 (struct text){(const char *)value, value_len});
    if (r == 0)
        return 0;
    uint32_t code = r == -E2BIG ? HTTP2_ENHANCE_YOUR_CALM : HTTP2_INTERNAL_ERROR;
    reset(h, frame->hd.stream_id, code);
    tell_refused(h, frame, 0, code, r == -E2BIG ? "the head is too large" : "out of memory");
    if (r == -E2BIG && charge(h, HTTP2_COST_OVERSIZED) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user_data)
{
    (void)session, (void)frame, (void)name, (void)name_len, (void)value, (void)value_len;
    (void)flags, (void)user_data;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM: never ignored, never forwarded */
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user_data)
{
    (void)session;
    tell_refused(user_data, frame, 0, HTTP2_PROTOCOL_ERROR, nghttp2_strerror(error));
    return charge(user_data, HTTP2_COST_MALFORMED);
}

/* Answers without a stream; the connection lives. */
static void refuse(struct http2 *h, int32_t id, unsigned status)
{
    char digits[4];
    if (!status) {
        reset(h, id, HTTP2_REFUSED_STREAM);
        return;
    }
    if (status < 200 || status > 599)
        status = 500;
    snprintf(digits, sizeof digits, "%u", status);
    struct http2_header header = {TEXT(":status"), {digits, 3}};
    nghttp2_nv nv;
    http2_frames_fill(&nv, &header, 1);
    if (nghttp2_submit_response(h->session, id, &nv, 1, NULL))
        reset(h, id, HTTP2_INTERNAL_ERROR);
}

/* What nghttp2 leaves to us of RFC 9113 sections 8.3.1 and 8.5. Returns 0 or the status to
 * refuse with, and why. */
static unsigned check_request(const struct http2 *h, const struct http2_head *head,
                              const char **ret_why)
{
    struct text authority = http2_head_get(head, TEXT(":authority"));
    struct text host = http2_head_get(head, TEXT("host"));
    bool connect = text_equal(http2_head_get(head, TEXT(":method")), TEXT("CONNECT"));
    *ret_why = "a request that is no CONNECT";
    if (h->options.connect_only && !connect)
        return 405;
    *ret_why = "host is not :authority";
    if (authority.data && host.data && !text_equal_nocase(authority, host))
        return 400;
    if (!authority.data)
        authority = host;
    *ret_why = "no authority, or one with a user";
    if (!authority.len || memchr(authority.data, '@', authority.len))
        return 400;
    if (connect)
        return 0;
    *ret_why = ":scheme is neither http nor https";
    struct text scheme = http2_head_get(head, TEXT(":scheme"));
    if (!text_equal(scheme, TEXT("http")) && !text_equal(scheme, TEXT("https")))
        return 400;
    return 0;
}

static void received_request(struct http2 *h, const nghttp2_frame *frame,
                             const struct http2_head *head)
{
    int32_t id = frame->hd.stream_id;
    struct http2_stream *s = NULL;
    const char *why;
    unsigned status = check_request(h, head, &why);
    if (status)
        tell_refused(h, frame, status, 0, why);
    else
        s = h->events->request(h, head, &status);
    if (!s) {
        refuse(h, id, status);
        return;
    }
    nghttp2_session_set_stream_user_data(h->session, id, s);
    http2_stream_bind(s, h, id);
    s->peer_ended = head->end_stream;
    h->current = s;
    if (s->events->opened)
        s->events->opened(s);
    if (h->current == s && !s->dead && head->end_stream)
        http2_stream_deliver_end(s);
    h->current = NULL;
}

static void received_head(struct http2 *h, const nghttp2_frame *frame,
                          const struct http2_head *head)
{
    struct http2_stream *s = stream_of(h->session, frame->hd.stream_id);
    if (!s)
        return;
    if (!h->options.server && !s->head_seen) {
        struct text status = http2_head_get(head, TEXT(":status"));
        if (status.len && status.data[0] == '1') {
            h->current = s;
            if (s->events->informed)
                s->events->informed(s, head);
            h->current = NULL;
            return;
        }
        s->head_seen = true;
    }
    s->peer_ended = head->end_stream;
    h->current = s;
    if (s->events->head)
        s->events->head(s, head);
    if (h->current == s && !s->dead && head->end_stream)
        http2_stream_deliver_end(s);
    h->current = NULL;
}

static void received_headers(struct http2 *h, const nghttp2_frame *frame)
{
    struct http2_header headers[HTTP2_HEADERS_MAX];
    struct http2_head head = {
        .headers = headers,
        .n = http2_head_arena_view(&h->arena, headers),
        .end_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0,
    };
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        received_request(h, frame, &head);
    else
        received_head(h, frame, &head);
    http2_head_arena_reset(&h->arena); /* what is secret in it does not wait for the next head */
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2 *h = user_data;
    struct http2_stream *s;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        received_headers(h, frame);
        break;
    case NGHTTP2_DATA:
        s = stream_of(session, frame->hd.stream_id);
        if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            http2_stream_deliver_end(s);
        break;
    case NGHTTP2_SETTINGS:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            break;
        h->settings_seen = true;
        h->slot_due = true;
        break;
    case NGHTTP2_GOAWAY:
        h->goaway_seen = true;
        if (h->events->goaway)
            h->events->goaway(h, frame->goaway.error_code);
        break;
    case NGHTTP2_PING:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK) || !h->pings)
            break;
        h->pings--;
        if (h->events->ping_acked)
            h->events->ping_acked(h);
        break;
    default:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user_data)
{
    (void)flags;
    struct http2_stream *s = stream_of(session, id);
    if (s)
        http2_stream_deliver(s, data, len);
    else
        http2_owes(user_data, nghttp2_session_consume_connection(session, len));
    return 0;
}

static int error_of_code(uint32_t code)
{
    switch (code) {
    case HTTP2_PROTOCOL_ERROR:
    case HTTP2_FRAME_SIZE_ERROR:
    case HTTP2_FLOW_CONTROL_ERROR:
    case HTTP2_COMPRESSION_ERROR:
        return -EPROTO;
    case HTTP2_REFUSED_STREAM:
        return -ECONNREFUSED;
    default:
        return -ECONNRESET;
    }
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct http2 *h = user_data;
    struct http2_stream *s = stream_of(session, id);
    h->n_open--;
    h->slot_due = true;
    if (s) {
        bool regular = s->peer_ended && s->finish_sent;
        http2_stream_end(s, code, regular ? 0 : error_of_code(code));
    }
    return 0;
}

/* ---- Out ------------------------------------------------------------------------------------- */

static void sent_end(struct http2 *h, nghttp2_session *session, int32_t id)
{
    struct http2_stream *s = stream_of(session, id);
    if (s) {
        s->finish_sent = true;
        s->finished_due = true;
        http2_stream_make_due(s);
    } else if (h->options.server && nghttp2_session_get_stream_remote_close(session, id) == 0) {
        /* Refused, or answered and let go of: RFC 9113 section 8.1, the client need not send the
         * rest. */
        reset(h, id, HTTP2_NO_ERROR);
    }
}

static void sent_headers(struct http2 *h, nghttp2_session *session, const nghttp2_frame *frame)
{
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct http2_stream *s = stream_of(session, frame->hd.stream_id);
        http2_credit_give(&h->credit, HTTP2_GAIN_REQUEST);
        if (s)
            s->sent = true;
    } else if (frame->headers.cat == NGHTTP2_HCAT_RESPONSE) {
        http2_credit_give(&h->credit, HTTP2_GAIN_ANSWER);
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        sent_end(h, session, frame->hd.stream_id);
}

static void sent_data(struct http2 *h, nghttp2_session *session, const nghttp2_frame *frame)
{
    struct http2_stream *s = stream_of(session, frame->hd.stream_id);
    http2_credit_give(&h->credit, HTTP2_GAIN_DATA_SENT);
    http2_credit_give_bytes(&h->credit, frame->hd.length);
    if (s && s->was_high && s->out.len < STREAM_QUEUE_LOW) {
        s->was_high = false;
        s->writable_due = true;
        http2_stream_make_due(s);
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        sent_end(h, session, frame->hd.stream_id);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http2 *h = user_data;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        sent_headers(h, session, frame);
        break;
    case NGHTTP2_DATA:
        sent_data(h, session, frame);
        break;
    case NGHTTP2_GOAWAY:
        /* One that http2_goaway() did not ask for: nghttp2 found that the peer broke the
         * protocol. */
        if (frame->goaway.error_code && !h->goaway_error_is_ours)
            http2_die(h, nghttp2_http2_strerror(frame->goaway.error_code));
        break;
    default:
        break;
    }
    return 0;
}

static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *user_data)
{
    (void)user_data;
    struct http2_stream *s;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return 0; /* the stream of a request is closed by nghttp2 */
    s = stream_of(session, frame->hd.stream_id);
    if (s && error == NGHTTP2_ERR_FRAME_SIZE_ERROR)
        http2_stream_abort(s, HTTP2_INTERNAL_ERROR, -EMSGSIZE);
    return 0;
}

/* How much of the queue becomes the next frame: whole chunks where they make half a frame or
 * more. */
static size_t frame_len(const struct buf *out, size_t most)
{
    if (out->len <= most)
        return out->len;
    size_t len = 0;
    for (const struct chunk *c = out->head; c && len + chunk_len(c) <= most; c = c->next)
        len += chunk_len(c);
    /* In a window of one byte half a frame is nothing, and an empty frame would follow another. */
    return len > 0 && len >= most / 2 ? len : most;
}

static ssize_t read_data(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                         uint32_t *data_flags, nghttp2_data_source *source, void *user_data)
{
    (void)buf, (void)source, (void)user_data;
    struct http2_stream *s = stream_of(session, id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!s->out.len && !s->finish_asked) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t len =
        frame_len(&s->out, length < HTTP2_DATA_BYTES_BEST ? length : HTTP2_DATA_BYTES_BEST);
    *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (s->finish_asked && len == s->out.len) {
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers) {
            nghttp2_nv nva[HTTP2_HEADERS_MAX];
            http2_frames_fill(nva, s->trailers, s->n_trailers);
            *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (nghttp2_submit_trailer(session, id, nva, s->n_trailers))
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)len;
}

nghttp2_data_provider http2_frames_provider(void)
{
    return (nghttp2_data_provider){.read_callback = read_data};
}

/* Makes a chunk of b end after len bytes, copying the smaller part of the chunk that is cut. */
static int cut(struct buf *b, struct chunk_pool *pool, size_t len)
{
    struct chunk *before = NULL, *c = b->head;
    while (c && len >= chunk_len(c)) {
        len -= chunk_len(c);
        before = c;
        c = c->next;
    }
    if (!c || !len)
        return 0;
    struct chunk *other = chunk_new(pool);
    if (!other)
        return -ENOBUFS;
    size_t rest = chunk_len(c) - len;
    other->start = HTTP2_FRAME_HEADER_BYTES;
    if (rest <= len) {
        other->end = other->start + (uint32_t)rest;
        memcpy(other->data + other->start, c->data + c->start + len, rest);
        c->end -= (uint32_t)rest;
        other->next = c->next;
        c->next = other;
        if (b->tail == c)
            b->tail = other;
    } else {
        other->end = other->start + (uint32_t)len;
        memcpy(other->data + other->start, c->data + c->start, len);
        c->start += (uint32_t)len;
        other->next = c;
        if (before)
            before->next = other;
        else
            b->head = other;
    }
    return 0;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_header,
                     size_t length, nghttp2_data_source *source, void *user_data)
{
    (void)source;
    struct http2 *h = user_data;
    struct http2_stream *s = stream_of(session, frame->hd.stream_id);
    struct buf *out = h->output;
    if (!s || s->out.len < length)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (cut(&s->out, h->pool, length) < 0)
        goto no_room;
    struct chunk *first = length ? s->out.head : NULL;
    if (first && first->start >= HTTP2_FRAME_HEADER_BYTES) {
        http2_pop_chunk(&s->out);
        length -= chunk_len(first);
        first->start -= HTTP2_FRAME_HEADER_BYTES;
        memcpy(first->data + first->start, frame_header, HTTP2_FRAME_HEADER_BYTES);
        buf_push(out, first);
    } else if (buf_append(out, h->pool, frame_header, HTTP2_FRAME_HEADER_BYTES) < 0) {
        goto no_room;
    }
    while (length) {
        struct chunk *c = http2_pop_chunk(&s->out);
        length -= chunk_len(c);
        buf_push(out, c);
    }
    /* nghttp2 would go on with the next frame: stop it here once there is enough. */
    return out->len < h->output_max ? 0 : NGHTTP2_ERR_PAUSE;
no_room:
    h->no_room = true;
    return NGHTTP2_ERR_WOULDBLOCK;
}

int http2_frames_callbacks(nghttp2_session_callbacks **ret)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c))
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    nghttp2_session_callbacks_set_send_data_callback(c, send_data);
    *ret = c;
    return 0;
}
