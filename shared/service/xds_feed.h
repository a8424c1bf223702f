/*
 * Keeps an xds_client connected to the controller: mutual TLS as the program's own identity, the controller's identity checked, and after any
 * end a jittered backoff (50 ms doubling to 15 s). What was received stays while the controller is away, for ever or for max_age_ms: then
 * it is forgotten, and a returning controller is asked for everything. One ring; embedded.
 */
#ifndef SHARED_SERVICE_XDS_FEED_H
#define SHARED_SERVICE_XDS_FEED_H
#include "shared/transport/h2_conn.h"
#include "shared/xds/xds_client.h"

struct xds_feed;
struct xds_feed_events {
    /* As of xds_client: 0, or why[] says what is wrong. */
    int (*put)(struct xds_feed *f, enum xds_type type, struct text name, const uint8_t *body, size_t len, char why[static XDS_WHY_MAX]);
    void (*removed)(struct xds_feed *f, enum xds_type type, struct text name);
    void (*changed)(struct xds_feed *f); /* once per turn in which something was put or removed, after it */
    /* Every type has been received, or the mesh's were and of the others nothing came for a while (a controller of
     * another make need not know them): once, and again after `forgotten`. */
    void (*synced)(struct xds_feed *f);
    void (*forgotten)(struct xds_feed *f); /* all that was put is too old to be believed; NULL where max_age_ms is 0 */
};
struct xds_feed_options {
    struct ring *ring;
    struct addr controller;
    const char *controller_identity; /* SPIFFE ID that it must prove */
    const char *node_id;
    struct delta_machine machine; /* borrowed; all NULL: it does not ask to be registered */
    unsigned types; /* XDS_MESH, XDS_MESH_AND_ROUTES */
    uint64_t max_age_ms; /* how long without the controller what it said is believed; 0: for ever */
};
struct xds_feed {
    struct xds_feed_options options;
    const struct xds_feed_events *events;
    void *user;
    struct xds_client xds;
    struct h2_conn h2;
    struct tls_config *tls;
    struct timer again;
    struct timer old; /* runs while the controller is away and max_age_ms counts */
    struct timer rest; /* runs while only types that are not the mesh's are missing */
    struct ring_task changed_task;
    uint64_t backoff_ms;
    bool open, closing;
    bool heard;       /* on this stream the controller has said something */
    bool synced_told; /* `synced` was, and is not forgotten */
    char last_error[256];
    void (*drained)(void *arg);
    void *drained_arg;
};
void xds_feed_init(struct xds_feed *f, const struct xds_feed_options *o, const struct xds_feed_events *events, void *user);
/* The program's own certificate came or was renewed: connects if there is no connection; a living one keeps its old one. */
void xds_feed_set_tls(struct xds_feed *f, struct tls_config *client);
void xds_feed_close(struct xds_feed *f, void (*drained)(void *arg), void *arg); /* drained from the loop, or at once */
#endif
