/*
 * One worker: a thread with its ring, its view of the enrolled pods and its share of their connections. Everything that crosses to
 * or from it is a message; between workers nothing mutable is shared but the directory (RCU). Made, told and joined by the
 * control thread.
 */
#ifndef NODEPROXY_WORKER_H
#define NODEPROXY_WORKER_H
#include "nodeproxy/dns/dns_server.h"
#include "nodeproxy/http/upstream_seen.h"
#include "nodeproxy/path/env.h"
#include "nodeproxy/path/local_pod.h"
#include "shared/ring/mailbox.h"
#include <pthread.h>

struct worker;
struct worker_events { /* on the control thread, by its mailbox */
    /* type: SOCK_STREAM or SOCK_DGRAM */
    void (*refill)(struct worker *w, const char *uid, int family, int type, unsigned n, void *arg);
    void (*pod_gone)(struct worker *w, const char *uid, void *arg);
    void (*idle)(struct worker *w, void *arg); /* after worker_drain: nothing lives any more */
};
struct worker_options {
    const struct config *config;
    const struct directory *directory;
    struct bounds *bounds;   /* of the node */
    const struct tracer *tracer; /* of the node */
    const _Atomic bool *known; /* the mesh is: names may be answered from the directory */
    struct mailbox *control; /* the control thread's */
    const struct worker_events *events;
    void *arg;
    unsigned index;
};
int worker_start(struct worker **ret, const struct worker_options *o, const char **ret_why);
struct metrics *worker_metrics(const struct worker *w); /* for the scrape: readable while it counts */
unsigned worker_index(const struct worker *w);

/* Messages to the worker, from the control thread. Descriptors and references are taken. -ENOMEM: nothing happens. */
struct worker_pod {
    const char *uid, *name, *ns;
    const struct ip *addresses;
    size_t n_addresses;
    int taken_outbound, taken_inbound, taken_hbone;
    int taken_dns_tcp, taken_dns_udp; /* -1: another worker answers the pod's queries, or nobody does */
};
int worker_add_pod(struct worker *w, const struct worker_pod *pod);
int worker_remove_pod(struct worker *w, const char *uid);            /* pod_gone follows */
int worker_set_listeners(struct worker *w, const char *uid, struct listener_set *s); /* s may be NULL */
int worker_set_trust(struct worker *w, struct trust *t);
int worker_set_credential(struct worker *w, const char *uid, struct credential *c); /* c may be NULL */
int worker_fill(struct worker *w, const char *uid, int family, int type, const int *taken_fds, size_t n, int error);
void worker_directory_changed(struct worker *w);                     /* cheap: coalesced */
void worker_drain(struct worker *w);                                 /* no new connections; idle follows when none lives */
void worker_stop(struct worker *w);                                  /* ends all connections, then the thread; then worker_join */
void worker_join(struct worker *w);                                  /* waits for the thread and frees */

/* From now on it is told of requests; done, on the control thread, when that is so. */
int worker_tap(struct worker *w, struct tap *tap, void (*done)(struct tap *tap));

/* A view of all living connections and tunnels of this worker, made on its thread, given to `done` on the control thread. */
enum { WORKER_CONNECTIONS = 1, WORKER_ENDPOINTS = 2 }; /* what of it takes long, and is asked for */
struct worker_dump {
    struct text_heap connections; /* JSON array elements, comma separated */
    struct upstream_seen endpoints;
    struct ring_stats ring;
    uint64_t mirrors_sent, mirrors_left_out;
    size_t n_outbounds, n_inbounds, n_tunnels, n_tunnel_servers, tunnel_streams;
    uint64_t endings[ENDING_COUNT];
};
int worker_dump(struct worker *w, unsigned parts, void (*done)(struct worker_dump *dump, void *arg), void *arg);
#endif
