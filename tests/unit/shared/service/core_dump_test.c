#include "shared/service/core_dump.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { GOOD, REFUSED, LIMIT_LEFT, DUMPABLE_LEFT, LIMIT_CAN_RISE };

/* In a process of its own: there is no way back. */
static int child(void)
{
    struct rlimit limit;
    if (core_dump_forbid() < 0)
        return REFUSED;
    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur != 0 || limit.rlim_max != 0)
        return LIMIT_LEFT;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (prctl(PR_GET_DUMPABLE) != 0)
        return DUMPABLE_LEFT;
#endif
    if (setuid(65534) == 0) { /* who may do everything may also raise it */
        const struct rlimit some = {4096, 4096};
        if (setrlimit(RLIMIT_CORE, &some) == 0)
            return LIMIT_CAN_RISE;
    }
    return GOOD;
}

static void nothing_is_left_for_a_dump(void **state)
{
    (void)state;
    const struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setrlimit(RLIMIT_CORE, &most);
        _exit(child());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), GOOD);
}

/* The kernel's own answer to a signal that dumps: it says that it did not. */
static void a_crash_dumps_nothing(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
        (void)setrlimit(RLIMIT_CORE, &most);
        signal(SIGQUIT, SIG_DFL);
        if (core_dump_forbid() == 0)
            raise(SIGQUIT);
        _exit(REFUSED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGQUIT);
    assert_false(WCOREDUMP(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_for_a_dump),
        cmocka_unit_test(a_crash_dumps_nothing),
    };
    return cmocka_run_group_tests_name("service/core_dump", tests, NULL, NULL);
}
