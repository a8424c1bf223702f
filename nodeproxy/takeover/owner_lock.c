#include "nodeproxy/takeover/owner_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int owner_lock_take(const char *run_dir, int *ret_fd)
{
    char path[512];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int n = snprintf(path, sizeof path, "%s/owner.lock", run_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
        int r = errno == EACCES ? -EAGAIN : -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}
