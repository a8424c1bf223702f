/* An allocator for SQLite that leaves nothing behind; see the header. */
#include "ca/store_memory.h"

#include "shared/tls/key.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

static sqlite3_mem_methods plain; /* SQLite's own */

static void wipe_and_free(void *memory)
{
    if (!memory)
        return;
    key_wipe(memory, (size_t)plain.xSize(memory));
    plain.xFree(memory);
}

/* The plain one may move the bytes and leave the old ones where they were. */
static void *wipe_and_move(void *memory, int size)
{
    int old_size = plain.xSize(memory);
    if (size <= old_size && size >= old_size / 2)
        return memory;
    void *moved = plain.xMalloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, memory, (size_t)(size < old_size ? size : old_size));
    wipe_and_free(memory);
    return moved;
}

int store_memory_wipe(void)
{
    static bool done;
    if (done)
        return 0;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain) != SQLITE_OK)
        return -EIO;
    sqlite3_mem_methods wiping = plain;
    wiping.xFree = wipe_and_free;
    wiping.xRealloc = wipe_and_move;
    /* Nor may it keep memory of its own kind: small pieces, and pages of the file. */
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &wiping) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0) != SQLITE_OK)
        return -EIO;
    done = true;
    return 0;
}
