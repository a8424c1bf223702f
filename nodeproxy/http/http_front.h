/*
 * A client that speaks HTTP, and has not said which: its first bytes tell, and then it has a link, as a server. Embedded
 * in the story whose client it is; one worker. Bounded: the first bytes are a received piece at most, and the client has
 * ten seconds for them from the first one on, and for that one as long as it may be idle.
 */
#ifndef NODEPROXY_HTTP_HTTP_FRONT_H
#define NODEPROXY_HTTP_HTTP_FRONT_H
#include "nodeproxy/http/http_link.h"
#include "shared/mesh/ending.h"

/* Of one client, at once: what a host has exchanges for. What they may have sent is bounded by their connection's window. */
enum { HTTP_FRONT_STREAMS_MAX = 1000 };
struct http_front;
struct http_front_events {
    /* It is clear what the client speaks, and nothing of it has been read yet. -ENOMEM: it ends by that. May be NULL. */
    int (*spoken)(struct http_front *f, enum http_version version);
    /* It came to no link; once, and http_front_close() is left to do. CLOSED: it went without a word. */
    void (*failed)(struct http_front *f, enum ending ending);
    const struct http_link_events *link; /* of the link; its user is http_front_user() */
};
struct http_front {
    const struct http_front_events *events;
    void *user;
    struct ring *ring;
    struct stream *client;  /* lent until http_front_close(), or until the link has closed */
    struct http_link *link; /* NULL: not yet. The owner sets it to NULL when it has closed. */
    enum http_version version; /* once it is known */
    uint64_t idle_ms;
    struct buf first;
    struct timer late;
    bool first_ended, known, over; /* over: no event any more */
    bool behind; /* as of http_link.h; set after the init */
};
/* The client has not been started. */
void http_front_init(struct http_front *f, struct ring *ring, struct stream *client,
                     uint64_t idle_ms, const struct http_front_events *events, void *user);
/* What the client had said before; takes the bytes. */
void http_front_give(struct http_front *f, struct buf *bytes, bool ended);
/* The link's `closed` follows if there is one. Twice is once. */
void http_front_close(struct http_front *f);
enum ending http_front_ending(int error); /* of a client's connection */
#endif
