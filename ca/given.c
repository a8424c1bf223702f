/* Certificates that were made elsewhere; see the header. */
#include "ca/given.h"

#include "ca/signer.h"
#include "shared/base/file.h"
#include "shared/tls/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct material { /* texts of files, in secret memory; "": not given */
    char *root_cert, *root_key, *intermediate_cert, *intermediate_key;
    char root_name[PATH_MAX], intermediate_name[PATH_MAX];
};

static int say(char why[static STORE_WHY_MAX], const char *file, const char *words)
{
    snprintf(why, STORE_WHY_MAX, "%.120s: %.120s", file, words);
    return -EINVAL;
}

static void material_done(struct material *m)
{
    m->root_cert = secret_free(m->root_cert, GIVEN_FILE_MAX);
    m->root_key = secret_free(m->root_key, GIVEN_FILE_MAX);
    m->intermediate_cert = secret_free(m->intermediate_cert, GIVEN_FILE_MAX);
    m->intermediate_key = secret_free(m->intermediate_key, GIVEN_FILE_MAX);
}

static int read_text(const char *path, char **ret, char why[static STORE_WHY_MAX])
{
    size_t len = 0;
    *ret = secret_new(GIVEN_FILE_MAX);
    if (!*ret)
        return say(why, path ? path : "", "no memory");
    int r = path ? file_read(path, O_NONBLOCK, *ret, GIVEN_FILE_MAX - 1, &len) : 0;
    (*ret)[r == 0 ? len : 0] = '\0';
    return r < 0 ? say(why, path, strerror(-r)) : 0;
}

static int read_files(const struct given *g, struct material *m, char why[static STORE_WHY_MAX])
{
    int r = read_text(g->root_cert, &m->root_cert, why);
    if (r == 0)
        r = read_text(g->root_key, &m->root_key, why);
    if (r == 0)
        r = read_text(g->intermediate_cert, &m->intermediate_cert, why);
    if (r == 0)
        r = read_text(g->intermediate_key, &m->intermediate_key, why);
    snprintf(m->root_name, sizeof m->root_name, "%s", g->root_cert ? g->root_cert : "");
    snprintf(m->intermediate_name, sizeof m->intermediate_name, "%s",
             g->intermediate_cert ? g->intermediate_cert : "");
    return r;
}

/* tls.crt is the intermediate, or the root itself, whose key it is then. */
static int read_folder(const char *folder, struct material *m, char why[static STORE_WHY_MAX])
{
    char ca[PATH_MAX], certificate[PATH_MAX], key[PATH_MAX];
    if (strlen(folder) > PATH_MAX - 16)
        return say(why, folder, "the path is too long");
    snprintf(ca, sizeof ca, "%s/ca.crt", folder);
    snprintf(certificate, sizeof certificate, "%s/tls.crt", folder);
    snprintf(key, sizeof key, "%s/tls.key", folder);
    const struct given g = {NULL, ca, NULL, certificate, key};
    int r = read_files(&g, m, why);
    if (r < 0)
        return r;
    struct x509 root, own;
    const char *bad = "no certificate";
    size_t n;
    if (x509_from_pem(text_of(m->root_cert), &root, 1, &n, &bad) < 0)
        return say(why, ca, bad);
    r = x509_from_pem(text_of(m->intermediate_cert), &own, 1, &n, &bad);
    if (r == -E2BIG)
        bad = "the issuing certificate must be signed by the root itself: no other between them";
    if (r < 0) {
        x509_done(&root);
        return say(why, certificate, bad);
    }
    if (own.der_len == root.der_len && memcmp(own.der, root.der, own.der_len) == 0) {
        char *none = m->root_key;
        m->root_key = m->intermediate_key;
        m->intermediate_key = none;
        m->intermediate_cert[0] = '\0';
    }
    x509_done(&own);
    x509_done(&root);
    return 0;
}

static int read_material(const struct given *g, struct material *m, char why[static STORE_WHY_MAX])
{
    return g->folder ? read_folder(g->folder, m, why) : read_files(g, m, why);
}

static const char *check_time(const struct x509 *c, int64_t now_s)
{
    return now_s < c->not_before_s   ? "it is not valid yet (is the clock right?)"
           : now_s >= c->not_after_s ? "it has expired"
           : c->has_key_usage && !c->usage_cert_sign ? "its key usage does not let it sign certificates"
                                                     : NULL;
}

