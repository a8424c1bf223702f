/*
 * A reflector on a client: asks its questions, gives it the answers, waits as it says. Embedded in whoever wants to know a kind; the
 * ring's thread. Silence ends a watch: silence_ms is longer than the minute that a server takes from bookmark to bookmark.
 */
#ifndef SHARED_KUBE_KUBE_INFORMER_H
#define SHARED_KUBE_KUBE_INFORMER_H
#include "shared/kube/kube_client.h"
#include "shared/kube/reflector.h"

enum { KUBE_PAGE = 500, KUBE_SILENCE_MS = 120000, KUBE_LIST_SILENCE_MS = 60000 };
struct kube_informer {
    struct kube_client *client;
    struct ring *ring;
    struct reflector reflector;
    struct kube_request request;
    struct timer wait;
    const char *accept_list, *accept_watch; /* NULL: JSON; may be set after the start */
    uint64_t silence_ms;
    uint64_t heard_ms; /* the last byte of a good answer; 0: none yet */
    unsigned told;     /* status of the failure that was logged last; 0: none */
};
/* path is borrowed until the end; silence_ms 0: KUBE_SILENCE_MS. The first question goes out from the loop. */
void kube_informer_start(struct kube_informer *i, struct kube_client *client, struct ring *ring,
                         const char *path, uint64_t silence_ms,
                         const struct reflector_events *events, void *user);
void kube_informer_stop(
    struct kube_informer *i); /* at once; tells nothing more. Not from within an event */
#endif
