/*
 * The signing side: a root (10 years) and an issuing intermediate (1 year), made at the first start
 * and kept in the store, or given (given.h); the intermediate is made anew when half of its life is
 * over, unless it would end with the root anyway, or the root's key is not here. The root key is
 * loaded for that alone. While a root is rotated (rotation.h), two are trusted. One thread.
 */
#ifndef CA_ROOT_H
#define CA_ROOT_H
#include "ca/rotation.h"
#include "ca/signer.h"
#include "shared/mesh/trust.h"

struct root {
    struct store *store; /* borrowed */
    struct x509 root, intermediate;
    struct key *intermediate_key;
    char root_pem[X509_PEM_MAX], intermediate_pem[X509_PEM_MAX];
    struct x509 trusted[ROOTS_TRUSTED_MAX]; /* the one that signs is first */
    size_t n_trusted;
    char bundle_pem[ROOTS_TRUSTED_MAX * X509_PEM_MAX]; /* of these */
    struct rotation rotation;
    uint64_t version;    /* of what is trusted */
    struct trust *trust; /* the bundle, and what is revoked */
    bool has_key;     /* the root's is in the store */
};
/* Loads both, or makes what is not there, and does what is due. -EBADMSG: what is there is damaged,
 * and is left as it is; -EKEYEXPIRED: the root's life is over; -ENOKEY, -EKEYREJECTED: a key's
 * passphrase (seal.h); or an error of the store. */
int root_open(struct root *r, struct store *store, int64_t now_s, char why[static STORE_WHY_MAX]);
/* It is time for a new intermediate, or for a step of a rotation: another root_open() does it. After
 * an error the old one stays, and is good for the other half of its life. */
bool root_is_due(const struct root *r, int64_t now_s);
/* Looks at what is in the store and makes nothing: -ENOENT, -EBADMSG, -EKEYEXPIRED. */
int root_check(struct store *store, int64_t now_s, char why[static STORE_WHY_MAX]);
void root_done(struct root *r);
#endif
