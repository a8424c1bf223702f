/* A blocking request to a local program; see the header. */
#include "shared/service/local_http.h"

#include "shared/base/addr.h"
#include "shared/base/clock.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { QUEUE_FULL_WAIT_MS = 20 };

static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = clock_monotonic_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int most = deadline_ms - now > INT_MAX ? INT_MAX : (int)(deadline_ms - now);
        int r = now >= deadline_ms ? 0 : poll(&p, 1, most);
        if (r > 0)
            return 0;
        if (r == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int open_tcp(const struct addr *to, uint64_t deadline_ms, int *ret_fd)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(to, &sa), error_len = sizeof(int);
    int error = 0;
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
    if (r == -EINPROGRESS)
        r = wait_for(fd, POLLOUT, deadline_ms);
    if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
        error = errno;
    if (r == 0)
        r = -error;
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

static int open_connection(struct text path, uint64_t deadline_ms, int *ret_fd)
{
    struct addr tcp;
    if (path.len > 0 && path.data[0] != '/' && addr_parse(path, &tcp) == 0)
        return open_tcp(&tcp, deadline_ms, ret_fd);
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
        if (clock_monotonic_ms() >= deadline_ms || poll(NULL, 0, QUEUE_FULL_WAIT_MS) < 0)
            break;
    if (r < 0) {
        close(fd);
        return r == -EAGAIN ? -ETIMEDOUT : r;
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
        char part[16384];
        ssize_t n = recv(fd, part, sizeof part, 0);
        if (n == 0)
            return out->len > 0 ? 0 : -ENODATA;
        if (n > 0) {
            if ((size_t)n > out->max - out->len)
                return -E2BIG;
            text_heap_put(out, (struct text){part, (size_t)n});
            if (out->failed)
                return -ENOMEM;
            continue;
        }
        /* How a Unix socket ends whose owner closed it without having read all that we sent. */
        if (errno == ECONNRESET && out->len > 0)
            return 0;
        int r = errno == EAGAIN ? wait_for(fd, POLLIN, deadline_ms) : errno == EINTR ? 0 : -errno;
        if (r < 0)
            return r;
    }
}

/* We asked for the connection to be closed after the answer, so its end is the body's end; where a
 * length is told, it must be right. */
bool local_http_split(struct text answer, unsigned *ret_status, struct text *ret_body)
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
            if (text_to_u64(text_trim(value), SIZE_MAX, &length) < 0 || length != body.len)
                return false;
        }
    *ret_status = (unsigned)status;
    *ret_body = body;
    return true;
}

