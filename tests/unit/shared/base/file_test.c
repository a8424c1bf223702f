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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_or_not_at_all),
        cmocka_unit_test(errors_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
