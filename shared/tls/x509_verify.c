/*
 * Path validation (RFC 5280, section 6), with a trust store that lives for one call: nothing that a
 * peer sent is remembered. The way from the leaf to a root is searched among what the peer sent, in
 * whatever order. The number of signatures that are tried is bounded, for the sender chooses how
 * many candidates there are.
 */
#define _GNU_SOURCE
#include "shared/tls/x509_view.h"

#include <errno.h>

#include "shared/tls/name_constraints.h"
#include "shared/tls/signature.h"

enum { SIGNATURES_MAX = 32 };

struct search {
    const struct x509_view *chain, *roots;
    size_t n_chain, n_roots;
    int64_t now_s;
    unsigned signatures_left;
    unsigned used;   /* bit n: chain[n] is on the path */
    const char *why; /* of the candidate that came furthest */
    size_t why_depth;
    const struct x509_view *path[X509_CHAIN_MAX + 1];
    size_t n_path; /* once a root was reached: the root included */
};

static bool refuse(struct search *s, size_t depth, const char *why)
{
    if (!s->why || depth >= s->why_depth) {
        s->why = why;
        s->why_depth = depth;
    }
    return false;
}

/* Is this an issuer at all, now, for a path with n_below CA certificates between it and the
 * leaf? */
static const char *check_issuer(const struct search *s, const struct x509_view *c, size_t n_below)
{
    if (s->now_s < c->not_before_s)
        return "a CA certificate is not yet valid";
    if (s->now_s > c->not_after_s)
        return "a CA certificate has expired";
    if (!c->is_ca)
        return "the issuer is not a CA";
    if (c->has_key_usage && !c->usage_cert_sign)
        return "the issuer must not sign certificates";
    if (c->path_len >= 0 && n_below > (size_t)c->path_len)
        return "the path is longer than a CA allows";
    if (c->unknown_critical)
        return "a CA certificate has an unknown critical extension";
    return NULL;
}

static bool names_match(const struct x509_view *c, const struct x509_view *issuer)
{
    return der_equal(c->issuer, issuer->subject) &&
           (c->authority_key_id.len == 0 || issuer->subject_key_id.len == 0 ||
            der_equal(c->authority_key_id, issuer->subject_key_id));
}

/* path[depth] is issued by `issuer`? Then issuer is path[depth + 1]. */
static bool issued_by(struct search *s, size_t depth, const struct x509_view *issuer)
{
    const struct x509_view *c = s->path[depth];

    if (!names_match(c, issuer))
        return false;
    const char *why = check_issuer(s, issuer, depth);
    if (why)
        return refuse(s, depth, why);
    if (s->signatures_left == 0)
        return refuse(s, depth, "too many candidates for an issuer");
    s->signatures_left--;
    why = signature_check(c->algorithm, issuer->public_key, c->tbs, c->signature);
    if (why)
        return refuse(s, depth, why);
    if (issuer->name_constraints.len > 0)
        for (size_t i = 0; i <= depth; i++) {
            why = name_constraints_check(issuer, s->path[i], i == 0);
            if (why)
                return refuse(s, depth, why);
        }
    s->path[depth + 1] = issuer;
    return true;
}

/* Depth first; the path has at most n_chain + 1 certificates, so this does not recurse deep. */
static bool reaches_root(struct search *s, size_t depth)
{
    for (size_t i = 0; i < s->n_roots; i++)
        if (issued_by(s, depth, &s->roots[i])) {
            s->n_path = depth + 2;
            return true;
        }
    for (size_t i = 1; i < s->n_chain; i++) {
        if (s->used & 1u << i || !issued_by(s, depth, &s->chain[i]))
            continue;
        s->used |= 1u << i;
        if (reaches_root(s, depth + 1))
            return true;
        s->used &= ~(1u << i);
    }
    if (!s->why)
        s->why = "no path to a trusted root";
    return false;
}

static void tell_path(const struct search *s, struct x509_path *ret)
{
    *ret = (struct x509_path){s->path[s->n_path - 1], s->path[0]->not_after_s};
    for (size_t i = 1; i < s->n_path; i++)
        if (s->path[i]->not_after_s < ret->not_after_s)
            ret->not_after_s = s->path[i]->not_after_s;
}

int x509_view_verify(const struct x509_view *chain, size_t n_chain, const struct x509_view *roots,
                     size_t n_roots, int64_t now_s, struct x509_path *ret_path,
                     const char **ret_why)
{
    struct search s = {.chain = chain,
                       .n_chain = n_chain,
                       .roots = roots,
                       .n_roots = n_roots,
                       .now_s = now_s,
                       .signatures_left = SIGNATURES_MAX};

    if (n_chain == 0 || n_chain > X509_CHAIN_MAX)
        *ret_why = n_chain == 0 ? "no certificate" : "the chain is too long";
    else if (now_s < chain->not_before_s)
        *ret_why = "the certificate is not yet valid";
    else if (now_s > chain->not_after_s)
        *ret_why = "the certificate has expired";
    else if (chain->unknown_critical)
        *ret_why = "an unknown critical extension";
    else {
        s.path[0] = chain;
        if (reaches_root(&s, 0)) {
            if (ret_path)
                tell_path(&s, ret_path);
            return 0;
        }
        *ret_why = s.why;
    }
    return -EKEYREJECTED;
}
