#include "shared/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
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

static int write_all(int fd, struct text t)
{
    while (t.len > 0) {
        ssize_t n = write(fd, t.data, t.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            t.data += n;
            t.len -= (size_t)n;
        }
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static bool is_as_before(const char *path, const struct stat *before)
{
    struct stat now;
    return !before ||
           (stat(path, &now) == 0 && now.st_ino == before->st_ino && now.st_dev == before->st_dev &&
            now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
            now.st_mtim.tv_nsec == before->st_mtim.tv_nsec);
}

/* Nobody who reads the folder takes it for one of its files: it begins with a dot and has an ending of ours. */
int file_replace(const char *path, struct text content, mode_t mode, const struct stat *before)
{
    char folder[PATH_MAX], beside[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return -EINVAL;
    int a = snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    int b = snprintf(beside, sizeof beside, "%s/.%s.weir-new", folder, slash + 1);
    if (a >= (int)sizeof folder || b >= (int)sizeof beside)
        return -ENAMETOOLONG;
    (void)unlink(beside); /* left by one that was killed */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, content);
    if (r == 0 && fchmod(fd, mode & 07777) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && !is_as_before(path, before))
        r = -EBUSY;
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(beside);
    return r < 0 ? r : sync_folder(folder);
}
