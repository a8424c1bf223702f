/*
 * What the data process and the warden say to each other over a SOCK_SEQPACKET pair: one request
 * and one answer a packet, descriptors beside them. Pure; both sides check everything that arrives.
 * Here is the warden's half; the data process's is nodeproxy/capture/wire_client.h. Bounds:
 * WIRE_BYTES_MAX bytes and PACKET_FDS_MAX descriptors a packet. Both sides are one program, so
 * numbers are in host order.
 */
#ifndef NODEPROXY_WARDEN_WIRE_H
#define NODEPROXY_WARDEN_WIRE_H
#include "nodeproxy/capture/privileged.h"
#include "shared/ring/packet.h"

enum { WIRE_PATH_MAX = 1024, WIRE_ADDRESSES_MAX = 2048 };
enum { WIRE_BYTES_MAX = 64 + WIRE_ADDRESSES_MAX * sizeof(struct ip) };

/* With the descriptors of the request; of a good answer. */
enum wire_kind {
    WIRE_HELLO = 1,  /* none; none */
    WIRE_NETNS_OPEN, /* none; the namespace */
    WIRE_ENROL,      /* the namespace; its listeners: those that are kept, or new ones */
    WIRE_ENROL_RUNNING, /* the same, and the connections that it has go on past us */
    WIRE_QUIET,      /* the namespace; none */
    WIRE_KEEP,       /* the namespace and its listeners; none */
    WIRE_CHECK,      /* the namespace; none */
    WIRE_RELEASE,    /* the namespace; none */
    WIRE_FORGET,     /* the namespace, or none: all pods; none */
    WIRE_SOCKETS,    /* the namespace; as many as were asked for */
    WIRE_NODE_RULES, /* none; none */
    WIRE_KINDS
};

struct wire_request {
    uint64_t id;
    enum wire_kind kind;
    int family;                 /* SOCKETS: AF_INET or AF_INET6 */
    int type;                   /* SOCKETS: SOCK_STREAM or SOCK_DGRAM */
    unsigned count;             /* SOCKETS: 1 to PACKET_FDS_MAX */
    bool more;                  /* NODE_RULES: adds to what was told before, which did not fit */
    const char *path;           /* NETNS_OPEN: borrowed from the packet */
    const struct ip *addresses; /* NODE_RULES: borrowed from the packet */
    size_t n_addresses;
};
struct wire_answer {
    uint64_t id;         /* of the request; 0: a warden's first word, nobody asked */
    uint64_t generation; /* of the warden: another one has forgotten what it was told to keep */
    int result;          /* 0 or -errno, and then why */
    char why[PRIVILEGED_WHY_MAX];
};

/* How they lie in a packet. */
enum { WIRE_REQUEST = 0x57445251, WIRE_ANSWER = 0x57444157 };
struct wire_request_head { /* then the path with its NUL, or the addresses */
    uint32_t magic, kind;
    uint64_t id;
    uint32_t family, type, count, more;
};
struct wire_answer_head { /* then why, without a NUL */
    uint32_t magic;
    int32_t result;
    uint64_t id, generation;
};

/* -EBADMSG: it is none, or not with that many descriptors. */
int wire_decode_request(const void *bytes, size_t len, size_t n_fds, struct wire_request *ret);
/* Of a request that can't be read any further, because its descriptors are lost. 0: it is none. */
uint64_t wire_request_id(const void *bytes, size_t len);
/* The length; out has room for WIRE_BYTES_MAX. */
size_t wire_encode_answer(const struct wire_answer *a, void *out);
#endif
