/*
 * One kind of the source `kubernetes`: its informer, what a running list has brought so far, and which of its objects can't be read.
 * Embedded in kube_source.
 */
#ifndef CONTROLLER_DISCOVERY_KUBE_KIND_H
#define CONTROLLER_DISCOVERY_KUBE_KIND_H
#include "controller/model/object_store.h"
#include "shared/kube/kube_informer.h"

struct kube_source;
struct kube_kind {
    struct kube_source *source;
    enum object_kind kind;
    struct kube_informer informer;
    char path[128];
    bool running, listed, listing;
    unsigned missed;        /* rounds of discovery in a row that did not find it any more */
    struct object **staged; /* a reference each, while listing */
    size_t n_staged, staged_size;
    struct map bad; /* object_key() -> kube_complaint */
};
struct kube_complaint {
    char *field, *message; /* owned */
};
void kube_kind_init(struct kube_kind *k, struct kube_source *source, enum object_kind kind);
void kube_kind_start(struct kube_kind *k, const char *path);
void kube_kind_stop(struct kube_kind *k);   /* what it has brought stays in the store */
void kube_kind_forget(struct kube_kind *k); /* takes it out of the store */
void kube_kind_done(struct kube_kind *k);
/* kube_source.c: something is not what it was. */
void kube_source_touch(struct kube_source *s);
#endif
