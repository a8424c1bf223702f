/*
 * What the two files of the endpoints share: admin.c, the exchanges; admin_sockets.c, where they are
 * listened for. Nobody else includes it.
 */
#ifndef SHARED_SERVICE_ADMIN_INSIDE_H
#define SHARED_SERVICE_ADMIN_INSIDE_H
#include "shared/service/admin.h"
#include "shared/transport/conn.h"
#include "shared/transport/listener.h"
#include <sys/stat.h>

struct admin_socket {
    struct admin *admin;
    struct listener listener;
    uint64_t mask;
    struct list link;
    char *path;  /* NULL: TCP */
    bool secure; /* over the admin's TLS */
    bool beside; /* it is at PATH.new, until admin_publish() */
    dev_t device;
    ino_t inode;
};

struct admin {
    struct ring *ring;
    const struct admin_route *routes;
    size_t n_routes;
    struct list sockets, exchanges;
    size_t n_sockets, n_listening;
    struct ring_task end_task;
    struct tls_config *tls; /* of the secure sockets; NULL: not yet */
    bool closing, retired;
    void (*drained)(void *arg);
    void *drained_arg;
};

enum state {
    READING,   /* a request, or waiting for one */
    HANDLING,  /* the handler owes an answer */
    STREAMING, /* an answer without an end, which the handler's owner tells */
    WRITING,   /* an answer's body */
    FINISHING, /* our last answer leaves */
    LINGERING, /* it has left; waiting for the client's end */
};

/* A connection and the one request on it that is being answered. Owned by the admin; an exchange
 * that is being handled when its connection ends is owned by whoever will answer it. */
struct admin_exchange {
    struct admin *admin; /* NULL: the connection is gone */
    struct admin_socket *socket;
    struct conn conn;
    struct ip from;
    struct http1 *http1;
    struct list link;
    struct timer timer;
    struct ring_task next_task;
    struct buf in;
    enum state state;
    bool keep_alive, head_only, answered;
    char *body; /* of the answer, what did not go into the queue at once */
    size_t body_len, body_sent;
    const struct admin_stream_events *events; /* STREAMING */
    void *events_arg;
    bool refused; /* STREAMING: a piece; the client has until the timer to take what waits */
};

/* Of the sockets' listeners. */
void admin_accepted(struct listener *l, int taken_fd);
void admin_socket_drained(struct listener *l);
/* Removes the file, unless another process has put its own socket there meanwhile. */
void admin_remove_file(const struct admin_socket *s);
#endif
