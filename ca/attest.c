/* Tokens of nodes; see the header. */
#include "ca/attest.h"

#include "shared/base/rng.h"
#include "shared/tls/key.h"
#include <errno.h>
#include <stdlib.h>

static void base64url(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned n = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (n += 8; n >= 6; n -= 6)
            *out++ = digits[bits >> (n - 6) & 63];
    }
    if (n > 0)
        *out++ = digits[bits << (6 - n) & 63];
    *out = '\0';
}

int attest_make_token(struct store *s, const char *node, int64_t expires_s,
                      char out[static ATTEST_TOKEN_TEXT_MAX])
{
    uint8_t secret[ATTEST_TOKEN_BYTES], digest[DIGEST_BYTES];
    int r = rng_os(secret, sizeof secret);
    if (r < 0)
        return r;
    base64url(secret, sizeof secret, out);
    key_wipe(secret, sizeof secret);
    r = digest_sha256(text_of(out), digest);
    return r < 0 ? r : store_put_token(s, digest, node, expires_s);
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
