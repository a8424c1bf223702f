#include "shared/credentials/svid_file.h"

#include "shared/base/file.h"
#include "shared/tls/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* Between the chain and its roots; whoever reads PEM passes over it. */
static const char roots_line[] = "# the roots that it leads to\n";

int svid_file_write(const char *path, const struct credential *c)
{
    char *pem = secret_new(SVID_FILE_MAX);
    size_t key_len = 0;
    if (!pem)
        return -ENOMEM;
    int r = key_to_pem(c->key, pem, SVID_FILE_MAX, &key_len);
    if (r == 0) {
        int n = snprintf(pem + key_len, SVID_FILE_MAX - key_len, "%s%s%s", c->chain_pem, roots_line,
                         c->roots_pem);
        r = n < 0 || (size_t)n >= SVID_FILE_MAX - key_len
                ? -EFBIG
                : file_replace(path, (struct text){pem, key_len + (size_t)n}, 0600, NULL);
    }
    secret_free(pem, SVID_FILE_MAX);
    return r;
}

static int say(int error, char why[static SVID_FILE_WHY_MAX], const char *path, const char *words)
{
    snprintf(why, SVID_FILE_WHY_MAX, "%.120s: %.110s", path, words);
    return error;
}

static int read_private(const char *path, char *out, size_t *ret_len,
                        char why[static SVID_FILE_WHY_MAX])
{
    struct stat st;
    if (stat(path, &st) < 0)
        return say(-errno, why, path, strerror(errno));
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        return say(-EACCES, why, path,
                   "it must be a file that nobody but its owner may read (mode 0600)");
    int r = file_read(path, O_NONBLOCK, out, SVID_FILE_MAX - 1, ret_len);
    return r < 0 ? say(r, why, path, strerror(-r)) : 0;
}

static int take(const char *pem, const struct spiffe_id *id, int64_t now_s, struct credential **ret,
                const char **ret_why)
{
    /* The key comes first: what is taken for the chain is shown to people. */
    const char *first = strstr(pem, "-----BEGIN CERTIFICATE-----");
    const char *roots = first ? strstr(first, roots_line) : NULL;
    struct spiffe_id whose = *id;
    struct key *key = NULL;
    *ret_why = "it is no key with a certificate and its roots";
    if (!roots)
        return -EINVAL;
    struct text chain = {first, (size_t)(roots - first)};
    int r = spiffe_id_present(id) ? 0 : credential_identity(chain, &whose, ret_why);
    if (r == 0 && (r = key_from_pem((struct text){pem, (size_t)(first - pem)}, &key)) < 0)
        *ret_why = "it has no private key";
    if (r == 0)
        r = credential_new(ret, &whose, key, chain, text_of(roots), now_s, ret_why);
    key_unref(key);
    return r;
}

int svid_file_read(const char *path, const struct spiffe_id *id, int64_t now_s,
                   struct credential **ret, char why[static SVID_FILE_WHY_MAX])
{
    char *pem = secret_new(SVID_FILE_MAX);
    const char *words;
    size_t len = 0;
    if (!pem)
        return say(-ENOMEM, why, path, "no memory");
    int r = read_private(path, pem, &len, why);
    if (r == 0) {
        pem[len] = '\0';
        if ((r = take(pem, id, now_s, ret, &words)) < 0)
            say(r, why, path, words);
    }
    secret_free(pem, SVID_FILE_MAX);
    return r;
}
