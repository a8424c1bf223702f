/*
 * What the CA must never forget, in one SQLite file (WAL, synchronous FULL): its keys and
 * certificates, the nodes' tokens (only their SHA-256), and every certificate that it issued. Each
 * call is durable when it returns. Several processes may use one store at once (a call waits up to
 * 10 s for another's change, then it is -EBUSY). One thread. The calls block for a disk write:
 * good enough while one node asks for a few dozen a day. Errors of all calls: -EBUSY, -ENOSPC,
 * -EROFS, -EIO, -ENOMEM; store_why() has SQLite's words.
 */
#ifndef CA_STORE_H
#define CA_STORE_H
#include "shared/base/text.h"
#include "shared/tls/digest.h"

struct store;
enum { STORE_WHY_MAX = 256 };
/* Makes the folder (0700) and the file (0600) if they aren't there. -errno with why; -EPERM:
 * everybody may use the file; -ENOTSUP: of a newer program, or no file system for it. */
int store_open(struct store **ret, const char *folder, char why[static STORE_WHY_MAX]);
/* The same, but makes nothing: -ENOENT where no state is. */
int store_open_existing(struct store **ret, const char *folder, char why[static STORE_WHY_MAX]);
struct store *store_close(struct store *s); /* NULL is fine; returns NULL */

/* One writer at a time, over all processes; everything between is one change. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

struct authority_record {            /* a signing certificate; heap */
    char *certificate_pem, *key_pem; /* key_pem is wiped by authority_record_done() */
    int64_t made_s;
};
/* kind: "root", "intermediate". */
int store_put_authority(struct store *s, const char *kind, const struct authority_record *a);
/* The newest; -ENOENT. */
int store_get_authority(struct store *s, const char *kind, struct authority_record *ret);
void authority_record_done(struct authority_record *a);

int store_put_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], const char *node,
                    int64_t expires_s);
/* -ENOENT: unknown. The caller looks at the expiry. node: heap. */
int store_get_token(struct store *s, const uint8_t digest[static DIGEST_BYTES], char **ret_node,
                    int64_t *ret_expires_s);

struct issued_record {
    const char *serial, *identity, *node; /* node "": issued on the command line */
    int64_t not_before_s, not_after_s, issued_s;
};
/* -EEXIST: that serial was used before. */
int store_put_issued(struct store *s, const struct issued_record *r);
int store_count_issued(struct store *s, uint64_t *ret);
const char *store_why(const struct store *s); /* of the last error; "" before one */
const char *store_library(void);              /* "3.40.1" */
#endif
