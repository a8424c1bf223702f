/* What http2.c, http2_stream.c and http2_frames.c share: the session. Nobody else includes it. */
#ifndef SHARED_HTTP2_HTTP2_INTERNAL_H
#define SHARED_HTTP2_HTTP2_INTERNAL_H
#include "shared/http2/http2.h"
#include "shared/http2/http2_credit.h"
#include "shared/http2/http2_head_arena.h"
#include "shared/http2/http2_meter.h"
#include <nghttp2/nghttp2.h>

enum {
    HTTP2_FRAME_HEADER_BYTES = 9,
    /* One DATA frame with its header is exactly one full TLS record. */
    HTTP2_DATA_BYTES_BEST = 16384 - HTTP2_FRAME_HEADER_BYTES,
    /* DATA at the end of an input chunk is handed on with the chunk from this size on, else
     * copied. */
    HTTP2_STEAL_BYTES_MIN = 2048,
    HTTP2_STREAMS_ASSUMED = 100, /* until the peer's SETTINGS tell */
};

struct http2 {
    nghttp2_session *session;
    const struct http2_events *events;
    void *user;
    struct chunk_pool *pool;
    struct http2_options options;
    struct http2_credit credit;
    struct http2_meter meter;
    struct http2_head_arena arena;
    struct list live;             /* streams without a due event */
    struct list due;              /* streams with one */
    struct http2_stream *current; /* whose event runs; NULL once it was detached */
    size_t n_open;  /* as nghttp2 counts: from HEADERS to END_STREAM both ways or RST_STREAM */
    size_t held;    /* of the connection's window, by paused streams */
    unsigned pings; /* sent, not yet acknowledged */

    struct chunk *input; /* fed right now; NULL: it was handed on */
    struct buf *output;  /* of http2_output(), while it runs */
    size_t output_max;
    const uint8_t *unsent; /* nghttp2 gave it out and no chunk was free */
    size_t n_unsent;
    const char *why;

    bool busy;    /* in http2_input(), http2_output() or http2_free() */
    bool no_room; /* the last http2_output() stopped because no chunk was free */
    bool flush_asked;
    bool slot_due;
    bool settings_sent;
    bool settings_seen, going_away, goaway_seen, freeing;
    bool goaway_error_is_ours; /* http2_goaway() asked for one with an error code */
    bool dead;                 /* no more input; output only to say so */
    bool broken;               /* no output either */
    bool forgot;               /* and that is because memory was out, see http2_owes() */
    bool flooded;
};

static inline struct chunk *http2_pop_chunk(struct buf *b) /* b has one */
{
    struct chunk *c = b->head;
    b->head = c->next;
    if (!b->head)
        b->tail = NULL;
    b->len -= chunk_len(c);
    c->next = NULL;
    return c;
}

/* http2_frames.c: the callbacks that nghttp2 runs. */
int http2_frames_callbacks(nghttp2_session_callbacks **ret);
nghttp2_data_provider http2_frames_provider(void);
bool http2_frames_fill(nghttp2_nv *ret_nva, const struct http2_header *headers, size_t n);

/* http2.c */
void http2_ask_flush(struct http2 *h);
void http2_die(struct http2 *h, const char *why);
/* The result of an nghttp2 function that was to tell the peer something. If there was no memory for
 * it, nobody says it later: a session that forgets a reset or a window leaves the peer waiting
 * forever. It ends at its next output. */
void http2_owes(struct http2 *h, int error);

/* http2_stream.c */
void http2_stream_bind(struct http2_stream *s, struct http2 *h, int32_t id);
void http2_stream_make_due(struct http2_stream *s);
/* The stream is over for its owner but for its last events. */
void http2_stream_end(struct http2_stream *s, uint32_t code, int error);
/* Same, and the peer is told. */
void http2_stream_abort(struct http2_stream *s, uint32_t code, int error);
/* Runs what is due; the stream may be gone after. */
void http2_stream_run_due(struct http2_stream *s);
void http2_stream_deliver(struct http2_stream *s, const uint8_t *data, size_t len);
void http2_stream_deliver_end(struct http2_stream *s);
#endif
