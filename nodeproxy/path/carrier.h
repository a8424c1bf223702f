/*
 * One way from a local workload to an endpoint, as a stream: a connection from the pod's own namespace, a tunnel to the
 * workload that is there, or, if that lives on this node, into its inbound story, without a tunnel but with the same
 * identities and the same policy. One worker; belongs to who opened it until `gone`.
 */
#ifndef NODEPROXY_PATH_CARRIER_H
#define NODEPROXY_PATH_CARRIER_H
#include "nodeproxy/path/local_pod.h"

struct carrier;
struct carrier_events {
    void (*opened)(void *user, struct stream *stream); /* whose events are to be set: then carrier_start() */
    /* It came to nothing: carrier_close(). why: "" or a sentence, for this call only. */
    void (*failed)(void *user, enum ending ending, const char *why);
    void (*gone)(void *user); /* after carrier_close(), from the loop: its memory has gone */
};
/* How to get to the address, where the workload is (NULL: no workload that is known); `id` is what ret's identity lies in.
 * NONE, OWN_PORT, PEER_MISMATCH. */
enum ending carrier_way(const struct path_env *env, const struct workload *there,
                        const struct addr *to, struct spiffe_id *id,
                        struct upstream_endpoint *ret);
/* The texts of `to` stay until it has opened, or is closed. `opened` or `failed` follows, not before it returns; closed
 * before, neither does. -ENOMEM, -ENOBUFS, -ENOKEY (no identity). */
int carrier_open(struct carrier **ret, struct local_pod *p, const struct upstream_endpoint *to,
                 const struct addr *source, const struct carrier_events *events, void *user);
void carrier_start(struct carrier *c);
/* Ends it, its stream's events are not told any more; clean: what was sent leaves, and its end is one. */
void carrier_close(struct carrier *c, bool clean);
enum ending carrier_broken(const struct carrier *c); /* may it not live any longer? */
bool carrier_is_leaving(const struct carrier *c); /* its time is near */
/* As which address the pod calls when nobody's connection is behind it. */
struct addr carrier_own_address(const struct local_pod *p, int family);
#endif
