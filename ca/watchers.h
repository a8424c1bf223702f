/*
 * Those who are told at once when another root is trusted or something was revoked: the calls of
 * TrustService/Watch that are open. Each has all of it at its beginning and after each change; who
 * does not read it is let go, and comes again. One thread; embedded. Bounded: WATCHERS_MAX, of which
 * one name (a node; a machine's identity) has WATCHERS_OF_ONE_MAX; bytes that wait for each.
 */
#ifndef CA_WATCHERS_H
#define CA_WATCHERS_H
#include "ca/attest.h"
#include "shared/base/list.h"
#include "shared/grpc/grpc.h"
#include "shared/xds/trust_codec.h"

/* Of the callers' places, so many that requests have some left. */
enum { WATCHERS_MAX = 3072, WATCHERS_OF_ONE_MAX = 4, WATCHERS_QUEUED_MAX = 2 * TRUST_MESSAGE_MAX };
struct watcher { /* embedded in the call's owner; zero: it is none */
    struct list link;
    struct watchers *watchers;
    struct grpc_call *call;
    char name[ATTEST_NAME_MAX + 1];
};
struct watchers { /* zero at first */
    struct list all;
    size_t n;
    struct xds_bytes latest;
    uint64_t told;
};
void watchers_init(struct watchers *w);
void watchers_done(struct watchers *w); /* nobody is left */
/* GRPC_OK: it was told what there is, and stays; else what it is to be refused with. */
enum grpc_status watchers_add(struct watchers *w, struct watcher *x, struct grpc_call *call,
                              const char *name, const char **ret_message);
void watcher_gone(struct watcher *x); /* its call is over; fine where it is none */
/* -ENOMEM, -E2BIG (more is revoked than a message holds): nobody was told, and the next change tells it. */
int watchers_tell(struct watchers *w, const struct trust *t);
void watchers_end(struct watchers *w); /* all calls end: they are to ask another one */
#endif
