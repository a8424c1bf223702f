/*
 * HTTP/2 (RFC 9113) as a machine without I/O, client or server: the only door to nghttp2. Bytes in,
 * bytes and events out. A session is owned by its carrier (transport/h2_conn); a stream is embedded
 * in its owner and is a `struct stream` (base/stream.h) once its head has been exchanged. One
 * thread.
 *
 * Flow control: DATA is given to the stream's user at once; the window is returned for bytes
 * delivered while the stream is not paused. Paused streams together hold at most half of the
 * connection's window, so they never stop the others. Bounds (options): streams (beyond them:
 * REFUSED_STREAM, and the connection lives), header bytes, windows, floods (a score per session,
 * http2_credit.h; over it: GOAWAY ENHANCE_YOUR_CALM). Reset, PING, SETTINGS, empty DATA, PRIORITY
 * and WINDOW_UPDATE all count.
 *
 * Events run from http2_input(), http2_output() and http2_free(), and from nothing else. Inside an
 * event everything but these three may be called, for this and any other stream;
 * http2_stream_detach() in a stream's own event is fine too, and its memory may go right after it.
 */
#ifndef SHARED_HTTP2_HTTP2_H
#define SHARED_HTTP2_HTTP2_H
#include "shared/base/list.h"
#include "shared/base/stream.h"
#include "shared/base/text.h"

/* RFC 9113 section 7. REFUSED_STREAM: nothing was done with the request, it may be tried
 * elsewhere. */
enum http2_code {
    HTTP2_NO_ERROR,
    HTTP2_PROTOCOL_ERROR,
    HTTP2_INTERNAL_ERROR,
    HTTP2_FLOW_CONTROL_ERROR,
    HTTP2_SETTINGS_TIMEOUT,
    HTTP2_STREAM_CLOSED,
    HTTP2_FRAME_SIZE_ERROR,
    HTTP2_REFUSED_STREAM,
    HTTP2_CANCEL,
    HTTP2_COMPRESSION_ERROR,
    HTTP2_CONNECT_ERROR,
    HTTP2_ENHANCE_YOUR_CALM,
    HTTP2_INADEQUATE_SECURITY,
    HTTP2_HTTP_1_1_REQUIRED,
};

struct http2;
struct http2_stream;
enum {
    HTTP2_FIELDS_MAX = 100,  /* that a peer may send in a head, beside */
    HTTP2_FIELDS_MOST = 128, /* what an option may say of that */
    HTTP2_PSEUDO_MAX = 6,    /* those with a colon */
    HTTP2_HEADERS_MAX = 134 /* of both together, that we may send: we add some of our own */
};
struct http2_header {
    struct text name, value; /* name in lower case; pseudo headers with their colon */
};
struct http2_head { /* valid during the event only */
    const struct http2_header *headers;
    size_t n;
    bool end_stream; /* nothing follows; the stream's `ended` comes right after this event */
};
/* The first of that name; {NULL, 0}: absent. */
struct text http2_head_get(const struct http2_head *head, struct text name);

struct http2_options {
    bool server;
    uint32_t streams_max;   /* concurrent: the setting we send, our own cap as a client; 0: 200 */
    uint32_t stream_window; /* bytes; 0: 1 MiB */
    uint32_t connection_window; /* bytes; 0: 16 MiB; must be larger than stream_window */
    uint32_t frame_max;         /* bytes we accept; 0: 16384 */
    uint32_t header_bytes_max;  /* of one head, decoded; 0: 65536 */
    uint32_t fields_max;        /* of one head; 0: HTTP2_FIELDS_MAX, at most HTTP2_FIELDS_MOST */
    bool secret; /* heads hold secrets (a token): what the session frees is wiped */
    bool connect_only; /* server: anything but CONNECT is answered 405 by the library; HBONE */
};
struct http2_refusal { /* of a request, by the machine itself */
    unsigned status;   /* 0: RST_STREAM */
    uint32_t code;     /* enum http2_code, of the RST_STREAM */
    const char *why;   /* static text, none of it the peer's */
};
struct http2_events {
    /* Server: a request's head is complete. Accept: fill and return an embedded stream after
     * http2_stream_init(); refuse: NULL and *ret_status (an HTTP status; 0: RST_STREAM
     * REFUSED_STREAM). The stream can be used from its event `opened` on, which comes next. */
    struct http2_stream *(*request)(struct http2 *h, const struct http2_head *head,
                                    unsigned *ret_status);
    /* Server: a request that `request` never saw: malformed, beyond the bounds, or one stream too
     * many. May be NULL. */
    void (*refused)(struct http2 *h, const struct http2_refusal *refusal);
    void (*want_flush)(struct http2 *h); /* there is output: call http2_output() in this turn */
    /* The peer: no new streams here. May be NULL. */
    void (*goaway)(struct http2 *h, uint32_t error_code);
    void (*slot)(struct http2 *h); /* a stream ended or the peer raised its limit; may be NULL */
    void (*ping_acked)(struct http2 *h); /* may be NULL */
};
/* There is output at once (SETTINGS), and want_flush is not called for it: call http2_output() when
 * bytes can be sent. -EINVAL: options that contradict one another or RFC 9113; -ENOMEM. */
