/* HTTP/2 over connections on the real ring: a client and a server on one ring, with TLS and plain. */
#include "tests/unit/shared/transport/fixture.h"
#include "shared/base/rng.h"
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"
#include "tests/unit/shared/base/failing_alloc.h"

enum { STREAMS = 100 };

/* One end of one exchange. Clients send a pattern, servers echo it. */
struct side {
    struct http2_stream stream;
    bool is_client, in_use;
    unsigned seed;
    uint64_t to_send, sent, got;
    unsigned heads, ended, finished, failed, closed;
    uint32_t code;
    bool bad;
};

/* One end of the session. */
struct party {
    struct h2_conn h2;
    struct side sides[STREAMS];
    size_t n_sides, n_closed;
    unsigned ready, goaways, closed, drained;
    int error;
    bool closed_first; /* a stream ended after the connection had said so */
    bool hold;         /* a server that does not answer */
    void (*on_ready)(struct party *p);
    void (*on_stream_closed)(struct party *p, struct side *s);
    void (*on_received)(struct party *p, struct side *s);
    void (*on_closed)(struct party *p);
    struct http2_stream *(*on_request)(struct party *p, unsigned *ret_status);
};
static struct party *client, *server;
static struct authority authority;
static struct tls_config *client_tls, *server_tls;
static bool use_tls;

static struct party *party_of(struct side *s)
{
    return s->is_client ? client : server;
}

/* ---- streams -------------------------------------------------------------------------------------- */

static void side_pump(struct side *s)
{
    struct stream *stream = &s->stream.stream;

    while (s->sent < s->to_send && stream_queued(stream) < STREAM_QUEUE_HIGH) {
        struct buf part = {0};
        uint64_t rest = s->to_send - s->sent;
        size_t n = rest < 30000 ? (size_t)rest : 30000;
        pattern_append(&part, s->seed, s->sent, n);
        s->sent += n;
        stream_send(stream, &part);
    }
    if (s->sent == s->to_send && !s->stream.finish_asked)
        stream_finish(stream);
}

static void on_received(struct stream *stream, struct buf *bytes)
{
    struct side *s = stream->user;
    size_t len = bytes->len;

    if (s->is_client)
        s->bad = !pattern_take(bytes, s->seed, s->got) || s->bad;
    else
        stream_send(stream, bytes);
    s->got += len;
    if (!s->is_client && stream_queued(stream) > STREAM_QUEUE_HIGH)
        stream_pause(stream);
    if (party_of(s)->on_received)
        party_of(s)->on_received(party_of(s), s);
    bed_poke();
}

static void on_ended(struct stream *stream)
{
    struct side *s = stream->user;
    s->ended++;
    if (!s->is_client && !party_of(s)->hold)
        stream_finish(stream);
}

static void on_writable(struct stream *stream)
{
    struct side *s = stream->user;
    if (s->is_client)
        side_pump(s);
    else
        stream_resume(stream);
}

static void on_finished(struct stream *stream)
{
    ((struct side *)stream->user)->finished++;
}

static void on_failed(struct stream *stream, int error)
{
    assert_true(error < 0);
    ((struct side *)stream->user)->failed++;
}

static void on_head(struct http2_stream *stream, const struct http2_head *head)
{
    struct side *s = container_of(stream, struct side, stream);
    s->heads++;
    assert_true(text_equal(http2_head_get(head, TEXT(":status")), TEXT("200")));
}

static void on_closed(struct http2_stream *stream, uint32_t code)
{
    struct side *s = container_of(stream, struct side, stream);
    struct party *p = party_of(s);

    s->closed++;
    s->code = code;
    p->n_closed++;
    p->closed_first = p->closed_first || p->closed > 0;
    assert_int_equal(p->drained, 0);
    if (p->on_stream_closed)
        p->on_stream_closed(p, s);
    bed_poke();
}

static void on_opened(struct http2_stream *stream)
{
    static const struct http2_header ok[] = {{{":status", 7}, {"200", 3}}};
    struct side *s = container_of(stream, struct side, stream);
    if (!party_of(s)->hold)
        assert_int_equal(http2_stream_respond(stream, ok, 1, false), 0);
}

static const struct stream_events byte_events = {on_received, on_ended, on_writable, on_finished, on_failed};
static const struct http2_stream_events stream_events = {on_head, on_closed, on_opened};

static struct side *side_new(struct party *p)
{
    assert_true(p->n_sides < STREAMS);
    struct side *s = &p->sides[p->n_sides++];
    *s = (struct side){.is_client = p == client, .in_use = true};
    http2_stream_init(&s->stream, &stream_events);
    s->stream.stream.events = &byte_events;
    s->stream.stream.user = s;
    return s;
}

