#define _GNU_SOURCE
#include "shared/tls/secret.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/log.h"

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t size)
{
    return (size + page_bytes() - 1) / page_bytes() * page_bytes();
}

/* Without the right to lock memory keys still work; then swap is the operator's to forbid. */
static void lock(void *memory, size_t size)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (mlock(memory, size) < 0 && !atomic_flag_test_and_set(&warned))
        log_warn("tls", "secrets are not locked in memory: raise RLIMIT_MEMLOCK");
}

void *secret_new(size_t size)
{
    size_t inner = whole_pages(size), guard = page_bytes();
    if (size == 0 || size > SIZE_MAX / 2)
        return NULL;
    uint8_t *all = mmap(NULL, inner + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    uint8_t *memory = all + guard;
    if (mprotect(memory, inner, PROT_READ | PROT_WRITE) < 0 ||
        madvise(memory, inner, MADV_DONTDUMP) < 0 || madvise(memory, inner, MADV_WIPEONFORK) < 0) {
        munmap(all, inner + 2 * guard);
        return NULL;
    }
    lock(memory, inner);
    return memory;
}

void *secret_free(void *memory, size_t size)
{
    if (!memory)
        return NULL;
    explicit_bzero(memory, size);
    munmap((uint8_t *)memory - page_bytes(), whole_pages(size) + 2 * page_bytes());
    return NULL;
}