static int send_request(int fd, const struct local_http_request *q, uint64_t deadline_ms,
                        const char **ret_at)
{
    char data[6144]; /* as the answering side takes */
    struct text_out head = TEXT_OUT(data);
    text_printf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n", q->method, q->path);
    if (q->body.len > 0)
        text_printf(&head, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                    q->body.len);
    text_puts(&head, "Connection: close\r\n\r\n");
    *ret_at = "sending the request";
    int r =
        head.overflow ? -ENAMETOOLONG : send_all(fd, (struct text){data, head.len}, deadline_ms);
    if (r == 0)
        r = send_all(fd, q->body, deadline_ms);
    /* A program that refuses early closes early: its answer says more than our broken pipe. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return r;
    *ret_at = "waiting for the answer";
    return 0;
}

static int exchange(int fd, const struct local_http_request *q, uint64_t deadline_ms,
                    struct text_heap *answer, const char **ret_at)
{
    int r = send_request(fd, q, deadline_ms, ret_at);
    return r < 0 ? r : receive_all(fd, answer, deadline_ms);
}

int local_http(const struct local_http_request *q, struct local_http_answer *ret,
               const char **ret_at)
{
    uint64_t deadline_ms = clock_monotonic_ms() + q->timeout_ms;
    struct local_http_answer result = {0};
    struct text_heap all;
    struct text body;
    int fd = -1;
    text_heap_init(&all, q->answer_max);
    text_heap_init(&result.body, q->answer_max);
    *ret_at = "connecting";
    int r = open_connection(q->socket, deadline_ms, &fd);
    if (r == 0)
        r = exchange(fd, q, deadline_ms, &all, ret_at);
    if (r == 0 && !local_http_split((struct text){all.data, all.len}, &result.status, &body))
        r = -EPROTO;
    if (r == 0) {
        text_heap_put(&result.body, body);
        r = result.body.failed ? -ENOMEM : 0;
    }
    text_heap_done(&all);
    if (fd >= 0)
        close(fd);
    if (r < 0)
        text_heap_done(&result.body);
    else
        *ret = result;
    return r;
}

/* ---- line by line ------------------------------------------------------------------------------ */

struct lines {
    int (*line)(void *arg, struct text line);
    void *arg;
    struct text_heap kept; /* no whole line yet, or no whole head */
};

/* Off the front of what is kept. */
static void drop(struct text_heap *kept, size_t n)
{
    if (n == 0)
        return;
    memmove(kept->data, kept->data + n, kept->len - n);
    kept->len -= n;
}

static int give_lines(struct lines *l)
{
    struct text rest = {l->kept.data, l->kept.len}, line;
    int r = 0;
    while (r == 0 && rest.len > 0 && memchr(rest.data, '\n', rest.len)) {
        (void)text_split(rest, '\n', &line, &rest);
        r = l->line(l->arg, line);
    }
    drop(&l->kept, l->kept.len - rest.len);
    return r;
}

/* At most what there is room for: how much of it came at once says nothing. 0 at the end. */
static int receive_more(int fd, struct text_heap *kept, uint64_t deadline_ms)
{
    char part[16384];
    size_t room = kept->max - kept->len, most = room < sizeof part ? room : sizeof part;
    ssize_t n;
    while ((n = recv(fd, part, room > 0 ? most : 1, 0)) < 0 &&
           (errno == EAGAIN || errno == EINTR)) {
        int r = wait_for(fd, POLLIN, deadline_ms);
        if (r < 0)
            return r;
    }
    if (n < 0)
        return -errno;
    if (n > 0 && room == 0)
        return -E2BIG;
    text_heap_put(kept, (struct text){part, (size_t)n});
    return kept->failed ? -ENOMEM : (int)n;
}

static int receive_lines(int fd, struct lines *l, uint64_t deadline_ms, unsigned *ret_status)
{
    struct text body = {NULL, 0}, all;
    int r = 1;
    for (;;) {
        all = (struct text){l->kept.data, l->kept.len};
        const char *end = all.len > 0 ? memmem(all.data, all.len, "\r\n\r\n", 4) : NULL;
        if (end && memmem(all.data, all.len, " 200 ", 5) == all.data + 8)
            break;
        if (r == 0) /* whole, and no answer that goes on */
            return local_http_split(all, ret_status, &body)
                       ? (drop(&l->kept, all.len - body.len), 0)
                       : -EPROTO;
        r = receive_more(fd, &l->kept, deadline_ms);
        if (r < 0)
            return r;
    }
    *ret_status = 200;
    drop(&l->kept, (size_t)((const char *)memmem(all.data, all.len, "\r\n\r\n", 4) + 4 - all.data));
    do
        r = give_lines(l);
    while (r == 0 && (r = receive_more(fd, &l->kept, UINT64_MAX)) > 0);
    return r;
}

int local_http_lines(const struct local_http_request *q, int (*line)(void *arg, struct text line),
                     void *arg, unsigned *ret_status, struct text_heap *ret_refusal,
                     const char **ret_at)
{
    uint64_t deadline_ms = clock_monotonic_ms() + q->timeout_ms;
    struct lines l = {.line = line, .arg = arg};
    int fd = -1;
    text_heap_init(&l.kept, q->answer_max);
    *ret_at = "connecting";
    int r = open_connection(q->socket, deadline_ms, &fd);
    if (r == 0)
        r = send_request(fd, q, deadline_ms, ret_at);
    if (r == 0)
        r = receive_lines(fd, &l, deadline_ms, ret_status);
    if (fd >= 0)
        close(fd);
    if (r < 0)
        text_heap_done(&l.kept);
    else
        *ret_refusal = l.kept;
    return r;
}
