#include "shared/http2/http2_internal.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static struct http2_stream *of(struct stream *s)
{
    return container_of(s, struct http2_stream, stream);
}

static bool lives(const struct http2_stream *s)
{
    return s->http2 && !s->dead;
}

static void wake(struct http2_stream *s)
{
    if (s->deferred) {
        s->deferred = false;
        http2_owes(s->http2, nghttp2_session_resume_data(s->http2->session, s->id));
    }
    http2_ask_flush(s->http2);
}

/* Once bytes are waiting it is memory that counts, not the copy: pieces fill up the last chunk,
 * so that a queue of STREAM_QUEUE_HIGH bytes can't be hundreds of chunks with a kilobyte in
 * each. */
static void enqueue(struct buf *out, struct buf *bytes)
{
    while (bytes->head && out->len > STREAM_QUEUE_LOW) {
        struct chunk *c = http2_pop_chunk(bytes), *tail = out->tail;
        size_t len = chunk_len(c);
        if (len > CHUNK_BYTES - tail->end) {
            buf_push(out, c);
            continue;
        }
        memcpy(tail->data + tail->end, c->data + c->start, len);
        tail->end += (uint32_t)len;
        out->len += len;
        chunk_free(c);
    }
    buf_move(out, bytes);
}

static void stream_op_send(struct stream *stream, struct buf *bytes)
{
    struct http2_stream *s = of(stream);
    if (!lives(s)) {
        buf_done(bytes);
        return;
    }
    assert(!s->finish_asked);
    if (!bytes->len)
        return;
    enqueue(&s->out, bytes);
    if (s->out.len > STREAM_QUEUE_HIGH)
        s->was_high = true;
    wake(s);
}

static void stream_op_finish(struct stream *stream)
{
    struct http2_stream *s = of(stream);
    if (!lives(s) || s->finish_asked)
        return;
    s->finish_asked = true;
    wake(s);
}

static void stream_op_pause(struct stream *stream)
{
    of(stream)->paused = true;
}

static void return_connection_window(struct http2_stream *s)
{
    struct http2 *h = s->http2;
    h->held -= s->unreturned_connection;
    if (s->unreturned_connection)
        http2_owes(h, nghttp2_session_consume_connection(h->session, s->unreturned_connection));
    s->unreturned_connection = 0;
}

static void stream_op_resume(struct stream *stream)
{
    struct http2_stream *s = of(stream);
    s->paused = false;
    if (!lives(s) || !s->unreturned)
        return;
    return_connection_window(s);
    http2_owes(s->http2, nghttp2_session_consume_stream(s->http2->session, s->id, s->unreturned));
    s->unreturned = 0;
    if (nghttp2_session_want_write(s->http2->session))
        http2_ask_flush(s->http2);
}

/* RFC 9113 section 8.5: a broken connection behind a CONNECT is a CONNECT_ERROR. Never
 * REFUSED_STREAM, which would invite the peer to try again what may have been done. */
static uint32_t code_of_error(const struct http2_stream *s, int error)
{
    switch (error) {
    case 0:
    case -ECANCELED:
        return HTTP2_CANCEL;
    case -EPROTO:
        return HTTP2_PROTOCOL_ERROR;
    case -ENOMEM:
    case -ENOBUFS:
        return HTTP2_INTERNAL_ERROR;
    default:
        return s->http2->options.server ? HTTP2_CONNECT_ERROR : HTTP2_CANCEL;
    }
}

static void stream_op_reset(struct stream *stream, int error)
{
    struct http2_stream *s = of(stream);
    if (lives(s))
        http2_stream_reset(s, code_of_error(s, error));
}

static size_t stream_op_queued(const struct stream *stream)
{
    const struct http2_stream *s = (const void *)stream;
    return s->out.len;
}
_Static_assert(offsetof(struct http2_stream, stream) == 0, "stream_op_queued() relies on it");

static const struct stream_ops ops = {
    .send = stream_op_send,
    .finish = stream_op_finish,
    .pause = stream_op_pause,
    .resume = stream_op_resume,
    .reset = stream_op_reset,
    .queued = stream_op_queued,
};

void http2_stream_init(struct http2_stream *s, const struct http2_stream_events *events)
{
    *s = (struct http2_stream){.stream.ops = &ops, .events = events};
    list_init(&s->link);
}

void http2_stream_bind(struct http2_stream *s, struct http2 *h, int32_t id)
{
    s->http2 = h;
    s->id = id;
    list_push_back(&h->live, &s->link);
}