static struct side *request(uint64_t bytes)
{
    static const struct http2_header head[] = {
        {{":method", 7}, {"POST", 4}},
        {{":scheme", 7}, {"https", 5}},
        {{":path", 5}, {"/echo", 5}},
        {{":authority", 10}, {"server", 6}},
    };
    struct side *s = side_new(client);

    s->seed = (unsigned)client->n_sides;
    s->to_send = bytes;
    assert_int_equal(http2_stream_request(client->h2.http2, &s->stream, head, ARRAY_SIZE(head), false), 0);
    side_pump(s);
    return s;
}

/* ---- sessions ------------------------------------------------------------------------------------- */

static struct party *party(struct h2_conn *h)
{
    return h->user;
}

static void on_ready(struct h2_conn *h)
{
    struct party *p = party(h);
    p->ready++;
    if (use_tls) {
        assert_non_null(conn_peer(&h->conn));
        assert_string_equal(conn_peer(&h->conn)->uri, p == client ? "spiffe://cluster.local/ns/shop/sa/server"
                                                                  : "spiffe://cluster.local/ns/shop/sa/client");
    }
    if (p->on_ready)
        p->on_ready(p);
    bed_poke();
}

static struct http2_stream *on_request(struct h2_conn *h, const struct http2_head *head, unsigned *ret_status)
{
    struct party *p = party(h);
    assert_ptr_equal(p, server);
    assert_true(text_equal(http2_head_get(head, TEXT(":path")), TEXT("/echo")));
    if (p->on_request)
        return p->on_request(p, ret_status);
    return &side_new(p)->stream;
}

static void on_goaway(struct h2_conn *h)
{
    party(h)->goaways++;
    bed_poke();
}

static void on_session_closed(struct h2_conn *h, int error)
{
    struct party *p = party(h);
    assert_null(h->http2);
    assert_int_equal(p->n_closed, p->n_sides);
    p->closed++;
    p->error = error;
    if (p->on_closed)
        p->on_closed(p);
    bed_poke();
}

static void on_drained(struct h2_conn *h)
{
    party(h)->drained++;
    bed_poke();
}

static const struct h2_conn_events session_events = {on_ready, on_request, on_goaway, NULL, on_session_closed,
                                                     on_drained};

/* What the next open_both() takes. */
static struct h2_conn_options client_options, server_options;

static struct listener listener;
static bool listening;

static void accepted(struct listener *l, int fd)
{
    server_options.tls = use_tls ? server_tls : NULL;
    assert_int_equal(h2_conn_open_server(&server->h2, bed.ring, fd, &server_options, &session_events, server), 0);
    listener_close(l);
}

static void listener_gone(struct listener *l)
{
    (void)l;
    listening = false;
    bed_poke();
}

static void parties_new(bool tls)
{
    use_tls = tls;
    client = calloc(1, sizeof *client);
    server = calloc(1, sizeof *server);
    assert_true(client && server);
    client_options = server_options = (struct h2_conn_options){0};
}

static void open_both(void)
{
    struct addr at;
    int fd;

    listening = true;
    listener_open(&listener, bed.ring, listen_loopback(&at), 10, accepted, listener_gone, NULL);
    assert_int_equal(socket_open(AF_INET, &fd), 0);
    client_options.tls = use_tls ? client_tls : NULL;
    assert_int_equal(h2_conn_open_client(&client->h2, bed.ring, fd, &at, &client_options, &session_events, client), 0);
    /* Not from inside the call. */
    assert_int_equal(client->ready, 0);
}

static bool both_ready(void) { return client->ready && server->ready && !listening; }
static bool both_closed(void) { return client->closed && server->closed; }
static bool client_closed(void) { return client->closed > 0; }
static bool server_closed(void) { return server->closed > 0; }
static bool all_streams_closed(void)
{
    return client->n_closed == client->n_sides && server->n_closed == server->n_sides;
}
static bool both_drained(void) { return client->drained && server->drained && !listening; }

