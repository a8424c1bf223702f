/*
 * Private keys that others made: what an operator puts into a Secret for a server of the web. RSA of
 * 2,048 to 4,096 bits, ECDSA on P-256 and P-384. Unlike struct key, the mesh's own, such a key is
 * handed on between our programs. Its bytes live in secret memory alone (secret.h); the TLS library
 * asks for signatures, and the copies of one call are wiped in it. Reference counted (atomic),
 * read-only after it was made.
 */
#ifndef SHARED_TLS_WEB_KEY_H
#define SHARED_TLS_WEB_KEY_H
#include "shared/tls/x509.h"

enum { WEB_KEY_PEM_MAX = 8192, WEB_KEY_DER_MAX = 4096 };
enum web_key_kind { WEB_KEY_P256, WEB_KEY_P384, WEB_KEY_RSA };
struct web_key;
/* The first private key of a PEM text (PKCS#8, SEC1, PKCS#1; not encrypted), or of DER. -EINVAL with
 * why (a static sentence), -ENOMEM, -EIO. */
int web_key_from_pem(struct text pem, struct web_key **ret, const char **ret_why);
int web_key_from_der(const uint8_t *der, size_t len, struct web_key **ret, const char **ret_why);
struct web_key *web_key_ref(struct web_key *k);
struct web_key *web_key_unref(struct web_key *k); /* NULL is fine; returns NULL */
enum web_key_kind web_key_kind(const struct web_key *k);
/* Its bytes, in place: to be written into memory that is wiped. */
struct text web_key_der(const struct web_key *k);
bool web_key_fits(const struct web_key *k, const struct x509 *leaf); /* it is the certificate's */
#endif
