#include "nodeproxy/warden/netns.h"

#include "shared/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int netns_self(int *ret_fd)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

bool netns_is(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC &&
           ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int netns_open(const char *path, int *ret_fd, char why[static PRIVILEGED_WHY_MAX])
{
    /* Not blocking: the path comes from outside, and opening a FIFO would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int r = -errno;
        snprintf(why, PRIVILEGED_WHY_MAX, "cannot open the network namespace %s: %s", path,
                 strerror(-r));
        return r;
    }
    if (!netns_is(fd)) {
        close(fd);
        snprintf(why, PRIVILEGED_WHY_MAX, "%s is not a network namespace", path);
        return -EINVAL;
    }
    *ret_fd = fd;
    return 0;
}

static void id_of(const struct stat *st, struct netns_id *ret)
{
    *ret = (struct netns_id){st->st_dev, st->st_ino};
}

int netns_id(int fd, struct netns_id *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    id_of(&st, ret);
    return 0;
}

int netns_id_at(const char *path, struct netns_id *ret)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    id_of(&st, ret);
    return 0;
}

int netns_enter(int fd)
{
    return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

int netns_enter_new(void)
{
    return unshare(CLONE_NEWNET) < 0 ? -errno : 0;
}

void netns_leave(int own_fd)
{
    if (setns(own_fd, CLONE_NEWNET) == 0)
        return;
    log_error("capture", "cannot go back into the node's network namespace: %s", strerror(errno));
    abort();
}

/* This folder is missing when the kernel was built or started without IPv6. */
bool netns_has_ipv6(void)
{
    return access("/proc/sys/net/ipv6", F_OK) == 0;
}

int netns_loopback_up(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct ifreq request = {.ifr_name = "lo"};
    int r = ioctl(fd, SIOCGIFFLAGS, &request) < 0 ? -errno : 0;
    if (r == 0 && !(request.ifr_flags & IFF_UP)) {
        request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
        r = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
    }
    close(fd);
    return r;
}

bool netns_ipv6_on(void)
{
    char off = '1';
    int fd = open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, &off, 1);
    close(fd);
    return got == 1 && off == '0';
}
