/*
 * A pod's name server on a real ring and real sockets, in a network namespace of its own in which
 * 198.51.100.0/24 and 2001:db8::/64 are addresses of this host: so they can be asked and answer. The
 * redirection of TCP is the real one; of UDP, the name server's port is called by its number. The
 * test plays the client and both resolvers, and turns the ring while it waits. One thread.
 */
#ifndef TESTS_UNIT_NODEPROXY_DNS_DNS_SERVER_FIXTURE_H
#define TESTS_UNIT_NODEPROXY_DNS_DNS_SERVER_FIXTURE_H
#include "nodeproxy/dns/dns_server.h"
#include "shared/base/clock.h"
#include "shared/ring/datagram.h"
#include "tests/unit/nodeproxy/capture/netns_fixture.h"
#include "tests/unit/nodeproxy/dns/dns_mesh.h"
#include "tests/unit/shared/dns/dns_fixture.h"
#include "tests/unit/shared/ring/ring_fixture.h"
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>

enum { OURS = 15053, RESOLVER = 53, MARK = 0x539, PATIENCE_MS = 10000 };

static struct directory *directory;
static struct metrics *metrics;
static struct bounds *bounds;
static struct socket_pool streams;
static struct dns_server server;
static _Atomic bool known;
static bool drained;
static struct ip own;
static int resolver_udp, resolver_tcp, client;
static struct addr resolver4, resolver6;

static unsigned wanted[2][2]; /* by pool and family, until they are filled */
static bool sockets_fail;

static inline void refill_datagrams(struct socket_pool *p, int family, unsigned n)
{
    assert_ptr_equal(p, &server.forward.datagrams);
    wanted[0][family == AF_INET6] = n;
}

static inline void refill_streams(struct socket_pool *p, int family, unsigned n)
{
    assert_ptr_equal(p, &streams);
    wanted[1][family == AF_INET6] = n;
}

static inline void fill(struct socket_pool *p, unsigned *n, int family, bool tcp)
{
    int fds[SOCKET_POOL_MAX];
    unsigned count = *n;
    *n = 0;
    for (unsigned i = 0; !sockets_fail && i < count; i++) {
        assert_int_equal((tcp ? socket_open : datagram_open)(family, &fds[i]), 0);
        assert_int_equal(socket_set_mark(fds[i], MARK), 0);
    }
    if (count > 0)
        socket_pool_filled(p, family, fds, sockets_fail ? 0 : count, sockets_fail ? -EMFILE : 0);
}

static inline void turn(void)
{
    run_once();
    for (unsigned six = 0; six < 2; six++) {
        fill(&server.forward.datagrams, &wanted[0][six], six ? AF_INET6 : AF_INET, false);
        fill(&streams, &wanted[1][six], six ? AF_INET6 : AF_INET, true);
    }
}

/* Turns until the descriptor is readable, or not within so long. */
static inline bool readable(int fd, uint64_t ms)
{
    uint64_t until = clock_monotonic_ms() + ms;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 1) == 0) {
        turn();
        if (clock_monotonic_ms() > until)
            return false;
    }
    return true;
}
#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;                                    \
        while (!(condition)) {                                                                     \
            turn();                                                                                \
            assert_true(clock_monotonic_ms() < until_ms);                                          \
        }                                                                                          \
    } while (0)

static inline void server_drained(struct dns_server *s)
{
    assert_ptr_equal(s, &server);
    assert_false(drained);
    drained = true;
}

static inline struct addr addr(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(text_of(text), &a), 0);
    return a;
}

static struct bounds_max limits;

static inline int begin(void **state)
{
    struct addr any = {.port = RESOLVER};
    (void)state;
    ring_begin((struct ring_options){0});
    assert_int_equal(directory_new(&directory), 0);
    directory_thread_register();
    assert_int_equal(metrics_new(&metrics, 1000), 0);
    assert_int_equal(bounds_new(&bounds, &limits), 0);
    dns_mesh_service(directory, "shop", "web.shop.svc.cluster.local", "10.96.0.1", 0);
    dns_mesh_endpoint(directory, "shop", "me", "", "198.51.100.1", NULL, true);
    own = addr("198.51.100.1:1").ip;
    resolver4 = addr("198.51.100.53:53");
    resolver6 = addr("[2001:db8::53]:53");
    socket_pool_init(&streams, refill_streams);
    memset(wanted, 0, sizeof wanted);
    sockets_fail = drained = false;
    atomic_store(&known, true);
    const int on = 1;
    assert_int_equal(datagram_bind(&any, &resolver_udp), 0);
    assert_int_equal(setsockopt(resolver_udp, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof on), 0);
    assert_int_equal(socket_listen(&any, 64, false, &resolver_tcp), 0);
    assert_int_equal(datagram_open(AF_INET6, &client), 0);
    struct dns_server_options o = {
        .ring = ring,
        .mesh = {directory, TEXT("net"), TEXT("cluster.local"), 5, TEXT("")},
        .known = &known,
        .metrics = metrics,
        .bounds = bounds_pod(bounds, "c//Pod/shop/me", "shop", "me"),
        .uid = TEXT("c//Pod/shop/me"),
        .ns = TEXT("shop"),
        .addresses = &own,
        .n_addresses = 1,
        .wait_ms = 300,
        .port = RESOLVER,
        .streams = &streams,
        .refill = refill_datagrams,
        .drained = server_drained,
    };
    any.port = OURS;
    assert_int_equal(datagram_bind(&any, &o.taken_udp), 0);
    /* As the warden makes it. */
    assert_int_equal(setsockopt(o.taken_udp, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof on), 0);
    assert_int_equal(socket_listen(&any, 64, false, &o.taken_tcp), 0);
    dns_server_open(&server, &o);
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    dns_server_close(&server);
    TURN_UNTIL(drained);
    assert_int_equal(server.forward.n_open, 0);
    pod_bounds_unref(server.options.bounds);
    socket_pool_done(&streams);
    close(resolver_udp);
    close(resolver_tcp);
    close(client);
    directory_thread_unregister();
    directory = directory_free(directory);
    bounds = bounds_free(bounds);
    metrics = metrics_free(metrics);
    struct ring_stats stats;
    ring_stats(ring, &stats);
    assert_int_equal(stats.chunks_live, 0);
    ring_end();
    limits = (struct bounds_max){0};
    return 0;
}

