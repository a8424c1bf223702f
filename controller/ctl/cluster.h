/*
 * A cluster as weirctl asks it: the API server, and through it (its pods' proxy subresource, so that nothing but the API server need be
 * reachable) the mesh's own programs. Blocking; one thread. Owned by the command that runs. Bounded by CLUSTER_PROGRAMS_MAX and a maximum
 * for each answer.
 */
#ifndef CONTROLLER_CTL_CLUSTER_H
#define CONTROLLER_CTL_CLUSTER_H
#include "controller/ctl/check.h"
#include "shared/kube/kube_once.h"

enum { CLUSTER_PROGRAMS_MAX = 5000, CLUSTER_ANSWER_MAX = 256 * 1024 * 1024 };
/* Of a controller: all that it knows; who follows it, and how many workloads each node has. */
#define CLUSTER_DUMP    "/config_dump"
#define CLUSTER_CLIENTS "/clients"
struct cluster_options {
    const char *kubeconfig, *context; /* NULL: $KUBECONFIG, ~/.kube/config, or the surroundings of a pod */
    const char *proxy;                /* ADDR:PORT of a `kubectl proxy`, instead; NULL: none */
    const char *ns;                   /* of the mesh */
    bool insecure;
};
struct cluster {
    const struct cluster_options *options;
    struct kube_config *config;
    struct kube_once once;
};
struct cluster_mesh { /* what was gathered; owned */
    struct json *version, *nodes, *namespaces, *pods;
    struct check_program *programs;
    size_t n_programs;
    struct cluster_answers *answers; /* one for each program */
};
enum cluster_depth { CLUSTER_API, CLUSTER_CONTROLLERS, CLUSTER_ALL }; /* who is asked */

bool cluster_is_configured(const struct cluster_options *o); /* there is something to be asked */
int cluster_open(struct cluster *c, const struct cluster_options *o, char why[static KUBE_WHY_MAX]);
void cluster_close(struct cluster *c);
const char *cluster_server(const struct cluster *c);
/* 0: the answer was a 200, and is JSON. -errno: why. */
int cluster_get(struct cluster *c, const char *path, struct json **ret, char why[static KUBE_WHY_MAX]);
/* A merge patch. -ENOTSUP through a kubectl proxy. */
int cluster_patch(struct cluster *c, const char *path, struct text body, char why[static KUBE_WHY_MAX]);
/* dump: the path that controllers are asked for what they know; one that is older than it is asked for
 * everything. -errno: the API server could not be asked; what a program does not answer is in its `why`. */
int cluster_gather(struct cluster *c, enum cluster_depth depth, const char *dump,
                   struct cluster_mesh *ret, char why[static KUBE_WHY_MAX]);
void cluster_mesh_done(struct cluster_mesh *m);
/* A program that runs and has told its configuration: a controller. NULL: none has. */
const struct check_program *cluster_controller(const struct cluster_mesh *m);
#endif
