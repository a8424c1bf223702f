/*
 * A pod's name server over TCP: queries one after another and byte by byte, answers too large for a
 * datagram, resolvers that fail, clients that go, and the end while some of them wait.
 */
#include "tests/unit/nodeproxy/dns/dns_server_fixture.h"

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
        assert_true(
            dns_answer_address(&a, 60, &(struct ip){4, {10, 0, (uint8_t)(i >> 8), (uint8_t)i}}));
    len = dns_answer_end(&a);
    ns_put16((unsigned)len, bytes);
    for (size_t sent = 0; sent < len + 2;) {
        ssize_t n =
            send(far, bytes + sent, len + 2 - sent < 9000 ? len + 2 - sent : 9000, MSG_DONTWAIT);
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

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        EACH(over_tcp),
        EACH(big_answers_over_tcp),
        EACH(tcp_resolvers_that_fail),
        EACH(tcp_clients_that_go),
        EACH(closing),
    };
    return cmocka_run_group_tests(tests, before_all, NULL);
}
