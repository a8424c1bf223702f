/*
 * One file of manifests: its documents as objects, and what is wrong with the others. Pure.
 * Documents are YAML, or one JSON value in a file *.json; a List stands for its items. Bounded by
 * MANIFEST_BYTES_MAX and the bounds of shared/yaml and shared/json.
 */
#ifndef CONTROLLER_DISCOVERY_MANIFEST_H
#define CONTROLLER_DISCOVERY_MANIFEST_H
#include "controller/model/object_read.h"
#include "controller/model/problem.h"

enum { MANIFEST_BYTES_MAX = 64 * 1024 * 1024 };
struct manifest_unknown { /* a kind that is none of ours */
    char api_kind[128];
    unsigned line;
};
struct manifest {
    struct object **objects; /* a reference each */
    size_t n_objects, objects_size;
    struct object **instead; /* likewise: what counts for some of the bad ones, if nothing better is known of them */
    size_t n_instead, instead_size;
    struct object_identity *bad; /* objects whose documents are wrong */
    size_t n_bad, bad_size;
    bool unidentified; /* a document is so wrong that it does not say which object it is */
    struct manifest_unknown *unknown;
    size_t n_unknown, unknown_size;
};
/* Problems are told with this file name. 0 even if documents are wrong; -ENOMEM. */
int manifest_read(const char *file, struct text content, struct manifest *ret,
                  struct problems *problems);
void manifest_done(struct manifest *m);
bool manifest_is_blank(struct text content); /* nothing but white space */
#endif
