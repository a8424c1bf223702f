/*
 * Whether this kernel and this container give us an io_uring, why not, and what the ring is cut
 * down to.
 */
#include "shared/ring/ring_state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* kernel.io_uring_disabled: '0' all may, '1' only the privileged, '2' nobody; '?' not known
 * here. */
static char disabled_by_sysctl(void)
{
    char c = '?';
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return c;
    if (read(fd, &c, 1) != 1)
        c = '?';
    close(fd);
    return c;
}

const char *probe_explain(int error)
{
    char sysctl = error == -EPERM ? disabled_by_sysctl() : '?';
    if (sysctl == '2')
        return "io_uring is switched off on this host: sysctl kernel.io_uring_disabled is 2; "
               "set it to 0 or 1";
    if (sysctl == '1')
        return "io_uring is kept for the privileged on this host: sysctl "
               "kernel.io_uring_disabled is 1; give CAP_SYS_ADMIN, or join the group of "
               "kernel.io_uring_group, or set it to 0";
    switch (error) {
    case -EPERM:
        return "io_uring_setup was refused: most likely by the seccomp profile of the container "
               "runtime; use a profile that allows io_uring_setup, io_uring_enter and "
               "io_uring_register (securityContext.seccompProfile of type Localhost, or "
               "Unconfined)";
    case -ENOSYS:
        return "this kernel, or the sandbox around it, has no io_uring: Linux 6.1 or newer is "
               "needed, with CONFIG_IO_URING, and not behind a user-space kernel";
    case -EINVAL:
        return "this kernel's io_uring is too old (Linux 6.1 or newer is needed), or a ring size "
               "is not possible";
    case -ENOMEM:
        return "no memory for an io_uring: raise the memory limit, or the locked-memory limit "
               "(RLIMIT_MEMLOCK)";
    case -EMFILE:
    case -ENFILE:
        return "no file descriptor left for an io_uring: raise the limit of open files";
    default:
        return "io_uring could not be set up";
    }
}

/* seccomp does not see operations, but the ring itself can refuse them: this one moves bytes over
 * sockets that it was given and does nothing else, whatever goes wrong in this process. */
int probe_restrict(struct io_uring *uring)
{
    static const uint8_t ops[] = {IORING_OP_ACCEPT,      IORING_OP_CONNECT, IORING_OP_RECV,
                                  IORING_OP_SEND,        IORING_OP_SENDMSG, IORING_OP_POLL_ADD,
                                  IORING_OP_ASYNC_CANCEL};
    struct io_uring_restriction r[ARRAY_SIZE(ops) + 3] = {0};
    unsigned n = 0;
    for (; n < ARRAY_SIZE(ops); n++) {
        r[n].opcode = IORING_RESTRICTION_SQE_OP;
        r[n].sqe_op = ops[n];
    }
    r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    r[n++].sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
    r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
    r[n++].register_op = IORING_UNREGISTER_PBUF_RING;
    r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
    r[n++].register_op = IORING_UNREGISTER_RING_FDS;
    return io_uring_register_restrictions(uring, r, n);
}

const char *ring_library(void)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "liburing %d.%d", io_uring_major_version(), io_uring_minor_version());
    return text;
}
