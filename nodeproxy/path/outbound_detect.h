/*
 * The way of an outbound connection to a Service's port that nobody declared, while it isn't known yet what is spoken on it,
 * and, where that is bytes, for as long as it lives: a carrier to the chosen endpoint, opened beside the look at the client's
 * first bytes (protocol_detect.h). Requests choose their endpoints themselves: the carrier is closed then.
 * Owned by its outbound; one worker; bounded as these two.
 */
#ifndef NODEPROXY_PATH_OUTBOUND_DETECT_H
#define NODEPROXY_PATH_OUTBOUND_DETECT_H
#include "nodeproxy/path/local_pod.h"

struct outbound_detect;
struct outbound_detect_events {
    /* Once, unless it failed before: then outbound_detect_hand_over(). Bytes: the server is there. */
    void (*decided)(void *user, bool http);
    void (*failed)(void *user, enum ending ending, const char *why); /* why: "" or a sentence, for this call */
    void (*drained)(void *user); /* after the close (http: after the hand-over), from the loop: its memory has gone */
};
struct outbound_detect_options {
    struct local_pod *pod;
    const struct workload *there; /* NULL: none that is known */
    struct addr to, source;
    struct text service_host;     /* until it has drained */
    struct tls_config *tls; /* of its connections; NULL: none */
    struct upstream_cluster *cluster; /* whose connection it is, for its time to connect; NULL: nobody's */
    struct stream *client;        /* not started: the owner does that next */
};
/* ENDING_NONE, or why there is no way; then nothing follows. */
enum ending outbound_detect_open(struct outbound_detect **ret, const struct outbound_detect_options *o,
                                 const struct outbound_detect_events *events, void *user);
const struct upstream_endpoint *outbound_detect_endpoint(const struct outbound_detect *d);
const struct spiffe_id *outbound_detect_identity(const struct outbound_detect *d); /* NULL: none is asked for */
struct stream *outbound_detect_server(struct outbound_detect *d); /* once bytes were decided on */
/* Others have the events now; http: closes it, too. */
void outbound_detect_hand_over(struct outbound_detect *d, bool http);
void outbound_detect_close(struct outbound_detect *d, bool clean); /* as carrier_close(); `drained` follows */
enum ending outbound_detect_broken(const struct outbound_detect *d); /* may it not live any longer? */
#endif
