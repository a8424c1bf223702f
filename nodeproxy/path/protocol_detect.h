/*
 * What is spoken on a connection whose port nobody declared: whoever speaks first says it. The client's first bytes are
 * requests, or they are not (http_guess.h); bytes of the server say that they are none, unless they are what a server of HTTP/2
 * says of itself, and so does the end of either side.
 * The server's stream is there beside, so that nobody who waits for its greeting waits for us.
 * Owned by its story; one worker. Bounded: HTTP_GUESS_MAX bytes and a received piece of the client, a second from the first
 * of anybody's on; a received piece of the server; before any byte the time that a connection may idle.
 */
#ifndef NODEPROXY_PATH_PROTOCOL_DETECT_H
#define NODEPROXY_PATH_PROTOCOL_DETECT_H
#include "shared/base/stream.h"
#include "shared/mesh/ending.h"
#include "shared/ring/ring.h"

struct protocol_detect;
struct protocol_detect_events { /* either of them, once: then protocol_detect_hand_over() or _free() */
    void (*decided)(void *user, bool http);
    void (*failed)(void *user, enum ending ending);
};
/* The client has not been started; its events are these until the end. -ENOMEM. */
int protocol_detect_new(struct protocol_detect **ret, struct ring *ring, struct stream *client, uint64_t idle_ms,
                        const struct protocol_detect_events *events, void *user);
/* Not started either. Once; possibly after it was decided, and then its bytes are kept, too. */
void protocol_detect_set_server(struct protocol_detect *d, struct stream *server);
/* What the client had said before; takes the bytes. */
void protocol_detect_give(struct protocol_detect *d, struct buf *bytes, bool ended);
/* Others have both streams' events now (of the client alone, where the server was forgotten): what was said is said to
 * them. Frees it. */
void protocol_detect_hand_over(struct protocol_detect *taken_d);
void protocol_detect_forget_server(struct protocol_detect *d); /* its stream goes; what it said is dropped */
struct protocol_detect *protocol_detect_free(struct protocol_detect *d);
#endif
