/*
 * The relay stage of an outbound connection to a Service whose port is declared HTTP: requests instead of bytes. Each request
 * is an exchange of its own: the routes of the Service say where it goes (or its endpoints, if there are none), an endpoint is
 * chosen for it, and a link of the pod's upstream_pool takes it there.
 * Owned by its outbound; one worker; bounded as exchange.h and upstream_pool.h say.
 */
#ifndef NODEPROXY_PATH_OUTBOUND_HTTP_H
#define NODEPROXY_PATH_OUTBOUND_HTTP_H
#include "nodeproxy/path/local_pod.h"

struct outbound_http;
struct outbound_http_events {
    void (*over)(void *user, const struct exchange_record *record); /* of each request */
    /* As inbound_http's. */
    void (*ended)(void *user, enum ending ending);
    void (*drained)(void *user);
};
/* Whether the service says that this port of it is HTTP. */
bool outbound_http_declared(const struct service *s, uint16_t port);
/* The client has not been started; lent until outbound_http_close(). `called`: the Service's address. -ENOMEM. */
int outbound_http_open(struct outbound_http **ret, struct local_pod *pod, const struct service *s,
                       const struct addr *called, struct stream *client,
                       const struct outbound_http_events *events, void *user);
void outbound_http_drain(struct outbound_http *h); /* after the requests that live it ends */
void outbound_http_close(struct outbound_http *h, enum ending ending); /* `drained` follows */
#endif
