/*
 * A certificate taken apart: views into its DER bytes, which must outlive it, and the decisions
 * that need no other certificate. Nothing allocates. Strict where RFC 5280 is, and stricter where
 * two readers might disagree: an extension that occurs twice, a SAN that isn't text, a length that
 * isn't the shortest. Inside shared/tls only.
 */
#ifndef SHARED_TLS_X509_VIEW_H
#define SHARED_TLS_X509_VIEW_H
#include "shared/tls/der.h"
#include "shared/tls/x509.h"

struct x509_view {
    struct der whole, tbs, algorithm, signature;
    struct der serial;                      /* without leading zeros */
    struct der issuer, subject, public_key; /* whole elements */
    int64_t not_before_s, not_after_s;
    struct der subject_key_id, authority_key_id;    /* contents; empty: the extension is absent */
    struct der alternative_names, name_constraints; /* contents of their SEQUENCE; empty: absent */
    struct text uri;                                /* the only URI SAN; empty: none, or several */
    unsigned uri_count;
    bool is_ca;
    int path_len; /* -1: no limit */
    bool has_key_usage, usage_digital_signature, usage_cert_sign, usage_crl_sign;
    bool has_extended_usage, extended_server, extended_client;
    bool unknown_critical; /* says something that we do not know and must not ignore */
};

/* false: malformed, *ret_why says where. */
bool x509_view_parse(struct der der, struct x509_view *ret, const char **ret_why);
const char *x509_view_check_svid_leaf(const struct x509_view *c);
struct x509_path { /* that was found */
    const struct x509_view *root;
    int64_t not_after_s; /* of the certificate on it that ends first */
};
/* As x509_verify(), with views. ret_path may be NULL. */
int x509_view_verify(const struct x509_view *chain, size_t n_chain, const struct x509_view *roots,
                     size_t n_roots, int64_t now_s, struct x509_path *ret_path,
                     const char **ret_why);
#endif
