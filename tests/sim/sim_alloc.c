#include "tests/sim/sim_alloc.h"

#include "tests/support/fake_ring.h"
#include "tests/support/next_function.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

static uint64_t left;             /* until one fails; 0: none does */
static _Thread_local bool inside; /* threads of libraries are nobody's turn */
static bool failed;

void sim_alloc_fail_at(uint64_t n)
{
    left = n;
    failed = false;
}
bool sim_alloc_failed(void)
{
    return failed;
}
void sim_alloc_enter(void)
{
    inside = true;
}
void sim_alloc_leave(void)
{
    inside = false;
}

UNWATCHED static bool refuses(void)
{
    if (!inside || left == 0 || !fake_net_runs() || --left > 0)
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

/* These stand before the C library's, for everything that is linked into the program. */
UNWATCHED void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (!next)
        *(void **)&next = next_function("malloc");
    return refuses() ? NULL : next(size);
}

UNWATCHED void *calloc(size_t n, size_t size)
{
    static void *(*next)(size_t, size_t);
    if (!next)
        *(void **)&next = next_function("calloc");
    return refuses() ? NULL : next(n, size);
}

UNWATCHED void *realloc(void *old, size_t size)
{
    static void *(*next)(void *, size_t);
    if (!next)
        *(void **)&next = next_function("realloc");
    return refuses() ? NULL : next(old, size);
}
