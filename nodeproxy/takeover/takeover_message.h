/*
 * What two node proxies say to each other at a take-over: one JSON object in one packet of a Unix
 * socket (SOCK_SEQPACKET), with descriptors beside it (SCM_RIGHTS). Strict: what is not understood
 * is an error that says so, an unknown version too. Bounded: TAKEOVER_BYTES_MAX,
 * TAKEOVER_FDS_MAX. Control thread; nothing here waits.
 *
 * successor                     predecessor
 *   hello (version)       ->
 *                         <-    hello (version)         connected, nothing has changed yet
 *   ask                   ->                            once it has certificates and the mesh
 *                         <-    socket (address) + 1 descriptor
 *   next                  ->
 *                         <-    pod (as in the state folder) + 6 descriptors, or none
 *   next                  ->    ... one by one ...
 *                         <-    all (how many pods)
 *   taken                 ->                            it has enrolled and serves them all
 *                         <-    yours + 1 descriptor    the lock: from here the node is its own
 * Either may say `refuse` (why) at any time, or leave; before `yours` nothing has changed for the
 * predecessor then. It says `ending` when it was asked to end: a successor that waits asks at once.
 */
#ifndef NODEPROXY_TAKEOVER_TAKEOVER_MESSAGE_H
#define NODEPROXY_TAKEOVER_TAKEOVER_MESSAGE_H
#include "shared/base/addr.h"
#include "shared/json/json.h"

enum {
    TAKEOVER_PROTOCOL = 2,
    TAKEOVER_BYTES_MAX = 16 * 1024,
    TAKEOVER_WORDS_MAX = 256,
    TAKEOVER_FDS_MAX = 6, /* of a pod: five sockets and the namespace */
};
enum takeover_kind {
    TAKEOVER_HELLO,
    TAKEOVER_ASK,
    TAKEOVER_NEXT,
    TAKEOVER_SOCKET,
    TAKEOVER_POD,
    TAKEOVER_ALL,
    TAKEOVER_TAKEN,
    TAKEOVER_YOURS,
    TAKEOVER_REFUSE,
    TAKEOVER_ENDING,
    TAKEOVER_KINDS
};
struct takeover_message {
    enum takeover_kind kind;
    char words[TAKEOVER_WORDS_MAX]; /* HELLO: the program's version; REFUSE: why */
    struct addr address;            /* SOCKET */
    uint64_t pods;                  /* ALL */
    struct text description;        /* POD, to be sent: a JSON object; borrowed */
    const struct json *pod;         /* POD, received: in root */
    struct json *root;
    int fds[TAKEOVER_FDS_MAX]; /* received: owned by the message until they are set to -1 */
    size_t n_fds;
};
const char *takeover_kind_name(enum takeover_kind kind);
/* -EINVAL, and why says what would be right: not JSON, not one of these, another protocol, other
 * descriptors than the kind has. *ret is only valid after 0; then takeover_message_done(). n_fds:
 * how many came along. */
int takeover_decode(struct text bytes, size_t n_fds, struct takeover_message *ret,
                    char why[static TAKEOVER_WORDS_MAX]);
int takeover_encode(const struct takeover_message *m, struct text_heap *out); /* -E2BIG, -ENOMEM */
void takeover_message_done(struct takeover_message *m); /* what is left of it; twice is fine */

/* One packet. -EAGAIN (the other one never has more than one outstanding, so that is an error of
 * its side), -EPIPE and others. Descriptors are borrowed. */
int takeover_send(int socket, const struct takeover_message *m);
int takeover_send_words(int socket, enum takeover_kind kind, const char *words);
/* -EAGAIN: nothing is there; -ECONNRESET: the other side has left; -EINVAL: see decode. */
int takeover_receive(int socket, struct takeover_message *ret, char why[static TAKEOVER_WORDS_MAX]);

/* The socket that the owner of a run folder offers the take-over on. Connecting: -ENOENT,
 * -ECONNREFUSED: nobody is there. */
int takeover_socket_listen(const char *path, int *ret_fd);
int takeover_socket_connect(const char *path, int *ret_fd);
/* -EPERM: the other end is not run by the same user as we are. */
int takeover_socket_check(int socket);
#endif
