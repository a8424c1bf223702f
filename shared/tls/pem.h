/*
 * PEM (RFC 7468): DER in base 64 between BEGIN and END lines. Pure; the memory is the caller's.
 * Inside shared/tls only.
 */
#ifndef SHARED_TLS_PEM_H
#define SHARED_TLS_PEM_H
#include "shared/base/text.h"

struct pem_block {
    struct text label; /* CERTIFICATE, PRIVATE KEY, ... */
    struct text body;  /* between the two lines */
};
/* Takes the next block off the front of *pem, text outside of blocks is skipped. 1: there is
 * one; 0: none; -EINVAL: it has no end. */
int pem_next(struct text *pem, struct pem_block *ret);
/* Base 64 with line breaks and nothing else; -EINVAL, -ENOBUFS. */
int pem_decode(struct text body, uint8_t *out, size_t size, size_t *ret_len);
/* A whole block with lines of 64, NUL-terminated; *ret_len without the NUL. -ENOBUFS. */
int pem_encode(const char *label, const uint8_t *der, size_t len, char *out, size_t size,
               size_t *ret_len);
#endif
