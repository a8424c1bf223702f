/*
 * The requests of one inbound connection, in place of its relay: what each may ask (request_policy.h),
 * how it passes (inbound_http.h), what it leaves behind (account.h, request_account.h). Or, of a
 * connection to a listener of a Gateway, how it goes on into the mesh (outbound_http.h), which counts
 * it as the Gateway's own. Owned by its inbound, made when both sides are there; one worker; bounded
 * as inbound_http.h says.
 */
#ifndef NODEPROXY_PATH_INBOUND_REQUESTS_H
#define NODEPROXY_PATH_INBOUND_REQUESTS_H
#include "nodeproxy/path/local_pod.h"

struct inbound_requests;
struct inbound_requests_events {
    void (*access)(void *user, struct access *ret); /* the connection's, of now */
    void (*ended)(void *user, enum ending ending);  /* as of inbound_http.h, both */
    void (*drained)(void *user);
};
struct inbound_requests_options {
    struct local_pod *pod;
    struct stream *client, *server; /* server NULL: a Gateway's, there is none */
    const char *tls_host; /* of the listener where its TLS ended; NULL: it did not */
    bool of_mesh; /* the client comes by the mesh, as who it says it is */
    const struct account *account; /* all of these of the connection, until `drained` */
    const struct addr *source, *target;
    struct relay *relay; /* only counts */
};
/* Are requests to be expected at this port of the workload? Asked once, before the connection is
 * decided on: what it is decided as it is, whatever is declared meanwhile. POSSIBLE: nobody says, and
 * it is to be looked for (protocol_detect.h). ONWARD: by a listener of a Gateway, so that they go on
 * from here; with BYTES_ONWARD that are no requests (gateway_stream.h). NOWHERE: a Gateway has a listener there that is not served, or not yet: what it was
 * meant for never comes to the pod's own application. */
enum requests_expected {
    REQUESTS_NONE,
    REQUESTS_POSSIBLE,
    REQUESTS_SURE,
    REQUESTS_ONWARD,
    BYTES_ONWARD,
    REQUESTS_NOWHERE
};
struct requests_at {
    enum requests_expected expected;
    bool secured;    /* ONWARD: by a listener of TLS */
    bool may_stream; /* REQUESTS_ONWARD: another listener there, by its server's name, is one of bytes */
};
/* `self` NULL: the workload is not known. */
struct requests_at inbound_requests_expected(const struct path_env *env, const struct workload *self,
                                             uint16_t port);
/* -ENOENT: of a Gateway's, whose workload has just gone. */
int inbound_requests_open(struct inbound_requests **ret, const struct inbound_requests_options *o,
                          const struct inbound_requests_events *events, void *user); /* -ENOMEM */
void inbound_requests_give(struct inbound_requests *r, struct buf *bytes, bool ended);
void inbound_requests_drain(struct inbound_requests *r); /* what its client keeps open for more ends */
bool inbound_requests_look_again(struct inbound_requests *r); /* as of inbound_http.h */
void inbound_requests_close(struct inbound_requests *r, enum ending ending);
#endif
