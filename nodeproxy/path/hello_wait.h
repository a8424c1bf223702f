/*
 * The wait for a client's ClientHello, on a connection that is plain: which server it asks for. Once
 * that is known, it is as if nothing had been read of the connection. Embedded in whoever needs it;
 * one worker. Bounded: what is heard by CLIENT_HELLO_BYTES_MAX, and by the time that its owner gives.
 */
#ifndef NODEPROXY_PATH_HELLO_WAIT_H
#define NODEPROXY_PATH_HELLO_WAIT_H
#include "shared/mesh/ending.h"
#include "shared/tls/client_hello.h"
#include "shared/transport/conn.h"

struct hello_wait {
    struct ring *ring;
    struct conn *client; /* NULL: nothing is heard, or not any more */
    struct buf first;
    struct timer late;
    size_t want; /* bytes, before they are looked at again */
    void (*heard)(void *user, enum ending ending);
    void *user;
    char server[CLIENT_HELLO_NAME_MAX + 1]; /* "": it asked for none, or said no such thing in time */
};
/* Starts the connection. `heard` follows, from the loop: NONE, or why there is nothing more to do. */
void hello_wait_start(struct hello_wait *w, struct ring *ring, struct conn *client, uint64_t wait_ms,
                      void (*heard)(void *user, enum ending ending), void *user);
void hello_wait_stop(struct hello_wait *w); /* before `heard`; fine at any time, and twice */
#endif
