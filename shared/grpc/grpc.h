/*
 * gRPC over an http2 session, client and server, as machines without I/O (github.com/grpc/grpc,
 * PROTOCOL-HTTP2). Messages are whole byte strings with a maximum; no compression is offered or
 * accepted. A call is embedded in its owner. Back-pressure: grpc_call_queued() tells what is not
 * yet sent, `writable` when to go on; a receiver may pause.
 *
 * Bounds: one message (message_max), and what http2 bounds. The buffer of a message that is still
 * arriving grows with what has arrived, whatever length was announced. Events run when http2's do;
 * the call's memory may go in `closed`.
 */
#ifndef SHARED_GRPC_GRPC_H
#define SHARED_GRPC_GRPC_H
#include "shared/http2/http2.h"

enum grpc_status {
    GRPC_OK,
    GRPC_CANCELLED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
};
const char *grpc_status_name(enum grpc_status status);
struct grpc_call;
struct grpc_call_events {
    /* The bytes are valid during the event. */
    void (*message)(struct grpc_call *c, const uint8_t *data, size_t len);
    /* Server: the client sends no more messages. May be NULL. */
    void (*half_closed)(struct grpc_call *c);
    /* Exactly once, last. Client: the status. Server: the call is over (OK: our status was
     * sent). */
    void (*closed)(struct grpc_call *c, enum grpc_status status, struct text message);
    /* The queue fell below STREAM_QUEUE_LOW after it was above STREAM_QUEUE_HIGH. May be NULL. */
    void (*writable)(struct grpc_call *c);
};
struct grpc_call {
    struct http2_stream stream;
    const struct grpc_call_events *events;
    void *user;
    struct chunk_pool *pool;
    uint8_t *partial; /* the message being received */
    size_t partial_len, partial_size, message_max;
    uint8_t prefix[5];
    uint8_t prefix_len;
    uint32_t message_len; /* as the prefix says */
    bool server, closed, head_seen, status_seen;
    bool half_closed; /* our side: by grpc_call_half_close() or grpc_call_finish() */
    bool head_sent;   /* server */
    int error;        /* why the stream failed, of base/stream.h */
    bool *gone;       /* while an event runs: set when the call was closed or cancelled in it */
    enum grpc_status status;
    char status_message[512]; /* NUL-terminated; longer ones are cut */
};
enum { GRPC_MESSAGE_MAX = 16 * 1024 * 1024 };
struct grpc_call_options {
    struct text path; /* /package.Service/Method */
    struct text authority;
    struct text bearer; /* "authorization: Bearer ..."; empty: none */
    bool plaintext;     /* :scheme http; otherwise https */
    size_t message_max; /* 0: GRPC_MESSAGE_MAX */
};
/* Client. -EAGAIN: no stream slot; -ENOMEM. */
int grpc_call_start(struct grpc_call *c, struct http2 *h, struct chunk_pool *pool,
                    const struct grpc_call_options *o, const struct grpc_call_events *events,
                    void *user);
/* One message; data is copied. -EPIPE: the call is over or half-closed, -ENOBUFS: no chunks,
 * -EMSGSIZE: over 4 GiB. */
int grpc_call_send(struct grpc_call *c, const uint8_t *data, size_t len);
void grpc_call_half_close(struct grpc_call *c); /* client: no more messages */
/* Server: from http2_events.request. Checks method, content-type, te, and that there are not two
 * authorizations; on success *ret_path and *ret_bearer (views into the head) tell what is asked for.
 * -EPROTO: *ret_http_status is what to refuse with. */
int grpc_request_check(const struct http2_head *head, struct text *ret_path,
                       struct text *ret_bearer, unsigned *ret_http_status);
/* Server: binds an accepted stream; return &c->stream from the request event. The answer's head
 * goes with the first message. grpc_call_send() and grpc_call_finish() work from here on, also
 * inside the request event. */
void grpc_call_accept(struct grpc_call *c, struct chunk_pool *pool, size_t message_max,
                      const struct grpc_call_events *events, void *user);
/* Server: trailers; closed follows. message (UTF-8, may be NULL) is cut at 511 bytes. Calling it
 * again does nothing. */
void grpc_call_finish(struct grpc_call *c, enum grpc_status status, const char *message);
/* Either side; no event follows, memory is the owner's again. */
void grpc_call_cancel(struct grpc_call *c);
/* Messages that have arrived already still come: at most one stream window of them. */
void grpc_call_pause(struct grpc_call *c);
void grpc_call_resume(struct grpc_call *c);
size_t grpc_call_queued(const struct grpc_call *c);
#endif
