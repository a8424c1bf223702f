/*
 * One certificate that signs, with its key: read out of the store, made, and kept there. A root's
 * key may be elsewhere (a root that was given without it): then there is no `key`. One thread.
 */
#ifndef CA_SIGNER_H
#define CA_SIGNER_H
#include "ca/store.h"
#include "shared/tls/x509.h"

struct signer {
    struct x509 certificate;
    struct key *key; /* NULL: it is not here */
};
void signer_done(struct signer *s);
/* PEM, as text. NULL: good; else what is wrong (static). key_pem "": none, which is good for a root
 * alone. issuer NULL: a root. Whether it is still valid is not looked at: only whether it ever was. */
const char *signer_parse(const char *certificate_pem, const char *key_pem,
                         const struct signer *issuer, struct signer *ret);
/* As signer_parse() of what the store has: -ENOENT, -EBADMSG, -ENOKEY or -EKEYREJECTED (the key's
 * passphrase, seal.h), or an error of the store; with why. */
int signer_load(struct store *store, const char *kind, const char *state,
                const struct signer *issuer, struct signer *ret, char why[static STORE_WHY_MAX]);
/* Within the caller's change. *ret_why: what is wrong with the passphrase; NULL: store_why() knows. */
int signer_save(struct store *store, const char *kind, const char *state, const struct signer *s,
                int64_t now_s, const char **ret_why);
/* Made and kept, within the caller's change; issuer NULL: a root, of 10 years; else an intermediate
 * of a year, never beyond its issuer. */
int signer_new(struct store *store, const char *state, const struct signer *issuer, int64_t now_s,
               struct signer *ret, char why[static STORE_WHY_MAX]);
/* Half of its life is over, and a new one by that issuer would live longer. */
bool signer_is_due(const struct x509 *c, const struct x509 *issuer, int64_t now_s);
#endif
