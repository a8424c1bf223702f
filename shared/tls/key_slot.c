/*
 * A slot is one secret. Slots lie side by side in pages of secret memory, so that a thousand keys
 * lock 64 KiB and not 4 MiB: a container's RLIMIT_MEMLOCK is often that small (8 MiB, the usual
 * limit, hold 131,072 keys). A page whose last slot came back is given back.
 */
#define _GNU_SOURCE
#include "shared/tls/key_secret.h"

#include <pthread.h>
#include <stdlib.h>

#include "shared/tls/secret.h"

enum { PAGE_BYTES = 4096, SLOT_BYTES = 64, SLOT_COUNT = PAGE_BYTES / SLOT_BYTES };
_Static_assert((int)KEY_SCALAR_BYTES <= (int)SLOT_BYTES, "a secret fits into its slot");
_Static_assert(SLOT_COUNT == 64, "one bit of a word per slot");

struct slot_page {
    struct slot_page *next;
    uint8_t *memory;
    uint64_t used; /* bit n: slot n */
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot_page *pages; /* under lock */

static struct slot_page *page_new(void)
{
    struct slot_page *page = malloc(sizeof *page);
    if (!page)
        return NULL;
    *page = (struct slot_page){.next = pages, .memory = secret_new(PAGE_BYTES)};
    if (!page->memory) {
        free(page);
        return NULL;
    }
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
    while (slot < (*at)->memory || slot >= (*at)->memory + PAGE_BYTES)
        at = &(*at)->next;
    struct slot_page *page = *at;
    page->used &= ~(UINT64_C(1) << ((slot - page->memory) / SLOT_BYTES));
    if (page->used == 0) {
        *at = page->next;
        secret_free(page->memory, PAGE_BYTES);
        free(page);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}