/* ---- over UDP ---- */

static inline void ask_from(int fd, struct addr resolver, uint16_t id, const char *name)
{
    uint8_t bytes[600];
    size_t len = make_query(bytes, id, name, DNS_A, 0);
    resolver.port = OURS;
    assert_int_equal(datagram_send(fd, bytes, len, &resolver, NULL), 0);
}

static inline void ask(struct addr resolver, uint16_t id, const char *name)
{
    ask_from(client, resolver, id, name);
}

static inline void expect_from(int fd, struct addr resolver, unsigned id, unsigned code,
                               const char *row)
{
    uint8_t bytes[5000];
    struct addr from;
    struct read_answer read;
    assert_true(readable(fd, PATIENCE_MS));
    ssize_t len = datagram_receive(fd, bytes, sizeof bytes, &from, NULL);
    assert_true(len > 0);
    assert_true(ip_equal(&from.ip, &resolver.ip)); /* whom he had asked */
    read_answer(bytes, (size_t)len, &read);
    assert_int_equal(read.id, id);
    assert_int_equal(read.code, code);
    assert_int_equal(read.n_answers, row != NULL);
    if (row)
        assert_string_equal(read.rows[0], row);
    read_answer_done(&read);
}

static inline void expect(struct addr resolver, unsigned id, unsigned code, const char *row)
{
    expect_from(client, resolver, id, code, row);
}

struct came { /* a query at the resolver */
    uint8_t bytes[5000];
    size_t len;
    struct addr from;
    struct ip to;
};

static inline void comes(struct came *c)
{
    assert_true(readable(resolver_udp, PATIENCE_MS));
    ssize_t len = datagram_receive(resolver_udp, c->bytes, sizeof c->bytes, &c->from, &c->to);
    assert_true(len > 0);
    c->len = (size_t)len;
}

static inline size_t make_answer(const uint8_t *bytes, size_t len, const char *address,
                                 uint8_t *out)
{
    struct dns_query q;
    struct dns_answer a;
    struct ip ip;
    assert_int_equal(dns_query_read(bytes, len, &q), 0);
    assert_int_equal(ip_parse(text_of(address), &ip), 0);
    dns_answer_begin(&a, out, DNS_PLAIN_MAX, &q, DNS_NO_ERROR);
    assert_true(dns_answer_address(&a, 60, &ip));
    return dns_answer_end(&a);
}

static inline void answer_with(const struct came *c, int fd, unsigned id_wrong, const char *address,
                               const struct ip *from)
{
    uint8_t out[DNS_PLAIN_MAX];
    size_t len = make_answer(c->bytes, c->len, address, out);
    dns_message_set_id(out, (uint16_t)(dns_message_id(out) + id_wrong));
    assert_int_equal(datagram_send(fd, out, len, &c->from, from), 0);
}

/* ---- over TCP ---- */

static inline int call(const struct addr *resolver)
{
    struct sockaddr_storage sa;
    int fd;
    assert_int_equal(socket_open(ip_family(&resolver->ip), &fd), 0);
    socklen_t len = addr_to_sockaddr(resolver, &sa);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static inline size_t frame(uint8_t *out, uint16_t id, const char *name)
{
    size_t len = make_query(out + 2, id, name, DNS_A, 0);
    ns_put16((unsigned)len, out);
    return 2 + len;
}

/* A whole message; false: the end. */
static inline bool receive_frame(int fd, uint8_t *out, size_t *ret_len)
{
    size_t got = 0, want = 2;
    while (got < want) {
        assert_true(readable(fd, PATIENCE_MS));
        ssize_t n = recv(fd, out + got, want - got, 0);
        if (n <= 0)
            return false;
        got += (size_t)n;
        if (got == 2)
            want = 2u + ns_get16(out);
    }
    *ret_len = want - 2;
    return true;
}

static inline void expect_frame(int fd, unsigned id, unsigned code, unsigned n_answers)
{
    static uint8_t bytes[70000];
    struct read_answer read;
    size_t len;
    assert_true(receive_frame(fd, bytes, &len));
    read_answer(bytes + 2, len, &read);
    assert_int_equal(read.id, id);
    assert_int_equal(read.code, code);
    assert_int_equal(read.n_answers, n_answers);
    assert_false(read.truncated);
    read_answer_done(&read);
}

static inline int resolver_accept(void)
{
    assert_true(readable(resolver_tcp, PATIENCE_MS));
    int fd = accept4(resolver_tcp, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline int before_all(void **state)
{
    (void)state;
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    int ns = open_own();
    MUST(ns, "ip", "link", "set", "lo", "up");
    MUST(ns, "ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo");
    MUST(ns, "ip", "-6", "route", "add", "local", "2001:db8::/64", "dev", "lo");
    MUST(ns, "nft",
         "table inet t { chain c { type nat hook output priority -100; "
         "meta mark != 0x539 tcp dport 53 redirect to :15053; }; }");
    close(ns);
    return 0;
}
#endif