static void close_both(void)
{
    h2_conn_close(&client->h2);
    h2_conn_close(&client->h2);
    h2_conn_close(&server->h2);
    bed_run_until(both_drained);
    for (int i = 0; i < 2; i++) {
        const struct party *p = i ? client : server;
        assert_int_equal(p->drained, 1);
        assert_in_range(p->closed, 0, 1);
        assert_false(p->closed_first);
        assert_int_equal(p->n_closed, p->n_sides);
        for (size_t k = 0; k < p->n_sides; k++)
            assert_int_equal(p->sides[k].closed, 1);
    }
    free(client);
    free(server);
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static void many_streams(bool tls)
{
    struct rng rng;
    uint64_t sum = 0;

    parties_new(tls);
    rng_seed(&rng, 20261122);
    open_both();
    bed_run_until(both_ready);
    for (unsigned i = 0; i < STREAMS; i++)
        sum += request(i == 7 ? 5 << 20 : rng_below(&rng, 300000))->to_send;
    bed_run_until(all_streams_closed);
    for (unsigned i = 0; i < STREAMS; i++) {
        const struct side *s = &client->sides[i];
        assert_int_equal(s->got, s->to_send);
        assert_false(s->bad);
        assert_int_equal(s->code, 0);
        assert_int_equal(s->heads, 1);
        assert_int_equal(s->ended, 1);
        assert_int_equal(s->finished, 1);
        assert_int_equal(s->failed, 0);
        assert_int_equal(server->sides[i].failed, 0);
    }
    assert_true(client->h2.conn.bytes_in > sum);
    assert_int_equal(client->closed + server->closed, 0);
    close_both();
}
static void tls_many_streams(void **state) { (void)state; many_streams(true); }
static void plain_many_streams(void **state) { (void)state; many_streams(false); }

/* The server wants to stop: what runs is finished, nothing new, both sessions end regularly by themselves. */
static void drain_from(bool from_server)
{
    parties_new(true);
    open_both();
    bed_run_until(both_ready);
    for (unsigned i = 0; i < 10; i++)
        request(2 << 20);
    struct h2_conn *h = from_server ? &server->h2 : &client->h2;
    h2_conn_drain(h);
    h2_conn_drain(h);
    bed_run_until(both_closed);
    assert_int_equal(client->error, 0);
    assert_int_equal(server->error, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(client->sides[i].got, 2 << 20);
        assert_int_equal(client->sides[i].code, 0);
    }
    if (from_server)
        assert_true(client->goaways > 0);
    close_both();
}
static void goaway_drain(void **state)
{
    (void)state;
    drain_from(true);
    drain_from(false);
}

static void drain_when_idle(void **state)
{
    (void)state;
    parties_new(true);
    open_both();
    bed_run_until(both_ready);
    h2_conn_drain(&server->h2);
    bed_run_until(both_closed);
    assert_int_equal(client->error, 0);
    assert_int_equal(server->error, 0);
    close_both();
}

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

/* The peer's machine goes away in the middle: each of our streams is closed, once, before the connection is. */
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

static bool time_over;
static void time_is_over(struct timer *t)
{
    (void)t;
    time_over = true;
    bed_poke();
}
static bool is_time_over(void) { return time_over; }

static void wait_ms(uint64_t ms)
{
    struct timer t;
    time_over = false;
    timer_init(&t, time_is_over);
    timer_start(ring_timers(bed.ring), &t, ms);
    bed_run_until(is_time_over);
}

/* Pings are answered and the session lives; without streams there are none, unless asked for. */
static void ping_answered(void **state)
{
    (void)state;
    for (int idle = 0; idle < 2; idle++) {
        parties_new(true);
        server->hold = true;
        client_options.ping_ms = 10;
        client_options.ping_timeout_ms = 4000;
        client_options.ping_idle = idle;
        open_both();
        bed_run_until(both_ready);
        wait_ms(30); /* SETTINGS are over */
        uint64_t before = server->h2.conn.bytes_in;
        wait_ms(100);
        if (idle)
            assert_true(server->h2.conn.bytes_in >= before + 3 * 17);
        else
            assert_int_equal(server->h2.conn.bytes_in, before);
        request(100);
        wait_ms(20);
        before = server->h2.conn.bytes_in;
        wait_ms(100);
        assert_true(server->h2.conn.bytes_in >= before + 3 * 17);
        assert_int_equal(client->closed, 0);
        close_both();
    }
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
    assert_int_equal(h2_conn_open_client(&client->h2, bed.ring, fd, &at, &client_options, &session_events, client), 0);
    bed_run_until(client_closed);
    assert_int_equal(client->error, -ETIMEDOUT);
    assert_int_equal(client->ready, 0);
    close(silent);

    /* And a server whose client says nothing. */
    int fds[2];
    tcp_pair(fds);
    server_options.tls = server_tls;
    server_options.handshake_ms = 50;
    assert_int_equal(h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options, &session_events, server), 0);
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
    assert_int_equal(h2_conn_open_client(&client->h2, bed.ring, fd, &at, &client_options, &session_events, client), 0);
    tcp_pair(fds);
    server_options.tls = server_tls;
    assert_int_equal(h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options, &session_events, server), 0);
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
    assert_int_equal(h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options, &session_events, server), 0);
    assert_int_equal(write(fds[1], junk, sizeof junk), sizeof junk);
    bed_run_until(server_closed);
    assert_int_equal(server->error, -EPROTO);
    assert_true(strlen(h2_conn_why(&server->h2)) > 0);
    h2_conn_close(&server->h2);
    conn_init(&client->h2.conn, bed.ring, -1, &(struct conn_events){NULL, NULL, NULL});
    client->drained = 1;
    bed_run_until(both_drained);
    ssize_t n = recv(fds[1], got, sizeof got, 0);
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

