/* Root and intermediate: made, loaded, renewed; see the header. */
#include "ca/root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY_S = 86400, ROOT_DAYS = 3650, INTERMEDIATE_DAYS = 365, BACKDATE_S = 300 };

struct signer { /* a certificate that signs, with its key */
    struct x509 certificate;
    struct key *key;
};

static void signer_done(struct signer *s)
{
    x509_done(&s->certificate);
    s->key = key_unref(s->key);
}

static int signer_save(struct store *store, const char *kind, const struct signer *s, int64_t now_s)
{
    char certificate[X509_PEM_MAX], key[KEY_PEM_MAX];
    size_t len;
    int r = x509_to_pem(&s->certificate, certificate, sizeof certificate, &len);
    if (r == 0)
        r = key_to_pem(s->key, key, sizeof key, &len);
    if (r == 0) {
        const struct authority_record a = {certificate, key, now_s};
        r = store_put_authority(store, kind, &a);
    }
    key_wipe(key, sizeof key);
    return r;
}

static int signer_load(struct store *store, const char *kind, struct signer *ret)
{
    struct authority_record a;
    const char *why;
    size_t n = 0;
    int r = store_get_authority(store, kind, &a);
    if (r < 0)
        return r;
    struct signer s = {0};
    r = x509_from_pem(text_of(a.certificate_pem), &s.certificate, 1, &n, &why);
    if (r == 0)
        r = key_from_pem(text_of(a.key_pem), &s.key);
    if (r == 0 && !x509_has_key(&s.certificate, s.key))
        r = -EINVAL;
    authority_record_done(&a);
    if (r < 0)
        signer_done(&s);
    else
        *ret = s;
    return r == -ENOENT ? -EINVAL : r; /* there is a record, so it is damaged */
}

static int signer_make(const struct signer *issuer, const char *name, int days, int path_len, int64_t now_s, struct signer *ret)
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
    if (issuer && t.not_after_s > issuer->certificate.not_after_s)
        t.not_after_s = issuer->certificate.not_after_s;
    int r = key_generate(&s.key);
    if (r == 0)
        r = key_public_der(s.key, public_der, sizeof public_der, &public_len);
    if (r == 0)
        r = x509_make(&t, public_der, public_len, issuer ? &issuer->certificate : NULL, issuer ? issuer->key : s.key, &s.certificate);
    if (r < 0)
        signer_done(&s);
    else
        *ret = s;
    return r;
}

static bool half_over(const struct x509 *c, int64_t now_s) { return now_s - c->not_before_s > (c->not_after_s - c->not_before_s) / 2; }

static int get_or_make(struct store *store, const char *kind, const struct signer *issuer, int64_t now_s, struct signer *ret)
{
    int r = signer_load(store, kind, ret);
    bool old = r == 0 && issuer && half_over(&ret->certificate, now_s);
    if (old)
        signer_done(ret);
    struct authority_record probe;
    if (r == -EINVAL && store_get_authority(store, kind, &probe) == 0) {
        authority_record_done(&probe);
        return -EINVAL; /* damaged: never made anew over it */
    }
    if (r == 0 && !old)
        return 0;
    r = issuer ? signer_make(issuer, "Weir Issuing CA", INTERMEDIATE_DAYS, 0, now_s, ret) : signer_make(NULL, "Weir Root CA", ROOT_DAYS, 1, now_s, ret);
    if (r == 0)
        r = signer_save(store, kind, ret, now_s);
    return r;
}

/* Both in one change, so that two processes that start at once agree. */
static int load_all(struct store *store, int64_t now_s, struct signer *root, struct signer *intermediate)
{
    int r = store_begin(store);
    if (r < 0)
        return r;
    r = get_or_make(store, "root", NULL, now_s, root);
    if (r == 0)
        r = get_or_make(store, "intermediate", root, now_s, intermediate);
    if (r == 0)
        r = store_commit(store);
    if (r < 0)
        store_rollback(store);
    return r;
}

static int root_load(struct root *r, int64_t now_s, char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    size_t len;
    int e = load_all(r->store, now_s, &root, &intermediate);
    if (e < 0) {
        snprintf(why, STORE_WHY_MAX, "root and intermediate: %s", store_why(r->store)[0] ? store_why(r->store) : strerror(-e));
        signer_done(&root);
        signer_done(&intermediate);
        return e;
    }
    x509_done(&r->root);
    x509_done(&r->intermediate);
    key_unref(r->intermediate_key);
    r->root = root.certificate;
    r->intermediate = intermediate.certificate;
    r->intermediate_key = intermediate.key;
    key_unref(root.key); /* not kept: it is needed once a half-year */
    (void)x509_to_pem(&r->root, r->root_pem, sizeof r->root_pem, &len);
    (void)x509_to_pem(&r->intermediate, r->intermediate_pem, sizeof r->intermediate_pem, &len);
    return 0;
}

int root_open(struct root *r, struct store *store, int64_t now_s, char why[static STORE_WHY_MAX])
{
    *r = (struct root){.store = store};
    return root_load(r, now_s, why);
}

int root_refresh(struct root *r, int64_t now_s, char why[static STORE_WHY_MAX])
{
    return half_over(&r->intermediate, now_s) ? root_load(r, now_s, why) : 0;
}

void root_done(struct root *r)
{
    x509_done(&r->root);
    x509_done(&r->intermediate);
    r->intermediate_key = key_unref(r->intermediate_key);
}
