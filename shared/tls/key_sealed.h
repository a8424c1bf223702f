/*
 * A private key in a file that needs a passphrase: PKCS#8 with PBES2 (RFC 8018, 6.2), PBKDF2 with
 * HMAC-SHA-256 or -SHA-512, AES-256-CBC, in PEM (ENCRYPTED PRIVATE KEY). What openssl reads and what
 * `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes. Pure, any thread; slow on purpose: some
 * tenths of a second of processor time each.
 */
#ifndef SHARED_TLS_KEY_SEALED_H
#define SHARED_TLS_KEY_SEALED_H
#include "shared/tls/key.h"

enum { KEY_SEALED_PEM_MAX = 1024, KEY_SEALED_PASSPHRASE_MAX = 1023 };
enum { KEY_SEALED_ITERATIONS = 600000, KEY_SEALED_ITERATIONS_MAX = 10000000 };
bool key_sealed_is(struct text pem); /* the first private key in it is such a one */
/* NUL-terminated. -EINVAL: no passphrase, or too long a one; -ENOBUFS: KEY_SEALED_PEM_MAX is always
 * enough; -EIO: no randomness; -ENOMEM. */
int key_sealed_to_pem(const struct key *key, struct text passphrase, unsigned iterations, char *out,
                      size_t size, size_t *ret_len);
/* The first private key. -EKEYREJECTED: not with this passphrase; -EINVAL: malformed, or more
 * iterations than that; -ENOTSUP: another cipher or derivation; -ENOMEM. */
int key_sealed_from_pem(struct text pem, struct text passphrase, unsigned iterations_max,
                        struct key **ret);
#endif
