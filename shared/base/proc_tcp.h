/*
 * TCP sockets as the kernel lists them in /proc/net/tcp and tcp6: of the calling thread's network
 * namespace (/proc/thread-self/net). Any thread; nothing is kept.
 */
#ifndef SHARED_BASE_PROC_TCP_H
#define SHARED_BASE_PROC_TCP_H
#include "shared/base/addr.h"
#include <stdbool.h>

struct proc_tcp { /* IPv4 on a socket of IPv6 is told as IPv4 */
    struct addr local, remote;
    bool joined; /* both ends know of the connection, and it is not over */
};
bool proc_tcp_read(const char *line,
                   struct proc_tcp *ret); /* false: it is none, as the first one */
/* All of both families; stops when see() answers false. */
void proc_tcp_each(bool (*see)(const struct proc_tcp *t, void *arg), void *arg);
#endif
