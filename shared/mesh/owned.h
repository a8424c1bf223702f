/*
 * Helpers of this folder for owned strings and arrays of the nouns. Not for others.
 */
#ifndef SHARED_MESH_OWNED_H
#define SHARED_MESH_OWNED_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool strings_equal(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return false;
    }
    return true;
}
/* Gives every string of `fields` (n places of them) an empty one; false: no memory. */
bool strings_init(char **const *fields, size_t n);
void strings_free(char **items, size_t n); /* the strings and the array */
#endif
