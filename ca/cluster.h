/*
 * What the CA has to do with a Kubernetes cluster that it serves: it reviews service accounts'
 * tokens (reviews.h) and publishes its roots (publish.h), both through one client of the API
 * server. One thread, one ring; embedded.
 */
#ifndef CA_CLUSTER_H
#define CA_CLUSTER_H
#include "ca/publish.h"
#include "ca/reviews.h"

struct cluster_options { /* borrowed while it is open */
    const char *kubeconfig; /* NULL: as a pod of the cluster */
    struct reviews_options reviews;
    const char *roots_name; /* of the ConfigMaps; "": none */
    const char *roots_pem;
};
struct cluster {
    struct kube_client *client;
    struct reviews reviews;
    struct publish publish;
    bool publishes;
};
/* -errno, told on the log. */
int cluster_open(struct cluster *c, struct ring *ring, const struct cluster_options *o);
/* roots_pem, where it is, says something else now. */
void cluster_roots_changed(struct cluster *c);
/* Nobody may wait for a review. closed comes from the loop. */
void cluster_close(struct cluster *c, void (*closed)(void *arg), void *arg);
#endif