void http2_stream_make_due(struct http2_stream *s)
{
    list_remove(&s->link);
    list_push_back(&s->http2->due, &s->link);
}

/* Gives back what the stream holds; its owner is not told. */
static void release(struct http2_stream *s)
{
    nghttp2_session_set_stream_user_data(s->http2->session, s->id, NULL);
    return_connection_window(s);
    s->unreturned = 0;
    buf_done(&s->out);
    free(s->trailers);
    s->trailers = NULL;
    s->n_trailers = 0;
    s->deferred = s->writable_due = false;
    s->dead = true;
}

void http2_stream_end(struct http2_stream *s, uint32_t code, int error)
{
    release(s);
    s->code = code;
    s->error = error;
    s->failed_due = error != 0;
    http2_stream_make_due(s);
}

/* Nothing to say once both directions have ended: nghttp2 is about to close the stream. */
static void tell_peer(struct http2_stream *s, uint32_t code)
{
    if (!s->peer_ended || !s->finish_sent)
        http2_owes(s->http2, nghttp2_submit_rst_stream(s->http2->session, NGHTTP2_FLAG_NONE, s->id,
                                                       code));
}

void http2_stream_abort(struct http2_stream *s, uint32_t code, int error)
{
    struct http2 *h = s->http2;
    tell_peer(s, code);
    s->finished_due = false;
    http2_stream_end(s, code, error);
    http2_ask_flush(h);
}

void http2_stream_reset(struct http2_stream *s, uint32_t code)
{
    if (!lives(s))
        return;
    http2_stream_abort(s, code, 0);
}

void http2_stream_detach(struct http2_stream *s)
{
    struct http2 *h = s->http2;
    if (!h)
        return;
    if (!s->dead) {
        /* An answer without a body is nghttp2's already and may leave: a reset would overtake
         * it. */
        if (!s->answer_ends || s->finish_sent)
            tell_peer(s, h->options.server && s->finish_sent ? HTTP2_NO_ERROR : HTTP2_CANCEL);
        release(s);
        http2_ask_flush(h);
    }
    list_remove(&s->link);
    s->http2 = NULL;
    if (h->current == s)
        h->current = NULL;
}

/* Runs one event of the stream; false: its owner detached it meanwhile. */
#define RUN_EVENT(h, s, call) ((h)->current = (s), (call), (h)->current == (s))

void http2_stream_run_due(struct http2_stream *s)
{
    struct http2 *h = s->http2;
    const struct stream_events *events = s->stream.events;
    if (s->writable_due) {
        s->writable_due = false;
        if (events && !s->finish_asked && !RUN_EVENT(h, s, events->writable(&s->stream)))
            return;
    }
    if (s->finished_due) {
        s->finished_due = false;
        if (events && !RUN_EVENT(h, s, events->finished(&s->stream)))
            return;
    }
    if (s->failed_due) {
        s->failed_due = false;
        if (events && !RUN_EVENT(h, s, events->failed(&s->stream, s->error)))
            return;
    }
    h->current = NULL;
    list_remove(&s->link);
    if (!s->dead) {
        bool due = s->writable_due || s->finished_due;
        list_push_back(due ? &h->due : &h->live, &s->link);
        return;
    }
    s->http2 = NULL;
    s->events->closed(s, s->code);
}

/* DATA that lies at the end of its chunk goes with the chunk; what is small, or followed by
 * other frames, is copied. Room is left before it for the frame header that it needs if it is
 * forwarded. */
static int take_data(struct http2 *h, const uint8_t *data, size_t len, struct buf *ret)
{
    struct chunk *c = h->input;
    bool last = data + len == c->data + c->end;
    struct chunk *copy = NULL;
    if (!last || len < HTTP2_STEAL_BYTES_MIN) {
        copy = chunk_new(h->pool);
        if (!copy && !last)
            return -ENOBUFS;
    }
    if (copy) {
        c = copy;
        c->start = len + HTTP2_FRAME_HEADER_BYTES <= CHUNK_BYTES ? HTTP2_FRAME_HEADER_BYTES : 0;
        c->end = c->start + (uint32_t)len;
        memcpy(c->data + c->start, data, len);
    } else {
        c->start = (uint32_t)(data - c->data);
        h->input = NULL;
    }
    *ret = (struct buf){c, c, len};
    return 0;
}

