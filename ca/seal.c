/* The passphrase of the signing keys; see the header. */
#include "ca/seal.h"

#include "shared/base/file.h"
#include "shared/tls/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CREDENTIAL "weir-ca-key-passphrase"

const char *seal_file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *passphrase; /* under lock; NULL: not read, or there is none */

static const char *judge(const char *text, size_t len)
{
    if (len < SEAL_PASSPHRASE_MIN)
        return "the passphrase's file holds less than 12 bytes";
    return memchr(text, '\0', len) ? "the passphrase's file holds a NUL" : NULL;
}

int seal_read(const char *path, char **ret, const char **ret_why)
{
    enum { SIZE = KEY_SEALED_PASSPHRASE_MAX + 1 };
    char *text = secret_new(SIZE);
    size_t len = 0;
    *ret_why = "out of memory";
    if (!text)
        return -ENOMEM;
    int r = file_read(path, O_NONBLOCK, text, SIZE, &len);
    if (r == -EFBIG)
        *ret_why = "the passphrase's file is longer than 1,023 bytes";
    else if (r < 0)
        *ret_why = r == -ENOENT ? "the passphrase's file is not there"
                                : "the passphrase's file can't be read";
    if (r == 0) {
        len -= len > 0 && text[len - 1] == '\n';
        len -= len > 0 && text[len - 1] == '\r';
        *ret_why = judge(text, len);
        memset(text + len, 0, SIZE - len);
        r = *ret_why ? -EINVAL : 0;
    }
    if (r < 0)
        secret_free(text, SIZE);
    else
        *ret = text;
    return r;
}

/* NULL: there is none. */
static const char *where(char path[static PATH_MAX])
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (seal_file)
        return seal_file;
    if (!folder || folder[0] != '/')
        return NULL;
    int n = snprintf(path, PATH_MAX, "%s/" CREDENTIAL, folder);
    return n > 0 && n < PATH_MAX && access(path, F_OK) == 0 ? path : NULL;
}

/* *ret: borrowed, NULL: there is none. Under the lock. */
static int current(const char **ret, const char **ret_why)
{
    char path[PATH_MAX];
    const char *file = passphrase ? NULL : where(path);
    int r = file ? seal_read(file, &passphrase, ret_why) : 0;
    *ret = passphrase;
    return r;
}

int seal_to_pem(const struct key *key, char *out, size_t size, size_t *ret_len,
                const char **ret_why)
{
    const char *secret;
    pthread_mutex_lock(&lock);
    int r = current(&secret, ret_why);
    if (r == 0) {
        r = secret ? key_sealed_to_pem(key, text_of(secret), KEY_SEALED_ITERATIONS, out, size,
                                       ret_len)
                   : key_to_pem(key, out, size, ret_len);
        *ret_why = r < 0 ? "the key can't be encrypted" : NULL;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

static int open_sealed(struct text pem, const char *secret, struct key **ret, const char **ret_why)
{
    *ret_why = "the key is encrypted: say --key-passphrase-file, or give the systemd credential "
               "weir-ca-key-passphrase";
    if (!secret)
        return -ENOKEY;
    int r = key_sealed_from_pem(pem, text_of(secret), KEY_SEALED_ITERATIONS_MAX, ret);
    *ret_why = r == -EKEYREJECTED ? "the key is encrypted under another passphrase"
               : r == -ENOTSUP    ? "the key is encrypted by another method than PBES2 with PBKDF2 "
                                    "and AES-256-CBC"
                                  : "no key";
    return r;
}

int seal_from_pem(struct text pem, struct key **ret, const char **ret_why)
{
    const char *secret;
    pthread_mutex_lock(&lock);
    int r = current(&secret, ret_why);
    if (r == 0 && key_sealed_is(pem)) {
        r = open_sealed(pem, secret, ret, ret_why);
    } else if (r == 0 && secret) {
        *ret_why = "a passphrase is given, and the key is not encrypted: weir-ca passphrase "
                   "encrypts it";
        r = -ENOKEY;
    } else if (r == 0) {
        *ret_why = "no key";
        r = key_from_pem(pem, ret);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

void seal_forget(void)
{
    pthread_mutex_lock(&lock);
    passphrase = secret_free(passphrase, KEY_SEALED_PASSPHRASE_MAX + 1);
    pthread_mutex_unlock(&lock);
}
