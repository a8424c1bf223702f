/*
 * What people change in the state besides certificates, by the command line or the API: a token
 * made, something revoked; each with its line in the audit log, in one change of the store. Blocks
 * for the disk: the command line's thread, or the ledger's.
 */
#ifndef CA_CHANGE_H
#define CA_CHANGE_H
#include "ca/attest.h"

struct change_by { /* who it was, and by what that is known; borrowed */
    const char *asker, *proof; /* PROOF_... */
    int64_t now_s;
};
/* Runs it in a change, and writes the line, whose time, asker and proof come from `by`. */
int change_audited(struct store *s, int (*change)(struct store *s, void *arg), void *arg,
                   const struct change_by *by, struct audit_record line);

enum { CHANGE_NODE_TTL_S = 365 * 86400, CHANGE_JOIN_TTL_S = 600, CHANGE_JOIN_TTL_MAX_S = 7 * 86400 };
enum { CHANGE_NODE_TTL_MAX_S = 3650 * 86400 };
struct change_token {
    const char *node, *identity; /* one of them, the other one is NULL */
    const char *source;          /* a prefix, or "" */
    int64_t ttl_s;               /* 0: as usual */
    char text[ATTEST_TOKEN_TEXT_MAX]; /* what is made; to be wiped */
};
/* NULL: good; else why not, and the field: "node", "identity", "source", "ttl". */
const char *change_token_check(const struct change_token *t, const char **ret_field);
int change_token(struct store *s, struct change_token *t, const struct change_by *by);

struct change_revocation {
    const char *identity, *serial; /* one of them, the other one is NULL */
    const char *reason;            /* "": none */
    bool lift;                     /* of an identity */
};
const char *change_revocation_check(const struct change_revocation *v, const char **ret_field);
/* -EEXIST: it is revoked already; -ENOENT: no such certificate was issued, or, with `lift`, the
 * identity is not revoked. */
int change_revocation(struct store *s, const struct change_revocation *v,
                      const struct change_by *by);
#endif