static void close_party(struct party *p) { h2_conn_close(&p->h2); }
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

/* The peer reads nothing at all: what waits for it stays bounded, however many streams have something to say. */
static void unread_session(void **state)
{
    (void)state;
    parties_new(true);
    open_both();
    bed_run_until(both_ready);
    wait_ms(10); /* SETTINGS */
    stream_pause(&server->h2.conn.stream);
    for (unsigned i = 0; i < STREAMS; i++)
        request(1 << 20);
    wait_ms(30);
    assert_in_range(stream_queued(&client->h2.conn.stream), STREAM_QUEUE_LOW, STREAM_QUEUE_HIGH + 32768);
    stream_resume(&server->h2.conn.stream);
    bed_run_until(all_streams_closed);
    for (unsigned i = 0; i < STREAMS; i++) {
        assert_int_equal(client->sides[i].got, 1 << 20);
        assert_false(client->sides[i].bad);
    }
    close_both();
}

/* Each allocation of the opening fails in turn: -ENOMEM, the descriptor is closed, nothing comes later. */
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
            int r = h2_conn_open_server(&server->h2, bed.ring, fds[0], &server_options, &session_events, server);
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

/* The server does not accept the client's certificate: in TLS 1.3 the client hears of it when it is ready already. */
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
    struct x509_template t = {.uri = TEXT("spiffe://cluster.local/ns/shop/sa/client"), .path_len = -1,
                              .not_before_s = clock_unix_s() - 60, .not_after_s = clock_unix_s() + 1800,
                              .server = true, .client = true};
    assert_int_equal(x509_make(&t, der, len, &other.cert, other.key, &leaf), 0);
    struct tls_config_options o = {.role = TLS_CLIENT, .peer_auth = TLS_PEER_SVID, .key = key, .chain = &leaf,
                                   .n_chain = 1, .roots = &authority.cert, .n_roots = 1, .alpn = TEXT("h2")};
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

/* A reader who stops: what the session holds stays bounded, and other streams go on. */
static void held_reader(struct party *p, struct side *s)
{
    (void)p;
    if (s == &client->sides[0] && s->got > 1000000)
        stream_pause(&s->stream.stream);
}
static bool others_done(void)
{
    return client->n_closed == client->n_sides - 1;
}

static void paused_stream(void **state)
{
    (void)state;
    parties_new(true);
    client->on_received = held_reader;
    open_both();
    bed_run_until(both_ready);
    request(30 << 20);
    for (unsigned i = 0; i < 10; i++)
        request(3 << 20);
    bed_run_until(others_done);
    assert_int_equal(client->sides[0].closed, 0);
    assert_true(client->sides[0].got < 3 << 20);
    assert_true(bed.chunks_most < 6000000 / 16384 + 1000);
    client->on_received = NULL;
    stream_resume(&client->sides[0].stream.stream);
    bed_run_until(all_streams_closed);
    assert_int_equal(client->sides[0].got, 30 << 20);
    assert_false(client->sides[0].bad);
    close_both();
}

/* -------------------------------------------------------------------------------------------------------- */

static int identities_make(void **state)
{
    (void)state;
    authority_make(&authority);
    client_tls = identity_make(&authority, TLS_CLIENT, "spiffe://cluster.local/ns/shop/sa/client", TEXT("h2"));
    server_tls = identity_make(&authority, TLS_SERVER, "spiffe://cluster.local/ns/shop/sa/server", TEXT("h2"));
    return 0;
}

static int identities_done(void **state)
{
    (void)state;
    tls_config_unref(client_tls);
    tls_config_unref(server_tls);
    authority_done(&authority);
    return 0;
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(tls_many_streams), ON_RING(plain_many_streams), ON_RING(goaway_drain), ON_RING(drain_when_idle),
        ON_RING(peer_death), ON_RING(peer_leaves), ON_RING(ping_timeout), ON_RING(ping_answered),
        ON_RING(handshake_timeout), ON_RING(refused_and_cut), ON_RING(nonsense),
        ON_RING(close_inside_each_event), ON_RING(close_early), ON_RING(open_without_memory),
        ON_RING(stranger), ON_RING(paused_stream), ON_RING(unread_session),
    };
    return cmocka_run_group_tests(tests, identities_make, identities_done);
}
