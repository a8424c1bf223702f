/*
 * Counts what a program asks of the heap, from outside: loaded before libc (LD_PRELOAD), it keeps a page of numbers in the file
 * $WEIR_ALLOCS.PID, which tests/perf/allocs.py reads while the program runs. A child of a fork gets a file of its own. Any thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CLASS_BYTES = 16, CLASSES = 2048 };
struct counts { /* as struct.unpack of allocs.py knows it */
    _Atomic uint64_t allocated, freed;  /* blocks, since the start */
    _Atomic int64_t bytes;              /* live, as malloc_usable_size() says */
    _Atomic int64_t live[CLASSES];      /* blocks by size, in steps of CLASS_BYTES; the last: all that are larger */
};
static struct counts nowhere, *counts = &nowhere;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static void open_counts(void)
{
    const char *base = getenv("WEIR_ALLOCS");
    char path[512];
    if (!base || snprintf(path, sizeof path, "%s.%d", base, (int)getpid()) >= (int)sizeof path)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *map = fd >= 0 && ftruncate(fd, sizeof *counts) == 0 ? mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED)
        return;
    memcpy(map, counts, sizeof *counts); /* what a child has of its parent, and what came before us */
    counts = map;
}

__attribute__((constructor)) static void begin(void)
{
    open_counts();
    (void)pthread_atfork(NULL, NULL, open_counts);
}

static void *note(void *p)
{
    if (p) {
        size_t size = malloc_usable_size(p), class = size / CLASS_BYTES;
        atomic_fetch_add(&counts->allocated, 1);
        atomic_fetch_add(&counts->bytes, (int64_t)size);
        atomic_fetch_add(&counts->live[class < CLASSES ? class : CLASSES - 1], 1);
    }
    return p;
}

static void forget(void *p)
{
    if (p) {
        size_t size = malloc_usable_size(p), class = size / CLASS_BYTES;
        atomic_fetch_add(&counts->freed, 1);
        atomic_fetch_sub(&counts->bytes, (int64_t)size);
        atomic_fetch_sub(&counts->live[class < CLASSES ? class : CLASSES - 1], 1);
    }
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    return note(__libc_malloc(size));
}
__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    return note(__libc_calloc(n, size));
}
__attribute__((visibility("default"))) void *realloc(void *p, size_t size)
{
    forget(p);
    void *q = __libc_realloc(p, size);
    (void)note(q || size == 0 ? q : p); /* a refusal leaves the old block */
    return q;
}
__attribute__((visibility("default"))) void *memalign(size_t alignment, size_t size)
{
    return note(__libc_memalign(alignment, size));
}
__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t size)
{
    return note(__libc_memalign(alignment, size));
}
__attribute__((visibility("default"))) int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *p = note(__libc_memalign(alignment, size));
    if (p)
        *ret = p;
    return p ? 0 : ENOMEM;
}
__attribute__((visibility("default"))) void free(void *p)
{
    forget(p);
    __libc_free(p);
}
