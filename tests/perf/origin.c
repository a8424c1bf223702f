/*
 * The application of tests and measurements: a small HTTP/1.1 server on one epoll loop, with
 * keep-alive and pipelining.
 *
 *   /            a body of --body bytes (1024)
 *   /whoami      {"pod": --pod, "peer": "ADDRESS:PORT"}: who serves, and who calls
 *   /big?bytes=N a body of N bytes, byte i being i modulo 251
 *   /echo        the request's own body, as it comes
 *
 * With --heads, instead of all these: every request's own head, after a line `pod: --pod`.
 *
 * Bounded: connections, request head, body sizes. What it does not understand it answers with 4xx
 * and closes.
 */
#include "shared/base/addr.h"
#include "shared/base/args.h"
#include "shared/base/list.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    HEAD_MAX = 8192,
    CLIENTS_MAX = 65536, /* the highest descriptor, too */
    OUT_MAX = 128 * 1024,
    PERIOD = 251,
    PART = PERIOD * 1024,
    EVENTS = 256,
    BACKLOG = 16384,
    BODY_MAX = 64 * 1024,
};
static const uint64_t BYTES_MAX = 1ull << 40;

struct client {
    int fd;
    bool writing; /* waits for room in the socket, and does not read meanwhile */
    bool closing; /* after what is queued */
    uint64_t big_left, big_at;
    uint64_t echo_left; /* of a request's body, still to come */
    char *queued;       /* what did not fit into the socket */
    size_t queued_at, queued_len;
    size_t in_len;
    char in[HEAD_MAX];
};

static struct {
    const char *pod;
    bool heads;
    int epoll, listener;
    char answer[BODY_MAX + 256]; /* to "/", whole */
    size_t answer_len;
    char pattern[PART + PERIOD];
    char out[OUT_MAX]; /* of the client that is served now */
    size_t out_len;
    struct client *clients[CLIENTS_MAX];
} origin;

static void client_close(struct client *c)
{
    origin.clients[c->fd] = NULL;
    close(c->fd);
    free(c->queued);
    free(c);
}

/* ---- sending ---- */

static void watch(struct client *c, bool writing)
{
    if (c->writing == writing)
        return;
    struct epoll_event e = {.events = writing ? EPOLLOUT : EPOLLIN, .data.fd = c->fd};
    (void)epoll_ctl(origin.epoll, EPOLL_CTL_MOD, c->fd, &e);
    c->writing = writing;
}

