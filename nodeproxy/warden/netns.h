/*
 * Network namespaces as descriptors: opening, entering for a few calls. Entering concerns the
 * calling thread alone; until netns_leave() it does nothing but what must happen in there.
 */
#ifndef NODEPROXY_WARDEN_NETNS_H
#define NODEPROXY_WARDEN_NETNS_H
#include "shared/base/why.h"
#include <stdbool.h>

/* -EINVAL: it is a file, but no network namespace; -ENOENT and others as open(2). */
int netns_open(const char *path, int *ret_fd, char why[static WHY_MAX]);
bool netns_is(int fd);
int netns_enter(int fd, char why[static WHY_MAX]);
int netns_enter_new(char why[static WHY_MAX]); /* a fresh one, which ends when it is left */
/* Back into own_fd; a thread that can't go back must not go on: aborts. */
void netns_leave(int own_fd);
#endif
