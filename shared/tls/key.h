/*
 * Private keys (ECDSA P-256) and their only home. Key bytes live in memory that is locked, left out
 * of core dumps, zero in a forked child and wiped in key_unref(); nobody else holds them, not even
 * the TLS library, which asks here for signatures. Reference counted (atomic): a key is used by the
 * contexts of many connections on several threads, read-only after it was made.
 */
#ifndef SHARED_TLS_KEY_H
#define SHARED_TLS_KEY_H
#include "shared/base/text.h"

enum { KEY_PEM_MAX = 512, KEY_PUBLIC_MAX = 91 };
struct key;
/* -ENOMEM, -EIO: no randomness. */
int key_generate(struct key **ret);
/* The first private key of a PEM text, PKCS#8 or SEC1, not encrypted; -EINVAL: none, or of
 * another kind. */
int key_from_pem(struct text pem, struct key **ret);
struct key *key_ref(struct key *key);
struct key *key_unref(struct key *key); /* NULL is fine; returns NULL */
/* PKCS#8, NUL-terminated, for files of mode 0600 only; the caller wipes it. -ENOBUFS:
 * KEY_PEM_MAX is always enough. */
int key_to_pem(const struct key *key, char *out, size_t size, size_t *ret_len);
int key_to_der(const struct key *key, uint8_t *out, size_t size, size_t *ret_len); /* likewise */
/* SubjectPublicKeyInfo, KEY_PUBLIC_MAX bytes; -ENOBUFS. */
int key_public_der(const struct key *key, uint8_t *out, size_t size, size_t *ret_len);
void key_wipe(void *data, size_t len); /* not optimised away */
#endif
