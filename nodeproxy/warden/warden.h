/*
 * The warden: the only process of the node proxy that keeps privileges. It serves the requests of
 * nodeproxy/capture/privileged.h (packets: wire.h) one after the other, and sees no byte of
 * traffic. It believes the data process nothing that it can look at: descriptors are what they
 * should be, namespaces are a pod's, numbers are bounded, rules and sockets only ours. It remembers
 * the pods' listening sockets (kept.h) and otherwise nothing: a new one can go on at any moment.
 */
#ifndef NODEPROXY_WARDEN_WARDEN_H
#define NODEPROXY_WARDEN_WARDEN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct warden_options {
    int channel; /* the warden's end of a SOCK_SEQPACKET pair */
    size_t pods_max;
    bool dns; /* pods' queries are captured */
    /* Of a machine that is no node: the rules of our own namespace, quiet and in force, and there are
     * no other pods (nodeproxy/machine). NULL: a node's, whose own namespace is never touched so. */
    const char *machine[2];
    uint64_t orphan_ms; /* how long a new data process may take to ask for a pod's listeners */
};
/* Serves until the channel breaks: -errno. What it can't open yet it tries again at each request,
 * whose answer says what is missing. */
int warden_run(const struct warden_options *o);
#endif
