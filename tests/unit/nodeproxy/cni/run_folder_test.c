/* What is removed of a run folder, and what keeps it. */
#include "nodeproxy/cni/run_folder.h"
#include "shared/base/text.h"
#include "tests/support/tmp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char base[TMP_PATH_MAX], folder[96], why[WHY_MAX];

static const char *in(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make(const char *name)
{
    int fd = open(in(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

/* As a node proxy leaves it that captures nothing. */
static int begin(void **state)
{
    static const char *const files[] = {"admin.sock", "cni.sock", "takeover.sock", "takeover.sock.new",
                                        "owner.lock", "pods/half.new"};
    (void)state;
    assert_non_null(tmp_folder(base, "run"));
    snprintf(folder, sizeof folder, "%s/weir", base);
    assert_int_equal(mkdir(folder, 0711), 0);
    assert_int_equal(mkdir(in("pods"), 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        close(make(files[i]));
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(in("pods/c1.json"));
    (void)unlink(in("other"));
    (void)run_folder_remove(folder, why);
    return rmdir(base);
}

static void test_all_of_it_goes(void **state)
{
    (void)state;
    assert_int_equal(run_folder_remove(folder, why), 0);
    assert_int_equal(access(folder, F_OK), -1);
    assert_int_equal(run_folder_remove(folder, why), 0); /* there is none any more */
}

static void test_a_node_proxy_keeps_it(void **state)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)state;
    int fd = open(in("owner.lock"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
    assert_int_equal(run_folder_remove(folder, why), -EBUSY);
    assert_int_equal(access(in("cni.sock"), F_OK), 0);
    close(fd);
    assert_int_equal(run_folder_remove(folder, why), 0);
}

static void put_pod(const char *content)
{
    FILE *file = fopen(in("pods/c1.json"), "we");
    assert_non_null(file);
    fputs(content, file);
    assert_int_equal(fclose(file), 0);
}

static void test_pods_outside_the_mesh_do_not(void **state)
{
    (void)state;
    put_pod("{\"podName\":\"web\",\"captured\":false,\"leftover\":false}");
    assert_int_equal(run_folder_remove(folder, why), 0);
}

static void test_pods_that_are_half_out_keep_it(void **state)
{
    static const char *const states[] = {"{\"captured\":true,\"leftover\":false}",
                                         "{\"captured\":false,\"leftover\":true}", "{\"captu", "{}"};
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        put_pod(states[i]);
        assert_int_equal(run_folder_remove(folder, why), -ENOTEMPTY);
    }
}

static void test_captured_pods_keep_it(void **state)
{
    (void)state;
    close(make("pods/c1.json"));
    assert_int_equal(run_folder_remove(folder, why), -ENOTEMPTY);
    assert_true(text_starts_with(text_of(why), TEXT("pods of this node are still captured")));
    assert_int_equal(access(in("owner.lock"), F_OK), 0);
    assert_int_equal(access(in("cni.sock"), F_OK), 0);
}

static void test_what_is_not_ours_keeps_it(void **state)
{
    (void)state;
    close(make("other"));
    assert_int_equal(run_folder_remove(folder, why), -ENOTEMPTY);
    assert_int_equal(access(in("other"), F_OK), 0);
    assert_int_equal(access(in("cni.sock"), F_OK), -1);
}

static void test_a_link_is_not_followed(void **state)
{
    char link[96];
    (void)state;
    snprintf(link, sizeof link, "%s/link", base);
    assert_int_equal(symlink(folder, link), 0);
    assert_int_equal(run_folder_remove(link, why), -ENOTDIR);
    assert_int_equal(access(in("cni.sock"), F_OK), 0);
    assert_int_equal(unlink(link), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_of_it_goes, begin, end),
        cmocka_unit_test_setup_teardown(test_a_node_proxy_keeps_it, begin, end),
        cmocka_unit_test_setup_teardown(test_captured_pods_keep_it, begin, end),
        cmocka_unit_test_setup_teardown(test_pods_outside_the_mesh_do_not, begin, end),
        cmocka_unit_test_setup_teardown(test_pods_that_are_half_out_keep_it, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_not_ours_keeps_it, begin, end),
        cmocka_unit_test_setup_teardown(test_a_link_is_not_followed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
