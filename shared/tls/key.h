/*
 * Private keys (ECDSA P-256) and their only home. Key bytes live in memory that is locked, left out of core
 * dumps and wiped in key_unref(); nobody else holds them. Reference counted (atomic): a key is used by
 * the contexts of many connections on several threads, read-only after it was made.
 */
#ifndef SHARED_TLS_KEY_H
#define SHARED_TLS_KEY_H
#include "shared/base/text.h"

struct key;
int key_generate(struct key **ret);                    /* -ENOMEM, -EIO: no randomness */
int key_from_pem(struct text pem, struct key **ret);   /* PKCS#8 or SEC1, unencrypted; -EINVAL */
struct key *key_ref(struct key *key);
struct key *key_unref(struct key *key);                /* NULL is fine; returns NULL */
int key_to_pem(const struct key *key, char *out, size_t size, size_t *ret_len); /* for files of mode 0600 only; caller wipes; -ENOBUFS */
int key_public_der(const struct key *key, uint8_t *out, size_t size, size_t *ret_len); /* SubjectPublicKeyInfo */
void key_wipe(void *data, size_t len);                 /* not optimised away */
#endif
