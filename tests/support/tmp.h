/*
 * Where a test puts files: below TMPDIR, else /tmp, under a name that nobody else has. tests/run.sh
 * gives each of its runs a TMPDIR of its own, in which nothing may be left.
 */
#ifndef TESTS_SUPPORT_TMP_H
#define TESTS_SUPPORT_TMP_H
#include <stdio.h>
#include <stdlib.h>

enum { TMP_PATH_MAX = 56 };

/* For mkdtemp() and mkstemp(); the name is for people. */
static inline char *tmp_path(char out[static TMP_PATH_MAX], const char *name)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(out, TMP_PATH_MAX, "%s/weir-%s-XXXXXX", tmp && tmp[0] ? tmp : "/tmp", name);
    if (n < 0 || n >= TMP_PATH_MAX) {
        fprintf(stderr, "TMPDIR is too long\n");
        abort();
    }
    return out;
}

/* NULL: it can't be made. */
static inline char *tmp_folder(char out[static TMP_PATH_MAX], const char *name)
{
    return mkdtemp(tmp_path(out, name));
}
#endif
