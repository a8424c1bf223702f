#include "shared/base/proc_tcp.h"

#include <inttypes.h>
#include <stdio.h>

/* Of the kernel's tcp_states.h: established (1), syn-recv (3), fin-wait (4, 5), close-wait (8),
 * last-ack (9), closing (11). */
enum { JOINED = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11, STATE_MAX = 15 };

/* "0100007F": an address is printed word by word, each in the machine's order. */
static bool read_ip(const char *hex, struct ip *ret)
{
    uint8_t bytes[16];
    size_t len = strlen(hex) / 2;
    if (len != 4 && len != 16)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t word;
        if (sscanf(hex + 2 * i, "%8" SCNx32, &word) != 1)
            return false;
        memcpy(bytes + i, &word, sizeof word);
    }
    return ip_from_bytes(bytes, len, ret) == 0;
}

bool proc_tcp_read(const char *line, struct proc_tcp *ret)
{
    char local[33], remote[33];
    unsigned state;
    struct proc_tcp t;
    if (sscanf(line, " %*u: %32[0-9A-F]:%4" SCNx16 " %32[0-9A-F]:%4" SCNx16 " %2x", local,
               &t.local.port, remote, &t.remote.port, &state) != 5 ||
        state > STATE_MAX || !read_ip(local, &t.local.ip) || !read_ip(remote, &t.remote.ip))
        return false;
    t.joined = (JOINED & 1u << state) != 0;
    *ret = t;
    return true;
}

void proc_tcp_each(bool (*see)(const struct proc_tcp *t, void *arg), void *arg)
{
    static const char *const paths[] = {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char line[512];
        struct proc_tcp t;
        FILE *f = fopen(paths[i], "re");
        while (f && fgets(line, sizeof line, f))
            if (proc_tcp_read(line, &t) && !see(&t, arg))
                break;
        if (f)
            fclose(f);
    }
}
