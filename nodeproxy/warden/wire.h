/*
 * What the data process and the warden say to each other over a SOCK_SEQPACKET pair: one request
 * and one answer a message, descriptors beside them (SCM_RIGHTS). Pure but for wire_send() and
 * wire_receive(); both sides check everything that arrives. Bounds: WIRE_BYTES_MAX bytes and
 * WIRE_FDS_MAX descriptors a message. Both sides are one program, so numbers are in host order.
 */
#ifndef NODEPROXY_WARDEN_WIRE_H
#define NODEPROXY_WARDEN_WIRE_H
#include "nodeproxy/capture/privileged.h"
#include <stdbool.h>

enum { WIRE_FDS_MAX = 253 /* the kernel's */, WIRE_PATH_MAX = 1024, WIRE_ADDRESSES_MAX = 2048 };
enum { WIRE_BYTES_MAX = 64 + WIRE_ADDRESSES_MAX * sizeof(struct ip) };

enum wire_kind {                  /* descriptors of the request; of a good answer */
                 WIRE_HELLO = 1,  /* none; none */
                 WIRE_NETNS_OPEN, /* none; the namespace */
                 WIRE_ENROL, /* the namespace, or that and its three listeners; three listeners */
                 WIRE_KEEP,  /* the namespace and its three listeners; none */
                 WIRE_CHECK,
                 WIRE_RELEASE,    /* the namespace; none */
                 WIRE_FORGET,     /* the namespace, or none: all pods; none */
                 WIRE_SOCKETS,    /* the namespace; as many as were asked for */
                 WIRE_NODE_RULES, /* none; none. Long lists come in pieces: the last one puts them */
};
enum { WIRE_FIRST = 1, WIRE_LAST = 2 }; /* of the pieces */

struct wire_request {
    uint64_t id;
    enum wire_kind kind;
    int family;                 /* SOCKETS: AF_INET or AF_INET6 */
    unsigned count;             /* SOCKETS: 1 to WIRE_FDS_MAX */
    unsigned pieces;            /* NODE_RULES: WIRE_FIRST | WIRE_LAST */
    const char *path;           /* NETNS_OPEN: borrowed from the message */
    const struct ip *addresses; /* NODE_RULES: borrowed from the message */
    size_t n_addresses;
};
struct wire_answer {
    uint64_t id;         /* of the request; 0: a warden's first word, nobody asked */
    uint64_t generation; /* of the warden: another one has forgotten what it was told to keep */
    int result;          /* 0 or -errno, and then why */
    char why[PRIVILEGED_WHY_MAX];
};
/* The length; out has room for WIRE_BYTES_MAX. 0: it does not fit (a path or a list too long). */
size_t wire_encode_request(const struct wire_request *q, void *out);
size_t wire_encode_answer(const struct wire_answer *a, void *out);
/* -EBADMSG: it is not one, or not with that many descriptors. */
int wire_decode_request(const void *bytes, size_t len, size_t n_fds, struct wire_request *ret);
int wire_decode_answer(const void *bytes, size_t len, struct wire_answer *ret);

struct wire_message {
    _Alignas(8) unsigned char bytes[WIRE_BYTES_MAX];
    size_t len;
    int fds[WIRE_FDS_MAX]; /* received ones are CLOEXEC and the receiver's */
    size_t n_fds;
};
/* wait false: -EAGAIN instead of waiting. */
int wire_send(int channel, const struct wire_message *m, bool wait);
/* -EMSGSIZE: too much of something, all of it dropped. -EPIPE: the other side is gone. */
int wire_receive(int channel, struct wire_message *ret, bool wait);
void wire_close_fds(struct wire_message *m);
#endif
