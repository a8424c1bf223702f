/* Tokens of nodes; see the header. */
#include "ca/attest.h"

#include "shared/base/base64.h"
#include "shared/base/rng.h"
#include "shared/tls/key.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int make_secret(char out[static ATTEST_TOKEN_TEXT_MAX], uint8_t digest[static DIGEST_BYTES])
{
    uint8_t secret[ATTEST_TOKEN_BYTES];
    int r = rng_os(secret, sizeof secret);
    if (r < 0)
        return r;
    struct text_out o = {out, 0, ATTEST_TOKEN_TEXT_MAX, false};
    base64url_put(&o, secret, sizeof secret);
    key_wipe(secret, sizeof secret);
    return digest_sha256(text_of(out), digest);
}

int attest_make_token(struct store *s, const char *node, int64_t expires_s,
                      char out[static ATTEST_TOKEN_TEXT_MAX])
{
    uint8_t digest[DIGEST_BYTES];
    int r = make_secret(out, digest);
    return r < 0 ? r : store_put_token(s, digest, node, expires_s);
}

int attest_make_join(struct store *s, const struct join_record *j,
                     char out[static ATTEST_TOKEN_TEXT_MAX])
{
    uint8_t digest[DIGEST_BYTES];
    int r = make_secret(out, digest);
    return r < 0 ? r : store_put_join(s, digest, j);
}

int attest_node(struct store *s, struct text bearer, int64_t now_s, char **ret_node,
                const char **ret_why)
{
    uint8_t digest[DIGEST_BYTES];
    char *node;
    int64_t expires_s;
    *ret_why = "there is no token";
    if (bearer.len == 0)
        return -EACCES;
    /* By its digest: what the time of the look-up could tell says nothing about any token. */
    int r = digest_sha256(bearer, digest);
    if (r == 0)
        r = store_get_token(s, digest, &node, &expires_s);
    if (r < 0) {
        *ret_why = r == -ENOENT ? "the token is unknown" : "the token can't be looked up";
        return r == -ENOENT ? -EACCES : r;
    }
    if (now_s >= expires_s) {
        *ret_why = "the token has expired";
        free(node);
        return -EACCES;
    }
    *ret_node = node;
    return 0;
}

/* NULL: it may join; else why not. */
static const char *judge_join(const struct join_found *f, const struct ip *from, int64_t now_s,
                              struct attested *ret)
{
    struct prefix source;
    if (now_s >= f->expires_s)
        return "the join token has expired";
    if (f->source[0] &&
        (prefix_parse(text_of(f->source), &source) < 0 || !from || !prefix_contains(&source, from)))
        return "the join token is not for that address";
    struct attested who = {.role = ATTEST_JOINED};
    if (spiffe_id_parse(text_of(f->identity), &who.id) < 0)
        return "the join token's identity is malformed";
    snprintf(who.name, sizeof who.name, "%s", who.id.text);
    *ret = who;
    return NULL;
}

int attest_join(struct store *s, struct text bearer, const struct ip *from, int64_t now_s,
                struct attested *ret, uint8_t ret_digest[static DIGEST_BYTES], bool *ret_spends,
                const char **ret_why)
{
    struct join_found f;
    *ret_spends = false;
    int r = digest_sha256(bearer, ret_digest);
    if (r == 0)
        r = store_get_join(s, ret_digest, &f);
    if (r < 0) {
        *ret_why = r == -ENOENT ? "the token is unknown" : "the token can't be looked up";
        return r == -ENOENT ? -EACCES : r;
    }
    *ret_spends = true;
    const char *bad = judge_join(&f, from, now_s, ret);
    join_found_done(&f);
    if (bad)
        *ret_why = bad;
    return bad ? -EACCES : 0;
}

static const char *judge_certificate(const struct issued_found *f, const char *uri, int64_t now_s)
{
    /* The handshake said so, too: but connections live longer than it. */
    return now_s >= f->not_after_s         ? "the certificate has expired"
           : strcmp(f->identity, uri) != 0 ? "the certificate was issued to another identity"
           : strcmp(f->proof, PROOF_JOIN_TOKEN) != 0 && strcmp(f->proof, PROOF_CERTIFICATE) != 0
               ? "the certificate is not one that renews itself"
               : NULL;
}

int attest_certificate(struct store *s, const char *uri, const char *serial, int64_t now_s,
                       struct attested *ret, const char **ret_why)
{
    struct attested who = {.role = ATTEST_JOINED};
    struct issued_found f;
    bool revoked = false;
    int r = store_get_issued(s, serial, &f);
    if (r == 0) {
        const char *bad = judge_certificate(&f, uri, now_s);
        issued_found_done(&f);
        if (bad) {
            *ret_why = bad;
            return -EACCES;
        }
        r = store_is_revoked(s, REVOKED_SERIAL, serial, &revoked);
    }
    if (r < 0) {
        *ret_why = r == -ENOENT ? "the certificate is not one of ours"
                                : "the certificate can't be looked up";
        return r == -ENOENT ? -EACCES : r;
    }
    if (revoked || spiffe_id_parse(text_of(uri), &who.id) < 0) {
        *ret_why =
            revoked ? "the certificate is revoked" : "the certificate's identity is malformed";
        return -EACCES;
    }
    snprintf(who.name, sizeof who.name, "%s", who.id.text);
    *ret = who;
    return 0;
}
