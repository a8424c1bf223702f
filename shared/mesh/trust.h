/*
 * What the CA says of trust: the roots, and whose certificates are worth nothing though they lead to
 * one. Immutable once made, reference counted (atomic): the control thread and each worker hold one.
 * Bounded: TRUST_..._MAX; beyond it the newest are in it, and it says so.
 */
#ifndef SHARED_MESH_TRUST_H
#define SHARED_MESH_TRUST_H
#include "shared/base/text.h"
#include <stdatomic.h>

enum {
    TRUST_IDENTITIES_MAX = 4096,
    TRUST_SERIALS_MAX = 16384,
    TRUST_SERIAL_BYTES = 41, /* hex of 20 bytes, and a NUL */
    TRUST_ROOTS_BYTES_MAX = 256 * 1024,
};
struct trust {
    _Atomic unsigned refs;
    uint64_t version;
    char *roots_pem;
    char **identities; /* sorted */
    char (*serials)[TRUST_SERIAL_BYTES]; /* sorted; hex, lower case */
    size_t n_identities, n_serials;
    bool incomplete;
};
/* With room for so many; the owner of the only reference fills it by trust_add_...(), and then has it
 * sorted, once. NULL: no memory, or beyond a maximum. */
struct trust *trust_new(uint64_t version, struct text roots_pem, size_t identities, size_t serials);
/* -ENOSPC, -ENOMEM; -EINVAL: it is no SPIFFE ID of ours, or no such hex. */
int trust_add_identity(struct trust *t, struct text id);
int trust_add_serial(struct trust *t, struct text hex);
void trust_sort(struct trust *t);
/* What `held` says, and what else `more` revokes; *ret NULL: that is nothing. -ENOMEM; -ENOSPC: together
 * they are beyond a maximum. */
int trust_with(const struct trust *held, const struct trust *more, struct trust **ret);
struct trust *trust_ref(struct trust *t);
struct trust *trust_unref(struct trust *t); /* NULL is fine; returns NULL */
/* NULL: nothing is revoked that we know of. */
bool trust_revokes_identity(const struct trust *t, const char *id);
bool trust_revokes_serial(const struct trust *t, const char *hex);
static inline bool trust_revokes(const struct trust *t, const char *id, const char *hex)
{
    return trust_revokes_identity(t, id) || trust_revokes_serial(t, hex);
}
#endif
