/*
 * Files of a node that others read while we write them: read whole, written beside and renamed.
 */
#ifndef NODEPROXY_CNI_NODE_FILE_H
#define NODEPROXY_CNI_NODE_FILE_H
#include "shared/base/text.h"
#include <sys/stat.h>

/* Regular files only. -EFBIG: more than ret's maximum. The text is initialised by the caller. */
int node_file_read(const char *path, struct text_heap *ret, struct stat *ret_stat);
/* before: what the file was when it was read; if it has changed since, -EBUSY. NULL: whatever is
 * there is replaced. It is on the disk when this returns. */
int node_file_write(const char *path, struct text content, mode_t mode, const struct stat *before);
#endif
