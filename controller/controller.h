/*
 * The controller as a whole: a source (a folder of manifests, or a Kubernetes API server) fills the store, the translation makes resources of it, the
 * catalog tells what of them changed, the server tells the clients. Owned by main(); everything is
 * on one ring and its thread.
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H
#include "controller/discovery/files.h"
#include "controller/discovery/kube_source.h"
#include "controller/serve/xds_server.h"
#include "shared/service/admin.h"
#include "shared/service/lifecycle.h"
#include "shared/service/metrics.h"

struct controller_options { /* all live as long as the program */
    const char *folder;     /* of `dir:`; NULL: Kubernetes */
    const char *kubeconfig; /* NULL: the surroundings of a pod */
    const char *context;    /* of it; NULL: its current one */
    bool kubeconfig_insecure;
    uint64_t watch_silence_ms;
    const char *certificate, *key, *roots;
    struct addr listen, admin;
    struct translate_settings translate;
    const char *const *allowed;
    size_t n_allowed;
    uint64_t drain_ms;
};
struct controller {
    const struct controller_options *options;
    struct ring *ring;
    struct lifecycle lifecycle;
    struct admin *admin;
    struct metrics *metrics;
    struct serving_cert certificate;
    struct xds_server server;
    struct files files; /* one of the two is open */
    struct kube_source kube;
    struct object_store store;
    struct catalog catalog;
    struct problems problems; /* of the last translation */
    struct timer again;       /* after a lack of memory */
    struct map told;          /* problems that were logged and are still there */
    uint64_t translations;
    unsigned closing;      /* parts that have not drained yet */
    uint64_t translate_us; /* the last translation took, with telling it on */
    bool draining;
    bool serving; /* clients are taken: the source has said all that it has */
    bool failed;
};
enum { CONTROLLER_PROBLEM_LISTS = 3 };
/* What is wrong now, by who found it. The number of lists. */
size_t controller_problems(const struct controller *c,
                           const struct problems *ret[static CONTROLLER_PROBLEM_LISTS]);
/* Runs until SIGTERM or SIGINT. The program's exit status; what failed has been logged. */
int controller_run(struct controller *c, const struct controller_options *options);
enum { CONTROLLER_ROUTES = 4 };
void controller_routes_fill(struct controller *c,
                            struct admin_route routes[static CONTROLLER_ROUTES]);
#endif