int http2_new(struct http2 **ret, const struct http2_options *options,
              const struct http2_events *events, void *user, struct chunk_pool *pool);
/* Every stream that is left gets `closed` (not from inside an event of this session):
 * REFUSED_STREAM if its request never left, INTERNAL_ERROR (after `failed` -ECONNABORTED)
 * otherwise. */
struct http2 *http2_free(struct http2 *h);
void *http2_user(const struct http2 *h);
/* Feeds all bytes; events run from here. -EPROTO: the session is dead (a GOAWAY may be waiting in
 * the output), see http2_why(); -ENOMEM: the same, for want of memory. */
int http2_input(struct http2 *h, struct buf *bytes);
/* Appends frames to out until nothing is left or out->len >= max, and runs the events that are due,
 * also when max lets nothing out. -ENOMEM, -ENOBUFS (nothing is lost: call again), -EPROTO. */
int http2_output(struct http2 *h, struct buf *out, size_t max);
bool http2_wants_output(const struct http2 *h);
bool http2_over(const struct http2 *h);      /* neither side will say anything more: close */
void http2_shutdown_notice(struct http2 *h); /* GOAWAY 2^31-1: stop opening */
/* The final GOAWAY; streams that live go on. */
void http2_goaway(struct http2 *h, uint32_t error_code);
void http2_ping(struct http2 *h);
/* The open ones, those included that are only waiting for their RST_STREAM to leave. */
size_t http2_stream_count(const struct http2 *h);
/* Client: not going away, below our cap and the peer's. */
bool http2_can_open(const struct http2 *h);
/* Why the session died; "" while it lives. Static text, none of it the peer's. */
const char *http2_why(const struct http2 *h);

struct http2_stream_events {
    /* Client: response head (not a 1xx); both: trailers come with head->end_stream. */
    void (*head)(struct http2_stream *s, const struct http2_head *head);
    /* The last event of a stream, exactly once, also after failed or reset: memory may go in it or
     * after it. code: enum http2_code, 0 = regular. */
    void (*closed)(struct http2_stream *s, uint32_t code);
    /* Server: right after `request` returned the stream: it can be answered now. May be NULL. */
    void (*opened)(struct http2_stream *s);
    /* Client: a 1xx before the response head. May be NULL. */
    void (*informed)(struct http2_stream *s, const struct http2_head *head);
};
struct http2_stream {
    struct stream stream; /* its events, as in base/stream.h, may be NULL until they are wanted */
    const struct http2_stream_events *events;
    struct http2 *http2; /* NULL before and after */
    struct list link;
    int32_t id;
    uint32_t n_trailers;          /* of `trailers` */
    struct buf out;               /* DATA to be sent */
    size_t unreturned;            /* received while paused: stream window to return at resume */
    size_t unreturned_connection; /* of these, what is also held back of the connection's window */
    bool paused, finish_asked, finish_sent, peer_ended, was_high, deferred, dead;
    bool sent;        /* client: the request's head left */
    bool head_seen;   /* client: the final response head came */
    bool responded;   /* server: http2_stream_respond() was called */
    bool answer_ends; /* server: with end */
    /* Events that http2_input() or http2_output() will run. */
    bool writable_due, finished_due, failed_due;
    int error;                     /* for failed_due */
    uint32_t code;                 /* for closed, when dead */
    struct http2_header *trailers; /* owned copy, sent instead of END_STREAM on DATA */
};
void http2_stream_init(struct http2_stream *s, const struct http2_stream_events *events);
/* Client: sends a request's head; end: no body follows. -EAGAIN: no slot (see http2_can_open),
 * -ENOMEM, -E2BIG. */
int http2_stream_request(struct http2 *h, struct http2_stream *s,
                         const struct http2_header *headers, size_t n, bool end);
/* Server: the answer's head (also a 1xx before it). With end nothing follows. -ENOMEM, -E2BIG,
 * -EPIPE: the stream is closed; -EALREADY: answered before. */
int http2_stream_respond(struct http2_stream *s, const struct http2_header *headers, size_t n,
                         bool end);
/* Trailers after what is queued; ends our direction. -ENOMEM, -E2BIG, -EPIPE: closed, or ended
 * before. */
int http2_stream_trailers(struct http2_stream *s, const struct http2_header *headers, size_t n);
/* Drops what is queued, an answer that has not left included, and tells the peer; `closed` with
 * this code follows, `failed` does not. */
void http2_stream_reset(struct http2_stream *s, uint32_t code);
/* Cuts the owner off from a stream that may still live: reset if needed, no event any more
 * (closed neither). An answer given with `end` still leaves, and the client is told not to send
 * the rest. */
void http2_stream_detach(struct http2_stream *s);
const char *http2_library(void); /* for --version: "nghttp2 1.52.0" */
#endif
