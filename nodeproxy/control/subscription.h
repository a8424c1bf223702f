/*
 * The node proxy as an xDS client of the controller: keeps a connection (mutual TLS as the node's own identity), applies what comes
 * to the directory, and comes back after a jittered backoff (50 ms doubling to 15 s). While the controller is away the last good
 * state stays. Control thread.
 */
#ifndef NODEPROXY_CONTROL_SUBSCRIPTION_H
#define NODEPROXY_CONTROL_SUBSCRIPTION_H
#include "nodeproxy/credentials/credential.h"
#include "shared/mesh/directory.h"
#include "shared/transport/h2_conn.h"
#include "shared/xds/xds_client.h"

struct subscription_options {
    struct ring *ring;
    struct directory *directory;
    struct addr controller;
    const char *controller_identity; /* SPIFFE ID that it must prove */
    const char *node_id;
    void (*changed)(void *arg);      /* the directory has new things (also after partly bad responses) */
    void (*synced)(void *arg);       /* every type has been received once; called once */
    void *arg;
};
struct subscription {
    struct subscription_options options;
    struct xds_client xds;
    struct h2_conn h2;
    struct credential *credential;
    struct timer again;
    uint64_t backoff_ms;
    bool open, closing, synced_told;
    char last_error[256];
    void (*drained)(void *arg);
    void *drained_arg;
};
void subscription_init(struct subscription *s, const struct subscription_options *o);
/* The node's own credential came or was renewed: connects if it isn't; a living connection keeps its old one. */
void subscription_set_credential(struct subscription *s, struct credential *c);
void subscription_close(struct subscription *s, void (*drained)(void *arg), void *arg);
#endif
