/*
 * A root or an intermediate that was made elsewhere, taken into the state: PEM files, or a folder as
 * a Secret of cert-manager is mounted (tls.crt, tls.key, ca.crt). What does not fit together is
 * refused, with the file and the reason; then nothing is written. The root's key may stay where it
 * is: then the intermediate is given, and a new one by hand before it ends.
 */
#ifndef CA_GIVEN_H
#define CA_GIVEN_H
#include "ca/rotation.h"

enum { GIVEN_FILE_MAX = 64 * 1024 };
struct given { /* paths; NULL: not given */
    const char *folder; /* instead of the others */
    const char *root_cert, *root_key, *intermediate_cert, *intermediate_key;
};
/* In a change of its own, both: the state must have none. -EINVAL: what is given; -EEXIST: the state
 * has its own already; or an error of the store. */
int given_init(struct store *s, const struct given *g, int64_t now_s, const struct rotation_by *by,
               char why[static STORE_WHY_MAX]);
/* A new intermediate of the root that signs. */
int given_intermediate(struct store *s, const struct given *g, int64_t now_s,
                       const struct rotation_by *by, char why[static STORE_WHY_MAX]);
#endif
