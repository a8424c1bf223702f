/*
 * Signatures over certificates and requests: made with our keys (ECDSA P-256 with SHA-256), checked
 * for whatever a trust bundle may hold. Pure, any thread. Inside shared/tls only.
 */
#ifndef SHARED_TLS_SIGNATURE_H
#define SHARED_TLS_SIGNATURE_H
#include "shared/tls/der.h"
#include "shared/tls/key.h"

enum { SIGNATURE_MAX = 80 };
/* The AlgorithmIdentifier (whole element) of what signature_make() makes. */
struct der signature_algorithm(void);
/* ECDSA-Sig-Value; -EIO: no randomness, -ENOMEM. */
int signature_make(const struct key *key, struct der message, uint8_t out[static SIGNATURE_MAX],
                   size_t *ret_len);
/* SEQUENCE of what is signed (a whole element), the algorithm and the signature: a certificate, a
 * CRL. *ret is heap. -EINVAL: too long; -EIO, -ENOMEM. */
int signature_wrap(const struct key *key, struct der signed_part, struct der *ret);
/* Signs a SHA-256 digest with the library's generator `rng` (a WC_RNG); NULL: one of its own. */
int signature_make_hash(const struct key *key, const uint8_t *hash, void *rng,
                        uint8_t out[static SIGNATURE_MAX], size_t *ret_len);
/* algorithm and public_key are whole elements (AlgorithmIdentifier, SubjectPublicKeyInfo).
 * Accepted are ECDSA on P-256, P-384 and P-521, Ed25519, and RSA (PKCS #1 1.5) from 2,048 bits.
 * NULL: good; else why not. */
const char *signature_check(struct der algorithm, struct der public_key, struct der message,
                            struct der signature);
/* Is it a key of a kind and size that signature_check() accepts? NULL: yes. */
const char *signature_check_key(struct der public_key);
struct signature_key { /* see struct x509_public_key */
    const char *type, *curve;
    struct der first, second;
};
/* -ENOTSUP: signature_check_key() does not accept it. */
int signature_read_key(struct der public_key, struct signature_key *ret);
/* Takes SubjectPublicKeyInfo apart: *ret_point is 04, x, y of a P-256 key. -ENOTSUP: another
 * kind of key; -EINVAL. */
int signature_p256_point(struct der public_key, struct der *ret_point);
#endif
