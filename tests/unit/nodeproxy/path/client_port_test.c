/* Whatever ports are taken, an application is connected to from the client's address; on a real kernel. */
#include "nodeproxy/path/client_port.h"

#include "shared/ring/socket.h"
#include "tests/unit/shared/ring/own_network.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { RANGE = 50, CROWD = 4 * RANGE };
static struct rng rng;

static void setting(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value));
    close(fd);
}

static struct addr at(const char *text)
{
    struct addr a = {0};
    CHECK(addr_parse(text_of(text), &a) == 0);
    return a;
}

static int app_at(const char *text)
{
    int fd = -1;
    const struct addr a = at(text);
    CHECK(socket_listen(&a, 64, false, &fd) == 0);
    return fd;
}

static bool has_limits(void) /* Linux 6.3 */
{
    int fd = -1;
    CHECK(socket_open(AF_INET, &fd) == 0);
    int r = socket_limit_ports(fd, 50000, 50000);
    CHECK(r == 0 || r == -ENOPROTOOPT);
    socket_close(fd);
    return r == 0;
}

struct pair {
    int ours, its;
    uint16_t port; /* that the application sees */
};

/* As inbound.c does. 0, or what connect answers in the end. */
static int call(int app, const struct addr *to, const struct ip *client, uint16_t own, struct pair *ret)
{
    struct client_port port = {.own = own};
    struct sockaddr_storage sa;
    struct addr seen;
    socklen_t len = addr_to_sockaddr(to, &sa);
    int r;
    CHECK(socket_open(sa.ss_family, &ret->ours) == 0);
    CHECK(client_port_bind(&port, ret->ours, client, &rng) == 0);
    do
        r = connect(ret->ours, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
    while (r == -EADDRNOTAVAIL && client_port_again(&port, ret->ours, client, &rng));
    if (r < 0) {
        socket_close(ret->ours);
        return r;
    }
    ret->its = accept4(app, NULL, NULL, SOCK_CLOEXEC);
    CHECK(ret->its >= 0 && socket_peer(ret->its, &seen) == 0 && ip_equal(&seen.ip, client));
    ret->port = seen.port;
    return 0;
}

/* Ours first: it is the one that goes into TIME_WAIT. */
static void end(const struct pair *p)
{
    char c;
    CHECK(socket_shutdown_send(p->ours) == 0 && recv(p->its, &c, 1, 0) == 0);
    socket_close(p->its);
    CHECK(recv(p->ours, &c, 1, 0) == 0);
    socket_close(p->ours);
}

static unsigned waiting(void)
{
    char line[512];
    unsigned n = 0;
    FILE *f = fopen("/proc/thread-self/net/tcp", "re");
    CHECK(f);
    while (fgets(line, sizeof line, f)) {
        unsigned state;
        n += sscanf(line, " %*d: %*s %*s %x", &state) == 1 && state == 6; /* TCP_TIME_WAIT */
    }
    fclose(f);
    return n;
}

static void ports(void)
{
    static const struct {
        const char *to, *client;
        uint16_t own, seen; /* seen 0: any of the range */
    } table[] = {
        {"127.0.0.1:8080", "127.0.0.7", 50001, 50001}, {"127.0.0.1:8080", "127.0.0.7", 32768, 32768},
        {"127.0.0.1:8080", "127.0.0.7", 60999, 60999}, {"[::1]:8080", "::1", 50001, 50001},
        {"127.0.0.1:8080", "127.0.0.7", 0, 0},         {"127.0.0.1:8080", "127.0.0.7", 443, 0},
        {"127.0.0.1:8080", "127.0.0.7", 61000, 0},     {"127.0.0.1:8080", "127.0.0.7", 65535, 0},
    };
    if (!has_limits())
        _exit(EXIT_SKIP);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct addr to = at(table[i].to);
        struct ip client;
        struct pair p;
        int app = app_at(table[i].to);
        CHECK(ip_parse(text_of(table[i].client), &client) == 0);
        CHECK(call(app, &to, &client, table[i].own, &p) == 0);
        CHECK(table[i].seen ? p.port == table[i].seen : p.port >= 32768 && p.port < 61000);
        end(&p);
        socket_close(app);
    }
}
static void the_application_sees_the_clients_own_port(void **state)
{
    (void)state;
    in_own_network(ports);
}

