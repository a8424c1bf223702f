/*
 * The passphrase under which the signing keys are kept, if there is one: out of a file, or out of
 * the systemd credential `weir-ca-key-passphrase` (LoadCredential; systemd.exec(5)). One a process,
 * read when the first key is, kept in locked memory (it opens the next intermediate's key in half a
 * year). Any thread.
 */
#ifndef CA_SEAL_H
#define CA_SEAL_H
#include "shared/tls/key_sealed.h"

extern const char *seal_file; /* --key-passphrase-file; NULL: the credential, if there is one */
#define SEAL_ARG                                                                                   \
    {                                                                                              \
        "key-passphrase-file", ARG_STRING, &seal_file, "FILE",                                     \
            "the signing keys are kept encrypted under what it holds (default: the systemd "       \
            "credential weir-ca-key-passphrase, if there is one)",                                 \
            0, 0, false                                                                            \
    }
enum { SEAL_PASSPHRASE_MIN = 12 };
/* A passphrase's file, without the end of its line: memory of KEY_SEALED_PASSPHRASE_MAX + 1 bytes,
 * secret_free() it. -EINVAL, an error of read(), -ENOMEM; *ret_why is static. */
int seal_read(const char *path, char **ret, const char **ret_why);
/* As key_to_pem(), encrypted if there is a passphrase; KEY_SEALED_PEM_MAX is always enough. */
int seal_to_pem(const struct key *key, char *out, size_t size, size_t *ret_len,
                const char **ret_why);
/* As key_from_pem(). What is in the file must be as what we have: -ENOKEY, it is encrypted and we
 * have no passphrase, or it isn't and we have one; -EKEYREJECTED: it is another. */
int seal_from_pem(struct text pem, struct key **ret, const char **ret_why);
void seal_forget(void); /* the passphrase; the next key reads it anew */
#endif
