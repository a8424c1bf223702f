/*
 * Files of a node that others write, too: read whole. Written by shared/base/file.h.
 */
#ifndef NODEPROXY_CNI_NODE_FILE_H
#define NODEPROXY_CNI_NODE_FILE_H
#include "shared/base/text.h"
#include <sys/stat.h>

/* Regular files only. -EFBIG: more than ret's maximum. The text is initialised by the caller. */
int node_file_read(const char *path, struct text_heap *ret, struct stat *ret_stat);
#endif
