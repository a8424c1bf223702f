/* A blocking request to a local program; see the header. */
#include "shared/service/local_http.h"

#include "shared/base/clock.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    uint64_t now = clock_monotonic_ms();
    struct pollfd p = {.fd = fd, .events = events};
    int r = now >= deadline_ms ? 0 : poll(&p, 1, (int)(deadline_ms - now));
    if (r == 0)
        return -ETIMEDOUT;
    return r < 0 && errno != EINTR ? -errno : 0;
}

static int connect_to(const char *path, int *ret_fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof sa.sun_path)
        return -ENAMETOOLONG;
    memcpy(sa.sun_path, path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

static int send_all(int fd, struct text t, uint64_t deadline_ms)
{
    while (t.len > 0) {
        int r = wait_for(fd, POLLOUT, deadline_ms);
        if (r < 0)
            return r;
        ssize_t n = send(fd, t.data, t.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (n > 0) {
            t.data += n;
            t.len -= (size_t)n;
        }
    }
    return 0;
}

static int read_all(int fd, struct text_heap *out, uint64_t deadline_ms)
{
    char piece[16384];
    for (;;) {
        int r = wait_for(fd, POLLIN, deadline_ms);
        if (r < 0)
            return r;
        ssize_t n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (n > 0)
            text_heap_put(out, (struct text){piece, (size_t)n});
        if (out->failed)
            return -E2BIG;
    }
}

/* The answer is whole because the connection was closed after it ("Connection: close"); Content-Length is checked against it. */
static int take_apart(const struct text_heap *all, struct local_http_answer *ret)
{
    static const char end[] = "\r\n\r\n", length[] = "Content-Length: ";
    struct text t = {all->data ? all->data : "", all->len};
    uint64_t status, claimed;
    if (t.len < 13 || !text_starts_with(t, TEXT("HTTP/1.1 ")) || text_to_u64((struct text){t.data + 9, 3}, 599, &status) < 0)
        return -EPROTO;
    const char *head_end = memmem(t.data, t.len, end, 4);
    if (!head_end)
        return -EPROTO;
    struct text head = {t.data, (size_t)(head_end - t.data) + 2}, body = {head_end + 4, t.len - (size_t)(head_end + 4 - t.data)};
    const char *at = memmem(head.data, head.len, length, sizeof length - 1);
    if (at) {
        struct text number = {at + sizeof length - 1, 0};
        while (number.data[number.len] >= '0' && number.data[number.len] <= '9')
            number.len++;
        if (text_to_u64(number, SIZE_MAX, &claimed) < 0 || claimed != body.len)
            return -EPROTO;
    }
    ret->status = (unsigned)status;
    text_heap_put(&ret->body, body);
    return ret->body.failed ? -ENOMEM : 0;
}

int local_http(const char *socket_path, const char *method, const char *path, struct text body, uint64_t timeout_ms, size_t size_max, struct local_http_answer *ret)
{
    uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    struct text_heap request, answer;
    struct local_http_answer result = {0};
    int fd = -1, r = connect_to(socket_path, &fd);
    if (r < 0)
        return r;
    text_heap_init(&request, body.len + 4096);
    text_heap_init(&answer, size_max);
    text_heap_init(&result.body, size_max);
    text_heap_printf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method, path);
    if (body.len > 0)
        text_heap_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    text_heap_puts(&request, "\r\n");
    text_heap_put(&request, body);
    r = request.failed ? -ENOMEM : send_all(fd, (struct text){request.data, request.len}, deadline_ms);
    if (r == 0)
        r = read_all(fd, &answer, deadline_ms);
    if (r == 0)
        r = take_apart(&answer, &result);
    close(fd);
    text_heap_done(&request);
    text_heap_done(&answer);
    if (r < 0)
        text_heap_done(&result.body);
    else
        *ret = result;
    return r;
}
