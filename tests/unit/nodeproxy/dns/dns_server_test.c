/*
 * A pod's name server on a real ring and real sockets, in a network namespace of its own in which
 * 198.51.100.0/24 and 2001:db8::/64 are addresses of this host: so they can be asked and answer. The
 * redirection of TCP is the real one; of UDP, the name server's port is called by its number.
 */
#include "nodeproxy/dns/dns_server.h"
#include "shared/ring/datagram.h"
#include "tests/unit/nodeproxy/dns/dns_mesh.h"
#include "tests/unit/shared/dns/dns_fixture.h"
#include "tests/unit/shared/ring/ring_fixture.h"

#include "shared/base/clock.h"
#include "tests/unit/nodeproxy/capture/netns_fixture.h"
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

static void refill_datagrams(struct socket_pool *p, int family, unsigned n)
{
    assert_ptr_equal(p, &server.forward.datagrams);
    wanted[0][family == AF_INET6] = n;
}

static void refill_streams(struct socket_pool *p, int family, unsigned n)
{
    assert_ptr_equal(p, &streams);
    wanted[1][family == AF_INET6] = n;
}

static void fill(struct socket_pool *p, unsigned *n, int family, bool tcp)
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

static void turn(void)
{
    run_once();
    for (unsigned six = 0; six < 2; six++) {
        fill(&server.forward.datagrams, &wanted[0][six], six ? AF_INET6 : AF_INET, false);
        fill(&streams, &wanted[1][six], six ? AF_INET6 : AF_INET, true);
    }
}

/* Turns until the descriptor is readable, or not within so long. */
static bool readable(int fd, uint64_t ms)
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

static void server_drained(struct dns_server *s)
{
    assert_ptr_equal(s, &server);
    assert_false(drained);
    drained = true;
}

static struct addr addr(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(text_of(text), &a), 0);
    return a;
}

static struct bounds_max limits;

static int begin(void **state)
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
        .mesh = {directory, TEXT("net"), TEXT("cluster.local"), 5},
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

static int end(void **state)
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

static void ask_from(int fd, struct addr resolver, uint16_t id, const char *name)
{
    uint8_t bytes[600];
    size_t len = make_query(bytes, id, name, DNS_A, 0);
    resolver.port = OURS;
    assert_int_equal(datagram_send(fd, bytes, len, &resolver, NULL), 0);
}

static void ask(struct addr resolver, uint16_t id, const char *name)
{
    ask_from(client, resolver, id, name);
}

static void expect_from(int fd, struct addr resolver, unsigned id, unsigned code, const char *row)
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

static void expect(struct addr resolver, unsigned id, unsigned code, const char *row)
{
    expect_from(client, resolver, id, code, row);
}

struct came { /* a query at the resolver */
    uint8_t bytes[5000];
    size_t len;
    struct addr from;
    struct ip to;
};

static void comes(struct came *c)
{
    assert_true(readable(resolver_udp, PATIENCE_MS));
    ssize_t len = datagram_receive(resolver_udp, c->bytes, sizeof c->bytes, &c->from, &c->to);
    assert_true(len > 0);
    c->len = (size_t)len;
}

static size_t make_answer(const uint8_t *bytes, size_t len, const char *address, uint8_t *out)
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

static void answer_with(const struct came *c, int fd, unsigned id_wrong, const char *address,
                        const struct ip *from)
{
    uint8_t out[DNS_PLAIN_MAX];
    size_t len = make_answer(c->bytes, c->len, address, out);
    dns_message_set_id(out, (uint16_t)(dns_message_id(out) + id_wrong));
    assert_int_equal(datagram_send(fd, out, len, &c->from, from), 0);
}

