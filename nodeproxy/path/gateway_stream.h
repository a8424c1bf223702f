/*
 * The way on of a connection to a Gateway whose bytes are no requests of ours: of a listener of TCP, or of
 * TLS (decision 46). Its table says which cluster (tcp_route.h), the cluster which endpoint, and a carrier
 * goes there as the Gateway's pod. Of one inbound connection, and its; one worker; bounded as these two.
 */
#ifndef NODEPROXY_PATH_GATEWAY_STREAM_H
#define NODEPROXY_PATH_GATEWAY_STREAM_H
#include "nodeproxy/path/account.h"
#include "nodeproxy/path/local_pod.h"
#include "shared/mesh/gateway_table_name.h"

/* Whether the Gateway as which this workload serves has a table of this kind for the port. */
bool gateway_stream_is_at(const struct path_env *env, const struct workload *self, uint16_t port,
                          enum gateway_table_kind kind);
/* How precisely a listener whose TLS passes has this server, as listener_host_fits() says it. */
size_t gateway_stream_passes(const struct path_env *env, const struct workload *self, uint16_t port,
                             struct text server);

struct gateway_stream;
struct gateway_stream_events {
    void (*opened)(void *user); /* gateway_stream_server() is there */
    void (*failed)(void *user, enum ending ending);
    void (*drained)(void *user); /* after the close, from the loop: it may be freed */
};
/* NULL: no memory. Freed before it is open, or once it has drained; NULL is fine, returns NULL. */
struct gateway_stream *gateway_stream_new(struct local_pod *pod, const struct gateway_stream_events *events,
                                          void *user);
struct gateway_stream *gateway_stream_free(struct gateway_stream *s);
/* To where the table of the Gateway's port that was called leads, for a client that asked for this server
 * ("": none). NONE: `opened` or `failed` follows, not before it returns; else why not, and nothing does. */
enum ending gateway_stream_open(struct gateway_stream *s, enum gateway_table_kind kind,
                                const struct addr *called, struct text server);
struct stream *gateway_stream_server(struct gateway_stream *s);
void gateway_stream_start(struct gateway_stream *s); /* the server's events are set */
/* The Gateway and whom it called; pointers are good for this turn. */
void gateway_stream_subject(const struct gateway_stream *s, struct account_subject *ret);
const struct addr *gateway_stream_endpoint(const struct gateway_stream *s); /* port 0: none was chosen */
struct text gateway_stream_route(const struct gateway_stream *s); /* until the close */
struct text gateway_stream_why(const struct gateway_stream *s);   /* "": the ending says it all */
enum ending gateway_stream_broken(const struct gateway_stream *s); /* may it not live any longer? */
/* True: `drained` follows. */
bool gateway_stream_close(struct gateway_stream *s, enum ending ending);
#endif
