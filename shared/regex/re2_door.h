/*
 * What regex.c asks of RE2, in words that are both C and C++. The other side, re2_door.cc, is the
 * only C++ there is; nothing that it throws leaves it. Not for others than this folder.
 */
#ifndef SHARED_REGEX_RE2_DOOR_H
#define SHARED_REGEX_RE2_DOOR_H
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
struct re2_span {
    const char *data; /* NULL: the group took no part in the match */
    size_t len;
};
/* -EINVAL: refused, and RE2's words in `error`; -ENOMEM. */
int re2_door_new(void **ret, const char *source, size_t len, size_t memory_max, char *error,
                 size_t error_size);
void re2_door_free(void *re);        /* not NULL */
int re2_door_groups(const void *re); /* how many, without the whole match */
/* From `at` on; whole: all of it must match. 1, 0, -ENOMEM; n groups, the whole match first. */
int re2_door_match(const void *re, const char *text, size_t len, size_t at, bool whole,
                   struct re2_span *ret_groups, int n);
#ifdef __cplusplus
}
#endif
#endif
