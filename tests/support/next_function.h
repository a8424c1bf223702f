/*
 * For test programs that stand before the C library's malloc() and others: the function behind
 * one's own. Functions that use it are UNWATCHED, because ThreadSanitizer itself allocates before
 * it is ready to look at what they do.
 */
#ifndef TESTS_SUPPORT_NEXT_FUNCTION_H
#define TESTS_SUPPORT_NEXT_FUNCTION_H
#include <dlfcn.h>
#include <stdlib.h>

#define UNWATCHED __attribute__((no_sanitize_thread))

UNWATCHED static inline void *next_function(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}
#endif
