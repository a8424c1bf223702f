/*
 * What a process may still do in its sandbox. Each attempt is a child's, which comes back with the
 * errno, or does not come back.
 */
#include "nodeproxy/sandbox.h"

#include "shared/base/list.h"
#include "shared/base/sanitized.h"
#include "shared/ring/ring.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum process { DATA, WARDEN };
enum { KILLED = 1000, NO_SANDBOX };

/* The errno of attempt(), 0, or KILLED. */
static int in_sandbox(enum process which, int (*attempt)(void))
{
    char why[SANDBOX_WHY_MAX];
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (sandbox_supervisor(why) < 0 ||
            (which == DATA ? sandbox_data(why) : sandbox_warden(why)) < 0) {
            (void)!write(STDERR_FILENO, why, strlen(why));
            _exit(255);
        }
        _exit(attempt());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGSYS);
        return KILLED;
    }
    return WEXITSTATUS(status) == 255 ? NO_SANDBOX : WEXITSTATUS(status);
}
static int error_of(long r)
{
    return r < 0 ? errno : 0;
}

/* ---- attempts ---- */

static int try_execve(void)
{
    char *none[] = {NULL};
    return error_of(execve("/bin/true", none, none));
}
static int try_execveat(void)
{
    return error_of(syscall(SYS_execveat, -1, "/bin/true", NULL, NULL, 0));
}
static int try_ptrace(void)
{
    return error_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static int try_mount(void)
{
    return error_of(mount("none", "/tmp", "tmpfs", 0, NULL));
}
static int try_umount(void)
{
    return error_of(umount2("/nowhere", MNT_DETACH));
}
static int try_setns(void)
{
    return error_of(setns(open("/proc/self/ns/net", O_RDONLY), CLONE_NEWNET));
}
static int try_setns_mount(void)
{
    return error_of(setns(open("/proc/self/ns/mnt", O_RDONLY), CLONE_NEWNS));
}
static int try_setns_any(void)
{
    return error_of(setns(open("/proc/self/ns/mnt", O_RDONLY), 0));
}
static int try_unshare_net(void)
{
    return error_of(unshare(CLONE_NEWNET));
}
static int try_unshare_user(void)
{
    return error_of(unshare(CLONE_NEWUSER));
}
static int try_unshare_mount(void)
{
    return error_of(unshare(CLONE_NEWNET | CLONE_NEWNS));
}
static int try_bpf(void)
{
    return error_of(syscall(SYS_bpf, 0, NULL, 0));
}
static int try_keyctl(void)
{
    return error_of(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}
static int try_module(void)
{
    return error_of(syscall(SYS_init_module, NULL, 0, ""));
}
static int try_kexec(void)
{
    return error_of(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}
static int try_capset(void)
{
    return error_of(syscall(SYS_capset, NULL, NULL));
}
static int try_netlink(void)
{
    return error_of(socket(AF_NETLINK, SOCK_RAW, 0));
}
static int try_packet(void)
{
    return error_of(socket(AF_PACKET, SOCK_RAW, 0));
}
static int try_vsock(void)
{
    return error_of(socket(AF_VSOCK, SOCK_STREAM, 0));
}
static int try_raw(void)
{
    return error_of(socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
}
static int try_raw6(void)
{
    return error_of(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
}
static int try_tcp(void)
{
    return error_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}
static int try_fork(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
    if (pid == 0)
        _exit(0);
    return error_of(pid);
}
static int try_clone3(void)
{
    return error_of(syscall(SYS_clone3, NULL, 0));
}
static int try_kill(void)
{
    return error_of(kill(getppid(), 0));
}
static int try_chown(void)
{
    return error_of(chown("/tmp", 0, 0));
}
static int try_terminal(void)
{
    char c = 'x';
    return error_of(ioctl(0, TIOCSTI, &c));
}
static int try_mark(void)
{
    int mark = 0x539;
    return error_of(
        setsockopt(socket(AF_INET, SOCK_STREAM, 0), SOL_SOCKET, SO_MARK, &mark, sizeof mark));
}
static int try_transparent(void)
{
    int on = 1;
    return error_of(
        setsockopt(socket(AF_INET, SOCK_STREAM, 0), IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on));
}
static int try_other_memory(void)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/mem", getppid());
    return error_of(open(path, O_RDONLY));
}
static int try_io_uring(void)
{
    return error_of(syscall(SYS_io_uring_setup, 0, NULL));
}

static int refused_by_data(int (*attempt)(void))
{
    return in_sandbox(DATA, attempt);
}

static void the_data_process_is_killed_by_what_it_never_does(void **state)
{
    (void)state;
    static int (*const attempts[])(void) = {
        try_execve,      try_execveat,     try_mount,   try_umount, try_setns,
        try_unshare_net, try_unshare_user, try_bpf,     try_keyctl, try_module,
        try_kexec,       try_capset,       try_netlink, try_packet, try_vsock};
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++)
        if (refused_by_data(attempts[i]) != KILLED)
            fail_msg("attempt %zu was not deadly", i);
    if (!SANITIZED)
        assert_int_equal(refused_by_data(try_ptrace), KILLED);
}
static void the_data_process_is_refused_what_is_not_its_business(void **state)
{
    (void)state;
    static int (*const attempts[])(void) = {try_raw,      try_raw6, try_chown,
                                            try_terminal, try_mark, try_transparent};
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++)
        if (refused_by_data(attempts[i]) != EPERM)
            fail_msg("attempt %zu was not refused", i);
    assert_int_equal(refused_by_data(try_clone3), ENOSYS);
    assert_int_equal(refused_by_data(try_other_memory), EACCES);
    if (!SANITIZED) {
        assert_int_equal(refused_by_data(try_fork), EPERM);
        assert_int_equal(refused_by_data(try_kill), EPERM);
    }
}
static void the_warden_has_network_namespaces_and_no_more(void **state)
{
    (void)state;
    static int (*const deadly[])(void) = {try_execve, try_mount,  try_umount,
                                          try_bpf,    try_module, try_capset};
    static int (*const refused[])(void) = {try_setns_mount,   try_setns_any, try_unshare_user,
                                           try_unshare_mount, try_packet,    try_raw,
                                           try_io_uring,      try_chown};
    for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
        if (in_sandbox(WARDEN, deadly[i]) != KILLED)
            fail_msg("attempt %zu was not deadly", i);
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (in_sandbox(WARDEN, refused[i]) != EPERM)
            fail_msg("attempt %zu was not refused", i);
    assert_int_equal(in_sandbox(WARDEN, try_setns), 0);
    assert_int_equal(in_sandbox(WARDEN, try_unshare_net), 0);
    assert_int_equal(in_sandbox(WARDEN, try_netlink), 0);
    assert_int_equal(in_sandbox(WARDEN, try_mark), 0);
    assert_int_equal(in_sandbox(WARDEN, try_transparent), 0);
}

/* ---- what it says of itself ---- */

static bool says(const char *line)
{
    char text[64] = "";
    FILE *file = fopen("/proc/self/status", "re");
    bool found = false;
    while (file && fgets(text, sizeof text, file))
        found |= strncmp(text, line, strlen(line)) == 0;
    if (file)
        (void)fclose(file);
    return found;
}
#define NONE "0000000000000000\n"
static int look_at_data(void)
{
    static const char *const lines[] = {"CapInh:\t" NONE, "CapPrm:\t" NONE, "CapEff:\t" NONE,
                                        "CapBnd:\t" NONE, "CapAmb:\t" NONE, "NoNewPrivs:\t1\n",
                                        "Seccomp:\t2\n"};
    struct rlimit core = {1, 1};
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
        if (!says(lines[i]))
            return (int)i + 1;
    if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur != 0 || core.rlim_max != 0)
        return 100;
    return SANITIZED || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 101;
}
static int look_at_warden(void)
{
    static const char *const lines[] = {"CapInh:\t" NONE, "CapBnd:\t" NONE, "CapAmb:\t" NONE,
                                        "NoNewPrivs:\t1\n", "Seccomp:\t2\n"};
    for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
        if (!says(lines[i]))
            return (int)i + 1;
    return says("CapEff:\t0000000000281000\n") && says("CapPrm:\t0000000000281000\n") ? 0 : 100;
}
static void nothing_is_left(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(DATA, look_at_data), 0);
    assert_int_equal(in_sandbox(WARDEN, look_at_warden), 0);
}

