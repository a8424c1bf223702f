/*
 * The signing side: a root (10 years) and an issuing intermediate (1 year), made at the first start
 * and kept in the store; the intermediate is made anew when half of its life is over, unless it
 * would end with the root anyway. The root key is loaded for that alone. One thread.
 */
#ifndef CA_ROOT_H
#define CA_ROOT_H
#include "ca/store.h"
#include "shared/tls/x509.h"

struct root {
    struct store *store; /* borrowed */
    struct x509 root, intermediate;
    struct key *intermediate_key;
    char root_pem[X509_PEM_MAX], intermediate_pem[X509_PEM_MAX];
};
/* Loads both, or makes what is not there. -EBADMSG: what is there is damaged, and is left as it is;
 * -EKEYEXPIRED: the root's life is over; or an error of the store. */
int root_open(struct root *r, struct store *store, int64_t now_s, char why[static STORE_WHY_MAX]);
/* It is time for a new intermediate: another root_open() makes it. After an error the old one stays,
 * and is good for the other half of its life. */
bool root_is_due(const struct root *r, int64_t now_s);
/* Looks at what is in the store and makes nothing: -ENOENT, -EBADMSG, -EKEYEXPIRED. */
int root_check(struct store *store, int64_t now_s, char why[static STORE_WHY_MAX]);
void root_done(struct root *r);
#endif
