/*
 * Certificate signing requests (PKCS#10, RFC 2986): made by whoever wants a certificate, judged by the CA.
 * The CA takes nothing from a request but its public key, after it has checked that the request is
 * signed by it (proof of possession). Only ECDSA P-256 keys are accepted.
 */
#ifndef SHARED_TLS_CSR_H
#define SHARED_TLS_CSR_H
#include "shared/tls/key.h"

enum { CSR_PEM_MAX = 8192, CSR_PUBLIC_MAX = 256 };
int csr_make(const struct key *key, struct text uri, char *out_pem, size_t size, size_t *ret_len);
/* -EINVAL (malformed), -EKEYREJECTED (signature wrong), -ENOTSUP (key kind), with *ret_why. */
int csr_public_key(struct text pem, uint8_t *out_der, size_t size, size_t *ret_len, const char **ret_why);
#endif
