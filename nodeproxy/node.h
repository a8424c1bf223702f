/*
 * The control thread of the node proxy: joins the pods of this node (capture), what the controller says (directory), their certificates
 * (credentials) and the workers. Everything here runs on the control ring; workers get messages. Made by main, one a process.
 */
#ifndef NODEPROXY_NODE_H
#define NODEPROXY_NODE_H
#include "nodeproxy/capture/pods.h"
#include "nodeproxy/capture/warden_watch.h"
#include "nodeproxy/control/subscription.h"
#include "shared/credentials/credentials.h"
#include "nodeproxy/takeover/takeover_claim.h"
#include "nodeproxy/takeover/takeover_offer.h"
#include "nodeproxy/capture/netns_id.h"
#include "nodeproxy/spiffe/workload_api.h"
#include "nodeproxy/worker.h"
#include "shared/service/admin.h"
#include "shared/service/lifecycle.h"

enum { NODE_WORKERS_MAX = 64, NODE_ROUTES_MAX = 16 };
/* Who owns the node, this process or the one before or after it; nodeproxy/node_takeover.c. */
struct node_inherited {
    struct addr at;
    int fd;
};
struct node_takeover {
    int lock;                      /* -1: the node is not ours, or not any more */
    bool waiting;                  /* for it to be ours */
    bool claiming, offering;       /* claim or offer is open, until it has drained */
    struct takeover_claim claim;
    struct takeover_offer offer;
    struct timer tick;
    uint64_t since_ms, say_at_ms, gone_at_ms;
    struct node_inherited inherited[ADMIN_SOCKETS_MAX];
    size_t n_inherited;
    struct spiffe_id *warm;        /* identities wanted before their pods are ours; pods_max */
    size_t n_warm;
    struct text_heap description;  /* of the pod that is given just now */
};
struct node {
    struct config config;
    struct ring *ring;
    struct mailbox mailbox;
    struct lifecycle lifecycle;
    struct directory *directory;
    struct bounds *bounds;        /* what workloads and the node may take at most */
    struct privileged *privileged;
    struct warden_watch warden_watch;
    struct pods *pods;
    struct credentials *credentials;
    struct subscription subscription;
    struct workload_api workload_api; /* all zero where it is not served */
    struct worker *workers[NODE_WORKERS_MAX];
    unsigned n_workers, n_idle;
    struct exporter exporter;     /* of spans; used if tracer.exporter */
    struct tracer tracer;
    struct metrics *metrics;      /* of the control thread */
    struct admin *admin;
    struct admin_route routes[NODE_ROUTES_MAX];
    struct list taps; /* that somebody reads; node_tap.c */
    unsigned n_taps;
    struct spiffe_id self;
    char node_id[256];
    _Atomic bool synced;          /* the mesh is known: workers look at it, too */
    bool draining;                /* no new connections are taken */
    bool retired;                 /* a successor has taken over: the node is not ours any more */
    bool ending;
    int failure;                  /* -errno: why it ends by itself */
    struct node_takeover takeover;
    unsigned n_gateways;          /* feeds of Gateways' pods that are open, or drain */
    unsigned parts_open;          /* that still drain at the end */
    int64_t started_s;
};
/* Opens everything in order; on failure says why on the log and returns -errno. */
int node_open(struct node *n, const struct config *config);
int node_run(struct node *n); /* until SIGTERM has been served, or a successor has; -errno */
void node_free(struct node *n);
void node_drain(struct node *n);     /* takes no new connections; the end follows when none lives */
void node_part_gone(struct node *n); /* while it ends */
/* nodeproxy/node_takeover.c: the node becomes ours, at once or from another process. */
int node_takeover_begin(struct node *n);
/* Before an orderly end: true if a successor is to take over first; then node_drain() follows. */
bool node_takeover_hurry(struct node *n);
int node_takeover_inherited(struct node *n, const struct addr *at); /* a listening socket; -1 */
unsigned node_takeover_close(struct node *n); /* how many parts are gone later */
/* Of a captured pod, by its workload's uid; NULL: not known yet, or *ret_gone: there is no such pod. */
const struct spiffe_id *node_pod_identity(struct node *n, const char *uid, bool *ret_gone);
/* nodeproxy/node_workload_api.c */
int node_workload_api_open(struct node *n); /* when the node is ours; 0 if it is not to be served */
/* nodeproxy/node_tap.c: GET /tap. retire: whoever reads is told that another node proxy serves now. */
void node_tap_handle(struct admin_exchange *x, const struct http1_request *r, void *node);
void node_tap_retire(struct node *n);
/* nodeproxy/node_admin.c */
int node_admin_open(struct node *n);
#endif
