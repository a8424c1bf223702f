/*
 * One request to an API server, answered before it returns: for programs that ask and end (the command line), which have no ring and may run
 * where none is allowed. Not thread-safe; bounded by the call's limits.
 */
#ifndef SHARED_KUBE_KUBE_ONCE_H
#define SHARED_KUBE_KUBE_ONCE_H
#include "shared/kube/kube_client.h"

struct kube_once { /* keeps the connection from one question to the next */
    const struct kube_config *config;
    void *share; /* libcurl's */
};
int kube_once_open(struct kube_once *o, const struct kube_config *config); /* -ENOMEM */
void kube_once_close(struct kube_once *o);
/* 0 with an HTTP status, whatever it is, and its body (text_heap_done() in every case), or -errno and why. */
int kube_once_ask(struct kube_once *o, const struct kube_call *call, unsigned *ret_status,
                  struct text_heap *ret_body, char why[static KUBE_WHY_MAX]);
#endif
