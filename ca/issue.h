/*
 * Makes a certificate for an identity that somebody else has authenticated and authorised: nothing
 * of it comes from the request but the public key. Whoever gives it away has the ledger (ledger.h)
 * write it down before. One thread.
 */
#ifndef CA_ISSUE_H
#define CA_ISSUE_H
#include "ca/root.h"
#include "shared/mesh/spiffe_id.h"

enum { ISSUE_TTL_MIN_S = 60, ISSUE_BACKDATE_S = 60, ISSUE_DNS_MAX = 4 };
struct issue_request {
    const struct spiffe_id *id;
    const char *node;  /* "": nobody's */
    const char *proof; /* PROOF_...; NULL: the command line */
    const uint8_t *public_der;
    size_t public_len;
    int64_t ttl_s; /* clamped: at least a minute, never beyond the issuer's end */
    const struct text *dns;
    size_t n_dns; /* at most ISSUE_DNS_MAX */
};
struct issued {
    char leaf_pem[X509_PEM_MAX]; /* signed by root->intermediate, as it is now */
    char serial[2 * X509_SERIAL_MAX + 1];
    int64_t not_before_s, not_after_s;
    uint8_t key[DIGEST_BYTES]; /* the SHA-256 of its public key */
};
/* Signed and not written down. -EKEYEXPIRED: the intermediate's life is over, or has not begun; or an error of
 * x509_make(). */
int issue_make(const struct root *root, const struct issue_request *q, int64_t now_s,
               struct issued *ret, char why[static STORE_WHY_MAX]);
/* Both, and waits for the disk. Also -EKEYREVOKED and the store's errors. */
int issue(const struct root *root, const struct issue_request *q, int64_t now_s, struct issued *ret,
          char why[static STORE_WHY_MAX]);
#endif
