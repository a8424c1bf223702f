/*
 * Who owns a run folder, and each of the lock's two calls into the system fails with each error that
 * it can have: nothing is taken, no descriptor is lost, and the next one who tries owns it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nodeproxy/takeover/owner_lock.h"
#include "shared/base/list.h"
#include "tests/support/tmp.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char dir[TMP_PATH_MAX], file[96];
static int open_error, lock_error; /* 0: it does not fail */
static unsigned n_failed;

static bool fails(int error)
{
    if (error == 0)
        return false;
    n_failed++;
    errno = error;
    return true;
}

/* These stand before the C library's, for everything that is linked into the program. */
int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return fails(open_error) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return command == F_OFD_SETLK && fails(lock_error)
               ? -1
               : (int)syscall(SYS_fcntl, fd, command, argument);
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

static void is_taken_by_the_next(void)
{
    int fd = -1, other = -1;
    assert_int_equal(owner_lock_take(dir, &fd), 0);
    assert_int_equal(owner_lock_take(dir, &other), -EAGAIN);
    assert_int_equal(other, -1);
    close(fd);
}

static void is_for_one(void **state)
{
    int one, other = -1;
    struct stat st;
    (void)state;
    assert_int_equal(owner_lock_take(dir, &one), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(owner_lock_take(dir, &other), -EAGAIN);
    int copy = dup(one);
    close(one);
    assert_int_equal(owner_lock_take(dir, &other), -EAGAIN); /* the copy holds it */
    close(copy);
    is_taken_by_the_next();
}

static void each_error(int *which, const int *errors, size_t n)
{
    unsigned before = count_descriptors();
    for (size_t i = 0; i < n; i++) {
        int fd = -7;
        *which = errors[i];
        n_failed = 0;
        int r = owner_lock_take(dir, &fd);
        *which = 0;
        assert_int_equal(n_failed, 1);
        /* POSIX has two words for a lock that somebody else holds. */
        assert_int_equal(r, which == &lock_error && errors[i] == EACCES ? -EAGAIN : -errors[i]);
        assert_int_equal(fd, -7);
        assert_int_equal(count_descriptors(), before);
        is_taken_by_the_next();
    }
}

static void opening_fails(void **state)
{
    static const int errors[] = {EACCES, EDQUOT, EINTR,  EIO,    EISDIR,  ELOOP, EMFILE, ENFILE,
                                 ENODEV, ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS};
    (void)state;
    each_error(&open_error, errors, ARRAY_SIZE(errors));
}

static void locking_fails(void **state)
{
    static const int errors[] = {EACCES, EAGAIN, EBADF, EINTR, EINVAL, EIO, ENOLCK, ENOMEM};
    (void)state;
    each_error(&lock_error, errors, ARRAY_SIZE(errors));
}

static void what_is_no_file_there(void **state)
{
    static char long_dir[600];
    int fd = -7;
    (void)state;
    memset(long_dir, 'x', sizeof long_dir - 1);
    assert_int_equal(owner_lock_take(long_dir, &fd), -ENAMETOOLONG);
    assert_int_equal(owner_lock_take("/nowhere/at/all", &fd), -ENOENT);
    unlink(file);
    assert_int_equal(symlink("/dev/null", file), 0); /* somebody else's choice is not followed */
    assert_int_equal(owner_lock_take(dir, &fd), -ELOOP);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(owner_lock_take(dir, &fd), -EISDIR);
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(fd, -7);
    is_taken_by_the_next();
}

static int begin(void **state)
{
    (void)state;
    snprintf(file, sizeof file, "%s/owner.lock", tmp_folder(dir, "owner"));
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_for_one),
        cmocka_unit_test(opening_fails),
        cmocka_unit_test(locking_fails),
        cmocka_unit_test(what_is_no_file_there),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