static void names_of_the_mesh(void **state)
{
    (void)state;
    ask(resolver4, 7, "wEb.shop");
    uint8_t bytes[600];
    struct addr from;
    struct read_answer read;
    assert_true(readable(client, PATIENCE_MS));
    ssize_t len = datagram_receive(client, bytes, sizeof bytes, &from, NULL);
    assert_true(ip_equal(&from.ip, &resolver4.ip) && from.port == OURS);
    read_answer(bytes, (size_t)len, &read);
    assert_string_equal(read.rows[1], "web.shop.svc.cluster.local 5 a 10.96.0.1");
    read_answer_done(&read);
    ask(resolver6, 8, "web.shop.svc.cluster.local");
    expect(resolver6, 8, 0, "web.shop.svc.cluster.local 5 a 10.96.0.1");
    assert_false(readable(resolver_udp, 0));
}

static void all_else_is_forwarded(void **state)
{
    struct came first, second;
    (void)state;
    ask(resolver4, 0x1111, "www.example.com");
    comes(&first);
    assert_true(ip_equal(&first.to, &resolver4.ip));
    ask(resolver4, 0x1111, "www.example.com");
    comes(&second);
    /* 1 of 2^32 that both are the same by chance */
    assert_false(dns_message_id(first.bytes) == dns_message_id(second.bytes) &&
                 first.from.port == second.from.port);
    assert_false(dns_message_id(first.bytes) == 0x1111 && dns_message_id(second.bytes) == 0x1111);
    answer_with(&second, resolver_udp, 0, "192.0.2.2", &resolver4.ip);
    expect(resolver4, 0x1111, 0, "www.example.com 60 a 192.0.2.2");
    answer_with(&first, resolver_udp, 0, "192.0.2.1", &resolver4.ip);
    expect(resolver4, 0x1111, 0, "www.example.com 60 a 192.0.2.1");

    ask(resolver6, 5, "www.example.com");
    comes(&first);
    assert_true(ip_equal(&first.to, &resolver6.ip));
    answer_with(&first, resolver_udp, 0, "192.0.2.3", &resolver6.ip);
    expect(resolver6, 5, 0, "www.example.com 60 a 192.0.2.3");
}

/* A socket is used again, its port is not: or whoever has seen one could answer the next. */
static void ports_are_new(void **state)
{
    struct came c;
    unsigned same = 0;
    uint16_t before = 0;
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        ask(resolver4, (uint16_t)i, "www.example.com");
        comes(&c);
        same += c.from.port == before;
        before = c.from.port;
        answer_with(&c, resolver_udp, 0, "192.0.2.2", &resolver4.ip);
        expect(resolver4, i, 0, "www.example.com 60 a 192.0.2.2");
    }
    assert_true(same < 3);
    assert_true(server.forward.n_open <= 2);
}

static void before_the_mesh_is_known(void **state)
{
    struct came c;
    (void)state;
    atomic_store(&known, false);
    ask(resolver4, 9, "web.shop.svc.cluster.local");
    comes(&c);
    answer_with(&c, resolver_udp, 0, "192.0.2.9", &resolver4.ip);
    expect(resolver4, 9, 0, "web.shop.svc.cluster.local 60 a 192.0.2.9");
}

/* Somebody else's answers: another id, another question, another address, another port. */
static void forged_answers_are_nothing(void **state)
{
    struct came c, other;
    struct addr at = {.ip = resolver4.ip};
    const struct ip elsewhere = addr("198.51.100.99:1").ip;
    int fd;
    (void)state;
    assert_int_equal(datagram_bind(&at, &fd), 0); /* the same host, another port */
    ask(resolver4, 1, "www.example.com");
    comes(&c);
    answer_with(&c, resolver_udp, 1, "6.6.6.1", &resolver4.ip);
    answer_with(&c, resolver_udp, 0, "6.6.6.2", &elsewhere);
    answer_with(&c, fd, 0, "6.6.6.3", NULL);
    other = c;
    other.bytes[DNS_HEAD_BYTES + 1] ^= 1;
    answer_with(&other, resolver_udp, 0, "6.6.6.4", &resolver4.ip);
    assert_int_equal(datagram_send(resolver_udp, c.bytes, c.len, &c.from, &resolver4.ip), 0); /* a query */
    assert_int_equal(datagram_send(resolver_udp, "x", 1, &c.from, &resolver4.ip), 0);
    assert_false(readable(client, 100));
    answer_with(&c, resolver_udp, 0, "192.0.2.1", &resolver4.ip);
    expect(resolver4, 1, 0, "www.example.com 60 a 192.0.2.1");
    close(fd);
}

