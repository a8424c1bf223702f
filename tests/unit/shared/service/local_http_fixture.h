/* A Unix socket in a folder of its own, and a thread that answers one connection. */
#ifndef TESTS_UNIT_SHARED_SERVICE_LOCAL_HTTP_FIXTURE_H
#define TESTS_UNIT_SHARED_SERVICE_LOCAL_HTTP_FIXTURE_H
#include "tests/support/tmp.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    char folder[64], path[100], request[8192];
    const char *answer; /* NULL: none, it only listens */
    size_t answer_repeats;
    int listener;
    pthread_t thread;
} proxy;

static inline void *proxy_thread(void *arg)
{
    (void)arg;
    int fd = accept(proxy.listener, NULL, NULL);
    size_t len = 0;
    /* Until the body's last brace: our requests are one JSON object, or have none. */
    while (len < sizeof proxy.request - 1) {
        ssize_t n = recv(fd, proxy.request + len, sizeof proxy.request - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        if (memmem(proxy.request, len, "\r\n\r\n{", 5) && proxy.request[len - 1] == '}')
            break;
        if (!strstr(proxy.request, "Content-Length") && strstr(proxy.request, "\r\n\r\n"))
            break;
    }
    for (size_t i = 0; i < proxy.answer_repeats; i++)
        if (send(fd, proxy.answer, strlen(proxy.answer), MSG_NOSIGNAL) < 0)
            break;
    close(fd);
    return NULL;
}
static inline int proxy_begin(void **state)
{
    (void)state;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memset(&proxy, 0, sizeof proxy);
    assert_non_null(tmp_folder(proxy.folder, "cni-test"));
    snprintf(proxy.path, sizeof proxy.path, "%s/s", proxy.folder);
    memcpy(sa.sun_path, proxy.path, sizeof proxy.path);
    proxy.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy.listener, (struct sockaddr *)&sa, sizeof sa), 0);
    return 0;
}
static inline void proxy_answers(const char *answer, size_t repeats)
{
    memset(proxy.request, 0, sizeof proxy.request);
    proxy.answer = answer;
    proxy.answer_repeats = repeats;
    assert_int_equal(listen(proxy.listener, 8), 0);
    assert_int_equal(pthread_create(&proxy.thread, NULL, proxy_thread, NULL), 0);
}
static inline void proxy_answered(void)
{
    assert_int_equal(pthread_join(proxy.thread, NULL), 0);
}
static inline int proxy_end(void **state)
{
    (void)state;
    close(proxy.listener);
    unlink(proxy.path);
    rmdir(proxy.folder);
    return 0;
}
#endif
