/*
 * Small files: read whole, of the kernel (/proc) or of ours, bounded by the caller's room; and
 * replaced while others may read them.
 */
#ifndef SHARED_BASE_FILE_H
#define SHARED_BASE_FILE_H
#include "shared/base/text.h"
#include <sys/stat.h>

/* flags: of open(2), besides O_RDONLY | O_CLOEXEC. -errno of open() or read(); -EFBIG: it has size
 * bytes or more. */
int file_read(const char *path, int flags, char *out, size_t size, size_t *ret_len);
/* Written beside and renamed: who reads it meanwhile has the old one or the new one. before: what the
 * file was when it was read; if it has changed since, -EBUSY. NULL: whatever is there is replaced. It
 * is on the disk when this returns. The path has a folder. */
int file_replace(const char *path, struct text content, mode_t mode, const struct stat *before);
#endif