static void return_window(struct http2_stream *s, size_t len)
{
    struct http2 *h = s->http2;
    if (!s->paused) {
        http2_owes(h, nghttp2_session_consume(h->session, s->id, len));
        return;
    }
    s->unreturned += len;
    if (h->held + len <= h->options.connection_window / 2) {
        h->held += len;
        s->unreturned_connection += len;
    } else {
        http2_owes(h, nghttp2_session_consume_connection(h->session, len));
    }
}

void http2_stream_deliver(struct http2_stream *s, const uint8_t *data, size_t len)
{
    struct http2 *h = s->http2;
    struct buf bytes;
    if (!s->stream.events) {
        return_window(s, len);
        return;
    }
    if (take_data(h, data, len, &bytes) < 0) {
        http2_owes(h, nghttp2_session_consume_connection(h->session, len));
        http2_stream_abort(s, HTTP2_ENHANCE_YOUR_CALM, -ENOBUFS);
        return;
    }
    bool here = RUN_EVENT(h, s, s->stream.events->received(&s->stream, &bytes));
    h->current = NULL;
    buf_done(&bytes);
    if (here && !s->dead)
        return_window(s, len);
    else
        http2_owes(h, nghttp2_session_consume_connection(h->session, len));
}

void http2_stream_deliver_end(struct http2_stream *s)
{
    struct http2 *h = s->http2;
    s->peer_ended = true;
    if (s->stream.events)
        (void)RUN_EVENT(h, s, s->stream.events->ended(&s->stream));
    h->current = NULL;
}

int http2_stream_request(struct http2 *h, struct http2_stream *s,
                         const struct http2_header *headers, size_t n, bool end)
{
    nghttp2_nv nva[HTTP2_HEADERS_MAX];
    nghttp2_data_provider provider = http2_frames_provider();
    assert(!s->http2);
    if (!http2_can_open(h))
        return -EAGAIN;
    if (!http2_frames_fill(nva, headers, n))
        return -E2BIG;
    int32_t id = nghttp2_submit_request(h->session, NULL, nva, n, end ? NULL : &provider, s);
    if (id < 0)
        return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EAGAIN;
    s->finish_asked = end;
    h->n_open++;
    http2_stream_bind(s, h, id);
    http2_ask_flush(h);
    return 0;
}

static bool is_1xx(const struct http2_header *headers, size_t n)
{
    struct text status = http2_head_get(&(struct http2_head){headers, n, false}, TEXT(":status"));
    return status.len == 3 && status.data[0] == '1';
}

int http2_stream_respond(struct http2_stream *s, const struct http2_header *headers, size_t n,
                         bool end)
{
    nghttp2_nv nva[HTTP2_HEADERS_MAX];
    nghttp2_data_provider provider = http2_frames_provider();
    int r;
    if (!lives(s))
        return -EPIPE;
    if (s->responded)
        return -EALREADY;
    if (!http2_frames_fill(nva, headers, n))
        return -E2BIG;
    nghttp2_session *session = s->http2->session;
    if (is_1xx(headers, n)) {
        assert(!end);
        r = nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, s->id, NULL, nva, n, NULL);
    } else {
        r = nghttp2_submit_response(session, s->id, nva, n, end ? NULL : &provider);
    }
    if (r)
        return r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPIPE;
    if (!is_1xx(headers, n)) {
        s->responded = true;
        s->answer_ends = end;
        if (end)
            s->finish_asked = true;
    }
    http2_ask_flush(s->http2);
    return 0;
}

static struct http2_header *copy_headers(const struct http2_header *headers, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += headers[i].name.len + headers[i].value.len;
    struct http2_header *copy = malloc(n * sizeof *copy + bytes);
    if (!copy)
        return NULL;
    char *at = (char *)(copy + n);
    for (size_t i = 0; i < n; i++) {
        copy[i].name = (struct text){at, headers[i].name.len};
        if (copy[i].name.len)
            memcpy(at, headers[i].name.data, copy[i].name.len);
        at += copy[i].name.len;
        copy[i].value = (struct text){at, headers[i].value.len};
        if (copy[i].value.len)
            memcpy(at, headers[i].value.data, copy[i].value.len);
        at += copy[i].value.len;
    }
    return copy;
}

int http2_stream_trailers(struct http2_stream *s, const struct http2_header *headers, size_t n)
{
    if (!lives(s) || s->finish_asked)
        return -EPIPE;
    if (n > HTTP2_HEADERS_MAX)
        return -E2BIG;
    if (n) {
        s->trailers = copy_headers(headers, n);
        if (!s->trailers)
            return -ENOMEM;
        s->n_trailers = (uint32_t)n;
    }
    s->finish_asked = true;
    wake(s);
    return 0;
}
