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

/* NULL: good; else what is wrong with what the record says. */
static const char *signer_parse(const struct authority_record *a, const struct signer *issuer,
                                struct signer *s)
{
    const char *why = NULL;
    size_t n = 0;
    if (x509_from_pem(text_of(a->certificate_pem), &s->certificate, 1, &n, &why) < 0)
        return why;
    if (key_from_pem(text_of(a->key_pem), &s->key) < 0)
        return "no key";
    if (!s->certificate.is_ca || !x509_has_key(&s->certificate, s->key))
        return "no certificate of a CA with its key";
    /* Whether it is still valid is asked elsewhere: here, whether it ever was. */
    if (issuer && x509_verify(&s->certificate, 1, &issuer->certificate, 1,
                              s->certificate.not_before_s, &why) < 0)
        return why;
    return NULL;
}

static int signer_load(struct store *store, const char *kind, const struct signer *issuer,
                       struct signer *ret, char why[static STORE_WHY_MAX])
{
    struct authority_record a;
    struct signer s = {0};
    int r = store_get_authority(store, kind, &a);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%s: %s", kind, r == -ENOMEM ? "no memory" : store_why(store));
        return r;
    }
    const char *bad = signer_parse(&a, issuer, &s);
    authority_record_done(&a);
    if (bad) {
        snprintf(why, STORE_WHY_MAX, "the %s is damaged: %s", kind, bad);
        signer_done(&s);
        return -EBADMSG;
    }
    *ret = s;
    return 0;
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

/* Half of its life is over, and a new one would live longer. */
static bool is_due(const struct x509 *c, const struct x509 *issuer, int64_t now_s)
{
    return now_s - c->not_before_s > (c->not_after_s - c->not_before_s) / 2 &&
           issuer->not_after_s > c->not_after_s;
}

static int signer_new(struct store *store, const char *kind, const struct signer *issuer,
                      int64_t now_s, struct signer *ret, char why[static STORE_WHY_MAX])
{
    int r = issuer ? signer_make(issuer, "Weir Issuing CA", INTERMEDIATE_DAYS, 0, now_s, ret)
                   : signer_make(NULL, "Weir Root CA", ROOT_DAYS, 1, now_s, ret);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "no new %s can be made: %s", kind, strerror(-r));
        return r;
    }
    r = signer_save(store, kind, ret, now_s);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "the new %s can't be kept: %s", kind, store_why(store));
        signer_done(ret);
    }
    return r;
}

static int load_root(struct store *store, int64_t now_s, struct signer *ret,
                     char why[static STORE_WHY_MAX])
{
    int r = signer_load(store, "root", NULL, ret, why);
    if (r == -ENOENT)
        return signer_new(store, "root", NULL, now_s, ret, why);
    if (r == 0 && now_s >= ret->certificate.not_after_s) {
        snprintf(why, STORE_WHY_MAX, "the root certificate has expired");
        signer_done(ret);
        return -EKEYEXPIRED;
    }
    return r;
}

static int load_intermediate(struct store *store, int64_t now_s, const struct signer *root,
                             struct signer *ret, char why[static STORE_WHY_MAX])
{
    int r = signer_load(store, "intermediate", root, ret, why);
    if (r == 0 && !is_due(&ret->certificate, &root->certificate, now_s))
        return 0;
    if (r == 0)
        signer_done(ret);
    else if (r != -ENOENT)
        return r;
    return signer_new(store, "intermediate", root, now_s, ret, why);
}

/* Both in one change, so that two processes that start at once agree. */
static int load_both(struct store *store, int64_t now_s, struct signer *root,
                     struct signer *intermediate, char why[static STORE_WHY_MAX])
{
    int r = store_begin(store);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%s", store_why(store));
        return r;
    }
    r = load_root(store, now_s, root, why);
    if (r == 0)
        r = load_intermediate(store, now_s, root, intermediate, why);
    if (r == 0 && (r = store_commit(store)) < 0)
        snprintf(why, STORE_WHY_MAX, "%s", store_why(store));
    if (r < 0)
        store_rollback(store);
    return r;
}

int root_check(struct store *store, int64_t now_s, char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    int r = signer_load(store, "root", NULL, &root, why);
    if (r == 0)
        r = signer_load(store, "intermediate", &root, &intermediate, why);
    if (r == -ENOENT)
        snprintf(why, STORE_WHY_MAX, "there are no keys yet: weir-ca init makes them");
    if (r == 0 && now_s >= root.certificate.not_after_s) {
        snprintf(why, STORE_WHY_MAX, "the root certificate has expired");
        r = -EKEYEXPIRED;
    }
    signer_done(&root);
    signer_done(&intermediate);
    return r;
}

int root_open(struct root *r, struct store *store, int64_t now_s, char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    size_t len;
    int e = load_both(store, now_s, &root, &intermediate, why);
    *r = (struct root){.store = store};
    if (e < 0) {
        signer_done(&root);
        signer_done(&intermediate);
        return e;
    }
    r->root = root.certificate;
    r->intermediate = intermediate.certificate;
    r->intermediate_key = intermediate.key;
    key_unref(root.key); /* not kept: it is needed once in half a year */
    (void)x509_to_pem(&r->root, r->root_pem, sizeof r->root_pem, &len);
    (void)x509_to_pem(&r->intermediate, r->intermediate_pem, sizeof r->intermediate_pem, &len);
    return 0;
}

bool root_is_due(const struct root *r, int64_t now_s)
{
    return is_due(&r->intermediate, &r->root, now_s);
}

void root_done(struct root *r)
{
    x509_done(&r->root);
    x509_done(&r->intermediate);
    r->intermediate_key = key_unref(r->intermediate_key);
}
