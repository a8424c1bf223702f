#include "nodeproxy/cni/node_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int node_file_read(const char *path, struct text_heap *ret, struct stat *ret_stat)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, ret_stat) < 0 ? -errno : S_ISREG(ret_stat->st_mode) ? 0 : -EINVAL;
    while (r == 0) {
        char part[16384];
        ssize_t n = read(fd, part, sizeof part);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            r = -errno;
        if (n > 0)
            text_heap_put(ret, (struct text){part, (size_t)n});
        if (ret->failed)
            r = -EFBIG;
    }
    close(fd);
    return r;
}
