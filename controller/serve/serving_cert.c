#include "controller/serve/serving_cert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_BYTES_MAX = 1024 * 1024, ROOTS_MAX = 64, SETTLE_MS = 100 };

struct pem_file {
    char data[65536];
    size_t len;
};

static int read_pem(const char *path, struct pem_file *ret, char why[static SERVING_CERT_WHY_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int err = fd < 0 ? -errno : 0;
    ret->len = 0;
    while (err == 0 && ret->len < sizeof ret->data) {
        ssize_t n = read(fd, ret->data + ret->len, sizeof ret->data - ret->len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            err = -errno;
        if (n > 0)
            ret->len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    if (err == 0 && ret->len == sizeof ret->data)
        err = -EFBIG;
    if (err < 0)
        snprintf(why, SERVING_CERT_WHY_MAX, "%s: %s", path, strerror(-err));
    return err;
}

static int read_certificates(const char *path, struct pem_file *file, struct x509 *ret,
                             size_t n_max, size_t *ret_n, char why[static SERVING_CERT_WHY_MAX])
{
    const char *reason = "";
    int err = read_pem(path, file, why);
    if (err < 0)
        return err;
    err = x509_from_pem((struct text){file->data, file->len}, ret, n_max, ret_n, &reason);
    if (err == 0 && *ret_n == 0)
        err = -EINVAL, reason = "it holds no certificate";
    if (err < 0)
        snprintf(why, SERVING_CERT_WHY_MAX, "%s: %s", path,
                 err == -ENOMEM ? strerror(-err) : reason);
    return err;
}

static int read_key(const char *path, struct pem_file *file, struct key **ret,
                    char why[static SERVING_CERT_WHY_MAX])
{
    int err = read_pem(path, file, why);
    if (err == 0) {
        err = key_from_pem((struct text){file->data, file->len}, ret);
        if (err < 0)
            snprintf(why, SERVING_CERT_WHY_MAX, "%s: it is no unencrypted ECDSA P-256 key in PEM",
                     path);
    }
    key_wipe(file->data, sizeof file->data);
    return err;
}

static int check(const struct serving_cert *c, const struct x509 *chain, size_t n_chain,
                 const struct x509 *roots, size_t n_roots, char why[static SERVING_CERT_WHY_MAX])
{
    const char *reason = x509_check_svid_leaf(&chain[0]);
    int err = reason ? -EINVAL : 0;
    if (err == 0)
        err = x509_verify(chain, n_chain, roots, n_roots, clock_unix_s(), &reason);
    if (err < 0)
        snprintf(why, SERVING_CERT_WHY_MAX, "%s: %s", c->certificate,
                 reason ? reason : strerror(-err));
    return err;
}

static int load(struct serving_cert *c, char why[static SERVING_CERT_WHY_MAX])
{
    struct x509 chain[X509_CHAIN_MAX] = {0}, *roots = calloc(ROOTS_MAX, sizeof *roots);
    struct pem_file *file = malloc(sizeof *file);
    struct key *key = NULL;
    struct tls_config *config = NULL;
    size_t n_chain = 0, n_roots = 0;
    const char *reason = "";
    int err = -ENOMEM;

    snprintf(why, SERVING_CERT_WHY_MAX, "out of memory");
    if (!roots || !file)
        goto done;
    err = read_certificates(c->certificate, file, chain, X509_CHAIN_MAX, &n_chain, why);
    if (err == 0)
        err = read_certificates(c->roots, file, roots, ROOTS_MAX, &n_roots, why);
    if (err == 0)
        err = check(c, chain, n_chain, roots, n_roots, why);
    if (err == 0)
        err = read_key(c->key, file, &key, why);
    if (err < 0)
        goto done;
    const struct tls_config_options options = {
        .role = TLS_SERVER,
        .peer_auth = TLS_PEER_SVID,
        .key = key,
        .chain = chain,
        .n_chain = n_chain,
        .roots = roots,
        .n_roots = n_roots,
        .alpn = TEXT("h2"),
    };
    err = tls_config_new(&config, &options, &reason);
    if (err < 0) {
        snprintf(why, SERVING_CERT_WHY_MAX, "%s: %s", c->certificate, reason);
        goto done;
    }
    tls_config_unref(c->config);
    c->config = config;
    c->not_after_s = chain[0].not_after_s;
    snprintf(c->uri, sizeof c->uri, "%s", chain[0].uri);
    c->loads++;
done:
    for (size_t i = 0; i < n_chain; i++)
        x509_done(&chain[i]);
    for (size_t i = 0; i < n_roots; i++)
        x509_done(&roots[i]);
    key_unref(key);
    free(roots);
    free(file);
    return err;
}

static void files_changed(struct watch *w)
{
    struct serving_cert *c = container_of(w, struct serving_cert, watch);
    char why[SERVING_CERT_WHY_MAX], until[CLOCK_TEXT_MAX];
    int64_t before_s = c->not_after_s;
    if (load(c, why) < 0) {
        c->failures++;
        log_error("tls", "%s; the certificate that is in use stays", why);
    } else if (c->not_after_s != before_s)
        log_info("tls", "a new certificate is in use, good until %s",
                 clock_print(c->not_after_s * 1000, 0, until));
}

/* The folder of a path, on the heap. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return text_dup(TEXT("."));
    return text_dup(slash == path ? TEXT("/") : (struct text){path, (size_t)(slash - path)});
}

static int watch_folders_of(struct serving_cert *c, struct ring *ring)
{
    const char *const paths[SERVING_CERT_FILES] = {c->certificate, c->key, c->roots};
    char *folders[SERVING_CERT_FILES] = {0};
    size_t n = 0;
    int err = 0;
    for (size_t i = 0; i < SERVING_CERT_FILES && err == 0; i++) {
        folders[n] = folder_of(paths[i]);
        bool known = false;
        for (size_t j = 0; folders[n] && j < n; j++)
            known = known || strcmp(folders[j], folders[n]) == 0;
        if (!folders[n])
            err = -ENOMEM;
        else if (known)
            free(folders[n]);
        else
            n++;
    }
    if (err == 0)
        err =
            watch_open(&c->watch, ring, (const char *const *)folders, n, SETTLE_MS, files_changed);
    for (size_t i = 0; i < n; i++)
        free(folders[i]);
    return err;
}

int serving_cert_open(struct serving_cert *c, struct ring *ring, const char *certificate,
                      const char *key, const char *roots, char why[static SERVING_CERT_WHY_MAX])
{
    *c = (struct serving_cert){.certificate = certificate, .key = key, .roots = roots};
    int err = load(c, why);
    if (err < 0)
        return err;
    err = watch_folders_of(c, ring);
    if (err < 0) {
        snprintf(why, SERVING_CERT_WHY_MAX, "watching the files of the certificate: %s",
                 strerror(-err));
        c->config = tls_config_unref(c->config);
    }
    return err;
}

/* ---- from the CA ----------------------------------------------------------------------------- */

static void credential_changed(struct credentials *m, const struct spiffe_id *id,
                               struct credential *credential, void *arg)
{
    struct serving_cert *c = arg;
    (void)m;
    (void)id;
    c->config = tls_config_unref(c->config);
    c->not_after_s = 0;
    if (credential) {
        tls_config_ref(credential->server);
        c->config = credential->server;
        c->not_after_s = credential->not_after_s;
        c->loads++;
    } else
        c->failures++;
    c->came(c);
}

/* The roots are the credentials' own affair. */
static int trust_came(struct credentials *m, struct trust *t, void *arg)
{
    struct serving_cert *c = arg;
    (void)m;
    (void)trust_unref(c->trust);
    c->trust = trust_ref(t);
    if (c->trusted)
        c->trusted(c);
    return 0;
}

int serving_cert_ask(struct serving_cert *c, struct ring *ring, const struct credentials_options *o,
                     void (*came)(struct serving_cert *c))
{
    static const struct credentials_events events = {.changed = credential_changed, .trusted = trust_came};
    *c = (struct serving_cert){.came = came};
    snprintf(c->uri, sizeof c->uri, "%s", o->self.text);
    int err = credentials_open(&c->credentials, ring, o, &events, c);
    return err < 0 ? err : credentials_want(c->credentials, &o->self);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void closed(void *arg)
{
    struct serving_cert *c = arg;
    c->config = tls_config_unref(c->config);
    c->trust = trust_unref(c->trust);
    if (c->closed)
        c->closed(c);
}

static void watch_closed(struct watch *w)
{
    closed(container_of(w, struct serving_cert, watch));
}

void serving_cert_close(struct serving_cert *c, void (*taken_closed)(struct serving_cert *c))
{
    c->closed = taken_closed;
    if (c->credentials)
        credentials_close(c->credentials, closed, c);
    else
        watch_close(&c->watch, watch_closed);
}
