#include "nodeproxy/cni/proxy_client.h"

#include "shared/base/clock.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = clock_monotonic_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int r = now >= deadline_ms ? 0 : poll(&p, 1, (int)(deadline_ms - now));
        if (r > 0)
            return 0;
        if (r == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int open_connection(struct text path, uint64_t deadline_ms, int *ret_fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof sa.sun_path)
        return -ENAMETOOLONG;
    memcpy(sa.sun_path, path.data, path.len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r;
    /* EAGAIN: the listener's queue is full, and there is no event for its end. */
    while ((r = connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ? -errno : 0) == -EAGAIN)
        if (clock_monotonic_ms() >= deadline_ms || poll(NULL, 0, 20) < 0)
            break;
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int send_all(int fd, struct text t, uint64_t deadline_ms)
{
    while (t.len > 0) {
        ssize_t n = send(fd, t.data, t.len, MSG_NOSIGNAL);
        if (n >= 0) {
            t.data += n;
            t.len -= (size_t)n;
            continue;
        }
        int r = errno == EAGAIN ? wait_for(fd, POLLOUT, deadline_ms) : errno == EINTR ? 0 : -errno;
        if (r < 0)
            return r;
    }
    return 0;
}

static int receive_all(int fd, struct text_heap *out, uint64_t deadline_ms)
{
    for (;;) {
        char part[4096];
        ssize_t n = recv(fd, part, sizeof part, 0);
        if (n == 0)
            return 0;
        if (n > 0) {
            text_heap_put(out, (struct text){part, (size_t)n});
            if (out->failed)
                return -EMSGSIZE;
            continue;
        }
        int r = errno == EAGAIN ? wait_for(fd, POLLIN, deadline_ms) : errno == EINTR ? 0 : -errno;
        if (r < 0)
            return r;
    }
}

/* We asked for the connection to be closed after the answer, so its end is the body's end; where a
 * length is told, it must be right. */
bool proxy_answer_split(struct text answer, unsigned *ret_status, struct text *ret_body)
{
    uint64_t status, length;
    const char *end = answer.len > 0 ? memmem(answer.data, answer.len, "\r\n\r\n", 4) : NULL;
    if (!end || !text_starts_with(answer, TEXT("HTTP/1.")) || answer.len < 13 ||
        answer.data[8] != ' ' || text_to_u64((struct text){answer.data + 9, 3}, 599, &status) < 0 ||
        status < 200)
        return false;
    struct text head = {answer.data, (size_t)(end - answer.data) + 2};
    struct text body = {end + 4, answer.len - head.len - 2};
    struct text line, name, value;
    while (text_split(head, '\n', &line, &head))
        if (text_split(line, ':', &name, &value) &&
            text_equal_nocase(name, TEXT("content-length"))) {
            if (value.len > 0 && value.data[value.len - 1] == '\r')
                value.len--;
            if (text_to_u64(text_trim(value), PROXY_ANSWER_MAX, &length) < 0 || length != body.len)
                return false;
        }
    *ret_status = (unsigned)status;
    *ret_body = body;
    return true;
}

static int exchange(int fd, const char *path, struct text body, uint64_t deadline_ms,
                    struct text_heap *answer, const char **ret_at)
{
    char head[256];
    struct text_out o = TEXT_OUT(head);
    text_printf(&o,
                "POST %s HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\n"
                "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                path, body.len);
    *ret_at = "sending the request";
    int r = o.overflow ? -ENAMETOOLONG : send_all(fd, (struct text){head, o.len}, deadline_ms);
    if (r == 0)
        r = send_all(fd, body, deadline_ms);
    /* A proxy that refuses early closes early: its answer says more than our broken pipe. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return r;
    *ret_at = "waiting for the answer";
    return receive_all(fd, answer, deadline_ms);
}

int proxy_post(struct text socket, const char *path, struct text body, uint64_t timeout_ms,
               unsigned *ret_status, struct text_heap *answer, char why[static PROXY_WHY_MAX])
{
    uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    const char *at = "connecting";
    struct text_heap all;
    struct text rest;
    int fd = -1;
    text_heap_init(&all, PROXY_ANSWER_MAX);
    int r = open_connection(socket, deadline_ms, &fd);
    if (r == 0)
        r = exchange(fd, path, body, deadline_ms, &all, &at);
    if (r == 0 && !proxy_answer_split((struct text){all.data, all.len}, ret_status, &rest))
        r = -EPROTO;
    if (r == 0)
        text_heap_put(answer, rest);
    else
        snprintf(why, PROXY_WHY_MAX, "%s: %s", at,
                 r == -EPROTO && all.len == 0 ? "the connection ended without an answer"
                                              : strerror(-r));
    text_heap_done(&all);
    if (fd >= 0)
        close(fd);
    return r;
}
