/* A certificate that signs; see the header. */
#include "ca/signer.h"

#include "ca/seal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY_S = 86400, ROOT_DAYS = 3650, INTERMEDIATE_DAYS = 365, BACKDATE_S = 300 };

void signer_done(struct signer *s)
{
    x509_done(&s->certificate);
    s->key = key_unref(s->key);
}

int signer_save(struct store *store, const char *kind, const char *state, const struct signer *s,
                int64_t now_s, const char **ret_why)
{
    char certificate[X509_PEM_MAX], key[KEY_SEALED_PEM_MAX] = "";
    size_t len;
    *ret_why = NULL;
    int r = x509_to_pem(&s->certificate, certificate, sizeof certificate, &len);
    if (r == 0 && s->key)
        r = seal_to_pem(s->key, key, sizeof key, &len, ret_why);
    if (r == 0) {
        const struct authority_record a = {certificate, key, now_s, state};
        r = store_put_authority(store, kind, &a);
    }
    key_wipe(key, sizeof key);
    return r;
}

/* What lies in the store is encrypted exactly if there is a passphrase; what is given, as it comes. */
static int parse_key(struct text pem, bool stored, struct key **ret, const char **ret_why)
{
    if (stored || key_sealed_is(pem))
        return seal_from_pem(pem, ret, ret_why);
    *ret_why = "no key";
    return key_from_pem(pem, ret);
}

static const char *parse(const char *certificate_pem, const char *key_pem, bool stored,
                         const struct signer *issuer, struct signer *s, int *ret_error)
{
    const char *why = NULL;
    size_t n = 0;
    *ret_error = -EBADMSG;
    if (x509_from_pem(text_of(certificate_pem), &s->certificate, 1, &n, &why) < 0)
        return why;
    if (key_pem[0] || issuer) {
        int r = parse_key(text_of(key_pem), stored, &s->key, &why);
        if (r == -ENOKEY || r == -EKEYREJECTED || r == -ENOTSUP)
            *ret_error = r;
        if (r < 0)
            return why;
    }
    if (!s->certificate.is_ca || (s->key && !x509_has_key(&s->certificate, s->key)))
        return "no certificate of a CA with its key";
    const struct x509 *by = issuer ? &issuer->certificate : &s->certificate;
    if (x509_verify(&s->certificate, 1, by, 1, s->certificate.not_before_s, &why) < 0)
        return why;
    return NULL;
}

const char *signer_parse(const char *certificate_pem, const char *key_pem,
                         const struct signer *issuer, struct signer *ret)
{
    struct signer s = {0};
    int error;
    const char *bad = parse(certificate_pem, key_pem, false, issuer, &s, &error);
    if (bad)
        signer_done(&s);
    else
        *ret = s;
    return bad;
}

int signer_load(struct store *store, const char *kind, const char *state,
                const struct signer *issuer, struct signer *ret, char why[static STORE_WHY_MAX])
{
    struct authority_record a;
    int r = store_get_authority_in(store, kind, state, &a);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%s: %s", kind, r == -ENOMEM ? "no memory" : store_why(store));
        return r;
    }
    struct signer s = {0};
    const char *bad = parse(a.certificate_pem, a.key_pem, true, issuer, &s, &r);
    authority_record_done(&a);
    if (!bad) {
        *ret = s;
        return 0;
    }
    signer_done(&s);
    snprintf(why, STORE_WHY_MAX, "the %s%s: %s", kind, r == -EBADMSG ? " is damaged" : "", bad);
    return r;
}

static int signer_make(const struct signer *issuer, const char *name, int days, int path_len,
                       int64_t now_s, struct signer *ret)
{
    struct signer s = {0};
    uint8_t public_der[KEY_PUBLIC_MAX];
    size_t public_len;
    struct x509_template t = {
        .common_name = text_of(name),
        .organization = TEXT("Weir"),
        .is_ca = true,
        .path_len = path_len,
        .not_before_s = now_s - BACKDATE_S,
        .not_after_s = now_s + (int64_t)days * DAY_S,
    };
    /* Within the issuer's life, also if the clock was set back since. */
    if (issuer && t.not_before_s < issuer->certificate.not_before_s)
        t.not_before_s = issuer->certificate.not_before_s;
    if (issuer && t.not_after_s > issuer->certificate.not_after_s)
        t.not_after_s = issuer->certificate.not_after_s;
    int r = key_generate(&s.key);
    if (r == 0)
        r = key_public_der(s.key, public_der, sizeof public_der, &public_len);
    if (r == 0)
        r = x509_make(&t, public_der, public_len, issuer ? &issuer->certificate : NULL,
                      issuer ? issuer->key : s.key, &s.certificate);
    if (r < 0)
        signer_done(&s);
    else
        *ret = s;
    return r;
}

int signer_new(struct store *store, const char *state, const struct signer *issuer, int64_t now_s,
               struct signer *ret, char why[static STORE_WHY_MAX])
{
    const char *kind = issuer ? AUTHORITY_INTERMEDIATE : AUTHORITY_ROOT;
    int r = issuer ? signer_make(issuer, "Weir Issuing CA", INTERMEDIATE_DAYS, 0, now_s, ret)
                   : signer_make(NULL, "Weir Root CA", ROOT_DAYS, 1, now_s, ret);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "no new %s can be made: %s", kind, strerror(-r));
        return r;
    }
    const char *unsealed;
    r = signer_save(store, kind, state, ret, now_s, &unsealed);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "the new %s can't be kept: %s", kind,
                 unsealed ? unsealed : store_why(store));
        signer_done(ret);
    }
    return r;
}

bool signer_is_due(const struct x509 *c, const struct x509 *issuer, int64_t now_s)
{
    return now_s - c->not_before_s > (c->not_after_s - c->not_before_s) / 2 &&
           issuer->not_after_s > c->not_after_s;
}
