/*
 * Certificate revocation lists (RFC 5280, section 5): version 2, whole ones, signed by the key that
 * signed what they list. Pure, any thread. Bounded: CRL_ENTRIES_MAX; one more is an error, for who
 * reads a list takes what is not in it to be good.
 */
#ifndef SHARED_TLS_CRL_H
#define SHARED_TLS_CRL_H
#include "shared/tls/x509.h"

enum { CRL_ENTRIES_MAX = 16384, CRL_NUMBER_MAX = 20 };
struct crl_entry {
    uint8_t serial[X509_SERIAL_MAX]; /* big endian, without a sign */
    size_t serial_len;
    int64_t revoked_s; /* Unix time */
};
struct crl_template {                /* borrowed */
    const struct crl_entry *entries; /* each serial once; in this order */
    size_t n;
    uint8_t number[CRL_NUMBER_MAX]; /* big endian; above that of every list before (5.2.3) */
    size_t number_len;
    int64_t this_update_s, next_update_s;
};
/* DER on the heap. The issuer's is the key, and it may sign lists; its subject key identifier
 * becomes the list's authority key identifier (5.2.1). -EINVAL: something of that is not so; -E2BIG;
 * both with *ret_why (a static sentence); -ENOMEM, -EIO. */
int crl_make(const struct crl_template *t, const struct x509 *issuer, const struct key *key,
             uint8_t **ret_der, size_t *ret_len, const char **ret_why);
/* PEM ("X509 CRL", RFC 7468 section 6), NUL-terminated, on the heap; *ret_len without the NUL.
 * -ENOMEM. */
int crl_to_pem(const uint8_t *der, size_t len, char **ret, size_t *ret_len);
#endif
