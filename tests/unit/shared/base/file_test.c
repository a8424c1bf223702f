#include "shared/base/file.h"
#include "tests/support/tmp.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void whole_or_not_at_all(void **state)
{
    char path[TMP_PATH_MAX], out[8];
    size_t len = 0;
    int fd = mkstemp(tmp_path(path, "file"));
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "1234567", 7), 7);
    assert_int_equal(file_read(path, 0, out, sizeof out, &len), 0);
    assert_int_equal(len, 7);
    assert_memory_equal(out, "1234567", 7);
    assert_int_equal(file_read(path, 0, out, 7, &len), -EFBIG);
    close(fd);
    unlink(path);
    assert_int_equal(file_read(path, 0, out, sizeof out, &len), -ENOENT);
}

static void errors_are_told(void **state)
{
    char link[TMP_PATH_MAX], out[8];
    size_t len = 0;
    int fd = mkstemp(tmp_path(link, "link"));
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    unlink(link);
    assert_int_equal(symlink("/proc/self/comm", link), 0);
    assert_int_equal(file_read(link, O_NOFOLLOW, out, sizeof out, &len), -ELOOP);
    unlink(link);
    assert_int_equal(file_read("/proc", 0, out, sizeof out, &len), -EISDIR);
}

static void replaced_as_a_whole(void **state)
{
    char folder[TMP_PATH_MAX], path[80], out[16];
    struct stat before, now;
    size_t len = 0;
    (void)state;
    assert_non_null(tmp_folder(folder, "file"));
    snprintf(path, sizeof path, "%s/it", folder);
    assert_int_equal(file_replace(path, TEXT("first"), 0600, NULL), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 07777, 0600);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_replace(path, TEXT("the second"), 0640, &before), 0);
    assert_int_equal(file_read(path, 0, out, sizeof out, &len), 0);
    assert_int_equal(len, 10);
    assert_int_equal(read(reader, out, sizeof out), 5); /* who reads has the old one */
    close(reader);
    assert_int_equal(file_replace(path, TEXT("x"), 0600, &before), -EBUSY);
    assert_int_equal(stat(path, &now), 0);
    assert_int_equal(now.st_mode & 07777, 0640);
    assert_int_equal(file_replace("it", TEXT("x"), 0600, NULL), -EINVAL);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing is left beside it */
    assert_int_equal(file_replace(path, TEXT("x"), 0600, NULL), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_or_not_at_all),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(replaced_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
