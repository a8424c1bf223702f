/*
 * The compiled expressions of a value, which go when it goes. Not for others than this folder.
 */
#ifndef SHARED_MESH_KEPT_REGEX_H
#define SHARED_MESH_KEPT_REGEX_H
#include "shared/base/arena.h"
#include "shared/mesh/text_match.h"

struct kept_regex {
    struct kept_regex *next;
    struct regex *regex;
    size_t n; /* with those behind it */
};
/* Compiles and remembers; a *ret that is there already stays. -EINVAL and why, -ENOMEM. */
int kept_regex_add(struct kept_regex **list, struct arena *a, struct text source, size_t n_max,
                   const struct regex **ret, char why[static WHY_MAX]);
void kept_regex_done(struct kept_regex **list); /* before the arena goes */
#endif
