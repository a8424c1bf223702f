/*
 * What a route table makes of one request: forwarded to a cluster, changed as the route says; or answered here, by a
 * redirect, a fixed answer or a fault. Embedded in an exchange, which holds the table until it is over, however the
 * directory's tables change meanwhile. Decides, and changes heads; waits for nothing and sends nothing. One thread.
 */
#ifndef NODEPROXY_HTTP_REQUEST_ROUTE_H
#define NODEPROXY_HTTP_REQUEST_ROUTE_H
#include "nodeproxy/http/request_cors.h"
#include "nodeproxy/http/request_session.h"
#include "shared/base/rng.h"
#include "shared/http/http_head.h"
#include "shared/mesh/ending.h"
#include "shared/mesh/route.h"
#include "shared/mesh/route_hash.h"

struct request_route {
    struct route_table *table; /* held; NULL: none, what was called is meant */
    struct route_choice choice;
    const struct route_forward *forward; /* NULL: no table, or answered here */
    uint64_t delay_ms;                   /* a fault: so long before anything else */
    bool abort;                          /* a fault, after the delay */
    uint64_t timeout_ms, try_ms;         /* of all, and of each try; 0: none */
    uint64_t idle_ms;                    /* 0: the host's */
    uint64_t try_idle_ms, duration_ms;   /* of a try without a byte; of all of it; 0: none */
    enum cors_kind cors;
    struct text origin;     /* the request's; in its head */
    struct request_session session;
    struct route_hash hash; /* by which an endpoint is found again */
};
/* Takes the table, whatever comes of it. NONE; NO_ROUTE, NO_MEMORY (which route is meant can't be told, so that none is taken),
 * NO_BACKEND (a split without weights), NOT_DONE (the route asks for
 * something that is not done here: `why` says what, static). After NONE all of it is valid, after NO_BACKEND
 * `forward`. */
enum ending request_route_decide(struct request_route *r, struct route_table *taken_table,
                                 const struct route_request *request, struct rng *rng,
                                 const char **ret_why);
void request_route_done(struct request_route *r);
/* After a NONE, once: the hash of a request that is forwarded. */
void request_route_take_hash(struct request_route *r, const struct http_head *request,
                             const struct ip *source, struct rng *rng);

/* Answered here: by the route, or by its fault. */
bool request_route_answers(const struct request_route *r);
/* That answer; the body is the table's. *ret_end: none. -ENOMEM, -E2BIG, -EINVAL. */
int request_route_answer(const struct request_route *r, const struct http_head *request,
                         struct http_head *ret, struct text *ret_body, bool *ret_end);
/* Forwarded: the cluster that it goes to, {NULL, 0}: the header that should name one is not there. */
struct text request_route_cluster(const struct request_route *r, const struct http_head *request);
/* The request as the next one is to see it; once. -ENOMEM, -E2BIG; -EINVAL: it would be none. */
int request_route_edit(const struct request_route *r, struct http_head *request);
/* `served`: the endpoint that it is of; NULL: it is ours. */
int request_route_edit_answer(const struct request_route *r, const struct addr *served,
                              struct http_head *answer);
#endif
