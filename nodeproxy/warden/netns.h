/*
 * Network namespaces as descriptors: opening, telling apart, entering for a few calls. Entering
 * concerns the calling thread alone; between netns_enter() and netns_leave() it does nothing but
 * what must happen in that namespace.
 */
#ifndef NODEPROXY_WARDEN_NETNS_H
#define NODEPROXY_WARDEN_NETNS_H
#include "nodeproxy/capture/privileged.h"
#include <stdbool.h>
#include <sys/types.h>

struct netns_id { /* the same for every path and descriptor of one namespace */
    dev_t device;
    ino_t inode;
};
int netns_self(int *ret_fd); /* the calling thread's own */
/* -EINVAL: it is a file, but no network namespace; -ENOENT and others as open(2). why says it in a
 * sentence. */
int netns_open(const char *path, int *ret_fd, char why[static PRIVILEGED_WHY_MAX]);
bool netns_is(int fd);
int netns_id(int fd, struct netns_id *ret); /* whatever the descriptor is */
int netns_id_at(const char *path,
                struct netns_id *ret); /* of what is at the path now; -errno of stat(2) */
static inline bool netns_same(const struct netns_id *a, const struct netns_id *b)
{
    return a->device == b->device && a->inode == b->inode;
}
int netns_enter(int fd);
int netns_enter_new(void); /* a fresh one, which ends when it is left */
void netns_leave(
    int own_fd); /* back into own_fd; a thread that can't go back must not go on: aborts */
bool netns_has_ipv6(void); /* does the kernel speak IPv6? */
bool netns_ipv6_on(void);  /* and does the calling thread's namespace, on its loopback? */
int netns_loopback_up(void);
#endif
