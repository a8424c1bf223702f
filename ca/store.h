/*
 * What the CA must never forget: its keys and certificates, tokens (only their SHA-256), every
 * certificate that it issued, what was revoked, and a line for each decision that can't be changed
 * or removed any more. It is a folder with one SQLite file (WAL, synchronous FULL), or a database of
 * PostgreSQL (synchronous_commit), which several replicas share: the same tables. One of an older
 * program is brought up to date when it is opened. Each call is durable when it returns, or when
 * the change that it is in is committed. Several processes may use one store at once (a call
 * waits up to 10 s for another's change, then it is -EBUSY). One thread each. The calls block
 * for a disk or a server: whoever must not wait has the ledger do it (ledger.h). A database that is
 * away is looked for again by the next call, at most every few seconds. Errors of all calls:
 * -EBUSY, -ENOSPC, -EROFS, -EIO, -ENOMEM; store_why() has the engine's words.
 */
#ifndef CA_STORE_H
#define CA_STORE_H
#include "shared/base/text.h"
#include "shared/mesh/trust.h"
#include "shared/tls/digest.h"

struct store;
enum { STORE_WHY_MAX = 256 };
/* where: a folder; or "postgresql:FILE", the file has what libpq is told (a line of KEY=VALUE, or a
 * URI; empty FILE: its environment alone). Makes the folder (0700) and the file (0600), or the
 * tables, if they aren't there. -errno with why; -EPERM: everybody may use the file; -ENOTSUP: of a
 * newer program, or nothing that keeps what it is told. */
int store_open(struct store **ret, const char *where, char why[static STORE_WHY_MAX]);
/* The same, but makes nothing: -ENOENT where no state is. */
int store_open_existing(struct store **ret, const char *where, char why[static STORE_WHY_MAX]);
bool store_is_shared(const char *where); /* replicas may share it: a database */
struct store *store_close(struct store *s); /* NULL is fine; returns NULL */

/* One writer at a time, over all processes; everything between is one change. */
int store_begin(struct store *s);
/* A change that only adds rows which nobody else adds: others of its kind may go on meanwhile. */
int store_begin_beside(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

/* ---- what signs and what is trusted (store_trust.c) ----------------------- */

#define AUTHORITY_ROOT         "root"
#define AUTHORITY_INTERMEDIATE "intermediate"
#define ROOT_NEXT  "next"  /* is trusted, and does not sign yet */
#define ROOT_SIGNS "signs" /* the newest of them; intermediates have no other state */
#define ROOT_OLD   "old"   /* is trusted, and does not sign any more */
#define ROOT_GONE  "gone"
enum { ROOTS_TRUSTED_MAX = 2 }; /* one and its successor */
struct authority_record {            /* a signing certificate; heap */
    char *certificate_pem, *key_pem; /* key_pem is wiped by authority_record_done(); "": elsewhere */
    int64_t made_s;
    const char *state; /* to be put: ROOT_...; NULL: it signs */
};
/* kind: one of these. */
int store_put_authority(struct store *s, const char *kind, const struct authority_record *a);
/* The newest that signs, or is in that state; -ENOENT. */
int store_get_authority(struct store *s, const char *kind, struct authority_record *ret);
int store_get_authority_in(struct store *s, const char *kind, const char *state,
                           struct authority_record *ret);
void authority_record_done(struct authority_record *a);
/* Writes each key that there is as change() makes it of what is there; to be called in a change. The
 * errors of change() and of the store. (store_keys.c) */
int store_change_keys(struct store *s,
                      int (*change)(const char *key_pem, char *out, size_t size, void *arg),
                      void *arg);
/* Not in a change: what was overwritten is no longer in the file's log either. -EBUSY: others have the
 * state open, and it is. */
int store_forget_log(struct store *s);
struct root_list { /* heap: root_list_done() */
    struct root_record {
        int64_t id, since_s; /* in that state */
        char *certificate_pem, state[8];
    } roots[ROOTS_TRUSTED_MAX];
    size_t n;
};
/* Those that are not gone, the oldest first. */
int store_list_roots(struct store *s, struct root_list *ret);
void root_list_done(struct root_list *l);
int store_set_root(struct store *s, int64_t id, const char *state, int64_t now_s); /* -ENOENT */
/* Another number after each change of what is trusted: of roots, intermediates, revocations. */
int store_trust_version(struct store *s, uint64_t *ret);
/* What is revoked at that time and must be told: identities, and certificates that are valid still and
 * whose identity is not revoked as a whole; the newest, if there are more than there is room for. */
int store_get_trust(struct store *s, uint64_t version, const char *roots_pem, int64_t now_s,
                    struct trust **ret);
/* When the last of the certificates ends that were issued until then; 0: there is none. */
int store_last_end(struct store *s, int64_t issued_until_s, int64_t *ret);

/* ---- tokens, and what was issued (store_rows.c) --------------------------- */

int store_put_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *node,
                    int64_t expires_s);
/* -ENOENT: unknown. The caller looks at the expiry. node: heap. */
int store_get_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], char **ret_node,
                    int64_t *ret_expires_s);

