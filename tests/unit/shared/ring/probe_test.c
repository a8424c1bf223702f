/* Why there is no ring: each cause is made for real, by a seccomp filter in a child. */
#include "shared/ring/ring.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int forbid_io_uring(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

/* What a child says that may not open a ring; *ret gets what ring_open() returned there. */
static void ask_child(int error, int *ret, char *why, size_t size)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct ring *none = NULL;
        const char *sentence = "";
        int r = forbid_io_uring(error);
        if (r == 0)
            r = ring_open(&none, NULL, &sentence);
        if (write(fds[1], &r, sizeof r) < 0 || write(fds[1], sentence, strlen(sentence) + 1) < 0)
            _exit(1);
        _exit(0);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], ret, sizeof *ret), sizeof *ret);
    size_t len = 0;
    for (ssize_t n; len < size && (n = read(fds[0], why + len, size - len)) > 0;)
        len += (size_t)n;
    assert_true(len > 0 && why[len - 1] == '\0');
    close(fds[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_seccomp(void **state)
{
    (void)state;
    int r = 0;
    char why[1024];
    ask_child(EPERM, &r, why, sizeof why);
    assert_int_equal(r, -EPERM);
    /* Where the host has switched it off as well, that is what we are told. */
    assert_true(strstr(why, "seccomp") || strstr(why, "kernel.io_uring_disabled is"));
}
static void test_no_io_uring(void **state)
{
    (void)state;
    int r = 0;
    char why[1024];
    ask_child(ENOSYS, &r, why, sizeof why);
    assert_int_equal(r, -ENOSYS);
    assert_non_null(strstr(why, "6.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seccomp),
        cmocka_unit_test(test_no_io_uring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
