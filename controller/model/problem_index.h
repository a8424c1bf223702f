/*
 * Problems of many lists together: those of one object, and a fair choice of all for people. Borrows the
 * problems; owned by whoever has the lists; one thread. Bounded by them.
 */
#ifndef CONTROLLER_MODEL_PROBLEM_INDEX_H
#define CONTROLLER_MODEL_PROBLEM_INDEX_H
#include "controller/model/problem.h"

struct problem_index {
    const struct problem **items; /* in the order in which they came; sorted: by object */
    size_t n, size;
};
struct problem_group {
    const struct problem *const *items;
    size_t n;
};
void problem_index_done(struct problem_index *x); /* empty and usable again */
int problem_index_add(struct problem_index *x, const struct problems *list); /* -ENOMEM */
/* Appends copies in their order. Of more than there is room for each namespace gets the same share, and what
 * is left over goes to the first ones; the others are counted. */
void problem_index_share(const struct problem_index *x, struct problems *ret);
/* From here on it answers by object, and no more is added. -ENOMEM. */
int problem_index_sort(struct problem_index *x);
/* In the order in which they came. */
struct problem_group problem_index_get(const struct problem_index *x, const char *object);
#endif