static void a_resolver_that_is_silent(void **state)
{
    struct came c;
    (void)state;
    uint64_t since = clock_monotonic_ms();
    ask(resolver4, 3, "www.example.com");
    comes(&c);
    expect(resolver4, 3, DNS_SERVER_FAILURE, NULL);
    assert_true(clock_monotonic_ms() - since >= 300);
    answer_with(&c, resolver_udp, 0, "192.0.2.1", &resolver4.ip); /* too late */
    assert_false(readable(client, 50));
    assert_int_equal(server.forward.n_pending, 0);
}

static void a_resolver_that_is_not_there(void **state)
{
    (void)state;
    uint64_t since = clock_monotonic_ms();
    close(resolver_udp);
    ask(resolver4, 3, "www.example.com");
    expect(resolver4, 3, DNS_SERVER_FAILURE, NULL);
    assert_true(clock_monotonic_ms() - since < 300); /* the network said so */
    assert_int_equal(datagram_bind(&(struct addr){.port = RESOLVER}, &resolver_udp), 0);
}

static void no_sockets(void **state)
{
    (void)state;
    sockets_fail = true;
    ask(resolver4, 3, "www.example.com");
    expect(resolver4, 3, DNS_SERVER_FAILURE, NULL);
    ask(resolver4, 4, "web.shop.svc.cluster.local"); /* needs none */
    expect(resolver4, 4, 0, "web.shop.svc.cluster.local 5 a 10.96.0.1");
}

static void what_is_no_query(void **state)
{
    struct addr to = resolver4;
    uint8_t bytes[600];
    (void)state;
    to.port = OURS;
    assert_int_equal(datagram_send(client, "", 0, &to, NULL), 0);
    assert_int_equal(datagram_send(client, "hello", 5, &to, NULL), 0);
    size_t len = make_query(bytes, 3, "www.example.com", DNS_A, 0);
    bytes[2] |= 0x80; /* an answer */
    assert_int_equal(datagram_send(client, bytes, len, &to, NULL), 0);
    assert_false(readable(client, 50));
    bytes[2] &= 0x7f;
    assert_int_equal(datagram_send(client, bytes, len - 1, &to, NULL), 0);
    expect(resolver4, 3, DNS_FORMAT_ERROR, NULL);
}

/* Nothing that was sent to the pod itself is ours: it may have come from outside. */
static void the_pods_own_address(void **state)
{
    struct addr own_addr = {.ip = own}, loopback = addr("127.0.0.1:1");
    (void)state;
    ask(own_addr, 1, "web.shop.svc.cluster.local");
    ask(loopback, 2, "web.shop.svc.cluster.local");
    assert_false(readable(client, 50));
    ask(resolver4, 3, "web.shop.svc.cluster.local");
    expect(resolver4, 3, 0, "web.shop.svc.cluster.local 5 a 10.96.0.1");
}

/* ---- bounds ---- */

static int begin_few(void **state)
{
    limits.pod[BOUND_DNS_FORWARDED] = 4;
    return begin(state);
}

static void few_wait_at_once(void **state)
{
    struct came c[4];
    struct bound_view view;
    (void)state;
    for (uint16_t i = 0; i < 4; i++) {
        ask(resolver4, i, "www.example.com");
        comes(&c[i]);
    }
    ask(resolver4, 4, "www.example.com");
    expect(resolver4, 4, DNS_SERVER_FAILURE, NULL);
    assert_false(readable(resolver_udp, 0));
    ask(resolver4, 5, "web.shop.svc.cluster.local");
    expect(resolver4, 5, 0, "web.shop.svc.cluster.local 5 a 10.96.0.1");
    answer_with(&c[2], resolver_udp, 0, "192.0.2.2", &resolver4.ip);
    expect(resolver4, 2, 0, "www.example.com 60 a 192.0.2.2");
    ask(resolver4, 6, "www.example.com");
    comes(&c[2]);
    bounds_view(bounds, BOUND_DNS_FORWARDED, &view);
    assert_int_equal(view.now, 4);
}

