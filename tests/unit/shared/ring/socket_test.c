#include "shared/ring/socket.h"

#include "shared/ring/ring.h"
#include "tests/support/tmp.h"
#include "tests/unit/shared/ring/own_network.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct addr address(const char *text)
{
    struct addr a = {0};
    assert_int_equal(addr_parse(text_of(text), &a), 0);
    return a;
}
static int connect_to(const struct addr *to, int *ret_fd)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(to, &sa);
    int r = socket_open(sa.ss_family, ret_fd);
    if (r < 0)
        return r;
    return connect(*ret_fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}
static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* ---- listening ------------------------------------------------------------------- */
static void test_dual_stack(void **state)
{
    (void)state;
    int listener = -1;
    assert_int_equal(socket_listen(&(struct addr){0}, 8, false, &listener), 0);
    assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
    struct addr local;
    assert_int_equal(socket_local(listener, &local), 0);
    const char *hosts[] = {"127.0.0.1:1", "[::1]:1"};
    for (int i = 0; i < 2; i++) {
        struct addr to = address(hosts[i]), at, peer, mine;
        to.port = local.port;
        int client = -1;
        assert_int_equal(connect_to(&to, &client), 0);
        int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(server >= 0);
        assert_int_equal(socket_local(server, &at), 0);
        assert_true(addr_equal(&at, &to)); /* IPv4 looks like IPv4 on the dual stack socket */
        assert_int_equal(socket_peer(server, &peer), 0);
        assert_int_equal(socket_local(client, &mine), 0);
        assert_true(addr_equal(&peer, &mine));
        assert_int_equal(socket_original_dst(server, &at), -ENOENT);
        assert_int_equal(option(client, IPPROTO_TCP, TCP_NODELAY), 1);
        socket_close(server);
        socket_close(client);
    }
    socket_close(listener);
}

