/*
 * Makes a certificate for an identity that somebody else has authenticated and authorised: nothing
 * of it comes from the request but the public key. The ledger line is durable before the
 * certificate leaves. One thread.
 */
#ifndef CA_ISSUE_H
#define CA_ISSUE_H
#include "ca/root.h"
#include "shared/mesh/spiffe_id.h"

enum { ISSUE_TTL_MIN_S = 60, ISSUE_BACKDATE_S = 60, ISSUE_DNS_MAX = 4 };
struct issue_request {
    const struct spiffe_id *id;
    const char *node; /* "": the command line */
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
};
/* -EKEYEXPIRED: the intermediate's life is over; or an error of x509_make() or of the store. */
int issue(const struct root *root, const struct issue_request *q, int64_t now_s, struct issued *ret,
          char why[static STORE_WHY_MAX]);
#endif