/* ---- what must work ---- */

static void *nothing(void *arg)
{
    return arg;
}
static int work(void)
{
    pthread_t thread;
    const char *why = "";
    struct ring *ring;
    int pair[2];
    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    if (ring_open(&ring, NULL, &why) < 0)
        return 2;
    ring_free(ring);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || send(pair[0], "x", 1, MSG_NOSIGNAL) != 1)
        return 3;
    return try_tcp();
}
static void the_data_process_can_work(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(DATA, work), 0);
}
static int without(unsigned capability, char why[static SANDBOX_WHY_MAX])
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    data[capability / 32].permitted &= ~(1u << (capability % 32));
    data[capability / 32].effective &= ~(1u << (capability % 32));
    if (syscall(SYS_capset, &head, data) < 0)
        return -errno;
    return sandbox_supervisor(why);
}
static void what_is_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        unsigned number;
        const char *name;
    } needed[] = {{CAP_SYS_ADMIN, "CAP_SYS_ADMIN is missing"},
                  {CAP_NET_ADMIN, "CAP_NET_ADMIN is missing"},
                  {CAP_SETPCAP, "CAP_SETPCAP is missing"}};
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            char why[SANDBOX_WHY_MAX] = "";
            int r = without(needed[i].number, why);
            _exit(r == -EPERM && strstr(why, needed[i].name) == why ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_data_process_is_killed_by_what_it_never_does),
        cmocka_unit_test(the_data_process_is_refused_what_is_not_its_business),
        cmocka_unit_test(the_warden_has_network_namespaces_and_no_more),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(the_data_process_can_work),
        cmocka_unit_test(what_is_missing_is_named),
    };
    return cmocka_run_group_tests_name("nodeproxy/sandbox", tests, NULL, NULL);
}
