/* How HTTP/2 connections end otherwise: dead peers, deadlines, refusals, and owners who close
 * inside an event. */
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/transport/h2_pair.h"

static unsigned n_received;
static void reset_soon(struct party *p, struct side *s)
{
    (void)s;
    if (++n_received != 20)
        return;
    /* As when a process dies: the kernel resets what it held (connect(2), AF_UNSPEC). */
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    assert_int_equal(connect(p->h2.conn.fd, &none, sizeof none), 0);
}

/* The peer's machine goes away in the middle: each of our streams is closed, once, before the
 * connection is. */
static void peer_death(void **state)
{
    (void)state;
    parties_new(true);
    n_received = 0;
    server->on_received = reset_soon;
    open_both();
    bed_run_until(both_ready);
    for (unsigned i = 0; i < 50; i++)
        request(10 << 20);
    bed_run_until(both_closed);
    assert_int_equal(client->error, -ECONNRESET);
    assert_true(server->error < 0);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(client->sides[i].closed, 1);
        assert_true(client->sides[i].code != 0);
    }
    close_both();
}

/* The peer ends its side (no reset) while streams live. */
static void peer_leaves(void **state)
{
    (void)state;
    parties_new(true);
    server->hold = true;
    open_both();
    bed_run_until(both_ready);
    for (unsigned i = 0; i < 5; i++)
        request(100);
    assert_int_equal(socket_shutdown_send(server->h2.conn.fd), 0);
    bed_run_until(client_closed);
    assert_int_equal(client->error, -ECONNRESET);
    assert_true(strlen(h2_conn_why(&client->h2)) > 0);
    close_both();
}

static void ping_timeout(void **state)
{
    (void)state;
    parties_new(true);
    server->hold = true;
    client_options.ping_ms = 30;
    client_options.ping_timeout_ms = 40;
    open_both();
    bed_run_until(both_ready);
    request(100);
    stream_pause(&server->h2.conn.stream); /* It hears nothing and says nothing. */
    bed_run_until(client_closed);
    assert_int_equal(client->error, -ETIMEDOUT);
    assert_non_null(strstr(h2_conn_why(&client->h2), "PING"));
    close_both();
}

static void handshake_timeout(void **state)
{
    struct addr at;
    int fd, silent;

    (void)state;
    parties_new(true);
    silent = listen_loopback(&at); /* It takes connections and says nothing. */
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    client_options.tls = client_tls;
    client_options.handshake_ms = 50;
    assert_int_equal(h2_conn_open_client(&client->h2, bed.ring, fd, &at, &client_options,
                                         &session_events, client),
                     0);
    bed_run_until(client_closed);
    assert_int_equal(client->error, -ETIMEDOUT);
    assert_int_equal(client->ready, 0);
    close(silent);

    /* And a server whose client says nothing. */
    int fds[2];
    tcp_pair(fds);
    server_options.tls = server_tls;
    server_options.handshake_ms = 50;
    assert_int_equal(h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options,
                                         &session_events, server),
                     0);
    bed_run_until(server_closed);
    assert_int_equal(server->error, -ETIMEDOUT);
    assert_int_equal(server->ready, 0);
    close(fds[1]);
    close_both();
}

static void refused_and_cut(void **state)
{
    struct addr at;
    int fd, fds[2];

    (void)state;
    parties_new(true);
    close(listen_loopback(&at));
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    client_options.tls = client_tls;
    assert_int_equal(h2_conn_open_client(&client->h2, bed.ring, fd, &at, &client_options,
                                         &session_events, client),
                     0);
    tcp_pair(fds);
    server_options.tls = server_tls;
    assert_int_equal(h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options,
                                         &session_events, server),
                     0);
    close(fds[1]);
    bed_run_until(both_closed);
    assert_int_equal(client->error, -ECONNREFUSED);
    assert_int_equal(server->error, -ECONNRESET);
    assert_non_null(strstr(h2_conn_why(&server->h2), "handshake"));
    close_both();
}

/* No HTTP/2 at all: a GOAWAY and the end, with a reason. */
static void nonsense(void **state)
{
    int fds[2];
    static const char junk[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n........................";
    uint8_t got[512];

    (void)state;
    parties_new(false);
    tcp_pair(fds);
    assert_int_equal(h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options,
                                         &session_events, server),
                     0);
    assert_int_equal(write(fds[1], junk, sizeof junk), sizeof junk);
    bed_run_until(server_closed);
    assert_int_equal(server->error, -EPROTO);
    assert_true(strlen(h2_conn_why(&server->h2)) > 0);
    h2_conn_close(&server->h2);
    conn_init(&client->h2.conn, bed.ring, -1, &(struct conn_events){.drained = NULL});
    client->drained = 1;
    bed_run_until(both_drained);
    ssize_t n = recv(fds[1], got, sizeof got, MSG_WAITALL); /* until its end: it is closed */
    assert_true(n >= 9 + 8);
    bool goaway = false;
    for (ssize_t i = 0; i + 9 <= n; i += 9 + (got[i] << 16 | got[i + 1] << 8 | got[i + 2]))
        goaway = goaway || got[i + 3] == 7;
    assert_true(goaway);
    close(fds[1]);
    free(client);
    free(server);
}