static void test_listen_at_an_address(void **state)
{
    (void)state;
    int first = -1, second = -1;
    struct addr at = address("127.0.0.1:0");
    assert_int_equal(socket_listen(&at, 8, true, &first), 0);
    assert_int_equal(socket_local(first, &at), 0);
    assert_int_equal(socket_listen(&at, 8, true, &second), 0); /* SO_REUSEPORT shares it */
    socket_close(second);
    second = -1;
    assert_int_equal(socket_listen(&at, 8, false, &second), -EADDRINUSE);
    assert_int_equal(second, -1);
    at = address("192.0.2.1:0"); /* not ours */
    assert_int_equal(socket_listen(&at, 8, false, &second), -EADDRNOTAVAIL);
    /* [::] is everybody, as those who write it mean; any other IPv6 address is itself alone. */
    at = address("[::]:0");
    assert_int_equal(socket_listen(&at, 8, false, &second), 0);
    assert_int_equal(option(second, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    socket_close(second);
    at = address("[::1]:0");
    assert_int_equal(socket_listen(&at, 8, false, &second), 0);
    assert_int_equal(option(second, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    socket_close(second);
    socket_close(first);
}

static void test_unix(void **state)
{
    (void)state;
    char folder[TMP_PATH_MAX], path[64];
    assert_non_null(tmp_folder(folder, "socket"));
    snprintf(path, sizeof path, "%s/s", folder);
    int fd = -1, other = -1;
    struct stat st;
    mode_t before = umask(077);
    assert_int_equal(socket_listen_unix(path, 0666, &fd), 0);
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    assert_int_equal(socket_listen_unix(path, 0600, &other), -EADDRINUSE); /* somebody listens */
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path) + 1);
    assert_int_equal(socket_open(AF_UNIX, &other), 0);
    assert_int_equal(connect(other, (struct sockaddr *)&sa, sizeof sa), 0);
    struct addr a;
    assert_int_equal(socket_original_dst(other, &a), -ENOENT);
    socket_close(other);
    socket_close(fd);
    assert_int_equal(socket_listen_unix(path, 0600, &fd), 0); /* the stale one goes */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    socket_close(fd);
    assert_int_equal(unlink(path), 0);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(socket_listen_unix(path, 0600, &fd), -EEXIST); /* never removes a file */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    char too_long[200];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_int_equal(socket_listen_unix(too_long, 0600, &fd), -ENAMETOOLONG);
}

/* ---- after a kill ---------------------------------------------------------------- */
static void accepted(struct ring_op *op, int result)
{
    (void)op;
    (void)result;
}
static void scope_drained(struct ring_scope *scope)
{
    (void)scope;
}

/* A process that accepts on those sockets with its ring, and tells when it does. */
static _Noreturn void serve_until_killed(const int *listeners, int told)
{
    static struct ring_op ops[2];
    static struct ring_scope scope;
    struct ring *r;
    const char *why;
    if (ring_open(&r, NULL, &why) < 0)
        _exit(1);
    ring_scope_init(&scope, r, scope_drained);
    for (int i = 0; i < 2; i++) {
        ring_op_init(&ops[i], &scope);
        ring_accept(r, &ops[i], listeners[i], accepted);
    }
    ring_stop(r); /* one turn: the kernel has the operations now */
    if (ring_run(r) < 0 || write(told, "", 1) != 1)
        _exit(1);
    (void)pause();
    _exit(1);
}

static void test_at_once_after_a_kill(void **state)
{
    (void)state;
    char folder[TMP_PATH_MAX], path[64], byte;
    assert_non_null(tmp_folder(folder, "socket"));
    snprintf(path, sizeof path, "%s/s", folder);
    struct addr at = address("127.0.0.1:0");
    for (int i = 0; i < 5; i++) { /* without the patience each one fails */
        int told[2], listeners[2];
        assert_int_equal(socket_listen(&at, 8, false, &listeners[0]), 0);
        assert_int_equal(socket_local(listeners[0], &at), 0);
        assert_int_equal(socket_listen_unix(path, 0600, &listeners[1]), 0);
        assert_int_equal(pipe(told), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            serve_until_killed(listeners, told[1]);
        close(told[1]);
        socket_close(listeners[0]);
        socket_close(listeners[1]);
        assert_int_equal(read(told[0], &byte, 1), 1);
        close(told[0]);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- options and errors ------------------------------------------------------------ */
static void test_options(void **state)
{
    (void)state;
    int fd = -1;
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    socket_set_keepalive(fd, 30);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    socket_set_keepalive(fd, 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    struct addr a;
    assert_int_equal(socket_peer(fd, &a), -ENOTCONN);
    assert_int_equal(socket_shutdown_send(fd), -ENOTCONN);
    assert_int_equal(socket_bind_transparent(fd, &(struct ip){0}), -EINVAL);
    socket_close(fd);
    socket_close(-1);
    assert_int_equal(socket_local(fd, &a), -EBADF);
    assert_int_equal(socket_original_dst(fd, &a), -EBADF);
    assert_int_equal(socket_open(AF_INET + 1000, &fd), -EAFNOSUPPORT);
}

/* ---- in a network of its own -------------------------------------------------------- */
static bool nft(const char *rules)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execlp("nft", "nft", rules, (char *)NULL);
        _exit(1);
    }
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0;
}
static void redirected(void)
{
    int listener = -1;
    struct addr local, to, original;
    CHECK(socket_listen(&(struct addr){0}, 8, false, &listener) == 0);
    CHECK(socket_local(listener, &local) == 0);
    char rules[256];
    snprintf(rules, sizeof rules,
             "table inet t { chain o { type nat hook output priority -100; "
             "tcp dport 7777 redirect to :%u; }; }",
             local.port);
    if (!nft(rules))
        _exit(EXIT_SKIP);
    const char *hosts[] = {"127.0.0.1:7777", "[::1]:7777", "127.0.0.1:0", "[::1]:0"};
    for (int i = 0; i < 4; i++) {
        int client = -1;
        CHECK(addr_parse(text_of(hosts[i]), &to) == 0);
        bool direct = to.port == 0;
        if (direct)
            to.port = local.port;
        CHECK(connect_to(&to, &client) == 0);
        int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        CHECK(server >= 0);
        int r = socket_original_dst(server, &original);
        CHECK(direct ? r == -ENOENT : r == 0 && addr_equal(&original, &to));
        socket_close(server);
        socket_close(client);
    }
    socket_close(listener);
}
static void test_original_destination(void **state)
{
    (void)state;
    in_own_network(redirected);
}

static void transparent(void)
{
    const char *sources[] = {"192.0.2.7", "2001:db8::7"};
    const int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        struct ip source;
        struct addr local;
        int fd = -1;
        CHECK(ip_parse(text_of(sources[i]), &source) == 0);
        CHECK(socket_open(families[i], &fd) == 0);
        CHECK(socket_bind_transparent(fd, &source) == 0);
        CHECK(socket_local(fd, &local) == 0);
        CHECK(ip_equal(&local.ip, &source) && local.port == 0);
        CHECK(socket_set_mark(fd, 0x539) == 0 && option(fd, SOL_SOCKET, SO_MARK) == 0x539);
        socket_close(fd);
    }
}
static void test_transparent(void **state)
{
    (void)state;
    in_own_network(transparent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dual_stack),
        cmocka_unit_test(test_listen_at_an_address),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_at_once_after_a_kill),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_original_destination),
        cmocka_unit_test(test_transparent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
