/*
 * Network namespaces for the tests of nodeproxy/capture. The test's own process stands for the
 * node, in a namespace of its own, so that nothing of the machine is touched and everything is gone
 * when the process ends. Needs root.
 *
 *     client --- 10.9.1.0/24, fd09:1::/64 --- node --- 10.9.2.0/24, fd09:2::/64 --- pod
 *     (.2)                               (.1)     (.1)                            (.2)
 */
#ifndef TESTS_UNIT_NODEPROXY_CAPTURE_NETNS_FIXTURE_H
#define TESTS_UNIT_NODEPROXY_CAPTURE_NETNS_FIXTURE_H
#include "shared/base/addr.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NET_WAIT_MS = 10000 };
#define CLIENT_V4 "10.9.1.2"
#define CLIENT_V6 "fd09:1::2"
#define POD_V4    "10.9.2.2"
#define POD_V6    "fd09:2::2"

static int node_ns = -1, client_ns = -1, pod_ns = -1;

static inline int open_own(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}
static inline void enter_ns(int fd)
{
    assert_int_equal(setns(fd, CLONE_NEWNET), 0);
}
static inline void write_setting(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, value, strlen(value)), (ssize_t)strlen(value));
    close(fd);
}
/* Addresses are unique here: nobody waits for finding that out. */
static inline void no_duplicate_detection(void)
{
    write_setting("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
    write_setting("/proc/sys/net/ipv6/conf/all/accept_dad", "0");
}
static inline int new_ns(void)
{
    int home = open_own();
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    no_duplicate_detection();
    int fd = open_own();
    enter_ns(home);
    close(home);
    return fd;
}
/* Runs a program in the namespace and returns what it exited with. */
static inline int run_in(int ns, const char *const argv[])
{
    extern char **environ;
    int home = open_own(), status = -1;
    pid_t pid;
    enter_ns(ns);
    int r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    enter_ns(home);
    close(home);
    assert_int_equal(r, 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define RUN_IN(ns, ...) run_in(ns, (const char *const[]){__VA_ARGS__, NULL})
#define MUST(ns, ...)   assert_int_equal(RUN_IN(ns, __VA_ARGS__), 0)

static inline void join_to_node(int ns, const char *link, const char *net4, const char *net6)
{
    char a4[64], b4[64], a6[64], b6[64], ns_path[64];
    snprintf(ns_path, sizeof ns_path, "/proc/%d/fd/%d", getpid(), ns);
    snprintf(a4, sizeof a4, "%s.1/24", net4);
    snprintf(b4, sizeof b4, "%s.2/24", net4);
    snprintf(a6, sizeof a6, "%s::1/64", net6);
    snprintf(b6, sizeof b6, "%s::2/64", net6);
    MUST(node_ns, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns",
         ns_path);
    MUST(node_ns, "ip", "addr", "add", a4, "dev", link);
    MUST(node_ns, "ip", "addr", "add", a6, "dev", link, "nodad");
    MUST(node_ns, "ip", "link", "set", link, "up");
    MUST(ns, "ip", "link", "set", "lo", "up");
    MUST(ns, "ip", "addr", "add", b4, "dev", "eth0");
    MUST(ns, "ip", "addr", "add", b6, "dev", "eth0", "nodad");
    MUST(ns, "ip", "link", "set", "eth0", "up");
    *strrchr(a4, '/') = *strrchr(a6, '/') = '\0';
    MUST(ns, "ip", "route", "add", "default", "via", a4);
    MUST(ns, "ip", "-6", "route", "add", "default", "via", a6);
}
/* The process becomes the node: once, before the tests. */
static inline int become_node(void **state)
{
    (void)state;
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    node_ns = open_own();
    MUST(node_ns, "ip", "link", "set", "lo", "up");
    no_duplicate_detection();
    write_setting("/proc/sys/net/ipv4/ip_forward", "1");
    write_setting("/proc/sys/net/ipv6/conf/all/forwarding", "1");
    return 0;
}
static inline int make_net(void **state)
{
    (void)state;
    client_ns = new_ns();
    pod_ns = new_ns();
    join_to_node(client_ns, "client0", "10.9.1", "fd09:1");
    join_to_node(pod_ns, "pod0", "10.9.2", "fd09:2");
    return 0;
}
static inline int drop_net(void **state)
{
    (void)state;
    MUST(node_ns, "ip", "link", "del", "client0");
    MUST(node_ns, "ip", "link", "del", "pod0");
    close(client_ns);
    close(pod_ns);
    return 0;
}

/* ---- TCP ---- */

static inline struct addr address(const char *ip, uint16_t port)
{
    struct addr a = {.port = port};
    assert_int_equal(ip_parse(text_of(ip), &a.ip), 0);
    return a;
}
static inline void assert_address(const struct addr *a, const char *ip, int port)
{
    char text[ADDR_TEXT_MAX], ip_text[IP_TEXT_MAX];
    struct addr want = address(ip, 0);
    if (!ip_equal(&a->ip, &want.ip) || (port >= 0 && a->port != port))
        fail_msg("address is %s, and should be %s port %d", addr_print(a, text),
                 ip_print(&want.ip, ip_text), port);
}
static inline int listen_in(int ns, const char *ip, uint16_t port)
{
    struct sockaddr_storage sa;
    struct addr at = address(ip, port);
    socklen_t len = addr_to_sockaddr(&at, &sa);
    int home = open_own(), on = 1;
    enter_ns(ns);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    enter_ns(home);
    close(home);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}
static inline bool is_ready(int fd, short events, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, wait_ms) == 1;
}
/* Begins; the descriptor does not block. source NULL: the kernel's choice. */
static inline int begin_connect(int ns, const char *source, const char *ip, uint16_t port)
{
    struct sockaddr_storage sa;
    struct addr to = address(ip, port);
    socklen_t len = addr_to_sockaddr(&to, &sa);
    int home = open_own();
    enter_ns(ns);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    enter_ns(home);
    close(home);
    assert_true(fd >= 0);
    if (source) {
        struct sockaddr_storage from;
        struct addr a = address(source, 0);
        socklen_t from_len = addr_to_sockaddr(&a, &from);
        assert_int_equal(bind(fd, (struct sockaddr *)&from, from_len), 0);
    }
    if (connect(fd, (struct sockaddr *)&sa, len) < 0)
        assert_true(errno == EINPROGRESS || errno == ECONNREFUSED);
    return fd;
}
static inline int connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    assert_true(is_ready(fd, POLLOUT, NET_WAIT_MS));
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    return -error;
}
static inline int must_connect(int ns, const char *ip, uint16_t port)
{
    int fd = begin_connect(ns, NULL, ip, port);
    assert_int_equal(connect_result(fd), 0);
    return fd;
}
static inline int must_accept(int listener)
{
    assert_true(is_ready(listener, POLLIN, NET_WAIT_MS));
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}
/* One byte from `a` arrives at `b`, and one comes back. */
static inline void assert_joined(int a, int b)
{
    char c = 0;
    assert_int_equal(send(a, "x", 1, MSG_NOSIGNAL), 1);
    assert_true(is_ready(b, POLLIN, NET_WAIT_MS));
    assert_int_equal(recv(b, &c, 1, 0), 1);
    assert_int_equal(c, 'x');
    assert_int_equal(send(b, "y", 1, MSG_NOSIGNAL), 1);
    assert_true(is_ready(a, POLLIN, NET_WAIT_MS));
    assert_int_equal(recv(a, &c, 1, 0), 1);
    assert_int_equal(c, 'y');
}
#endif
