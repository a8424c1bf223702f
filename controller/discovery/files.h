/*
 * The source `dir:PATH`: a folder of manifests (*.yaml, *.yml, *.json, not below it), read and
 * watched. Reads all of it at files_open() and again whenever something in it changed. On the
 * ring's thread; reading blocks that thread for as long as the disk takes. Bounds: folder.h and
 * manifest.h.
 */
#ifndef CONTROLLER_DISCOVERY_FILES_H
#define CONTROLLER_DISCOVERY_FILES_H
#include "controller/discovery/folder.h"
#include "controller/discovery/watch.h"

struct files {
    struct watch watch;
    struct folder folder;
    char *path;
    struct timer again;       /* after a lack of memory */
    struct problems problems; /* of the folder itself */
    void (*changed)(struct files *f,
                    bool store_changed); /* after each round; the problems may be others too */
    void (*closed)(struct files *f);
    void *user;
};
/* -errno: the folder can't be read at all. `changed` has not run, but the store is filled. */
int files_open(struct files *f, struct ring *ring, const char *path, struct object_store *store,
               void (*changed)(struct files *f, bool store_changed), void *user);
void files_close(struct files *f, void (*closed)(struct files *f));
#endif
