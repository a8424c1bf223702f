/*
 * The control thread of the node proxy: joins the pods of this node (capture), what the controller says (directory), their certificates
 * (credentials) and the workers. Everything here runs on the control ring; workers get messages. Made by main, one a process.
 */
#ifndef NODEPROXY_NODE_H
#define NODEPROXY_NODE_H
#include "nodeproxy/capture/pods.h"
#include "nodeproxy/control/subscription.h"
#include "nodeproxy/credentials/credentials.h"
#include "nodeproxy/worker.h"
#include "shared/service/admin.h"
#include "shared/service/lifecycle.h"

enum { NODE_WORKERS_MAX = 64, NODE_ROUTES_MAX = 16 };
struct node {
    struct config config;
    struct ring *ring;
    struct mailbox mailbox;
    struct lifecycle lifecycle;
    struct directory *directory;
    struct privileged *privileged;
    struct pods *pods;
    struct credentials *credentials;
    struct subscription subscription;
    struct worker *workers[NODE_WORKERS_MAX];
    unsigned n_workers, n_idle;
    struct metrics *metrics;      /* of the control thread */
    struct admin *admin;
    struct admin_route routes[NODE_ROUTES_MAX];
    struct spiffe_id self;
    char node_id[256];
    bool ending;
    unsigned parts_open;          /* that still drain at the end */
    int64_t started_s;
};
/* Opens everything in order; on failure says why on the log and returns -errno. */
int node_open(struct node *n, const struct config *config);
int node_run(struct node *n); /* until SIGTERM has been served */
void node_free(struct node *n);
/* nodeproxy/node_admin.c */
int node_admin_open(struct node *n);
#endif
