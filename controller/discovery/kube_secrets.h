/*
 * The Secrets that Gateways of ours show as certificates, and the ConfigMaps that BackendTLSPolicies have their roots in, each watched by its
 * name: never a list of a namespace's, so that the right to these few is enough (RBAC resourceNames). Which they are the store's Gateways, ReferenceGrants and policies say. Embedded in
 * kube_source; the ring's thread. Bounded: KUBE_SECRETS_MAX; what is beyond is as if it was not there.
 */
#ifndef CONTROLLER_DISCOVERY_KUBE_SECRETS_H
#define CONTROLLER_DISCOVERY_KUBE_SECRETS_H
#include "controller/model/object_store.h"
#include "shared/kube/kube_informer.h"

enum { KUBE_SECRETS_MAX = 1000, KUBE_SECRETS_PATIENCE_MS = 5000 };
struct kube_secrets {
    struct kube_client *client;
    struct ring *ring;
    struct object_store *store;
    uint64_t silence_ms;
    struct map watches;  /* object_key() -> its informer */
    struct timer wait;   /* runs while one has not been answered yet */
    uint64_t since_ms;   /* when that began; 0: it does not */
    bool told_max;
    void (*changed)(void *user); /* something came, went, or was refused */
    void *user;
};
void kube_secrets_init(struct kube_secrets *s, struct kube_client *client, struct ring *ring, struct object_store *store,
                       uint64_t silence_ms, void (*changed)(void *user), void *user);
void kube_secrets_look(struct kube_secrets *s); /* the store's Gateways or grants may be others */
/* Each that is watched was listed once, or has been refused, or waited for long enough. */
bool kube_secrets_settled(const struct kube_secrets *s);
void kube_secrets_done(struct kube_secrets *s);
#endif