/* ---- ending from inside each event ------------------------------------------------------------------ */

static void close_party(struct party *p)
{
    h2_conn_close(&p->h2);
}
static void close_on_stream(struct party *p, struct side *s)
{
    (void)s;
    h2_conn_close(&p->h2);
}
static struct http2_stream *close_on_request(struct party *p, unsigned *ret_status)
{
    h2_conn_close(&p->h2);
    if (p->n_sides % 2) {
        *ret_status = 503;
        return NULL;
    }
    return &side_new(p)->stream;
}

static bool other_closed_one_drained(void)
{
    return (client->drained && server->closed) || (server->drained && client->closed);
}

static void close_inside_each_event(void **state)
{
    (void)state;
    for (int where = 0; where < 8; where++) {
        parties_new(where != 3);
        if (where == 0)
            client->on_ready = close_party;
        if (where == 1)
            server->on_ready = close_party;
        if (where == 2)
            client->on_received = close_on_stream;
        if (where == 3)
            server->on_received = close_on_stream;
        if (where == 4)
            client->on_stream_closed = close_on_stream;
        if (where == 5)
            server->on_stream_closed = close_on_stream;
        if (where == 6)
            server->on_request = close_on_request;
        if (where == 7)
            server->on_closed = client->on_closed = close_party;
        open_both();
        if (where > 1) {
            bed_run_until(both_ready);
            for (unsigned i = 0; i < 20; i++)
                request(i * 10000);
        }
        if (where == 7) {
            h2_conn_drain(&server->h2);
            bed_run_until(both_drained);
            assert_int_equal(client->closed, 1);
            assert_int_equal(server->closed, 1);
        } else {
            bed_run_until(other_closed_one_drained);
            assert_int_equal(client->closed + server->closed, 1);
        }
        close_both();
    }
}

/* Closing while nothing has happened yet, and during each step of the handshake. */
static void close_early(void **state)
{
    (void)state;
    parties_new(true);
    open_both();
    listener_close(&listener);
    server->drained = 1;
    h2_conn_close(&client->h2);
    bed_run_until(both_drained);
    assert_int_equal(client->closed, 0);
    free(client);
    free(server);
}

/* Each allocation of the opening fails in turn: -ENOMEM, the descriptor is closed, nothing comes
 * later. */
static void open_without_memory(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            int fds[2];
            char byte;

            assert_true(n < 10000);
            parties_new(tls);
            client_options.tls = tls ? client_tls : NULL;
            server_options.tls = tls ? server_tls : NULL;
            tcp_pair(fds);
            alloc_fail_at(n);
            int r = h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options,
                                        &session_events, server);
            failed = alloc_failed();
            if (r < 0) {
                assert_true(failed);
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
            } else {
                h2_conn_close(&server->h2);
                client->drained = 1;
                bed_run_until(both_drained);
            }
            close(fds[1]);
            assert_int_equal(server->closed, 0);
            free(client);
            free(server);
        }
    }
}

/* The server does not accept the client's certificate: in TLS 1.3 the client hears of it when it is
 * ready already. */
static void stranger(void **state)
{
    struct authority other;

    (void)state;
    authority_make(&other);
    struct tls_config *kept = client_tls;
    struct key *key = NULL;
    /* It knows the right root, but its own certificate is another's. */
    struct x509 leaf;
    uint8_t der[512];
    size_t len;
    const char *why = NULL;
    assert_int_equal(key_generate(&key), 0);
    public_of(key, der, sizeof der, &len);
    struct x509_template t = {.uri = TEXT("spiffe://cluster.local/ns/shop/sa/client"),
                              .path_len = -1,
                              .not_before_s = clock_unix_s() - 60,
                              .not_after_s = clock_unix_s() + 1800,
                              .server = true,
                              .client = true};
    assert_int_equal(x509_make(&t, der, len, &other.cert, other.key, &leaf), 0);
    struct tls_config_options o = {.role = TLS_CLIENT,
                                   .peer_auth = TLS_PEER_SVID,
                                   .key = key,
                                   .chain = &leaf,
                                   .n_chain = 1,
                                   .roots = &authority.cert,
                                   .n_roots = 1,
                                   .alpn = TEXT("h2")};
    assert_int_equal(tls_config_new(&client_tls, &o, &why), 0);

    parties_new(true);
    open_both();
    bed_run_until(both_closed);
    assert_int_equal(server->error, -EKEYREJECTED);
    assert_int_equal(server->ready, 0);
    assert_true(client->error < 0);
    assert_true(strlen(h2_conn_why(&client->h2)) > 0);
    close_both();

    tls_config_unref(client_tls);
    client_tls = kept;
    x509_done(&leaf);
    key_unref(key);
    authority_done(&other);
}

static int make_identities(void **state)
{
    (void)state;
    identities_make(TEXT("h2"));
    return 0;
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(peer_death),
        ON_RING(peer_leaves),
        ON_RING(ping_timeout),
        ON_RING(handshake_timeout),
        ON_RING(refused_and_cut),
        ON_RING(nonsense),
        ON_RING(close_inside_each_event),
        ON_RING(close_early),
        ON_RING(open_without_memory),
        ON_RING(stranger),
    };
    return cmocka_run_group_tests(tests, make_identities, identities_done);
}
