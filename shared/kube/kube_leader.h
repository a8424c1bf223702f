/*
 * A lease on a client: asks its questions, tells when leading begins and ends. Embedded in whoever wants
 * to be one of several; the ring's thread. What only a leader may do has its deadline before
 * kube_leader_left_ms() is over.
 */
#ifndef SHARED_KUBE_KUBE_LEADER_H
#define SHARED_KUBE_KUBE_LEADER_H
#include "shared/kube/kube_client.h"
#include "shared/kube/lease.h"

struct kube_leader {
    struct kube_client *client;
    struct ring *ring;
    struct lease lease;
    struct kube_request request;
    struct timer wait, end; /* the next question; the end of leading */
    bool leading;           /* as it was told */
    bool alone;
    unsigned told;          /* status of the failure that was logged last */
    uint64_t terms;         /* times that it began to lead */
    void (*changed)(struct kube_leader *l); /* see `leading` */
    void (*left)(struct kube_leader *l);
    void *user;
};
void kube_leader_init(struct kube_leader *l, struct kube_client *client, struct ring *ring,
                      const struct lease_options *options,
                      void (*changed)(struct kube_leader *l), void *user);
void kube_leader_start(struct kube_leader *l); /* to apply for it */
void kube_leader_alone(struct kube_leader *l); /* to lead at once, without a lease */
/* How long leading lasts without a renewal; 0: we do not lead. */
uint64_t kube_leader_left_ms(const struct kube_leader *l);
/* Ends leading (told), says so to the others if it can within two seconds, then `left`, from the loop or
 * at once. Then it may be forgotten. */
void kube_leader_leave(struct kube_leader *l, void (*left)(struct kube_leader *l));
void kube_leader_stop(struct kube_leader *l); /* at once; tells nobody */
#endif
