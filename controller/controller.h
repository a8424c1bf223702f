/*
 * The controller as a whole: a source (a folder of manifests, or a Kubernetes API server) fills the
 * store, the projection makes resources of it, the catalog tells what of them changed, the server
 * tells the clients. Owned by main(); everything is
 * on one ring and its thread.
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H
#include "controller/discovery/files.h"
#include "controller/discovery/kube_source.h"
#include "controller/publish/status_writer.h"
#include "controller/serve/projection.h"
#include "controller/serve/xds_server.h"
#include "shared/service/admin.h"
#include "shared/service/lifecycle.h"
#include "shared/service/metrics.h"

/* LEAD_ALWAYS: the only replica. LEAD_NEVER: it writes nothing. */
enum lead_mode { LEAD_ELECTED, LEAD_ALWAYS, LEAD_NEVER };
struct controller_options { /* all live as long as the program */
    const char *folder;     /* of `dir:`; NULL: Kubernetes */
    const char *kubeconfig; /* NULL: the surroundings of a pod */
    const char *context;    /* of it; NULL: its current one */
    bool kubeconfig_insecure;
    const char *replica_name; /* unique among replicas; NULL: made of the host's name */
    enum lead_mode lead;
    uint64_t lease_ms;
    uint64_t watch_silence_ms;
    const char *certificate, *key; /* NULL: asked of the CA, for which: */
    struct addr ca;
    const char *token_file, *identity, *ca_identity;
    const char *roots;
    struct addr listen, admin;
    struct addr listen_plain; /* no address: none */
    struct translate_settings translate;
    const char *const *allowed;
    size_t n_allowed;
    uint64_t drain_ms;
    const char *registrations; /* file of machines that register themselves; NULL: none does */
    uint64_t registration_lease_ms;
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
    struct kube_leader leader; /* with an API server: who of the replicas writes to it */
    struct status_writer status;
    char replica_name[LEASE_TEXT_MAX], kube_namespace[LEASE_TEXT_MAX];
    struct object_store store;
    struct catalog catalog;
    struct projection projection;
    struct registry registry; /* open where options->registrations is said */
    struct ring_task registered;
    struct timer registry_tick;
    struct timer again;       /* after a lack of memory */
    struct map told;          /* problems that were logged and are still there */
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
/* What the leader does: after the source was opened, when something was translated, and at the end
 * (`left` then comes once). */
void controller_lead(struct controller *c);
void controller_lead_changed(struct controller *c);
void controller_lead_end(struct controller *c, void (*left)(struct kube_leader *l));
/* Runs until SIGTERM or SIGINT. The program's exit status; what failed has been logged. */
int controller_run(struct controller *c, const struct controller_options *options);
enum { CONTROLLER_ROUTES = 8 };
void controller_routes_fill(struct controller *c,
                            struct admin_route routes[static CONTROLLER_ROUTES]);
#endif
