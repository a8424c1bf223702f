#include "tests/sim/sim_chance.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHANCE_FD = 1 << 20 }; /* no real descriptor is so large */

static struct rng chance;

void sim_chance_seed(uint64_t seed)
{
    rng_seed(&chance, seed);
}

struct rng sim_chance_swap(struct rng with)
{
    struct rng before = chance;
    chance = with;
    return before;
}

static void fill(void *out, size_t len)
{
    uint8_t *to = out;
    while (len > 0) {
        uint64_t word = rng_u64(&chance);
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(to, &word, n);
        to += n;
        len -= n;
    }
}

/* These stand before the C library's, for everything that is linked into the program. */
ssize_t getrandom(void *out, size_t len, unsigned flags)
{
    (void)flags;
    fill(out, len);
    return (ssize_t)len;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = va_arg(args, int);
    va_end(args);
    if (strcmp(path, "/dev/urandom") == 0)
        return CHANCE_FD;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t read(int fd, void *out, size_t len)
{
    if (fd != CHANCE_FD)
        return syscall(SYS_read, fd, out, len);
    fill(out, len);
    return (ssize_t)len;
}

int close(int fd)
{
    return fd == CHANCE_FD ? 0 : (int)syscall(SYS_close, fd);
}
