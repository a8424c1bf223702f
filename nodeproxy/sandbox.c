/*
 * The lists are of what our processes were seen to need, with the libraries
 * that they stand on (wolfSSL, liburing, liburcu, libnftables, glibc's threads
 * and allocator). clone3 hides its flags in memory, where a filter can't look:
 * it "does not exist", and glibc goes on to clone. io_uring's operations pass
 * by any filter; shared/ring/probe.c restricts those.
 */
#include "nodeproxy/sandbox.h"

#include "shared/base/list.h"
#include "shared/base/sanitized.h"
#include "shared/service/core_dump.h"
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(char why[static SANDBOX_WHY_MAX], int error, const char *what)
{
    snprintf(why, SANDBOX_WHY_MAX, "cannot %s: %s", what, strerror(-error));
    return error;
}

/* ---- capabilities ---- */

#define CAPABILITY(number) (UINT64_C(1) << (number))
enum { BOUNDING_MAX = 64 };

static const uint64_t of_warden =
    CAPABILITY(CAP_NET_ADMIN) | CAPABILITY(CAP_SYS_ADMIN) | CAPABILITY(CAP_SYS_PTRACE);

static int capabilities(uint64_t *ret_permitted)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    *ret_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

/* Permitted and effective become what is wanted and there; inheritable and
 * ambient nothing. */
static int keep_capabilities(uint64_t wanted, char why[static SANDBOX_WHY_MAX])
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    uint64_t permitted;
    int r = capabilities(&permitted);
    if (r == 0) {
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        wanted &= permitted;
        for (unsigned i = 0; i < 2; i++)
            data[i].permitted = data[i].effective = (uint32_t)(wanted >> (32 * i));
        r = syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
    }
    return r < 0 ? fail(why, r, "give up capabilities") : 0;
}

/* Nothing is executed ever, so nobody needs a bounding set. */
static int empty_bounding_set(char why[static SANDBOX_WHY_MAX])
{
    for (unsigned i = 0; i < BOUNDING_MAX; i++) {
        int has = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
        if (has < 0)
            return 0; /* the kernel knows no more */
        if (has > 0 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return fail(why, -errno, "empty the capabilities' bounding set");
    }
    return 0;
}

static int need(uint64_t permitted, unsigned number, const char *name,
                char why[static SANDBOX_WHY_MAX])
{
    if (permitted & CAPABILITY(number))
        return 0;
    snprintf(why, SANDBOX_WHY_MAX,
             "%s is missing: start it as root, with CAP_NET_ADMIN and "
             "CAP_SYS_ADMIN (to capture "
             "pods) and CAP_SETPCAP (to give up all else)",
             name);
    return -EPERM;
}

int sandbox_supervisor(char why[static SANDBOX_WHY_MAX])
{
    uint64_t permitted;
    int r = capabilities(&permitted);
    if (r < 0)
        return fail(why, r, "look at the capabilities");
    if ((r = need(permitted, CAP_NET_ADMIN, "CAP_NET_ADMIN", why)) < 0 ||
        (r = need(permitted, CAP_SYS_ADMIN, "CAP_SYS_ADMIN", why)) < 0 ||
        (r = need(permitted, CAP_SETPCAP, "CAP_SETPCAP", why)) < 0)
        return r;
    r = empty_bounding_set(why);
    if (r == 0)
        r = keep_capabilities(of_warden, why);
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = fail(why, -errno, "give up new privileges");
    if (r == 0 && (r = core_dump_forbid()) < 0)
        fail(why, r, "forbid core dumps");
    return r;
}

/* ---- system calls ---- */

#define CALL(name) SCMP_SYS(name)
/* What an argument must be, for a rule. */
#define IS(n, value) ((struct scmp_arg_cmp){(n), SCMP_CMP_EQ, (scmp_datum_t)(value), 0})
#define MASKED_IS(n, mask, value)                                                                  \
    ((struct scmp_arg_cmp){(n), SCMP_CMP_MASKED_EQ, (mask), (scmp_datum_t)(value)})

/* What a process that was taken over would try, and none of ours ever does. */
static const int deadly[] = {
    CALL(execve), CALL(execveat), CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev),
    CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(move_mount), CALL(fsopen),
    CALL(fsmount), CALL(open_tree), CALL(setns), CALL(unshare), CALL(bpf), CALL(keyctl),
    CALL(add_key), CALL(request_key), CALL(init_module), CALL(finit_module), CALL(delete_module),
    CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(swapon), CALL(swapoff),
    CALL(perf_event_open), CALL(userfaultfd), CALL(open_by_handle_at), CALL(pidfd_getfd),
    CALL(setuid), CALL(setgid), CALL(setresuid), CALL(setresgid), CALL(setgroups), CALL(capset)};

