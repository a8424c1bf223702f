/*
 * A client's connection that carries requests, as the stories have it in place of their relay: its front, the host of its
 * exchanges, and the order of their end. Embedded in outbound_http and inbound_http, which say where requests go; one
 * worker; bounded as exchange.h says.
 */
#ifndef NODEPROXY_PATH_CLIENT_REQUESTS_H
#define NODEPROXY_PATH_CLIENT_REQUESTS_H
#include "nodeproxy/http/exchange.h"
#include "nodeproxy/http/http_front.h"

struct client_requests;
struct client_requests_ops {
    const struct exchange_host_ops *host; /* with the two below */
    void (*over)(struct client_requests *c, const struct exchange_record *record); /* of each request */
    int (*spoken)(struct client_requests *c, enum http_version version); /* as http_front's; may be NULL */
    void (*left)(struct client_requests *c); /* the client has gone; may be NULL */
    bool (*rests)(const struct client_requests *c); /* the owner has nothing open, either; may be NULL */
    /* Nothing more will be said, all has left that could: client_requests_close(), now or later. Once; not after it. */
    void (*ended)(struct client_requests *c, enum ending ending);
    void (*drained)(struct client_requests *c); /* after the close, from the loop: its memory may go */
};
struct client_requests {
    struct exchange_host host;
    const struct client_requests_ops *ops;
    struct http_front front;
    struct ring_task look;
    enum ending ending;
    bool told, closing, gone;
    bool drains; /* it ends after the requests that live, or the next one */
};
struct client_requests_options {
    struct ring *ring;
    struct exchange_pool *pool;
    struct hold *hold;
    struct pod_bounds *bounds;
    enum bound bound; /* that each request is one of */
    struct stream *client; /* not started; lent until the close */
    uint64_t idle_ms, choose_ms;
};
void client_requests_init(struct client_requests *c, const struct client_requests_options *o,
                          const struct client_requests_ops *ops);
void client_requests_end(struct client_requests *c, enum ending ending); /* `ended` follows, at rest */
void client_requests_drain(struct client_requests *c);
/* `filter` answers otherwise than before: requests that live are asked about again. True: some ended by that. */
bool client_requests_look_again(struct client_requests *c);
void client_requests_look(struct client_requests *c); /* the owner may be at rest now */
void client_requests_close(struct client_requests *c, enum ending ending); /* living ones end so */
void client_requests_over(struct exchange_host *host, const struct exchange_record *record);
void client_requests_gone(struct exchange_host *host);
static inline struct client_requests *client_requests_of(struct exchange_host *host)
{
    return container_of(host, struct client_requests, host);
}
#endif
