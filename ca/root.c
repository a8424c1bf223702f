/* Root and intermediate: made, loaded, renewed; see the header. */
#include "ca/root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct rotation_by itself = {"", PROOF_ITSELF};

static int expired(const struct signer *root, int64_t now_s, char why[static STORE_WHY_MAX])
{
    if (now_s < root->certificate.not_after_s)
        return 0;
    snprintf(why, STORE_WHY_MAX, "the root certificate has expired");
    return -EKEYEXPIRED;
}

static int load_root(struct store *store, int64_t now_s, struct signer *ret,
                     char why[static STORE_WHY_MAX])
{
    int r = signer_load(store, AUTHORITY_ROOT, ROOT_SIGNS, NULL, ret, why);
    if (r == -ENOENT)
        return signer_new(store, ROOT_SIGNS, NULL, now_s, ret, why);
    return r < 0 ? r : expired(ret, now_s, why);
}

static int load_intermediate(struct store *store, int64_t now_s, const struct signer *root,
                             struct signer *ret, char why[static STORE_WHY_MAX])
{
    int r = signer_load(store, AUTHORITY_INTERMEDIATE, ROOT_SIGNS, root, ret, why);
    if (r == -ENOENT && !root->key)
        snprintf(why, STORE_WHY_MAX, "there is no intermediate, and no key of the root to make one");
    if (r == 0 && (!root->key || !signer_is_due(&ret->certificate, &root->certificate, now_s)))
        return 0;
    if (r == 0)
        signer_done(ret);
    else if (r != -ENOENT || !root->key)
        return r;
    return signer_new(store, ROOT_SIGNS, root, now_s, ret, why);
}

/* All that is trusted, the one that signs first. */
static int load_trusted(struct store *store, struct root *r, char why[static STORE_WHY_MAX])
{
    struct root_list list;
    const char *bad = NULL;
    size_t n = 0, len = 0;
    int e = store_list_roots(store, &list);
    if (e < 0) {
        snprintf(why, STORE_WHY_MAX, "%s", store_why(store));
        return e;
    }
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; !bad && i < list.n; i++) {
            if ((strcmp(list.roots[i].state, ROOT_SIGNS) != 0) != others)
                continue;
            struct signer s = {0};
            bad = signer_parse(list.roots[i].certificate_pem, "", NULL, &s);
            if (bad)
                break;
            r->trusted[r->n_trusted++] = s.certificate;
            (void)x509_to_pem(&s.certificate, r->bundle_pem + len, sizeof r->bundle_pem - len, &n);
            len += n;
        }
    root_list_done(&list);
    if (!bad)
        return 0;
    snprintf(why, STORE_WHY_MAX, "the root is damaged: %s", bad);
    return -EBADMSG;
}

/* All in one change, so that two processes that start at once agree. */
static int load_all(struct root *ret, int64_t now_s, struct signer *root,
                    struct signer *intermediate, char why[static STORE_WHY_MAX])
{
    struct store *store = ret->store;
    bool done;
    int r = store_begin(store);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%s", store_why(store));
        return r;
    }
    r = rotation_go_on(store, now_s, false, &itself, &done, why);
    if (r == 0)
        r = load_root(store, now_s, root, why);
    if (r == 0)
        r = load_intermediate(store, now_s, root, intermediate, why);
    if (r == 0)
        r = load_trusted(store, ret, why);
    if (r == 0)
        r = rotation_read(store, &ret->rotation, why);
    if (r == 0 && ((r = store_trust_version(store, &ret->version)) < 0 ||
                   (r = store_get_trust(store, ret->version, ret->bundle_pem, now_s, &ret->trust)) < 0 ||
                   (r = store_commit(store)) < 0))
        snprintf(why, STORE_WHY_MAX, "%s", store_why(store));
    if (r < 0)
        store_rollback(store);
    return r;
}

int root_check(struct store *store, int64_t now_s, char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    int r = signer_load(store, AUTHORITY_ROOT, ROOT_SIGNS, NULL, &root, why);
    if (r == 0)
        r = signer_load(store, AUTHORITY_INTERMEDIATE, ROOT_SIGNS, &root, &intermediate, why);
    if (r == -ENOENT)
        snprintf(why, STORE_WHY_MAX, "there are no keys yet: weir-ca init makes them");
    if (r == 0)
        r = expired(&root, now_s, why);
    signer_done(&root);
    signer_done(&intermediate);
    return r;
}

int root_open(struct root *r, struct store *store, int64_t now_s, char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    size_t len;
    *r = (struct root){.store = store};
    int e = load_all(r, now_s, &root, &intermediate, why);
    if (e < 0) {
        signer_done(&root);
        signer_done(&intermediate);
        root_done(r);
        return e;
    }
    r->root = root.certificate;
    r->intermediate = intermediate.certificate;
    r->intermediate_key = intermediate.key;
    r->has_key = root.key != NULL;
    key_unref(root.key); /* not kept: it is needed once in half a year */
    (void)x509_to_pem(&r->root, r->root_pem, sizeof r->root_pem, &len);
    (void)x509_to_pem(&r->intermediate, r->intermediate_pem, sizeof r->intermediate_pem, &len);
    return 0;
}

bool root_is_due(const struct root *r, int64_t now_s)
{
    return (r->has_key && signer_is_due(&r->intermediate, &r->root, now_s)) ||
           (r->rotation.step != ROTATION_NONE && now_s > r->rotation.due_s);
}

void root_done(struct root *r)
{
    x509_done(&r->root);
    x509_done(&r->intermediate);
    for (size_t i = 0; i < r->n_trusted; i++)
        x509_done(&r->trusted[i]);
    r->n_trusted = 0;
    r->trust = trust_unref(r->trust);
    r->intermediate_key = key_unref(r->intermediate_key);
}
