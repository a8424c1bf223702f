#include "nodeproxy/capture/netns_id.h"

#include <errno.h>
#include <sys/stat.h>

int netns_id(int fd, struct netns_id *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret = (struct netns_id){st.st_dev, st.st_ino};
    return 0;
}

int netns_id_at(const char *path, struct netns_id *ret)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    *ret = (struct netns_id){st.st_dev, st.st_ino};
    return 0;
}

bool netns_same(const struct netns_id *a, const struct netns_id *b)
{
    return a->device == b->device && a->inode == b->inode;
}
