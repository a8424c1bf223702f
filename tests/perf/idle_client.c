/*
 * Opens N connections to ADDRESS:PORT, does one HTTP request on each, says "open", and holds them until its input ends. Exit 1 if
 * one fails.
 *
 *   idle_client ADDRESS PORT N
 */
#include "shared/base/addr.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { N_MAX = 9000 };

static int one(const struct addr *to)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: idle\r\n\r\n";
    struct sockaddr_storage sa;
    char answer[4096];
    const struct timeval patience = {.tv_sec = 20};
    socklen_t sa_len = addr_to_sockaddr(to, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 || connect(fd, (struct sockaddr *)&sa, sa_len) < 0)
        return -1;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        return -1;
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    return n > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
    struct addr to = {0};
    uint64_t port, n;
    if (argc != 4 || ip_parse(text_of(argv[1]), &to.ip) < 0 || text_to_u64(text_of(argv[2]), 65535, &port) < 0 || text_to_u64(text_of(argv[3]), N_MAX, &n) < 0) {
        fprintf(stderr, "usage: idle_client ADDRESS PORT N\n");
        return 2;
    }
    to.port = (uint16_t)port;
    for (uint64_t i = 0; i < n; i++)
        if (one(&to) < 0) {
            perror("idle_client");
            return 1;
        }
    printf("open\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