/* Gives what is in origin.out to the socket, queues the rest. False: the connection is broken. */
static bool flush(struct client *c)
{
    size_t sent = 0;
    while (sent < origin.out_len && !c->queued) {
        ssize_t n = send(c->fd, origin.out + sent, origin.out_len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    size_t left = origin.out_len - sent;
    if (left > 0) {
        c->queued = malloc(left);
        if (!c->queued)
            return false;
        memcpy(c->queued, origin.out + sent, left);
        c->queued_at = 0;
        c->queued_len = left;
    }
    origin.out_len = 0;
    return true;
}

static bool send_queued(struct client *c)
{
    while (c->queued) {
        ssize_t n =
            send(c->fd, c->queued + c->queued_at, c->queued_len - c->queued_at, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        c->queued_at += (size_t)n;
        if (c->queued_at == c->queued_len) {
            free(c->queued);
            c->queued = NULL;
        }
    }
    return true;
}

static bool send_big(struct client *c)
{
    while (c->big_left > 0) {
        size_t n = c->big_left < PART ? (size_t)c->big_left : PART;
        ssize_t sent = send(c->fd, origin.pattern + c->big_at % PERIOD, n, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        c->big_at += (uint64_t)sent;
        c->big_left -= (uint64_t)sent;
    }
    return true;
}

/* ---- answering ---- */

static bool put(const char *data, size_t len)
{
    if (len > OUT_MAX - origin.out_len)
        return false;
    memcpy(origin.out + origin.out_len, data, len);
    origin.out_len += len;
    return true;
}

static bool put_head(unsigned status, const char *type, uint64_t length)
{
    char head[256];
    struct text_out o = TEXT_OUT(head);
    text_printf(
        &o,
        "HTTP/1.1 %u %s\r\nServer: origin\r\nContent-Type: %s\r\nContent-Length: %llu\r\n%s\r\n",
        status, status == 200 ? "OK" : "No", type, (unsigned long long)length,
        status == 200 ? "" : "Connection: close\r\n");
    return put(head, o.len);
}

/* The answer to "/", which also says so if it is the last one. */
static bool answer_plain(const struct client *c)
{
    static const char status[] = "HTTP/1.1 200 OK\r\n", last[] = "Connection: close\r\n";
    if (!c->closing)
        return put(origin.answer, origin.answer_len);
    return put(status, sizeof status - 1) && put(last, sizeof last - 1) &&
           put(origin.answer + sizeof status - 1, origin.answer_len - sizeof status + 1);
}

static bool answer_whoami(const struct client *c)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    struct addr peer;
    char body[512], text[ADDR_TEXT_MAX];
    struct text_out o = TEXT_OUT(body);
    if (getpeername(c->fd, (struct sockaddr *)&sa, &len) < 0)
        return false;
    addr_from_sockaddr((struct sockaddr *)&sa, &peer);
    text_printf(&o, "{\"pod\": \"%s\", \"peer\": \"%s\"}\n", origin.pod, addr_print(&peer, text));
    return put_head(200, "application/json", o.len) && put(body, o.len);
}

static bool refuse(struct client *c, unsigned status)
{
    c->closing = true;
    return put_head(status, "text/plain", 0);
}

static bool header(struct text head, struct text wanted, struct text *ret)
{
    struct text line, name, value;
    while (text_split(head, '\n', &line, &head)) {
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (text_split(line, ':', &name, &value) && text_equal_nocase(name, wanted)) {
            *ret = text_trim(value);
            return true;
        }
    }
    return false;
}

static bool answer_head(struct text head)
{
    struct text pod = text_of(origin.pod);
    return put_head(200, "text/plain", sizeof "pod: \r\n" - 1 + pod.len + head.len) && put("pod: ", 5) &&
           put(pod.data, pod.len) && put("\r\n", 2) && put(head.data, head.len);
}

/* head: the request line and the header fields, each with its line's end. */
static bool answer(struct client *c, struct text head)
{
    struct text line, rest, method, target, path, query = TEXT(""), value;
    uint64_t length = 0, bytes = 0;
    if (!text_split(head, '\n', &line, &rest) || !text_split(line, ' ', &method, &target) ||
        !text_split(target, ' ', &target, &line))
        return refuse(c, 400);
    if (header(rest, TEXT("transfer-encoding"), &value))
        return refuse(c, 411);
    if (header(rest, TEXT("content-length"), &value) && text_to_u64(value, BYTES_MAX, &length) < 0)
        return refuse(c, 400);
    if (header(rest, TEXT("connection"), &value) && text_equal_nocase(value, TEXT("close")))
        c->closing = true;
    if (!text_split(target, '?', &path, &query))
        path = target;
    if (origin.heads)
        return length > 0 ? refuse(c, 413) : answer_head(head);
    if (text_equal(path, TEXT("/echo"))) {
        c->echo_left = length;
        return put_head(200, "application/octet-stream", length);
    }
    if (length > 0)
        return refuse(c, 413);
    if (text_equal(path, TEXT("/big"))) {
        if (!text_split(query, '=', &path, &value) || !text_equal(path, TEXT("bytes")) ||
            text_to_u64(value, BYTES_MAX, &bytes) < 0)
            return refuse(c, 400);
        c->big_left = bytes;
        c->big_at = 0;
        return put_head(200, "application/octet-stream", bytes);
    }
    if (text_equal(path, TEXT("/whoami")))
        return answer_whoami(c);
    if (text_equal(path, TEXT("/")))
        return answer_plain(c);
    return refuse(c, 404);
}

/* One step with what has come in; *ret_more: there may be another. */
static bool step(struct client *c, bool *ret_more)
{
    size_t used = 0;
    *ret_more = false;
    if (c->echo_left > 0) {
        used = c->in_len < c->echo_left ? c->in_len : (size_t)c->echo_left;
        if (!put(c->in, used))
            return false;
        c->echo_left -= used;
        *ret_more = c->echo_left == 0 && used < c->in_len;
    } else {
        const char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!end && c->in_len == HEAD_MAX)
            return refuse(c, 431);
        if (!end)
            return true;
        used = (size_t)(end - c->in) + 4;
        if (!answer(c, (struct text){c->in, used - 2}))
            return false;
        *ret_more = true;
    }
    memmove(c->in, c->in + used, c->in_len - used);
    c->in_len -= used;
    return true;
}

static bool is_busy(const struct client *c)
{
    return c->queued || c->big_left > 0;
}

/* Answers what has come in, as far as the socket takes it. False: it is over. */
static bool serve(struct client *c)
{
    bool more = c->in_len > 0;
    while (more && (!c->closing || c->echo_left > 0)) {
        if (!step(c, &more))
            return false;
        /* Much is queued, or a large body comes first: on with the rest when that has left. */
        if (c->big_left > 0 || origin.out_len > OUT_MAX - BODY_MAX - 1024) {
            if (!flush(c) || (!c->queued && !send_big(c)))
                return false;
            if (is_busy(c))
                break;
        }
    }
    if (!flush(c))
        return false;
    watch(c, is_busy(c));
    return !c->closing || is_busy(c) || c->echo_left > 0;
}

static bool client_writable(struct client *c)
{
    if (!send_queued(c) || (!c->queued && !send_big(c)))
        return false;
    return is_busy(c) ? true : serve(c);
}

static bool client_readable(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, HEAD_MAX - c->in_len, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    c->in_len += (size_t)n;
    return serve(c);
}

/* ---- life ---- */

static void accept_all(void)
{
    int fd, on = 1;
    while ((fd = accept4(origin.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = fd < CLIENTS_MAX ? calloc(1, sizeof *c) : NULL;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (!c || epoll_ctl(origin.epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
            free(c);
            close(fd);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->fd = fd;
        origin.clients[fd] = c;
    }
}

static int open_listener(const struct addr *at)
{
    struct sockaddr_storage sa;
    struct addr any = {.ip.len = 16, .port = at->port};
    int on = 1, off = 0;
    socklen_t len = addr_to_sockaddr(at->ip.len > 0 ? at : &any, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (sa.ss_family == AF_INET6 && at->ip.len == 0)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, BACKLOG) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int run(void)
{
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.fd = origin.listener}};
    origin.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (origin.epoll < 0 || epoll_ctl(origin.epoll, EPOLL_CTL_ADD, origin.listener, events) < 0)
        return -errno;
    for (;;) {
        int n = epoll_wait(origin.epoll, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == origin.listener) {
                accept_all();
                continue;
            }
            struct client *c = origin.clients[events[i].data.fd];
            if (c && !(c->writing ? client_writable(c) : client_readable(c)))
                client_close(c);
        }
    }
}

static void make_answer(size_t body_len)
{
    int n = snprintf(origin.answer, sizeof origin.answer,
                     "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     body_len);
    memset(origin.answer + n, 'x', body_len);
    origin.answer_len = (size_t)n + body_len;
    for (size_t i = 0; i < sizeof origin.pattern; i++)
        origin.pattern[i] = (char)(i % PERIOD);
}

int main(int argc, char **argv)
{
    uint64_t port = 8080, body = 1024;
    const char *heads = "off";
    struct addr at = {0};
    origin.pod = "";
    const struct arg table[] = {
        {"port", ARG_U64, &port, "PORT", "to listen on, IPv4 and IPv6 (8080)", 1, 65535, false},
        {"listen", ARG_ADDR, &at, "ADDR:PORT", "to listen on instead", 0, 0, false},
        {"pod", ARG_STRING, &origin.pod, "NAME", "what /whoami says", 0, 0, false},
        {"heads", ARG_STRING, &heads, "on|off", "every request is answered with its own head (off)", 0, 0, false},
        {"body", ARG_U64, &body, "BYTES", "of the answer to / (1024)", 0, BODY_MAX, false},
    };
    int r = args_parse("origin", "The application of Weir's tests.", table, ARRAY_SIZE(table), argc,
                       argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    origin.heads = strcmp(heads, "on") == 0;
    if (!origin.heads && strcmp(heads, "off") != 0) {
        fprintf(stderr, "origin: --heads: on or off\n");
        return 2;
    }
    if (at.port == 0)
        at.port = (uint16_t)port;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    make_answer((size_t)body);
    origin.listener = open_listener(&at);
    if (origin.listener < 0) {
        fprintf(stderr, "origin: cannot listen on port %u: %s\n", at.port,
                strerror(-origin.listener));
        return 1;
    }
    r = run();
    fprintf(stderr, "origin: %s\n", strerror(-r));
    return 1;
}
