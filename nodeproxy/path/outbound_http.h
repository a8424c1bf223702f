/*
 * The relay stage of an outbound connection to a Service whose port is declared HTTP: requests instead of bytes. Each request
 * is an exchange of its own: the routes of the Service say where it goes (or its endpoints, if there are none), an endpoint is
 * chosen for it, and a link of the pod's upstream_pool takes it there.
 * Likewise of an inbound connection to a listener of a Gateway, as which its pod serves: there only routes say where requests
 * go, what no route takes is answered 404, and nothing that the client says of who it is or came by goes on.
 * Owned by its outbound, or by its inbound_requests; one worker; bounded as exchange.h and upstream_pool.h say.
 */
#ifndef NODEPROXY_PATH_OUTBOUND_HTTP_H
#define NODEPROXY_PATH_OUTBOUND_HTTP_H
#include "nodeproxy/path/local_pod.h"

struct outbound_http;
struct outbound_http_events {
    /* As exchange_host_ops.filter, of a Gateway's requests only. */
    enum ending (*asked)(void *user, struct http_head *request, struct exchange_notes *ret_notes);
    void (*over)(void *user, const struct exchange_record *record); /* of each request */
    /* As inbound_http's. */
    void (*ended)(void *user, enum ending ending);
    void (*drained)(void *user);
};
/* Whether the service says that this port of it is HTTP, or says nothing of it. */
bool outbound_http_declared(const struct service *s, uint16_t port);
bool outbound_http_untold(const struct service *s, uint16_t port);
/* The client has not been started; lent until outbound_http_close(). `called`: the Service's address. -ENOMEM. */
int outbound_http_open(struct outbound_http **ret, struct local_pod *pod, const struct service *s,
                       const struct addr *called, struct stream *client,
                       const struct outbound_http_events *events, void *user);
/* Whether a listener of the Gateway as which this workload serves is at this port: "gateway|PORT||NAMESPACE/NAME" is its table. */
bool outbound_http_is_gateway(const struct path_env *env, const struct workload *self, uint16_t port);
struct outbound_http_gateway { /* all borrowed for the call */
    const struct workload *self;
    const struct addr *called; /* an address of the pod and the listener's port */
    const struct addr *source; /* the client */
    const char *tls_host;      /* as of inbound_requests.h */
    bool of_mesh;              /* who comes by it: a stranger is believed nothing that it says */
};
/* As outbound_http_open(). */
int outbound_http_open_gateway(struct outbound_http **ret, struct local_pod *pod,
                               const struct outbound_http_gateway *gateway, struct stream *client,
                               const struct outbound_http_events *events, void *user);
/* What the client had said before; takes the bytes. */
void outbound_http_give(struct outbound_http *h, struct buf *bytes, bool ended_too);
bool outbound_http_look_again(struct outbound_http *h); /* as inbound_http_look_again() */
void outbound_http_drain(struct outbound_http *h); /* after the requests that live it ends */
void outbound_http_close(struct outbound_http *h, enum ending ending); /* `drained` follows */
#endif
