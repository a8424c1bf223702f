/*
 * Tells that something in some folders changed (inotify through the ring): the debounce time after
 * the first change, or, if a file is still open for writing then, when it is closed, but at most
 * WATCH_WRITING_MS later. It does not say what: whoever asks looks for himself. A folder that
 * vanishes is looked for each second, and its return is a change. Owned by whoever embeds it; the
 * ring's thread. Files that are symbolic links are noticed when the link changes, as with a
 * Kubernetes ConfigMap's ..data.
 */
#ifndef CONTROLLER_DISCOVERY_WATCH_H
#define CONTROLLER_DISCOVERY_WATCH_H
#include "shared/ring/ring.h"

enum { WATCH_FOLDERS_MAX = 4, WATCH_RETRY_MS = 1000, WATCH_WRITING_MS = 2000 };
struct watch {
    struct ring *ring;
    struct ring_scope scope;
    struct ring_op poll_op;
    struct timer debounce, retry;
    uint64_t debounce_ms, since_ms; /* since_ms: of the first change that was not told yet */
    bool writing; /* the last that was seen of a file's content was not its close */
    int fd;
    char *folders[WATCH_FOLDERS_MAX];
    int descriptors[WATCH_FOLDERS_MAX]; /* of inotify; -1: the folder is not there */
    size_t n_folders;
    void (*changed)(struct watch *w);
    void (*closed)(struct watch *w);
};
/* -errno. Folders that are not there are waited for. */
int watch_open(struct watch *w, struct ring *ring, const char *const *folders, size_t n,
               uint64_t debounce_ms, void (*changed)(struct watch *w));
void watch_close(struct watch *w, void (*closed)(struct watch *w)); /* closed may be NULL */
#endif
