/* A seccomp profile for the container runtime; see the header. */
#include "nodeproxy/seccomp_profile.h"

#include "shared/base/list.h"
#include "shared/json/json_out.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROFILE_MAX = 64 * 1024 };

/* Names that a processor does not have are skipped by the runtime. */
static const char *const allowed[] = {
    /* io_uring */
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    /* files */
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
    "pwritev2", "close", "close_range", "open", "openat", "openat2", "creat", "lseek", "stat",
    "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir",
    "fcntl", "flock", "fsync", "fdatasync", "sync_file_range", "fallocate", "ftruncate", "truncate",
    "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "link", "linkat", "symlink", "symlinkat",
    "rename", "renameat", "renameat2", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown",
    "fchown", "fchownat", "lchown", "utimensat", "umask", "ioctl", "dup", "dup2", "dup3", "pipe",
    "pipe2", "splice", "tee", "sendfile", "copy_file_range", "inotify_init1", "inotify_add_watch",
    "inotify_rm_watch", "fadvise64", "getxattr", "lgetxattr", "fgetxattr",
    /* memory */
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock",
    "mincore", "msync", "memfd_create", "membarrier", "pkey_alloc", "pkey_free", "pkey_mprotect",
    /* signals, time, threads, processes */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigqueueinfo",
    "rt_sigsuspend", "rt_tgsigqueueinfo", "sigaltstack", "signalfd4", "kill", "tkill", "tgkill",
    "pause", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday",
    "time", "times", "timer_create", "timer_delete", "timer_settime", "timer_gettime",
    "timer_getoverrun", "timerfd_create", "timerfd_settime", "timerfd_gettime", "setitimer",
    "getitimer", "futex", "futex_waitv", "sched_yield", "sched_getaffinity", "sched_setaffinity",
    "sched_getparam", "sched_getscheduler", "getcpu", "set_robust_list", "get_robust_list", "rseq",
    "set_tid_address", "restart_syscall", "clone", "clone3", "fork", "vfork", "execve", "execveat",
    "exit", "exit_group", "wait4", "waitid", "pidfd_open", "pidfd_send_signal", "gettid", "getpid",
    "getppid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "getpriority", "setpriority",
    "arch_prctl", "prctl", "personality", "uname", "sysinfo", "getrandom", "getrlimit",
    "setrlimit", "prlimit64", "getrusage",
    /* who we are; the runtime sets it after it has loaded this */
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid",
    "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid",
    "capget", "capset", "seccomp",
    /* sockets and waiting */
    "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown",
    "getsockname", "getpeername", "setsockopt", "getsockopt", "sendto", "recvfrom", "sendmsg",
    "recvmsg", "sendmmsg", "recvmmsg", "poll", "ppoll", "select", "pselect6", "epoll_create",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd",
    "eventfd2",
    /* network namespaces, for the warden; without CAP_SYS_ADMIN the kernel refuses them anyway */
    "setns", "unshare"};

int seccomp_profile_print(struct text_heap *out)
{
    struct json_out o;
    json_out_init(&o, out, true);
    json_out_object(&o, NULL);
    json_out_string(&o, "defaultAction", "SCMP_ACT_ERRNO");
    json_out_u64(&o, "defaultErrnoRet", ENOSYS); /* libraries then go on without it */
    json_out_array(&o, "architectures");
#if defined(__x86_64__)
    json_out_string(&o, NULL, "SCMP_ARCH_X86_64");
#elif defined(__aarch64__)
    json_out_string(&o, NULL, "SCMP_ARCH_AARCH64");
#endif
    json_out_end(&o);
    json_out_array(&o, "syscalls");
    json_out_object(&o, NULL);
    json_out_array(&o, "names");
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        json_out_string(&o, NULL, allowed[i]);
    json_out_end(&o);
    json_out_string(&o, "action", "SCMP_ACT_ALLOW");
    json_out_end(&o);
    json_out_end(&o);
    json_out_end(&o);
    return out->failed ? -ENOMEM : 0;
}

static int write_new(const char *path, struct text text)
{
    int r = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -errno;
    while (r == 0 && text.len > 0) {
        ssize_t n = write(fd, text.data, text.len);
        if (n < 0 && errno != EINTR)
            r = -errno;
        if (n > 0)
            text = (struct text){text.data + n, text.len - (size_t)n};
    }
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    return r;
}

/* A runtime that reads the file meanwhile sees a whole one. */
static int write_file(const char *path, struct text text)
{
    char folder[PATH_MAX], beside[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = snprintf(beside, sizeof beside, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof beside)
        return -ENAMETOOLONG;
    if (slash && slash != path) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
            return -errno;
    }
    int r = write_new(beside, text);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(beside);
    return r;
}

static int await_end(const sigset_t *ends, const char *path)
{
    int number;
    if (sigwait(ends, &number) != 0)
        return -EINVAL;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int seccomp_profile_command(int argc, char **argv)
{
    struct text_heap text;
    bool stays = argc < 3 || strcmp(argv[1], "--remove-at-end") != 0;
    const char *path = argv[argc - 1];
    if (argc != (stays ? 2 : 3) || path[0] == '-') {
        fprintf(stderr, "Usage: weir-nodeproxy seccomp-profile [--remove-at-end] FILE\n"
                        "Writes the seccomp profile for containers that run Weir's programs.\n"
                        "--remove-at-end: waits for SIGTERM, and removes it.\n");
        return argc == 2 && strcmp(path, "--help") == 0 ? 0 : 2;
    }
    sigset_t ends; /* they wait until the file is there */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    if (!stays && sigprocmask(SIG_BLOCK, &ends, NULL) < 0)
        return 1;
    text_heap_init(&text, PROFILE_MAX);
    int r = seccomp_profile_print(&text);
    if (r == 0)
        r = write_file(path, (struct text){text.data, text.len});
    text_heap_done(&text);
    if (r == 0 && !stays)
        r = await_end(&ends, path);
    if (r < 0)
        fprintf(stderr, "weir-nodeproxy: %s: %s\n", path, strerror(-r));
    return r < 0 ? 1 : 0;
}
