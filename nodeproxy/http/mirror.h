/*
 * Copies of requests that nobody waits for (a route's mirrors): sent once the request itself is over and was whole, and what is
 * answered is not looked at. They outlive the exchange and the client's connection. Owned by a local_pod; one worker. Bounded:
 * copies at a time (beyond it they are left out, and counted), the body as what an exchange keeps, ten seconds each; and by their
 * cluster's breakers, of which each holds its part until it is over.
 */
#ifndef NODEPROXY_HTTP_MIRROR_H
#define NODEPROXY_HTTP_MIRROR_H
#include "nodeproxy/http/upstream_pool.h"

struct mirrors {
    struct ring *ring;
    struct list all;
    size_t n;
    bool closing;
    uint64_t sent, left_out;
    void (*drained)(struct mirrors *m); /* may be NULL */
};
void mirrors_init(struct mirrors *m, struct ring *ring, void (*drained)(struct mirrors *m));
/* The request and its body are copied. Whatever goes wrong, nobody hears of it. */
void mirrors_send(struct mirrors *m, struct upstream_pool *pool, const struct upstream_endpoint *to,
                  struct upstream_stake *taken_stake, const struct http_head *request, struct text authority, const struct buf *body);
/* All end; then `drained`, possibly before it returns. */
void mirrors_close(struct mirrors *m);
#endif
