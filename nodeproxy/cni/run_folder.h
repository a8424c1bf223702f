/*
 * The node proxy's run folder, when Weir leaves a node for good: sockets, the owner's lock and the
 * list of captured pods, as decision 11 has them. A node proxy that still holds the lock is left
 * alone, and so is a folder that knows of captured pods: their rules stay in force, and the next
 * node proxy must find them.
 */
#ifndef NODEPROXY_CNI_RUN_FOLDER_H
#define NODEPROXY_CNI_RUN_FOLDER_H
#include "shared/base/why.h"

/* Removes it. Fine if there is none. -EBUSY: a node proxy runs; -ENOTEMPTY: pods are captured, or
 * there is something that is not Weir's; nothing but what is Weir's is ever removed. */
int run_folder_remove(const char *folder, char why[static WHY_MAX]);
#endif
