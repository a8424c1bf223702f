/*
 * The key and certificate of one identity, kept where they survive a restart: a machine that joined
 * has nobody else who knows it. One file of mode 0600, replaced as a whole: key (PKCS#8), chain, a
 * line, roots; all PEM, so that other programs can read it. Its text is in secret memory while it is
 * read or written. Bounded: SVID_FILE_MAX.
 */
#ifndef SHARED_CREDENTIALS_SVID_FILE_H
#define SHARED_CREDENTIALS_SVID_FILE_H
#include "shared/credentials/credential.h"

enum { SVID_FILE_MAX = 256 * 1024, SVID_FILE_WHY_MAX = 256 };
/* It is on the disk when this returns. -errno, -EFBIG, -ENOMEM. */
int svid_file_write(const char *path, const struct credential *c);
/* id: whose it must be; absent (spiffe_id_present): whoever's. -ENOENT: there is none; -EACCES: others
 * may read it; -EINVAL, -EKEYREJECTED: it is not, or not any more, what it should be. With why. */
int svid_file_read(const char *path, const struct spiffe_id *id, int64_t now_s,
                   struct credential **ret, char why[static SVID_FILE_WHY_MAX]);
#endif
