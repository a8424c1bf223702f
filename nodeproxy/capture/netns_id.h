/*
 * Which network namespace a descriptor or a path is: looking needs no privileges.
 */
#ifndef NODEPROXY_CAPTURE_NETNS_ID_H
#define NODEPROXY_CAPTURE_NETNS_ID_H
#include <stdbool.h>
#include <sys/types.h>

struct netns_id { /* the same for every path and descriptor of one namespace */
    dev_t device;
    ino_t inode;
};
int netns_id(int fd, struct netns_id *ret); /* whatever the descriptor is; -errno of fstat(2) */
int netns_id_at(const char *path,
                struct netns_id *ret); /* of what is there now; -errno of stat(2) */
bool netns_same(const struct netns_id *a, const struct netns_id *b);
#endif
