/*
 * What a pod's name server answers, what it forwards and what of that comes back, over UDP; its
 * bounds and its counters. (Over TCP: dns_server_tcp_test.)
 */
#include "tests/unit/nodeproxy/dns/dns_server_fixture.h"

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
    assert_int_equal(datagram_send(resolver_udp, c.bytes, c.len, &c.from, &resolver4.ip),
                     0); /* a query */
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
    assert_true(datagram_receive(server.options.taken_udp, c.bytes, sizeof c.bytes, &from, &to) >
                0);
    assert_int_equal(dns_message_id(c.bytes), 2);
    assert_true(ip_equal(&to, &resolver4.ip));
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
        EACH(stopping),
        EACH(what_is_counted),
    };
    return cmocka_run_group_tests(tests, before_all, NULL);
}
