/* The claims of a service account's token; see the header. */
#include "ca/account_token.h"

#include "shared/json/json.h"
#include "shared/tls/key.h"
#include <errno.h>
#include <stdlib.h>

bool account_token_is(struct text bearer)
{
    struct text head, claims, rest;
    return text_split(bearer, '.', &head, &rest) && text_split(rest, '.', &claims, &rest) &&
           !memchr(rest.data, '.', rest.len);
}

static int digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

/* RFC 4648, 5, without padding. What comes out is shorter than what goes in. */
static bool base64url(struct text in, char *out, size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned n = 0;
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        int value = digit(in.data[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        n += 6;
        if (n >= 8) {
            n -= 8;
            out[len++] = (char)(bits >> n & 0xff);
        }
    }
    *ret_len = len;
    return in.len % 4 != 1;
}

/* One audience is written as a string or as an array of one. */
static bool is_for(const struct json *claims, const char *audience)
{
    const struct json *aud = json_member(claims, TEXT("aud"));
    if (text_equal(json_text(aud), text_of(audience)))
        return true;
    json_for_each (a, aud)
        if (text_equal(json_text(a), text_of(audience)))
            return true;
    return false;
}

static int judge(const struct json *claims, const char *audience, int64_t now_s,
                 int64_t *ret_expires_s, const char **ret_why)
{
    struct json_error e = {0};
    int64_t expires_s = 0;
    *ret_why = "the token is for another audience";
    if (!is_for(claims, audience))
        return -EACCES;
    *ret_why = "the token does not say when it ends: it is no projected one";
    if (json_read_i64(claims, "exp", 1, INT64_MAX / 1000, &expires_s, &e) < 0)
        return -EACCES;
    *ret_why = "the token has expired";
    if (now_s >= expires_s)
        return -EACCES;
    *ret_expires_s = expires_s;
    return 0;
}

int account_token_read(struct text bearer, const char *audience, int64_t now_s,
                       int64_t *ret_expires_s, const char **ret_why)
{
    static const struct json_limits limits = {ACCOUNT_TOKEN_MAX, 512, 8};
    struct text head, claims;
    struct json_error e = {0};
    struct json *tree = NULL;
    size_t len = 0;
    *ret_why = "the token is malformed";
    if (bearer.len > ACCOUNT_TOKEN_MAX || !account_token_is(bearer) ||
        !text_split(bearer, '.', &head, &claims) || !text_split(claims, '.', &claims, &head))
        return -EACCES;
    char *plain = malloc(claims.len + 1);
    if (!plain) {
        *ret_why = "out of memory";
        return -ENOMEM;
    }
    int r = base64url(claims, plain, &len) ? 0 : -EACCES;
    if (r == 0)
        r = json_parse((struct text){plain, len}, &limits, &tree, &e);
    if (r == 0)
        r = judge(tree, audience, now_s, ret_expires_s, ret_why);
    else if (r == -ENOMEM)
        *ret_why = "out of memory";
    else
        r = -EACCES;
    json_free(tree);
    key_wipe(plain, claims.len);
    free(plain);
    return r;
}
