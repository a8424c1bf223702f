#include "nodeproxy/warden/netns.h"

#include "shared/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

bool netns_is(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC &&
           ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int netns_open(const char *path, int *ret_fd, char why[static WHY_MAX])
{
    /* Not blocking: the path comes from outside, and opening a FIFO would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return why_errno(-errno, why, "cannot open the network namespace %.160s", path);
    if (!netns_is(fd)) {
        close(fd);
        return why_say(-EINVAL, why, "%.160s is not a network namespace", path);
    }
    *ret_fd = fd;
    return 0;
}

static int entered(int r, char why[static WHY_MAX])
{
    if (r == 0)
        return 0;
    return why_errno(-errno, why, "cannot enter a network namespace%s",
                     errno == EPERM ? " (not root, or CAP_SYS_ADMIN is missing)" : "");
}

int netns_enter(int fd, char why[static WHY_MAX])
{
    return entered(setns(fd, CLONE_NEWNET), why);
}

int netns_enter_new(char why[static WHY_MAX])
{
    return entered(unshare(CLONE_NEWNET), why);
}

void netns_leave(int own_fd)
{
    if (setns(own_fd, CLONE_NEWNET) == 0)
        return;
    log_error("warden", "cannot go back into the node's network namespace: %s", strerror(errno));
    abort();
}
