/*
 * Fetches http://ADDRESS:PORT/big?bytes=N over several connections at once and throws the bytes away in the kernel
 * (MSG_TRUNC), so that the client costs next to nothing. Prints the number of body bytes; exit 1 unless all arrived.
 *
 *   bulk_client ADDRESS PORT BYTES CONNECTIONS
 */
#include "shared/base/addr.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, HEAD_MAX = 4096, PIECE = 4 * 1024 * 1024 };

struct fetch {
    int fd;
    bool in_body;
    char head[HEAD_MAX];
    size_t head_len;
    uint64_t left;
};

static int fail(const char *what)
{
    perror(what);
    return -1;
}

static int fetch_start(struct fetch *f, const struct addr *to, uint64_t bytes)
{
    struct sockaddr_storage sa;
    char request[256];
    socklen_t sa_len = addr_to_sockaddr(to, &sa);
    f->left = bytes;
    f->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (f->fd < 0 || connect(f->fd, (struct sockaddr *)&sa, sa_len) < 0)
        return fail("connect");
    int len = snprintf(request, sizeof request, "GET /big?bytes=%llu HTTP/1.1\r\nHost: bulk\r\n\r\n", (unsigned long long)bytes);
    return send(f->fd, request, (size_t)len, MSG_NOSIGNAL) == len ? 0 : fail("send");
}

/* The head is read byte-exactly enough: up to its end, and what came with it counts as body. */
static int fetch_head(struct fetch *f)
{
    ssize_t n = recv(f->fd, f->head + f->head_len, sizeof f->head - f->head_len, 0);
    if (n <= 0)
        return fail("recv head");
    f->head_len += (size_t)n;
    const char *end = memmem(f->head, f->head_len, "\r\n\r\n", 4);
    if (!end)
        return f->head_len < sizeof f->head ? 0 : fail("head too long");
    if (f->head_len < 12 || memcmp(f->head, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "not 200: %.40s\n", f->head);
        return -1;
    }
    f->left -= f->head_len - (size_t)(end + 4 - f->head);
    f->in_body = true;
    return 0;
}

static int fetch_body(struct fetch *f)
{
    size_t want = f->left < PIECE ? (size_t)f->left : PIECE;
    ssize_t n = recv(f->fd, NULL, want, MSG_TRUNC);
    if (n <= 0)
        return fail("recv body");
    f->left -= (uint64_t)n;
    return 0;
}

int main(int argc, char **argv)
{
    static struct fetch all[CONNECTIONS_MAX];
    struct pollfd polls[CONNECTIONS_MAX];
    struct addr to = {0};
    uint64_t port, bytes, n;
    if (argc != 5 || ip_parse(text_of(argv[1]), &to.ip) < 0 || text_to_u64(text_of(argv[2]), 65535, &port) < 0 ||
        text_to_u64(text_of(argv[3]), UINT64_MAX / 64, &bytes) < 0 || text_to_u64(text_of(argv[4]), CONNECTIONS_MAX, &n) < 0) {
        fprintf(stderr, "usage: bulk_client ADDRESS PORT BYTES CONNECTIONS\n");
        return 2;
    }
    to.port = (uint16_t)port;
    for (size_t i = 0; i < n; i++)
        if (fetch_start(&all[i], &to, bytes) < 0)
            return 1;
    for (size_t living = n; living > 0;) {
        for (size_t i = 0; i < n; i++)
            polls[i] = (struct pollfd){.fd = all[i].fd, .events = POLLIN};
        if (poll(polls, n, 30000) <= 0)
            return fail("no byte for 30 s"), 1;
        for (size_t i = 0; i < n; i++) {
            if (!polls[i].revents)
                continue;
            if ((all[i].in_body ? fetch_body(&all[i]) : fetch_head(&all[i])) < 0)
                return 1;
            if (all[i].in_body && all[i].left == 0) {
                close(all[i].fd);
                all[i].fd = -1;
                living--;
            }
        }
    }
    printf("%llu\n", (unsigned long long)(bytes * n));
    return 0;
}
