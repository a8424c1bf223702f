/*
 * One enrolled pod as one worker sees it: its listeners, sockets, tunnels, credential and living connections. Made when
 * the control thread says so, ended likewise; freed after the last of its parts has drained.
 *
 * A connection's workload is known by the pod whose listener accepted it, never by an address.
 */
#ifndef NODEPROXY_PATH_LOCAL_POD_H
#define NODEPROXY_PATH_LOCAL_POD_H
#include "nodeproxy/capture/socket_pool.h"
#include "nodeproxy/http/exchange.h"
#include "nodeproxy/http/mirror.h"
#include "nodeproxy/path/account.h"
#include "nodeproxy/peer/hbone_server.h"
#include "nodeproxy/peer/peer_pool.h"
#include "shared/transport/listener.h"

struct listener_set;
enum { LOCAL_POD_ADDRESSES_MAX = 8 };
struct local_pod_waiter { /* a connection that waits for the pod to be ready */
    struct list link;
    void (*ready)(struct local_pod_waiter *w);
};
struct local_pod {
    struct list link;
    struct path_env *env;
    char uid[512], name[256], ns[256];
    struct ip addresses[LOCAL_POD_ADDRESSES_MAX];
    size_t n_addresses;
    struct pod_bounds *bounds;     /* shared by the workers; NULL: none */
    struct credential *credential; /* NULL: none valid now */
    struct listener_set *listeners; /* of the Gateway as which it serves, those of TLS; NULL: not told yet */
    struct list listeners_waiting;  /* local_pod_waiter: for the first of them */
    struct spiffe_id identity;     /* as which connections are made; not present before the first certificate */
    uint32_t epoch;                /* grows when it changes */
    struct list living;            /* in env->recheck while connections are to be looked at again (living.h) */
    size_t look_inbounds, look_outbounds; /* how many of them */
    bool look_peers, look_upstreams;
    struct listener outbound, inbound, hbone;
    unsigned listeners_open;
    struct socket_pool sockets;
    struct timer sockets_tick;
    void (*refill)(struct socket_pool *p, int family, unsigned n);
    struct peer_pool peers;
    struct hold hold;              /* of its relays */
    struct exchange_pool exchanges; /* of its HTTP */
    struct upstream_clusters clusters; /* where its requests go */
    struct upstream_pool upstreams; /* by which they go on */
    struct mirrors mirrors;
    struct list watches; /* of health_watch.h */
    size_t n_probes, n_asked; /* its part of env's health_probes and health_asked */
    struct pod_turn turn;          /* its share of each turn of the loop */
    struct list outbounds, inbounds, servers; /* living */
    struct list waiting;
    size_t n_outbounds, n_inbounds, n_servers;
    bool closing, upstreams_closing, upstreams_drained, mirrors_drained, peers_closing, peers_drained;
    enum ending closing_ending;
    void (*drained)(struct local_pod *p);  /* memory is the owner's again */
    struct ring_task look_task;
    void *user;
};
struct local_pod_options {
    const char *uid, *name, *ns;
    const struct ip *addresses;
    size_t n_addresses;
    int taken_outbound, taken_inbound, taken_hbone; /* listening descriptors of this worker */
    void (*refill)(struct socket_pool *p, int family, unsigned n);
    void (*drained)(struct local_pod *p);
    void *user;
};
int local_pod_open(struct local_pod *p, struct path_env *env, const struct local_pod_options *o);
/* As socket_pool_filled(), of its TCP sockets; what nobody takes goes back, whoever asked for it. */
void local_pod_filled(struct local_pod *p, int family, const int *taken_fds, size_t n, int error);
/* A new credential, or NULL. What waits for readiness is looked at. */
void local_pod_set_credential(struct local_pod *p, struct credential *c);
void local_pod_directory_changed(struct local_pod *p); /* what waits is looked at */
/* Both present: the workload in the directory and a valid credential of its identity. */
bool local_pod_ready(const struct local_pod *p, const struct workload **ret_workload);
/* An accepted connection that gets no story: reset, accounted, released. */
void local_pod_refuse(struct local_pod *p, struct listener *l, int taken_fd, enum ending ending);
void local_pod_wait(struct local_pod *p, struct local_pod_waiter *w);
void local_pod_set_listeners(struct local_pod *p, struct listener_set *s); /* for connections to come */
void local_pod_wait_for_listeners(struct local_pod *p, struct local_pod_waiter *w); /* none is there yet; leaves by list_remove() */
bool local_pod_has_address(const struct local_pod *p, const struct ip *ip);
bool local_pod_is_idle(const struct local_pod *p); /* after drain: nothing lives or may come */
void local_pod_starved(struct local_pod *p); /* of descriptors: new connections wait a little, in the backlog */
void local_pod_drain(struct local_pod *p); /* stop accepting; GOAWAY; connections go on */
/* Ends all connections with this ending, then everything else; then drained, from the loop. */
void local_pod_close(struct local_pod *p, enum ending ending);
/* Called by the stories when one of them has gone. */
void local_pod_look(struct local_pod *p);
#endif