/* Files, memory, time, threads: what every program does. */
static const int common[] = {
    CALL(read), CALL(readv), CALL(pread64), CALL(write), CALL(writev), CALL(pwrite64), CALL(close),
    CALL(open), CALL(openat), CALL(lseek), CALL(stat), CALL(lstat), CALL(fstat), CALL(newfstatat),
    CALL(statx), CALL(statfs), CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2),
    CALL(readlink), CALL(readlinkat), CALL(getdents64), CALL(getcwd), CALL(fcntl), CALL(dup),
    CALL(dup2), CALL(dup3), CALL(pipe2), CALL(mmap), CALL(munmap), CALL(mprotect), CALL(mremap),
    CALL(madvise), CALL(brk), CALL(mlock), CALL(mlock2), CALL(munlock), CALL(memfd_create),
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigtimedwait),
    CALL(sigaltstack), CALL(futex), CALL(sched_yield), CALL(sched_getaffinity), CALL(getcpu),
    CALL(set_robust_list), CALL(get_robust_list), CALL(rseq), CALL(set_tid_address),
    CALL(restart_syscall), CALL(exit), CALL(exit_group), CALL(tgkill), CALL(gettid), CALL(getpid),
    CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getpgrp),
    CALL(uname), CALL(sysinfo), CALL(getrandom), CALL(getrlimit), CALL(prlimit64), CALL(getrusage),
    CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep),
    CALL(gettimeofday), CALL(time), CALL(times), CALL(poll), CALL(ppoll), CALL(select),
    CALL(pselect6), CALL(bind), CALL(listen), CALL(getsockname), CALL(getpeername),
    CALL(setsockopt), CALL(getsockopt), CALL(sendto), CALL(recvfrom), CALL(sendmsg), CALL(recvmsg),
    CALL(membarrier), CALL(prctl)};

static const int of_data[] = {
    CALL(io_uring_setup), CALL(io_uring_enter), CALL(io_uring_register), CALL(accept),
    CALL(accept4), CALL(connect), CALL(shutdown), CALL(sendmmsg), CALL(recvmmsg), CALL(eventfd2),
    CALL(signalfd4), CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait),
    CALL(timerfd_create), CALL(timerfd_settime), CALL(inotify_init1), CALL(inotify_add_watch),
    CALL(inotify_rm_watch), CALL(splice), CALL(setrlimit), CALL(umask), CALL(flock), CALL(fsync),
    CALL(fdatasync), CALL(ftruncate), CALL(mkdir), CALL(mkdirat), CALL(rmdir), CALL(unlink),
    CALL(unlinkat), CALL(link), CALL(linkat), CALL(symlink), CALL(symlinkat), CALL(rename),
    CALL(renameat), CALL(renameat2), CALL(chmod), CALL(fchmod), CALL(fchmodat), CALL(mincore)};

/* Where the sanitizers look for leaks, they trace this process from a clone of
 * it. */
static const int of_sanitizers[] = {
    CALL(ptrace), CALL(wait4), CALL(kill), CALL(clone), CALL(personality), CALL(process_vm_readv),
    CALL(getpgid), CALL(arch_prctl), CALL(getdents)};

static int each(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        bool excepted = false;
        for (size_t k = 0; action == SCMP_ACT_KILL_PROCESS && k < ARRAY_SIZE(of_sanitizers); k++)
            excepted |= SANITIZED && calls[i] == of_sanitizers[k];
        if (!excepted)
            r = seccomp_rule_add(f, action, calls[i], 0);
        if (r == -EDOM) /* this processor's kernel has no such call */
            r = 0;
    }
    return r;
}
#define EACH(filter, action, calls) each(filter, action, calls, ARRAY_SIZE(calls))

