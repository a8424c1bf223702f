/*
 * What a running CA does by itself: each minute it looks whether its issuing certificate or its own
 * is due, or the next step of a rotation, and forgets certificates that ended long ago; twice a second
 * it looks whether another process has changed what is trusted. What waits for a disk is the ledger's work.
 * One thread; embedded. An error is told, and the next minute tries again.
 */
#ifndef CA_UPKEEP_H
#define CA_UPKEEP_H
#include "ca/issue.h"
#include "ca/ledger.h"
#include "shared/base/args.h"

enum { UPKEEP_OWN_TTL_S = 86400, UPKEEP_MS = 60000, UPKEEP_LOOK_MS = 500, UPKEEP_FORGET_AT_ONCE = 500 };
struct upkeep;
struct upkeep_options {
    struct ring *ring;
    struct root *root; /* its store is the ring's thread's */
    struct ledger *ledger;
    const struct spiffe_id *self;
    const struct arg_list *dns; /* in our own certificate, up to ISSUE_DNS_MAX */
    int64_t keep_s;             /* a certificate, after its end */
    void (*changed)(struct upkeep *u); /* what is trusted, or who signs: root is another; may be NULL */
};
struct upkeep {
    struct upkeep_options options;
    /* Our own certificate, the first or a new one: the leaf and its issuer. -errno with why. */
    int (*renewed)(struct upkeep *u, const struct key *key, const struct x509 chain[static 2],
                   const char **why);
    struct timer timer, look_timer;
    struct upkeep_look { /* at the number of what is trusted, in the ledger */
        struct ledger_entry entry;
        uint64_t version;
    } look;
    int64_t own_renew_s;
    bool refreshes, renews, forgets, looks; /* at this moment, in the ledger */
    bool stopped;
};
/* Waits for the disk, for once: our own certificate is there afterwards. */
int upkeep_open(struct upkeep *u, const struct upkeep_options *o,
                int (*renewed)(struct upkeep *u, const struct key *key,
                               const struct x509 chain[static 2], const char **why));
void upkeep_now(struct upkeep *u); /* as each minute */
/* `renewed` is not called any more. What is in the ledger comes back: u must live until that is
 * closed. */
void upkeep_stop(struct upkeep *u);
#endif