static int begin_slow(void **state)
{
    limits.pod[BOUND_DNS_QUERIES] = 500;
    return begin(state);
}

/* A pod that asks too often is read later. */
static void a_flood_is_read_slowly(void **state)
{
    struct addr from;
    uint8_t bytes[600];
    unsigned n = 0, soon = 0;
    (void)state;
    uint64_t since = clock_monotonic_ms();
    for (unsigned i = 0; i < 150; i++)
        ask(resolver4, (uint16_t)i, "web.shop.svc.cluster.local");
    while (n < 150 && readable(client, PATIENCE_MS)) {
        assert_true(datagram_receive(client, bytes, sizeof bytes, &from, NULL) > 0);
        n++;
        soon += clock_monotonic_ms() - since < 50;
    }
    assert_int_equal(n, 150);
    assert_true(soon <= 64 + 50);
    assert_true(clock_monotonic_ms() - since >= 140); /* (150 - 64 - some) / 500 s */
}

/* ---- over TCP ---- */

static int call(const struct addr *resolver)
{
    struct sockaddr_storage sa;
    int fd;
    assert_int_equal(socket_open(ip_family(&resolver->ip), &fd), 0);
    socklen_t len = addr_to_sockaddr(resolver, &sa);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static size_t frame(uint8_t *out, uint16_t id, const char *name)
{
    size_t len = make_query(out + 2, id, name, DNS_A, 0);
    ns_put16((unsigned)len, out);
    return 2 + len;
}

/* A whole message; false: the end. */
static bool receive_frame(int fd, uint8_t *out, size_t *ret_len)
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

static void expect_frame(int fd, unsigned id, unsigned code, unsigned n_answers)
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

static void over_tcp(void **state)
{
    uint8_t bytes[1200];
    (void)state;
    for (unsigned six = 0; six < 2; six++) {
        int fd = call(six ? &resolver6 : &resolver4);
        size_t len = frame(bytes, 1, "web.shop.svc.cluster.local");
        len += frame(bytes + len, 2, "web.shop.svc.cluster.local"); /* two at once */
        assert_int_equal(send(fd, bytes, len, 0), (ssize_t)len);
        expect_frame(fd, 1, 0, 1);
        expect_frame(fd, 2, 0, 1);
        len = frame(bytes, 3, "web.shop.svc.cluster.local");
        for (size_t i = 0; i < len; i++) { /* byte by byte */
            assert_int_equal(send(fd, bytes + i, 1, 0), 1);
            turn();
        }
        expect_frame(fd, 3, 0, 1);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        assert_false(receive_frame(fd, bytes, &len));
        close(fd);
    }
    TURN_UNTIL(list_empty(&server.clients));
}

static int resolver_accept(void)
{
    assert_true(readable(resolver_tcp, PATIENCE_MS));
    int fd = accept4(resolver_tcp, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void big_answers_over_tcp(void **state)
{
    static uint8_t bytes[70000];
    uint8_t query[600];
    struct dns_query q;
    struct dns_answer a;
    size_t len;
    (void)state;
    int fd = call(&resolver4);
    len = frame(query, 77, "many.example.com");
    len += frame(query + len, 78, "web.shop.svc.cluster.local"); /* waits for its turn */
    assert_int_equal(send(fd, query, len, 0), (ssize_t)len);
    int far = resolver_accept();
    assert_true(receive_frame(far, bytes, &len));
    assert_int_equal(dns_query_read(bytes + 2, len, &q), 0);
    assert_string_equal(q.name, "many.example.com");
    dns_answer_begin(&a, bytes + 2, 65535, &q, DNS_NO_ERROR);
    for (unsigned i = 0; i < 3000; i++)
        assert_true(dns_answer_address(&a, 60, &(struct ip){4, {10, 0, (uint8_t)(i >> 8), (uint8_t)i}}));
    len = dns_answer_end(&a);
    ns_put16((unsigned)len, bytes);
    for (size_t sent = 0; sent < len + 2;) {
        ssize_t n = send(far, bytes + sent, len + 2 - sent < 9000 ? len + 2 - sent : 9000, MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    expect_frame(fd, 77, 0, 3000);
    expect_frame(fd, 78, 0, 1);
    assert_false(receive_frame(far, bytes, &len)); /* one query a connection */
    close(far);
    close(fd);
}

static void tcp_resolvers_that_fail(void **state)
{
    uint8_t bytes[600], query[600];
    size_t len;
    (void)state;
    int fd = call(&resolver4);
    size_t query_len = frame(query, 1, "www.example.com");

    assert_int_equal(send(fd, query, query_len, 0), (ssize_t)query_len);
    int far = resolver_accept();
    assert_true(receive_frame(far, bytes, &len));
    expect_frame(fd, 1, DNS_SERVER_FAILURE, 0); /* says nothing */
    close(far);

    assert_int_equal(send(fd, query, query_len, 0), (ssize_t)query_len);
    far = resolver_accept();
    close(far); /* hangs up */
    expect_frame(fd, 1, DNS_SERVER_FAILURE, 0);

    assert_int_equal(send(fd, query, query_len, 0), (ssize_t)query_len);
    far = resolver_accept();
    assert_true(receive_frame(far, bytes, &len));
    bytes[2] ^= 1; /* answers another query */
    bytes[4] |= 0x80;
    assert_int_equal(send(far, bytes, len + 2, 0), (ssize_t)len + 2);
    expect_frame(fd, 1, DNS_SERVER_FAILURE, 0);
    close(far);

    close(resolver_tcp); /* is not there */
    assert_int_equal(send(fd, query, query_len, 0), (ssize_t)query_len);
    expect_frame(fd, 1, DNS_SERVER_FAILURE, 0);
    assert_int_equal(socket_listen(&(struct addr){.port = RESOLVER}, 64, false, &resolver_tcp), 0);
    close(fd);
}

static void tcp_clients_that_go(void **state)
{
    uint8_t bytes[600];
    struct addr direct = {.ip = own, .port = OURS};
    size_t len;
    (void)state;
    int fd = call(&resolver4);
    len = frame(bytes, 1, "www.example.com");
    assert_int_equal(send(fd, bytes, len, 0), (ssize_t)len);
    int far = resolver_accept();
    socket_set_reset_on_close(fd);
    close(fd);
    TURN_UNTIL(list_empty(&server.clients) || server.forward.n_pending == 0);
    close(far);

    fd = call(&resolver4);
    assert_int_equal(send(fd, "\0\3abc", 5, 0), 5); /* too short to be one */
    assert_false(receive_frame(fd, bytes, &len));
    close(fd);
    fd = call(&resolver4);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18); /* 18 thousand bytes */
    assert_false(receive_frame(fd, bytes, &len));
    close(fd);
    fd = call(&direct); /* not redirected */
    assert_false(receive_frame(fd, bytes, &len));
    close(fd);
    TURN_UNTIL(list_empty(&server.clients));
}

static void stopping(void **state)
{
    struct came c;
    (void)state;
    ask(resolver4, 1, "www.example.com");
    comes(&c);
    dns_server_stop(&server);
    TURN_UNTIL(server.udp_gone);
    assert_false(dns_server_is_idle(&server));
    ask(resolver4, 2, "web.shop.svc.cluster.local"); /* stays for whoever has the socket next */
    assert_false(readable(client, 50));
    answer_with(&c, resolver_udp, 0, "192.0.2.1", &resolver4.ip);
    expect(resolver4, 1, 0, "www.example.com 60 a 192.0.2.1");
    assert_true(dns_server_is_idle(&server));
    struct ip to;
    struct addr from;
    assert_true(datagram_receive(server.options.taken_udp, c.bytes, sizeof c.bytes, &from, &to) > 0);
    assert_int_equal(dns_message_id(c.bytes), 2);
    assert_true(ip_equal(&to, &resolver4.ip));
}

/* Closed while things wait: on a resolver, on a socket, on a client. */
static void closing(void **state)
{
    uint8_t bytes[600];
    struct came c;
    (void)state;
    ask(resolver4, 1, "www.example.com");
    comes(&c);
    ask(resolver6, 2, "www.example.com"); /* its socket is asked for, and does not come */
    for (unsigned i = 0; i < 1000 && wanted[0][1] == 0; i++)
        run_once();
    int fd = call(&resolver4);
    size_t len = frame(bytes, 1, "www.example.com");
    assert_int_equal(send(fd, bytes, len, 0), (ssize_t)len);
    int far = resolver_accept();
    close(far);
    close(fd);
}

static uint64_t printed(const char *name)
{
    struct text_heap h;
    text_heap_init(&h, 1 << 20);
    metrics_print(&metrics, 1, false, &h);
    uint64_t sum = 0;
    for (const char *at = h.data; (at = strstr(at, name)); at++)
        if (at[strlen(name)] == '{')
            sum += strtoull(strstr(at, "} ") + 2, NULL, 10);
    text_heap_done(&h);
    return sum;
}

static void what_is_counted(void **state)
{
    struct came c;
    (void)state;
    ask(resolver4, 1, "web.shop.svc.cluster.local");
    expect(resolver4, 1, 0, "web.shop.svc.cluster.local 5 a 10.96.0.1");
    ask(resolver4, 2, "www.example.com");
    comes(&c);
    answer_with(&c, resolver_udp, 0, "192.0.2.1", &resolver4.ip);
    expect(resolver4, 2, 0, "www.example.com 60 a 192.0.2.1");
    ask(resolver4, 3, "www.example.com");
    comes(&c);
    expect(resolver4, 3, DNS_SERVER_FAILURE, NULL);
    assert_int_equal(printed("istio_dns_requests_total"), 3);
    assert_int_equal(printed("istio_dns_upstream_requests_total"), 2);
    assert_int_equal(printed("istio_dns_upstream_failures_total"), 1);
    assert_int_equal(printed("istio_dns_upstream_request_duration_seconds_count"), 1);
}

static int before_all(void **state)
{
    (void)state;
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    int ns = open_own();
    MUST(ns, "ip", "link", "set", "lo", "up");
    MUST(ns, "ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo");
    MUST(ns, "ip", "-6", "route", "add", "local", "2001:db8::/64", "dev", "lo");
    MUST(ns, "nft", "table inet t { chain c { type nat hook output priority -100; "
                    "meta mark != 0x539 tcp dport 53 redirect to :15053; }; }");
    close(ns);
    return 0;
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        EACH(names_of_the_mesh),
        EACH(all_else_is_forwarded),
        EACH(ports_are_new),
        EACH(before_the_mesh_is_known),
        EACH(forged_answers_are_nothing),
        EACH(a_resolver_that_is_silent),
        EACH(a_resolver_that_is_not_there),
        EACH(no_sockets),
        EACH(what_is_no_query),
        EACH(the_pods_own_address),
        cmocka_unit_test_setup_teardown(few_wait_at_once, begin_few, end),
        cmocka_unit_test_setup_teardown(a_flood_is_read_slowly, begin_slow, end),
        EACH(over_tcp),
        EACH(big_answers_over_tcp),
        EACH(tcp_resolvers_that_fail),
        EACH(tcp_clients_that_go),
        EACH(stopping),
        EACH(closing),
        EACH(what_is_counted),
    };
    return cmocka_run_group_tests(tests, before_all, NULL);
}