static int parse_root(const struct material *m, int64_t now_s, struct signer *ret,
                      char why[static STORE_WHY_MAX])
{
    const char *bad = signer_parse(m->root_cert, m->root_key, NULL, ret);
    if (!bad && (bad = check_time(&ret->certificate, now_s)))
        signer_done(ret);
    return bad ? say(why, m->root_name, bad) : 0;
}

static int parse_intermediate(const struct material *m, int64_t now_s, const struct signer *root,
                              struct signer *ret, char why[static STORE_WHY_MAX])
{
    const char *bad = signer_parse(m->intermediate_cert, m->intermediate_key, root, ret);
    if (!bad && (bad = check_time(&ret->certificate, now_s)))
        signer_done(ret);
    return bad ? say(why, m->intermediate_name, bad) : 0;
}

/* Only the certificate itself: a file may hold more text, and other blocks. */
static int save(struct store *s, const char *kind, const struct signer *signer, int64_t now_s,
                char why[static STORE_WHY_MAX])
{
    const char *unsealed;
    int r = signer_save(s, kind, ROOT_SIGNS, signer, now_s, &unsealed);
    if (r < 0)
        snprintf(why, STORE_WHY_MAX, "the %s can't be kept: %s", kind,
                 unsealed ? unsealed : store_why(s));
    return r;
}

static int tell(struct store *s, int64_t now_s, const struct rotation_by *by, const char *what,
                char why[static STORE_WHY_MAX])
{
    const struct audit_record line = {now_s, "made", by->asker, by->proof, "", "", what};
    int r = store_put_audit(s, &line);
    if (r < 0)
        snprintf(why, STORE_WHY_MAX, "%s", store_why(s));
    return r;
}

static int end_change(struct store *s, int r, char why[static STORE_WHY_MAX])
{
    if (r == 0 && (r = store_commit(s)) < 0)
        snprintf(why, STORE_WHY_MAX, "%s", store_why(s));
    if (r < 0)
        store_rollback(s);
    return r;
}

static int none_yet(struct store *s, char why[static STORE_WHY_MAX])
{
    struct root_list list;
    int r = store_list_roots(s, &list);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "%s", store_why(s));
        return r;
    }
    if (list.n > 0) {
        snprintf(why, STORE_WHY_MAX, "there is a root already: weir-ca rotate makes another");
        r = -EEXIST;
    }
    root_list_done(&list);
    return r;
}

static int begin(struct store *s, char why[static STORE_WHY_MAX])
{
    int r = store_begin(s);
    if (r < 0)
        snprintf(why, STORE_WHY_MAX, "%s", store_why(s));
    return r;
}

int given_init(struct store *s, const struct given *g, int64_t now_s, const struct rotation_by *by,
               char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    struct material m = {0};
    int r = read_material(g, &m, why);
    if (r == 0)
        r = parse_root(&m, now_s, &root, why);
    if (r == 0 && m.intermediate_cert[0])
        r = parse_intermediate(&m, now_s, &root, &intermediate, why);
    else if (r == 0 && !root.key)
        r = say(why, m.root_name, "without its key an intermediate must be given, too");
    if (r == 0 && (r = begin(s, why)) == 0) {
        r = none_yet(s, why);
        if (r == 0)
            r = save(s, AUTHORITY_ROOT, &root, now_s, why);
        if (r == 0 && intermediate.key)
            r = save(s, AUTHORITY_INTERMEDIATE, &intermediate, now_s, why);
        if (r == 0)
            r = tell(s, now_s, by, "a root was given", why);
        r = end_change(s, r, why);
    }
    signer_done(&root);
    signer_done(&intermediate);
    material_done(&m);
    return r;
}

int given_intermediate(struct store *s, const struct given *g, int64_t now_s,
                       const struct rotation_by *by, char why[static STORE_WHY_MAX])
{
    struct signer root = {0}, intermediate = {0};
    struct material m = {0};
    int r = read_material(g, &m, why);
    if (r == 0 && (r = begin(s, why)) == 0) {
        r = signer_load(s, AUTHORITY_ROOT, ROOT_SIGNS, NULL, &root, why);
        if (r == 0)
            r = parse_intermediate(&m, now_s, &root, &intermediate, why);
        if (r == 0)
            r = save(s, AUTHORITY_INTERMEDIATE, &intermediate, now_s, why);
        if (r == 0)
            r = tell(s, now_s, by, "an intermediate was given", why);
        r = end_change(s, r, why);
    }
    signer_done(&root);
    signer_done(&intermediate);
    material_done(&m);
    return r;
}
