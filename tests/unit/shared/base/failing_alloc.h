/*
 * Lets the n-th allocation of a program fail, so that a test can fail each one in turn. Including this
 * puts malloc() and its kin of the whole program behind a counter; a test program includes it once.
 */
#ifndef TESTS_UNIT_SHARED_BASE_FAILING_ALLOC_H
#define TESTS_UNIT_SHARED_BASE_FAILING_ALLOC_H
#include "tests/support/next_function.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* -1: off; 0: the next one fails, and only that. Of each thread, so that a library's own are left
 * in peace. */
static _Thread_local long alloc_countdown = -1;

static inline void alloc_fail_at(long n)
{
    alloc_countdown = n;
}
/* Whether the failure happened since alloc_fail_at(); switches it off. */
static inline bool alloc_failed(void)
{
    bool failed = alloc_countdown == -2;
    alloc_countdown = -1;
    return failed;
}

UNWATCHED static bool alloc_refuses(void)
{
    if (alloc_countdown < 0)
        return false;
    if (alloc_countdown-- > 0)
        return false;
    alloc_countdown = -2;
    errno = ENOMEM;
    return true;
}

UNWATCHED void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (!next)
        *(void **)&next = next_function("malloc");
    return alloc_refuses() ? NULL : next(size);
}

UNWATCHED void *realloc(void *old, size_t size)
{
    static void *(*next)(void *, size_t);
    if (!next)
        *(void **)&next = next_function("realloc");
    return alloc_refuses() ? NULL : next(old, size);
}

UNWATCHED void *calloc(size_t n, size_t size)
{
    static void *(*next)(size_t, size_t);
    if (!next)
        *(void **)&next = next_function("calloc");
    return alloc_refuses() ? NULL : next(n, size);
}

UNWATCHED void *aligned_alloc(size_t align, size_t size)
{
    static void *(*next)(size_t, size_t);
    if (!next)
        *(void **)&next = next_function("aligned_alloc");
    return alloc_refuses() ? NULL : next(align, size);
}
#endif
