#include "shared/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int file_read(const char *path, int flags, char *out, size_t size, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return -errno;
    size_t len = 0;
    ssize_t n = 0;
    while (len < size && (n = read(fd, out + len, size - len)) > 0)
        len += (size_t)n;
    int r = n < 0 ? -errno : len == size ? -EFBIG : 0;
    close(fd);
    *ret_len = len;
    return r;
}
