/*
 * What base/stream.h is for bytes, for messages: one side of an exchange, the same above HTTP/1.1 and
 * HTTP/2. On a server's link the request comes in and the answer goes out, on a client's link the other
 * way round. Embedded in its owner (an exchange); bound to a link (http_link.h) from `opened`, or from
 * http_link_request(), to `closed` or http_stream_detach(). One worker.
 *
 * - The message that comes in is `head`, filled by the link: a request before `opened`, an answer before
 *   the event `head`. It is the owner's to change; the link does not look at it again.
 * - The body, both ways, is `body`, a `struct stream` with all its rules; its `ended` is the end of the
 *   message that comes in. The owner sets body->events in `opened`, or right after http_link_request(). A
 *   server's body begins paused: resume it.
 * - Trailers come before body's `ended`, also as a `head`, in `trailers`.
 * - After an Upgrade that was accepted (101) the bodies are bytes of another protocol, in both directions.
 *   The request's `ended` waits until the answer tells.
 * - Operations never call events. Events come from the loop, or while the link is fed.
 */
#ifndef NODEPROXY_HTTP_HTTP_STREAM_H
#define NODEPROXY_HTTP_HTTP_STREAM_H
#include "shared/http/http_head.h"
#include "shared/http2/http2.h"

struct http_link;
struct http_stream;
struct http_stream_events {
    void (*opened)(struct http_stream *s); /* server: it may be answered from now on */
    void (*head)(struct http_stream *
                     s); /* client: the answer's head has come; its status is not 1xx but for 101 */
    void (*informed)(
        struct http_stream *s); /* client: a 1xx before it, in `head` until the event returns */
    void (*trailers)(struct http_stream *s,
                     struct http_head *trailers); /* may be changed during the event */
    /* The last event, once (its memory may go after, from a task), after body's `failed` if it did: 0: both messages are whole. -ECONNREFUSED:
     * the other side did nothing with it. -ECONNRESET, -ECONNABORTED (the link broke), -EPROTO, -ENOMEM... */
    void (*closed)(struct http_stream *s, int error);
};
struct http1_part { /* of http1_link.c */
    struct stream stream;
    bool finish_asked, finished_due, finished, peer_ended, paused, was_high, dropped;
    bool heard; /* client: something came since the request was said */
};
struct http_stream {
    const struct http_stream_events *events;
    void *user;
    struct http_link *link; /* NULL: not bound */
    struct stream *body;    /* valid while bound */
    bool no_body;           /* of what came in: its `ended` comes right after `opened` or `head` */
    bool answered;          /* server: a final head was sent; client: one came */
    bool upgrade;           /* the request asks for another protocol, and the link could */
    unsigned refused; /* server: what the link answered; then `closed` comes and never `opened` */
    bool last;        /* client: the server ends the connection after this answer */
    bool raw;         /* the other protocol is spoken */
    union {
        struct http1_part h1;
        struct http2_stream h2;
    };
    struct http_head head; /* that came in; the last, for it is large */
};
void http_stream_init(struct http_stream *s, const struct http_stream_events *events, void *user);
void http_stream_done(struct http_stream *s); /* detached before */

/* Server: the answer's head; end: no body follows (trailers neither). Status 101 makes both bodies raw.
 * -ENOMEM, -ENOBUFS, -E2BIG; -EPIPE: closed. */
int http_stream_answer(struct http_stream *s, const struct http_head *head, bool end);
/* Server: a 1xx before it. Where the client would not understand it nothing is sent. */
int http_stream_inform(struct http_stream *s, const struct http_head *head);
/* Instead of stream_finish(body): these, after the body, are the end. Where they can't be said the message
 * ends without them. -ENOMEM, -ENOBUFS, -E2BIG; -EPIPE: ended or closed before. */
int http_stream_trailers(struct http_stream *s, const struct http_head *trailers);
/* Client, bound, also in body's `failed`: surely nobody has done anything with the request; a byte of the answer has come. */
bool http_stream_is_untouched(const struct http_stream *s);
bool http_stream_was_heard(const struct http_stream *s);
/* Server, instead of an answer: nobody has done anything with the request, as far as can be known, and its client may say it
 * again. As detach otherwise. */
void http_stream_refuse(struct http_stream *s);
/* Both ways, now; `closed` does not follow, the stream is not bound any more. What was sent before body's
 * `finished` came has left; a message that was cut off never looks whole. */
void http_stream_detach(struct http_stream *s);
#endif
