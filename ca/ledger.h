/*
 * Writes down what was decided before anybody is told of it: the line of the audit log, the
 * certificate, and the token that is spent by it are one change of the store, or nothing. A thread
 * of its own with a connection of its own does it, so that the ring's thread never waits for a disk;
 * all that came while the last change was written is the next one, so that a hundred certificates
 * may cost one write. Bounded: LEDGER_MAX entries that nobody was told of yet.
 */
#ifndef CA_LEDGER_H
#define CA_LEDGER_H
#include "ca/store.h"
#include "shared/ring/mailbox.h"

enum { LEDGER_MAX = 4096, LEDGER_AT_ONCE = 256 };
struct ledger;
struct ledger_entry { /* embedded; texts live until it is written */
    struct audit_record audit;   /* outcome "given": `issued` is there, too */
    struct issued_record issued; /* serial NULL: nothing was issued */
    const uint8_t *spends;       /* the digest of a join token, or NULL */
    const char *renews;          /* the serial of the certificate that it was asked with, or NULL */
    const uint8_t *key;          /* the digest of a public key that no other identity may have, or NULL */
    /* NULL; or this instead of all that: on the ledger's thread, between two changes. What became
     * of it, it says itself. */
    void (*work)(struct store *s, struct ledger_entry *e);
    /* What became of it. 0; -EKEYREVOKED: the identity is revoked, -EKEYREJECTED: the certificate
     * that it was asked with is, -ENOENT: the token was spent, -EEXIST: the serial was used,
     * -ENOTUNIQ: the key is another identity's: then the log has a refusal in its place; or an error of the store: then nothing was written. */
    int result;
    char why[STORE_WHY_MAX];                  /* if result < 0 */
    void (*written)(struct ledger_entry *e); /* on the ring's thread; owns it from then on */
    struct ledger *ledger; /* these three are the ledger's */
    struct mail mail;
    struct ledger_entry *next;
};
/* Writes them in one change, here and now; `written` is not called. */
void ledger_write(struct store *s, struct ledger_entry *const *entries, size_t n);

/* Needs a state that is there. */
int ledger_open(struct ledger **ret, struct ring *ring, const char *folder,
                char why[static STORE_WHY_MAX]);
/* -EAGAIN: full, or closing: not taken. */
int ledger_put(struct ledger *l, struct ledger_entry *taken_e);
/* What was put in is written and told; then it is freed, and closed (may be NULL) is called from
 * the loop. NULL is fine: closed is not called. */
void ledger_close(struct ledger *l, void (*closed)(void *arg), void *arg);
#endif
