/*
 * What a folder of manifests says, over time: the last good state of each object outlives a
 * mistake in its file, the rest of the folder is applied. Pure: it is given names and contents, in
 * the order of names; files.c reads them. Puts into a store what is in force. One thread. Bounded
 * by whoever names the files: FOLDER_FILES_MAX.
 *
 * A document that says which object it is but is wrong keeps that object as it was. One that does
 * not even say that keeps all that the file gave before, and so does an empty file: writers empty
 * before they write. Two documents for one object: the first by file name and place wins, the
 * other is an error.
 */
#ifndef CONTROLLER_DISCOVERY_FOLDER_H
#define CONTROLLER_DISCOVERY_FOLDER_H
#include "controller/discovery/manifest.h"
#include "controller/model/object_store.h"

enum { FOLDER_FILES_MAX = 20000, FOLDER_KINDS_MAX = 256 };
struct folder_object {
    struct object *object; /* a reference */
    bool stale;            /* of an earlier state of the file */
};
struct folder_file {
    char *name;
    uint64_t content[2]; /* hash */
    struct folder_object *objects;
    size_t n_objects;
    struct problems problems;
    bool seen, read; /* in this round; its content is known */
};
struct folder {
    struct object_store *store;
    struct folder_file **files; /* ordered by name */
    size_t n_files, files_size;
    /* object_key() -> object: what we have put into the store; a reference each */
    struct map applied;
    struct map unknown;       /* kinds that were told of */
    struct problems problems; /* of all files, and duplicates */
    uint64_t seed[2];
};
void folder_init(struct folder *f, struct object_store *store);
void folder_done(struct folder *f); /* takes nothing out of the store */
/* One round: begin, each file once, commit. */
void folder_begin(struct folder *f);
int folder_file(struct folder *f, const char *name,
                struct text content); /* -ENOMEM: the file is as it was */
int folder_unreadable(struct folder *f, const char *name, const char *why); /* keeps what it gave */
/* Files that were not named in this round are gone. *ret_changed: the store is not what it was.
 * -ENOMEM: another commit does what is missing. */
int folder_commit(struct folder *f, bool *ret_changed);
#endif
