/*
 * The certificate revocation list (RFC 5280, section 5): what is revoked of the certificates that have not ended, or ended
 * no longer ago than a list lives (3.3), signed by the issuer that signs now. Its number is that of what is trusted
 * and the time, so it only grows. Who verifies by it needs another one when it is over.
 */
#ifndef CA_REVOCATION_LIST_H
#define CA_REVOCATION_LIST_H
#include "ca/root.h"
#include "shared/tls/crl.h"

enum { REVOCATION_LIST_S = 3600 }; /* from this update to the next one */
struct revocation_list {
    struct crl_entry *entries;
    size_t n;
    uint64_t version; /* of what is trusted, before they were read */
};
/* From the thread that has the store. -E2BIG: more than CRL_ENTRIES_MAX are revoked, and a shorter list would lie. */
int revocation_list_read(struct store *s, int64_t now_s, struct revocation_list *ret);
/* DER on the heap. -errno with *ret_why. */
int revocation_list_sign(const struct revocation_list *l, const struct root *root, int64_t now_s,
                         uint8_t **ret_der, size_t *ret_len, const char **ret_why);
void revocation_list_done(struct revocation_list *l);
#endif
