/*
 * Which of the APIs that we read an API server has, and in which version: asked at the start, every 30 s, and when somebody says that it
 * may have changed. One question at a time. Embedded in kube_source; the ring's thread.
 */
#ifndef CONTROLLER_DISCOVERY_KUBE_DISCOVERY_H
#define CONTROLLER_DISCOVERY_KUBE_DISCOVERY_H
#include "controller/model/object.h"
#include "shared/json/json.h"
#include "shared/kube/kube_client.h"

enum { KUBE_DISCOVERY_MS = 30000, KUBE_DISCOVERY_SOON_MS = 500, KUBE_VERSIONS_MAX = 3 };
struct kube_api {
    const char *group, *plural;              /* group "": the core, which always is there as v1 */
    const char *versions[KUBE_VERSIONS_MAX]; /* the best first, then NULL */
    const char *version;                     /* of `versions`; NULL: the server has none */
};
struct kube_discovery {
    struct kube_client *client;
    struct ring *ring;
    struct kube_request request;
    struct timer timer;
    struct kube_api apis[OBJECT_KIND_COUNT];
    struct json *groups;                  /* of this round */
    const char *found[OBJECT_KIND_COUNT]; /* so far in this round */
    unsigned api, version;                /* that is asked about now */
    bool asked_soon, failed;
    uint64_t again_ms;
    void (*round)(struct kube_discovery *d); /* after each round that succeeded */
};
void kube_discovery_start(struct kube_discovery *d, struct kube_client *client, struct ring *ring,
                          void (*round)(struct kube_discovery *d));
void kube_discovery_soon(struct kube_discovery *d);
void kube_discovery_stop(struct kube_discovery *d);
/* "/apis/GROUP/VERSION/PLURAL"; only where there is a version. */
void kube_api_path(const struct kube_api *a, struct text_out *out);
#endif
