/*
 * The relay stage of an inbound stream whose port is declared HTTP: requests instead of bytes. The client's first bytes
 * say which HTTP it is, and the application is spoken to in the same by one connection: what ends or closes on one side
 * does on the other, as if there were nobody between. Owned by its inbound; one worker; bounded as exchange.h says.
 */
#ifndef NODEPROXY_PATH_INBOUND_HTTP_H
#define NODEPROXY_PATH_INBOUND_HTTP_H
#include "nodeproxy/http/exchange.h"
#include "shared/mesh/directory.h"

struct inbound_http;
struct inbound_http_events {
    enum ending (*asked)(void *user, struct http_head *request,
                         struct exchange_notes *ret_notes); /* as exchange_host_ops.filter */
    void (*over)(void *user, const struct exchange_record *record); /* of each request */
    /* Nothing more will be said, all has left that could: inbound_http_close(), now or later. Once; not after it. */
    void (*ended)(void *user, enum ending ending);
    void (*drained)(void *user); /* after the close, from the loop: the memory goes */
};
struct inbound_http_options {
    struct ring *ring;
    struct exchange_pool *pool;
    struct hold *hold;
    struct pod_bounds *bounds;
    const struct tracer *tracer; /* NULL: none */
    struct stream *client, *server; /* neither has been started; lent until inbound_http_close() */
    bool behind;                    /* the client's node proxy may have added fields: http_link.h */
    uint64_t idle_ms;               /* 0: never */
    uint64_t choose_ms; /* so long a request waits until the server can take it; 0: for ever */
};
/* What the services that lead to this port of the workload say of it: HTTP if all do, and UNTOLD where none says
 * anything else than HTTP, but not all that. */
enum http_declared { HTTP_DECLARED_NOT, HTTP_DECLARED_UNTOLD, HTTP_DECLARED };
enum http_declared inbound_http_declared(const struct directory *d, const struct workload *self,
                                         uint16_t port);
int inbound_http_open(struct inbound_http **ret, const struct inbound_http_options *o,
                      const struct inbound_http_events *events, void *user); /* -ENOMEM */
/* What the client had said before; takes the bytes. */
void inbound_http_give(struct inbound_http *h, struct buf *bytes, bool ended_too);
/* `asked` answers otherwise than before: its requests that live are asked about again. True: some ended by that. */
bool inbound_http_look_again(struct inbound_http *h);
void inbound_http_close(struct inbound_http *h,
                        enum ending ending); /* living requests end so; `drained` follows */
#endif
