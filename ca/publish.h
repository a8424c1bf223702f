/*
 * Keeps one ConfigMap in every namespace of a cluster equal to the roots, for whoever wants to
 * verify the mesh's certificates: node proxies, the controller, and applications. What is deleted
 * comes back, what is changed is changed back; labels and data of others in it are left alone
 * (server-side apply). Namespaces that are on their way out are let go.
 *
 * One thread; embedded. Bounded: PUBLISH_NAMESPACES_MAX; four writes in flight; a ConfigMap is not
 * written more than once a second, whoever else writes it.
 */
#ifndef CA_PUBLISH_H
#define CA_PUBLISH_H
#include "shared/base/map.h"
#include "shared/kube/kube_informer.h"

enum { PUBLISH_NAMESPACES_MAX = 100000, PUBLISH_IN_FLIGHT_MAX = 4 };
#define PUBLISH_KEY "root-cert.pem"
struct publish {
    struct ring *ring;
    struct kube_client *client; /* borrowed */
    const char *name, *pem;     /* borrowed; pem as long as it is open */
    char path[256];             /* of the ConfigMaps of that name, in all namespaces */
    struct kube_informer namespaces, maps;
    struct map spaces; /* namespace -> struct space */
    struct list due;   /* of struct space */
    struct timer pump;
    size_t n_in_flight;
    uint64_t written, failed, backoff_ms;
    bool maps_listed;
    bool stopped; /* after publish_close() */
};
/* pem has no NUL in it and is valid UTF-8. */
void publish_open(struct publish *p, struct ring *ring, struct kube_client *client,
                  const char *name, const char *pem);
/* pem, where it is, says something else now. */
void publish_changed(struct publish *p);
void publish_close(struct publish *p);
#endif
