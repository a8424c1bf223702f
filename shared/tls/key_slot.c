/*
 * A slot is one secret. Slots lie side by side in pages of their own, so that a thousand keys lock
 * 64 KiB and not 4 MiB: a container's RLIMIT_MEMLOCK is often that small (8 MiB, the usual limit,
 * hold 131,072 keys). Before and after each page lies one that nobody may touch: who reads past the
 * end of some other memory does not get here. A page whose last slot came back is unmapped.
 *
 * Not memfd_secret(2): such pages are shared with a forked child, where these are zero, and a kernel
 * may be built without it. What it would add, hiding them from the kernel, is not what we fear.
 */
#define _GNU_SOURCE
#include "shared/tls/key_secret.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/log.h"

enum { SLOTS_BYTES = 4096, SLOT_BYTES = 64, SLOT_COUNT = SLOTS_BYTES / SLOT_BYTES };
_Static_assert((int)KEY_SCALAR_BYTES <= (int)SLOT_BYTES, "a secret fits into its slot");
_Static_assert(SLOT_COUNT == 64, "one bit of a word per slot");

struct slot_page {
    struct slot_page *next;
    uint8_t *memory; /* SLOTS_BYTES at the beginning of a page of the machine */
    uint64_t used;   /* bit n: slot n */
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot_page *pages; /* under lock */

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* A page between two that can't be touched; NULL: no memory. */
static uint8_t *map_guarded(void)
{
    size_t size = page_bytes();
    uint8_t *three = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (three == MAP_FAILED)
        return NULL;
    if (mprotect(three + size, size, PROT_READ | PROT_WRITE) == 0)
        return three + size;
    munmap(three, 3 * size);
    return NULL;
}

static void unmap_guarded(uint8_t *memory)
{
    munmap(memory - page_bytes(), 3 * page_bytes());
}

static struct slot_page *page_new(void)
{
    static bool warned; /* under lock */
    struct slot_page *page = malloc(sizeof *page);
    if (!page)
        return NULL;
    uint8_t *memory = map_guarded();
    if (!memory) {
        free(page);
        return NULL;
    }
    /* Without the right to lock memory keys still work; then swap is the operator's to forbid. */
    if (mlock(memory, page_bytes()) < 0 && !warned) {
        warned = true;
        log_warn("tls", "private keys are not locked in memory: raise RLIMIT_MEMLOCK");
    }
    (void)madvise(memory, page_bytes(), MADV_DONTDUMP);
    (void)madvise(memory, page_bytes(), MADV_WIPEONFORK);
    *page = (struct slot_page){.next = pages, .memory = memory};
    pages = page;
    return page;
}

uint8_t *key_slot_new(void)
{
    uint8_t *slot = NULL;

    pthread_mutex_lock(&lock);
    struct slot_page *page = pages;
    while (page && page->used == UINT64_MAX)
        page = page->next;
    if (!page)
        page = page_new();
    if (page) {
        int n = __builtin_ctzll(~page->used);
        page->used |= UINT64_C(1) << n;
        slot = page->memory + n * SLOT_BYTES;
    }
    pthread_mutex_unlock(&lock);
    return slot;
}

uint8_t *key_slot_free(uint8_t *slot)
{
    if (!slot)
        return NULL;
    key_wipe(slot, SLOT_BYTES);
    pthread_mutex_lock(&lock);
    struct slot_page **at = &pages;
    while (slot < (*at)->memory || slot >= (*at)->memory + SLOTS_BYTES)
        at = &(*at)->next;
    struct slot_page *page = *at;
    page->used &= ~(UINT64_C(1) << ((slot - page->memory) / SLOT_BYTES));
    if (page->used == 0) {
        *at = page->next;
        unmap_guarded(page->memory);
        free(page);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}
