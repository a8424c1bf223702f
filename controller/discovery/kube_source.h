/*
 * The source `kubernetes`: the API server's objects of the kinds that the mesh reads, in a store. `changed` runs first when every kind
 * that the server has is listed, then a little after each change. An object that can't be read is a problem, and its last good state
 * stays. A list that is taken again counts as a whole, when its last page has come. Kinds whose definitions come later are taken then.
 * Owned by the controller; the ring's thread. Bounded by the store and the reflectors.
 */
#ifndef CONTROLLER_DISCOVERY_KUBE_SOURCE_H
#define CONTROLLER_DISCOVERY_KUBE_SOURCE_H
#include "controller/discovery/kube_discovery.h"
#include "controller/discovery/kube_kind.h"
#include "controller/discovery/kube_secrets.h"
#include "controller/model/problem_index.h"

#define KUBE_SOURCE_FILE "kubernetes" /* what stands for the file in problems */
enum { KUBE_DEBOUNCE_MIN_MS = 10, KUBE_DEBOUNCE_MAX_MS = 2000 };
struct kube_source {
    struct ring *ring;
    struct kube_client *client;
    struct object_store *store;
    struct kube_discovery discovery;
    struct kube_kind kinds[OBJECT_KIND_COUNT];
    struct kube_secrets secrets;
    struct kube_informer definitions; /* of custom resources: only that they change */
    struct timer debounce;
    struct problems problems;
    uint64_t silence_ms, debounce_ms;
    bool discovered; /* the first round of discovery is over */
    bool complete;   /* every kind was listed: `changed` has run */
    bool dirty;      /* the problems are others */
    void (*changed)(struct kube_source *s);
    /* Each object as the server has it, whether it can be read or not; NULL: it is gone. Set after the
     * open; may be NULL. */
    void (*seen)(struct kube_source *s, enum object_kind kind, const char *ns, const char *name,
                 const struct json *object);
    void (*closed)(struct kube_source *s);
    void *user;
};
struct kube_source_options {
    struct kube_config *taken_config;
    uint64_t silence_ms; /* of a watch, until it is begun anew; 0: KUBE_SILENCE_MS */
};
/* -errno. Takes the configuration in every case. An API server that does not answer is waited for. */
int kube_source_open(struct kube_source *s, struct ring *ring, const struct kube_source_options *o,
                     struct object_store *store, void (*changed)(struct kube_source *s),
                     void *user);
/* What a change costs its user: changes are then taken together, so that no more than a fifth of the time goes into them. */
void kube_source_cost(struct kube_source *s, uint64_t ms);
/* Can't an object be read as the server has it? Why (without its name), borrowed until the next change. */
bool kube_source_unread(const struct kube_source *s, enum object_kind kind, const char *ns,
                        const char *name, struct problem *ret);
void kube_source_close(struct kube_source *s, void (*closed)(struct kube_source *s));
#endif
