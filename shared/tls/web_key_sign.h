/*
 * What the TLS library asks of a web_key: its public half, and signatures. Inside shared/tls only.
 */
#ifndef SHARED_TLS_WEB_KEY_SIGN_H
#define SHARED_TLS_WEB_KEY_SIGN_H
#include "shared/tls/der.h"
#include "shared/tls/web_key.h"

struct der web_key_public(const struct web_key *k); /* SubjectPublicKeyInfo */
/* Of a digest of SHA-256, SHA-384 or SHA-512, with the library's generator: ECDSA-Sig-Value; or RSA-PSS
 * with a salt as long as the digest (RFC 8446, 4.2.3). *len: the room, and what it took. -EINVAL: the
 * key is of the other kind; -ENOMEM, -EIO. */
int web_key_sign_ecdsa(const struct web_key *k, const uint8_t *digest, size_t n, void *rng,
                       uint8_t *out, size_t *len);
int web_key_sign_pss(const struct web_key *k, const uint8_t *digest, size_t n, void *rng,
                     uint8_t *out, size_t *len);
#endif
