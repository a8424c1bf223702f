/*
 * What somebody wrote for the connections to a port of a Service: routes (a table "tcp|PORT||HOST",
 * docs/decisions/0031), or something about its cluster. Where a route asks for it, the first bytes
 * of the client are heard for the server that it asks for; then a route is chosen, a cluster by
 * weight, and an endpoint by the cluster's balancer. What is in use of the cluster is held until
 * the connection's end. Made for one outbound connection, and its; one worker. Bounded: what is
 * heard by CLIENT_HELLO_BYTES_MAX and TCP_ROUTE_HEAR_MS.
 */
#ifndef NODEPROXY_PATH_TCP_ROUTE_H
#define NODEPROXY_PATH_TCP_ROUTE_H
#include "nodeproxy/path/local_pod.h"
#include "shared/transport/conn.h"

enum { TCP_ROUTE_HEAR_MS = 5000 }; /* a client that waits for the server's word has said nothing by then */

struct tcp_route;
/* *ret NULL: nothing was written; that is most often so, and then the Service's endpoints serve it.
 * -ENOMEM. */
int tcp_route_open(struct tcp_route **ret, struct local_pod *pod, const struct service *s,
                   uint16_t port);
/* Of a table that is there, for a connection whose server was heard already ("": none). -ENOMEM. */
int tcp_route_open_table(struct tcp_route **ret, struct local_pod *pod, struct route_table *taken,
                         struct text server);
struct tcp_route *tcp_route_free(struct tcp_route *r); /* after close; NULL is fine; returns NULL */

/* Routes, and not its cluster alone: then it is bytes, whatever is spoken. NULL is fine: no. */
bool tcp_route_is_written(const struct tcp_route *r);
/* Does the choice depend on what the client says? */
bool tcp_route_must_hear(const struct tcp_route *r);
/* Starts the connection; once it is known, it is as if nothing had been read of it, and `heard` is
 * called, from the loop, with NONE or why there is nothing more to do. */
void tcp_route_hear(struct tcp_route *r, struct conn *client,
                    void (*heard)(void *user, enum ending ending), void *user);

struct tcp_target { /* pointers are good for this turn */
    const struct workload *workload; /* NULL: none that is known */
    struct addr target;
    bool passes; /* nobody wrote routes, nobody serves it, and the Service lets connections pass */
};
/* NONE, or why there is none; *ret_why: "" or a sentence, until the route is closed. Once. */
enum ending tcp_route_choose(struct tcp_route *r, const struct addr *called,
                             struct tcp_target *ret, const char **ret_why);
/* One connection more of the chosen cluster, until the end, once it is known to be bytes. False: it has as many as it may;
 * again is nothing. */
bool tcp_route_claim(struct tcp_route *r);
struct tls_config *tcp_route_tls(const struct tcp_route *r); /* by which its connection goes, as long as r; NULL: none; NULL is fine */
struct upstream_cluster *tcp_route_cluster(const struct tcp_route *r); /* that was chosen; NULL: none; NULL is fine */
/* The cluster and the route that a table chose; {NULL, 0}: none. Until the close. */
struct text tcp_route_chosen(const struct tcp_route *r);
struct text tcp_route_taken(const struct tcp_route *r);
uint64_t tcp_route_connect_ms(const struct tcp_route *r, uint64_t otherwise); /* of the cluster */
void tcp_route_connected(struct tcp_route *r); /* its balancer learns of it */
/* The end, with the connection's ending: of what never came to be connected the balancer learns. Twice is once. */
void tcp_route_close(struct tcp_route *r, enum ending ending);
#endif
