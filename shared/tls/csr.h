/*
 * Certificate signing requests (PKCS#10, RFC 2986): made by whoever wants a certificate, judged by
 * the CA. The CA takes nothing from a request but its public key, after it has checked that the
 * request is signed by it (proof of possession). Only ECDSA P-256 keys are accepted. Pure, any
 * thread.
 */
#ifndef SHARED_TLS_CSR_H
#define SHARED_TLS_CSR_H
#include "shared/tls/key.h"

enum { CSR_PEM_MAX = 8192, CSR_PUBLIC_MAX = 256 };
/* A request with the URI as its only SAN ("": none). NUL-terminated; *ret_len without the NUL.
 * -EINVAL: not a URI of at most X509_URI_MAX visible bytes; -ENOBUFS; -EIO, -ENOMEM. */
int csr_make(const struct key *key, struct text uri, char *out_pem, size_t size, size_t *ret_len);
/* -EINVAL (malformed), -EKEYREJECTED (signature wrong), -ENOTSUP (key kind), with *ret_why;
 * -ENOBUFS. */
int csr_public_key(struct text pem, uint8_t *out_der, size_t size, size_t *ret_len,
                   const char **ret_why);
#endif
