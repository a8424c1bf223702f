/*
 * One workload identity with its certificate: what connections need to speak for it. Immutable,
 * reference counted (atomic): the manager, every worker and every tunnel that uses it hold one. A
 * renewal makes a new one; living connections keep theirs.
 */
#ifndef SHARED_CREDENTIALS_CREDENTIAL_H
#define SHARED_CREDENTIALS_CREDENTIAL_H
#include "shared/mesh/spiffe_id.h"
#include "shared/tls/tls_config.h"
#include <stdatomic.h>

struct credential {
    _Atomic unsigned refs;
    struct spiffe_id id;
    struct tls_config *client, *server; /* ALPN h2, mutual */
    int64_t not_before_s, not_after_s;
    char serial[2 * X509_SERIAL_MAX + 1];
    struct key *key;             /* for those whose identity it is: their file, their applications */
    char *chain_pem, *roots_pem; /* the chain alone, without a key */
};
/* Checks: leaf's URI is id, it is good for servers and clients, key belongs to the leaf, chain
 * leads to the roots. -EINVAL, -EKEYREJECTED, -ENOMEM with why. */
int credential_new(struct credential **ret, const struct spiffe_id *id, const struct key *key,
                   struct text chain_pem, struct text roots_pem, int64_t now_s,
                   const char **ret_why);
/* The same certificate and key, by other roots. *ret_signs: its chain leads to the first of them, the
 * one that signs now. -EKEYREJECTED: to none; else as credential_new(). */
int credential_trusting(struct credential **ret, const struct credential *c, struct text roots_pem,
                        int64_t now_s, bool *ret_signs, const char **ret_why);
/* Whose certificate the first one of a chain is; -EINVAL with why, -ENOMEM. */
int credential_identity(struct text chain_pem, struct spiffe_id *ret, const char **ret_why);
struct credential *credential_ref(struct credential *c);
struct credential *credential_unref(struct credential *c); /* NULL is fine; returns NULL */
#endif
