/*
 * Listens to what the CA says of trust (weir.ca.v1.TrustService/Watch): one call, which stays, on the
 * connection by which certificates are asked for; when it ends it is made again (1 s doubling to 30 s,
 * jittered; a CA that has no such service is asked every 10 minutes). What was heard last counts until
 * something newer is: of one with a lower number, or the same, only what it revokes besides is taken (a
 * CA that was cut off, or came of a copy, lifts nothing), and roots that are no certificates refuse it.
 * One thread; owned by credentials.
 */
#ifndef SHARED_CREDENTIALS_TRUST_WATCH_H
#define SHARED_CREDENTIALS_TRUST_WATCH_H
#include "shared/credentials/ca_link.h"
#include "shared/grpc/grpc.h"
#include "shared/mesh/trust.h"

struct trust_watch {
    struct ring *ring;
    struct ca_link *link;
    /* Something was heard: it is in `trust`. From inside the call's events. */
    void (*heard)(struct trust_watch *w);
    void (*again)(struct trust_watch *w); /* trust_watch_start() is due */
    struct trust *trust; /* the last; NULL: none yet */
    struct grpc_call call;
    struct timer timer;
    uint64_t backoff_ms;
    uint64_t unheard_since_ms, said_ms; /* said_ms: when its end was logged; 0: never */
    bool open, live; /* the call is; and something came by it */
    bool behind;     /* what came last was older than what is in `trust` */
};
void trust_watch_init(struct trust_watch *w, struct ring *ring, struct ca_link *link,
                      void (*heard)(struct trust_watch *w), void (*again)(struct trust_watch *w));
/* True: the link is wanted for it. Does nothing while it is open or waits; link not ready: nothing
 * but say so. */
bool trust_watch_start(struct trust_watch *w);
/* How long nobody could have told what is revoked; 0: it would be heard now. */
uint64_t trust_watch_unheard_ms(const struct trust_watch *w);
void trust_watch_stop(struct trust_watch *w); /* the link ends; it may be started again */
void trust_watch_done(struct trust_watch *w);
#endif
