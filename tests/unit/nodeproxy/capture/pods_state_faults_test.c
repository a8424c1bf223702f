/*
 * Each call into the system and each allocation fails in turn while a pod's file is written, written
 * anew and read: afterwards the file is the old one or the new one, whole, nothing lies beside it,
 * and a pod that lives is not forgotten because a descriptor or memory was missing for a moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nodeproxy/capture/pods_internal.h"
#include "tests/support/tmp.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CALLS_MAX = 100, ALLOCATIONS_MAX = 500, PATH_LEN = 512 };

/* ---- calls that fail ---- */

static long calls_left = -1; /* -1: none fails */
static int call_error;
static bool call_failed, half_written;

static void fail_call_at(long n, int error) /* from 1; 0: none */
{
    calls_left = n - 1;
    call_error = error;
    call_failed = half_written = false;
}

static bool refused(void)
{
    if (calls_left < 0 || calls_left-- > 0)
        return false;
    call_failed = true;
    errno = call_error;
    return true;
}

/* These stand before the C library's, for everything that is linked into the program. */
int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = va_arg(args, int);
    va_end(args);
    return refused() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
ssize_t read(int fd, void *out, size_t len)
{
    return refused() ? -1 : syscall(SYS_read, fd, out, len);
}
ssize_t write(int fd, const void *data, size_t len)
{
    if (calls_left < 0)
        return syscall(SYS_write, fd, data, len);
    if (!half_written && len > 1) { /* a short one, and the next may fail */
        half_written = true;
        return refused() ? -1 : syscall(SYS_write, fd, data, len / 2);
    }
    return refused() ? -1 : syscall(SYS_write, fd, data, len);
}
int close(int fd)
{
    bool fails = refused();
    int r = (int)syscall(SYS_close, fd); /* as Linux does: it is closed all the same */
    return fails ? -1 : r;
}
int rename(const char *from, const char *to)
{
    return refused() ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- the bench ---- */

static char folder[TMP_PATH_MAX];
static struct pods pods;
static struct pod_entry *read_back;
static unsigned n_read;

static int begin(void **state)
{
    (void)state;
    if (!tmp_folder(folder, "state"))
        return -1;
    pods = (struct pods){.state_dir = folder, .cluster_id = "test"};
    return 0;
}

/* How many files there are; each is removed if asked. */
static unsigned files(bool remove_them)
{
    unsigned n = 0;
    DIR *dir = opendir(pods.state_dir);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir));) {
        char path[PATH_LEN];
        if (d->d_name[0] == '.')
            continue;
        n++;
        snprintf(path, sizeof path, "%s/%s", pods.state_dir, d->d_name);
        if (remove_them)
            unlink(path);
    }
    closedir(dir);
    return n;
}

static int end(void **state)
{
    (void)state;
    (void)files(true);
    return rmdir(pods.state_dir);
}

static struct pod_entry *entry(const char *name)
{
    const struct pod_spec spec = {.container_id = TEXT("c0ffee"),
                                  .netns_path = TEXT("/var/run/netns/one"),
                                  .name = text_of(name),
                                  .ns = TEXT("shop"),
                                  .addresses = {{4, {10, 0, 0, 1}}},
                                  .n_addresses = 1};
    char why[PRIVILEGED_WHY_MAX];
    struct pod_entry *e;
    assert_int_equal(pod_entry_new(&pods, &spec, &e, why), 0);
    e->wanted = true;
    return e;
}

static void found(struct pods *p, struct pod_entry *taken)
{
    (void)p;
    n_read++;
    if (read_back)
        pod_entry_free(read_back);
    read_back = taken;
}

/* What a start would find: that pod, or none. */
static void expect_pod(const char *name)
{
    n_read = 0;
    assert_int_equal(pods_state_read(&pods, found), 0);
    assert_int_equal(n_read, name ? 1 : 0);
    if (!name)
        return;
    assert_string_equal(read_back->pod.name, name);
    assert_true(read_back->wanted &&
                ip_equal(&read_back->pod.addresses[0], &(struct ip){4, {10, 0, 0, 1}}));
    read_back = pod_entry_free(read_back);
}