struct issued_record {
    const char *serial, *identity, *node; /* node "": nobody's */
    int64_t not_before_s, not_after_s, issued_s;
    const char *proof; /* by which its asker was believed: PROOF_... below */
};
/* -EEXIST: that serial was used before. */
int store_put_issued(struct store *s, const struct issued_record *r);
/* That key is this identity's, until its last certificate has ended and was forgotten. digest: the
 * SHA-256 of the public key. -EEXIST: it is another identity's. */
int store_hold_key(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *identity,
                   int64_t not_after_s);
int store_count_issued(struct store *s, uint64_t *ret);
struct issued_found { /* heap: issued_found_done() */
    char *identity, *proof;
    int64_t not_after_s;
};
int store_get_issued(struct store *s, const char *serial, struct issued_found *ret); /* -ENOENT */
void issued_found_done(struct issued_found *f);
/* Removes certificates that ended before that, with their revocations, rows_max of them at most, in
 * a change of its own; their lines stay in the audit log. */
int store_forget(struct store *s, int64_t before_s, uint64_t rows_max, uint64_t *ret_n);

/* A token that is good once, for one identity. source: the addresses that may use it, as a prefix;
 * "": all. */
struct join_record {
    const char *identity, *source;
    int64_t made_s, expires_s;
};
struct join_found { /* heap: join_found_done() */
    char *identity, *source;
    int64_t expires_s;
};
int store_put_join(struct store *s, const uint8_t digest[static DIGEST_BYTES],
                   const struct join_record *j);
int store_get_join(struct store *s, const uint8_t digest[static DIGEST_BYTES],
                   struct join_found *ret); /* -ENOENT */
void join_found_done(struct join_found *f);
/* -ENOENT: another one has spent it. */
int store_spend_join(struct store *s, const uint8_t digest[static DIGEST_BYTES]);

/* ---- revocation and the audit log (store_audit.c) ------------------------- */

#define REVOKED_IDENTITY "identity"
#define REVOKED_SERIAL   "serial"
/* kind: one of these. An identity gets no certificates any more, and those that it has are revoked
 * by their serials, for good: to be called in a change. -EEXIST: it is revoked already. */
int store_put_revocation(struct store *s, const char *kind, const char *value, int64_t now_s,
                         const char *reason);
int store_lift_revocation(struct store *s, const char *kind, const char *value); /* -ENOENT */
/* Serials that are revoked, of certificates that end then or later, or are not known; in their order, rows_max at
 * most. From `visit` other than 0 ends it, and is the answer. */
int store_revoked_serials(struct store *s, int64_t not_after_s, int rows_max,
                          int (*visit)(const char *serial, int64_t revoked_s, void *arg), void *arg);
int store_is_revoked(struct store *s, const char *kind, const char *value, bool *ret);

#define PROOF_NONE         "none"
#define PROOF_ITSELF       "itself" /* the CA's own certificate */
#define PROOF_COMMAND_LINE "command-line"
#define PROOF_NODE_TOKEN   "node-token"
#define PROOF_ACCOUNT      "service-account"
#define PROOF_JOIN_TOKEN   "join-token"
#define PROOF_CERTIFICATE  "certificate"
struct audit_record {
    int64_t at_s;
    const char *outcome;       /* "given", "refused", "revoked", "made", "lifted", "restored", "rotated" */
    const char *asker, *proof; /* who it is, or where it asked from; by what that is known */
    const char *identity, *serial, *reason; /* "": none */
};
int store_put_audit(struct store *s, const struct audit_record *a);

/* ---- looked at by people (store_audit.c) ---------------------------------- */

enum store_list { STORE_CERTIFICATES, STORE_TOKENS, STORE_REVOCATIONS, STORE_AUDIT, STORE_AUTHORITIES };
enum { STORE_COLUMNS_MAX = 8 };
struct store_row { /* the newest first; numbers are decimal, times are Unix */
    const char *names[STORE_COLUMNS_MAX], *values[STORE_COLUMNS_MAX];
    bool is_time[STORE_COLUMNS_MAX];
    size_t n;
};
/* Of that identity alone if it is not "". each() is not to use the store. */
int store_list(struct store *s, enum store_list what, const char *identity, uint64_t rows_max,
               int64_t now_s, void (*each)(const struct store_row *row, void *arg), void *arg);
/* The file is whole, and each certificate has its line: tells every problem. */
int store_check(struct store *s, void (*problem)(const char *text, void *arg), void *arg);

/* ---- copies (store_copy.c) ------------------------------------------------ */

/* Of a file; a database has its own means (-ENOTSUP).
 * All of it as it is at one moment, while others go on, into a new file (0600), which is whole and
 * durable afterwards or isn't there. -EEXIST: something is. The copy holds the keys, too. */
int store_backup(struct store *s, const char *file, char why[static STORE_WHY_MAX]);
/* Makes a state out of such a file. -EEXIST: there is a state in the folder. Join tokens do not
 * come back: one that was spent since the copy was made would be good again. */
int store_restore(const char *folder, const char *file, int64_t now_s,
                  char why[static STORE_WHY_MAX]);

const char *store_why(const struct store *s); /* of the last error; "" before one */
const char *store_library(void);              /* "3.40.1" */
const char *store_postgres_library(void);     /* "15.18": as it runs, not as it was built */
#endif
