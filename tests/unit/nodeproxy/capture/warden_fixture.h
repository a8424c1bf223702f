/*
 * A warden for a test, as the program has one: a process of its own, with no more privileges than
 * it keeps there. It lives in the namespaces that the test is in when it is started. Needs root.
 */
#ifndef TESTS_UNIT_NODEPROXY_CAPTURE_WARDEN_FIXTURE_H
#define TESTS_UNIT_NODEPROXY_CAPTURE_WARDEN_FIXTURE_H
#include "nodeproxy/sandbox.h"
#include "nodeproxy/warden/warden.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int warden_channel[2] = {-1, -1}; /* both ends stay open, as with the supervisor */
static pid_t warden_pid;
static uint64_t warden_orphan_ms = 60000;
static const char *warden_machine[2]; /* rules, where it is a machine's */

static inline void run_warden(void)
{
    char why[SANDBOX_WHY_MAX];
    const struct warden_options o = {
        warden_channel[1], 512, true, {warden_machine[0], warden_machine[1]}, warden_orphan_ms};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sandbox_warden(why) < 0)
        (void)!write(STDERR_FILENO, why, sizeof why);
    else
        (void)warden_run(&o);
    _exit(1);
}
static inline void start_warden(void)
{
    if (warden_channel[0] < 0)
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, warden_channel), 0);
    warden_pid = fork();
    assert_true(warden_pid >= 0);
    if (warden_pid == 0)
        run_warden();
}
/* Killed: as a crash. */
static inline void kill_warden(void)
{
    int status = 0;
    assert_int_equal(kill(warden_pid, SIGKILL), 0);
    assert_int_equal(waitpid(warden_pid, &status, 0), warden_pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it lived until now */
}
static inline void stop_warden(void)
{
    kill_warden();
    for (int i = 0; i < 2; i++) {
        close(warden_channel[i]);
        warden_channel[i] = -1;
    }
}
#endif
