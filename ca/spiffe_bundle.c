/* The SPIFFE bundle; see the header. */
#include "ca/spiffe_bundle.h"

#include "shared/base/base64.h"

static void put_number(struct json_out *o, const char *name, const uint8_t *data, size_t len)
{
    char text[BASE64_TEXT_MAX(X509_KEY_NUMBER_MAX)];
    struct text_out t = TEXT_OUT(text);
    base64url_put(&t, data, len);
    json_out_text(o, name, (struct text){text, t.len});
}

/* A "kid" is forbidden here: a root is found by what it signs. */
static void put_root(struct json_out *o, const struct x509 *root, const struct x509_public_key *k)
{
    char der[BASE64_TEXT_MAX(X509_DER_MAX)];
    struct text_out t = TEXT_OUT(der);
    bool rsa = !k->curve;
    json_out_object(o, NULL);
    json_out_string(o, "use", "x509-svid");
    json_out_string(o, "kty", k->type);
    if (!rsa)
        json_out_string(o, "crv", k->curve);
    put_number(o, rsa ? "n" : "x", k->first, k->first_len);
    if (k->second)
        put_number(o, rsa ? "e" : "y", k->second, k->second_len);
    json_out_array(o, "x5c");
    base64_put(&t, root->der, root->der_len);
    json_out_text(o, NULL, (struct text){der, t.len});
    json_out_end(o);
    json_out_end(o);
}

int spiffe_bundle_put(struct json_out *o, const struct x509 *roots, size_t n, uint64_t sequence)
{
    struct x509_public_key key;
    json_out_array(o, "keys");
    for (size_t i = 0; i < n; i++) {
        int r = x509_public_key(&roots[i], &key);
        if (r < 0)
            return r;
        put_root(o, &roots[i], &key);
    }
    json_out_end(o);
    json_out_u64(o, "spiffe_sequence", sequence);
    json_out_u64(o, "spiffe_refresh_hint", SPIFFE_BUNDLE_REFRESH_S);
    return 0;
}
