/*
 * One connection that carries messages, HTTP/1.1 or HTTP/2, as a server or as a client, above any `struct
 * stream`: a TCP connection, or a stream in a tunnel. Allocated once; owned by whoever opened it until
 * `closed`. One worker. The carrier is lent from the open to `closed`: its events are the link's.
 *
 * Bounded: streams at a time (one in HTTP/1.1: pipelined requests wait as bytes, HTTP_LINK_WAITING of them),
 * a head (http_head.h), the time that a request's head may take (in HTTP/1.1; in HTTP/2 that is time without any
 * exchange), the time without any exchange.
 */
#ifndef NODEPROXY_HTTP_HTTP_LINK_H
#define NODEPROXY_HTTP_HTTP_LINK_H
#include "nodeproxy/http/http_stream.h"
#include "shared/ring/ring.h"

enum { HTTP_LINK_WAITING = 64 * 1024 };
/* Of heads of a link that is `behind`: whatever the first hop can write, in either version. */
enum {
    HTTP_BEHIND_FIELDS = HTTP_FIELDS_MAX,
    HTTP_BEHIND_FRAMING = 4, /* HTTP/1.1's fields that no http_head has: Host, Connection, ... */
    HTTP_BEHIND_BYTES = 72 * 1024
};
enum http_version { HTTP_VERSION_1, HTTP_VERSION_2 };
struct http_link_events {
    /* Server: a request is about to come: where its stream is, after http_stream_init(); `opened` comes
     * next if the request is one. NULL: refused with *ret_status (503; 0: tried elsewhere, if it can be). */
    struct http_stream *(*request)(struct http_link *l, unsigned *ret_status);
    /* Server: a request that got no stream was answered so (0: RST_STREAM): too much at once, or HTTP/2 did not
     * understand it. Static text. May be NULL. */
    void (*refused)(struct http_link *l, unsigned status, const char *why);
    void (*slot)(struct http_link *l); /* client: it can take a request again; may be NULL */
    /* The last event, from the end of a turn: every stream has had its `closed`, the carrier has no events
     * any more and is its owner's to close, the link's memory goes. 0: regular, all has left. */
    void (*closed)(struct http_link *l, int error, const char *why);
};
struct http_link_options {
    struct ring *ring;
    struct stream *carrier; /* not started yet, or paused */
    bool server;
    bool behind;   /* what comes may have come by a node proxy that added some of its own: heads may be larger */
    uint32_t streams_max;      /* HTTP/2; 0: 100 */
    uint64_t head_ms, idle_ms; /* 0: 10 s, 1 hour */
};
struct http_link_ops;
struct http_link { /* but for `user` and `version` it is the links' own */
    const struct http_link_ops *ops;
    const struct http_link_events *events;
    void *user;
    enum http_version version;
    struct ring *ring;
    struct stream *carrier;
    uint64_t head_ms, idle_ms;
    struct ring_task turn; /* what is due at the end of a turn, the end of the link, too */
    bool server, over, unserved;
    int error; /* once over */
    const char *why;
};
struct http_link_ops { /* of http1_link.c and http2_link.c */
    enum http_version version;
    const struct stream_events *carrier; /* their user is the http_link */
    void (*turn)(struct ring_task *task);
    int (*request)(struct http_link *l, struct http_stream *s, const struct http_head *head,
                   bool end);
    bool (*can_request)(const struct http_link *l);
    void (*drain)(struct http_link *l);
    int (*answer)(struct http_stream *s, const struct http_head *head, bool end);
    int (*inform)(struct http_stream *s, const struct http_head *head);
    int (*trailers)(struct http_stream *s, const struct http_head *trailers);
    void (*detach)(struct http_stream *s);
    void (*refuse)(struct http_stream *s);
};
/* Then the carrier is started or resumed by its owner. -ENOMEM: nothing happened. */
int http1_link_open(struct http_link **ret, const struct http_link_options *o,
                    const struct http_link_events *events, void *user);
int http2_link_open(struct http_link **ret, const struct http_link_options *o,
                    const struct http_link_events *events, void *user);
/* Client: binds the stream (after http_stream_init()) and sends the head; end: no body follows. -EAGAIN: no
 * slot; -ENOMEM, -ENOBUFS, -E2BIG. */
int http_link_request(struct http_link *l, struct http_stream *s, const struct http_head *head,
                      bool end);
bool http_link_can_request(const struct http_link *l);
/* No new exchanges but those that a client of HTTP/1.1 asks for, for up to a second, before it was told; those that live go on;
 * then `closed`. */
void http_link_drain(struct http_link *l);
/* The same where nobody is left who would answer: what is under way is the last. */
void http_link_drain_unserved(struct http_link *l);
void http_link_close(struct http_link *l); /* all end now; `closed` follows */

/* ---- Of the links alone ---- */

void http_link_begin(struct http_link *l, const struct http_link_ops *ops,
                     const struct http_link_options *o, const struct http_link_events *events,
                     void *user);
/* It is over: `turn` comes, when no stream's event is running. The first error and reason count. */
void http_link_end(struct http_link *l, int error, const char *why);
/* The last thing that `turn` does: the carrier is left, `closed` told. The memory may go then. */
void http_link_leave(struct http_link *l);
#endif