static void taken(void)
{
    struct addr to = at("127.0.0.1:8080");
    struct pair first, second, third;
    struct ip client = at("127.0.0.7:1").ip;
    int app = app_at("127.0.0.1:8080"), other = app_at("0.0.0.0:50002");
    if (!has_limits())
        _exit(EXIT_SKIP);
    /* The same port, called by another name, comes to the same application. */
    CHECK(call(app, &to, &client, 50001, &first) == 0 && first.port == 50001);
    CHECK(call(app, &to, &client, 50001, &second) == 0 && second.port != 50001);
    /* Somebody listens on it. */
    CHECK(call(app, &to, &client, 50002, &third) == 0 && third.port != 50002);
    end(&first);
    end(&second);
    end(&third);
    socket_close(app);
    socket_close(other);
}
static void a_port_that_is_taken_is_another_one(void **state)
{
    (void)state;
    in_own_network(taken);
}

/* Of what is known (its own ports, which go round), and what isn't. */
static void crowd(void)
{
    struct addr to = at("127.0.0.1:8080");
    struct ip client = at("127.0.0.7:1").ip;
    int app = app_at("127.0.0.1:8080");
    setting("tcp_tw_reuse", "0");
    setting("ip_local_port_range", "50000 50049");
    for (unsigned i = 0; i < CROWD; i++) {
        struct pair p;
        int r = call(app, &to, &client, i % 2 ? (uint16_t)(50000 + i % RANGE) : 0, &p);
        if (r < 0)
            fprintf(stderr, "connection %u: %s\n", i, strerror(-r));
        CHECK(r == 0);
        end(&p);
    }
    CHECK(waiting() >= RANGE);
    socket_close(app);
}
static void more_connections_than_ports_within_a_minute(void **state)
{
    (void)state;
    in_own_network(crowd);
}

/* As before Linux 6.3: from now on this process has no IP_LOCAL_PORT_RANGE. */
static void become_older(void)
{
    enum { LOCAL_PORT_RANGE = 51 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LOCAL_PORT_RANGE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    CHECK(!has_limits());
}
static void crowd_of_old(void)
{
    become_older();
    crowd();
}
static void an_older_kernel_chooses_by_itself(void **state)
{
    (void)state;
    in_own_network(crowd_of_old);
}

/* All ports that the pod has were a client's: the pod can still open connections of its own. */
static void own(void)
{
    struct addr to = at("127.0.0.1:8080"), elsewhere = at("127.0.0.1:8081");
    struct sockaddr_storage sa;
    struct ip client = at("127.0.0.7:1").ip;
    socklen_t len = addr_to_sockaddr(&elsewhere, &sa);
    int app = app_at("127.0.0.1:8080"), other = app_at("127.0.0.1:8081"), fd = -1;
    if (!has_limits())
        _exit(EXIT_SKIP);
    setting("tcp_tw_reuse", "0");
    setting("ip_local_port_range", "50000 50049");
    for (unsigned i = 0; i < RANGE; i++) {
        struct pair p;
        CHECK(call(app, &to, &client, (uint16_t)(50000 + i), &p) == 0 && p.port == 50000 + i);
        end(&p);
    }
    CHECK(waiting() == RANGE);
    CHECK(socket_open(AF_INET, &fd) == 0 && connect(fd, (struct sockaddr *)&sa, len) == 0);
    socket_close(fd);
    socket_close(app);
    socket_close(other);
}
static void a_crowd_leaves_the_pod_its_ports(void **state)
{
    (void)state;
    in_own_network(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_application_sees_the_clients_own_port),
        cmocka_unit_test(a_port_that_is_taken_is_another_one),
        cmocka_unit_test(more_connections_than_ports_within_a_minute),
        cmocka_unit_test(an_older_kernel_chooses_by_itself),
        cmocka_unit_test(a_crowd_leaves_the_pod_its_ports),
    };
    rng_seed(&rng, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