static int allow_sockets(scmp_filter_ctx f, const int *families, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET && r == 0; type++)
            if (type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET ||
                families[i] == AF_NETLINK)
                r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(socket), 2,
                                     IS(0, families[i]),
                                     MASKED_IS(1, 0xf, type));
    return r;
}

static int allow_ioctls(scmp_filter_ctx f, const unsigned long *requests, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 1,
                             MASKED_IS(1, UINT32_MAX, requests[i]));
    return r;
}

static int common_rules(scmp_filter_ctx f)
{
    int r = EACH(f, SCMP_ACT_ALLOW, common);
    if (r == 0)
        r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    if (r == 0 && SANITIZED)
        r = EACH(f, SCMP_ACT_ALLOW, of_sanitizers);
    return r;
}

/* The filter is loaded for this thread, which is the only one yet. */
static int load(scmp_filter_ctx f, int r, char why[static SANDBOX_WHY_MAX])
{
    if (r == 0)
        (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    if (r == 0)
        r = seccomp_load(f);
    seccomp_release(f);
    return r < 0 ? fail(why, r, "load the seccomp filter (does the kernel have it?)") : 0;
}

static int begin(uint64_t wanted, scmp_filter_ctx *ret, char why[static SANDBOX_WHY_MAX])
{
    int r = keep_capabilities(wanted, why);
    if (r < 0)
        return r;
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!f)
        return fail(why, -ENOMEM, "make a seccomp filter");
    *ret = f;
    return 0;
}

int sandbox_warden(char why[static SANDBOX_WHY_MAX])
{
    static const int families[] = {AF_INET, AF_INET6, AF_NETLINK, AF_UNIX /* for ioctls */};
    scmp_filter_ctx f = NULL;
    int r = begin(of_warden, &f, why);
    if (r < 0)
        return r;
    r = common_rules(f);
    if (r == 0)
        r = allow_sockets(f, families, ARRAY_SIZE(families));
    if (r == 0)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(ioctl), 0);
    /* Of namespaces, those of the network. */
    if (r == 0)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(setns), 1, IS(1, CLONE_NEWNET));
    if (r == 0)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(unshare), 1,
                             IS(0, CLONE_NEWNET));
    for (size_t i = 0; i < ARRAY_SIZE(deadly) && r == 0; i++)
        if (deadly[i] != CALL(setns) && deadly[i] != CALL(unshare))
            r = each(f, SCMP_ACT_KILL_PROCESS, &deadly[i], 1);
    return load(f, r, why);
}

int sandbox_data(char why[static SANDBOX_WHY_MAX])
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    static const int deadly_families[] = {AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG};
    static const unsigned long requests[] = {FIONREAD, FIONBIO, TIOCOUTQ, 0x5401 /* TCGETS */};
    /* A thread, and not a process or a namespace: what glibc's pthread_create() asks for. */
    const scmp_datum_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const scmp_datum_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    scmp_filter_ctx f = NULL;
    int r = begin(0, &f, why);
    if (r < 0)
        return r;
    r = common_rules(f);
    if (r == 0)
        r = EACH(f, SCMP_ACT_ALLOW, of_data);
    if (r == 0)
        r = allow_sockets(f, families, ARRAY_SIZE(families));
    if (r == 0)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(socketpair), 1, IS(0, AF_UNIX));
    if (r == 0)
        r = allow_ioctls(f, requests, ARRAY_SIZE(requests));
    if (r == 0 && !SANITIZED)
        r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(clone), 1,
                             MASKED_IS(0, thread | namespaces, thread));
    for (size_t i = 0; i < ARRAY_SIZE(deadly_families) && r == 0; i++)
        r = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, CALL(socket), 1,
                             IS(0, deadly_families[i]));
    if (r == 0)
        r = EACH(f, SCMP_ACT_KILL_PROCESS, deadly);
    return load(f, r, why);
}
