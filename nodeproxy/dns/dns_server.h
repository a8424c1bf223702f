/*
 * The name server of one pod, on one worker: queries of the pod's own processes to port 53 of
 * whomever come here (nodeproxy/warden/redirect.c), over UDP with the address that was asked, over
 * TCP by SO_ORIGINAL_DST. Names of the mesh are answered from the directory (dns_names.h), all else
 * by the resolver that the pod had asked (dns_forward.h), and all of it until the mesh is known.
 *
 * Embedded in its owner. Bounded by the pod's BOUND_DNS_QUERIES (a pod that asks more often is read
 * later: what does not fit into its socket's queue is lost), BOUND_DNS_FORWARDED, and CLIENTS_MAX
 * connections.
 */
#ifndef NODEPROXY_DNS_DNS_SERVER_H
#define NODEPROXY_DNS_DNS_SERVER_H
#include "nodeproxy/dns/dns_forward.h"
#include "nodeproxy/dns/dns_names.h"
#include "shared/transport/listener.h"

enum { DNS_CLIENTS_MAX = 64 };
struct dns_server;
struct dns_server_options {
    struct ring *ring;
    struct dns_mesh mesh;
    const _Atomic bool *known; /* the mesh is */
    struct metrics *metrics;
    struct pod_bounds *bounds;   /* NULL: none */
    struct text uid, ns;         /* of the pod; borrowed until drained, as what follows */
    const struct ip *addresses;  /* the pod's own: nothing sent to them is ours */
    size_t n_addresses;
    uint64_t wait_ms;            /* for a resolver */
    uint16_t port;               /* that resolvers are asked at: 53 */
    int taken_udp, taken_tcp;    /* bound; listening */
    struct socket_pool *streams; /* the pod's TCP sockets */
    /* UDP sockets for `forward.datagrams`: socket_pool_filled() answers. */
    void (*refill)(struct socket_pool *p, int family, unsigned n);
    void (*drained)(struct dns_server *s);
};
struct dns_server {
    struct dns_server_options options;
    struct dns_account account;
    struct dns_forward forward;
    struct listener tcp;
    struct ring_scope scope; /* of the UDP socket */
    struct ring_op udp_op;
    struct timer pause;
    struct list clients;
    uint64_t level, level_ms; /* of the bucket: thousandths of a query, and when that was so */
    struct ring_task look_task;
    bool stopped, closing, told;
    bool udp_gone, tcp_gone, forward_gone;
};
void dns_server_open(struct dns_server *s, const struct dns_server_options *o);
/* Takes no more queries; those that are asked are answered. Whoever shares the sockets has them. */
void dns_server_stop(struct dns_server *s);
bool dns_server_is_idle(const struct dns_server *s); /* stopped, and nothing waits */
void dns_server_close(struct dns_server *s);         /* drained follows, from the loop */

/* Of this folder: a query over TCP; a connection is gone. */
void dns_server_ask(struct dns_server *s, const struct dns_asker *asker, const void *bytes,
                    size_t len);
void dns_server_client_gone(struct dns_server *s);
#endif
