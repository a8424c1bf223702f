/*
 * Certificates: read and make. Pure, any thread. A certificate is its DER bytes; what we need to
 * know of it is copied into struct x509. Sources: RFC 5280; SPIFFE X.509-SVID (exactly one URI SAN
 * in a leaf).
 */
#ifndef SHARED_TLS_X509_H
#define SHARED_TLS_X509_H
#include "shared/base/text.h"
#include "shared/tls/key.h"

enum { X509_URI_MAX = 2048, X509_SERIAL_MAX = 20, X509_CHAIN_MAX = 8, X509_DER_MAX = 16384 };
enum { X509_PEM_MAX = 22528 }; /* of one certificate, with its NUL */

struct x509 {
    uint8_t *der; /* owned */
    size_t der_len;
    char uri[X509_URI_MAX + 1]; /* the only URI SAN, "" if it has none or several */
    size_t uri_len; /* as in the certificate: what isn't visible ASCII makes the parse fail */
    unsigned uri_count;
    uint8_t serial[X509_SERIAL_MAX];
    size_t serial_len;
    int64_t not_before_s, not_after_s; /* Unix time */
    bool is_ca, has_key_usage, usage_digital_signature, usage_cert_sign, usage_crl_sign;
    bool has_extended_usage, extended_server, extended_client;
};
/* One DER certificate; -EINVAL with *ret_why (static sentence), -ENOMEM. */
int x509_parse(const uint8_t *der, size_t len, struct x509 *ret, const char **ret_why);
void x509_done(struct x509 *c);
/* All CERTIFICATE blocks of a PEM text, in order (other blocks are skipped); -EINVAL, also if
 * there is none; -E2BIG: more than n_max. On success the caller x509_done()s each, on failure
 * none. */
int x509_from_pem(struct text pem, struct x509 *ret, size_t n_max, size_t *ret_n,
                  const char **ret_why);
/* NUL-terminated; -ENOBUFS: X509_PEM_MAX is always enough. */
int x509_to_pem(const struct x509 *c, char *out, size_t size, size_t *ret_len);
/* Hex, lower case. */
void x509_serial_text(const struct x509 *c, char out[static 2 * X509_SERIAL_MAX + 1]);
/* The rules for a leaf SVID used for authentication: one URI SAN (spiffe://), not a CA, key
 * usages. NULL: good; else why not. */
const char *x509_check_svid_leaf(const struct x509 *c);
/* Does the chain (leaf first, then CAs in any order) lead to one of the roots at that time?
 * Signatures, issuer names, validity, CA flags, path lengths, name constraints, unknown critical
 * extensions (RFC 5280, section 6); what the leaf is called is not looked at. Uses its own trust
 * store each time. 0, -EKEYREJECTED with why; -ENOMEM. */
int x509_verify(const struct x509 *chain, size_t n_chain, const struct x509 *roots, size_t n_roots,
                int64_t now_s, const char **ret_why);
/* The certificate's public key is this key's. */
bool x509_has_key(const struct x509 *c, const struct key *key);

/* Its public key in the parts that a JWK has (RFC 7518, section 6; RFC 8037): views of the
 * certificate's bytes, unsigned and big-endian. */
enum { X509_KEY_NUMBER_MAX = 512 };
struct x509_public_key {
    const char *type, *curve; /* kty: "EC", "RSA", "OKP"; crv: NULL for RSA */
    const uint8_t *first, *second; /* x and y; n and e; x and NULL */
    size_t first_len, second_len;
};
/* -ENOTSUP: of a kind that x509_verify() does not accept, or an exponent that is as long as no other. */
int x509_public_key(const struct x509 *c, struct x509_public_key *ret);

/* What a certificate to be made says. Serial: 128 random bits from the system. Key identifiers,
 * basic constraints and key usage follow from the rest. */
enum { X509_NAME_MAX = 64, X509_DNS_NAME_MAX = 253 };
struct x509_template {
    struct text uri;          /* URI SAN; critical when the subject is empty; may be empty */
    struct text common_name;  /* "": empty subject, which a CA can't have; UTF-8 */
    struct text organization; /* likewise; both up to X509_NAME_MAX bytes */
    bool is_ca;
    int path_len;                      /* -1: none; only for a CA, up to 127 */
    int64_t not_before_s, not_after_s; /* years 1950 to 9999 */
    bool server, client;               /* extended key usages of a leaf */
    struct text dns[4];                /* DNS SANs for serving certificates; empty ones left out */
};
/* Signs for the public key (SubjectPublicKeyInfo DER) with the issuer's key. issuer NULL:
 * self-signed, then the keys must be one pair. -EINVAL: a limit of the template, or an issuer
 * that must not issue this; -ENOTSUP: not a P-256 key; -ENOMEM, -EIO. */
int x509_make(const struct x509_template *t, const uint8_t *public_der, size_t public_len,
              const struct x509 *issuer, const struct key *issuer_key, struct x509 *ret);
#endif
