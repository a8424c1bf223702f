/*
 * A disk that fails at the n-th access: SQLite's own file system layer (a VFS) with a counter before
 * the real one. A test program includes it once and calls disk_open() before its first store.
 */
#ifndef TESTS_UNIT_CA_FAILING_DISK_H
#define TESTS_UNIT_CA_FAILING_DISK_H
#include "ca/store_memory.h"
#include <sqlite3.h>

enum disk_fault {
    DISK_ERROR, /* the access fails, and only that */
    DISK_FULL,  /* from then on nothing can be written: the disk is full */
    DISK_BAD,   /* from then on nothing can be read, written or synced */
    DISK_TORN,  /* half of it is written, and then the process is dead: nothing happens any more */
    DISK_LOCKED, /* somebody else has the lock that is asked for, once; only locks are counted */
    DISK_OTHER  /* nothing fails: disk.other() is called once, in the middle of it */
};
static struct {
    sqlite3_vfs vfs, *real;
    enum disk_fault fault;
    long left; /* until it happens; < 0: never */
    bool happened;
    void (*other)(void);
    long syncs; /* so far, also from other threads: look while they wait */
} disk;

static inline void disk_fail_at(enum disk_fault fault, long n) /* from 1; 0: never */
{
    disk.fault = fault;
    disk.left = n - 1;
    disk.happened = false;
}

/* One access. Whether it fails. */
static bool disk_fails(bool writes)
{
    if (disk.fault == DISK_LOCKED)
        return false;
    if (disk.happened)
        return disk.fault == DISK_BAD || disk.fault == DISK_TORN ||
               (disk.fault == DISK_FULL && writes);
    if (disk.left < 0 || (disk.fault == DISK_FULL && !writes) || disk.left-- > 0)
        return false;
    disk.happened = true;
    if (disk.fault != DISK_OTHER)
        return true;
    disk.other();
    return false;
}

static bool disk_is_locked(void)
{
    if (disk.fault != DISK_LOCKED || disk.happened || disk.left < 0 || disk.left-- > 0)
        return false;
    disk.happened = true;
    return true;
}

struct disk_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
    sqlite3_io_methods methods;
};
static sqlite3_file *disk_real(sqlite3_file *f)
{
    return ((struct disk_file *)f)->real;
}

static int disk_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    return disk_fails(false) ? SQLITE_IOERR_READ
                             : disk_real(f)->pMethods->xRead(disk_real(f), out, n, at);
}
static int disk_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    bool before = disk.happened;
    if (!disk_fails(true))
        return disk_real(f)->pMethods->xWrite(disk_real(f), data, n, at);
    if (!before && disk.fault == DISK_TORN && n > 1)
        (void)disk_real(f)->pMethods->xWrite(disk_real(f), data, n / 2, at);
    return disk.fault == DISK_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}
static int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return disk_fails(true) ? SQLITE_IOERR_TRUNCATE
                            : disk_real(f)->pMethods->xTruncate(disk_real(f), size);
}
static int disk_sync(sqlite3_file *f, int flags)
{
    disk.syncs++;
    return disk_fails(true) ? SQLITE_IOERR_FSYNC
                            : disk_real(f)->pMethods->xSync(disk_real(f), flags);
}
static int disk_file_close(sqlite3_file *f)
{
    return disk_real(f)->pMethods->xClose(disk_real(f));
}
static int disk_file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return disk_fails(false) ? SQLITE_IOERR_FSTAT
                             : disk_real(f)->pMethods->xFileSize(disk_real(f), ret);
}
/* What can't fail as a disk does. */
static int disk_lock(sqlite3_file *f, int level)
{
    return disk_is_locked() ? SQLITE_BUSY : disk_real(f)->pMethods->xLock(disk_real(f), level);
}
static int disk_unlock(sqlite3_file *f, int level)
{
    return disk_real(f)->pMethods->xUnlock(disk_real(f), level);
}
static int disk_reserved(sqlite3_file *f, int *ret)
{
    return disk_real(f)->pMethods->xCheckReservedLock(disk_real(f), ret);
}
static int disk_control(sqlite3_file *f, int op, void *arg)
{
    return disk_real(f)->pMethods->xFileControl(disk_real(f), op, arg);
}
static int disk_sector(sqlite3_file *f)
{
    return disk_real(f)->pMethods->xSectorSize(disk_real(f));
}
static int disk_traits(sqlite3_file *f)
{
    return disk_real(f)->pMethods->xDeviceCharacteristics(disk_real(f));
}
static int disk_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return disk_fails(extend)
               ? SQLITE_IOERR_SHMMAP
               : disk_real(f)->pMethods->xShmMap(disk_real(f), page, size, extend, ret);
}
static int disk_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    if ((flags & SQLITE_SHM_LOCK) && disk_is_locked())
        return SQLITE_BUSY;
    return disk_real(f)->pMethods->xShmLock(disk_real(f), offset, n, flags);
}
static void disk_shm_barrier(sqlite3_file *f)
{
    disk_real(f)->pMethods->xShmBarrier(disk_real(f));
}
static int disk_shm_unmap(sqlite3_file *f, int delete_it)
{
    return disk_real(f)->pMethods->xShmUnmap(disk_real(f), delete_it);
}

static int disk_file_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
                          int *ret_flags)
{
    static const sqlite3_io_methods methods = {.iVersion = 2,
                                               .xClose = disk_file_close,
                                               .xRead = disk_read,
                                               .xWrite = disk_write,
                                               .xTruncate = disk_truncate,
                                               .xSync = disk_sync,
                                               .xFileSize = disk_file_size,
                                               .xLock = disk_lock,
                                               .xUnlock = disk_unlock,
                                               .xCheckReservedLock = disk_reserved,
                                               .xFileControl = disk_control,
                                               .xSectorSize = disk_sector,
                                               .xDeviceCharacteristics = disk_traits,
                                               .xShmMap = disk_shm_map,
                                               .xShmLock = disk_shm_lock,
                                               .xShmBarrier = disk_shm_barrier,
                                               .xShmUnmap = disk_shm_unmap};
    struct disk_file *file = (struct disk_file *)f;
    (void)vfs;
    file->base.pMethods = NULL;
    if (disk_fails(false))
        return SQLITE_CANTOPEN;
    file->real = (sqlite3_file *)(void *)(file + 1);
    int r = disk.real->xOpen(disk.real, name, file->real, flags, ret_flags);
    if (r == SQLITE_OK)
        file->base.pMethods = &methods;
    return r;
}
static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    return disk_fails(true) ? SQLITE_IOERR_DELETE : disk.real->xDelete(disk.real, name, sync);
}

static inline void disk_open(void)
{
    assert_int_equal(store_memory_wipe(), 0); /* before SQLite allocates anything */
    disk.real = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real;
    disk.vfs.zName = "failing";
    disk.vfs.szOsFile = (int)sizeof(struct disk_file) + disk.real->szOsFile;
    disk.vfs.xOpen = disk_file_open;
    disk.vfs.xDelete = disk_delete;
    disk.left = -1;
    assert_int_equal(sqlite3_vfs_register(&disk.vfs, 1), SQLITE_OK);
}
#endif
