/*
 * A small file, read whole: of the kernel (/proc), or of ours. Bounded by the caller's room.
 */
#ifndef SHARED_BASE_FILE_H
#define SHARED_BASE_FILE_H
#include <stddef.h>

/* flags: of open(2), besides O_RDONLY | O_CLOEXEC. -errno of open() or read(); -EFBIG: it has size
 * bytes or more. */
int file_read(const char *path, int flags, char *out, size_t size, size_t *ret_len);
#endif