/* ---- the loops ---- */

static const int write_errors[] = {ENOSPC, EIO, EMFILE, EDQUOT, EINTR, EROFS};

/* before NULL: there was none. Whether the n-th was reached. */
static bool write_with_call(const char *before, long n)
{
    struct pod_entry *old = before ? entry(before) : NULL, *new = entry("new");
    if (old)
        assert_int_equal(pods_state_write(&pods, old), 0);
    fail_call_at(n, write_errors[(size_t)n % ARRAY_SIZE(write_errors)]);
    int r = pods_state_write(&pods, new);
    bool reached = call_failed;
    fail_call_at(0, 0);
    assert_int_equal(files(false), r == 0 || before ? 1 : 0); /* nothing beside it */
    expect_pod(r == 0 ? "new" : before);
    assert_int_equal(pods_state_write(&pods, new), 0);
    expect_pod("new");
    (void)files(true);
    pod_entry_free(old);
    pod_entry_free(new);
    return reached;
}

static void writing_fails(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        long n = 1;
        while (n < CALLS_MAX && write_with_call(again ? "old" : NULL, n))
            n++;
        print_message("  %s: %ld calls\n", again ? "written anew" : "written", n - 1);
        assert_in_range(n, 4, CALLS_MAX - 1);
    }
}

static void no_memory_to_write(void **state)
{
    (void)state;
    long n = 0;
    for (bool failed = true; failed; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        struct pod_entry *old = entry("old"), *new = entry("new");
        assert_int_equal(pods_state_write(&pods, old), 0);
        alloc_fail_at(n);
        int r = pods_state_write(&pods, new);
        failed = alloc_failed();
        assert_true(failed || r == 0);
        assert_int_equal(files(false), 1);
        expect_pod(r == 0 ? "new" : "old");
        pod_entry_free(old);
        pod_entry_free(new);
    }
    print_message("  written: %ld allocations\n", n - 1);
    assert_true(n > 1);
}

/* A pod that can't be read now can be read later. */
static void reading_fails(void **state)
{
    static const int errors[] = {EMFILE, ENFILE, EIO, EINTR, ENOMEM, EACCES};
    struct pod_entry *e = entry("living");
    (void)state;
    assert_int_equal(pods_state_write(&pods, e), 0);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        long n = 1;
        for (bool reached = true; reached; n++) {
            n_read = 0;
            fail_call_at(n, errors[i]);
            assert_int_equal(pods_state_read(&pods, found), 0);
            reached = call_failed;
            fail_call_at(0, 0);
            assert_true(reached || n_read == 1);
            expect_pod("living");
        }
        assert_in_range(n, 3, CALLS_MAX);
    }
    long n = 0;
    for (bool failed = true; failed; n++) {
        alloc_fail_at(n);
        (void)pods_state_read(&pods, found);
        failed = alloc_failed();
        expect_pod("living");
    }
    print_message("  read: %ld allocations\n", n - 1);
    pod_entry_free(e);
    if (read_back)
        read_back = pod_entry_free(read_back);
}

/* What is no pod's file is dropped, so that it is not looked at for ever. */
static void garbage_is_dropped(void **state)
{
    static const char *const texts[] = {"", "{", "{}", "[]", "{\"containerId\": 3}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char path[PATH_LEN];
        snprintf(path, sizeof path, "%s/c0ffee.json", pods.state_dir);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(texts[i], f);
        fclose(f);
        expect_pod(NULL);
        assert_int_equal(files(false), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writing_fails, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_to_write, begin, end),
        cmocka_unit_test_setup_teardown(reading_fails, begin, end),
        cmocka_unit_test_setup_teardown(garbage_is_dropped, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
