/* The CA's side of a cluster; see the header. */
#include "ca/cluster.h"

#include "shared/base/log.h"

int cluster_open(struct cluster *c, struct ring *ring, const struct cluster_options *o)
{
    char why[KUBE_WHY_MAX];
    struct kube_config *config = NULL;
    *c = (struct cluster){.publishes = o->roots_name[0] != '\0'};
    int r = o->kubeconfig ? kube_config_from_file(o->kubeconfig, NULL, false, &config, why)
                          : kube_config_in_cluster(&config, why);
    if (r < 0) {
        log_error("kube", "%s", why);
        return r;
    }
    r = kube_client_open(&c->client, ring, config);
    if (r < 0) {
        log_error("kube", "%s", strerror(-r));
        return r;
    }
    reviews_open(&c->reviews, ring, c->client, &o->reviews);
    if (c->publishes)
        publish_open(&c->publish, ring, c->client, o->roots_name, o->roots_pem);
    log_info("kube", "service accounts' tokens are reviewed by %s", kube_client_server(c->client));
    return 0;
}

void cluster_roots_changed(struct cluster *c)
{
    if (c->client && c->publishes)
        publish_changed(&c->publish);
}

void cluster_close(struct cluster *c, void (*closed)(void *arg), void *arg)
{
    reviews_close(&c->reviews);
    if (c->publishes)
        publish_close(&c->publish);
    kube_client_close(c->client, closed, arg);
}
